//! Groups about server metadata: `well-known` (its URLs) and `metadata-validation` (its contents).

use bytes::Bytes;
use http::Response;
use oauth_core::endpoint::metadata::WellKnown;
use oauth_core::error::Error;
use oauth_core::issuer::Issuer;
use oauth_core::quirk::{Rules, Strictness};
use oauth_core::server::{EndpointKind, FlagDefault, Server};
use oauth_core::{Exchange, Input, Step, danger};
use oauth_testkit::serve::Served;
use oauth_testkit::twin::{Fault, Twin};
use serde_json::{Value, json};

use crate::MEMORY;
use crate::conversation::{Conversation, TurnInput};
use crate::expect::outcome;
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::runner::Runner;
use crate::token::{self, moment};
use crate::transcript::{Done, Refusal, ServerOutput, TurnOutput};

const DEFAULTS: &str = "only Rust exposes the defaults of missing members, and mutual TLS";
const TRANSPORT: &str = "a property of the native transport: each package's suite tests it";
const STRICT: &str = "only Rust has discovery by strict rules";

pub(crate) fn well_known(vector: &Vector, runner: &mut Runner) -> Verdict {
    let on_loopback = vector.input["allow_insecure_loopback"] == true;
    if runner.is_rust() {
        of_the_core(vector, on_loopback)?;
    }
    let transport = if on_loopback {
        "loopback_http"
    } else {
        "https"
    };
    let places = places(vector.required_text("issuer")?, transport, runner)?;
    let Some(places) = outcome(&vector.expected, places)? else {
        return Ok(());
    };
    if let Some(urls) = vector.expected.get("urls_in_order") {
        // After the URLs of the specifications, discovery tries the one that Okta uses.
        let (first, more) = places.split_at(texts(urls).len().min(places.len()));
        check_equal("urls_in_order", first.to_vec(), texts(urls))?;
        let appended = "/.well-known/oauth-authorization-server";
        return check(
            "at most one more URL, and its path is appended",
            more.len() <= 1 && more.iter().all(|place| place.ends_with(appended)),
        );
    }
    let at = match vector.text("kind").unwrap_or("oauth-authorization-server") {
        "oauth-authorization-server" => 0,
        kind if kind.contains("inserted") => 1,
        // Both URLs are the same if the issuer has no path.
        kind if kind.contains("appended") => places.len().min(3) - 1,
        other => return Err(format!("no kind {other}").into()),
    };
    let url = places.get(at).map(String::as_str);
    check_equal("url", url, vector.expected["url"].as_str())
}

/// The URLs that discovery requests if all of them return 404.
fn places(
    issuer: &str,
    transport: &str,
    runner: &mut Runner,
) -> crate::runner::Outcome<Vec<String>> {
    let discover = TurnInput::Discover {
        issuer: issuer.to_owned(),
        transport: transport.to_owned(),
    };
    let mut conversation = Conversation::new(None, None).then(0, discover);
    for _ in 0..4 {
        conversation = conversation.then(0, TurnInput::Reply(Reply::new(404, &[], "")));
    }
    let mut places = Vec::new();
    for output in runner.play(&conversation)? {
        match output {
            TurnOutput::Send(sent) => places.push(sent.url),
            TurnOutput::Error(refusal) if places.is_empty() => return Ok(Err(refusal)),
            TurnOutput::Error(refusal) if refusal.status == Some(404) => return Ok(Ok(places)),
            other => return Err(format!("want a request to one more URL, got {other:?}").into()),
        }
    }
    Err("too many URLs are requested".into())
}

fn of_the_core(vector: &Vector, on_loopback: bool) -> Verdict {
    let text = vector.required_text("issuer")?;
    let issuer = if on_loopback {
        danger::loopback_issuer(text)
    } else {
        Issuer::parse(text)
    };
    let Some(issuer) = outcome(&vector.expected, issuer)? else {
        return Ok(());
    };
    if let Some(urls) = vector.expected.get("urls_in_order") {
        let places: Vec<_> = issuer
            .well_known_urls()
            .iter()
            .map(|url| url.as_str().to_owned())
            .collect();
        return check_equal("urls_in_order", places, texts(urls));
    }
    let kind = match vector.text("kind").unwrap_or("oauth-authorization-server") {
        "oauth-authorization-server" => WellKnown::AuthorizationServer,
        kind if kind.contains("inserted") => WellKnown::OpenIdInserted,
        kind if kind.contains("appended") => WellKnown::OpenIdAppended,
        other => return Err(format!("no kind {other}").into()),
    };
    let url = issuer.well_known(kind);
    check_equal("url", Some(url.as_str()), vector.expected["url"].as_str())
}

