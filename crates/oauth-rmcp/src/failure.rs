//! Maps a server's refusals to `oauth-core`, and errors to rmcp.

use std::borrow::Cow;
use std::error::Error as StdError;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, StatusCode};
use oauth_core::error::Error;
use oauth_core::flow::resource;
use oauth_reqwest::Driver;
use rmcp::service::ClientInitializeError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

/// The result of a request in rmcp's own client.
pub(crate) type HttpResult<T> = Result<T, StreamableHttpError<reqwest::Error>>;

/// The result of a request in this crate's client.
pub(crate) type Outcome<T> = Result<T, StreamableHttpError<Error>>;

/// The error of `oauth-core` in a failure of rmcp: of `serve`, of a call, or of the transport. `None` if the failure
/// has a different cause, such as an error response of the server.
pub fn error_of<'a>(failure: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut current = Some(failure);
    while let Some(failure) = current {
        if let Some(StreamableHttpError::<Error>::Client(error)) = failure.downcast_ref() {
            return Some(error);
        }
        // `ClientInitializeError` does not return the transport's error as its source.
        current = match failure.downcast_ref() {
            Some(ClientInitializeError::TransportError { error, .. }) => Some(error),
            _ => failure.source(),
        };
    }
    None
}

/// The head of a refusal, as far as rmcp exposes it.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
}

impl Refusal {
    pub(crate) fn none() -> Self {
        Self {
            status: StatusCode::OK,
            fields: HeaderMap::new(),
        }
    }

    pub(crate) fn from_error(error: &StreamableHttpError<reqwest::Error>) -> Self {
        let (status, challenge) = match error {
            StreamableHttpError::AuthRequired(refused) => (
                StatusCode::UNAUTHORIZED,
                Some(&refused.www_authenticate_header),
            ),
            StreamableHttpError::InsufficientScope(refused) => (
                StatusCode::FORBIDDEN,
                Some(&refused.www_authenticate_header),
            ),
            // The end of a session is reported only by its status.
            StreamableHttpError::Client(error) => (error.status().unwrap_or_default(), None),
            _ => (StatusCode::OK, None),
        };
        let challenge = challenge.and_then(|text| HeaderValue::from_str(text).ok());
        let fields = challenge.map(|value| (WWW_AUTHENTICATE, value));
        Self {
            status,
            fields: fields.into_iter().collect(),
        }
    }
}

/// The same failure, with an error of `oauth-core` in place of reqwest's, which may name the URL.
pub(crate) fn without_reqwest(
    driver: &Driver,
    error: StreamableHttpError<reqwest::Error>,
) -> StreamableHttpError<Error> {
    use StreamableHttpError as Http;
    match error {
        Http::Client(error) => {
            let status = error.status().unwrap_or_default();
            let refusal = resource::refusal(status, &HeaderMap::new(), None);
            Http::Client(refusal.unwrap_or_else(|| driver.lost(error)))
        }
        Http::Sse(error) => Http::Sse(error),
        Http::Io(error) => Http::Io(error),
        Http::HttpStatus(error) => Http::HttpStatus(error),
        Http::UnexpectedEndOfStream => Http::UnexpectedEndOfStream,
        Http::UnexpectedServerResponse(text) => Http::UnexpectedServerResponse(text),
        Http::ResponseBodyTooLarge { max_size } => Http::ResponseBodyTooLarge { max_size },
        Http::UnexpectedContentType(name) => Http::UnexpectedContentType(name),
        Http::ServerDoesNotSupportSse => Http::ServerDoesNotSupportSse,
        Http::ServerDoesNotSupportDeleteSession => Http::ServerDoesNotSupportDeleteSession,
        Http::TokioJoinError(error) => Http::TokioJoinError(error),
        Http::Deserialize(error) => Http::Deserialize(error),
        Http::TransportChannelClosed => Http::TransportChannelClosed,
        Http::MissingSessionIdInResponse => Http::MissingSessionIdInResponse,
        Http::AuthRequired(error) => Http::AuthRequired(error),
        Http::InsufficientScope(error) => Http::InsufficientScope(error),
        Http::ReservedHeaderConflict(name) => Http::ReservedHeaderConflict(name),
        Http::SessionExpired => Http::SessionExpired,
        Http::SessionRecoveryTimeout => Http::SessionRecoveryTimeout,
        Http::ReinitializationFailed(error) => Http::ReinitializationFailed(error),
        Http::ControlRequestTimeout => Http::ControlRequestTimeout,
        // Variants of later versions, and of features that this crate does not enable.
        other => Http::UnexpectedServerResponse(Cow::Owned(other.to_string())),
    }
}
