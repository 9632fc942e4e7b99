//! The control routes below `/_twin/`, for tests in other languages.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode, Uri};
use oauth_core::jose::{Enc, JweAlg};
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use crate::twin::{BackchannelDelivery, DpopNonces, Fault, LogoutTokenFlaw};

/// The answer, if the path is one of these routes.
pub(super) fn control_response(
    state: &mut State,
    request: &http::Request<Bytes>,
) -> Option<http::Response<Bytes>> {
    let route = request.uri().path().strip_prefix("/_twin/")?;
    let (status, body) = match respond(state, request.method(), route, request.body()) {
        Ok(body) => (StatusCode::OK, body),
        Err((status, reason)) => (status, json!({ "error": reason })),
    };
    let mut reply = http::Response::new(Bytes::from(body.to_string()));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(reply)
}

#[derive(Deserialize)]
struct Advance {
    seconds: u64,
}

#[derive(Deserialize)]
struct Person {
    subject: String,
}

#[derive(Deserialize)]
struct Interval {
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepUp {
    #[serde(default)]
    acr_values: Vec<String>,
    max_age: Option<u64>,
    #[serde(default)]
    claims: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseKey {
    jwk: Value,
    alg: String,
    enc: String,
}

#[derive(Deserialize)]
struct RateLimit {
    requests: u32,
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nonces {
    nonces: Option<DpopNonces>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogoutToken {
    #[serde(default)]
    flaw: Option<LogoutTokenFlaw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InitialAccessToken {
    token: Option<String>,
}

#[derive(Deserialize)]
struct Forget {
    client_id: String,
}

#[derive(Deserialize)]
struct Register {
    redirect_uri: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    name: String,
    value: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssertionKey {
    issuer: String,
    jwk: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityProvider {
    issuer: String,
    jwks: Value,
}

#[derive(Deserialize)]
struct ServiceAccounts {
    token_uri: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saml {
    assertion: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceClaims {
    claims: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Audience {
    issuer: String,
    client_id: String,
}

#[derive(Deserialize)]
#[serde(tag = "delivery", rename_all = "snake_case", deny_unknown_fields)]
enum DeliveryOption {
    Poll,
    Ping { endpoint: String },
    Push { endpoint: String },
}

fn delivery(body: &[u8]) -> Result<BackchannelDelivery, String> {
    let delivery_settings = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let uri = |text: String| text.parse::<Uri>().map_err(|error| error.to_string());
    Ok(match delivery_settings {
        DeliveryOption::Poll => BackchannelDelivery::Poll,
        DeliveryOption::Ping { endpoint } => BackchannelDelivery::Ping(uri(endpoint)?),
        DeliveryOption::Push { endpoint } => BackchannelDelivery::Push(uri(endpoint)?),
    })
}

/// A notification as JSON.
fn notification(request: &http::Request<Bytes>) -> Value {
    let authorization = request.headers().get(AUTHORIZATION);
    json!({
        "endpoint": request.uri().to_string(),
        "authorization": authorization.and_then(|value| value.to_str().ok()),
        "body": String::from_utf8_lossy(request.body()),
    })
}

fn respond(
    state: &mut State,
    method: &Method,
    route: &str,
    body: &[u8],
) -> Result<Value, (StatusCode, String)> {
    let misread = |reason: String| (StatusCode::BAD_REQUEST, reason);
    let bad = |reason: serde_json::Error| misread(reason.to_string());
    let now = state.moment().now();
    let twin = &mut state.twin;
    match (method, route) {
        (&Method::GET, "client") => Ok(json!({
            "client_id": twin.client_id(),
            "client_key": twin.client_key(),
            "client_secret": twin.client_secret(),
            "public_client_id": twin.public_client_id(),
            "issuer": twin.issuer(),
            "redirect_uris": twin.redirect_uris(),
        })),
        (&Method::GET, "log") => Ok(json!(twin.log())),
        (&Method::GET, "counters") => Ok(json!(twin.counters())),
        (&Method::POST, "fault") => {
            twin.inject(serde_json::from_slice::<Fault>(body).map_err(bad)?);
            Ok(json!({}))
        }
        (&Method::POST, "advance") => {
            let by: Advance = serde_json::from_slice(body).map_err(bad)?;
            state.ahead = state.ahead.saturating_add(Duration::from_secs(by.seconds));
            Ok(json!({}))
        }
        (&Method::POST, "add_person") => {
            let person: Person = serde_json::from_slice(body).map_err(bad)?;
            twin.add_person(&person.subject);
            Ok(json!({}))
        }
        (&Method::POST, "polling_interval") => {
            let interval: Interval = serde_json::from_slice(body).map_err(bad)?;
            twin.set_polling_interval(interval.seconds);
            Ok(json!({}))
        }
        (&Method::POST, "rate_limit") => {
            let limit: RateLimit = serde_json::from_slice(body).map_err(bad)?;
            twin.set_rate_limit(limit.requests);
            twin.set_rate_window(limit.seconds);
            Ok(json!({}))
        }
        (&Method::POST, "step_up") => {
            let required: StepUp = serde_json::from_slice(body).map_err(bad)?;
            let acr_values: Vec<&str> = required.acr_values.iter().map(String::as_str).collect();
            twin.require_step_up(&acr_values, required.max_age);
            twin.require_claims(required.claims);
            Ok(json!({}))
        }
        (&Method::POST, "encrypt_responses") => {
            let response_key: ResponseKey = serde_json::from_slice(body).map_err(bad)?;
            let (alg, enc) = (
                JweAlg::from_name(&response_key.alg),
                Enc::from_name(&response_key.enc),
            );
            let (Some(alg), Some(enc)) = (alg, enc) else {
                return Err(misread("unknown alg or enc".to_owned()));
            };
            let done = twin.encrypt_responses(&response_key.jwk.to_string(), alg, enc);
            done.map(|()| json!({}))
                .map_err(|error| misread(error.to_string()))
        }
        (&Method::POST, "dpop_nonces") => {
            let nonce_settings: Nonces = serde_json::from_slice(body).map_err(bad)?;
            if let Some(nonces) = nonce_settings.nonces {
                twin.set_dpop_nonces(nonces);
            }
            twin.rotate_dpop_nonces();
            Ok(json!({}))
        }
        (&Method::POST, "require_dpop") => {
            twin.require_dpop();
            Ok(json!({}))
        }
        (&Method::POST, "require_signed_requests") => {
            twin.require_signed_requests();
            Ok(json!({}))
        }
        (&Method::POST, "allow_unpushed_requests") => {
            twin.allow_unpushed_requests();
            Ok(json!({}))
        }
        (&Method::POST, "register") => {
            let also: Register = serde_json::from_slice(body).map_err(bad)?;
            twin.register_redirect_uri(&also.redirect_uri);
            Ok(json!({}))
        }
        (&Method::POST, "claim") => {
            let claim: Claim = serde_json::from_slice(body).map_err(bad)?;
            twin.set_claim(&claim.name, claim.value);
            Ok(json!({}))
        }
        (&Method::POST, "logout_token") => {
            let logout_token_request: LogoutToken = serde_json::from_slice(body).map_err(bad)?;
            let token = twin.logout_token(now, logout_token_request.flaw);
            Ok(json!({ "logout_token": token }))
        }
        (&Method::POST, "initial_access_token") => {
            let initial_access_token: InitialAccessToken =
                serde_json::from_slice(body).map_err(bad)?;
            twin.set_initial_access_token(initial_access_token.token.as_deref());
            Ok(json!({}))
        }
        (&Method::POST, "forget_client") => {
            let forgotten: Forget = serde_json::from_slice(body).map_err(bad)?;
            twin.forget_client(&forgotten.client_id);
            Ok(json!({}))
        }
        (&Method::POST, "register_assertion_key") => {
            let key: AssertionKey = serde_json::from_slice(body).map_err(bad)?;
            let done = twin.register_assertion_key(&key.issuer, &key.jwk.to_string());
            done.map(|()| json!({}))
                .map_err(|error| misread(error.to_string()))
        }
        (&Method::POST, "trust_identity_provider") => {
            let provider: IdentityProvider = serde_json::from_slice(body).map_err(bad)?;
            let done = twin.trust_identity_provider(&provider.issuer, &provider.jwks);
            done.map(|()| json!({}))
                .map_err(|error| misread(error.to_string()))
        }
        (&Method::POST, "trust_publisher") => {
            let publisher: IdentityProvider = serde_json::from_slice(body).map_err(bad)?;
            let done = twin.trust_publisher(&publisher.issuer, &publisher.jwks);
            done.map(|()| json!({}))
                .map_err(|error| misread(error.to_string()))
        }
        (&Method::POST, "accept_client_id_metadata") => {
            twin.accept_client_id_metadata();
            Ok(json!({}))
        }
        (&Method::POST, "announce_saml_assertion") => {
            let saml: Saml = serde_json::from_slice(body).map_err(bad)?;
            twin.announce_saml_assertion(&saml.assertion);
            Ok(json!({}))
        }
        (&Method::POST, "sign_resource_metadata") => {
            let signed: ResourceClaims = serde_json::from_slice(body).map_err(bad)?;
            twin.sign_resource_metadata(signed.claims);
            Ok(json!({}))
        }
        (&Method::POST, "access_token_lifetime") => {
            let lifetime: Interval = serde_json::from_slice(body).map_err(bad)?;
            twin.set_access_token_lifetime(lifetime.seconds);
            Ok(json!({}))
        }
        (&Method::POST, "authorization_lifetime") => {
            let lifetime: Interval = serde_json::from_slice(body).map_err(bad)?;
            twin.set_authorization_lifetime(lifetime.seconds);
            Ok(json!({}))
        }
        (&Method::POST, "accept_service_accounts") => {
            let google: ServiceAccounts = serde_json::from_slice(body).map_err(bad)?;
            twin.accept_service_accounts(&google.token_uri);
            Ok(json!({}))
        }
        (&Method::POST, "refuse_resources") => {
            twin.refuse_resources();
            Ok(json!({}))
        }
        (&Method::POST, "rename_resource") => {
            twin.rename_resource();
            Ok(json!({}))
        }
        (&Method::POST, "spend_before_nonces") => {
            twin.spend_before_nonces();
            Ok(json!({}))
        }
        (&Method::POST, "vouch_to") => {
            let audience: Audience = serde_json::from_slice(body).map_err(bad)?;
            twin.vouch_to(&audience.issuer, &audience.client_id);
            Ok(json!({}))
        }
        (&Method::POST, "backchannel_delivery") => {
            twin.set_backchannel_delivery(delivery(body).map_err(misread)?);
            Ok(json!({}))
        }
        (&Method::POST, "notifications") => {
            let notifications = twin.take_notifications();
            Ok(notifications.iter().map(notification).collect())
        }
        (&Method::POST, "console_token") => {
            let token = twin.console_token(now);
            Ok(json!({ "access_token": token }))
        }
        (&Method::POST, "expire") => {
            twin.expire_access_tokens();
            Ok(json!({}))
        }
        (&Method::POST, "revoke") => {
            twin.revoke_all();
            Ok(json!({}))
        }
        (&Method::POST, "withhold_refresh_tokens") => {
            twin.withhold_refresh_tokens();
            Ok(json!({}))
        }
        (&Method::POST, "deny") => {
            twin.deny_next();
            Ok(json!({}))
        }
        _ => Err((StatusCode::NOT_FOUND, "no such control route".to_owned())),
    }
}
