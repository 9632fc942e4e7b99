//! UserTesting, with an account's credentials: discovery, one grant, an hour, ten calls a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse};
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::flow::resource::{Allowance, Api, OnRateLimit};
use oauth_core::quirk::Rules;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::{Freshness, TokenKind};
use oauth_core::{Client, Moment, Scope, Tokens, danger};
use oauth_reqwest::blocking::Authorized;
use oauth_session::Sources;
use oauth_testkit::{Fault, Twin};

use super::demo_env::{DemoEnv, Flow, FlowResult, System};

const TENANT: &str = "/oauth2/aus1p3vtd8vtm4Bxv0h8";
const TOKEN: &str = "/oauth2/aus1p3vtd8vtm4Bxv0h8/v1/token";
const V2: &str = "/api/v2/sessionResults/?testId=7";
const V1: &str = "/api/v1/sessionResults/?testId=7";
const WAIT: OnRateLimit = OnRateLimit::Wait {
    longest: Duration::from_secs(10),
};
const HOUR: Duration = Duration::from_secs(3600);

pub(super) const SYSTEM: System = System {
    name: "usertesting",
    twin: Twin::usertesting,
    variables: &[],
    flows: &[
        Flow {
            name: "discovery_oauth",
            description: "metadata at the RFC 8414 location, before the issuer's path",
            run: discovery_oauth,
        },
        Flow {
            name: "discovery_openid",
            description: "metadata after the issuer's path, where Okta also publishes it",
            run: discovery_openid,
        },
        Flow {
            name: "client_credentials",
            description: "a token for studies:read, with the credentials in the body",
            run: client_credentials,
        },
        Flow {
            name: "api_v2_and_v1",
            description: "one token for both APIs",
            run: api_v2_and_v1,
        },
        Flow {
            name: "expiry",
            description: "after an hour, a new token is requested because no refresh token is issued",
            run: expiry,
        },
        Flow {
            name: "token_died",
            description: "a 401 within the hour: one new token and one retry",
            run: token_died,
        },
        Flow {
            name: "rate_limit",
            description: "ten calls per minute, then 429 with x-ratelimit-reset",
            run: rate_limit,
        },
        Flow {
            name: "limit_told",
            description: "the rate limit as an error with a delay, before which no request is sent",
            run: limit_told,
        },
        Flow {
            name: "limit_waited_for",
            description: "waiting for the rate limit (here: three calls in two seconds)",
            run: limit_waited_for,
        },
        Flow {
            name: "limit_kept",
            description: "staying within the rate limit in advance (here: three calls in two seconds)",
            run: limit_kept,
        },
        Flow {
            name: "introspection",
            description: "introspection of a valid and an invented token",
            run: introspection,
        },
        Flow {
            name: "revocation",
            description: "revocation of a token",
            run: revocation,
        },
        Flow {
            name: "v1_error_body",
            description: "errors of the older API, and for an unknown scope",
            run: v1_error_body,
        },
    ],
};

fn discovery_oauth(env: &DemoEnv) -> FlowResult {
    let server = discover(env)?;
    let requests: Vec<String> = env.log().into_iter().map(|entry| entry.path).collect();
    let metadata_path = format!("/.well-known/oauth-authorization-server{TENANT}");
    env.check("the first location has it", requests == [metadata_path])?;
    same_endpoints(env, &server)
}

fn discovery_openid(env: &DemoEnv) -> FlowResult {
    env.twin(|twin| {
        twin.inject(Fault::Status {
            status: 404,
            retry_after: None,
        });
    });
    let server = discover(env)?;
    let found = env.log().pop().map(|entry| entry.path);
    let metadata_path = format!("{TENANT}/.well-known/openid-configuration");
    env.check(
        "if the first location has none, the one after the path is found",
        found == Some(metadata_path),
    )?;
    same_endpoints(env, &server)
}

fn discover(env: &DemoEnv) -> FlowResult<Server> {
    let issuer = env.provider.issuer()?;
    Ok(env.run(danger::discover_on_loopback(issuer, Rules::default()))?)
}