pub(crate) fn validation(vector: &Vector, runner: &mut Runner) -> Verdict {
    if vector
        .text("body")
        .is_some_and(|body| body.contains("gzip"))
    {
        return if runner.is_rust() {
            gzip_bomb(vector)
        } else {
            Err(Failure::OutOfReach(TRANSPORT))
        };
    }
    let (server, requests) = discovery_requests(vector, runner)?;
    if let Some(want) = vector.expected["requests"].as_u64() {
        check_equal("requests", requests, want)?;
    }
    let server_found = outcome(&vector.expected, server)?;
    if !runner.is_rust() {
        if vector.expected.get("strict").is_some() {
            runner.left_out.insert(STRICT);
        }
        return server_found.map_or(Ok(()), |server_found| endpoints(vector, &server_found));
    }
    let (server, requests) = fetch(vector, Strictness::Lenient)?;
    if let Some(strict) = vector.expected.get("strict") {
        outcome(strict, fetch(vector, Strictness::Strict)?.0)?;
    }
    if let Some(want) = vector.expected["requests"].as_u64() {
        check_equal("requests", requests, want)?;
    }
    match outcome(&vector.expected, server)? {
        Some(server) => compare(vector, &server),
        None => Ok(()),
    }
}

/// The issuer a vector is about.
fn issuer(vector: &Vector) -> Result<&str, Failure> {
    let named = vector
        .text("issuer")
        .or(vector.input["document"]["issuer"].as_str());
    named.ok_or_else(|| "no issuer".into())
}

/// Runs a discovery that gets the vector's document, or its list of responses in turn; also
/// returns the number of requests.
fn discovery_requests(
    vector: &Vector,
    runner: &mut Runner,
) -> Result<(Result<ServerOutput, Refusal>, u64), Failure> {
    let discover = TurnInput::discover(issuer(vector)?);
    let mut conversation = Conversation::new(None, None).then(0, discover);
    for turn in 0..4 {
        conversation = conversation.then(0, TurnInput::Reply(response_at(vector, turn)?));
    }
    let mut requests = 0;
    for output in runner.play(&conversation)? {
        match output {
            TurnOutput::Send(_) => requests += 1,
            TurnOutput::Done(Done::Server(server)) => return Ok((Ok(server), requests)),
            TurnOutput::Error(refusal) => return Ok((Err(refusal), requests)),
            other => return Err(format!("an odd step: {other:?}").into()),
        }
    }
    Err("discovery does not end".into())
}

/// Runs the discovery in the core directly, with this strictness.
fn fetch(vector: &Vector, strictness: Strictness) -> Result<(Result<Server, Error>, u64), Failure> {
    let issuer = Issuer::parse(issuer(vector)?).map_err(|error| error.to_string())?;
    let rules = Rules {
        strictness,
        ..Rules::default()
    };
    let mut exchange = danger::discover_on_loopback(issuer, rules);
    let mut input = Input::Begin;
    let mut requests = 0;
    loop {
        match exchange.resume(&moment(0), input) {
            Ok(Step::Send(_)) => {
                input = Input::Reply(response(response_at(vector, requests)?)?);
                requests += 1;
            }
            Ok(Step::Done(server)) => return Ok((Ok(server), requests)),
            Ok(step) => return Err(format!("an odd step: {step:?}").into()),
            Err(error) => return Ok((Err(error), requests)),
        }
    }
}

fn response(reply: Reply) -> Result<Response<Bytes>, Failure> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers.0 {
        response = response.header(name, value);
    }
    let response = response.body(Bytes::from(reply.body));
    response.map_err(|error| error.to_string().into())
}

fn response_at(vector: &Vector, turn: u64) -> Result<Reply, Failure> {
    let response_specs = vector.input["responses"].as_array();
    let document = match response_specs.and_then(|list| list.get(turn as usize)) {
        Some(Value::Number(status)) => {
            let status = status
                .as_u64()
                .and_then(|status| u16::try_from(status).ok());
            return Ok(Reply::new(status.unwrap_or_default(), &[], ""));
        }
        Some(document) => Some(document),
        None => vector.input.get("document"),
    };
    match document {
        Some(document) => Ok(Reply::json(document)),
        None => token::reply(vector),
    }
}

