//! UserTesting, with an account's credentials: discovery, one grant, an hour, ten calls a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oauth_core::endpoint::introspection::{Introspection, TokenState};
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::flow::resource::{Allowance, Api, OnLimit};
use oauth_core::quirk::Rules;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::{Freshness, TokenKind};
use oauth_core::{Client, Moment, Scope, Tokens, danger};
use oauth_reqwest::blocking::Authorized;
use oauth_session::Sources;
use oauth_testkit::{Fault, Twin};

use super::stage::{Flow, Played, Stage, System};

const TENANT: &str = "/oauth2/aus1p3vtd8vtm4Bxv0h8";
const TOKEN: &str = "/oauth2/aus1p3vtd8vtm4Bxv0h8/v1/token";
const V2: &str = "/api/v2/sessionResults/?testId=7";
const V1: &str = "/api/v1/sessionResults/?testId=7";
const WAIT: OnLimit = OnLimit::Wait {
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
            what: "the metadata in RFC 8414's place, before the issuer's path",
            play: discovery_oauth,
        },
        Flow {
            name: "discovery_openid",
            what: "the metadata behind the issuer's path, where Okta has it too",
            play: discovery_openid,
        },
        Flow {
            name: "client_credentials",
            what: "a token for studies:read, credentials in the body",
            play: client_credentials,
        },
        Flow {
            name: "api_v2_and_v1",
            what: "one token for both APIs",
            play: api_v2_and_v1,
        },
        Flow {
            name: "expiry",
            what: "an hour later: no refresh token, so a new one is asked for",
            play: expiry,
        },
        Flow {
            name: "token_died",
            what: "a 401 before the hour is over: one new token, one more try",
            play: token_died,
        },
        Flow {
            name: "rate_limit",
            what: "ten calls a minute, then 429 with x-ratelimit-reset",
            play: rate_limit,
        },
        Flow {
            name: "limit_told",
            what: "the same as an error: its pause, and no request before it is over",
            play: limit_told,
        },
        Flow {
            name: "limit_waited_for",
            what: "the same, waited for (here: three calls in two seconds)",
            play: limit_waited_for,
        },
        Flow {
            name: "limit_kept",
            what: "an allowance kept to before the server says no (here: three in two seconds)",
            play: limit_kept,
        },
        Flow {
            name: "introspection",
            what: "what the server says about a live token and a made-up one",
            play: introspection,
        },
        Flow {
            name: "revocation",
            what: "a token given back",
            play: revocation,
        },
        Flow {
            name: "v1_error_body",
            what: "the older API's error, and the server's for an unknown scope",
            play: v1_error_body,
        },
    ],
};

fn discovery_oauth(stage: &Stage) -> Played {
    let server = discover(stage)?;
    let asked: Vec<String> = stage.log().into_iter().map(|entry| entry.path).collect();
    let place = format!("/.well-known/oauth-authorization-server{TENANT}");
    stage.check("the first place asked has it", asked == [place])?;
    same_endpoints(stage, &server)
}

fn discovery_openid(stage: &Stage) -> Played {
    stage.twin(|twin| {
        twin.inject(Fault::Status {
            status: 404,
            retry_after: None,
        });
    });
    let server = discover(stage)?;
    let found = stage.log().pop().map(|entry| entry.path);
    let place = format!("{TENANT}/.well-known/openid-configuration");
    stage.check(
        "where the first place has nothing, the one behind the path is found",
        found == Some(place),
    )?;
    same_endpoints(stage, &server)
}

fn discover(stage: &Stage) -> Played<Server> {
    let issuer = stage.provider.issuer()?;
    Ok(stage.run(danger::discover_on_loopback(issuer, Rules::default()))?)
}

fn same_endpoints(stage: &Stage, found: &Server) -> Played {
    let preset = stage.provider.server()?;
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
    stage.check(
        format_args!("all {count} endpoints of the preset are the document's"),
        count > 0 && differ.is_empty(),
    )?;
    let found = found.code_challenge_methods();
    stage.check(
        "it supports PKCE with S256",
        found == Some(vec!["S256".to_owned()]),
    )
}

