//! Pages that require more than a session.

use http::{Method, StatusCode};
use oauth_web::{Access, PageRequirements};

use crate::world::{Browser, Ended, From, World, code, location, put};

fn open_page_requiring(
    world: &mut World,
    browser: &mut Browser,
    need: &PageRequirements,
    script: bool,
) -> Ended {
    let mut request = browser.request(world, Method::GET, "/pay", From::Own);
    if script {
        put(&mut request.headers, "sec-fetch-mode", "cors");
        put(&mut request.headers, "sec-fetch-dest", "empty");
    }
    browser.send_needing(world, request, Access::SignedIn, Some(need.clone()))
}

fn return_from_provider(world: &mut World, browser: &mut Browser, url: &str) -> oauth_web::Reply {
    let callback = Browser::provider(world, url);
    let request = browser.request(world, Method::GET, &callback, From::Elsewhere);
    browser.send(world, request, Access::SignedIn).reply()
}

#[test]
fn a_step_up_requests_the_acr_and_verifies_it() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let need = PageRequirements::acr(["mfa"]);
    ann.open(&mut world, "/me").session();
    let url = location(&open_page_requiring(&mut world, &mut ann, &need, false).reply());
    assert!(url.contains("acr_values=mfa"));
    world.provider.twin().set_claim("acr", "mfa");
    assert_eq!(
        location(&return_from_provider(&mut world, &mut ann, &url)),
        "/pay"
    );
    open_page_requiring(&mut world, &mut ann, &need, false).session();
}

#[test]
fn a_provider_that_ignores_a_step_up_causes_neither_a_loop_nor_a_stronger_session() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    let need = PageRequirements::acr(["mfa"]);
    let url = location(&open_page_requiring(&mut world, &mut ann, &need, false).reply());
    world.provider.twin().set_claim("acr", "pwd");
    let reply = return_from_provider(&mut world, &mut ann, &url);
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(code(&reply), "web.step_up_failed");
    // The earlier session is unchanged.
    ann.click(&mut world, "/me").session();
}

#[test]
fn the_max_age_of_a_page_requires_a_recent_login() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let need = PageRequirements::acr(Vec::<String>::new()).with_max_age(300);
    ann.open(&mut world, "/me").session();
    open_page_requiring(&mut world, &mut ann, &need, false).session();
    world.advance(361);
    let url = location(&open_page_requiring(&mut world, &mut ann, &need, false).reply());
    assert!(url.contains("max_age=300"));
    // The provider reports an old sign-in.
    world
        .provider
        .twin()
        .set_claim("auth_time", 1_700_000_000_u64);
    let reply = return_from_provider(&mut world, &mut ann, &url);
    assert_eq!(code(&reply), "id_token.auth_too_old");
    let now = world.provider.now().as_secs();
    world.provider.twin().set_claim("auth_time", now);
    let url = location(&open_page_requiring(&mut world, &mut ann, &need, false).reply());
    assert_eq!(
        location(&return_from_provider(&mut world, &mut ann, &url)),
        "/pay"
    );
}

#[test]
fn a_script_receives_the_url_to_send_the_user_to() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    let need = PageRequirements::acr(["mfa"]).with_max_age(60);
    let reply = open_page_requiring(&mut world, &mut ann, &need, true).reply();
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(code(&reply), "web.step_up");
    let login = reply.problem.unwrap().sign_in.unwrap();
    let url = location(&ann.click(&mut world, &login).reply());
    assert!(
        url.contains("acr_values=mfa") && url.contains("max_age=60"),
        "{url}"
    );
    world.provider.twin().set_claim("acr", "pwd");
    assert_eq!(
        code(&return_from_provider(&mut world, &mut ann, &url)),
        "web.step_up_failed"
    );
}

#[test]
fn a_signed_out_user_signs_in_with_the_required_authentication() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let url = location(
        &open_page_requiring(&mut world, &mut ann, &PageRequirements::acr(["mfa"]), false).reply(),
    );
    assert!(url.contains("acr_values=mfa"));
    world.provider.twin().set_claim("acr", "pwd");
    let reply = return_from_provider(&mut world, &mut ann, &url);
    assert_eq!(code(&reply), "web.step_up_failed");
    assert!(ann.cookie(crate::world::SESSION).is_none());
}
