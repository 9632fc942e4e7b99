//! `oidc-provider` gets new signing keys while clients run.

use oauth_core::Moment;
use oauth_core::jose::Alg;
use oauth_core::token::id_token::IdTokenChecks;

use crate::library::sign_in;
use crate::oidc_provider::{OidcProvider, driver};

#[test]
fn rotated_keys_are_fetched_and_withdrawn_ones_removed() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "basic").expect("a client");
    let first = sign_in(&driver, &client, "openid read").expect("a login");
    let before = client.keys().expect("keys");
    let first = first.id_token.expect("an ID token").text().clone();

    server.rotate_keys();
    let second = sign_in(&driver, &client, "openid read").expect("a login after the rotation");
    let after = client.keys().expect("keys");
    assert_ne!(before.to_json(), after.to_json());
    let second = second.id_token.expect("an ID token").text().clone();

    let checks = IdTokenChecks::default();
    let verify = |token, checks| driver.run(client.verify_id_token(token, checks)).map(drop);
    // Signatures by a withdrawn key are refused.
    let refused = verify(first.clone(), checks.clone()).expect_err("a refusal");
    assert_eq!(refused.code(), "jws.no_matching_key");
    verify(second, checks.clone()).expect("the new key's");

    // A process that still has the old keys accepts their signatures until it encounters a new key.
    let late = server.client(&driver, "basic").expect("a client");
    let now = Moment::system().expect("a moment").now();
    late.keep_keys(now, (*before).clone());
    let late = late.with_id_token_algs([Alg::Rs256]);
    driver
        .run(late.verify_id_token(first, checks))
        .map(drop)
        .expect("it cannot know");
    sign_in(&driver, &late, "openid").expect("a login");
    assert_eq!(
        late.keys().map(|keys| keys.to_json()),
        Some(after.to_json())
    );
}

#[test]
fn concurrent_logins_succeed_after_a_key_rotation() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "basic").expect("a client");
    sign_in(&driver, &client, "openid").expect("a login");
    server.rotate_keys();
    std::thread::scope(|scope| {
        let logins: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| sign_in(&driver, &client, "openid").map(drop)))
            .collect();
        for login in logins {
            login.join().expect("no panic").expect("a login");
        }
    });
}
