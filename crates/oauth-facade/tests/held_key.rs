//! Clients with keys held by the host, compared with clients with local keys: their requests differ only in
//! the signature.
#![cfg(all(feature = "crypto", feature = "held-keys", feature = "providers"))]

use std::sync::Arc;

use oauth_core::crypto::KeyUse;
use oauth_core::jose::Alg;
use oauth_crypto::PrivateKey;
use oauth_facade::{
    Auth, Client, ClientCredentials, Environment, ErasedExchange, ErasedStep, Error, HeldKey,
    HeldKeyJwt, HeldSecretJwt, Holder, Moment, PrivateKeyJwt, Secret, Server, Settings, SigningJob,
    TokenRequest, Transport, UnixTime,
};

const ISSUER: &str = "https://as.example";
const RSA: [&str; 6] = ["RS256", "PS256", "RS384", "RS512", "PS384", "PS512"];

/// The holder of the key in these tests.
#[derive(Debug, PartialEq)]
struct Vault(&'static str);

fn server(algs: &[&str]) -> Server {
    let mut metadata =
        serde_json::json!({ "issuer": ISSUER, "token_endpoint": format!("{ISSUER}/token") });
    // A server that lists no algorithms accepts any.
    if !algs.is_empty() {
        metadata["token_endpoint_auth_signing_alg_values_supported"] = serde_json::json!(algs);
    }
    Server::from_metadata(ISSUER, &metadata.to_string(), Transport::Https).expect("metadata")
}

fn held_key(kid: &'static str, algs: &[&str]) -> HeldKey {
    HeldKey {
        kid: kid.to_owned(),
        algs: algs.iter().map(|name| (*name).to_owned()).collect(),
        holder: Holder::new(Vault(kid)),
    }
}

fn jwt(keys: Vec<HeldKey>) -> HeldKeyJwt {
    HeldKeyJwt {
        keys,
        alg: None,
        kid: None,
        certificate_thumbprint: None,
        audience: None,
        used: KeyUse::default(),
    }
}

fn at() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_800_000_000), [7; 32])
}

fn begun(client: &Client) -> (ErasedExchange, ErasedStep) {
    let request = TokenRequest::default();
    let exchange = client.client_credentials(ClientCredentials { request });
    let mut exchange = exchange.expect("an exchange");
    let step = exchange.begin(&at()).expect("a step");
    (exchange, step)
}

fn job(server: &Server, auth: Auth) -> Result<SigningJob, Error> {
    let client = Client::new(server, "me", auth)?;
    match begun(&client).1 {
        ErasedStep::Sign(job) => Ok(job),
        other => panic!("something to sign, not {other:?}"),
    }
}

fn code(server: &Server, auth: Auth) -> &'static str {
    job(server, auth).expect_err("no client").code()
}

/// The signing input of an assertion made with a local key.
fn signed_here(server: &Server, text: &str) -> String {
    let auth = Auth::PrivateKeyJwt(PrivateKeyJwt {
        keys: vec![Secret::new(text.to_owned())],
        passphrase: None,
        alg: None,
        kid: None,
        certificate_thumbprint: None,
        audience: None,
        used: KeyUse::default(),
    });
    let client = Client::new(server, "me", auth).expect("a client");
    let ErasedStep::Send(request) = begun(&client).1 else {
        panic!("nothing to sign");
    };
    let form = String::from_utf8(request.body.to_vec()).expect("a form");
    let pair = form
        .split('&')
        .find_map(|pair| pair.strip_prefix("client_assertion="));
    let (input, _) = pair
        .and_then(|jws| jws.rsplit_once('.'))
        .expect("an assertion");
    input.to_owned()
}

#[test]
fn held_key_produces_the_same_signing_input_as_a_local_key() {
    let keys: [(Alg, &[&str]); 4] = [
        (Alg::Es256, &["ES256"]),
        (Alg::Es512, &["ES512"]),
        (Alg::Ed25519, &["Ed25519", "EdDSA"]),
        (Alg::Rs256, &RSA),
    ];
    for (alg, algs) in keys {
        let pem = PrivateKey::generate(alg)
            .and_then(|key| key.to_pem())
            .expect("a key");
        for taken in [&[][..], &["PS512", "EdDSA", "ES512", "ES256"], algs] {
            let server = server(taken);
            let elsewhere = job(&server, Auth::HeldKeyJwt(jwt(vec![held_key("k", algs)])));
            let elsewhere = elsewhere.expect("a job");
            let input = String::from_utf8(elsewhere.signing_input.to_vec()).expect("a string");
            assert_eq!(input, signed_here(&server, &pem), "{alg:?} of {taken:?}");
        }
    }
}

