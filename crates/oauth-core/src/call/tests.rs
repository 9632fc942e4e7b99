#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

mod redaction;

use crate::http::{Method, Request, header::CONTENT_TYPE};

use super::*;
use crate::client::Client;
use crate::client_auth::{Certificate, ClientAuth, SignedSecret};
use crate::client_config::ClientId;
use crate::endpoint::metadata::Metadata;
use crate::endpoint::{Auth, Body, EndpointRequest};
use crate::error::{Cause, Error};
use crate::exchange::ExchangeExt as _;
use crate::form::Form;
use crate::grant::Grant;
use crate::issuer::Issuer;
use crate::quirk::Quirk;
use crate::scope::Scope;
use crate::server::Server;
use crate::testing::{at, client, client_with_quirks, error_code, json, run_with_reply, server};
use crate::url::Url;

const GOOD: &str = r#"{"access_token":"a","token_type":"Bearer"}"#;

/// A caller-defined endpoint.
struct Own(&'static str);

impl Endpoint for Own {
    const NAME: &'static str = "own";
    type Output = ();

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        let mut form = Form::new();
        form.push("a", "1");
        Ok(EndpointRequest::post(Url::parse(self.0)?, "own", form))
    }

    fn read(&self, _: &Context<'_>, _: Reply<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// A grant with a duplicate parameter.
struct Twice;

impl Grant for Twice {
    fn grant_type(&self) -> &str {
        "urn:example:twice"
    }

    fn purpose(&self) -> &'static str {
        "twice"
    }

    fn fill(&self, _: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        form.push("scope", "a");
        form.push("scope", "b");
        Ok(())
    }
}

fn signing() -> Client {
    let auth = ClientAuth::signed_secret(SignedSecret::apple("team", "key"));
    Client::new(server(), ClientId::new("id"), auth).unwrap()
}

fn sent_request(step: Step<impl Sized>) -> Request<Bytes> {
    match step {
        Step::Send(request) => request,
        step => panic!("{step:?}"),
    }
}

#[test]
fn custom_endpoint_over_plain_http_is_refused() {
    let begin = |url| {
        let mut exchange = client().call(Own(url));
        error_code(exchange.resume(&at(), Input::Begin)).map(drop)
    };
    assert_eq!(begin("https://own.example/"), Ok(()));
    assert_eq!(begin("http://own.example/"), Err("url.insecure"));
    assert_eq!(begin("http://127.0.0.1/"), Err("url.insecure"));
}

#[test]
fn duplicate_form_parameter_is_refused() {
    let mut exchange = client().token(Twice, Scope::none());
    assert_eq!(
        error_code(exchange.resume(&at(), Input::Begin)).map(drop),
        Err("form.duplicate_parameter")
    );
    let mut exchange = signing().token(Twice, Scope::none());
    assert_eq!(
        error_code(exchange.resume(&at(), Input::Begin)).map(drop),
        Err("form.duplicate_parameter")
    );
}

#[test]
fn no_signature_is_requested_for_an_unauthenticated_or_unbuildable_request() {
    let issuer = Issuer::parse("https://as.example").unwrap();
    let metadata_url = issuer.well_known_urls().remove(0);
    let mut exchange = signing().call(Metadata::new(issuer, metadata_url));
    let request = sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    assert_eq!((request.method(), request.body().len()), (&Method::GET, 0));
    let mut exchange = signing().call(Own("http://own.example/"));
    assert_eq!(
        error_code(exchange.resume(&at(), Input::Begin)).map(drop),
        Err("url.insecure")
    );
    let nowhere = Server::new(Issuer::parse("https://as.example").unwrap());
    let auth = ClientAuth::signed_secret(SignedSecret::apple("team", "key"));
    let lost = Client::new(nowhere, ClientId::new("id"), auth).unwrap();
    let mut exchange = lost.client_credentials(Scope::none());
    assert_eq!(
        error_code(exchange.resume(&at(), Input::Begin)).map(drop),
        Err("endpoint.missing")
    );
}

#[test]
fn client_secret_signature_must_be_64_bytes() {
    for (length, outcome) in [
        (64, Ok(())),
        (0, Err("client_auth.signature_length")),
        (63, Err("client_auth.signature_length")),
        (65, Err("client_auth.signature_length")),
        (70, Err("client_auth.signature_length")),
    ] {
        let mut exchange = signing().client_credentials(Scope::none());
        let Ok(Step::Sign(job)) = exchange.resume(&at(), Input::Begin) else {
            panic!("a signature")
        };
        assert_eq!((job.alg, job.key_id.as_str()), ("ES256", "key"));
        let signed = exchange.resume(&at(), Input::Signed(vec![1; length].into()));
        assert_eq!(error_code(signed).map(drop), outcome, "{length}");
    }
}

#[test]
fn json_request_quirk_applies_to_the_token_endpoint_only() {
    let media = |request: &Request<Bytes>| {
        let field = request.headers().get(CONTENT_TYPE);
        field.and_then(|field| field.to_str().ok().map(str::to_owned))
    };
    let form = Some("application/x-www-form-urlencoded".to_owned());
    let quirky = || client_with_quirks([Quirk::JsonRequest]);
    let mut exchange = quirky().client_credentials(Scope::none());
    let request = sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    assert_eq!(media(&request), Some("application/json".to_owned()));
    assert_eq!(request.body(), r#"{"grant_type":"client_credentials"}"#);
    let mut exchange = quirky().call(Own("https://own.example/"));
    let request = sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    assert_eq!(
        (media(&request), &request.body()[..]),
        (form.clone(), &b"a=1"[..])
    );
    let mut exchange = client().client_credentials(Scope::none());
    let request = sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    assert_eq!(media(&request), form);
}

#[test]
fn chained_call_starts_after_the_first_and_receives_its_result() {
    let again = client();
    let first = client().client_credentials(Scope::none());
    let mut exchange = first
        .then(move |_, tokens| {
            assert_eq!(tokens.access_token.expose(), "a");
            Ok(again.client_credentials(Scope::parse("second")?))
        })
        .and_then(|_, tokens| Ok(tokens.access_token.expose().clone()))
        .boxed();
    let request = sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    assert!(!String::from_utf8_lossy(request.body()).contains("second"));
    let second = exchange
        .resume(&at(), Input::Reply(json(200, GOOD)))
        .unwrap();
    assert!(String::from_utf8_lossy(sent_request(second).body()).contains("scope=second"));
    let end = json(200, &GOOD.replace(r#""a""#, r#""b""#));
    let Ok(Step::Done(token)) = exchange.resume(&at(), Input::Reply(end)) else {
        panic!("tokens")
    };
    assert_eq!(token, "b");
    let after_end = exchange.resume(&at(), Input::Begin);
    assert_eq!(
        error_code(after_end).map(drop),
        Err("misuse.already_finished")
    );
}

#[test]
fn chained_call_that_needs_a_signature_resumes_to_completion() {
    let again = signing();
    let first = client().client_credentials(Scope::none());
    let mut exchange = first.then(move |_, _| Ok(again.client_credentials(Scope::none())));
    let _ = sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    let second = exchange
        .resume(&at(), Input::Reply(json(200, GOOD)))
        .unwrap();
    assert!(matches!(second, Step::Sign(_)), "{second:?}");
    let signature = Input::Signed(vec![1; 64].into());
    let _ = sent_request(exchange.resume(&at(), signature).unwrap());
    let done = exchange.resume(&at(), Input::Reply(json(200, GOOD)));
    assert!(matches!(done, Ok(Step::Done(_))), "{done:?}");
}

#[test]
fn out_of_order_input_fails_and_ends_the_call() {
    let mut exchange = client().client_credentials(Scope::none());
    let early = exchange.resume(&at(), Input::Reply(json(200, GOOD)));
    assert_eq!(error_code(early).map(drop), Err("misuse.out_of_order"));
    let after_end = exchange.resume(&at(), Input::Begin);
    assert_eq!(
        error_code(after_end).map(drop),
        Err("misuse.already_finished")
    );
}

#[test]
fn empty_padded_or_control_character_client_ids_are_refused() {
    let new = |id: &str| {
        let client = Client::new(server(), ClientId::new(id), ClientAuth::none());
        error_code(client).map(drop)
    };
    for valid in ["id", "my id", "https://app.example/client.json", "a:b"] {
        assert_eq!(new(valid), Ok(()), "{valid:?}");
    }
    for bad in ["", " ", "id ", "id\n", "\u{feff}id", "i\u{7}d"] {
        assert_eq!(new(bad), Err("client_auth.client_id"), "{bad:?}");
    }
}

#[test]
fn check_owner_accepts_own_tokens_and_refuses_another_clients() {
    let tokens =
        run_with_reply(client().client_credentials(Scope::none()), json(200, GOOD)).unwrap();
    assert_eq!(error_code(client().check_owner(&tokens)), Ok(()));
    let other = Client::new(server(), ClientId::new("other"), ClientAuth::none()).unwrap();
    assert_eq!(error_code(other.check_owner(&tokens)), Err("stored.issuer"));
}

#[test]
fn secret_echoed_in_any_escaping_is_redacted_from_the_error() {
    let secret = "a&b<c>d\"e'f+g%h/\u{e4}";
    let auth = ClientAuth::basic(secret);
    let client = Client::new(server(), ClientId::new("id"), auth).unwrap();
    for written in [
        secret,
        // HTML (with names, decimal and hexadecimal)
        "a&amp;b&lt;c&gt;d&quot;e&#39;f+g%h/\u{e4}",
        "a&#38;b&#x3C;c&#x3e;d&#34;e&apos;f&#43;g%h&#x2F;\u{e4}",
        // Form encoders that escape different characters with different digit case; decoded, encoded, encoded twice
        "a%26b%3Cc%3Ed%22e%27f%2Bg%25h%2F%C3%A4",
        "a%26b%3cc%3ed%22e'f%2bg%25h/%c3%a4",
        "a%26b%3Cc%3Ed%22e%27f%20g%25h%2F%C3%A4",
        "a%2526b%253Cc%253Ed%2522e%2527f%252Bg%2525h%252F%25C3%25A4",
        // JSON
        "a\\u0026b\\u003cc\\u003Ed\\\"e\\u0027f+g%h\\/\u{e4}",
    ] {
        let body = serde_json::json!({"error":"x","error_description":format!("got {written}.")});
        let exchange = client.client_credentials(Scope::none());
        let error = run_with_reply(exchange, json(400, &body.to_string())).unwrap_err();
        let server_error = error.server_error().and_then(|said| said.description());
        assert_eq!(server_error, Some("got [redacted]."), "{written}");
    }
    // A truncated long secret, and a text that repeats it.
    let long = format!("{}b", "a".repeat(30_000));
    let auth = ClientAuth::basic(long.clone());
    let of_long = Client::new(server(), ClientId::new("id"), auth).unwrap();
    for written in ["a".repeat(70), long, "a".repeat(400_000)] {
        let body = serde_json::json!({"error":"x","error_description":format!("\u{e4}{written}")});
        let exchange = of_long.client_credentials(Scope::none());
        let error = run_with_reply(exchange, json(400, &body.to_string())).unwrap_err();
        let server_error = error.server_error().and_then(|said| said.description());
        assert!(!server_error.unwrap().contains("aaa"), "{server_error:?}");
    }
    // Adjacent text is preserved, and text that only begins like the secret is shown.
    let body = serde_json::json!({"error":"x","error_description":"a%26b \u{e4} 100% a&b<c>d"});
    let exchange = client.client_credentials(Scope::none());
    let error = run_with_reply(exchange, json(400, &body.to_string())).unwrap_err();
    let server_error = error.server_error().and_then(|said| said.description());
    assert_eq!(server_error, Some("a%26b \u{e4} 100% a&b<c>d"));
}

/// An endpoint that builds its own request.
struct Sends(EndpointRequest);

impl Endpoint for Sends {
    const NAME: &'static str = "sends";
    type Output = ();

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        Ok(self.0.clone())
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<(), Error> {
        let object = reply.object()?;
        let is_good = object.get("good").is_some();
        is_good.then_some(()).ok_or_else(|| reply.malformed("good"))
    }
}

fn public() -> Client {
    Client::new(server(), ClientId::new("id"), ClientAuth::none()).unwrap()
}

#[test]
fn custom_endpoint_can_use_any_method_body_and_client_auth() {
    let url = Url::parse("https://as.example/register/1").unwrap();
    let text = r#"{"client_name":"x"}"#;
    let put = EndpointRequest::new(Method::PUT, &url).body(Body::Json(text.into()));
    let mut exchange = client().call(Sends(put));
    let request = sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    assert_eq!(
        (request.method(), request.body().as_ref()),
        (&Method::PUT, text.as_bytes())
    );
    assert_eq!(
        request.headers().get(CONTENT_TYPE).unwrap(),
        "application/json"
    );
    assert!(!request.headers().contains_key("authorization"));
    let get = EndpointRequest::get(&url).accept("application/jwt");
    let mut exchange = client().call(Sends(get.auth(Auth::Client { purpose: "sends" })));
    let request = sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    assert_eq!(request.headers().get("accept").unwrap(), "application/jwt");
    assert!(
        request.headers().contains_key("authorization"),
        "Basic needs no form"
    );
    assert!(!request.headers().contains_key(CONTENT_TYPE));
    let delete = EndpointRequest::new(Method::DELETE, &url).auth(Auth::Client { purpose: "sends" });
    let mut exchange = public().call(Sends(delete));
    assert_eq!(
        error_code(exchange.resume(&at(), Input::Begin)).map(drop),
        Err("client_auth.needs_form")
    );
}

#[test]
fn custom_endpoint_reply_is_parsed_and_errors_are_mapped() {
    let read = |status, body| {
        let request = EndpointRequest::get(Url::parse("https://as.example/own").unwrap());
        error_code(run_with_reply(
            client().call(Sends(request)),
            json(status, body),
        ))
    };
    assert_eq!(read(200, r#"{"good":1}"#), Ok(()));
    assert_eq!(read(200, "{}"), Err("reply.shape"));
    assert_eq!(read(200, "[]"), Err("reply.shape"));
    assert_eq!(
        read(200, r#"{"error":"invalid_token"}"#),
        Err("denied.invalid_token")
    );
    assert_eq!(read(404, "{}"), Err("denied.http_status"));
    assert_eq!(read(302, ""), Err("reply.redirect"));
}

#[test]
fn tls_client_uses_mtls_aliases_and_sends_only_its_client_id() {
    let document = r#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token",
        "revocation_endpoint":"https://as.example/revoke",
        "mtls_endpoint_aliases":{"token_endpoint":"https://mtls.as.example/token"}}"#;
    let Ok(crate::json::Json::Object(document)) = crate::json::parse(document) else {
        panic!("an object")
    };
    let issuer = Issuer::parse("https://as.example").unwrap();
    let server = Server::read(&issuer, &document, crate::quirk::Rules::default()).unwrap();
    let client_with = |auth| Client::new(server.clone(), ClientId::new("id"), auth).unwrap();
    let begin = |client: Client| {
        let mut exchange = client.client_credentials(Scope::none());
        sent_request(exchange.resume(&at(), Input::Begin).unwrap())
    };
    let request = begin(client_with(ClientAuth::tls(Certificate::Pki)));
    assert_eq!(request.uri(), "https://mtls.as.example/token");
    assert_eq!(request.body(), "grant_type=client_credentials&client_id=id");
    assert!(!request.headers().contains_key("authorization"));
    let request = begin(client_with(ClientAuth::basic("secret")));
    assert_eq!(request.uri(), "https://as.example/token");
    let mut exchange = client_with(ClientAuth::tls(Certificate::Pki))
        .revoke(crate::endpoint::revocation::Revocation::new("t"));
    let request = sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    assert_eq!(
        request.uri(),
        "https://as.example/revoke",
        "no alias, no other place"
    );
}

#[test]
fn debug_of_a_call_shows_no_secret_in_any_state() {
    let post = Client::new(server(), ClientId::new("id"), ClientAuth::post("hunter22")).unwrap();
    let grant = crate::grant::Extension::new("urn:example:g").unwrap();
    let grant = grant.parameter("assertion", "s3cr3t").unwrap();
    let token =
        crate::endpoint::token::TokenEndpoint::new(grant, crate::grant::TokenRequest::new());
    let mut call = post.call(token);
    let text = |call: &dyn std::fmt::Debug| format!("{call:?} {call:#?}");
    let mut shown = vec![text(&call)];
    let _ = sent_request(call.resume(&at(), Input::Begin).unwrap());
    shown.push(text(&call));
    for text in shown {
        assert!(
            !text.contains("hunter22") && !text.contains("s3cr3t"),
            "{text}"
        );
    }
}

#[test]
fn lost_request_error_shows_the_url_without_its_query() {
    let mut exchange = client().call(Own("https://own.example:8443/path?state=S3CR3T"));
    sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    let lost = Input::Lost(Cause::unknown("reset"));
    let error = exchange.resume(&at(), lost).unwrap_err().to_string();
    let text = "own: POST https://own.example:8443/path: no reply arrived: reset [lost]";
    assert_eq!(error, text);
}
