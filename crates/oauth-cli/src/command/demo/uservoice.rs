//! UserVoice: a token response with one member, a trusted and a public client, and tokens whose
//! expiry is only visible as a 401.

use std::time::Duration;

use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::Advice;
use oauth_core::quirk::Rules;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::token::TokenType;
use oauth_core::{AuthorizationRequest, Client, ClientAuth, Moment, Scope, Tokens};
use oauth_reqwest::blocking::{Authorized, Listener};
use oauth_session::FixedToken;
use oauth_testkit::Twin;

use super::demo_env::{DemoEnv, Flow, FlowResult, System};

const TOKEN: &str = "/api/v2/oauth/token";
const AUTHORIZE: &str = "/api/v2/oauth/auth";
const ADMIN: &str = "/api/v2/admin/suggestions";
const USER: &str = "/api/v2/end_users/me";

pub(super) const SYSTEM: System = System {
    name: "uservoice",
    twin: Twin::uservoice,
    variables: &[("subdomain", "acme")],
    flows: &[
        Flow {
            name: "client_credentials",
            description: "a token for a trusted client, with its credentials in the body",
            run: client_credentials,
        },
        Flow {
            name: "missing_token_type_refused",
            description: "the same response, without the preset's quirk",
            run: missing_token_type_refused,
        },
        Flow {
            name: "authorization_code_pkce",
            description: "a public client's login through a loopback port",
            run: authorization_code_pkce,
        },
        Flow {
            name: "challenge_as_verifier",
            description: "the login as in the vendor's example, with the challenge sent twice",
            run: challenge_as_verifier,
        },
        Flow {
            name: "verifier_never_in_url",
            description: "no URL of either login contains the actual verifier",
            run: verifier_never_in_url,
        },
        Flow {
            name: "api_call",
            description: "two calls with one token",
            run: api_call,
        },
        Flow {
            name: "console_token",
            description: "a token created and revoked in the console",
            run: console_token,
        },
        Flow {
            name: "token_died",
            description: "a 401 without a challenge: one new token and one retry",
            run: token_died,
        },
        Flow {
            name: "token_revoked_in_console",
            description: "an administrator revokes a user's token, for which there is no endpoint",
            run: token_revoked_in_console,
        },
        Flow {
            name: "rate_limit",
            description: "429 with Retry-After, and the delay",
            run: rate_limit,
        },
        Flow {
            name: "subdomain_checked",
            description: "a subdomain that is not a single host name label",
            run: subdomain_checked,
        },
        Flow {
            name: "secret_in_browser_refused",
            description: "a trusted client's secret in a web page",
            run: secret_in_browser_refused,
        },
    ],
};

fn client_credentials(env: &DemoEnv) -> FlowResult {
    let tokens = env.run(env.confidential_client()?.client_credentials(Scope::none()))?;
    let sent = env.entry(TOKEN)?;
    let in_body = sent.form("client_id").is_some() && sent.form("client_secret").is_some();
    env.check(
        "the credentials are in the body, and not in a header",
        in_body && sent.header("authorization").is_none(),
    )?;
    env.check(
        "the response contains only the access token",
        env.last_reply()?.members() == ["access_token"],
    )?;
    env.check(
        "it is treated as a Bearer token without a known expiry",
        tokens.token_type == TokenType::Bearer && tokens.expires_in.is_none(),
    )?;
    let reply = env.get_with(&tokens.access_token, ADMIN)?;
    env.check("the API accepts it", reply.status == 200)
}

fn missing_token_type_refused(env: &DemoEnv) -> FlowResult {
    let server = env.provider.server()?.with_rules(Rules::default());
    let client = Client::new(server, env.client_id(), ClientAuth::post(env.secret()))?;
    let result = env.run(client.client_credentials(Scope::none()));
    env.check_refused(
        "a response without token_type",
        result,
        "token.missing_token_type",
    )?;
    let status = env.last_reply()?.status;
    env.check("the server's response had status 200", status == 200)
}