fn same_endpoints(env: &DemoEnv, found: &Server) -> FlowResult {
    let preset = env.provider.server()?;
    let known = EndpointKind::ALL
        .iter()
        .filter(|&&kind| preset.endpoint(kind).is_ok());
    let (mut count, mut differ) = (0, Vec::new());
    for &kind in known {
        count += 1;
        if found.endpoint(kind).ok() != preset.endpoint(kind).ok() {
            differ.push(kind.member());
        }
    }
    env.check(
        format_args!("all {count} endpoints of the preset match the document"),
        count > 0 && differ.is_empty(),
    )?;
    let found = found.code_challenge_methods();
    env.check(
        "the server supports PKCE with S256",
        found == Some(vec!["S256".to_owned()]),
    )
}

fn client_credentials(env: &DemoEnv) -> FlowResult {
    let tokens = new_token(env, &env.confidential_client()?)?;
    let sent = env.entry(TOKEN)?;
    env.check(
        "credentials and scope=studies:read are in the body",
        sent.form("client_secret").is_some()
            && sent.header("authorization").is_none()
            && sent.form("scope") == Some("studies:read"),
    )?;
    env.check(
        "the token is valid for an hour, with the scope studies:read",
        tokens.expires_in == Some(3600) && tokens.scope == env.provider.default_scope(),
    )?;
    let looks_like_jwt = tokens.access_token.expose().split('.').count() == 3;
    env.check("it looks like a JWT", looks_like_jwt)?;
    env.check("no refresh token is issued", tokens.refresh_token.is_none())
}

fn api_v2_and_v1(env: &DemoEnv) -> FlowResult {
    let api = env.application_api(env.confidential_client()?, env.provider.default_scope())?;
    for (path, name) in [(V2, "v2"), (V1, "v1")] {
        let reply = env.get(&api, path)?;
        env.check(
            format_args!("{name} returns session results"),
            reply.status == 200 && reply.body.get("sessionResults").is_some(),
        )?;
    }
    let requests = env.counters().token_requests;
    env.check("one token is used for both", requests == 1)
}

fn expiry(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    let old = new_token(env, &client)?;
    let now = Moment::system()?.now();
    let leeway = Duration::from_secs(30);
    env.check(
        "the token is valid at first",
        old.freshness(now, leeway) == Freshness::Fresh,
    )?;
    env.advance(HOUR);
    env.check(
        "after an hour, the client treats it as expired",
        old.freshness(now.after(HOUR), leeway) == Freshness::Stale,
    )?;
    let status = env.get_with(&old.access_token, V2)?.status;
    env.check("the API refuses it", status == 401)?;
    let new = new_token(env, &client)?;
    let status = env.get_with(&new.access_token, V2)?.status;
    env.check(
        "the API accepts a new token from the same credentials",
        status == 200,
    )?;
    let log = env.log();
    let mut grants = log.iter().filter_map(|entry| entry.form("grant_type"));
    env.check(
        "no refresh is attempted",
        grants.all(|grant| grant == "client_credentials"),
    )
}

fn token_died(env: &DemoEnv) -> FlowResult {
    let api = env.application_api(env.confidential_client()?, env.provider.default_scope())?;
    env.recovers_from_401(&api, V2)
}

fn rate_limit(env: &DemoEnv) -> FlowResult {
    let api = env.application_api(env.confidential_client()?, env.provider.default_scope())?;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(env.get(&api, V2)?.status);
    }
    env.check("ten calls succeed", statuses == [200; 10])?;
    let eleventh = env.get(&api, V2)?;
    env.check("the eleventh is rate limited", eleventh.status == 429)?;
    let pause = eleventh.pause.unwrap_or_default();
    env.check(
        "x-ratelimit-reset is parsed as a delay of at most a minute",
        !pause.is_zero() && pause <= Duration::from_secs(60),
    )?;
    env.advance(pause);
    let status = env.get(&api, V2)?.status;
    env.check("after the delay, the call succeeds", status == 200)?;
    let requests = env.counters().token_requests;
    env.check("no new token is requested", requests == 1)
}

