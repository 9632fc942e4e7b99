//! The token that a platform issues to a workload, and its source. The token is read again for each request, as a
//! client assertion ([`FederatedAssertion`](crate::client_auth::FederatedAssertion)) or as the subject of a token
//! exchange ([`Client::with_subject_token`](crate::Client::with_subject_token)).
//!
//! RFC 7521 <https://www.rfc-editor.org/rfc/rfc7521#section-4.2>, RFC 8693
//! <https://www.rfc-editor.org/rfc/rfc8693#section-2.1>

mod remote;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::{Cause, Error, Misuse, ProtocolViolation};
use crate::exchange::{Exchange, Input, Step};
use crate::http::{Request, Response};
use crate::json::{self, Json};
use crate::moment::{Moment, UnixTime};
use crate::scope::Scope;
use crate::secret::{Secret, shown_name};

pub use remote::WorkloadTokenService;

/// The longest token, file or reply that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 10;

/// The lifetime of a token that is made for one request: enough for transmission and clock skew.
const ASSUMED_LIFETIME: Duration = Duration::from_secs(60);

/// The source of a workload's token: a file, the environment or a callback.
///
/// The function is called for each request, because such tokens are replaced while the process runs, and must not
/// block.
pub trait AssertionSource: Send + Sync {
    /// Returns the current token for this request. A line break at its end is ignored; other white space is refused.
    ///
    /// # Errors
    /// The reason why no token is available.
    fn assertion(&self, request: &AssertionRequest<'_>) -> Result<Secret<String>, Cause>;

    /// Where its tokens come from, for errors: a path, for example, and no secret.
    fn location(&self) -> String {
        "a callback".to_owned()
    }
}

impl<F: Fn(&AssertionRequest<'_>) -> Result<Secret<String>, Cause> + Send + Sync> AssertionSource
    for F
{
    fn assertion(&self, request: &AssertionRequest<'_>) -> Result<Secret<String>, Cause> {
        self(request)
    }
}

/// The audience and expiry that a request needs. A source that issues tokens uses them; a source that only reads a
/// token may ignore them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssertionRequest<'a> {
    /// The only audience (`aud`) that the token may have.
    pub audience: &'a str,
    /// Until when the token has to be valid, 60 seconds from now: the `exp` of one that is made for this request.
    pub expires_at: UnixTime,
}

impl<'a> AssertionRequest<'a> {
    /// A request at this time, for a token with this audience.
    pub const fn new(audience: &'a str, now: UnixTime) -> Self {
        Self {
            audience,
            expires_at: now.after(ASSUMED_LIFETIME),
        }
    }
}

/// The environment variables and files of a process. This crate reads neither; a host implements this trait, such as
/// `oauth_reqwest::ProcessEnvironment`.
pub trait Environment: Send + Sync {
    /// The environment variable of this name; `None` if it is not set.
    fn variable(&self, name: &str) -> Option<Secret<String>>;

    /// The text of this file, at most [`MAX_BYTES`] long.
    ///
    /// # Errors
    /// The reason why the file cannot be read.
    fn file(&self, path: &str) -> Result<Secret<String>, Cause>;
}

/// The place where a platform provides the token of a workload.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CredentialSource {
    /// The environment variable of this name.
    Variable(String),
    /// A file with the token.
    File {
        /// The file's path.
        path: String,
        /// Where the token is in the file.
        format: TokenFormat,
    },
    /// A service of the platform, which is requested over HTTP.
    Endpoint(WorkloadTokenService),
}

/// Where a token is in a string.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenFormat {
    /// The text is the token.
    #[default]
    Text,
    /// The text is a JSON object, and the token its member of this name.
    Json(String),
}

/// The token of a workload, from any source.
#[derive(Clone)]
pub struct WorkloadToken(Origin);

#[derive(Clone)]
enum Origin {
    Called(Arc<dyn AssertionSource>),
    Placed(CredentialSource, Arc<dyn Environment>),
}

/// The token of a workload as the subject of a token exchange (RFC 8693 section 2.1), by which a client gets its own
/// tokens.
#[derive(Debug, Clone)]
#[cfg_attr(
    all(feature = "js", target_family = "wasm"),
    expect(dead_code, reason = "a browser page exchanges no tokens")
)]
pub struct SubjectToken {
    pub(crate) token: WorkloadToken,
    pub(crate) token_type: String,
    pub(crate) audience: String,
    pub(crate) scope: Scope,
    /// The audience of the subject token, if it differs from that of the exchange.
    pub(crate) platform_audience: Option<String>,
}

impl SubjectToken {
    /// Exchanges this token, of this type, for one for `audience`: the server's name for the token's source, or the
    /// service that the new token is for.
    pub fn new(
        token: WorkloadToken,
        token_type: impl Into<String>,
        audience: impl Into<String>,
    ) -> Self {
        Self {
            token,
            token_type: token_type.into(),
            audience: audience.into(),
            scope: Scope::none(),
            platform_audience: None,
        }
    }

    /// Requests the subject token from the platform's service for this audience instead of that of the exchange.
    #[must_use]
    pub fn platform_audience(mut self, audience: impl Into<String>) -> Self {
        self.platform_audience = Some(audience.into());
        self
    }

    /// Requests this scope if the caller requests no other.
    #[must_use]
    pub fn default_scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }
}

/// A token that is available immediately, or the request that fetches it.
pub(crate) enum TokenLookup {
    Token(Secret<String>),
    /// The request that fetches it.
    Request(Box<Request<Bytes>>),
}