fn authorization_code_pkce(env: &DemoEnv) -> FlowResult {
    let tokens = loopback_login(env, &env.public_client()?)?;
    let authorize_entry = env.entry(AUTHORIZE)?;
    let (challenge, method) = (
        authorize_entry.query("code_challenge"),
        authorize_entry.query("code_challenge_method"),
    );
    env.check(
        "the authorization URL contains an S256 challenge, and no verifier",
        challenge.is_some()
            && method == Some("S256")
            && authorize_entry.query("code_verifier").is_none(),
    )?;
    let sent = env.entry(TOKEN)?;
    env.check(
        "the code is redeemed with its verifier, and without a client secret",
        sent.form("code_verifier").is_some() && sent.form("client_secret").is_none(),
    )?;
    let reply = env.get_with(&tokens.access_token, USER)?;
    let has_user = reply.body.pointer("/users/0/id").is_some();
    env.check(
        "the end users' API returns the user",
        reply.status == 200 && has_user,
    )
}

fn challenge_as_verifier(env: &DemoEnv) -> FlowResult {
    documented_login(env)?;
    let (authorize_entry, sent) = (env.entry(AUTHORIZE)?, env.entry(TOKEN)?);
    let (named, challenge) = (
        authorize_entry.query("code_verifier"),
        authorize_entry.query("code_challenge"),
    );
    env.check(
        "code_verifier in the URL equals the challenge",
        named.is_some() && named == challenge,
    )?;
    env.check(
        "the actual verifier is different, in the body of the token request",
        sent.form("code_verifier")
            .is_some_and(|real| named != Some(real)),
    )
}

fn verifier_never_in_url(env: &DemoEnv) -> FlowResult {
    loopback_login(env, &env.public_client()?)?;
    documented_login(env)?;
    let log = env.log();
    let verifiers: Vec<&str> = log.iter().filter_map(|e| e.form("code_verifier")).collect();
    let in_url = |verifier: &&str| {
        let mut values = log.iter().flat_map(|entry| &entry.query);
        values.any(|(_, value)| value == verifier)
    };
    env.check(
        "two verifiers are sent, and neither is in a URL",
        verifiers.len() == 2 && !verifiers.iter().any(in_url),
    )?;
    let leaks = env.counters().secrets_in_url;
    env.check("no URL contains a client secret", leaks == 0)
}

fn api_call(env: &DemoEnv) -> FlowResult {
    let api = admin(env)?;
    for _ in 0..2 {
        let reply = env.get(&api, ADMIN)?;
        env.check(
            "the API returns suggestions",
            reply.status == 200 && reply.body.get("suggestions").is_some(),
        )?;
    }
    let sent = env.entry(ADMIN)?;
    let is_bearer = sent
        .header("authorization")
        .is_some_and(|a| a.starts_with("Bearer "));
    env.check("the token is in the Authorization header", is_bearer)?;
    let requests = env.counters().token_requests;
    env.check("one token request is enough for both calls", requests == 1)
}

fn console_token(env: &DemoEnv) -> FlowResult {
    let now = Moment::system()?.now();
    let text = env.twin(|twin| twin.console_token(now));
    let api = env.api(FixedToken::new(text))?;
    for _ in 0..2 {
        let status = env.get(&api, ADMIN)?.status;
        env.check("the API accepts it repeatedly", status == 200)?;
    }
    env.twin(Twin::revoke_all);
    let revoked = env.get(&api, ADMIN);
    let error = env.check_refused("the token revoked there", revoked, "grant.revoked")?;
    env.check(
        "the advice is to create a new one",
        error.advice() == Advice::Reauthorize,
    )?;
    let counters = env.counters();
    env.check(
        "it is refused once, without a refresh or a retry",
        (
            counters.api_401,
            counters.api_calls,
            counters.token_requests,
        ) == (1, 3, 0),
    )
}

fn token_died(env: &DemoEnv) -> FlowResult {
    let api = admin(env)?;
    env.recovers_from_401(&api, ADMIN)
}

