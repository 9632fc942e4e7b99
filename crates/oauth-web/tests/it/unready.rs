//! What a host says that could not make its site ready.

use http::Method;
use oauth_core::error::{Cause, Error, Misuse, ValidationFailure};
use oauth_core::url::Url;

use crate::world::{Browser, From, World, code};

fn down() -> Error {
    Error::lost(Cause::unsent("no route to the provider"))
}

#[test]
fn a_provider_that_is_down_is_a_503_and_a_way_to_try_again() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let request = ann.request(&world, Method::GET, "/me?tab=2", From::Typed);
    let visit = world.site.failed(request, down());
    let reply = world.drive(visit).reply();
    assert_eq!((reply.status.as_u16(), code(&reply)), (503, "lost.unsent"));
    assert_eq!(reply.headers["retry-after"], "5");
    assert_eq!(reply.headers["cache-control"], "no-store");
    let problem = reply.problem.unwrap();
    let login = problem.sign_in.unwrap();
    assert_eq!(login, "/auth/login?return_to=%2Fme%3Ftab%3D2");
    assert!(!reply.body.contains("no route"), "it is for the log");
    assert!(world.log().contains("no route"), "{}", world.log());
}

#[test]
fn scripts_are_told_in_json_and_the_login_page_keeps_its_target() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let mut request = ann.request(
        &world,
        Method::GET,
        "/auth/login?return_to=/cart",
        From::Typed,
    );
    let visit = world.site.failed(request.clone(), down());
    let login = world.drive(visit).reply().problem.unwrap().sign_in;
    assert_eq!(login.as_deref(), Some("/auth/login?return_to=%2Fcart"));
    request.headers.clear();
    let visit = world.site.failed(request, down());
    let reply = world.drive(visit).reply();
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert!(reply.body.contains(r#""status":503"#), "{}", reply.body);
}

#[test]
fn whose_fault_it_is_decides_the_status() {
    for (error, status, is_worth_a_try) in [
        (down(), 503, true),
        (ValidationFailure::MetadataIssuer.into(), 502, true),
        (Misuse::SecretMissing.into(), 500, false),
    ] {
        let (mut world, mut ann) = (World::new(), Browser::new());
        let request = ann.request(&world, Method::GET, "/me", From::Typed);
        let visit = world.site.failed(request, error);
        let reply = world.drive(visit).reply();
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(reply.headers.contains_key("retry-after"), is_worth_a_try);
    }
}

#[test]
fn hosts_of_others_learn_nothing() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    world.change(|config| {
        let other = Url::parse("https://other.example").unwrap();
        config.base_urls.push(other);
    });
    let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
    request.host = "evil.example".to_owned();
    let visit = world.site.failed(request, down());
    assert_eq!(code(&world.drive(visit).reply()), "web.not_found");
}
