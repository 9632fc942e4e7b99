//! Socios.com: raw Basic for one grant and the body for another, two kinds of token, rotation.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::Advice;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::token::TokenType;
use oauth_core::{AuthorizationRequest, Client, Moment, Scope, Secret, Tokens};
use oauth_providers::TokenOwner;
use oauth_reqwest::blocking::Authorized;
use oauth_session::Sources;
use oauth_testkit::Twin;
use serde_json::Value;

use super::demo_env::{DemoEnv, Discrepancy, Flow, FlowResult, System};

const TOKEN: &str = "/oauth2/token";
const AUTHORIZE: &str = "/oauth2/authorize";
const POLLS: &str = "/polls/1.0.0/polls";
const WALLET: &str = "/wallet/1.0.0/user/wallet";
const USER_POLLS: &str = "/user/polls";
const VOTE: &str = "/user/poll/1/vote";
const CALLBACK: &str = "https://app.example/callback";
const TOKEN_LIFETIME_SECONDS: u64 = 7200;

pub(super) const SYSTEM: System = System {
    name: "socios",
    twin: Twin::socios,
    variables: &[],
    flows: &[
        Flow {
            name: "client_credentials",
            description: "a token for the application, with consumer key and secret in raw Basic",
            run: client_credentials,
        },
        Flow {
            name: "public_route",
            description: "a public route, with the application's token",
            run: public_route,
        },
        Flow {
            name: "user_route_refused",
            description: "a user's route, refused with the application's token",
            run: user_route_refused,
        },
        Flow {
            name: "code_exchange",
            description: "Socios.com Connect, with partner tag and tracking parameters",
            run: code_exchange,
        },
        Flow {
            name: "tracking_shadow_refused",
            description: "tracking parameters with names reserved by the protocol",
            run: tracking_shadow_refused,
        },
        Flow {
            name: "user_api",
            description: "wallet, polls and a vote, with the user's token",
            run: user_api,
        },
        Flow {
            name: "token_for_route",
            description: "the preset selects the token for each route",
            run: token_for_route,
        },
        Flow {
            name: "two_owners",
            description: "one API with both token sources: each route gets the right token",
            run: two_owners,
        },
        Flow {
            name: "refresh_rotation",
            description: "each refresh returns a new refresh token",
            run: refresh_rotation,
        },
        Flow {
            name: "reuse_detection",
            description: "reuse of an old refresh token revokes the whole grant",
            run: reuse_detection,
        },
        Flow {
            name: "revocation",
            description: "200 for known and unknown tokens",
            run: revocation,
        },
        Flow {
            name: "after_revocation",
            description: "an API client after its tokens are revoked",
            run: after_revocation,
        },
        Flow {
            name: "expiry",
            description: "after two hours, a refresh and then the call",
            run: expiry,
        },
    ],
};

fn client_credentials(env: &DemoEnv) -> FlowResult {
    let tokens = env.run(env.confidential_client()?.client_credentials(Scope::none()))?;
    let sent = env.entry(TOKEN)?;
    env.check(
        "the header is Base64(key:secret), without form encoding",
        is_raw_basic(env)?,
    )?;
    env.check(
        "the body is a form with only the grant type",
        sent.form == [("grant_type".to_owned(), "client_credentials".to_owned())],
    )?;
    env.check(
        "`bearer` in lower case is accepted as Bearer, valid for 7200 seconds",
        tokens.token_type == TokenType::Bearer && tokens.expires_in == Some(TOKEN_LIFETIME_SECONDS),
    )
}

fn public_route(env: &DemoEnv) -> FlowResult {
    let api = application(env)?;
    let reply = env.get(&api, POLLS)?;
    env.check(
        "the API returns polls",
        reply.status == 200 && reply.body.pointer("/data/0/id").is_some(),
    )
}

