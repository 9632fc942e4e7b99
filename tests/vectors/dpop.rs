//! Groups about DPoP proofs and their nonces: `dpop`, `dpop-nonce-sequence`. The client creates the proofs, which
//! are checked as sent.

mod token_type;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use oauth_core::dpop::DpopKey;
use oauth_core::flow::redeem::Login;
use oauth_core::flow::resource::{Api, Clock, Event, Resource, ResourceRequest, Step as CallStep};
use oauth_core::grant::{ClientCredentials, TokenRequest};
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::moment::UnixTime;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::url::{Url, without_fragment};
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Exchange, Input, Moment, Step,
    Tokens,
};
use serde_json::{Value, json};

use crate::expect;
use crate::format::{Failure, Vector, Verdict, check, check_equal, names};

const AS: &str = "https://as.example";
const RS: &str = "https://rs.example";

pub(crate) fn text(error: Error) -> String {
    error.to_string()
}

pub(crate) fn moment(step: u8) -> Moment {
    Moment::fixed(UnixTime::from_secs(1_700_000_000), [step; 32])
}

pub(crate) fn clock(step: u8) -> Clock {
    Clock {
        moment: moment(step),
        elapsed: Duration::from_secs(u64::from(step)),
    }
}

fn key(alg: Alg) -> Result<DpopKey, Error> {
    oauth_crypto::DpopKey::generate(alg)?.to_core()
}

fn server(metadata: &Value) -> Result<Server, Error> {
    let server = Server::new(Issuer::parse(AS)?)
        .with_endpoint(EndpointKind::Token, "https://as.example/token")?
        .with_endpoint(EndpointKind::Authorization, "https://as.example/authorize")?;
    Ok(match metadata.as_object() {
        Some(metadata) => server.with_metadata(metadata.clone()),
        None => server,
    })
}

fn client(auth: ClientAuth) -> Result<Client, Error> {
    let client = Client::new(server(&Value::Null)?, ClientId::new("id"), auth)?;
    Ok(client.with_dpop(key(Alg::Es256)?))
}

pub(crate) fn bound() -> Result<Client, Error> {
    client(ClientAuth::basic("hunter22"))
}

/// A token bound to this client's key.
pub(crate) fn token(client: &Client, access_token: &str) -> Result<Tokens, String> {
    let response_body = json!({ "access_token": access_token, "token_type": "DPoP" });
    let mut exchange = client.token(ClientCredentials, TokenRequest::new());
    let _ = exchange.resume(&moment(250), Input::Begin);
    match exchange.resume(&moment(250), reply(200, &[], &response_body.to_string())) {
        Ok(Step::Done(tokens)) => Ok(tokens),
        Ok(step) => Err(format!("{step:?}")),
        Err(error) => Err(text(error)),
    }
}

pub(crate) fn reply(status: u16, headers: &[(String, String)], body: &str) -> Input {
    let mut reply = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let json = ("content-type".to_owned(), "application/json".to_owned());
    let all = headers.iter().chain([&json]);
    *reply.headers_mut() = fields(all);
    Input::Reply(reply)
}

pub(crate) fn fields<'a>(all: impl Iterator<Item = &'a (String, String)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        let name = HeaderName::from_bytes(name.as_bytes());
        // A value that is not valid in a header can never be received.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    }
    headers
}

/// The header and the claims of a proof.
pub(crate) fn opened(proof: Option<&HeaderValue>) -> Result<(Value, Value), String> {
    let text = proof
        .and_then(|value| value.to_str().ok())
        .ok_or("no proof")?;
    let part = |at: usize| -> Result<Value, String> {
        let part = text.split('.').nth(at).unwrap_or_default();
        let bytes = URL_SAFE_NO_PAD
            .decode(part)
            .map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    };
    Ok((part(0)?, part(1)?))
}

fn token_request(client: &Client) -> Result<Request<Bytes>, Error> {
    let mut exchange = client.token(ClientCredentials, TokenRequest::new());
    match exchange.resume(&moment(1), Input::Begin)? {
        Step::Send(request) => Ok(request),
        step => unreachable!("{step:?}"),
    }
}

/// The URL, token and proof of a request to an API.
fn api_request(
    client: &Client,
    method: &str,
    url: &str,
    access_token: &str,
) -> Result<(Url, HeaderValue, Option<HeaderValue>), Failure> {
    let tokens = token(client, access_token)?;
    let origin = Url::parse(without_fragment(url)).map_err(text)?.origin();
    let api = Api::new(Resource::new([origin.as_str()]).map_err(text)?);
    let api = api.with_dpop(client).map_err(text)?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
    let mut request = ResourceRequest::new(&api, method, url);
    request.resume(&clock(1), Event::Begin).map_err(text)?;
    match request.resume(&clock(1), Event::Token(&tokens)) {
        Ok(CallStep::Send {
            url,
            authorization: Some(authorization),
            dpop,
        }) => Ok((url, authorization, dpop)),
        Ok(step) => Err(format!("{step:?}").into()),
        Err(error) => Err(text(error).into()),
    }
}