fn client_credentials(stage: &Stage) -> Played {
    let tokens = new_token(stage, &stage.trusted()?)?;
    let sent = stage.entry(TOKEN)?;
    stage.check(
        "credentials and scope=studies:read are in the body",
        sent.form("client_secret").is_some()
            && sent.header("authorization").is_none()
            && sent.form("scope") == Some("studies:read"),
    )?;
    stage.check(
        "the token is good for an hour, and for studies:read",
        tokens.expires_in == Some(3600) && tokens.scope == stage.provider.default_scope(),
    )?;
    let looks_like_jwt = tokens.access_token.expose().split('.').count() == 3;
    stage.check("it looks like a JWT", looks_like_jwt)?;
    stage.check("there is no refresh token", tokens.refresh_token.is_none())
}

fn api_v2_and_v1(stage: &Stage) -> Played {
    let api = stage.application(stage.trusted()?, stage.provider.default_scope())?;
    for (path, name) in [(V2, "v2"), (V1, "v1")] {
        let reply = stage.get(&api, path)?;
        stage.check(
            format_args!("{name} answers with session results"),
            reply.status == 200 && reply.body.get("sessionResults").is_some(),
        )?;
    }
    let requests = stage.counters().token_requests;
    stage.check("one token served both", requests == 1)
}

fn expiry(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    let old = new_token(stage, &client)?;
    let now = Moment::system()?.now();
    let leeway = Duration::from_secs(30);
    stage.check(
        "it is fresh at first",
        old.freshness(now, leeway) == Freshness::Fresh,
    )?;
    stage.advance(HOUR);
    stage.check(
        "an hour later the client knows that it is over",
        old.freshness(now.after(HOUR), leeway) == Freshness::Stale,
    )?;
    let status = stage.get_with(&old.access_token, V2)?.status;
    stage.check("and so does the API", status == 401)?;
    let new = new_token(stage, &client)?;
    let status = stage.get_with(&new.access_token, V2)?.status;
    stage.check(
        "a new token from the same credentials is taken",
        status == 200,
    )?;
    let log = stage.log();
    let mut grants = log.iter().filter_map(|entry| entry.form("grant_type"));
    stage.check(
        "no refresh was tried",
        grants.all(|grant| grant == "client_credentials"),
    )
}

fn token_died(stage: &Stage) -> Played {
    let api = stage.application(stage.trusted()?, stage.provider.default_scope())?;
    stage.recovers_from_401(&api, V2)
}

fn rate_limit(stage: &Stage) -> Played {
    let api = stage.application(stage.trusted()?, stage.provider.default_scope())?;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(stage.get(&api, V2)?.status);
    }
    stage.check("ten calls are answered", statuses == [200; 10])?;
    let eleventh = stage.get(&api, V2)?;
    stage.check("the eleventh is one too many", eleventh.status == 429)?;
    let pause = eleventh.pause.unwrap_or_default();
    stage.check(
        "x-ratelimit-reset is read as a pause of at most a minute",
        !pause.is_zero() && pause <= Duration::from_secs(60),
    )?;
    stage.advance(pause);
    let status = stage.get(&api, V2)?.status;
    stage.check("after it the API answers again", status == 200)?;
    let requests = stage.counters().token_requests;
    stage.check("no new token was asked for", requests == 1)
}

/// One call more than the twin allows, which is told of by an error.
fn limit_told(stage: &Stage) -> Played {
    let api = limited(stage, stage.provider.api()?)?.on_limit(OnLimit::Fail);
    for _ in 0..3 {
        let status = stage.get(&api, V2)?.status;
        stage.check("three calls are answered", status == 200)?;
    }
    let fourth = stage.get(&api, V2);
    let error = stage.refused("the fourth", fourth, "resource.rate_limited")?;
    let pause = error.advice().after().unwrap_or_default();
    stage.check(
        "the error holds the pause that the server asks for",
        !pause.is_zero() && pause <= Duration::from_secs(2),
    )?;
    let before = stage.arrived();
    stage.refused("the fifth", stage.get(&api, V2), "resource.rate_limited")?;
    stage.check("nothing was sent for it", stage.arrived() == before)
}

