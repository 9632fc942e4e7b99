//! The HTTP client of rmcp's transport, which adds tokens to requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_core::stream::BoxStream;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use oauth_core::dpop::{DPOP, DPOP_NONCE};
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource;
use oauth_core::flow::resource::{Api, Clock, Event, OnRateLimit, ResourceRequest, Step, Verdict};
use oauth_core::url::Url;
use oauth_reqwest::oauth_session::Token;
use oauth_reqwest::{Driver, ResourceConnection, TokenSource};
use rmcp::model::{ClientJsonRpcMessage, ExtensionCapabilities, JsonObject};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse, StreamableHttpResponseLimits,
};
use sse_stream::Sse;

use crate::failure::{HttpResult, Outcome, Refusal, without_reqwest};

const PROOF: HeaderName = HeaderName::from_static(DPOP);

/// Names and values of header fields, as rmcp has them.
type Fields = HashMap<HeaderName, HeaderValue>;

/// The arguments that rmcp passes for every request: its URL, a token, header fields.
type RequestArgs = (Arc<str>, Option<String>, Fields);

/// The transport of a client of the server that the connection is to. For settings of your own:
/// [`AuthorizedClient::new`] and [`StreamableHttpClientTransport::with_client`].
///
/// It has to be called within a runtime of tokio, as all of rmcp's transports.
///
/// # Errors
/// As [`AuthorizedClient::new`].
pub fn transport(
    connection: &ResourceConnection,
) -> Result<StreamableHttpClientTransport<AuthorizedClient>, Error> {
    let client = AuthorizedClient::new(connection)?;
    let url = connection.resource().url().as_str();
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// The capabilities that a client with the tokens of this connection declares when it initializes: the authorization
/// extension by which they are requested, if there is one.
///
/// ```
/// use oauth_reqwest::ResourceConnection;
/// use rmcp::model::{ClientCapabilities, ClientConfig, Implementation};
///
/// fn client(connection: &ResourceConnection) -> ClientConfig {
///     let mut capabilities = ClientCapabilities::default();
///     capabilities.extensions = Some(oauth_rmcp::extensions(connection));
///     ClientConfig::new(capabilities, Implementation::from_build_env())
/// }
/// ```
pub fn extensions(connection: &ResourceConnection) -> ExtensionCapabilities {
    let declared = connection.extension().into_iter();
    declared
        .map(|extension| (extension.capability().to_owned(), JsonObject::new()))
        .collect()
}

/// An HTTP client for rmcp's [`StreamableHttpClientTransport`], which sends every message with a token. Cheap to clone.
///
/// After a 401 the token is renewed once, and after a 403 that requires more scope the source is asked once
/// ([`TokenSource::step_up`]); then the message is sent once more. Its failures are those of [`oauth_core`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use oauth_core::Error;
/// use oauth_reqwest::ResourceConnection;
/// use oauth_rmcp::AuthorizedClient;
/// use rmcp::transport::StreamableHttpClientTransport;
/// use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
///
/// fn patient(
///     connection: &ResourceConnection,
/// ) -> Result<StreamableHttpClientTransport<AuthorizedClient>, Error> {
///     let mut config = StreamableHttpClientTransportConfig::with_uri("https://mcp.example/mcp");
///     config.session_recovery_timeout = Duration::from_secs(30);
///     let client = AuthorizedClient::new(connection)?;
///     Ok(StreamableHttpClientTransport::with_client(client, config))
/// }
/// ```
#[derive(Clone)]
pub struct AuthorizedClient {
    http: reqwest::Client,
    driver: Driver,
    source: Arc<dyn TokenSource>,
    api: Api,
}

impl AuthorizedClient {
    /// A client for the server that the connection is to, and for no other.
    ///
    /// # Errors
    /// `lost` if no HTTP client can be made.
    pub fn new(connection: &ResourceConnection) -> Result<Self, Error> {
        let url = connection.resource().url();
        let http = connection.driver().http_client(url)?;
        Ok(Self {
            http,
            driver: connection.driver().clone(),
            source: Arc::new(connection.clone()),
            api: connection.api(),
        })
    }

    /// Uses the tokens of a source other than the connection, such as a session of an existing grant. No tokens are
    /// requested from the connection.
    #[must_use]
    pub fn source(mut self, source: impl TokenSource + 'static) -> Self {
        self.source = Arc::new(source);
        self
    }

    /// Sends a request with a token, and repeats it as `oauth-core` decides.
    async fn send_authorized<T, F>(
        &self,
        method: Method,
        args: RequestArgs,
        send: impl Fn(Arc<str>, Fields) -> F,
    ) -> Outcome<T>
    where
        F: Future<Output = HttpResult<T>>,
    {
        let reply = self.send_until_final(method, args, send).await;
        let reply = reply.map_err(StreamableHttpError::Client)?;
        reply.map_err(|error| without_reqwest(&self.driver, error))
    }

    async fn send_until_final<T, F>(
        &self,
        method: Method,
        (uri, token, fields): RequestArgs,
        send: impl Fn(Arc<str>, Fields) -> F,
    ) -> Result<HttpResult<T>, Error>
    where
        F: Future<Output = HttpResult<T>>,
    {
        let mut headers: HeaderMap = fields.clone().into_iter().collect();
        if let Some(token) = token {
            // It is refused: one message has one token.
            let value = format!("Bearer {token}").parse();
            headers.insert(AUTHORIZATION, value.map_err(|_| Misuse::HeaderValue)?);
        }
        let mut request = ResourceRequest::new(&self.api, method.clone(), &uri)
            .headers(headers)
            .on_rate_limit(OnRateLimit::Pass)
            .without_redirects();
        let (mut tokens, mut reply): (Option<Token>, Option<HttpResult<T>>) = (None, None);
        let mut refusal = Refusal::none();
        let mut has_asked = false;
        let mut step = request.resume(&Clock::system()?, Event::Begin)?;
        loop {
            step = match step {
                Step::Token(_) => {
                    let result = self.source.token(None).await;
                    request.resume(&Clock::system()?, token_event(&mut tokens, result))?
                }
                Step::Renew(_) => {
                    if tokens.is_none() {
                        self.source.refused_without_token();
                    }
                    let result = self.source.token(tokens.as_deref()).await;
                    request.resume(&Clock::system()?, token_event(&mut tokens, result))?
                }
                Step::Send {
                    url,
                    authorization,
                    dpop,
                } => {
                    let mut fields = fields.clone();
                    let credentials = [(AUTHORIZATION, authorization), (PROOF, dpop)];
                    for (name, value) in credentials {
                        fields.extend(value.map(|value| (name, value)));
                    }
                    let shown: HeaderMap = [AUTHORIZATION, PROOF]
                        .into_iter()
                        .filter_map(|name| Some((name.clone(), fields.get(&name)?.clone())))
                        .collect();
                    let sent = send(Arc::from(url.as_str()), fields).await;
                    refusal = match &sent {
                        Ok(_) => Refusal::none(),
                        Err(error) => Refusal::from_error(error),
                    };
                    let verdict = resource::verdict_with_dpop(refusal.status, &refusal.fields);
                    if shown.contains_key(PROOF) && verdict == Verdict::UseDpopNonce {
                        let nonce = self.nonce(&method, &url, shown).await?;
                        refusal.fields.extend(nonce);
                    }
                    reply = Some(sent);
                    let event = Event::Reply(refusal.status, &refusal.fields);
                    request.resume(&Clock::system()?, event)?
                }
                end @ (Step::Done | Step::DoneRefused) => {
                    match (end, &tokens) {
                        (Step::DoneRefused, Some(token)) => self.source.refuse(token),
                        (Step::DoneRefused, None) => self.source.refused_without_token(),
                        _ => {}
                    }
                    let retry = if std::mem::replace(&mut has_asked, true) {
                        None
                    } else {
                        request.required_step_up(refusal.status, &refusal.fields)
                    };
                    if let (Some(token), Some((step_up, again))) = (&tokens, retry)
                        && self.source.step_up(token, &step_up).await?.is_some()
                    {
                        request = again;
                        request.resume(&Clock::system()?, Event::Begin)?
                    } else {
                        return reply.ok_or_else(|| Misuse::OutOfOrder.into());
                    }
                }
                // This API has no allowance to wait for, no key of the host's, and no rules for bodies.
                Step::Wait(_) | Step::Sign(_) | Step::Peek(_) => {
                    return Err(Misuse::OutOfOrder.into());
                }
            };
        }
    }
}

impl AuthorizedClient {
    /// The nonce that the API requires in proofs (RFC 9449 section 9). rmcp exposes only the challenge of the refusal and no
    /// other header field, so the request is sent once more without its message, to be refused again.
    async fn nonce(
        &self,
        method: &Method,
        url: &Url,
        shown: HeaderMap,
    ) -> Result<Option<(HeaderName, HeaderValue)>, Error> {
        let request = self.http.request(method.clone(), url.as_str());
        let reply = request.headers(shown).send().await;
        let reply = reply.map_err(|error| self.driver.lost(error))?;
        let nonce = reply.headers().get(DPOP_NONCE);
        Ok(nonce.map(|nonce| (HeaderName::from_static(DPOP_NONCE), nonce.clone())))
    }
}

/// The event for a source's answer; the API may need no token.
fn token_event(tokens: &mut Option<Token>, result: Result<Token, Error>) -> Event<'_> {
    match result {
        Ok(token) => Event::Token(tokens.insert(token)),
        Err(error) => Event::NoToken(error),
    }
}