impl WorkloadToken {
    /// The tokens of a file or callback of the caller.
    pub fn new(source: impl AssertionSource + 'static) -> Self {
        Self(Origin::Called(Arc::new(source)))
    }

    /// The tokens that a platform provides at this source. `environment` reads variables and files.
    pub fn from_source(source: CredentialSource, environment: Arc<dyn Environment>) -> Self {
        Self(Origin::Placed(source, environment))
    }

    /// Gets the current token, whose type depends on the platform. A service of the platform issues it for `audience`.
    ///
    /// # Errors
    /// `lost.unsent` if there is none now; `workload.refused`, `workload.malformed` from a service; all from the steps.
    pub fn fetch(&self, audience: &str) -> impl Exchange<Output = Secret<String>> + Send + use<> {
        Fetch {
            token: self.clone(),
            audience: audience.to_owned(),
            state: State::Fresh,
        }
    }

    /// The source, as errors name it.
    pub(crate) fn location(&self) -> String {
        match &self.0 {
            Origin::Called(source) => source.location(),
            Origin::Placed(CredentialSource::Variable(name), _) => name.clone(),
            Origin::Placed(CredentialSource::File { path, .. }, _) => shown_name(path).to_owned(),
            Origin::Placed(CredentialSource::Endpoint(service), _) => service.origin(),
        }
    }

    /// The token, or the request that fetches it.
    ///
    /// # Errors
    /// `lost.unsent`, `workload.malformed`.
    pub(crate) fn find(&self, audience: &str, now: UnixTime) -> Result<TokenLookup, Error> {
        let token = match &self.0 {
            Origin::Called(source) => {
                let request = AssertionRequest::new(audience, now);
                source.assertion(&request).map_err(Error::lost)?
            }
            Origin::Placed(CredentialSource::Variable(name), environment) => {
                let token = environment.variable(name);
                token.ok_or_else(|| Error::from(Misuse::EnvironmentMissing).about(name))?
            }
            Origin::Placed(CredentialSource::File { path, format }, environment) => {
                let text = environment.file(path).map_err(Error::lost)?;
                format.token_in(text)?
            }
            Origin::Placed(CredentialSource::Endpoint(endpoint), _) => {
                let request = endpoint.request(audience)?;
                return Ok(TokenLookup::Request(Box::new(request)));
            }
        };
        without_line_break(&token).map(TokenLookup::Token)
    }

    /// The token that a service has replied with.
    ///
    /// # Errors
    /// `workload.*`, `lost.unsent`.
    pub(crate) fn read_reply(&self, reply: &Response<Bytes>) -> Result<Secret<String>, Error> {
        match &self.0 {
            Origin::Placed(CredentialSource::Endpoint(endpoint), _) => {
                without_line_break(&endpoint.read(reply)?)
            }
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}

/// Reports the failure as unsent: the request that needs the token was not sent, so it may be retried.
pub(crate) fn unsent_error(cause: &Cause) -> Error {
    Error::lost(Cause::unsent(format!("the workload's token: {cause}")))
}

/// The token without the final line break of a file. Other white space is an error: the file is not a token, or was
/// read while being written.
fn without_line_break(text: &Secret<String>) -> Result<Secret<String>, Error> {
    let text = text.expose();
    let line = text.strip_suffix('\n');
    let line = line.map(|line| line.strip_suffix('\r').unwrap_or(line));
    let token = line.unwrap_or(text);
    if token.len() > MAX_BYTES {
        let detail = format!("it is larger than {MAX_BYTES} bytes");
        return Err(Error::from(Misuse::AssertionMalformed).about(&detail));
    }
    match token.trim() {
        "" => Err(Error::lost(Cause::unsent("the workload's token is empty"))),
        trimmed if trimmed != token => {
            Err(Error::from(Misuse::AssertionMalformed).about("there is white space around it"))
        }
        _ => Ok(Secret::from(token)),
    }
}

impl TokenFormat {
    fn token_in(&self, text: Secret<String>) -> Result<Secret<String>, Error> {
        let Self::Json(member) = self else {
            return Ok(text);
        };
        let malformed = || Error::from(ProtocolViolation::WorkloadToken).about(member);
        match json::parse(text.expose()) {
            Ok(Json::Object(object)) => {
                let token = object.get(member).and_then(Json::as_str);
                token.map(Secret::from).ok_or_else(malformed)
            }
            _ => Err(malformed()),
        }
    }
}

/// The exchange that only gets the token.
struct Fetch {
    token: WorkloadToken,
    audience: String,
    state: State,
}

enum State {
    Fresh,
    Asked,
    Over,
}

impl Exchange for Fetch {
    type Output = Secret<String>;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Secret<String>>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh, Input::Begin) => {
                Ok(match self.token.find(&self.audience, at.now())? {
                    TokenLookup::Token(token) => Step::Done(token),
                    TokenLookup::Request(request) => {
                        self.state = State::Asked;
                        Step::Send(*request)
                    }
                })
            }
            (State::Asked, Input::Reply(reply)) => self.token.read_reply(&reply).map(Step::Done),
            (State::Asked, Input::Lost(cause)) => Err(unsent_error(&cause)),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}

impl fmt::Debug for WorkloadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::Called(_) => f.write_str("WorkloadToken(callback)"),
            Origin::Placed(source, _) => f.debug_tuple("WorkloadToken").field(source).finish(),
        }
    }
}
