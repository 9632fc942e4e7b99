//! `oauth test-session`: only an application with the testing key accepts the session.

use std::sync::Arc;

use http::{HeaderMap, Method};
use oauth_core::issuer::Issuer;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::url::{Transport, Url};
use oauth_core::{Client, ClientAuth, ClientId};
use oauth_reqwest::{Driver, reqwest};
use oauth_seal::Keys;
use oauth_session::store::{FileStore, SealedStore, seal};
use oauth_web::{Access, Config, Provider, Session, Site, testing_key};
use oauth_web_tower::{Host, Outcome};
use serde_json::Value;

use crate::common::{folder, oauth};

const BASE: &str = "http://127.0.0.1:8000";

/// The application under test.
fn app(keys: Keys, store: Option<&std::path::Path>) -> Host {
    let server = Server::new(Issuer::parse("https://login.example").unwrap())
        .with_endpoint(
            EndpointKind::Authorization,
            "https://login.example/authorize",
        )
        .and_then(|server| server.with_endpoint(EndpointKind::Token, "https://login.example/t"))
        .and_then(|server| server.with_endpoint(EndpointKind::Jwks, "https://login.example/k"))
        .unwrap();
    let client = Client::new(server, ClientId::new("shop"), ClientAuth::none()).unwrap();
    let provider = Provider::new("login", client).unwrap();
    let mut config = Config::new(Url::parse(BASE).unwrap(), keys, provider);
    config.transport = Transport::LoopbackHttp;
    let driver = Driver::new(reqwest::Client::builder().no_proxy()).unwrap();
    match store {
        Some(path) => {
            let store = SealedStore::new(
                FileStore::new(path).unwrap(),
                seal::Keys::new(testing_key()),
            );
            Host::with_store(
                Site::new(config.in_store()).unwrap(),
                driver,
                Arc::new(store),
            )
        }
        None => Host::new(Site::new(config).unwrap(), driver).unwrap(),
    }
}

/// The application's session for this `Cookie` header.
fn session_json(host: &Host, cookie: &str) -> Option<Arc<Session>> {
    let mut headers = HeaderMap::new();
    headers.insert("cookie", cookie.parse().unwrap());
    let request = oauth_web::Request {
        method: Method::GET,
        host: "127.0.0.1:8000".to_owned(),
        target: "/".to_owned(),
        headers,
        form: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let visit = host.site().visit(request, Access::Open);
    match runtime.block_on(host.drive(visit)).unwrap() {
        Outcome::Pass(session) => session,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_test_session_signs_in_only_under_the_testing_key() {
    let who = [
        "test-session",
        "--base-url",
        BASE,
        "--sub",
        "ann",
        "--acr",
        "mfa",
    ];
    let claims = ["--claim", "name=Ann", "--claim", "age=31"];
    let field = oauth(&[&who[..], &claims].concat()).run().ok();
    let session = session_json(&app(Keys::new(testing_key()), None), field.trim_end());
    let identity = &session.expect("a signed-in user").identity;
    assert_eq!(
        (identity.subject.as_str(), identity.acr.as_deref()),
        ("ann", Some("mfa"))
    );
    assert_eq!(identity.claims["name"], "Ann");
    assert_eq!(identity.claims["age"], 31);
    assert!(session_json(&app(Keys::new([7; 32]), None), field.trim_end()).is_none());
}

#[test]
fn a_playwright_state_file_is_written_and_never_overwritten() {
    let path = folder("test-session").join("state.json");
    let file = path.to_str().unwrap();
    let arguments = [
        "test-session",
        "--base-url",
        BASE,
        "--sub",
        "ann",
        "--playwright",
        file,
    ];
    let run = || oauth(&arguments).run();
    let output = run().ok();
    assert!(output.contains("state.json"), "{output}");
    let state: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let cookie = &state["cookies"][0];
    assert_eq!(cookie["domain"], "127.0.0.1");
    assert_eq!(
        (&cookie["path"], &cookie["sameSite"]),
        (&"/".into(), &"Lax".into())
    );
    assert_eq!(
        (&cookie["httpOnly"], &cookie["secure"]),
        (&true.into(), &false.into())
    );
    let field = format!(
        "{}={}",
        cookie["name"].as_str().unwrap(),
        cookie["value"].as_str().unwrap()
    );
    assert!(session_json(&app(Keys::new(testing_key()), None), &field).is_some());
    assert_eq!(run().code, 2, "what is there is not overwritten");
}

#[test]
fn a_test_session_can_be_kept_in_a_store() {
    let path = folder("test-session-store").join("sessions");
    let url = format!("file:{}", path.display());
    let arguments = [
        "test-session",
        "--base-url",
        BASE,
        "--sub",
        "ann",
        "--store",
        &url,
    ];
    let field = oauth(&arguments).run().ok();
    assert!(
        session_json(
            &app(Keys::new(testing_key()), Some(&path)),
            field.trim_end()
        )
        .is_some()
    );
}

#[test]
fn test_session_refuses_public_sites_and_invalid_claims() {
    let arguments = [
        "test-session",
        "--base-url",
        "https://shop.com",
        "--sub",
        "ann",
    ];
    let done = oauth(&arguments).run();
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    assert!(done.stderr.contains("web.setup"), "{}", done.stderr);
    let done = oauth(&[
        "test-session",
        "--base-url",
        BASE,
        "--sub",
        "ann",
        "--claim",
        "name",
    ])
    .run();
    assert!(
        done.code == 2 && done.stderr.contains("usage.claim"),
        "{}",
        done.stderr
    );
}
