//! Signing out, first locally.

use http::{Method, StatusCode};
use oauth_testkit::Fault;
use oauth_web::Access;

use crate::world::{Browser, From, SESSION, TWIN, World, location};

#[test]
fn rp_initiated_logout_signs_out_at_the_provider_and_returns() {
    for mut world in [World::new(), World::in_store()] {
        let mut ann = Browser::new();
        ann.open(&mut world, "/me").session();
        let reply = ann.click(&mut world, "/auth/logout?return_to=/bye").reply();
        assert!(ann.cookie(SESSION).is_none());
        let url = location(&reply);
        assert!(url.starts_with(&format!("{TWIN}/logout?")), "{url}");
        for name in [
            "id_token_hint=",
            "client_id=",
            "state=",
            "post_logout_redirect_uri=",
        ] {
            assert!(url.contains(name), "{name} is not in {url}");
        }
        let back = Browser::provider(&mut world, &url);
        let request = ann.request(&world, Method::GET, &back, From::Elsewhere);
        let reply = ann.send(&mut world, request, Access::SignedIn).reply();
        assert_eq!(location(&reply), "/bye");
        // The session at the provider has ended.
        let check = location(&ann.click(&mut world, "/auth/check").reply());
        assert!(Browser::provider(&mut world, &check).contains("error=login_required"));
    }
}

#[test]
fn an_id_token_hint_too_long_for_a_url_is_posted() {
    let mut world = World::in_store();
    let mut ann = Browser::new();
    for (claim, is_posted) in [(100, false), (4_000, true)] {
        let long = "d".repeat(claim);
        world.provider.twin().set_claim("department", long);
        ann.open(&mut world, "/me").session();
        let reply = ann.click(&mut world, "/auth/logout?return_to=/bye").reply();
        assert!(ann.cookie(SESSION).is_none());
        assert_eq!(
            reply.headers.contains_key("location"),
            !is_posted,
            "{claim}"
        );
        if !is_posted {
            assert!(location(&reply).len() <= 4_000);
            continue;
        }
        assert_eq!(reply.status, StatusCode::OK);
        let policy = reply.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("script-src 'sha256-"), "{policy}");
        assert_eq!(reply.headers["cache-control"], "no-store");
        let page = &reply.body;
        let action = format!("<form method=post action=\"{TWIN}/logout\">");
        assert!(page.contains(&action), "{page}");
        let value = |name: &str| {
            let (_, rest) = page
                .split_once(&format!("name=\"{name}\" value=\""))
                .unwrap();
            rest.split('"').next().unwrap()
        };
        assert!(value("id_token_hint").len() > 4_000);
        // The server sends the user back with the state.
        let back = format!("/auth/logout/done?state={}", value("state"));
        let request = ann.request(&world, Method::GET, &back, From::Elsewhere);
        let reply = ann.send(&mut world, request, Access::SignedIn).reply();
        assert_eq!(location(&reply), "/bye");
    }
}

#[test]
fn a_cross_site_link_signs_no_user_out() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    for from in [From::Elsewhere, From::Typed] {
        let request = ann.request(&world, Method::GET, "/auth/logout?return_to=/bye", from);
        let reply = ann.send(&mut world, request, Access::Open).reply();
        assert_eq!(reply.status, StatusCode::OK);
        assert!(
            reply
                .body
                .contains("method=post action=\"/auth/logout?return_to=%2Fbye\"")
        );
        ann.click(&mut world, "/me").session();
    }
    // An image that an attacker put into a page of the site.
    let mut request = ann.request(&world, Method::GET, "/auth/logout", From::Own);
    crate::world::put(&mut request.headers, "sec-fetch-dest", "image");
    crate::world::put(&mut request.headers, "sec-fetch-mode", "no-cors");
    assert!(ann.send(&mut world, request, Access::Open).is_status(200));
    ann.click(&mut world, "/me").session();
    let request = ann.request(&world, Method::POST, "/auth/logout", From::Elsewhere);
    assert!(ann.send(&mut world, request, Access::Open).is_status(403));
    ann.click(&mut world, "/me").session();
    let request = ann.request(&world, Method::POST, "/auth/logout", From::Own);
    assert!(ann.send(&mut world, request, Access::Open).is_status(303));
    assert!(ann.cookie(SESSION).is_none());
}

#[test]
fn returning_from_a_logout_with_an_unknown_state_shows_a_page() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let reply = ann.get(&mut world, "/auth/logout/done?state=x").reply();
    assert_eq!(reply.status, StatusCode::OK);
    ann.open(&mut world, "/me").session();
    ann.click(&mut world, "/auth/logout?return_to=/bye");
    let reply = ann.get(&mut world, "/auth/logout/done?state=x").reply();
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(world.notes_of("logout.state").len(), 1);
}

#[test]
fn a_logout_deletes_the_stored_session_and_tokens() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    let mut copy = ann.clone();
    assert_eq!(
        world.records().len(),
        3,
        "the session, its tokens, and whose it is"
    );
    ann.click(&mut world, "/auth/logout");
    assert!(world.records().is_empty());
    assert_eq!(world.provider.twin().counters().revocations, 1);
    assert!(copy.click(&mut world, "/me").is_status(303));
}

#[test]
fn a_logout_ends_the_session_if_store_or_provider_is_unavailable() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    world.provider.twin().inject(Fault::LostReply);
    ann.click(&mut world, "/auth/logout");
    assert!(ann.cookie(SESSION).is_none());
    assert!(world.records().is_empty());
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    world.is_store_down = true;
    assert!(ann.click(&mut world, "/auth/logout").is_status(303));
    assert!(ann.cookie(SESSION).is_none());
}
