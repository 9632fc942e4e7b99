//! Token responses of a login: `oidc-token-response`, and the vectors of `id-token` that have an issuer but no
//! token. Signatures are not checked: this host reports them all as valid.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use oauth_core::exchange::VerificationJob;
use oauth_core::flow::authorization::{AuthorizationRequest, PendingAuthorization, ResponseType};
use oauth_core::flow::redeem::Login;
use oauth_core::issuer::Issuer;
use oauth_core::jose::KeySet;
use oauth_core::moment::UnixTime;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Error, Exchange, Input, Moment, Scope, Step};
use serde_json::{Value, json};

use crate::format::{Vector, Verdict, check};
use crate::jws::{key_set, refused};

const NOW: u64 = 1_700_000_000;
const CALLBACK: &str = "https://rp.example/cb";

fn text(error: Error) -> String {
    error.to_string()
}

fn moment() -> Moment {
    Moment::fixed(UnixTime::from_secs(NOW), [1; 32])
}

/// A client whose server's keys are known.
fn client(issuer: &str, rules: Rules) -> Result<Client, Error> {
    let at = |path: &str| format!("https://as.example/{path}");
    let server = Server::new(Issuer::parse(issuer)?)
        .with_rules(rules)
        .with_endpoint(EndpointKind::Authorization, &at("authorize"))?
        .with_endpoint(EndpointKind::Token, &at("token"))?
        .with_endpoint(EndpointKind::Jwks, &at("jwks"))?;
    let client = Client::new(server, ClientId::new("client1"), ClientAuth::none())?;
    let keys = KeySet::parse(&key_set(&Value::Null).to_string())?;
    client.keep_keys(UnixTime::from_secs(NOW), keys);
    Ok(client)
}

/// An ID token for the flow with these additional claims.
fn id_token(pending: &PendingAuthorization, claim_overrides: &Value) -> String {
    let mut claims = json!({
        "sub": "user-1", "aud": "client1", "iat": NOW, "exp": NOW + 300, "c_hash": "of the code",
        "nonce": pending.nonce().map(|nonce| nonce.expose()),
    });
    for (name, value) in claim_overrides.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(&json!({ "alg": "RS256", "kid": "rsa1" }));
    let signature = URL_SAFE_NO_PAD.encode([1; 256]);
    format!("{header}.{}.{signature}", part(&claims))
}

/// A login with this token response; its ID token has the claims `back`, and the one beside the code `front`.
fn log_in(
    client: &Client,
    scope: &str,
    front: Option<&Value>,
    back: impl FnOnce(&PendingAuthorization) -> Value,
) -> Result<Login, Error> {
    let request =
        AuthorizationRequest::new(RedirectUri::parse(CALLBACK)?).scope(Scope::parse(scope)?);
    let request = match front {
        Some(_) => request.response_type(ResponseType::CodeIdToken),
        None => request,
    };
    let (_, pending) = client.authorize(&moment(), request)?;
    let reply = Response::builder().header("content-type", "application/json");
    let reply = reply.body(Bytes::from(back(&pending).to_string()));
    let mut reply = reply.ok();
    let state = pending.state().expose();
    let callback = match front {
        Some(claim_overrides) => {
            let token = id_token(&pending, claim_overrides);
            format!("{CALLBACK}#code=c&state={state}&id_token={token}")
        }
        None => format!("{CALLBACK}?code=c&state={state}"),
    };
    let mut login = client.redeem(pending, &callback)?;
    let mut input = Input::Begin;
    loop {
        input = match login.resume(&moment(), input)? {
            Step::Done(login) => return Ok(login),
            Step::Send(_) => Input::Reply(reply.take().unwrap_or_default()),
            Step::Verify(VerificationJob::HalfHash { .. } | VerificationJob::Signature { .. }) => {
                Input::Verified(true)
            }
            _ => Input::Elapsed,
        };
    }
}

fn tokens(id_token: &str) -> Value {
    json!({ "access_token": "a", "token_type": "Bearer", "id_token": id_token })
}

pub(crate) fn token_response(vector: &Vector) -> Verdict {
    let client = client("https://as.example", Rules::default()).map_err(text)?;
    let (front, back) = (vector.input.get("front"), vector.input.get("back"));
    let scope = vector.text("scope").unwrap_or("openid");
    let response = |pending: &PendingAuthorization| match back {
        Some(claim_overrides) => tokens(&id_token(pending, claim_overrides)),
        None => vector.input["response"].clone(),
    };
    match log_in(&client, scope, front, response) {
        Ok(_) => check("is accepted", vector.expected["ok"] == true)?,
        Err(error) => refused(&error, vector)?,
    }
    let Some(front) = front else { return Ok(()) };
    // Only the difference is refused.
    let alike = |pending: &PendingAuthorization| tokens(&id_token(pending, front));
    let login = log_in(&client, scope, Some(front), alike).map_err(text)?;
    check(
        "is accepted where both say the same",
        login.id_token.is_some(),
    )
}

/// Vectors with an issuer but no token: the issuer is put into a token.
pub(crate) fn issuer(vector: &Vector) -> Verdict {
    let mut claim_overrides = json!({ "iss": vector.required_text("id_token_iss")? });
    if let Some(tenant) = vector.text("tid") {
        claim_overrides["tid"] = tenant.into();
    }
    let login = |client: &Client, claim_overrides: &Value| {
        log_in(client, "openid", None, |pending| {
            tokens(&id_token(pending, claim_overrides))
        })
    };
    let Some(template) = vector.text("metadata_issuer") else {
        let client = client(vector.required_text("issuer")?, Rules::default()).map_err(text)?;
        let error = login(&client, &claim_overrides).map(drop);
        return match error {
            Err(error) => refused(&error, vector),
            Ok(()) => Err("it was accepted".into()),
        };
    };
    let common = template.replace("{tenantid}", "common");
    let plain = client(&common, Rules::default()).map_err(text)?;
    let code = login(&plain, &claim_overrides)
        .err()
        .map(|error| error.code());
    check("needs a quirk", code == Some("jwt.issuer"))?;

    let rules = Rules {
        quirks: vec![Quirk::TenantIssuer(template.to_owned())],
        ..Rules::default()
    };
    let of_tenants = client(&common, rules).map_err(text)?;
    login(&of_tenants, &claim_overrides).map_err(text)?;
    let foreign = json!({ "iss": claim_overrides["iss"], "tid": "another" });
    let code = login(&of_tenants, &foreign).err().map(|error| error.code());
    check("binds the tenant", code == Some("jwt.issuer"))
}