pub(crate) fn dpop(vector: &Vector) -> Verdict {
    let (input, expected) = (&vector.input, &vector.expected);
    if let Some(proof) = vector.text("proof") {
        return published(vector, proof);
    }
    if let Some(url) = vector.text("request_url") {
        return htu(vector, url);
    }
    if let Some(method) = vector.text("method") {
        let client = bound().map_err(text)?;
        // HTTP clients write the standard methods in capitals.
        let upper = method.to_ascii_uppercase();
        let method = match upper.as_str() {
            "DELETE" | "GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" => &upper,
            _ => method,
        };
        let (.., proof) = api_request(&client, method, "https://rs.example/x", "a")?;
        let (_, claims) = opened(proof.as_ref())?;
        return check_equal("htm", claims["htm"].as_str(), expected["htm"].as_str());
    }
    if let Some(jwk) = input.get("jwk") {
        let public = PublicJwk::parse(&jwk.to_string()).map_err(text)?;
        return jkt(vector, public);
    }
    if let Some(nonce) = input.get("DPoP-Nonce").and_then(Value::as_str) {
        return nonce_syntax(vector, nonce);
    }
    if let Some(challenge) = vector.text("challenge") {
        return challenged(vector, challenge);
    }
    if input.get("metadata").is_some() {
        return by_metadata(vector);
    }
    if input.get("sent_dpop_proof").is_some() {
        return token_type::judge(vector);
    }
    if input.get("refresh_token_bound_to").is_some() {
        return refresh(vector);
    }
    if input.get("header").is_some() {
        return no_proxy();
    }
    if let Some(alg) = vector.text("alg") {
        let Some(alg) = Alg::from_name(alg) else {
            // An algorithm without a name here, such as `none`, cannot be used for signing.
            return check_equal(
                "class",
                expected["error"].as_str(),
                Some("dpop_alg_not_asymmetric"),
            );
        };
        let made = oauth_crypto::DpopKey::generate(alg).map(drop);
        return expect::outcome(expected, made).map(drop);
    }
    let client = bound().map_err(text)?;
    if vector.text("build").is_none() {
        let token = vector.required_text("access_token")?;
        let (.., proof) = api_request(&client, "GET", "https://rs.example/x", token)?;
        let (_, claims) = opened(proof.as_ref())?;
        return check_equal("ath", claims["ath"].as_str(), expected["ath"].as_str());
    }
    required(vector, &client)
}

/// A proof printed in RFC 9449: its signature verifies, and ours have the same form.
fn published(vector: &Vector, proof: &str) -> Verdict {
    let (header, claims) = opened(HeaderValue::from_str(proof).ok().as_ref())?;
    let jwk = header["jwk"].to_string();
    let public = PublicJwk::parse(&jwk).map_err(text)?;
    let (input, signature) = proof.rsplit_once('.').ok_or("no signature")?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|error| error.to_string())?;
    let job = oauth_core::exchange::VerificationJob::Signature {
        alg: "ES256",
        key: oauth_core::exchange::VerificationKey::Public(public.clone().into()),
        signing_input: Bytes::copy_from_slice(input.as_bytes()),
        signature: signature.into(),
    };
    let expected = &vector.expected;
    check_equal(
        "signature",
        Some(oauth_crypto::verify(&job)),
        expected["signature_valid"].as_bool(),
    )?;
    check_equal("header", &header, &expected["header"])?;
    check_equal("claims", &claims, &expected["claims"])?;
    check_equal(
        "jkt",
        Some(public.thumbprint()).as_deref(),
        expected["jkt"].as_str(),
    )?;
    // Our proof for the same request has the same members.
    let client = bound().map_err(text)?;
    let (our_header, our_claims) = match claims.get("ath") {
        Some(_) => {
            let (.., proof) = api_request(&client, "GET", "https://rs.example/x", "a")?;
            opened(proof.as_ref())?
        }
        None => opened(token_request(&client).map_err(text)?.headers().get("dpop"))?,
    };
    check_equal("members", names(&our_header), names(&header))?;
    check_equal("claims", names(&our_claims), names(&claims))
}

