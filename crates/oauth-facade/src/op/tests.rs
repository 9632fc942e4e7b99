use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use oauth_core::Secret;

use super::fingerprint::fields;
use super::*;
use crate::arg::Field as _;
use crate::{
    Arg, Auth, ErasedStep, IntrospectionOptions, Moment, Record, Reply, Server, Shape,
    TypeMismatch, UnixTime,
};

const METADATA: &str = r#"{
    "issuer": "https://as.example",
    "token_endpoint": "https://as.example/token",
    "revocation_endpoint": "https://as.example/revoke",
    "introspection_endpoint": "https://as.example/introspect",
    "end_session_endpoint": "https://as.example/logout",
    "jwks_uri": "https://as.example/jwks"
}"#;

fn client() -> Client {
    let server = Server::from_metadata("https://as.example", METADATA, Default::default());
    Client::new(&server.expect("metadata"), "id", Auth::Post("s".into())).expect("a client")
}

fn number(name: &str) -> u32 {
    let at = TABLE.iter().position(|entry| entry.name == name);
    u32::try_from(at.expect("it is in the table")).expect("a small number")
}

fn text(text: &str) -> Arg {
    Arg::Text(text.into())
}

fn at() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_750_000_000), [7; 32])
}

/// The form sent by an operation.
fn sent(name: &str, args: Vec<Arg>) -> String {
    let mut exchange = client().begin(number(name), args).expect("an exchange");
    match exchange.begin(&at()) {
        Ok(ErasedStep::Send(request)) => String::from_utf8_lossy(&request.body).into_owned(),
        other => panic!("{other:?}"),
    }
}

fn mismatch(name: &str, args: Vec<Arg>) -> TypeMismatch {
    match client().begin(number(name), args) {
        Err(StartError::Argument(mismatch)) => mismatch,
        other => panic!("{other:?}"),
    }
}