fn user_route_refused(env: &DemoEnv) -> FlowResult {
    let route = env.provider.token_for(WALLET);
    env.check(
        "the preset knows that this route requires a user's token",
        route? == TokenOwner::User,
    )?;
    let reply = env.get(&application(env)?, WALLET)?;
    env.check("the API returns 403", reply.status == 403)?;
    let requests = env.counters().token_requests;
    env.check("the token is not treated as expired", requests == 1)
}

fn code_exchange(env: &DemoEnv) -> FlowResult {
    let extras = [
        ("partner_tag", "acme"),
        ("referrer", "newsletter"),
        ("campaign", "spring"),
        ("param1", "a"),
        ("param2", "b"),
        ("param3", "c"),
    ];
    let mut request = authorization_request()?;
    for (name, value) in extras {
        env.provider.authorization_parameter(name)?;
        request = request.extra(name, value);
    }
    let tokens = env.login(&env.confidential_client()?, request)?;
    let (authorize_entry, sent) = (env.entry(AUTHORIZE)?, env.entry(TOKEN)?);
    env.check(
        "the authorization URL contains partner tag and tracking parameters unchanged",
        extras
            .iter()
            .all(|(name, value)| authorize_entry.query(name) == Some(value)),
    )?;
    env.check(
        "key and secret are in the body, and not in a header",
        sent.form("client_id").is_some()
            && sent.form("client_secret").is_some()
            && sent.header("authorization").is_none(),
    )?;
    env.check(
        "the body also contains the code and the redirect URI of the authorization request",
        sent.form("code").is_some()
            && sent.form("redirect_uri") == authorize_entry.query("redirect_uri"),
    )?;
    env.check("a refresh token is issued", tokens.refresh_token.is_some())
}

fn tracking_shadow_refused(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    for name in [
        "state",
        "redirect_uri",
        "client_id",
        "scope",
        "code_challenge",
        "response_type",
    ] {
        let result = client.authorize(
            &Moment::system()?,
            authorization_request()?.extra(name, "tracking"),
        );
        env.check_refused(format_args!("`{name}`"), result, "form.reserved_parameter")?;
    }
    let twice = authorization_request()?
        .extra("campaign", "a")
        .extra("campaign", "b");
    let result = client.authorize(&Moment::system()?, twice);
    env.check_refused("`campaign` twice", result, "form.duplicate_parameter")?;
    let result = env.provider.authorization_parameter("utm_source");
    env.check_refused(
        "the undocumented `utm_source`",
        result,
        "form.unlisted_parameter",
    )?;
    env.check("no request is sent", env.request_count() == 0)
}

fn user_api(env: &DemoEnv) -> FlowResult {
    let (_, api) = person(env)?;
    let wallet = env.get(&api, WALLET)?;
    env.check(
        "the wallet identifies the user: {\"data\":{\"userId\":\"…\"}}",
        wallet.status == 200
            && wallet
                .body
                .pointer("/data/userId")
                .is_some_and(Value::is_string),
    )?;
    let polls = env.get(&api, USER_POLLS)?;
    env.check("the API returns the user's polls", polls.status == 200)?;
    let vote = env.post(&api, VOTE)?;
    env.check("the vote is accepted", vote.status == 200)
}

fn token_for_route(env: &DemoEnv) -> FlowResult {
    let (application, (_, person)) = (application(env)?, person(env)?);
    for (path, expected_owner) in [
        (POLLS, TokenOwner::Application),
        (WALLET, TokenOwner::User),
        (USER_POLLS, TokenOwner::User),
        ("/polls/1.0.0/polls?by=user", TokenOwner::Application),
    ] {
        let (api, whose) = match env.provider.token_for(path)? {
            TokenOwner::User => (&person, "the user's"),
            _ => (&application, "the application's"),
        };
        let status = env.get(api, path)?.status;
        env.check(
            format_args!("{path} is called with {whose} token"),
            env.provider.token_for(path)? == expected_owner && status == 200,
        )?;
    }
    Ok(())
}

