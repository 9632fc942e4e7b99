//! Tests the relying-party program for OpenID's conformance suite against a server with the suite's flaws.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_testkit::twin::IdTokenFlaw;
use oauth_testkit::{Fault, Served, Twin};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

mod fapi;

const DISCOVERY: &str = "/.well-known/openid-configuration";

struct RunResult {
    code: i32,
    /// The program's records, one for each login.
    records: Vec<Value>,
    stderr: String,
}

impl RunResult {
    fn only(self) -> Value {
        let [record] = <[Value; 1]>::try_from(self.records).expect("one record");
        record
    }
}

struct Suite(Served);

impl Suite {
    fn new() -> Self {
        Self(Served::start(Twin::generic).expect("a twin"))
    }

    fn run(&self, more: &[&str]) -> RunResult {
        self.run_for(self.0.base(), more)
    }

    fn run_for(&self, issuer: &str, more: &[&str]) -> RunResult {
        let (id, secret) = self.0.with(|twin| {
            let secret = twin.client_secret().to_owned();
            (twin.client_id().to_owned(), secret)
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_rp"));
        command.args([issuer, "--loopback-http", "--client-id", &id]);
        command.args(["--redirect-uri", "http://127.0.0.1/callback"]);
        command.args(more).env("RP_CLIENT_SECRET", &secret);
        let output = command.output().expect("the program");
        let stdout = String::from_utf8(output.stdout).expect("text");
        assert!(!stdout.contains(&secret));
        let records = stdout.lines().map(serde_json::from_str);
        RunResult {
            code: output.status.code().expect("a code"),
            records: records.collect::<Result<_, _>>().expect("JSON"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The paths of all requests, in order.
    fn requests(&self) -> Vec<String> {
        self.0.with(|twin| {
            let log = twin.log().iter();
            log.map(|entry| entry.path.clone()).collect()
        })
    }
}

#[test]
fn a_successful_flow_makes_only_the_necessary_requests() {
    for mode in ["query", "form_post"] {
        let suite = Suite::new();
        let ended = suite.run(&["--response-mode", mode]);
        assert_eq!(ended.code, 0, "{:?} {}", ended.records, ended.stderr);
        let record = ended.only();
        assert_eq!(
            (&record["stage"], &record["error"]),
            (&"token".into(), &Value::Null)
        );
        assert_eq!(record["claims"]["iss"], suite.0.base());
        let expected = [DISCOVERY, "/authorize", "/token", "/jwks"];
        assert_eq!(suite.requests(), expected, "{mode}");

        let more = [
            "--response-mode",
            mode,
            "--scope",
            "openid profile",
            "--userinfo",
        ];
        let record = suite.run(&more).only();
        assert_eq!(record["stage"], "userinfo");
        assert_eq!(record["userinfo"]["name"], "Alice Liddell");
        assert_eq!(record["userinfo"]["sub"], record["claims"]["sub"]);
        let both = [&expected[..], &expected, &["/userinfo"]].concat();
        assert_eq!(suite.requests(), both, "{mode}");
    }
}

/// The modules of the Basic plan in which the ID token must be refused.
#[test]
fn a_faulty_id_token_ends_the_flow_with_its_code() {
    for (flaw, code) in [
        (IdTokenFlaw::WrongIssuer, "jwt.issuer"),
        (IdTokenFlaw::MissingSubject, "jwt.missing_claim"),
        (IdTokenFlaw::WrongAudience, "jwt.audience"),
        (IdTokenFlaw::MissingIssuedAt, "jwt.missing_claim"),
        (IdTokenFlaw::Unsigned, "jws.alg_not_allowed"),
        (IdTokenFlaw::BrokenSignature, "jws.bad_signature"),
        (IdTokenFlaw::WrongNonce, "id_token.nonce"),
    ] {
        let suite = Suite::new();
        suite.0.with(|twin| twin.inject(Fault::IdToken { flaw }));
        let ended = suite.run(&["--userinfo"]);
        assert_eq!(ended.code, 1, "{flaw:?}");
        let record = ended.only();
        assert_eq!(record["error"]["code"], code, "{flaw:?}");
        assert_eq!(record["stage"], "token", "{flaw:?}");
        let mut after = suite.requests().into_iter().skip(3);
        assert!(after.all(|path| path == "/jwks"), "{flaw:?}");
    }
}

/// The modules of the hybrid plan about the ID token beside the code.
#[test]
fn a_code_without_a_valid_id_token_is_not_sent() {
    for mode in ["fragment", "form_post"] {
        let more = ["--response-type", "code id_token", "--response-mode", mode];
        let suite = Suite::new();
        let ended = suite.run(&more);
        assert_eq!(ended.code, 0, "{:?} {}", ended.records, ended.stderr);
        let expected = [DISCOVERY, "/authorize", "/jwks", "/token"];
        assert_eq!(suite.requests(), expected, "{mode}");
        for (flaw, code) in [
            (IdTokenFlaw::WrongCodeHash, "id_token.c_hash"),
            (IdTokenFlaw::MissingCodeHash, "jwt.missing_claim"),
            (IdTokenFlaw::WrongNonce, "id_token.nonce"),
            (IdTokenFlaw::WrongIssuer, "jwt.issuer"),
        ] {
            let suite = Suite::new();
            let fault = Fault::IdTokenInCallback { flaw };
            suite.0.with(|twin| twin.inject(fault));
            let ended = suite.run(&more);
            assert_eq!(ended.code, 1, "{mode} {flaw:?}");
            assert_eq!(ended.only()["error"]["code"], code, "{mode} {flaw:?}");
            assert_eq!(suite.requests(), expected[..3], "{mode} {flaw:?}");
        }
    }
}

#[test]
fn a_flow_stops_at_the_requested_stage() {
    for (stage, expected) in [
        ("discovery", &[DISCOVERY][..]),
        ("keys", &[DISCOVERY, "/jwks"]),
        ("authorization", &[DISCOVERY, "/authorize"]),
    ] {
        let suite = Suite::new();
        let ended = suite.run(&["--stop-after", stage]);
        assert_eq!(ended.code, 0, "{stage}: {}", ended.stderr);
        let record = ended.only();
        assert_eq!(record["stage"], stage);
        match stage {
            "discovery" => assert_eq!(record["metadata"]["issuer"], suite.0.base()),
            "keys" => assert_eq!(record["keys"]["ids"][0], "twin-1"),
            _ => assert_eq!(record["recognised"], true),
        }
        assert_eq!(suite.requests(), expected);
    }
}

/// oidcc-client-test-discovery-issuer-mismatch. A trailing slash makes a different issuer with the same metadata URL.
#[test]
fn a_mismatched_issuer_stops_the_flow_before_authorization() {
    let suite = Suite::new();
    let ended = suite.run_for(&format!("{}/", suite.0.base()), &[]);
    assert_eq!(ended.code, 1);
    let record = ended.only();
    assert_eq!(record["stage"], "discovery");
    assert_eq!(record["error"]["code"], "metadata.issuer");
    assert_eq!(suite.requests(), [DISCOVERY]);
}

/// oidcc-client-test-form-post-error, and an error in the query.
#[test]
fn a_denial_is_reported_without_a_token_request() {
    for mode in ["query", "form_post"] {
        let suite = Suite::new();
        suite.0.with(Twin::deny_next);
        let more = ["--response-mode", mode, "--param", "prompt=none"];
        let ended = suite.run(&more);
        assert_eq!(ended.code, 1);
        let record = ended.only();
        assert_eq!(record["stage"], "authorization");
        assert_eq!(record["error"]["code"], "denied.access_denied");
        assert_eq!(suite.requests(), [DISCOVERY, "/authorize"], "{mode}");
    }
}

#[test]
fn logins_of_one_client_share_its_keys() {
    let suite = Suite::new();
    let ended = suite.run(&["--logins", "2", "--client-auth", "basic"]);
    assert_eq!((ended.code, ended.records.len()), (0, 2));
    let expected = [
        DISCOVERY,
        "/authorize",
        "/token",
        "/jwks",
        "/authorize",
        "/token",
    ];
    assert_eq!(suite.requests(), expected);
}

/// oidcc-client-test-refresh-token: UserInfo is requested with the new token.
#[test]
fn a_refresh_is_made_once_and_reported() {
    let suite = Suite::new();
    let more = [
        "--scope",
        "openid offline_access",
        "--refresh",
        "--userinfo",
    ];
    let ended = suite.run(&more);
    assert_eq!(ended.code, 0, "{:?} {}", ended.records, ended.stderr);
    let record = ended.only();
    assert_eq!(record["stage"], "userinfo");
    let subject = &record["claims"]["sub"];
    assert_eq!(&record["refreshed"]["claims"]["sub"], subject);
    assert_eq!(&record["userinfo"]["sub"], subject);
    let expected = [
        DISCOVERY,
        "/authorize",
        "/token",
        "/jwks",
        "/token",
        "/userinfo",
    ];
    assert_eq!(suite.requests(), expected);
    let last_request = suite.0.with(|twin| twin.log().last().cloned());
    let header = last_request.expect("a request").headers;
    let used = header
        .iter()
        .find(|(name, _)| name == "authorization")
        .and_then(|(_, value)| value.strip_prefix("Bearer "));
    let used = used.expect("a token").to_owned();
    let newest = suite.0.with(|twin| twin.counters().refreshes);
    assert_eq!(newest, 1);
    let first = record["claims"]["at_hash"].as_str().expect("a hash");
    let second = record["refreshed"]["claims"]["at_hash"].as_str();
    assert_ne!(second.expect("a hash"), first);
    assert_eq!(second.expect("a hash"), at_hash(&used));
}

/// `at_hash` of an access token (OpenID Connect Core section 3.1.3.6), for SHA-256.
fn at_hash(token: &str) -> String {
    let hash = Sha256::digest(token);
    URL_SAFE_NO_PAD.encode(&hash[..16])
}

/// oidcc-client-test-refresh-token-invalid-issuer and -invalid-sub. The missing `kid` at the login is allowed.
#[test]
fn a_faulty_refreshed_id_token_ends_the_flow() {
    for (flaw, code) in [
        (IdTokenFlaw::WrongIssuer, "jwt.issuer"),
        (IdTokenFlaw::OtherSubject, "id_token.subject_changed"),
    ] {
        let suite = Suite::new();
        for flaw in [IdTokenFlaw::NoKeyId, flaw] {
            suite.0.with(|twin| twin.inject(Fault::IdToken { flaw }));
        }
        let more = [
            "--scope",
            "openid offline_access",
            "--refresh",
            "--userinfo",
        ];
        let ended = suite.run(&more);
        assert_eq!(ended.code, 1, "{flaw:?}");
        let record = ended.only();
        assert_eq!(record["stage"], "refresh", "{record}");
        assert_eq!(record["error"]["code"], code, "{record}");
        let requests = suite.requests();
        assert!(!requests.contains(&"/userinfo".to_owned()), "{requests:?}");
    }
}

#[test]
fn impossible_options_are_reported_without_a_request() {
    let suite = Suite::new();
    for more in [
        &["--response-mode", "web_message"][..],
        &["--stop-after", "token"],
        &["--logins", "0"],
    ] {
        let ended = suite.run(more);
        assert_eq!((ended.code, ended.records.len()), (2, 0), "{more:?}");
    }
    let command = Command::new(env!("CARGO_BIN_EXE_rp"))
        .args([suite.0.base(), "--client-id", "a"])
        .args(["--redirect-uri", "http://127.0.0.1/callback"])
        .output()
        .expect("the program");
    let record: Value = serde_json::from_slice(&command.stdout).expect("JSON");
    assert_eq!(record["error"]["code"], "issuer.not_https");
    assert!(suite.requests().is_empty());
}