/// One call more than the twin allows, which returns an error.
fn limit_told(env: &DemoEnv) -> FlowResult {
    let api = limited(env, env.provider.api()?)?.on_rate_limit(OnRateLimit::Error);
    for _ in 0..3 {
        let status = env.get(&api, V2)?.status;
        env.check("three calls succeed", status == 200)?;
    }
    let fourth = env.get(&api, V2);
    let error = env.check_refused("the fourth call", fourth, "resource.rate_limited")?;
    let pause = error.advice().after().unwrap_or_default();
    env.check(
        "the error contains the delay of the server",
        !pause.is_zero() && pause <= Duration::from_secs(2),
    )?;
    let before = env.request_count();
    env.check_refused("the fifth call", env.get(&api, V2), "resource.rate_limited")?;
    env.check("no request is sent for it", env.request_count() == before)
}

fn limit_waited_for(env: &DemoEnv) -> FlowResult {
    let waits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&waits);
    let api = limited(env, env.provider.api()?)?
        .on_rate_limit(WAIT)
        .on_wait(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    for _ in 0..5 {
        let status = env.get(&api, V2)?.status;
        env.check("five calls succeed", status == 200)?;
    }
    env.check(
        "one of them was rate limited, and retried after the delay",
        env.counters().api_429 == 1 && waits.load(Ordering::Relaxed) == 1,
    )
}

fn limit_kept(env: &DemoEnv) -> FlowResult {
    let allowance = Allowance::new(3, 2);
    let api = limited(env, env.provider.api()?.keeping(allowance))?.on_rate_limit(WAIT);
    for _ in 0..5 {
        let status = env.get(&api, V2)?.status;
        env.check("five calls succeed", status == 200)?;
    }
    env.check("none of them was rate limited", env.counters().api_429 == 0)
}

/// The API of a twin that allows three calls in two seconds.
fn limited(env: &DemoEnv, api: Api) -> FlowResult<Authorized> {
    env.twin(|twin| {
        twin.set_rate_limit(3);
        twin.set_rate_window(2);
    });
    let own = env.client_grant(&env.confidential_client()?, env.provider.default_scope());
    Ok(env.api_with(Sources::one(own), api)?)
}

fn introspection(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    let tokens = new_token(env, &client)?;
    let of =
        |token| client.introspect(Introspection::new(token).token_type_hint(TokenKind::Access));
    let IntrospectionResponse::Active(alive) = env.run(of(tokens.access_token.clone()))? else {
        return env.check("the token is active", false);
    };
    let issuer = env.provider.issuer()?;
    env.check(
        "the token is active, with this client, this issuer and the scope studies:read",
        alive.client_id.as_deref() == Some(client.client_id().as_str())
            && alive.issuer.as_deref() == Some(issuer.as_str())
            && alive.scope == Some(env.provider.default_scope()),
    )?;
    let made_up = env.run(of("made-up".into()))?;
    env.check(
        "an invented token is inactive, without further details",
        matches!(made_up, IntrospectionResponse::Inactive),
    )
}

fn revocation(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    let tokens = new_token(env, &client)?;
    let status = env.get_with(&tokens.access_token, V2)?.status;
    env.check("the token works", status == 200)?;
    env.run(
        client.revoke(
            Revocation::new(tokens.access_token.clone()).token_type_hint(TokenKind::Access),
        ),
    )?;
    let status = env.get_with(&tokens.access_token, V2)?.status;
    env.check("after the revocation, the API returns 401", status == 401)?;
    let state = env.run(client.introspect(Introspection::new(tokens.access_token)))?;
    env.check(
        "introspection shows it as inactive",
        matches!(state, IntrospectionResponse::Inactive),
    )
}

fn v1_error_body(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    let api = env.application_api(client.clone(), env.provider.default_scope())?;
    let reply = env.get(&api, "/api/v1/sessionResults/")?;
    let code = reply.body.get("errorCode").and_then(|code| code.as_str());
    env.check(
        "a call without testId returns 400 with errorCode BAD_REQUEST and a message",
        reply.status == 400
            && code == Some("BAD_REQUEST")
            && reply.body.get("errorMessage").is_some(),
    )?;
    let requests = env.counters().token_requests;
    env.check("the token is not treated as expired", requests == 1)?;
    let result = env.run(client.client_credentials(Scope::parse("studies:write")?));
    env.check_refused("an unknown scope", result, "denied.invalid_scope")?;
    Ok(())
}

fn new_token(env: &DemoEnv, client: &Client) -> FlowResult<Tokens> {
    let scope = env.provider.default_scope();
    Ok(env.run(client.client_credentials(scope))?)
}
