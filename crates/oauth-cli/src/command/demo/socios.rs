//! Socios.com: raw Basic for one grant and the body for another, two kinds of token, rotation.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::Advice;
use oauth_core::issuer::RedirectUri;
use oauth_core::token::TokenType;
use oauth_core::{AuthorizationRequest, Client, Moment, Scope, Secret, Tokens};
use oauth_providers::TokenFor;
use oauth_reqwest::blocking::Authorized;
use oauth_session::Sources;
use oauth_testkit::Twin;
use serde_json::Value;

use super::stage::{Failed, Flow, Played, Stage, System};

const TOKEN: &str = "/oauth2/token";
const AUTHORIZE: &str = "/oauth2/authorize";
const POLLS: &str = "/polls/1.0.0/polls";
const WALLET: &str = "/wallet/1.0.0/user/wallet";
const USER_POLLS: &str = "/user/polls";
const VOTE: &str = "/user/poll/1/vote";
const CALLBACK: &str = "https://app.example/callback";
const LIFETIME: u64 = 7200;

pub(super) const SYSTEM: System = System {
    name: "socios",
    twin: Twin::socios,
    variables: &[],
    flows: &[
        Flow {
            name: "client_credentials",
            what: "the application's token, consumer key and secret in raw Basic",
            play: client_credentials,
        },
        Flow {
            name: "public_route",
            what: "a public route, with the application's token",
            play: public_route,
        },
        Flow {
            name: "user_route_refused",
            what: "a user's route, with the application's token",
            play: user_route_refused,
        },
        Flow {
            name: "code_exchange",
            what: "Socios.com Connect, with partner tag and tracking",
            play: code_exchange,
        },
        Flow {
            name: "tracking_shadow_refused",
            what: "tracking parameters with names of the protocol's own",
            play: tracking_shadow_refused,
        },
        Flow {
            name: "user_api",
            what: "wallet, polls and a vote, with the person's token",
            play: user_api,
        },
        Flow {
            name: "token_for_route",
            what: "the preset's rule picks the token for each route",
            play: token_for_route,
        },
        Flow {
            name: "two_owners",
            what: "one API with both sources: each route gets its owner's token",
            play: two_owners,
        },
        Flow {
            name: "refresh_rotation",
            what: "a refresh gives a new refresh token",
            play: refresh_rotation,
        },
        Flow {
            name: "reuse_detection",
            what: "an old refresh token comes back, and all that grew from it ends",
            play: reuse_detection,
        },
        Flow {
            name: "revocation",
            what: "200 for tokens the server knows and for those it never saw",
            play: revocation,
        },
        Flow {
            name: "after_revocation",
            what: "what becomes of an API client whose tokens are revoked",
            play: after_revocation,
        },
        Flow {
            name: "expiry",
            what: "two hours later: a refresh first, and then the call",
            play: expiry,
        },
    ],
};

fn client_credentials(stage: &Stage) -> Played {
    let tokens = stage.run(stage.trusted()?.client_credentials(Scope::none()))?;
    let sent = stage.entry(TOKEN)?;
    stage.check(
        "the header is Base64(key:secret), nothing encoded before",
        is_raw_basic(stage)?,
    )?;
    stage.check(
        "the body is a form with the grant type alone",
        sent.form == [("grant_type".to_owned(), "client_credentials".to_owned())],
    )?;
    stage.check(
        "`bearer` in lower case is Bearer, for 7200 seconds",
        tokens.token_type == TokenType::Bearer && tokens.expires_in == Some(LIFETIME),
    )
}

fn public_route(stage: &Stage) -> Played {
    let api = application(stage)?;
    let reply = stage.get(&api, POLLS)?;
    stage.check(
        "the polls are there",
        reply.status == 200 && reply.body.pointer("/data/0/id").is_some(),
    )
}

fn user_route_refused(stage: &Stage) -> Played {
    let route = stage.provider.token_for(WALLET);
    stage.check(
        "the preset says that this route is a user's",
        route? == TokenFor::User,
    )?;
    let reply = stage.get(&application(stage)?, WALLET)?;
    stage.check("the API answers 403", reply.status == 403)?;
    let requests = stage.counters().token_requests;
    stage.check("which is not taken for a dead token", requests == 1)
}

fn code_exchange(stage: &Stage) -> Played {
    let extras = [
        ("partner_tag", "acme"),
        ("referrer", "newsletter"),
        ("campaign", "spring"),
        ("param1", "a"),
        ("param2", "b"),
        ("param3", "c"),
    ];
    let mut ask = ask()?;
    for (name, value) in extras {
        stage.provider.authorization_parameter(name)?;
        ask = ask.extra(name, value);
    }
    let tokens = stage.login(&stage.trusted()?, ask)?;
    let (asked, sent) = (stage.entry(AUTHORIZE)?, stage.entry(TOKEN)?);
    stage.check(
        "the authorization URL holds partner tag and tracking as they were given",
        extras
            .iter()
            .all(|(name, value)| asked.query(name) == Some(value)),
    )?;
    stage.check(
        "key and secret are in the body this time, and in no header",
        sent.form("client_id").is_some()
            && sent.form("client_secret").is_some()
            && sent.header("authorization").is_none(),
    )?;
    stage.check(
        "so are the code and the redirect URI of the authorization request",
        sent.form("code").is_some() && sent.form("redirect_uri") == asked.query("redirect_uri"),
    )?;
    stage.check("there is a refresh token", tokens.refresh_token.is_some())
}

