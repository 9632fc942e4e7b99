//! UserTesting, with an app of the developer portal: registered redirect URLs, compared exactly,
//! and a secret that must not be in a URL, whatever the portal's example shows.

use oauth_core::error::Advice;
use oauth_core::issuer::RedirectUri;
use oauth_core::{AuthorizationRequest, Client, ClientAuth, Moment, Scope, Tokens};
use oauth_reqwest::blocking::Listener;
use oauth_testkit::{Fault, Twin};

use super::stage::{Flow, Played, Stage, System, Visit};

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
            what: "redirect URIs that are almost the registered one",
            play: redirect_uri_checked_locally,
        },
        Flow {
            name: "redirect_uri_checked_by_server",
            what: "the same, by a client that was told nothing",
            play: redirect_uri_checked_by_server,
        },
        Flow {
            name: "authorization_code_pkce",
            what: "a person's login for clips and studies",
            play: authorization_code_pkce,
        },
        Flow {
            name: "secret_in_url_refused",
            what: "the portal's example, client_secret in the authorization URL",
            play: secret_in_url_refused,
        },
        Flow {
            name: "wrong_state_refused",
            what: "a callback that belongs to another login",
            play: wrong_state_refused,
        },
        Flow {
            name: "wrong_issuer_refused",
            what: "a callback that another server answers for",
            play: wrong_issuer_refused,
        },
        Flow {
            name: "access_denied",
            what: "the person says no",
            play: access_denied,
        },
        Flow {
            name: "api_call",
            what: "session results with the person's token",
            play: api_call,
        },
        Flow {
            name: "expired_means_login",
            what: "the token dies and there is nothing to renew it with",
            play: expired_means_login,
        },
    ],
};

fn redirect_uri_checked_locally(stage: &Stage) -> Played {
    let client = app(stage, REGISTERED)?;
    for almost in [
        "https://app.example/callback/",
        "https://app.example/Callback",
        "https://app.example/callback?next=1",
        "https://app.example:8443/callback",
        "https://evil.example/callback",
        "http://127.0.0.1:8400/callback",
    ] {
        let ask = AuthorizationRequest::new(RedirectUri::parse(almost)?);
        let result = client.authorize(Moment::system()?, ask);
        stage.refused(almost, result, "redirect_uri.not_registered")?;
    }
    let result = stage
        .trusted()?
        .authorize(Moment::system()?, ask(REGISTERED)?);
    stage.refused(
        "any at all, by a client that registered none,",
        result,
        "redirect_uri.not_registered",
    )?;
    stage.check("no browser opened: nothing was sent", stage.arrived() == 0)
}

fn redirect_uri_checked_by_server(stage: &Stage) -> Played {
    let server = stage.provider.server()?;
    let client = Client::new(server, stage.client_id(), ClientAuth::post(stage.secret()))?;
    let ask = ask("https://evil.example/callback")?;
    let (url, _) = client.authorize(Moment::system()?, ask)?;
    let visit = stage.visit(&url)?;
    stage.check(
        "the server shows its own page, 400, and sends nobody anywhere",
        matches!(visit, Visit::Page(400)),
    )?;
    let codes = stage.counters().authorizations;
    stage.check("it handed out no code", codes == 0)
}

fn authorization_code_pkce(stage: &Stage) -> Played {
    // The portal registers this URL, port and all: this server does not let ports differ.
    let listener = Listener::bind()?;
    let callback = listener.redirect_uri().as_str().to_owned();
    stage.twin(|twin| twin.register_redirect_uri(&callback));
    let client = app(stage, &callback)?;
    let tokens = stage.login_at(listener, &client, ask(&callback)?)?;
    let asked = stage.entry(AUTHORIZE)?;
    stage.check(
        "both scopes are asked for, separated by a space",
        asked.query("scope") == Some("clips:read studies:read"),
    )?;
    stage.check(
        "the URL holds an S256 challenge and a state, and no secret",
        asked.query("code_challenge_method") == Some("S256")
            && asked.query("state").is_some()
            && asked.query("client_secret").is_none(),
    )?;
    let sent = stage.entry(TOKEN)?;
    stage.check(
        "code, verifier, secret and the same redirect URI are in the body",
        ["code", "code_verifier", "client_secret"]
            .iter()
            .all(|name| sent.form(name).is_some())
            && sent.form("redirect_uri") == Some(callback.as_str()),
    )?;
    stage.check(
        "both scopes are granted, for an hour, without a refresh token",
        tokens.scope == Scope::parse("clips:read studies:read")?
            && tokens.expires_in == Some(3600)
            && tokens.refresh_token.is_none(),
    )
}