fn htu(vector: &Vector, url: &str) -> Verdict {
    let origin = Url::parse(without_fragment(url)).map(|url| url.origin());
    if let Err(error) = origin.and_then(|origin| Resource::new([origin.as_str()])) {
        return if vector.expected["htu"].is_string() && error.code() == "url.syntax" {
            parsed(vector)
        } else {
            expect::outcome::<()>(&vector.expected, Err(error)).map(drop)
        };
    }
    let client = bound().map_err(text)?;
    let (.., proof) = api_request(&client, "GET", url, "a")?;
    let (_, claims) = opened(proof.as_ref())?;
    check_equal(
        "htu",
        claims["htu"].as_str(),
        vector.expected["htu"].as_str(),
    )
}

/// A URL that parsers read differently is refused as ambiguous. The host has to write it as it is sent, and the
/// proof is for that form.
fn parsed(vector: &Vector) -> Verdict {
    // The normalized URL is the expected one.
    let expected_value = vector.expected["htu"].as_str().ok_or("no htu")?;
    let client = bound().map_err(text)?;
    let (.., proof) = api_request(&client, "GET", expected_value, "a")?;
    let (_, claims) = opened(proof.as_ref())?;
    check_equal("htu", claims["htu"].as_str(), Some(expected_value))
}

fn jkt(vector: &Vector, public: PublicJwk) -> Verdict {
    // The private key is unknown; the thumbprint is computed from the public key.
    let signing = oauth_core::crypto::SigningKey::host("k", Alg::Rs256);
    let key = DpopKey::new(signing, public).map_err(text)?;
    let client = Client::new(
        server(&Value::Null).map_err(text)?,
        ClientId::new("id"),
        ClientAuth::none(),
    );
    let client = client.map_err(text)?.with_dpop(key);
    let redirect_uri = RedirectUri::parse("https://app.example/cb").map_err(text)?;
    let (url, _) = client
        .authorize(&moment(1), AuthorizationRequest::new(redirect_uri))
        .map_err(text)?;
    let expected_value = vector.expected["dpop_jkt"].as_str().ok_or("no dpop_jkt")?;
    check(
        "dpop_jkt",
        url.as_str().contains(&format!("dpop_jkt={expected_value}")),
    )
}

/// A valid nonce is sent in the next proof; an invalid one is not.
fn nonce_syntax(vector: &Vector, nonce: &str) -> Verdict {
    let client = bound().map_err(text)?;
    let mut exchange = client.token(ClientCredentials, TokenRequest::new());
    let _ = exchange.resume(&moment(1), Input::Begin).map_err(text)?;
    let response_body = json!({ "access_token": "t", "token_type": "DPoP" }).to_string();
    let header = ("dpop-nonce".to_owned(), nonce.to_owned());
    let _ = exchange
        .resume(&moment(2), reply(200, &[header], &response_body))
        .map_err(text)?;
    let next = token_request(&client).map_err(text)?;
    let (_, claims) = opened(next.headers().get("dpop"))?;
    let stored = claims["nonce"].as_str() == Some(nonce);
    check_equal("stored", Some(stored), vector.expected["stored"].as_bool())
}

fn challenged(vector: &Vector, challenge: &str) -> Verdict {
    let alg = Alg::from_name(vector.required_text("key_alg")?).ok_or("no such algorithm")?;
    let client = Client::new(
        server(&Value::Null).map_err(text)?,
        ClientId::new("id"),
        ClientAuth::basic("hunter22"),
    );
    let client = client.map_err(text)?.with_dpop(key(alg).map_err(text)?);
    let tokens = token(&client, "a")?;
    let api = Api::new(Resource::new([RS]).map_err(text)?);
    let api = api.with_dpop(&client).map_err(text)?;
    let mut request = ResourceRequest::new(&api, Method::GET, "https://rs.example/x");
    request.resume(&clock(1), Event::Begin).map_err(text)?;
    request
        .resume(&clock(1), Event::Token(&tokens))
        .map_err(text)?;
    let field = format!("{challenge}, error=\"use_dpop_nonce\"");
    let headers = [
        ("www-authenticate".to_owned(), field),
        ("dpop-nonce".to_owned(), "n".to_owned()),
    ];
    let headers = fields(headers.iter());
    let outcome = request.resume(&clock(2), Event::Reply(StatusCode::UNAUTHORIZED, &headers));
    expect::outcome(&vector.expected, outcome.map(drop)).map(drop)
}

fn by_metadata(vector: &Vector) -> Verdict {
    let alg = match vector.required_text("key_alg")? {
        "EdDSA" => Alg::EdDsa,
        other => Alg::from_name(other).ok_or("no such algorithm")?,
    };
    let server = server(&vector.input["metadata"]).map_err(text)?;
    let client = Client::new(server, ClientId::new("id"), ClientAuth::basic("hunter22"));
    let client = client.map_err(text)?.with_dpop(key(alg).map_err(text)?);
    expect::outcome(&vector.expected, token_request(&client).map(drop)).map(drop)
}

