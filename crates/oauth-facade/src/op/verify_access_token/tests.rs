#![allow(clippy::expect_used)] // tests may panic

use oauth_core::moment::Moment;

use super::*;
use crate::ErrorRecord;
use crate::arg::{Arg, Field as _};

fn client() -> Client {
    let metadata = r#"{"issuer":"https://as.example","jwks_uri":"https://as.example/jwks"}"#;
    let server =
        crate::Server::from_metadata("https://as.example", metadata, crate::Transport::Https);
    let server = server.expect("a server");
    Client::new(&server, "id", crate::Auth::None).expect("a client")
}

fn text(text: &str) -> Arg {
    Arg::Text(text.into())
}

#[test]
fn field_values_accept_null_text_or_a_list_of_texts() {
    let read = |arg| FieldValues::read(arg).map(|fields| fields.0.len()).ok();
    assert_eq!(read(Arg::Null), Some(0));
    assert_eq!(read(text("")), Some(1));
    assert_eq!(read(Arg::List(vec![])), Some(0));
    assert_eq!(read(Arg::List(vec![text("a"), text("b")])), Some(2));
    assert_eq!(read(Arg::List(vec![Arg::Null])), None);
    assert_eq!(read(Arg::Number(1.0)), None);
}

fn request() -> VerifyApiRequest {
    VerifyApiRequest {
        method: "GET".to_owned(),
        url: "https://api.example/".to_owned(),
        authorization: FieldValues(vec!["DPoP t".into()]),
        dpop: FieldValues::default(),
        audience: OneOrMore::new(vec!["https://api.example".to_owned()]).expect("an audience"),
        x5t_s256: None,
        dpop_max_age: None,
        dpop_nonce_key: Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8".into()),
        dpop_replay: None,
        required: AccessTokenRequirements {
            dpop_algs: Some(vec!["ES256".to_owned()]),
            ..AccessTokenRequirements::default()
        },
    }
}

#[test]
fn symmetric_or_unknown_dpop_algorithms_are_refused() {
    for algs in [&["HS256"][..], &["ES256", "HS512"], &["ES257"]] {
        let mut request = request();
        request.required.dpop_algs = Some(algs.iter().map(|alg| (*alg).to_owned()).collect());
        let refused = client().verify_api_request(request).map(drop);
        let error = refused.expect_err("an algorithm of shared secrets");
        assert_eq!(error.code(), "form.malformed_parameter", "{algs:?}");
        let detail = error.detail().unwrap_or_default();
        assert!(detail.starts_with("dpop_algs"), "{detail}");
    }
}

#[test]
fn refused_api_request_error_includes_response_headers() {
    let request = request();
    let shown = format!("{request:?}");
    assert!(
        !shown.contains("DPoP t") && !shown.contains("AAECAw"),
        "{shown}"
    );
    let mut exchange = client().verify_api_request(request).expect("an exchange");
    let at = Moment::without_randomness(UnixTime::from_secs(1_750_000_000));
    let error = exchange.begin(&at).map(drop).expect_err("no proof");
    let record = ErrorRecord::from(&error);
    assert_eq!(
        (record.code, record.response_status),
        ("dpop_proof.missing", Some(401))
    );
    let names: Vec<_> = record.response_headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["dpop-nonce", "www-authenticate"]);
    let json = record.to_json(None);
    assert!(
        json.contains(r#""response_headers":{"dpop-nonce":""#),
        "{json}"
    );
    // Other errors have none.
    let other = ErrorRecord::from(&Error::from(Misuse::Setup));
    assert!(other.response_headers.is_empty() && !other.to_json(None).contains("response_headers"));
}

#[test]
fn algorithms_with_which_no_token_could_be_accepted_are_refused_before_any_token() {
    let list = |names: &[&str]| Arg::List(names.iter().map(|name| text(name)).collect());
    let refused = |algs: Arg, dpop_algs: Arg| {
        let args = vec![text(""), text("https://api.example"), Arg::Null, Arg::Null];
        let more = vec![algs, Arg::Null, dpop_algs];
        match client().verifier([args, vec![Arg::Null; 4], more].concat()) {
            Err(StartError::Call(error)) => {
                assert_eq!(error.code(), "form.malformed_parameter", "{error}");
                error.detail().unwrap_or_default().to_owned()
            }
            other => panic!("{other:?}"),
        }
    };
    for (names, about) in [
        (&["HS256"][..], ": HS256"),
        (&["ES256", "HS512"], ": HS512"),
        (&["none"], ""),
        (&[], ": the list is empty"),
    ] {
        assert_eq!(refused(list(names), Arg::Null), format!("algs{about}"));
        assert_eq!(refused(Arg::Null, list(names)), format!("dpop_algs{about}"));
    }
}

/// The server verifies the signature, so a choice of algorithms would have no effect.
#[test]
fn algorithms_and_profiles_are_refused_if_tokens_are_introspected() {
    let how = crate::IntrospectionOptions {
        signed_response_alg: None,
        signed_response_audience: None,
        cache_max_age: None,
        cache_entries: None,
    };
    let client = client().introspecting(how).expect("an API");
    let code = |algs: Option<&str>, profile: Option<AccessTokenProfile>| {
        let mut request = request();
        request.required.algs = algs.map(|alg| vec![alg.to_owned()]);
        request.required.profile = profile;
        let started = client.verify_api_request(request);
        started.map(drop).map_err(|error| error.code())
    };
    assert_eq!(code(None, None), Ok(()));
    let refused = Err("arguments.inconsistent");
    assert_eq!(code(Some("ES256"), None), refused);
    assert_eq!(code(None, Some(AccessTokenProfile::Rfc9068)), refused);
}
