//! The part of group `id-jag` that only the core supports: both steps in one exchange, and their renewal.

use bytes::Bytes;
use http::Response;
use oauth_core::flow::identity_assertion::{self, IdentityAssertion, IdentityAssertionRequest};
use oauth_core::grant::{IdentitySubject, TokenRequest};
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::json::{self, Json};
use oauth_core::moment::UnixTime;
use oauth_core::quirk::{Rules, Strictness};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    Client, ClientAuth, ClientId, ClientMetadata, Error, Exchange, Input, Moment, Scope, Step,
    Tokens,
};
use oauth_crypto::DpopKey;
use serde_json::{Value, json};

use crate::expect::outcome;
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::packages::signed;

const NOW: u64 = 1_700_000_000;
const IDP: &str = "https://acme.idp.example";
const THERE: &str = "https://acme.chat.example/";

fn text(error: Error) -> Failure {
    error.to_string().into()
}

fn moment() -> Moment {
    Moment::fixed(UnixTime::from_secs(NOW), [1; 32])
}

fn client(issuer: &str, id: &str) -> Result<Client, Failure> {
    let server = Server::new(Issuer::parse(issuer).map_err(text)?);
    let token = format!("{}/token", issuer.trim_end_matches('/'));
    let server = server.with_endpoint(EndpointKind::Token, &token);
    let auth = ClientAuth::basic("s3cr3t");
    Client::new(server.map_err(text)?, ClientId::new(id), auth).map_err(text)
}

fn json_reply(status: u16, body: &Value) -> Result<Input, Failure> {
    let reply = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Bytes::from(body.to_string()));
    reply
        .map(Input::Reply)
        .map_err(|error| error.to_string().into())
}

/// Whether the metadata announce support for identity assertions.
pub(crate) fn metadata(vector: &Vector, metadata: &Value) -> Verdict {
    let issuer = Issuer::parse(THERE).map_err(text)?;
    let mut document = json!({ "issuer": THERE, "token_endpoint": format!("{THERE}token") });
    if let (Some(document), Some(more)) = (document.as_object_mut(), metadata.as_object()) {
        document.extend(more.clone());
    }
    let read = |strictness| {
        let document = document.to_string();
        let Ok(Json::Object(document)) = json::parse(&document) else {
            return Err(Failure::from("no object"));
        };
        let rules = Rules {
            strictness,
            ..Rules::default()
        };
        Ok(Server::read(&issuer, &document, rules))
    };
    let server = read(Strictness::Lenient)?.map_err(text)?;
    let advertised = if identity_assertion::is_advertised(&server) {
        "advertised"
    } else {
        "unknown"
    };
    check_equal(
        "id_jag",
        Some(advertised),
        vector.expected["id_jag"].as_str(),
    )?;
    match vector.expected.get("strict") {
        Some(strict_expectation) => {
            outcome(strict_expectation, read(Strictness::Strict)?).map(drop)
        }
        None => Ok(()),
    }
}

fn jwt(typ: Option<&str>, expires: u64, audience: &str) -> Result<String, Failure> {
    let claims =
        json!({ "iss": IDP, "sub": "u", "aud": audience, "iat": NOW - 100, "exp": expires });
    signed("rsa1", Alg::Rs256, typ, &claims)
}

/// A login at the identity provider.
fn login(id_token: &str, refresh_token: Option<&str>) -> Result<Tokens, Failure> {
    let mut exchange = client(IDP, "client1")?.client_credentials(Scope::none());
    let _ = exchange.resume(&moment(), Input::Begin).map_err(text)?;
    let body = json!({ "access_token": "a", "token_type": "Bearer", "id_token": id_token,
        "refresh_token": refresh_token });
    match exchange
        .resume(&moment(), json_reply(200, &body)?)
        .map_err(text)?
    {
        Step::Done(tokens) => Ok(tokens),
        _ => Err("no tokens".into()),
    }
}