fn token_revoked_in_console(env: &DemoEnv) -> FlowResult {
    let client = env.public_client()?;
    let tokens = loopback_login(env, &client)?;
    let before = env.request_count();
    let revocation = Revocation::new(tokens.access_token.clone());
    let result = env.run(client.revoke(revocation));
    env.check_refused("a revocation by the client", result, "endpoint.missing")?;
    env.check("no request is sent for it", env.request_count() == before)?;

    let api = env.user_api(client, tokens)?;
    env.twin(Twin::revoke_all);
    let result = env.get(&api, USER);
    let error = env.check_refused(
        "the refresh of the revoked token",
        result,
        "grant.no_refresh_token",
    )?;
    env.check("the API returns 401", env.counters().api_401 == 1)?;
    env.check(
        "the advice is to log in again",
        error.advice() == Advice::Reauthorize,
    )
}

fn rate_limit(env: &DemoEnv) -> FlowResult {
    env.twin(|twin| twin.set_rate_limit(2));
    let api = admin(env)?;
    let calls = || env.get(&api, ADMIN);
    let (first, second, third) = (calls()?, calls()?, calls()?);
    let statuses = (first.status, second.status, third.status);
    env.check(
        "the third call in a minute is rate limited",
        statuses == (200, 200, 429),
    )?;
    let pause = third.pause.unwrap_or_default();
    env.check(
        "Retry-After is parsed as a delay of at most a minute",
        !pause.is_zero() && pause <= Duration::from_secs(60),
    )?;
    env.advance(pause.saturating_sub(Duration::from_secs(2)));
    env.check(
        "during the delay, the API keeps returning 429",
        calls()?.status == 429,
    )?;
    env.advance(Duration::from_secs(2));
    env.check("after the delay, the call succeeds", calls()?.status == 200)?;
    let requests = env.counters().token_requests;
    env.check("no new token is requested", requests == 1)
}

fn subdomain_checked(env: &DemoEnv) -> FlowResult {
    for tenant in [
        "evil.example/",
        "a.b",
        "acme.uservoice.com",
        "-acme",
        "acme@evil",
        "acme#",
        "",
    ] {
        let result = env.provider.clone().with("subdomain", tenant);
        env.check_refused(format_args!("`{tenant}`"), result, "provider.variable")?;
    }
    let acme = oauth_providers::provider("uservoice")?.with("subdomain", "Acme")?;
    env.check(
        "`Acme` becomes https://acme.uservoice.com",
        acme.issuer()?.as_str() == "https://acme.uservoice.com",
    )?;
    env.check("no request is sent", env.request_count() == 0)
}

fn secret_in_browser_refused(env: &DemoEnv) -> FlowResult {
    let error = env.check_refused(
        "a client secret in a page",
        env.provider.check_secret_in_browser(),
        "client_auth.secret_not_allowed",
    )?;
    let reason = error.detail().unwrap_or_default();
    env.check(
        "the error gives the reason",
        reason.contains("everyone who opens the page"),
    )?;
    let auth = env.public_client()?.auth().name();
    env.check("without a secret, it is a public client", auth == "none")?;
    let result = env.run(env.public_client()?.client_credentials(Scope::none()));
    env.check_refused(
        "the client credentials grant of the page",
        result,
        "client_auth.required",
    )?;
    env.check("no request is sent", env.request_count() == 0)
}

fn admin(env: &DemoEnv) -> FlowResult<Authorized> {
    Ok(env.application_api(env.confidential_client()?, Scope::none())?)
}

fn loopback_login(env: &DemoEnv, client: &Client) -> FlowResult<Tokens> {
    let listener = Listener::bind()?;
    let request = AuthorizationRequest::new(listener.redirect_uri().clone());
    env.login_at(listener, client, request)
}

/// The login with the option that follows the vendor's example.
fn documented_login(env: &DemoEnv) -> FlowResult<Tokens> {
    let provider = env.provider.clone().option("challenge_as_verifier")?;
    let id = env.public_client()?.client_id().clone();
    let callback = RedirectUri::parse("https://app.example/callback")?;
    env.login(
        &provider.client(id, None)?,
        AuthorizationRequest::new(callback),
    )
}