#[test]
fn newest_held_key_accepted_by_the_server_signs() {
    let both = || {
        Auth::HeldKeyJwt(jwt(vec![
            held_key("new", &["ES256"]),
            held_key("old", &RSA),
        ]))
    };
    for (taken, kid, alg) in [
        (&["RS256", "ES256"][..], "new", "ES256"),
        (&["RS256"], "old", "RS256"),
        (&[], "new", "ES256"),
    ] {
        let job = job(&server(taken), both()).expect("a job");
        assert_eq!((job.key_id.as_str(), job.alg), (kid, alg));
        let holder = job.holder.and_then(|holder| holder.downcast::<Vault>());
        assert_eq!(holder.as_deref().map(|vault| vault.0), Some(kid));
    }
    assert_eq!(code(&server(&["ES384"]), both()), "key.algorithm");
}

#[test]
fn empty_duplicate_or_ambiguous_held_keys_are_refused() {
    let any = server(&[]);
    let one = || held_key("k", &["ES256"]);
    let kid = |keys| HeldKeyJwt {
        kid: Some("2026-11".to_owned()),
        ..jwt(keys)
    };
    assert_eq!(
        code(&any, Auth::HeldKeyJwt(jwt(Vec::new()))),
        "client_auth.keys"
    );
    assert_eq!(
        code(&any, Auth::HeldKeyJwt(jwt(vec![one(), one()]))),
        "client_auth.keys"
    );
    let several = kid(vec![one(), held_key("old", &RSA)]);
    let seen = code(&any, Auth::HeldKeyJwt(several));
    assert_eq!(seen, "arguments.inconsistent");
    let named = job(&any, Auth::HeldKeyJwt(kid(vec![one()]))).expect("a job");
    assert_eq!(named.key_id, "2026-11");
    // Its own kid is only used among several keys.
    let unnamed = job(&any, Auth::HeldKeyJwt(jwt(vec![one()]))).expect("a job");
    assert_eq!(unnamed.key_id, "");
}

#[test]
fn held_hmac_secret_must_be_long_enough() {
    let any = server(&[]);
    let auth = |secret: &str, alg: &str| {
        Auth::HeldSecretJwt(HeldSecretJwt {
            secret: Secret::new(secret.to_owned()),
            alg: alg.to_owned(),
            audience: None,
            holder: Holder::new(Vault("mac")),
        })
    };
    let made = job(&any, auth(&"s".repeat(32), "HS256")).expect("a job");
    assert_eq!(made.alg, "HS256");
    assert_eq!(
        code(&any, auth(&"s".repeat(31), "HS256")),
        "jws.key_too_small"
    );
    assert_eq!(
        code(&any, auth(&"s".repeat(63), "HS512")),
        "jws.key_too_small"
    );
    assert_eq!(code(&any, auth(&"s".repeat(64), "ES256")), "key.algorithm");
}

/// A server that lists these methods.
fn accepting(methods: &[&str], algs: &[&str]) -> Server {
    let metadata = serde_json::json!({
        "issuer": ISSUER,
        "token_endpoint": format!("{ISSUER}/token"),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algs,
    });
    Server::from_metadata(ISSUER, &metadata.to_string(), Transport::Https).expect("metadata")
}

#[test]
fn held_secret_signs_only_if_the_server_accepts_no_other_secret_method() {
    let auth = |secret: &str| {
        let holder = Holder::new(Vault("mac"));
        Auth::DocumentedHolding(Secret::new(secret.to_owned()), holder)
    };
    let signing = accepting(&["client_secret_jwt"], &["HS512", "HS256"]);
    let made = job(&signing, auth(&"s".repeat(40))).expect("a job");
    // The first for which the secret is long enough.
    assert_eq!(made.alg, "HS256");
    assert_eq!(code(&signing, auth("short")), "jws.key_too_small");
    // A secret that may be sent is not used for signing.
    for methods in [
        &["client_secret_jwt", "client_secret_post"][..],
        &["client_secret_basic"],
    ] {
        let server = accepting(methods, &["HS256"]);
        let client = Client::new(&server, "me", auth("short")).expect("a client");
        assert!(matches!(begun(&client).1, ErasedStep::Send(_)));
    }
    let neither = accepting(&["private_key_jwt"], &["ES256"]);
    assert_eq!(
        code(&neither, auth(&"s".repeat(32))),
        "client_auth.no_usable_method"
    );
}

