//! Group `dpop-nonce-sequence`: DPoP nonces across one client's token requests and API requests, in order.

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oauth_core::flow::resource::{Api, Event, Resource, ResourceRequest, Step as CallStep};
use oauth_core::grant::{ClientCredentials, TokenRequest};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{AuthorizationRequest, Client, Exchange, Input, Step, Tokens};
use serde_json::Value;

use crate::dpop::{bound, clock, fields, moment, opened, reply, text, token};
use crate::format::{Failure, Vector, Verdict, check, check_equal};

/// The requests that were sent, and the result.
#[derive(Default)]
struct SentRequests {
    requests: u64,
    nonces: Vec<Value>,
    jtis: Vec<String>,
    results: Vec<String>,
    step: u8,
}

impl SentRequests {
    fn proof(&mut self, proof: Option<&HeaderValue>) -> Result<(), Failure> {
        let (_, claims) = opened(proof)?;
        self.requests += 1;
        self.nonces.push(claims["nonce"].clone());
        let jti = claims["jti"].as_str().unwrap_or_default();
        self.jtis.push(jti.to_owned());
        Ok(())
    }

    fn next(&mut self) -> u8 {
        self.step += 1;
        self.step
    }
}

pub(crate) fn sequence(vector: &Vector) -> Verdict {
    let steps = vector.input["steps"].as_array().ok_or("no steps")?;
    let client = bound().map_err(text)?;
    let mut seen = SentRequests::default();
    let mut rest: &[Value] = steps;
    while let [first, ..] = rest {
        let is_named = first.get("send").is_some();
        let replies: Vec<_> = rest
            .iter()
            .skip(usize::from(is_named))
            .map_while(|step| step.get("recv"))
            .collect();
        rest = &rest[usize::from(is_named) + replies.len()..];
        let what = first["send"].as_str().unwrap_or_default();
        let from = replies.first().and_then(|reply| reply["from"].as_str());
        let is_from_api = what.contains("resource")
            || what.starts_with("https")
            || matches!(from, Some(from) if from != "as");
        match (is_from_api, what.contains("code")) {
            (true, _) => to_api(&client, what, from, &replies, &mut seen)?,
            (false, true) => code(&client, &replies, &mut seen)?,
            (false, false) => {
                let exchange = client.token(ClientCredentials, TokenRequest::new());
                play_replies(exchange, &replies, &mut seen, &mut Vec::new())?;
            }
        }
    }
    judge(vector, &seen)
}

fn headers(reply: &Value) -> Vec<(String, String)> {
    let pairs = reply["headers_multi"].as_array().into_iter().flatten();
    let multi = pairs.map(|pair| (&pair[0], &pair[1]));
    let multi = multi.map(|(name, value)| (name.as_str().unwrap_or_default(), value));
    let one = reply["headers"].as_object().into_iter().flatten();
    let all = one.map(|(name, value)| (name.as_str(), value)).chain(multi);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|(name, value)| (name.to_ascii_lowercase(), text(value)))
        .collect()
}

fn status(reply: &Value) -> u16 {
    let status = reply["status"].as_u64().unwrap_or_default();
    u16::try_from(status).unwrap_or_default()
}

/// Runs an exchange against these replies, and keeps the requests' bodies.
fn play_replies<E: Exchange>(
    mut exchange: E,
    replies: &[&Value],
    seen: &mut SentRequests,
    bodies: &mut Vec<String>,
) -> Result<(), Failure> {
    let mut input = Input::Begin;
    let mut replies = replies.iter();
    loop {
        input = match exchange.resume(&moment(seen.next()), input) {
            Ok(Step::Send(request)) => {
                seen.proof(request.headers().get("dpop"))?;
                bodies.push(String::from_utf8_lossy(request.body()).into_owned());
                match replies.next() {
                    Some(response_spec) => {
                        let body = response_spec["body"].as_str().unwrap_or_default();
                        reply(status(response_spec), &headers(response_spec), body)
                    }
                    None => return Ok(()),
                }
            }
            Ok(Step::Done(_)) => {
                seen.results.push("ok".to_owned());
                return Ok(());
            }
            Ok(_) => return Err("another step".into()),
            Err(error) => {
                let code = error.server_error().and_then(|server| server.error());
                let code = code.unwrap_or(match error.code() {
                    "dpop.duplicate_nonce" => "malformed_dpop_nonce",
                    code => code,
                });
                seen.results.push(format!("error:{code}"));
                return Ok(());
            }
        };
    }
}