fn two_owners(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    let tokens = env.login(&client, authorization_request()?)?;
    let client_grant = || env.client_grant(&client, Scope::none());
    let sources = Sources::application(client_grant()).with_user(env.user_grant(&client, tokens)?);
    let both = env.api_with(sources, env.provider.api()?)?;
    for path in [POLLS, WALLET, USER_POLLS, "/polls/1.0.0/polls?by=user"] {
        let status = env.get(&both, path)?.status;
        env.check(format_args!("{path} is called successfully"), status == 200)?;
    }
    let before = env.request_count();
    let encoded_route = env.get(&both, "/polls%2Fuser");
    env.check_refused(
        "an escaped slash before `user`",
        encoded_route,
        "resource.route_ambiguous",
    )?;
    let app = env.api_with(Sources::application(client_grant()), env.provider.api()?)?;
    let missing = env.get(&app, USER_POLLS);
    let error = env.check_refused(
        "a user's route without a user",
        missing,
        "resource.no_token_source",
    )?;
    let detail = error.detail().unwrap_or_default().to_owned();
    env.check(
        "the error says that a login is required",
        detail.contains("log a user in"),
    )?;
    env.check(
        "no request is sent for either",
        env.request_count() == before,
    )
}

fn refresh_rotation(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    let old = env.login(&client, authorization_request()?)?;
    let new = refresh(env, &client, &old)?;
    env.check(
        "the refresh authenticates the revocation authenticates with raw Basic",
        is_raw_basic(env)?,
    )?;
    env.check(
        "access token and refresh token are both new",
        !new.access_token.matches(old.access_token.expose())
            && refresh_secret(&new) != refresh_secret(&old),
    )?;
    let status = env.get_with(&new.access_token, WALLET)?.status;
    env.check("the API accepts the new access token", status == 200)?;
    refresh(env, &client, &new)?;
    let refreshes = env.counters().refreshes;
    env.check("the new refresh token works once more", refreshes == 2)
}

fn reuse_detection(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    let old = env.login(&client, authorization_request()?)?;
    let new = refresh(env, &client, &old)?;
    let refresh_again = |tokens: &Tokens| match &tokens.refresh_token {
        Some(token) => env.run(client.refresh(token)),
        None => Err(oauth_core::error::Misuse::NoRefreshToken.into()),
    };
    let error = env.check_refused(
        "the old refresh token",
        refresh_again(&old),
        "denied.invalid_grant",
    )?;
    env.check(
        "the advice is to log in again",
        error.advice() == Advice::Reauthorize,
    )?;
    env.check_refused(
        "the new refresh token",
        refresh_again(&new),
        "denied.invalid_grant",
    )?;
    let status = env.get_with(&new.access_token, WALLET)?.status;
    env.check("the new access token is revoked too", status == 401)?;
    let events = env.counters().reuse_events;
    env.check("the server detects one reuse", events == 1)
}

fn revocation(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    let tokens = env.run(client.client_credentials(Scope::none()))?;
    for (token, name) in [
        (tokens.access_token.clone(), "a known token"),
        (Secret::from("never-seen"), "an unknown token"),
    ] {
        env.run(client.revoke(Revocation::new(token)))?;
        let status = env.last_reply()?.status;
        env.check(format_args!("{name} is revoked with 200"), status == 200)?;
    }
    let basic = env
        .entry("/oauth2/revoke")?
        .header("authorization")
        .map(str::to_owned);
    env.check(
        "the revocation authenticates with raw Basic",
        basic == Some(raw_basic(env)),
    )?;
    let status = env.get_with(&tokens.access_token, POLLS)?.status;
    env.check("the known token is no longer accepted", status == 401)
}