impl fmt::Debug for AuthorizedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizedClient")
            .field("driver", &self.driver)
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

type Events = BoxStream<'static, Result<Sse, SseError>>;

/// The methods without limits are those of rmcp's own client, for callers other than the transport.
impl StreamableHttpClient for AuthorizedClient {
    type Error = Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Fields,
    ) -> Outcome<StreamableHttpPostResponse> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            limits,
        )
        .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Fields,
        limits: StreamableHttpResponseLimits,
    ) -> Outcome<StreamableHttpPostResponse> {
        let send = |uri, fields| {
            let (message, session_id) = (message.clone(), session_id.clone());
            self.http
                .post_message_with_response_limits(uri, message, session_id, None, fields, limits)
        };
        self.send_authorized(Method::POST, (uri, auth_header, custom_headers), send)
            .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: Fields,
    ) -> Outcome<()> {
        let send = |uri, fields| {
            self.http
                .delete_session(uri, session_id.clone(), None, fields)
        };
        self.send_authorized(Method::DELETE, (uri, auth_header, custom_headers), send)
            .await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Fields,
    ) -> Outcome<Events> {
        let limit = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            limit,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Fields,
        max_sse_event_size: usize,
    ) -> Outcome<Events> {
        let send = |uri, fields| {
            let (session_id, last) = (session_id.clone(), last_event_id.clone());
            self.http.get_stream_with_max_sse_event_size(
                uri,
                session_id,
                last,
                None,
                fields,
                max_sse_event_size,
            )
        };
        self.send_authorized(Method::GET, (uri, auth_header, custom_headers), send)
            .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use oauth_core::flow::resource_connection::{ConnectRequest, GrantChoice};
    use rmcp::ServiceExt as _;
    use rmcp::model::{ClientCapabilities, ClientConfig, Implementation};
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    use super::*;

    /// The capabilities with which a client of rmcp initializes.
    async fn capabilities(grant: GrantChoice) -> Value {
        let driver = Driver::new(reqwest::Client::builder()).unwrap();
        let request = ConnectRequest::new("https://mcp.example/mcp").unwrap();
        let connection = ResourceConnection::new(driver, request.grant(grant));
        let mut capabilities = ClientCapabilities::default();
        capabilities.extensions = Some(extensions(&connection));
        let client = ClientConfig::new(capabilities, Implementation::from_build_env());
        let (client_end, server_end) = tokio::io::duplex(4096);
        let serving = tokio::spawn(client.serve(client_end));
        let mut line = String::new();
        BufReader::new(server_end)
            .read_line(&mut line)
            .await
            .unwrap();
        // No server has answered.
        assert!(serving.await.unwrap().is_err());
        let message: Value = serde_json::from_str(&line).unwrap();
        message["params"]["capabilities"]["extensions"].clone()
    }

    #[tokio::test]
    async fn the_mcp_extension_of_the_grant_is_declared() {
        for (grant, declared) in [
            (GrantChoice::AuthorizationCode, json!({})),
            (
                GrantChoice::ClientCredentials,
                json!({"io.modelcontextprotocol/oauth-client-credentials": {}}),
            ),
            (
                GrantChoice::IdentityAssertion,
                json!({"io.modelcontextprotocol/enterprise-managed-authorization": {}}),
            ),
        ] {
            assert_eq!(capabilities(grant).await, declared);
        }
    }
}