fn limit_waited_for(stage: &Stage) -> Played {
    let waits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&waits);
    let api = limited(stage, stage.provider.api()?)?
        .on_limit(WAIT)
        .on_wait(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    for _ in 0..5 {
        let status = stage.get(&api, V2)?.status;
        stage.check("five calls are answered", status == 200)?;
    }
    stage.check(
        "one of them was refused, and waited for",
        stage.counters().api_429 == 1 && waits.load(Ordering::Relaxed) == 1,
    )
}

fn limit_kept(stage: &Stage) -> Played {
    let allowance = Allowance::new(3, 2);
    let api = limited(stage, stage.provider.api()?.keeping(allowance))?.on_limit(WAIT);
    for _ in 0..5 {
        let status = stage.get(&api, V2)?.status;
        stage.check("five calls are answered", status == 200)?;
    }
    stage.check("none of them was refused", stage.counters().api_429 == 0)
}

/// The API of a twin that allows three calls in two seconds.
fn limited(stage: &Stage, api: Api) -> Played<Authorized> {
    stage.twin(|twin| {
        twin.set_rate_limit(3);
        twin.set_rate_window(2);
    });
    let own = stage.own(&stage.trusted()?, stage.provider.default_scope());
    Ok(stage.api_of(Sources::one(own), api)?)
}

fn introspection(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    let tokens = new_token(stage, &client)?;
    let of = |token| client.introspect(Introspection::new(token).hint(TokenKind::Access));
    let TokenState::Active(alive) = stage.run(of(tokens.access_token.clone()))? else {
        return stage.check("the live token is active", false);
    };
    let issuer = stage.provider.issuer()?;
    stage.check(
        "the live token is active, this client's, this issuer's, and for studies:read",
        alive.client_id.as_deref() == Some(client.client_id().as_str())
            && alive.issuer.as_deref() == Some(issuer.as_str())
            && alive.scope == Some(stage.provider.default_scope()),
    )?;
    let made_up = stage.run(of("made-up".into()))?;
    stage.check(
        "a made-up one is not active, and no more is said",
        matches!(made_up, TokenState::Inactive),
    )
}

fn revocation(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    let tokens = new_token(stage, &client)?;
    let status = stage.get_with(&tokens.access_token, V2)?.status;
    stage.check("the token works", status == 200)?;
    stage
        .run(client.revoke(Revocation::new(tokens.access_token.clone()).hint(TokenKind::Access)))?;
    let status = stage.get_with(&tokens.access_token, V2)?.status;
    stage.check("once revoked, it is answered 401", status == 401)?;
    let state = stage.run(client.introspect(Introspection::new(tokens.access_token)))?;
    stage.check(
        "and is no longer active",
        matches!(state, TokenState::Inactive),
    )
}

fn v1_error_body(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    let api = stage.application(client.clone(), stage.provider.default_scope())?;
    let reply = stage.get(&api, "/api/v1/sessionResults/")?;
    let code = reply.body.get("errorCode").and_then(|code| code.as_str());
    stage.check(
        "a call without testId is answered 400, errorCode BAD_REQUEST and a message",
        reply.status == 400
            && code == Some("BAD_REQUEST")
            && reply.body.get("errorMessage").is_some(),
    )?;
    let requests = stage.counters().token_requests;
    stage.check("which is not taken for a dead token", requests == 1)?;
    let result = stage.run(client.client_credentials(Scope::parse("studies:write")?));
    stage.refused("an unknown scope", result, "denied.invalid_scope")?;
    Ok(())
}

fn new_token(stage: &Stage, client: &Client) -> Played<Tokens> {
    let scope = stage.provider.default_scope();
    Ok(stage.run(client.client_credentials(scope))?)
}