#[test]
fn settings_secret_is_passed_to_the_holder_for_client_secret_jwt() {
    let secret = "s".repeat(32);
    let file =
        format!(r#"{{"issuer": "{ISSUER}", "client_id": "me", "client_secret": "{secret}"}}"#);
    let settings = Settings::from_json(&file, Arc::new(Nothing)).expect("settings");
    let hold = |_: &Secret<String>| -> Result<HeldKey, Error> { panic!("there is no key") };
    let mac = |text: &Secret<String>| {
        assert_eq!(text.expose(), &secret);
        Ok(Holder::new(Vault("mac")))
    };
    let signing = accepting(&["client_secret_jwt"], &["HS256"]);
    let client = settings.client_holding(&signing, "me", hold, mac);
    let ErasedStep::Sign(job) = begun(&client.expect("a client")).1 else {
        panic!("something to sign");
    };
    assert_eq!(job.alg, "HS256");
    let holder = job.holder.expect("a holder");
    assert_eq!(holder.downcast::<Vault>().as_deref(), Some(&Vault("mac")));
}

/// No variables and no files.
#[derive(Debug)]
struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<Secret<String>> {
        None
    }

    fn file(&self, path: &str) -> Result<Secret<String>, oauth_facade::Cause> {
        Err(oauth_facade::Cause::unsent(format!("{path}: none")))
    }
}

#[test]
fn settings_private_key_is_passed_to_its_holder() {
    let file = format!(
        r#"{{"issuer": "{ISSUER}", "client_id": "me", "private_key": "the text", "key_id": "k1"}}"#
    );
    let settings = Settings::from_json(&file, Arc::new(Nothing)).expect("settings");
    let hold = |text: &Secret<String>| match text.expose().as_str() {
        "the text" => Ok(held_key("", &["ES256"])),
        other => panic!("not {other}"),
    };
    let any = server(&[]);
    let mac = |_: &Secret<String>| -> Result<Holder, Error> { panic!("there is no secret") };
    let client = settings.client_holding(&any, "me", hold, mac);
    let client = client.expect("a client");
    let ErasedStep::Sign(job) = begun(&client).1 else {
        panic!("something to sign");
    };
    assert_eq!((job.key_id.as_str(), job.alg), ("k1", "ES256"));
    let other = settings.client_holding(&any, "you", hold, mac);
    assert_eq!(other.expect_err("another client").code(), "misuse.setup");
}

#[test]
fn held_key_with_its_own_audience_is_refused_at_a_second_server() {
    let at = |issuer: &str| {
        let metadata = serde_json::json!({ "issuer": issuer });
        Server::from_metadata(issuer, &metadata.to_string(), Transport::Https).expect("metadata")
    };
    let (first, second) = (at("https://a.example"), at("https://b.example"));
    let made = |server: &Server, jwt: &HeldKeyJwt| {
        let client = Client::new(server, "me", Auth::HeldKeyJwt(jwt.clone()));
        client.map(drop).map_err(|error| error.code())
    };
    let default_auth = jwt(vec![held_key("", &["ES256"])]);
    assert_eq!(made(&first, &default_auth), Ok(()));
    assert_eq!(made(&second, &default_auth), Ok(()));
    let keyed = HeldKeyJwt {
        audience: Some("https://a.example/token".to_owned()),
        ..jwt(vec![held_key("", &["ES256"])])
    };
    // Any number of times at that server.
    assert_eq!(made(&first, &keyed), Ok(()));
    assert_eq!(made(&first, &keyed), Ok(()));
    assert_eq!(made(&second, &keyed), Err("key.used_at_two_servers"));
}

/// A separate `client_id` for each server is as safe as a separate key.
#[test]
fn same_key_with_separate_uses_may_serve_two_servers_under_two_client_ids() {
    let key = PrivateKey::generate(Alg::Es256).expect("a key");
    let pem = key.to_pem().expect("PEM");
    let with_issuer = |issuer: &str| PrivateKeyJwt {
        keys: vec![Secret::new(pem.to_string())],
        passphrase: None,
        alg: None,
        kid: None,
        certificate_thumbprint: None,
        audience: Some(format!("{issuer}/token")),
        used: KeyUse::default(),
    };
    let made = |issuer: &str, client_id: &str, jwt: &PrivateKeyJwt| {
        let metadata = serde_json::json!({ "issuer": issuer });
        let server = Server::from_metadata(issuer, &metadata.to_string(), Transport::Https);
        let auth = Auth::PrivateKeyJwt(jwt.clone());
        let client = Client::new(&server.expect("metadata"), client_id, auth);
        client.map(drop).map_err(|error| error.code())
    };
    let (a, b) = ("https://a.example", "https://b.example");
    let (first, second) = (with_issuer(a), with_issuer(b));
    assert_eq!(made(a, "me-at-a", &first), Ok(()));
    assert_eq!(made(b, "me-at-b", &second), Ok(()));
    assert_eq!(made(b, "me-at-b", &first), Err("key.used_at_two_servers"));
}
