//! UserTesting, with an app of the developer portal: registered redirect URLs, compared exactly,
//! and a secret that must not be in a URL, although the portal's example shows it.

use oauth_core::error::Advice;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{AuthorizationRequest, Client, ClientAuth, Moment, Scope, Tokens};
use oauth_reqwest::blocking::Listener;
use oauth_testkit::{Fault, Twin};

use super::demo_env::{DemoEnv, Flow, FlowResult, System, Visit};

const AUTHORIZE: &str = "/oauth2/0oa1partnerapp2345678/v1/authorize";
const TOKEN: &str = "/oauth2/0oa1partnerapp2345678/v1/token";
const V2: &str = "/api/v2/sessionResults/?testId=7";
const REGISTERED: &str = "https://app.example/callback";

pub(super) const SYSTEM: System = System {
    name: "usertesting-apps",
    twin: Twin::usertesting_apps,
    variables: &[("guid", "0oa1partnerapp2345678")],
    flows: &[
        Flow {
            name: "redirect_uri_checked_locally",
            description: "redirect URIs that differ slightly from the registered one",
            run: redirect_uri_checked_locally,
        },
        Flow {
            name: "redirect_uri_checked_by_server",
            description: "the same, without registered redirect URIs in the client",
            run: redirect_uri_checked_by_server,
        },
        Flow {
            name: "authorization_code_pkce",
            description: "a user's login for clips and studies",
            run: authorization_code_pkce,
        },
        Flow {
            name: "secret_in_url_refused",
            description: "the portal's example with client_secret in the authorization URL",
            run: secret_in_url_refused,
        },
        Flow {
            name: "wrong_state_refused",
            description: "a callback that belongs to another login",
            run: wrong_state_refused,
        },
        Flow {
            name: "wrong_issuer_refused",
            description: "a callback from another server",
            run: wrong_issuer_refused,
        },
        Flow {
            name: "access_denied",
            description: "the user denies access",
            run: access_denied,
        },
        Flow {
            name: "api_call",
            description: "session results with the user's token",
            run: api_call,
        },
        Flow {
            name: "expired_means_login",
            description: "an expired token without a refresh token requires a new login",
            run: expired_means_login,
        },
    ],
};

fn redirect_uri_checked_locally(env: &DemoEnv) -> FlowResult {
    let client = app(env, REGISTERED)?;
    for almost in [
        "https://app.example/callback/",
        "https://app.example/Callback",
        "https://app.example/callback?next=1",
        "https://app.example:8443/callback",
        "https://evil.example/callback",
        "http://127.0.0.1:8400/callback",
    ] {
        let request = AuthorizationRequest::new(RedirectUri::parse(almost)?);
        let result = client.authorize(&Moment::system()?, request);
        env.check_refused(almost, result, "redirect_uri.not_registered")?;
    }
    let result = env
        .confidential_client()?
        .authorize(&Moment::system()?, authorization_request(REGISTERED)?);
    env.check_refused(
        "any redirect URI of a client without a registered one",
        result,
        "redirect_uri.not_registered",
    )?;
    env.check(
        "no browser is opened, and no request is sent",
        env.request_count() == 0,
    )
}

fn redirect_uri_checked_by_server(env: &DemoEnv) -> FlowResult {
    let server = env.provider.server()?;
    let client = Client::new(server, env.client_id(), ClientAuth::post(env.secret()))?;
    let request = authorization_request("https://evil.example/callback")?;
    let (url, _) = client.authorize(&Moment::system()?, request)?;
    let visit = env.visit(&url)?;
    env.check(
        "the server shows its own page with 400, and does not redirect",
        matches!(visit, Visit::Page(400)),
    )?;
    let codes = env.counters().authorizations;
    env.check("no code is issued", codes == 0)
}

fn authorization_code_pkce(env: &DemoEnv) -> FlowResult {
    // The portal registers this URL, port and all: this server does not let ports differ.
    let listener = Listener::bind()?;
    let callback = listener.redirect_uri().as_str().to_owned();
    env.twin(|twin| twin.register_redirect_uri(&callback));
    let client = app(env, &callback)?;
    let tokens = env.login_at(listener, &client, authorization_request(&callback)?)?;
    let authorize_entry = env.entry(AUTHORIZE)?;
    env.check(
        "both scopes are requested, separated by a space",
        authorize_entry.query("scope") == Some("clips:read studies:read"),
    )?;
    env.check(
        "the URL contains an S256 challenge and a state, and no secret",
        authorize_entry.query("code_challenge_method") == Some("S256")
            && authorize_entry.query("state").is_some()
            && authorize_entry.query("client_secret").is_none(),
    )?;
    let sent = env.entry(TOKEN)?;
    env.check(
        "code, verifier, secret and the same redirect URI are in the body",
        ["code", "code_verifier", "client_secret"]
            .iter()
            .all(|name| sent.form(name).is_some())
            && sent.form("redirect_uri") == Some(callback.as_str()),
    )?;
    env.check(
        "both scopes are granted, for an hour, without a refresh token",
        tokens.scope == Scope::parse("clips:read studies:read")?
            && tokens.expires_in == Some(3600)
            && tokens.refresh_token.is_none(),
    )
}

