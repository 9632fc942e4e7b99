//! UserVoice: a token response with one member, a trusted and a public client, and tokens whose
//! end shows in a 401 alone.

use std::time::Duration;

use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::Advice;
use oauth_core::issuer::RedirectUri;
use oauth_core::quirk::Rules;
use oauth_core::token::TokenType;
use oauth_core::{AuthorizationRequest, Client, ClientAuth, Moment, Scope, Tokens};
use oauth_reqwest::blocking::{Authorized, Listener};
use oauth_session::FixedToken;
use oauth_testkit::Twin;

use super::stage::{Flow, Played, Stage, System};

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
            what: "a trusted client's token, its id and secret in the body",
            play: client_credentials,
        },
        Flow {
            name: "missing_token_type_refused",
            what: "the same reply, read without the preset's quirk",
            play: missing_token_type_refused,
        },
        Flow {
            name: "authorization_code_pkce",
            what: "a public client's login through a loopback port",
            play: authorization_code_pkce,
        },
        Flow {
            name: "challenge_as_verifier",
            what: "the login as the owner's page shows it, the challenge named twice",
            play: challenge_as_verifier,
        },
        Flow {
            name: "verifier_never_in_url",
            what: "both logins, and every URL that was asked for",
            play: verifier_never_in_url,
        },
        Flow {
            name: "api_call",
            what: "two calls with one token",
            play: api_call,
        },
        Flow {
            name: "console_token",
            what: "a token made by hand in the console, and its end there",
            play: console_token,
        },
        Flow {
            name: "token_died",
            what: "a 401 without a challenge: one new token, one more try",
            play: token_died,
        },
        Flow {
            name: "token_revoked_in_console",
            what: "an administrator ends a person's token; there is no endpoint to do it",
            play: token_revoked_in_console,
        },
        Flow {
            name: "rate_limit",
            what: "429 with Retry-After, and the pause that is asked for",
            play: rate_limit,
        },
        Flow {
            name: "subdomain_checked",
            what: "a tenant that is not one label of a host name",
            play: subdomain_checked,
        },
        Flow {
            name: "secret_in_browser_refused",
            what: "a trusted client's secret asked for by a web page",
            play: secret_in_browser_refused,
        },
    ],
};

fn client_credentials(stage: &Stage) -> Played {
    let tokens = stage.run(stage.trusted()?.client_credentials(Scope::none()))?;
    let sent = stage.entry(TOKEN)?;
    let in_body = sent.form("client_id").is_some() && sent.form("client_secret").is_some();
    stage.check(
        "the credentials are in the body, none in a header",
        in_body && sent.header("authorization").is_none(),
    )?;
    stage.check(
        "the reply names the access token and nothing else",
        stage.last_reply()?.members() == ["access_token"],
    )?;
    stage.check(
        "it is taken for a Bearer token that ends nobody knows when",
        tokens.token_type == TokenType::Bearer && tokens.expires_in.is_none(),
    )?;
    let reply = stage.get_with(&tokens.access_token, ADMIN)?;
    stage.check("the API takes it", reply.status == 200)
}

fn missing_token_type_refused(stage: &Stage) -> Played {
    let server = stage.provider.server()?.with_rules(Rules::default());
    let client = Client::new(server, stage.client_id(), ClientAuth::post(stage.secret()))?;
    let result = stage.run(client.client_credentials(Scope::none()));
    stage.refused(
        "a reply without token_type",
        result,
        "token.missing_token_type",
    )?;
    let status = stage.last_reply()?.status;
    stage.check("though the server said 200", status == 200)
}

fn authorization_code_pkce(stage: &Stage) -> Played {
    let tokens = loopback_login(stage, &stage.public()?)?;
    let asked = stage.entry(AUTHORIZE)?;
    let (challenge, method) = (
        asked.query("code_challenge"),
        asked.query("code_challenge_method"),
    );
    stage.check(
        "the authorization URL holds an S256 challenge, and no verifier",
        challenge.is_some() && method == Some("S256") && asked.query("code_verifier").is_none(),
    )?;
    let sent = stage.entry(TOKEN)?;
    stage.check(
        "the code is redeemed with its verifier, by a client that has no secret",
        sent.form("code_verifier").is_some() && sent.form("client_secret").is_none(),
    )?;
    let reply = stage.get_with(&tokens.access_token, USER)?;
    let has_user = reply.body.pointer("/users/0/id").is_some();
    stage.check(
        "the end users' API knows the person",
        reply.status == 200 && has_user,
    )
}

fn challenge_as_verifier(stage: &Stage) -> Played {
    documented_login(stage)?;
    let (asked, sent) = (stage.entry(AUTHORIZE)?, stage.entry(TOKEN)?);
    let (named, challenge) = (asked.query("code_verifier"), asked.query("code_challenge"));
    stage.check(
        "code_verifier in the URL is the challenge once more",
        named.is_some() && named == challenge,
    )?;
    stage.check(
        "the real verifier is another one, in the body of the token request",
        sent.form("code_verifier")
            .is_some_and(|real| named != Some(real)),
    )
}

fn verifier_never_in_url(stage: &Stage) -> Played {
    loopback_login(stage, &stage.public()?)?;
    documented_login(stage)?;
    let log = stage.log();
    let verifiers: Vec<&str> = log.iter().filter_map(|e| e.form("code_verifier")).collect();
    let in_url = |verifier: &&str| {
        let mut values = log.iter().flat_map(|entry| &entry.query);
        values.any(|(_, value)| value == verifier)
    };
    stage.check(
        "two verifiers were sent, and neither was ever in a URL",
        verifiers.len() == 2 && !verifiers.iter().any(in_url),
    )?;
    let leaks = stage.counters().secrets_in_url;
    stage.check("no URL held a client secret", leaks == 0)
}