fn secret_in_url_refused(stage: &Stage) -> Played {
    let client = app(stage, REGISTERED)?;
    let secret = stage.secret();
    for name in ["client_secret", "key"] {
        let ask = ask(REGISTERED)?.extra(name, secret.expose());
        let result = client.authorize(Moment::system()?, ask);
        stage.refused(
            format_args!("the secret as parameter `{name}`"),
            result,
            "form.secret_in_url",
        )?;
    }
    stage.check("nothing was sent", stage.arrived() == 0)?;
    login(stage, &client)?;
    let leaks = stage.counters().secrets_in_url;
    stage.check("a login without it works, no URL held a secret", leaks == 0)
}

fn wrong_state_refused(stage: &Stage) -> Played {
    let client = app(stage, REGISTERED)?;
    stage.twin(|twin| twin.inject(Fault::ForeignStateInCallback));
    let (pending, callback) = stage.authorize(&client, ask(REGISTERED)?)?;
    stage.check(
        "the waiting login does not recognise the callback",
        !pending.recognises(&callback),
    )?;
    let result = client.redeem(pending, &callback);
    stage.refused("its code", result, "callback.state")?;
    no_token_request(stage)
}

fn wrong_issuer_refused(stage: &Stage) -> Played {
    let client = app(stage, REGISTERED)?;
    stage.twin(|twin| twin.inject(Fault::WrongIssuerInCallback));
    let (pending, callback) = stage.authorize(&client, ask(REGISTERED)?)?;
    let result = client.redeem(pending, &callback);
    stage.refused("the code of another issuer", result, "callback.issuer")?;
    no_token_request(stage)
}

fn access_denied(stage: &Stage) -> Played {
    let client = app(stage, REGISTERED)?;
    stage.twin(Twin::deny_next);
    let (pending, callback) = stage.authorize(&client, ask(REGISTERED)?)?;
    let result = client.redeem(pending, &callback);
    let error = stage.refused("the login", result, "denied.access_denied")?;
    let said = error.server_error().and_then(|server| server.description());
    stage.check(
        "the server's words are kept",
        said == Some("the user said no"),
    )?;
    stage.check("the advice is to give up", error.advice() == Advice::GiveUp)?;
    no_token_request(stage)
}

fn api_call(stage: &Stage) -> Played {
    let client = app(stage, REGISTERED)?;
    let tokens = login(stage, &client)?;
    let api = stage.person(client, tokens)?;
    let reply = stage.get(&api, V2)?;
    stage.check(
        "the Results API answers",
        reply.status == 200 && reply.body.get("sessionResults").is_some(),
    )
}

fn expired_means_login(stage: &Stage) -> Played {
    let client = app(stage, REGISTERED)?;
    let tokens = login(stage, &client)?;
    let api = stage.person(client.clone(), tokens)?;
    stage.twin(Twin::expire_access_tokens);
    let result = stage.get(&api, V2);
    let error = stage.refused("the renewal after a 401", result, "grant.no_refresh_token")?;
    stage.check(
        "the advice is to log in again",
        error.advice() == Advice::Reauthorize,
    )?;
    let tokens = login(stage, &client)?;
    let reply = stage.get(&stage.person(client, tokens)?, V2)?;
    stage.check("which helps", reply.status == 200)
}

/// The app, with one registered redirect URI.
fn app(stage: &Stage, registered: &str) -> Played<Client> {
    let client = stage.trusted()?;
    Ok(client.with_redirect_uris([RedirectUri::parse(registered)?]))
}

fn ask(callback: &str) -> Played<AuthorizationRequest> {
    let scope = Scope::parse("clips:read studies:read")?;
    Ok(AuthorizationRequest::new(RedirectUri::parse(callback)?).scope(scope))
}

fn login(stage: &Stage, client: &Client) -> Played<Tokens> {
    stage.login(client, ask(REGISTERED)?)
}

fn no_token_request(stage: &Stage) -> Played {
    let requests = stage.counters().token_requests;
    stage.check("no token was asked for", requests == 0)
}