/// Compares the endpoints that the metadata contains; defaults of missing members are left out.
fn endpoints(vector: &Vector, server: &ServerOutput) -> Verdict {
    let uses_mtls = vector.input["client_uses_mtls"] == true;
    for (name, want) in vector.expected.as_object().into_iter().flatten() {
        match name.as_str() {
            "ok" | "note" | "strict" | "requests" => {}
            endpoint if endpoint.ends_with("_endpoint") && !uses_mtls => {
                check_equal(endpoint, server.metadata.get(endpoint), Some(want))?;
            }
            _ => return Err(Failure::OutOfReach(DEFAULTS)),
        }
    }
    let named = vector
        .text("issuer")
        .or(vector.input["document"]["issuer"].as_str());
    check_equal("issuer", Some(server.issuer.as_str()), named)
}

fn compare(vector: &Vector, server: &Server) -> Verdict {
    let uses_mtls = vector.input["client_uses_mtls"] == true;
    for (name, want) in vector.expected.as_object().into_iter().flatten() {
        match name.as_str() {
            "ok" | "note" | "strict" | "requests" => {}
            "grant_types_supported" => check_equal(name, server.grant_types(), texts(want))?,
            "response_modes_supported" => check_equal(name, server.response_modes(), texts(want))?,
            "token_endpoint_auth_methods_supported" => {
                check_equal(name, server.token_endpoint_auth_methods(), texts(want))?;
            }
            "authorization_response_iss_parameter_supported" => {
                check_equal(
                    name,
                    Some(server.authorization_response_iss_supported()),
                    want.as_bool(),
                )?;
            }
            // OpenID Connect Discovery section 3: the only flag whose default is true.
            "request_uri_parameter_supported_oidc" => {
                check_equal(
                    name,
                    Some(server.flag("request_uri_parameter_supported", FlagDefault::True)),
                    want.as_bool(),
                )?;
            }
            "request_parameter_supported_oidc" => {
                check_equal(
                    name,
                    Some(server.flag("request_parameter_supported", FlagDefault::False)),
                    want.as_bool(),
                )?;
            }
            endpoint if endpoint.ends_with("_endpoint") || endpoint == "jwks_uri" => {
                let mut kinds = EndpointKind::ALL.iter().copied();
                let kind = kinds
                    .find(|kind| kind.member() == endpoint)
                    .ok_or("no such endpoint")?;
                let url = if uses_mtls {
                    server.mtls_endpoint(kind)
                } else {
                    server.endpoint(kind)
                };
                if want
                    .as_str()
                    .is_some_and(|want| want.starts_with("falls back"))
                {
                    // There is neither an alias nor an endpoint: the fallback finds nothing at the top level either.
                    let plain = server.endpoint(kind).map_err(|error| error.code());
                    check_equal(name, url.map_err(|error| error.code()), plain)?;
                } else {
                    check_equal(name, url.ok().map(|url| url.as_str()), want.as_str())?;
                }
            }
            flag if want.is_boolean() => check_equal(
                flag,
                Some(server.flag(flag, FlagDefault::False)),
                want.as_bool(),
            )?,
            other => return Err(format!("nothing compares {other}").into()),
        }
    }
    Ok(())
}

/// The real driver reads a gzip bomb from a real socket in bounded memory.
fn gzip_bomb(vector: &Vector) -> Verdict {
    let served = Served::start(Twin::generic).map_err(|error| error.to_string())?;
    served.with(|twin| {
        for _ in 0..3 {
            twin.inject(Fault::GzipBomb { expanded: 1 << 30 });
        }
    });
    let issuer = danger::loopback_issuer(served.base()).map_err(|error| error.to_string())?;
    let driver = oauth_reqwest::blocking::Driver::new(reqwest::blocking::ClientBuilder::new())
        .map_err(|error| error.to_string())?;
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let fetched = driver.run(danger::discover_on_loopback(issuer, Rules::default()));
    let peak = MEMORY.peak_usage().saturating_sub(before);
    outcome(&vector.expected, fetched)?;
    let limit = vector.expected["peak_memory_max_bytes"]
        .as_u64()
        .unwrap_or(u64::MAX);
    check(
        &format!("peak of {peak} bytes is at most {limit}"),
        peak as u64 <= limit,
    )
}

/// A server with this metadata, for other groups.
pub(crate) fn document(members: Value) -> Result<Server, Error> {
    let mut document = json!({ "issuer": "https://as.example" });
    if let (Some(document), Some(members)) = (document.as_object_mut(), members.as_object()) {
        document.extend(members.clone());
    }
    let text = document.to_string();
    let issuer = Issuer::parse("https://as.example")?;
    match oauth_core::json::parse(&text)? {
        oauth_core::json::Json::Object(object) => Server::read(&issuer, &object, Rules::default()),
        _ => Err(oauth_core::error::ProtocolViolation::MetadataShape.into()),
    }
}
