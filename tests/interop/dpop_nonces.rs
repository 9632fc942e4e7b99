//! DPoP-bound tokens of `oidc-provider`, whose nonces change while they are in use (RFC 9449 sections 8 and
//! 9), and a worker that stops meanwhile.

use std::sync::{Arc, Barrier};
use std::thread;

use oauth_core::flow::authorization::PendingAuthorization;
use oauth_core::flow::keeper::GrantId;
use oauth_core::flow::resource::Api;
use oauth_core::jose::Alg;
use oauth_core::{Client, Error, SecurityProfile, danger};
use oauth_crypto::DpopKey;
use oauth_reqwest::blocking::{Authorized, Driver, GrantSource};
use oauth_session::store::FileStore;
use oauth_session::{Sources, Store, dpop_key};
use serde_json::Value;

use crate::browser::browser;
use crate::fapi::{authorization_request, bound, sign_in};
use crate::oidc_provider::{OidcProvider, driver};

const CALLERS: usize = 50;

/// The server's counters: refreshes, nonce challenges at the token endpoint and at the
/// API, and other refusals.
fn counters(server: &OidcProvider) -> [u64; 4] {
    let reply = reqwest::blocking::get(format!("{}/_counters", server.issuer()));
    let body: Value = reply.and_then(|reply| reply.json()).expect("counters");
    let names = [
        "refreshes",
        "use_dpop_nonce",
        "use_dpop_nonce_at_api",
        "refused",
    ];
    names.map(|name| body[name].as_u64().expect("a number"))
}

/// The increase of each counter during `work`.
fn counter_changes(server: &OidcProvider, work: impl FnOnce()) -> [u64; 4] {
    let before = counters(server);
    work();
    let after = counters(server);
    [0, 1, 2, 3].map(|at| after[at] - before[at])
}

fn steer(server: &OidcProvider, what: &str) {
    let url = format!("{}/_{what}", server.issuer());
    let done = reqwest::blocking::Client::new().post(url).send();
    assert!(done.is_ok_and(|reply| reply.status() == 204));
}

fn started(seconds: &str) -> OidcProvider {
    OidcProvider::fapi_with(&[("ACCESS_TOKEN_SECONDS", seconds)])
}

/// UserInfo as an API, with tokens of this session.
fn api(
    server: &OidcProvider,
    driver: &Driver,
    client: &Client,
    session: GrantSource,
) -> Authorized {
    let resource = danger::loopback_resource([server.issuer()]).expect("a resource");
    let api = Api::new(resource).with_dpop(client).expect("an API");
    Authorized::with_sources(driver.clone(), Sources::one(session), api).expect("an API")
}

fn call(server: &OidcProvider, api: &Authorized) {
    let reply = api.get(&format!("{}/me", server.issuer())).send();
    assert_eq!(reply.expect("a reply").status(), 200);
}

/// A client with a key, and the tokens of a user who has signed in.
fn signed_in(server: &OidcProvider, driver: &Driver) -> Result<(Client, GrantSource), Error> {
    let key = DpopKey::generate(Alg::Es256)?;
    let client = bound(server, driver, "security", &key);
    let request = authorization_request("openid offline_access").pushed();
    let login = sign_in(&browser(), driver, &client, request)?;
    let session = GrantSource::refreshing(driver.clone(), &client, login.tokens)?;
    Ok((client, session))
}

#[test]
fn nonces_are_rotated_while_tokens_are_in_use() -> Result<(), Error> {
    let (server, driver) = (started("600"), driver());
    let (client, session) = signed_in(&server, &driver)?;
    let first = api(&server, &driver, &client, session.clone());
    call(&server, &first);
    // All nonces replaced at once: the first caller is challenged, and the second has the new nonce.
    steer(&server, "nonces");
    let second = api(&server, &driver, &client, session.clone());
    assert_eq!(
        counter_changes(&server, || call(&server, &first)),
        [0, 0, 1, 0]
    );
    assert_eq!(
        counter_changes(&server, || call(&server, &second)),
        [0, 0, 0, 0]
    );
    // The same holds at the token endpoint, which has its own nonces.
    let renew = || {
        let tokens = session.token().expect("tokens");
        session.renew(&tokens).expect("others");
    };
    assert_eq!(counter_changes(&server, renew), [1, 1, 0, 0]);
    assert_eq!(counter_changes(&server, renew), [1, 0, 0, 0]);
    // Nonces replaced over time: each response contains the next one, and no request is rejected after the first has expired.
    let nonce_challenges = counter_changes(&server, || {
        for _ in 0..6 {
            steer(&server, "advance/60");
            call(&server, &first);
        }
    });
    assert_eq!(nonce_challenges, [0, 0, 0, 0]);
    Ok(())
}

#[test]
fn fifty_callers_with_new_nonces_cause_one_refresh() -> Result<(), Error> {
    let (server, driver) = (started("600"), driver());
    let (client, session) = signed_in(&server, &driver)?;
    let fleet = api(&server, &driver, &client, session);
    call(&server, &fleet);
    steer(&server, "nonces");
    steer(&server, "expire");
    let barrier = Barrier::new(CALLERS);
    let [refreshes, nonces, at_api, refused] = counter_changes(&server, || {
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    barrier.wait();
                    call(&server, &fleet);
                });
            }
        });
    });
    // The token request is repeated once with the nonce; each caller of the API is challenged at most once.
    assert_eq!([refreshes, nonces, refused], [1, 1, 0]);
    assert!((1..=CALLERS as u64).contains(&at_api), "{at_api}");
    Ok(())
}

/// Key, tokens and nonces are stored: nothing else remains of the first worker. Its grant continues.
#[test]
fn a_bound_grant_continues_after_a_restart() -> Result<(), Error> {
    let (server, driver) = (started("600"), driver());
    let folder = tempfile::tempdir().expect("a folder");
    let worker = || -> Result<(Client, GrantSource), Error> {
        let store = Arc::new(FileStore::new(folder.path())?) as Arc<dyn Store>;
        let opened = oauth_session::blocking::wait(dpop_key::open(&*store, "bank", Alg::Es256))?;
        let client = crate::fapi::client(&server, &driver, "security").with_dpop(opened?);
        let client = client.with_profile(SecurityProfile::Fapi2Security);
        let id = GrantId::user("ann");
        let session = GrantSource::for_grant(driver.clone(), &client, id, store);
        Ok((client, session))
    };
    let (client, _) = worker()?;
    let authorization =
        driver.run(client.begin_authorization(authorization_request("openid offline_access")))?;
    let pending = authorization.pending.to_json();
    let came = browser()
        .get(authorization.url.as_str())
        .send()
        .expect("an answer");

    let (client, session) = worker()?;
    let pending = PendingAuthorization::from_json(pending.expose())?;
    let login = driver.run(client.redeem(pending, crate::browser::redirect_target(&came))?)?;
    session.log_in(login.tokens)?;
    call(&server, &api(&server, &driver, &client, session));
    steer(&server, "expire");

    let (client, session) = worker()?;
    let third = api(&server, &driver, &client, session);
    // The first renewal already has a nonce: a request without one might consume the refresh token.
    let [refreshes, nonces, _, refused] = counter_changes(&server, || call(&server, &third));
    assert_eq!([refreshes, nonces, refused], [1, 0, 0]);

    // The API's nonce is stored with the next tokens, and known to the next worker.
    steer(&server, "expire");
    call(&server, &third);
    let (client, session) = worker()?;
    let fourth = api(&server, &driver, &client, session);
    assert_eq!(
        counter_changes(&server, || call(&server, &fourth)),
        [0, 0, 0, 0]
    );
    Ok(())
}