/// Answers every request with success, except the first with `first` if given; returns the steps as the vectors
/// name them.
fn steps(
    mut exchange: impl Exchange<Output = Tokens>,
    first: Option<Value>,
) -> Result<Vec<&'static str>, Failure> {
    let (mut steps, mut input, mut first) = (Vec::new(), Input::Begin, first);
    loop {
        let request = match exchange.resume(&moment(), input) {
            Ok(Step::Send(request)) => request,
            Ok(Step::Done(_)) => return Ok(steps),
            Ok(_) => return Err("an unexpected step".into()),
            Err(error) if error.advice().as_str() == "reauthorize" => {
                steps.push("login_required");
                return Ok(steps);
            }
            Err(error) => return Err(text(error)),
        };
        let form: Vec<(String, String)> =
            serde_urlencoded::from_bytes(request.body()).unwrap_or_default();
        let grant = form.iter().find(|(name, _)| name == "grant_type");
        let grant = grant.map(|(_, value)| value.as_str()).unwrap_or_default();
        let (step, body) = if grant == "refresh_token" {
            let id_token = jwt(None, NOW + 300, "client1")?;
            let body = json!({ "access_token": "b", "token_type": "Bearer", "id_token": id_token });
            ("refresh", body)
        } else if grant.ends_with("token-exchange") {
            let assertion = jwt(Some("oauth-id-jag+jwt"), NOW + 300, THERE)?;
            let issued = "urn:ietf:params:oauth:token-type:id-jag";
            let body = json!({ "access_token": assertion, "token_type": "N_A",
                "issued_token_type": issued });
            ("exchange", body)
        } else {
            (
                "redeem",
                json!({ "access_token": "t", "token_type": "Bearer" }),
            )
        };
        steps.push(step);
        input = match first.take() {
            Some(refusal) => json_reply(400, &refusal)?,
            None => json_reply(200, &body)?,
        };
    }
}

/// Which step comes first depends on which tokens are still valid.
pub(crate) fn order(vector: &Vector) -> Verdict {
    let cases = vector.input["cases"].as_array().into_iter().flatten();
    let expected_value = vector.expected["steps"].as_array().into_iter().flatten();
    for (case, expected) in cases.zip(expected_value) {
        let expires = |name: &str| case[name].as_u64().unwrap_or(NOW - 1);
        let id_token = jwt(None, expires("id_token_expires"), "client1")?;
        let refresh_token = (case["refresh_token"] == true).then_some("r");
        let login = login(&id_token, refresh_token)?;
        let resource_client = client(THERE, "f53f191f9311af35")?;
        let access =
            client(IDP, "client1")?.identity_access(&login, &resource_client, Scope::none());
        let stored_assertion = jwt(Some("oauth-id-jag+jwt"), expires("id_jag_expires"), THERE)?;
        access.keep(IdentityAssertion::parse(stored_assertion).map_err(text)?);
        check_equal(
            "steps",
            steps(access.tokens(), None)?,
            texts(expected).iter().map(String::as_str).collect(),
        )?;
    }
    Ok(())
}

/// An assertion that the server has already seen is replaced, once.
pub(crate) fn replayed(vector: &Vector) -> Verdict {
    let login = login(&jwt(None, NOW + 300, "client1")?, None)?;
    let resource_client = client(THERE, "f53f191f9311af35")?;
    let access = client(IDP, "client1")?.identity_access(&login, &resource_client, Scope::none());
    let stored_assertion = jwt(Some("oauth-id-jag+jwt"), NOW + 300, THERE)?;
    access.keep(IdentityAssertion::parse(stored_assertion).map_err(text)?);
    let refusal = vector.input["token_responses"][0]["body"].as_str();
    let refusal: Value =
        serde_json::from_str(refusal.ok_or("no refusal")?).map_err(|error| error.to_string())?;
    let taken = steps(access.tokens(), Some(refusal))?;
    let then = texts(&vector.expected["then"]);
    let (first, after) = taken.split_first().ok_or("nothing was asked")?;
    check_equal("first", *first, "redeem")?;
    check_equal(
        "then",
        after.to_vec(),
        then.iter().map(String::as_str).collect(),
    )
}

