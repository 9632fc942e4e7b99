//! Irregular callbacks: the user can continue, and the log names the wrong part.

use http::{Method, StatusCode};
use oauth_seal::Keys;
use oauth_web::{Access, ResponseMode};

use crate::world::{Browser, From, SESSION, World, code, form, location};

/// The callback to which the provider redirects this browser.
fn callback(world: &mut World, browser: &mut Browser, page: &str) -> String {
    let url = location(&browser.get(world, page).reply());
    Browser::provider(world, &url)
}

fn deliver_callback(world: &mut World, browser: &mut Browser, callback: &str) -> oauth_web::Reply {
    let request = browser.request(world, Method::GET, callback, From::Elsewhere);
    browser.send(world, request, Access::SignedIn).reply()
}

#[test]
fn a_repeated_callback_redirects_to_the_home_page() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let callback = callback(&mut world, &mut ann, "/me");
    assert_eq!(
        location(&deliver_callback(&mut world, &mut ann, &callback)),
        "/me"
    );
    assert_eq!(
        location(&deliver_callback(&mut world, &mut ann, &callback)),
        "/"
    );
    ann.click(&mut world, "/me").session();
}

#[test]
fn a_callback_of_a_bookmarked_login_starts_a_new_sign_in() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let old = callback(&mut world, &mut Browser::new(), "/me");
    let ended = ended_with(deliver_callback(&mut world, &mut ann, &old));
    ann.follow(&mut world, ended).session();
}

fn ended_with(reply: oauth_web::Reply) -> crate::world::Ended {
    crate::world::Ended::Reply(reply)
}

#[test]
fn the_state_of_another_browser_is_refused() {
    let (mut world, mut ann, mut eve) = (World::new(), Browser::new(), Browser::new());
    let callback_of_eve = callback(&mut world, &mut eve, "/me");
    callback(&mut world, &mut ann, "/me");
    let reply = deliver_callback(&mut world, &mut ann, &callback_of_eve);
    assert_eq!(location(&reply), "/auth/login?stage=restart");
    assert!(ann.cookie(SESSION).is_none());
    let notes = world.notes_of("web.callback_unknown");
    assert!(notes[0].contains("the state does not match"), "{notes:?}");
    assert!(!world.notes[0].is_site_fault);
    // Her own sign-in is still valid, because it was not used.
    assert_eq!(ann.flows(), 1);
}

#[test]
fn missing_callback_parts_are_named_in_the_log() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let lost = callback(&mut world, &mut ann, "/me");
    deliver_callback(&mut world, &mut Browser::new(), &lost);
    assert!(
        world.log().contains("there is no cookie"),
        "{}",
        world.log()
    );

    world.notes.clear();
    let stored = ann.clone();
    world.advance(15 * 60);
    let mut request = ann.request(&world, Method::GET, &lost, From::Elsewhere);
    let flow = &stored.cookies[0];
    crate::world::add_cookie(&mut request, &flow.name, &flow.value);
    ann.send(&mut world, request, Access::SignedIn);
    assert!(world.log().contains("it has expired"), "{}", world.log());

    world.notes.clear();
    let other = callback(&mut world, &mut ann, "/me");
    world.change(|config| config.keys = Keys::new([9; 32]));
    deliver_callback(&mut world, &mut ann, &other);
    assert!(world.log().contains("the key") && world.log().contains("is not given"));
    let code = other.split("code=").nth(1).unwrap();
    let code = code.split('&').next().unwrap();
    assert!(!world.log().contains(code));
}

#[test]
fn a_browser_without_cookies_causes_no_redirect_loop() {
    let mut world = World::new();
    let mut ann = Browser {
        is_blocking: true,
        ..Browser::new()
    };
    let reply = ann.open(&mut world, "/me").reply();
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(code(&reply), "web.callback_unknown");
    assert!(world.log().contains("the browser sends no cookies back"));
    assert!(reply.problem.unwrap().sign_in.is_some());
    // A browser that lost only its flow cookies is redirected once more.
    let mut bob = Browser::new();
    for _ in 0..2 {
        let callback = callback(&mut world, &mut bob, "/me");
        bob.cookies.retain(|cookie| !cookie.name.contains("-flow-"));
        let reply = deliver_callback(&mut world, &mut bob, &callback);
        let mut next = location(&reply);
        while next.starts_with("/auth/login") {
            let reply = bob.click(&mut world, &next).reply();
            if reply.status != StatusCode::SEE_OTHER {
                assert_eq!(code(&reply), "web.callback_unknown");
                return;
            }
            next = location(&reply);
        }
    }
    panic!("it was begun anew again");
}