fn refresh(vector: &Vector) -> Verdict {
    let public = client(ClientAuth::none()).map_err(text)?;
    let login = login(&public)?;
    let refresh = login.tokens.refresh_token.ok_or("no refresh token")?;
    let mut exchange = public.refresh(&refresh);
    let Step::Send(request) = exchange.resume(&moment(3), Input::Begin).map_err(text)? else {
        return Err("nothing is sent".into());
    };
    let (header, _) = opened(request.headers().get("dpop"))?;
    let ours = public.dpop_key().ok_or("no key")?.public_jwk().to_value();
    check_equal("the key", &header["jwk"], &ours)?;
    let other = public.with_dpop(key(Alg::Es256).map_err(text)?);
    let refused = other.refresh(&refresh).resume(&moment(4), Input::Begin);
    expect::outcome(&vector.expected["with_other_key"], refused.map(drop)).map(drop)
}

fn login(client: &Client) -> Result<Login, Failure> {
    let redirect_uri = RedirectUri::parse("https://app.example/cb").map_err(text)?;
    let (_, pending) = client
        .authorize(&moment(1), AuthorizationRequest::new(redirect_uri))
        .map_err(text)?;
    let callback = format!(
        "https://app.example/cb?code=c&state={}",
        pending.state().expose()
    );
    let mut exchange = client.redeem(pending, &callback).map_err(text)?;
    let _ = exchange.resume(&moment(2), Input::Begin).map_err(text)?;
    let response_body = json!({ "access_token": "t", "token_type": "DPoP", "refresh_token": "r" });
    match exchange.resume(&moment(2), reply(200, &[], &response_body.to_string())) {
        Ok(Step::Done(login)) => Ok(login),
        Ok(step) => Err(format!("{step:?}").into()),
        Err(error) => Err(text(error).into()),
    }
}

/// Tokens are sent in `Authorization`, never in `Proxy-Authorization`.
fn no_proxy() -> Verdict {
    let client = bound().map_err(text)?;
    let (_, authorization, _) = api_request(&client, "GET", "https://rs.example/x", "a")?;
    check("authorization", authorization == "DPoP a")?;
    let refused = client
        .with_header("Proxy-Authorization", "DPoP a")
        .map(drop);
    check("never sent", refused.is_err())
}

fn required(vector: &Vector, client: &Client) -> Verdict {
    let expected = &vector.expected;
    let (proof, authorization) = match vector.text("access_token") {
        Some(token) => {
            let (_, authorization, proof) =
                api_request(client, "GET", "https://rs.example/x", token)?;
            (proof, Some(authorization))
        }
        None => {
            let request = token_request(client).map_err(text)?;
            let mut all = request.headers().get_all("dpop").iter().cloned();
            let proof = all.next();
            check("one proof", all.next().is_none())?;
            (proof, None)
        }
    };
    let (header, claims) = opened(proof.as_ref())?;
    for name in crate::format::texts(&expected["claims_required"]) {
        check(&name, claims.get(&name).is_some())?;
    }
    for name in crate::format::texts(&expected["claims_forbidden"]) {
        check(&name, claims.get(&name).is_none())?;
    }
    if let Some(members) = expected["header_members_exact"].as_array() {
        let mut names: Vec<_> = header
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| Value::from(name.as_str()))
            .collect();
        let mut expected_members = members.clone();
        names.sort_by_key(Value::to_string);
        expected_members.sort_by_key(Value::to_string);
        check_equal("members", names, expected_members)?;
        check_equal("typ", header["typ"].as_str(), expected["typ"].as_str())?;
        check("public", header["jwk"].get("d").is_none())?;
        let jti = claims["jti"].as_str().unwrap_or_default();
        let bits = URL_SAFE_NO_PAD
            .decode(jti)
            .map_or(0, |bytes| bytes.len() * 8);
        let least = expected["jti_entropy_bits_min"]
            .as_u64()
            .unwrap_or_default();
        check("jti", bits as u64 >= least)?;
    }
    if let Some(ath) = expected["ath"].as_str() {
        check_equal("ath", claims["ath"].as_str(), Some(ath))?;
    }
    match (expected["authorization"].as_str(), authorization) {
        (Some(expected_members), Some(value)) => check("authorization", value == expected_members),
        (Some(_), None) => Err("no token is sent".into()),
        (None, _) => Ok(()),
    }
}