/// The metadata registered by a client that requests and redeems identity assertions.
pub(crate) fn client_metadata(vector: &Vector) -> Verdict {
    let written = ClientMetadata::new().identity_assertions().to_json();
    let written: Value =
        serde_json::from_str(written.expose()).map_err(|error| error.to_string())?;
    let expected = &vector.expected;
    let name = "authorization_grant_profiles_supported";
    check_equal(name, &written[name], &expected[name])?;
    let grants = texts(&written["grant_types"]);
    for grant in texts(&expected["grant_types_include"]) {
        check(&grant, grants.contains(&grant))?;
    }
    Ok(())
}

/// An assertion bound to the client's own key.
pub(crate) fn bound(vector: &Vector, response_spec: &Value, audience: &str) -> Verdict {
    let key = crate::jws::keys("client_ec").to_string();
    let key = DpopKey::read(&key, Some(Alg::Es256)).and_then(|key| key.to_core());
    let client = client(IDP, "client1")?.with_dpop(key.map_err(text)?);
    let subject = IdentitySubject::RefreshToken("r".into());
    let request = IdentityAssertionRequest::new(subject, audience, Scope::none()).map_err(text)?;
    let mut exchange = client.identity_assertion(request);
    let _ = exchange.resume(&moment(), Input::Begin).map_err(text)?;
    let body: Value = serde_json::from_str(response_spec["body"].as_str().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    let got = exchange.resume(&moment(), json_reply(200, &body)?);
    let done = outcome(&vector.expected, got)?;
    check("done", matches!(done, Some(Step::Done(_))))
}

/// For an API that names its authorization server, the assertion's audience is that server, never the API.
pub(crate) fn requests_resource(vector: &Vector) -> Verdict {
    let metadata = &vector.input["resource_metadata"];
    let resource = metadata["resource"].as_str().ok_or("no resource")?;
    let issuer = metadata["authorization_servers"][0]
        .as_str()
        .ok_or("no server")?;
    let scope = Scope::parse(vector.required_text("scope")?).map_err(text)?;
    let login = login(&jwt(None, NOW + 300, "client1")?, None)?;
    let resource_client = client(issuer, "f53f191f9311af35")?;
    let token_request = TokenRequest::from(scope).resource(resource).map_err(text)?;
    let access = client(IDP, "client1")?.identity_access(&login, &resource_client, token_request);
    let form = first(access.tokens())?;
    for (name, expected_value) in vector.expected.as_object().into_iter().flatten() {
        let found = form.iter().find(|(key, _)| key == name);
        check_equal(
            name,
            found.map(|(_, value)| value.as_str()),
            expected_value.as_str(),
        )?;
    }
    Ok(())
}

/// The request to the other server by a client that is known only by its metadata document.
pub(crate) fn redeemed_by_document(vector: &Vector) -> Verdict {
    let id = ClientId::new(vector.required_text("client_id_metadata_document")?);
    let server = client(THERE, "x")?.server().clone();
    let resource_client = Client::new(server, id, ClientAuth::none()).map_err(text)?;
    let assertion = jwt(Some("oauth-id-jag+jwt"), NOW + 300, THERE)?;
    let assertion = IdentityAssertion::parse(assertion).map_err(text)?;
    let form = first(resource_client.redeem_identity_assertion(assertion, Scope::none()))?;
    for pair in vector.expected["params_have"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let [name, value] = texts(pair).try_into().map_err(|_| "no pair")?;
        check(&name, form.contains(&(name.clone(), value)))?;
    }
    Ok(())
}

/// The form of the first request.
fn first(mut exchange: impl Exchange<Output = Tokens>) -> Result<Vec<(String, String)>, Failure> {
    match exchange.resume(&moment(), Input::Begin).map_err(text)? {
        Step::Send(request) => Ok(serde_urlencoded::from_bytes(request.body()).unwrap_or_default()),
        _ => Err("no request".into()),
    }
}