#[test]
fn an_empty_or_refused_callback_is_not_a_server_error() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let reply = deliver_callback(&mut world, &mut ann, "/auth/callback");
    assert_eq!(location(&reply), "/auth/login?stage=restart");
    let reply = deliver_callback(
        &mut world,
        &mut ann,
        "/auth/callback?error=access_denied&state=x",
    );
    assert_eq!(code(&reply), "web.callback_unknown");
    world.provider.twin().deny_next();
    let denied = callback(&mut world, &mut ann, "/me");
    let reply = deliver_callback(&mut world, &mut ann, &denied);
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(code(&reply), "denied.access_denied");
    let again = reply.problem.unwrap().sign_in;
    assert_eq!(again.as_deref(), Some("/auth/login?return_to=%2Fme"));
    assert_eq!(ann.flows(), 0);
}

#[test]
fn a_refusal_is_explained_and_attributed_to_the_responsible_party() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    for (error, status) in [
        ("access_denied", 403),
        ("login_required", 400),
        ("consent_required", 400),
        ("temporarily_unavailable", 503),
        ("server_error", 502),
        // The site's settings are wrong.
        ("invalid_client", 500),
        ("unauthorized_client", 500),
        ("invalid_scope", 500),
        ("unheard_of", 500),
    ] {
        world.provider.twin().deny_next();
        let denied = callback(&mut world, &mut ann, "/me");
        let denied = denied.replace("access_denied", error);
        let reply = deliver_callback(&mut world, &mut ann, &denied);
        assert_eq!(reply.status.as_u16(), status, "{error}");
        let title = reply.problem.unwrap().title;
        assert!(title.contains(' ') && !title.contains('_'), "{title}");
    }
}

#[test]
fn a_callback_without_a_code_or_with_another_issuer_is_refused() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    for change in [
        |callback: &str| callback.replace("code=", "kode="),
        |callback: &str| callback.replace("iss=https%3A%2F%2Ftwin", "iss=https%3A%2F%2Feve"),
        |callback: &str| format!("{callback}&code=another"),
    ] {
        let callback = change(&callback(&mut world, &mut ann, "/me"));
        let reply = deliver_callback(&mut world, &mut ann, &callback);
        assert!(
            code(&reply).starts_with("callback.") || location(&reply).starts_with("/auth/login")
        );
        assert!(ann.cookie(SESSION).is_none());
    }
}

/// The fields of the form that the provider has the browser post.
pub(crate) fn posted(world: &mut World, url: &str) -> Vec<(String, String)> {
    let request = http::Request::get(url).body(bytes::Bytes::new());
    let page = world.provider.send(request.unwrap());
    let page = String::from_utf8(page.body().to_vec()).unwrap();
    let fields = page.split("name=\"").skip(1);
    let fields = fields.map(|rest| {
        let (name, rest) = rest.split_once("\" value=\"").unwrap();
        (name.to_owned(), rest.split('"').next().unwrap().to_owned())
    });
    fields.collect()
}

pub(crate) fn pairs(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    let pairs = fields.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[test]
fn form_post_completes_with_the_flow_cookie() {
    let mut world = World::with(|mut config| {
        config.providers[0].response_mode = ResponseMode::FormPost;
        config
    });
    let mut ann = Browser::new();
    let url = location(&ann.get(&mut world, "/me").reply());
    assert!(url.contains("response_mode=form_post"));
    let fields = posted(&mut world, &url);
    let mut request = ann.request(&world, Method::POST, "/auth/callback", From::Elsewhere);
    form(&mut request, &pairs(&fields));
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(location(&reply), "/me");
    assert_eq!(ann.flows(), 0);
    ann.click(&mut world, "/me").session();
    // Again the session cookie is sent only with the next page.
    let mut request = ann.request(&world, Method::POST, "/auth/callback", From::Elsewhere);
    form(&mut request, &pairs(&fields));
    let ended = ann.send(&mut world, request, Access::SignedIn);
    assert_eq!(location(&ended.reply()), "/auth/login?stage=restart");
    assert_eq!(
        location(&ann.click(&mut world, "/auth/login?stage=restart").reply()),
        "/"
    );
}
