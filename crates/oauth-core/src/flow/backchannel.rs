//! CIBA, client-initiated backchannel authentication: the request, signed if the client signs its requests, and the
//! notifications of the server, with their `client_notification_token`. A repeated request is refused in
//! `duplicate_backchannel_request.rs`; tokens are polled in `flow/poll.rs`. The claims of a pushed ID token (section
//! 10.3.1) are checked in `token/id_token.rs`.
//!
//! CIBA Core <https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html>, sections 7,
//! 10.2 and 10.3

use std::sync::Arc;

use bytes::Bytes;

use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::context::Context;
use crate::endpoint::backchannel_authentication::{
    BackchannelAuthentication, BackchannelAuthenticationResponse, Sent,
};
use crate::endpoint::{Endpoint as _, MAX_REPLY, Reply, token};
use crate::error::{ApiRefusal, Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Ready};
use crate::flow::assertion_grant::Signing;
use crate::flow::authorization::request_object;
use crate::flow::redeem::{self, Login};
use crate::grant::{Ciba, TokenRequest};
use crate::http::header::CONTENT_TYPE;
use crate::http::{HeaderValue, Response};
use crate::json::{self, Json};
use crate::moment::Moment;
use crate::secret::Secret;
use crate::token::id_token::IdTokenChecks;

#[cfg(feature = "sha2")]
mod begin;

#[cfg(feature = "sha2")]
pub(crate) use begin::begin;
#[cfg(not(feature = "sha2"))]
pub(crate) use begin_unchecked as begin;

/// Sends the authentication request.
pub(crate) fn begin_unchecked(
    config: Arc<ClientConfig>,
    request: BackchannelAuthentication,
) -> impl Exchange<Output = BackchannelAuthenticationResponse> + Send + use<> {
    let with_token = Ready::new(()).and_then(move |at, ()| {
        let token = request
            .is_notified()
            .then(|| notification_token(at))
            .transpose()?;
        Ok((request, token))
    });
    with_token.then(move |_, (request, notification_token)| {
        let signed = signed(&config, &request, notification_token.as_ref());
        let signed = signed.map_err(|error| error.at_endpoint(Sent::NAME))?;
        Ok(signed.then(move |_, signed| {
            let sent = Sent {
                request,
                notification_token,
                signed,
            };
            Ok(Call::new(config, sent))
        }))
    })
}

/// 256 bits: "a minimum of 128 bits" (section 7.1).
#[cfg(feature = "sha2")]
fn notification_token(at: &Moment) -> Result<Secret<String>, Error> {
    at.token("client_notification_token").map(Secret::new)
}

/// Without the hash, no secret is derived from a seed. A web page cannot receive notifications anyway.
#[cfg(not(feature = "sha2"))]
fn notification_token(_: &Moment) -> Result<Secret<String>, Error> {
    Err(Error::from(Misuse::Setup).about("client_notification_token"))
}

/// The signed request (section 7.1.1), of a client that signs its requests, if the server accepts signed ones.
fn signed(
    config: &Arc<ClientConfig>,
    request: &BackchannelAuthentication,
    notification_token: Option<&Secret<String>>,
) -> Result<Boxed<Option<Secret<String>>>, Error> {
    const ALGS: &str = "backchannel_authentication_request_signing_alg_values_supported";
    let accepted_algs = config.server.named_list(ALGS);
    let (Some(signing), Some(accepted_algs)) = (config.request_signing(), accepted_algs) else {
        return Ok(Ready::new(None).boxed());
    };
    let alg = signing.key().alg().as_str();
    if !accepted_algs.iter().any(|name| name == alg) {
        let detail = format!("{alg}; the server accepts {}", accepted_algs.join(" "));
        return Err(Error::from(Misuse::KeyAlgorithm).about(&detail));
    }
    let form = request.form(config.server.rules(), notification_token)?;
    let (key, config) = (signing.key().clone(), Arc::clone(config));
    let jws = Signing::new(key, move |at| {
        request_object::signing_input(&signing, &config, at, &form)
    });
    Ok(jws.and_then(|_, jws| Ok(Some(jws))).boxed())
}