fn api_call(stage: &Stage) -> Played {
    let api = admin(stage)?;
    for _ in 0..2 {
        let reply = stage.get(&api, ADMIN)?;
        stage.check(
            "the API answers with suggestions",
            reply.status == 200 && reply.body.get("suggestions").is_some(),
        )?;
    }
    let sent = stage.entry(ADMIN)?;
    let is_bearer = sent
        .header("authorization")
        .is_some_and(|a| a.starts_with("Bearer "));
    stage.check("the token is in the Authorization header", is_bearer)?;
    let requests = stage.counters().token_requests;
    stage.check("one token request served both calls", requests == 1)
}

fn console_token(stage: &Stage) -> Played {
    let now = Moment::system()?.now();
    let text = stage.twin(|twin| twin.console_token(now));
    let api = stage.api(FixedToken::new(text))?;
    for _ in 0..2 {
        let status = stage.get(&api, ADMIN)?.status;
        stage.check("the API takes it, as often as it is asked", status == 200)?;
    }
    stage.twin(Twin::revoke_all);
    let dead = stage.get(&api, ADMIN);
    let error = stage.refused("the token that was revoked there", dead, "grant.revoked")?;
    stage.check(
        "the advice is to make another",
        error.advice() == Advice::Reauthorize,
    )?;
    let counters = stage.counters();
    stage.check(
        "it was refused once, and neither renewed nor tried again",
        (
            counters.api_401,
            counters.api_calls,
            counters.token_requests,
        ) == (1, 3, 0),
    )
}

fn token_died(stage: &Stage) -> Played {
    let api = admin(stage)?;
    stage.recovers_from_401(&api, ADMIN)
}

fn token_revoked_in_console(stage: &Stage) -> Played {
    let client = stage.public()?;
    let tokens = loopback_login(stage, &client)?;
    let before = stage.arrived();
    let revocation = Revocation::new(tokens.access_token.clone());
    let result = stage.run(client.revoke(revocation));
    stage.refused("a revocation by the client", result, "endpoint.missing")?;
    stage.check("nothing was sent for it", stage.arrived() == before)?;

    let api = stage.person(client, tokens)?;
    stage.twin(Twin::revoke_all);
    let result = stage.get(&api, USER);
    let error = stage.refused("the dead token's renewal", result, "grant.no_refresh_token")?;
    stage.check("the API said 401", stage.counters().api_401 == 1)?;
    stage.check(
        "the advice is to log in again",
        error.advice() == Advice::Reauthorize,
    )
}

fn rate_limit(stage: &Stage) -> Played {
    stage.twin(|twin| twin.set_rate_limit(2));
    let api = admin(stage)?;
    let calls = || stage.get(&api, ADMIN);
    let (first, second, third) = (calls()?, calls()?, calls()?);
    let statuses = (first.status, second.status, third.status);
    stage.check(
        "the third call of a minute is one too many",
        statuses == (200, 200, 429),
    )?;
    let pause = third.pause.unwrap_or_default();
    stage.check(
        "Retry-After is read as a pause of at most a minute",
        !pause.is_zero() && pause <= Duration::from_secs(60),
    )?;
    stage.advance(pause.saturating_sub(Duration::from_secs(2)));
    stage.check(
        "before its end the answer stays 429",
        calls()?.status == 429,
    )?;
    stage.advance(Duration::from_secs(2));
    stage.check("after it the API answers again", calls()?.status == 200)?;
    let requests = stage.counters().token_requests;
    stage.check("no new token was asked for", requests == 1)
}

fn subdomain_checked(stage: &Stage) -> Played {
    for tenant in [
        "evil.example/",
        "a.b",
        "acme.uservoice.com",
        "-acme",
        "acme@evil",
        "acme#",
        "",
    ] {
        let result = stage.provider.clone().with("subdomain", tenant);
        stage.refused(format_args!("`{tenant}`"), result, "provider.variable")?;
    }
    let acme = oauth_providers::provider("uservoice")?.with("subdomain", "Acme")?;
    stage.check(
        "`Acme` becomes https://acme.uservoice.com",
        acme.issuer()?.as_str() == "https://acme.uservoice.com",
    )?;
    stage.check("nothing was sent", stage.arrived() == 0)
}

fn secret_in_browser_refused(stage: &Stage) -> Played {
    let error = stage.refused(
        "a secret in a page",
        stage.provider.allows_secret_in_browser(),
        "client_auth.secret_not_allowed",
    )?;
    let reason = error.detail().unwrap_or_default();
    stage.check(
        "the error says why",
        reason.contains("everyone who opens the page"),
    )?;
    let auth = stage.public()?.auth().name();
    stage.check("without a secret it is a public client", auth == "none")?;
    let result = stage.run(stage.public()?.client_credentials(Scope::none()));
    stage.refused(
        "the trusted client's grant for it",
        result,
        "client_auth.secret_missing",
    )?;
    stage.check("nothing was sent", stage.arrived() == 0)
}

fn admin(stage: &Stage) -> Played<Authorized> {
    Ok(stage.application(stage.trusted()?, Scope::none())?)
}

fn loopback_login(stage: &Stage, client: &Client) -> Played<Tokens> {
    let listener = Listener::bind()?;
    let ask = AuthorizationRequest::new(listener.redirect_uri().clone());
    stage.login_at(listener, client, ask)
}

/// The login with the option that follows the owner's page.
fn documented_login(stage: &Stage) -> Played<Tokens> {
    let provider = stage.provider.clone().option("challenge_as_verifier")?;
    let id = stage.public()?.client_id().clone();
    let callback = RedirectUri::parse("https://app.example/callback")?;
    stage.login(
        &provider.client(id, None)?,
        AuthorizationRequest::new(callback),
    )
}
