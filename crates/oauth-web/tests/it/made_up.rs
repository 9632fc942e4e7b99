//! Arbitrary input causes no panic, no sign-in, and no redirect to another site.

use http::Method;
use http::header::LOCATION;
use oauth_web::Access;
use proptest::prelude::*;

use crate::world::{Browser, Ended, From, SESSION, TWIN, World, form, put};

fn is_harmless(ended: &Ended) -> bool {
    match ended {
        Ended::Passed(session) => session.is_none(),
        Ended::Forwarded(_) => false,
        Ended::Reply(reply) => reply.headers.get(LOCATION).is_none_or(|to| {
            let to = to.to_str().unwrap();
            to.starts_with(TWIN) || to.starts_with('/') && !to.starts_with("//")
        }),
    }
}

thread_local! {
    static WORLD: std::cell::RefCell<World> = std::cell::RefCell::new(World::new());
    static STORED: std::cell::RefCell<World> = std::cell::RefCell::new(World::in_store());
}

fn for_both_worlds(check: impl Fn(&mut World)) {
    WORLD.with_borrow_mut(&check);
    STORED.with_borrow_mut(&check);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_cookies_are_harmless(line in "([a-zA-Z_-]{0,20}=[ -~]{0,40};? ?){0,6}", sealed in "[12]\\.[A-Za-z0-9_-]{0,9}\\.[A-Za-z0-9_-]{0,120}") {
        for_both_worlds(|world| {
            for target in ["/me", "/auth/logout/done?state=x", "/auth/session"] {
                let mut ann = Browser::new();
                let mut request = ann.request(world, Method::GET, target, From::Typed);
                put(&mut request.headers, "cookie", &format!("{line}; {SESSION}={sealed}; {SESSION}.1={sealed}; {SESSION}-tries={sealed}; {SESSION}-out={sealed}"));
                assert!(is_harmless(&ann.send(world, request, Access::Open)));
            }
        });
    }

    #[test]
    fn arbitrary_callbacks_are_harmless(query in "[ -~]{0,80}", body in "[ -~]{0,80}") {
        for_both_worlds(|world| {
            let mut ann = Browser::new();
            ann.get(world, "/me");
            let query = query.replace('#', "");
            let request = ann.request(world, Method::GET, &format!("/auth/callback?{query}"), From::Elsewhere);
            assert!(is_harmless(&ann.send(world, request, Access::Open)));
            let mut request = ann.request(world, Method::POST, "/auth/callback", From::Elsewhere);
            request.form = Some(body.clone().into());
            assert!(is_harmless(&ann.send(world, request, Access::Open)));
            let mut request = ann.request(world, Method::POST, "/auth/backchannel-logout", From::Elsewhere);
            form(&mut request, &[("logout_token", &body)]);
            assert!(is_harmless(&ann.send(world, request, Access::Open)));
        });
    }

    #[test]
    fn arbitrary_targets_are_harmless(target in "/(auth/)?(login|logout|check|callback|session|frontchannel-logout)?[ -~]{0,60}", posts in any::<bool>()) {
        for_both_worlds(|world| {
            let mut ann = Browser::new();
            let method = if posts { Method::POST } else { Method::GET };
            let request = ann.request(world, method, &target, From::Own);
            assert!(is_harmless(&ann.send(world, request, Access::SignedIn)));
        });
    }
}

#[test]
fn an_oversized_callback_is_refused() {
    let mut world = World::new();
    let mut ann = Browser::new();
    let long = format!("/auth/callback?code={}", "a".repeat(70_000));
    let request = ann.request(&world, Method::GET, &long, From::Elsewhere);
    assert!(ann.send(&mut world, request, Access::Open).is_status(400));
    let mut request = ann.request(&world, Method::POST, "/auth/callback", From::Elsewhere);
    request.form = Some(vec![b'a'; 70_000].into());
    assert!(ann.send(&mut world, request, Access::Open).is_status(400));
}