fn tracking_shadow_refused(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    for name in [
        "state",
        "redirect_uri",
        "client_id",
        "scope",
        "code_challenge",
        "response_type",
    ] {
        let result = client.authorize(Moment::system()?, ask()?.extra(name, "tracking"));
        stage.refused(format_args!("`{name}`"), result, "form.reserved_parameter")?;
    }
    let twice = ask()?.extra("campaign", "a").extra("campaign", "b");
    let result = client.authorize(Moment::system()?, twice);
    stage.refused("`campaign` twice", result, "form.duplicate_parameter")?;
    let result = stage.provider.authorization_parameter("utm_source");
    stage.refused(
        "`utm_source`, which is not documented,",
        result,
        "form.unlisted_parameter",
    )?;
    stage.check("nothing was sent", stage.arrived() == 0)
}

fn user_api(stage: &Stage) -> Played {
    let (_, api) = person(stage)?;
    let wallet = stage.get(&api, WALLET)?;
    stage.check(
        "the wallet names the person: {\"data\":{\"userId\":\"…\"}}",
        wallet.status == 200
            && wallet
                .body
                .pointer("/data/userId")
                .is_some_and(Value::is_string),
    )?;
    let polls = stage.get(&api, USER_POLLS)?;
    stage.check("the person's polls are there", polls.status == 200)?;
    let vote = stage.post(&api, VOTE)?;
    stage.check("the vote counts", vote.status == 200)
}

fn token_for_route(stage: &Stage) -> Played {
    let (application, (_, person)) = (application(stage)?, person(stage)?);
    for (path, wanted) in [
        (POLLS, TokenFor::Application),
        (WALLET, TokenFor::User),
        (USER_POLLS, TokenFor::User),
        ("/polls/1.0.0/polls?by=user", TokenFor::Application),
    ] {
        let (api, whose) = match stage.provider.token_for(path)? {
            TokenFor::User => (&person, "the person's"),
            _ => (&application, "the application's"),
        };
        let status = stage.get(api, path)?.status;
        stage.check(
            format_args!("{path} gets {whose} token, and is answered"),
            stage.provider.token_for(path)? == wanted && status == 200,
        )?;
    }
    Ok(())
}

fn two_owners(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    let tokens = stage.login(&client, ask()?)?;
    let own = || stage.own(&client, Scope::none());
    let sources = Sources::application(own()).with_user(stage.persons(&client, tokens)?);
    let both = stage.api_of(sources, stage.provider.api()?)?;
    for path in [POLLS, WALLET, USER_POLLS, "/polls/1.0.0/polls?by=user"] {
        let status = stage.get(&both, path)?.status;
        stage.check(format_args!("{path} is answered"), status == 200)?;
    }
    let before = stage.arrived();
    let odd = stage.get(&both, "/polls%2Fuser");
    stage.refused(
        "an escaped slash before `user`",
        odd,
        "resource.route_ambiguous",
    )?;
    let app = stage.api_of(Sources::application(own()), stage.provider.api()?)?;
    let missing = stage.get(&app, USER_POLLS);
    let error = stage.refused(
        "a user's route without a user",
        missing,
        "resource.owner_missing",
    )?;
    let detail = error.detail().unwrap_or_default().to_owned();
    stage.check(
        "the error says which login it wants",
        detail.contains("log a person in"),
    )?;
    stage.check("nothing was sent for either", stage.arrived() == before)
}

fn refresh_rotation(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    let old = stage.login(&client, ask()?)?;
    let new = refresh(stage, &client, &old)?;
    stage.check(
        "the refresh is authenticated with raw Basic",
        is_raw_basic(stage)?,
    )?;
    stage.check(
        "access token and refresh token are both new",
        !new.access_token.matches(old.access_token.expose())
            && refresh_secret(&new) != refresh_secret(&old),
    )?;
    let status = stage.get_with(&new.access_token, WALLET)?.status;
    stage.check("the new access token is taken", status == 200)?;
    refresh(stage, &client, &new)?;
    let refreshes = stage.counters().refreshes;
    stage.check("the new refresh token is good for another", refreshes == 2)
}

fn reuse_detection(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    let old = stage.login(&client, ask()?)?;
    let new = refresh(stage, &client, &old)?;
    let again = |tokens: &Tokens| match &tokens.refresh_token {
        Some(token) => stage.run(client.refresh(token)),
        None => Err(oauth_core::error::Misuse::NoRefreshToken.into()),
    };
    let error = stage.refused("the old refresh token", again(&old), "denied.invalid_grant")?;
    stage.check(
        "the advice is to log in again",
        error.advice() == Advice::Reauthorize,
    )?;
    stage.refused(
        "the new one, which did nothing wrong,",
        again(&new),
        "denied.invalid_grant",
    )?;
    let status = stage.get_with(&new.access_token, WALLET)?.status;
    stage.check("the new access token is dead too", status == 401)?;
    let events = stage.counters().reuse_events;
    stage.check("the server counts one reuse", events == 1)
}