fn secret_in_url_refused(env: &DemoEnv) -> FlowResult {
    let client = app(env, REGISTERED)?;
    let secret = env.secret();
    for name in ["client_secret", "key"] {
        let request = authorization_request(REGISTERED)?.extra(name, secret.expose());
        let result = client.authorize(&Moment::system()?, request);
        env.check_refused(
            format_args!("the secret as parameter `{name}`"),
            result,
            "form.secret_in_url",
        )?;
    }
    env.check("no request is sent", env.request_count() == 0)?;
    login(env, &client)?;
    let leaks = env.counters().secrets_in_url;
    env.check(
        "a login without it succeeds, and no URL contains a secret",
        leaks == 0,
    )
}

fn wrong_state_refused(env: &DemoEnv) -> FlowResult {
    let client = app(env, REGISTERED)?;
    env.twin(|twin| twin.inject(Fault::ForeignStateInCallback));
    let (pending, callback) = env.authorize(&client, authorization_request(REGISTERED)?)?;
    env.check(
        "the pending login rejects the callback",
        !pending.recognizes(&callback),
    )?;
    let result = client.redeem(pending, &callback);
    env.check_refused("its code", result, "callback.state")?;
    no_token_request(env)
}

fn wrong_issuer_refused(env: &DemoEnv) -> FlowResult {
    let client = app(env, REGISTERED)?;
    env.twin(|twin| twin.inject(Fault::WrongIssuerInCallback));
    let (pending, callback) = env.authorize(&client, authorization_request(REGISTERED)?)?;
    let result = client.redeem(pending, &callback);
    env.check_refused("the code of another issuer", result, "callback.issuer")?;
    no_token_request(env)
}

fn access_denied(env: &DemoEnv) -> FlowResult {
    let client = app(env, REGISTERED)?;
    env.twin(Twin::deny_next);
    let (pending, callback) = env.authorize(&client, authorization_request(REGISTERED)?)?;
    let result = client.redeem(pending, &callback);
    let error = env.check_refused("the login", result, "denied.access_denied")?;
    let description = error.server_error().and_then(|server| server.description());
    env.check(
        "the server's error description is kept",
        description == Some("the user denied the request"),
    )?;
    env.check("the advice is to give up", error.advice() == Advice::GiveUp)?;
    no_token_request(env)
}

fn api_call(env: &DemoEnv) -> FlowResult {
    let client = app(env, REGISTERED)?;
    let tokens = login(env, &client)?;
    let api = env.user_api(client, tokens)?;
    let reply = env.get(&api, V2)?;
    env.check(
        "the Results API returns session results",
        reply.status == 200 && reply.body.get("sessionResults").is_some(),
    )
}

fn expired_means_login(env: &DemoEnv) -> FlowResult {
    let client = app(env, REGISTERED)?;
    let tokens = login(env, &client)?;
    let api = env.user_api(client.clone(), tokens)?;
    env.twin(Twin::expire_access_tokens);
    let result = env.get(&api, V2);
    let error = env.check_refused("the refresh after a 401", result, "grant.no_refresh_token")?;
    env.check(
        "the advice is to log in again",
        error.advice() == Advice::Reauthorize,
    )?;
    let tokens = login(env, &client)?;
    let reply = env.get(&env.user_api(client, tokens)?, V2)?;
    env.check("the call succeeds after a new login", reply.status == 200)
}

/// The app, with one registered redirect URI.
fn app(env: &DemoEnv, registered: &str) -> FlowResult<Client> {
    let client = env.confidential_client()?;
    Ok(client.with_redirect_uris([RedirectUri::parse(registered)?]))
}

fn authorization_request(callback: &str) -> FlowResult<AuthorizationRequest> {
    let scope = Scope::parse("clips:read studies:read")?;
    Ok(AuthorizationRequest::new(RedirectUri::parse(callback)?).scope(scope))
}

fn login(env: &DemoEnv, client: &Client) -> FlowResult<Tokens> {
    env.login(client, authorization_request(REGISTERED)?)
}

fn no_token_request(env: &DemoEnv) -> FlowResult {
    let requests = env.counters().token_requests;
    env.check("no token is requested", requests == 0)
}