fn code(client: &Client, replies: &[&Value], seen: &mut SentRequests) -> Result<(), Failure> {
    let redirect_uri = RedirectUri::parse("https://app.example/cb").map_err(text)?;
    let request = AuthorizationRequest::new(redirect_uri);
    let (_, pending) = client.authorize(&moment(200), request).map_err(text)?;
    let callback = format!(
        "https://app.example/cb?code=c&state={}",
        pending.state().expose()
    );
    let exchange = client.redeem(pending, &callback).map_err(text)?;
    let mut bodies = Vec::new();
    play_replies(exchange, replies, seen, &mut bodies)?;
    let [first, second] = bodies.as_slice() else {
        return Err("not sent twice".into());
    };
    // Code and verifier are unchanged: this client's form does not vary.
    check_equal("the form", first, second)
}

fn to_api(
    client: &Client,
    what: &str,
    from: Option<&str>,
    replies: &[&Value],
    seen: &mut SentRequests,
) -> Result<(), Failure> {
    let named = what
        .split_whitespace()
        .chain(from)
        .find(|token| token.starts_with("https"));
    let url = format!("{}/x", named.unwrap_or("https://rs.example"));
    let tokens: Tokens = token(client, "t")?;
    let origin = oauth_core::url::Url::parse(&url).map_err(text)?.origin();
    let api = Api::new(Resource::new([origin.as_str()]).map_err(text)?);
    let api = api.with_dpop(client).map_err(text)?;
    let mut request = ResourceRequest::new(&api, Method::GET, &url);
    let is_stream = what.contains("streaming");
    if is_stream {
        request = request.body_once();
    }
    let mut replies = replies.iter();
    let mut last = StatusCode::OK;
    let mut step = request
        .resume(&clock(seen.next()), Event::Begin)
        .map_err(text)?;
    loop {
        let at = clock(seen.next());
        step = match step {
            CallStep::Token(_) | CallStep::Renew(_) => request.resume(&at, Event::Token(&tokens)),
            CallStep::Send { dpop, .. } => {
                seen.proof(dpop.as_ref())?;
                let Some(next_reply) = replies.next() else {
                    return Ok(());
                };
                last = StatusCode::from_u16(status(next_reply)).unwrap_or_default();
                let all = headers(next_reply);
                let all: HeaderMap = fields(all.iter());
                request.resume(&at, Event::Reply(last, &all))
            }
            _ => {
                // The caller gets the response, which has the reason.
                let result = if last.is_success() {
                    "ok".to_owned()
                } else {
                    "error:use_dpop_nonce".to_owned()
                };
                seen.results.push(result);
                return Ok(());
            }
        }
        .map_err(text)?;
    }
}

fn judge(vector: &Vector, seen: &SentRequests) -> Verdict {
    let expected = &vector.expected;
    if let Some(count) = expected["requests"].as_u64() {
        check_equal("requests", seen.requests, count)?;
    }
    if let Some(nonces) = expected["nonces_sent"].as_array() {
        check_equal("nonces", &seen.nonces, nonces)?;
    }
    let mut jtis = seen.jtis.clone();
    jtis.sort_unstable();
    jtis.dedup();
    check_equal("distinct proofs", jtis.len(), seen.jtis.len())?;
    let first = seen.results.first().map(String::as_str);
    for (name, got) in [
        ("first_result", first),
        ("result", seen.results.last().map(String::as_str)),
    ] {
        if let Some(expected_value) = expected[name].as_str() {
            check_equal(name, got, Some(expected_value))?;
        }
    }
    check("something was sent", seen.requests > 0)
}