fn after_revocation(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    let (tokens, api) = person(env)?;
    let revoke = |token: Secret<String>| env.run(client.revoke(Revocation::new(token)));
    revoke(tokens.access_token.clone())?;
    let status = env.get(&api, WALLET)?.status;
    let refreshes = env.counters().refreshes;
    env.check(
        "after the access token is revoked: 401, one refresh and the response",
        status == 200 && refreshes == 1,
    )?;
    env.twin(Twin::revoke_all);
    let result = env.get(&api, WALLET);
    env.check_refused(
        "after the grant is revoked, the refresh",
        result,
        "denied.invalid_grant",
    )?;
    let before = env.request_count();
    let result = env.get(&api, WALLET);
    let error = env.check_refused("from then on, every call", result, "denied.invalid_grant")?;
    env.check(
        "no request is sent, and the advice is to log in again",
        env.request_count() == before && error.advice() == Advice::Reauthorize,
    )?;
    let status = env.get(&application(env)?, POLLS)?.status;
    env.check(
        "the application's own tokens are not affected",
        status == 200,
    )
}

fn expiry(env: &DemoEnv) -> FlowResult {
    let client = env.confidential_client()?;
    let tokens = env.login(&client, authorization_request()?)?;
    let expired = tokens.access_token.clone();
    env.check(
        "the token is valid for 7200 seconds",
        tokens.expires_in == Some(TOKEN_LIFETIME_SECONDS),
    )?;
    // Both clocks: the server's runs ahead, and the stored token gets older by as much.
    env.advance(Duration::from_secs(TOKEN_LIFETIME_SECONDS));
    let api = env.user_api(client, as_expired(&tokens)?)?;
    let status = env.get(&api, WALLET)?.status;
    let counters = env.counters();
    env.check(
        "it is refreshed before the call, so the API never receives an expired token",
        status == 200 && counters.refreshes == 1 && counters.api_401 == 0,
    )?;
    let status = env.get_with(&expired, WALLET)?.status;
    env.check(
        "the API would have refused the expired token",
        status == 401,
    )
}

/// The tokens as loaded from a store after their lifetime.
fn as_expired(tokens: &Tokens) -> FlowResult<Tokens> {
    let mut stored: Value =
        serde_json::from_str(tokens.to_json().expose()).map_err(Discrepancy::new)?;
    let earlier_receipt = tokens
        .received_at
        .as_secs()
        .saturating_sub(TOKEN_LIFETIME_SECONDS);
    if let Some(members) = stored.as_object_mut() {
        members.insert("received_at".to_owned(), earlier_receipt.into());
    }
    Ok(Tokens::from_json(&stored.to_string())?)
}

fn authorization_request() -> FlowResult<AuthorizationRequest> {
    Ok(AuthorizationRequest::new(RedirectUri::parse(CALLBACK)?))
}

fn application(env: &DemoEnv) -> FlowResult<Authorized> {
    Ok(env.application_api(env.confidential_client()?, Scope::none())?)
}

/// A user who has just logged in, and the API with their tokens.
fn person(env: &DemoEnv) -> FlowResult<(Tokens, Authorized)> {
    let client = env.confidential_client()?;
    let tokens = env.login(&client, authorization_request()?)?;
    let api = env.user_api(client, tokens.clone())?;
    Ok((tokens, api))
}

fn refresh(env: &DemoEnv, client: &Client, tokens: &Tokens) -> FlowResult<Tokens> {
    let token = tokens.refresh_token.as_ref();
    let token = token.ok_or_else(|| Discrepancy::new("no refresh token was issued"))?;
    Ok(env.run(client.refresh(token))?)
}

fn refresh_secret(tokens: &Tokens) -> Option<&String> {
    tokens
        .refresh_token
        .as_ref()
        .map(|token| token.secret().expose())
}

/// Whether the last token request was authenticated as documented.
fn is_raw_basic(env: &DemoEnv) -> FlowResult<bool> {
    let sent = env.entry(TOKEN)?;
    Ok(sent.header("authorization") == Some(&raw_basic(env))
        && sent.form("client_secret").is_none())
}

fn raw_basic(env: &DemoEnv) -> String {
    let pair = env.twin(|twin| format!("{}:{}", twin.client_id(), twin.client_secret()));
    format!("Basic {}", STANDARD.encode(pair))
}