/// A request that waits for the server's notification.
#[derive(Debug, Clone)]
pub struct AwaitedRequest {
    /// The `auth_req_id`: how the server identifies the request.
    pub auth_req_id: Secret<String>,
    /// The bearer token with which the server authenticates its notifications.
    pub client_notification_token: Secret<String>,
    /// The token request.
    pub token_request: TokenRequest,
}

impl AwaitedRequest {
    /// Verifies a ping notification (section 10.2): its `Authorization` header, and its body. If it is valid, send a
    /// request to the token endpoint, once.
    ///
    /// # Errors
    /// `ciba.client_notification_token`, with a 401 as the response; `ciba.unknown_request` or `reply.*`, with a 400.
    /// Send no request then. [`Error::refusal`] is the response.
    pub fn pinged(&self, authorization: Option<&str>, body: &[u8]) -> Result<(), Error> {
        self.authenticate(authorization)?;
        self.check_request_id(body).map_err(bad_request)
    }

    /// The scheme may have any case (RFC 9110 section 11.1); the token is compared in constant time.
    fn authenticate(&self, authorization: Option<&str>) -> Result<(), Error> {
        let credentials = authorization.and_then(|value| value.trim().split_once(' '));
        let is_authentic = credentials.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer")
                && self.client_notification_token.matches(token.trim_start())
        });
        if is_authentic {
            return Ok(());
        }
        let refusal = ApiRefusal::new(401, Some("Bearer".to_owned()));
        Err(Error::from(ValidationFailure::CibaNotifier).with_refusal(refusal))
    }

    fn check_request_id(&self, body: &[u8]) -> Result<(), Error> {
        if body.len() > MAX_REPLY {
            return Err(ProtocolViolation::ReplyTooLarge.into());
        }
        let text = std::str::from_utf8(body).map_err(|_| ProtocolViolation::ReplyEncoding)?;
        let Json::Object(object) = json::parse(text)? else {
            return Err(ProtocolViolation::ReplyShape.into());
        };
        let auth_req_id = object.get("auth_req_id").and_then(Json::as_str);
        if auth_req_id.is_some_and(|id| self.auth_req_id.matches(id)) {
            Ok(())
        } else {
            Err(ValidationFailure::CibaRequestUnknown.into())
        }
    }
}

/// Adds the response to an invalid notification.
fn bad_request(error: Error) -> Error {
    let refusal = ApiRefusal::new(400, None);
    error
        .at_endpoint("client_notification")
        .with_refusal(refusal)
}

/// Accepts the tokens that the server has pushed (section 10.3.1): its `Authorization` header, and its body. The ID
/// token is verified, and must be bound to the request and to the other tokens.
pub(crate) fn pushed(
    config: Arc<ClientConfig>,
    awaited: AwaitedRequest,
    authorization: Option<String>,
    body: Bytes,
) -> impl Exchange<Output = Login> + Send + use<> {
    let verified = Ready::new(()).and_then({
        let config = Arc::clone(&config);
        move |at, ()| {
            awaited.pinged(authorization.as_deref(), &body)?;
            let mut response = Response::new(body);
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            let reply = Reply::new(&response, config.server.rules(), at.now());
            let grant = Ciba::new(awaited.auth_req_id.clone());
            let cx = Context::new(&config, at);
            let tokens = token::read_tokens(&grant, &awaited.token_request, &cx, reply);
            let tokens = tokens.map_err(bad_request)?;
            #[cfg(feature = "sha2")]
            config
                .shared
                .pending_backchannel
                .forget_completed(&awaited.auth_req_id);
            let refresh_token = tokens.refresh_token.as_ref();
            let checks = IdTokenChecks {
                auth_req_id: Some(awaited.auth_req_id),
                refresh_token: refresh_token.map(|token| token.secret().clone()),
                ..IdTokenChecks::default()
            };
            Ok((tokens, checks))
        }
    });
    verified.then(move |_, (tokens, checks)| redeem::pushed(config, tokens, checks))
}

#[cfg(all(test, feature = "sha2"))]
mod tests;