fn revocation(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    let tokens = stage.run(client.client_credentials(Scope::none()))?;
    for (token, name) in [
        (tokens.access_token.clone(), "a known token"),
        (Secret::from("never-seen"), "a token the server never saw"),
    ] {
        stage.run(client.revoke(Revocation::new(token)))?;
        let status = stage.last_reply()?.status;
        stage.check(format_args!("{name} is answered 200"), status == 200)?;
    }
    let basic = stage
        .entry("/oauth2/revoke")?
        .header("authorization")
        .map(str::to_owned);
    stage.check("with raw Basic", basic == Some(raw_basic(stage)))?;
    let status = stage.get_with(&tokens.access_token, POLLS)?.status;
    stage.check("the known one is dead", status == 401)
}

fn after_revocation(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    let (tokens, api) = person(stage)?;
    let revoke = |token: Secret<String>| stage.run(client.revoke(Revocation::new(token)));
    revoke(tokens.access_token.clone())?;
    let status = stage.get(&api, WALLET)?.status;
    let refreshes = stage.counters().refreshes;
    stage.check(
        "without its access token: 401, one refresh, and the answer",
        status == 200 && refreshes == 1,
    )?;
    stage.twin(Twin::revoke_all);
    let result = stage.get(&api, WALLET);
    stage.refused(
        "without the whole grant: the refresh",
        result,
        "denied.invalid_grant",
    )?;
    let before = stage.arrived();
    let result = stage.get(&api, WALLET);
    let error = stage.refused("from then on: every call", result, "denied.invalid_grant")?;
    stage.check(
        "without a request, and with the advice to log in again",
        stage.arrived() == before && error.advice() == Advice::Reauthorize,
    )?;
    let status = stage.get(&application(stage)?, POLLS)?.status;
    stage.check(
        "the application's own tokens are none the worse",
        status == 200,
    )
}

fn expiry(stage: &Stage) -> Played {
    let client = stage.trusted()?;
    let tokens = stage.login(&client, ask()?)?;
    let dead = tokens.access_token.clone();
    stage.check(
        "the token is good for 7200 seconds",
        tokens.expires_in == Some(LIFETIME),
    )?;
    // Both clocks: the server's runs ahead, and the stored token gets older by as much.
    stage.advance(Duration::from_secs(LIFETIME));
    let api = stage.person(client, aged(&tokens)?)?;
    let status = stage.get(&api, WALLET)?.status;
    let counters = stage.counters();
    stage.check(
        "it is refreshed before the call: the API never saw a dead token",
        status == 200 && counters.refreshes == 1 && counters.api_401 == 0,
    )?;
    let status = stage.get_with(&dead, WALLET)?.status;
    stage.check("which it would have refused", status == 401)
}

/// The tokens as a store gives them back a lifetime later.
fn aged(tokens: &Tokens) -> Played<Tokens> {
    let mut stored: Value = serde_json::from_str(tokens.to_json().expose()).map_err(Failed::new)?;
    let then = tokens.received_at.as_secs().saturating_sub(LIFETIME);
    if let Some(members) = stored.as_object_mut() {
        members.insert("received_at".to_owned(), then.into());
    }
    Ok(Tokens::from_json(&stored.to_string())?)
}

fn ask() -> Played<AuthorizationRequest> {
    Ok(AuthorizationRequest::new(RedirectUri::parse(CALLBACK)?))
}

fn application(stage: &Stage) -> Played<Authorized> {
    Ok(stage.application(stage.trusted()?, Scope::none())?)
}

/// A person who has just logged in, and the API with their tokens.
fn person(stage: &Stage) -> Played<(Tokens, Authorized)> {
    let client = stage.trusted()?;
    let tokens = stage.login(&client, ask()?)?;
    let api = stage.person(client, tokens.clone())?;
    Ok((tokens, api))
}

fn refresh(stage: &Stage, client: &Client, tokens: &Tokens) -> Played<Tokens> {
    let token = tokens.refresh_token.as_ref();
    let token = token.ok_or_else(|| Failed::new("there is no refresh token"))?;
    Ok(stage.run(client.refresh(token))?)
}

fn refresh_secret(tokens: &Tokens) -> Option<&String> {
    tokens
        .refresh_token
        .as_ref()
        .map(|token| token.secret().expose())
}

/// Whether the last token request was authenticated as the documentation has it.
fn is_raw_basic(stage: &Stage) -> Played<bool> {
    let sent = stage.entry(TOKEN)?;
    Ok(sent.header("authorization") == Some(&raw_basic(stage))
        && sent.form("client_secret").is_none())
}

fn raw_basic(stage: &Stage) -> String {
    let pair = stage.twin(|twin| format!("{}:{}", twin.client_id(), twin.client_secret()));
    format!("Basic {}", STANDARD.encode(pair))
}