fn code(name: &str, args: Vec<Arg>) -> String {
    match client().begin(number(name), args) {
        Err(StartError::Call(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn positional_arguments_are_mapped_to_parameters() {
    let form = sent("revoke", vec![text("t"), text("refresh_token")]);
    assert!(
        form.starts_with("token=t&token_type_hint=refresh_token"),
        "{form}"
    );
    let pairs = vec![
        ("one".to_owned(), text("1")),
        ("two".to_owned(), Arg::List(vec![text("2"), text("3")])),
    ];
    let form = sent(
        "password",
        vec![
            text("u"),
            text("p"),
            Arg::List(vec![text("read"), text("write")]),
            Arg::List(vec![text("https://api.example/")]),
            Arg::Null,
            Arg::Pairs(pairs),
        ],
    );
    for part in [
        "username=u",
        "password=p",
        "scope=read+write",
        "resource=https%3A%2F%2Fapi.example%2F",
        "one=1",
        "two=2&two=3",
    ] {
        assert!(form.contains(part), "{part} in {form}");
    }
    let tokens = r#"{"version":1,"issuer":"https://as.example","client_id":"id","access_token":"a",
        "received_at":0,"expires_in":null,"scope":"","refresh_token":"r","refresh_scope":null,"id_token":null}"#;
    let tokens = Tokens::from_json(tokens).expect("tokens");
    let form = sent("refresh", vec![Arg::Tokens(Arc::new(tokens))]);
    assert!(form.contains("refresh_token=r"), "{form}");
}

#[test]
fn trailing_optional_arguments_may_be_omitted() {
    assert!(sent("client_credentials", Vec::new()).contains("grant_type=client_credentials"));
    assert!(sent("introspect", vec![text("t")]).starts_with("token=t&client_id"));
}

#[test]
fn type_mismatch_names_the_argument_and_hides_its_value() {
    for (name, args, expected) in [
        (
            "introspect",
            vec![],
            "argument 'token': expected a string, not nothing",
        ),
        (
            "introspect",
            vec![Arg::Number(7.0)],
            "argument 'token': expected a string, not a number",
        ),
        (
            "introspect",
            vec![text("t"), text("S3CR3T")],
            "argument 'token_type_hint': expected one of \"access_token\" \"refresh_token\", not another text",
        ),
        (
            "refresh",
            vec![text("S3CR3T")],
            "argument 'tokens': expected Tokens, not a string",
        ),
        (
            "client_credentials",
            vec![Arg::Number(1.0)],
            "argument 'scope': expected a string or a list of strings, not a number",
        ),
        (
            "client_credentials",
            vec![Arg::Null, text("S3CR3T")],
            "argument 'resource': expected a list of strings, not a string",
        ),
        (
            "client_credentials",
            vec![Arg::Null, Arg::List(vec![Arg::Bool(true)])],
            "argument 'resource': expected a list of strings, not a list of other things",
        ),
        (
            "client_credentials",
            vec![
                Arg::Null,
                Arg::Null,
                Arg::Null,
                Arg::Pairs(vec![("a".to_owned(), Arg::Number(1.0))]),
            ],
            "argument 'extra': expected an object of strings or lists of strings, not an object of other things",
        ),
    ] {
        let mismatch = mismatch(name, args);
        assert_eq!(mismatch.to_string(), expected);
        assert!(!format!("{mismatch:?}").contains("S3CR3T"));
    }
}

#[test]
fn fractional_times_are_truncated_and_negative_ones_refused() {
    let read = |seconds| UnixTime::read(Arg::Number(seconds)).map(UnixTime::as_secs);
    assert_eq!(read(1_750_000_000.75).ok(), Some(1_750_000_000));
    assert_eq!(read(0.0).ok(), Some(0));
    for seconds in [-0.5, f64::NAN, f64::INFINITY, 1e300] {
        assert!(read(seconds).is_err(), "{seconds}");
    }
}

#[test]
fn argument_name_is_available_in_camel_case() {
    let mismatch = TypeMismatch {
        name: "expires_at",
        expected: "a time",
        actual: "nothing",
    };
    assert!(mismatch.to_string().starts_with("argument 'expires_at':"));
    assert!(
        mismatch
            .in_camel_case()
            .starts_with("argument 'expiresAt':")
    );
}

#[test]
fn invalid_values_are_reported_with_specific_codes() {
    let bad = code("client_credentials", vec![text("a\"b")]);
    assert!(
        bad.contains("[scope.syntax]") && bad.contains("scope"),
        "{bad}"
    );
    let two = Arg::List(vec![text("read"), text("read write")]);
    let two = code("client_credentials", vec![two]);
    assert!(two.contains("item 1 is not one scope-token"), "{two}");
    let spent = Arg::Tokens(Arc::new(Tokens::bearer("t")));
    assert!(code("refresh", vec![spent]).contains("[grant.no_refresh_token]"));
}

#[test]
fn unknown_or_browser_unsupported_operation_is_refused() {
    let beyond = u32::try_from(TABLE.len()).expect("a small number");
    for refused in [
        client().begin(beyond, Vec::new()),
        client().begin_in_browser(number("introspect"), vec![text("t")]),
    ] {
        let Err(StartError::Call(error)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(error.code(), "misuse.setup");
    }
    let offered = client().begin_in_browser(number("revoke"), vec![text("t")]);
    assert!(offered.is_ok());
}

#[test]
fn outcome_members_follow_the_record_description() {
    let mut exchange = client()
        .introspect(Introspect {
            token: Secret::from("t"),
            token_type_hint: None,
            signed_response_alg: None,
            audience: None,
        })
        .expect("an exchange");
    assert!(matches!(exchange.begin(&at()), Ok(ErasedStep::Send(_))));
    let reply = Reply {
        status: 200,
        headers: vec![("content-type".to_owned(), b"application/json".to_vec())],
        body: br#"{"active":true,"scope":"a b","exp":7,"aud":"api","more":1}"#.to_vec(),
    };
    let Ok(ErasedStep::Done(Record::Plain(name, members))) = exchange.reply(&at(), reply) else {
        panic!("a record")
    };
    let Kind::Record(description) = IntrospectionResponse::KIND else {
        panic!("a record")
    };
    assert_eq!(name, description.name);
    assert_eq!(members.len(), description.members.len());
    let member = |name: &str| {
        let at = description
            .members
            .iter()
            .position(|member| member.name == name);
        at.and_then(|at| members.get(at)).expect("a member")
    };
    assert!(matches!(member("active"), Arg::Bool(true)));
    assert!(matches!(member("scope"), Arg::Names(names) if names.as_str() == "a b"));
    assert!(matches!(member("expires_at"), Arg::Time(end) if end.as_secs() == 7));
    assert!(matches!(member("username"), Arg::Null));
    assert!(matches!(member("extra"), Arg::Json(more) if more["more"] == 1));
}

#[test]
fn refused_access_token_error_includes_the_http_response() {
    let args = vec![text("not-a-token"), text("https://api.example")];
    let mut exchange = client()
        .begin(number("verify_access_token"), args)
        .expect("an exchange");
    let error = exchange.begin(&at()).map(drop).expect_err("it is none");
    let record = crate::ErrorRecord::from(&error);
    assert_eq!(
        (record.code, record.response_status),
        ("jws.malformed", Some(401))
    );
    assert_eq!(
        record.challenge.as_deref(),
        Some(r#"Bearer error="invalid_token""#)
    );
    assert!(
        record
            .to_json(None)
            .contains(r#""response_status":401,"challenge":"Bearer "#)
    );
    let other = crate::ErrorRecord::from(&Error::from(Misuse::Setup)).to_json(None);
    assert!(!other.contains("response_status"));
}

#[test]
fn invalid_access_token_requirements_are_refused_by_name() {
    let with = |place: usize, value: Arg| {
        let mut args = vec![text("t"), text("https://api.example")];
        args.resize_with(place, || Arg::Null);
        args.push(value);
        code("verify_access_token", args)
    };
    for (place, name) in [(6, "acr_values"), (8, "algs"), (10, "dpop_algs")] {
        let error = with(place, Arg::List(vec![text("no such")]));
        assert!(
            error.contains(&format!(": {name} [form.malformed_parameter]")),
            "{error}"
        );
    }
    let mut profile = vec![text("t"), text("https://api.example")];
    profile.extend([Arg::Null, Arg::Null, text("okto")]);
    let message = mismatch("verify_access_token", profile).to_string();
    assert!(
        message.contains(r#""rfc9068" "keycloak" "entra" "auth0" "okta" "cognito""#),
        "{message}"
    );
}

#[test]
fn logout_token_verification_fetches_the_servers_keys() {
    let token = "eyJhbGciOiJSUzI1NiJ9.e30.AAAA";
    let mut exchange = client()
        .begin(
            number("verify_logout_token"),
            vec![text(token), text("caller")],
        )
        .expect("an exchange");
    match exchange.begin(&at()) {
        Ok(ErasedStep::Send(request)) => assert_eq!(request.url, "https://as.example/jwks"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn end_session_url_contains_the_return_uri_and_state() {
    let mut request = crate::EndSession {
        state: Some("s".into()),
        post_logout_redirect_uri: Some("https://rp.example/bye".to_owned()),
        ..Default::default()
    };
    let url = client().end_session_url(request.clone()).expect("a URL");
    let expected = "https://as.example/logout?client_id=id\
                  &post_logout_redirect_uri=https%3A%2F%2Frp.example%2Fbye&state=s";
    assert_eq!(url, expected);
    request.post_logout_redirect_uri = Some("http://rp.example/bye".to_owned());
    let refused = client()
        .end_session_url(request)
        .map_err(|error| error.code());
    assert_eq!(refused, Err("redirect_uri.refused"));
}

#[test]
fn operation_and_argument_names_are_unique() {
    let names: BTreeSet<_> = TABLE.iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), TABLE.len());
    for entry in TABLE {
        let fields: Vec<_> = entry.arguments.concat();
        let names: BTreeSet<_> = fields.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), fields.len(), "{}", entry.name);
        assert!(!entry.text.is_empty(), "{}", entry.name);
    }
}

#[test]
fn fingerprint_depends_on_names_shapes_and_order() {
    let field = |name, shape| FieldDoc {
        name,
        text: &[],
        shape,
        is_optional: false,
    };
    let hash = |list: &[FieldDoc]| fields(1, list);
    let (a, b) = (field("a", Shape::Text), field("b", Shape::Text));
    let others = [
        hash(&[a, b]),
        hash(&[b, a]),
        hash(&[a]),
        hash(&[field("ab", Shape::Text)]),
        hash(&[a, field("b", Shape::Secret)]),
        hash(&[a, field("b", Shape::Maybe(&Shape::Text))]),
    ];
    assert_eq!(BTreeSet::from(others).len(), others.len());
}

/// The `Accept` header of an introspection.
fn accepts(args: Vec<Arg>) -> String {
    let exchange = client().begin(number("introspect"), args);
    match exchange.expect("an exchange").begin(&at()) {
        Ok(ErasedStep::Send(request)) => {
            let mut headers = request.headers.iter();
            let accept = headers.find(|(name, _)| name == "accept");
            accept.map_or_else(String::new, |(_, value)| value.clone())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn introspection_accepts_a_signed_response_algorithm() {
    assert_eq!(accepts(vec![text("t")]), "application/json");
    let signed = vec![
        text("t"),
        Arg::Null,
        text("ES256"),
        text("https://rs.example"),
    ];
    assert_eq!(accepts(signed), "application/token-introspection+jwt");
    let unknown = code("introspect", vec![text("t"), Arg::Null, text("none")]);
    assert!(unknown.contains("[key.algorithm]"), "{unknown}");
    let plain = vec![text("t"), Arg::Null, Arg::Null, text("https://rs.example")];
    let refused = code("introspect", plain);
    assert!(refused.contains("[arguments.inconsistent]"), "{refused}");
}

fn introspecting(how: IntrospectionOptions) -> Client {
    client().introspecting(how).expect("it can ask")
}

fn verifying(client: &Client, profile: Arg, algs: Arg) -> Result<ErasedStep, StartError> {
    let args = vec![text("t"), text("https://api.example"), Arg::Null, Arg::Null];
    let rest = vec![profile, Arg::Null, Arg::Null, Arg::Null, algs];
    let mut exchange = client.begin(number("verify_access_token"), [args, rest].concat())?;
    Ok(exchange.begin(&at())?)
}

#[test]
fn introspecting_client_verifies_tokens_by_introspection() {
    let asks = introspecting(IntrospectionOptions::default());
    match verifying(&asks, Arg::Null, Arg::Null) {
        Ok(ErasedStep::Send(request)) => assert_eq!(request.url, "https://as.example/introspect"),
        other => panic!("{other:?}"),
    }
    // Settings about signatures would have no effect.
    for (profile, algs) in [
        (text("okta"), Arg::Null),
        (Arg::Null, Arg::List(vec![text("ES256")])),
        (Arg::Null, Arg::List(vec![])),
    ] {
        match verifying(&asks, profile, algs) {
            Err(StartError::Call(error)) => assert_eq!(error.code(), "arguments.inconsistent"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn introspection_cache_requires_a_maximum_age() {
    let keeps = introspecting(IntrospectionOptions {
        cache_max_age: Some(30),
        ..IntrospectionOptions::default()
    });
    let args = vec![text("t"), text("https://other.example")];
    let mut first = keeps
        .begin(number("verify_access_token"), args.clone())
        .expect("an exchange");
    let begun = first.begin(&at());
    assert!(matches!(begun, Ok(ErasedStep::Send(_))), "{begun:?}");
    let mut second = keeps
        .clone()
        .begin(number("verify_access_token"), args)
        .expect("an exchange");
    let waits = second.begin(&at());
    assert!(matches!(waits, Ok(ErasedStep::Sleep(_))), "{waits:?}");
    let ageless = IntrospectionOptions {
        cache_entries: Some(10),
        ..IntrospectionOptions::default()
    };
    let refused = client().introspecting(ageless).expect_err("no age");
    assert_eq!(refused.code(), "arguments.inconsistent");
}

#[test]
fn at_once_returns_the_result_or_an_exchange_with_its_first_step() {
    let over = ErasedExchange::ready(()).at_once(&at());
    assert!(matches!(over, Ok(ControlFlow::Break(Record::Nothing))));
    let token = "eyJhbGciOiJSUzI1NiJ9.e30.AAAA";
    let values = vec![text(""), text("https://api.example")];
    let verifier = client().verifier(values).expect("a verifier");
    let begun = || match verifier.verify(token).at_once(&at()) {
        Ok(ControlFlow::Continue(exchange)) => exchange,
        other => panic!("{other:?}"),
    };
    // The first step is returned to the driver once.
    let mut exchange = begun();
    match exchange.begin(&at()) {
        Ok(ErasedStep::Send(request)) => assert_eq!(request.url, "https://as.example/jwks"),
        other => panic!("{other:?}"),
    }
    let again = exchange.begin(&at()).expect_err("it has begun");
    assert_eq!(again.code(), "misuse.out_of_order");
    let early = begun().elapsed(&at()).expect_err("it has not begun");
    assert_eq!(early.code(), "misuse.out_of_order");
    let refused = client().verifier(vec![text(""), Arg::Null]);
    assert!(
        matches!(refused, Err(StartError::Argument(_))),
        "{refused:?}"
    );
}

#[test]
fn fingerprint_of_a_nested_record_depends_on_its_members() {
    let field = |shape| FieldDoc {
        name: "a",
        text: &[],
        shape,
        is_optional: false,
    };
    let hash = |shape| fields(1, &[field(shape)]);
    let address = hash(Shape::Record(crate::Address::DESCRIPTION));
    assert_ne!(address, hash(Shape::Record(UserClaims::DESCRIPTION)));
    assert_ne!(address, hash(Shape::Json));
}
