//! Twins on loopback sockets, for real HTTP clients and for other languages.
//!
//! In addition to the twin's own routes, there are control routes, which are not in its log:
//!
//! | request | answer or effect |
//! |---|---|
//! | `GET /_twin/client` | `client_id`, `client_secret`, `client_key` (FAPI), `public_client_id`, `issuer`, `redirect_uris` |
//! | `GET /_twin/log` | every request seen, redacted |
//! | `GET /_twin/counters` | the [`Counters`](crate::twin::Counters) |
//! | `POST /_twin/fault` | injects `{"name":"status","status":503}`; see [`Fault`] |
//! | `POST /_twin/advance` | moves the clock by `{"seconds":n}` |
//! | `POST /_twin/polling_interval` | sets the polling interval to `{"seconds":n}` |
//! | `POST /_twin/rate_limit` | allows `{"requests":n,"seconds":s}` API calls per token |
//! | `POST /_twin/step_up` | the API requires `{"acr_values":["…"],"max_age":n}` of logins (RFC 9470), or `{"claims":{…}}` as Entra's; `{}` for nothing |
//! | `POST /_twin/register` | registers `{"redirect_uri":"…"}` as well |
//! | `POST /_twin/claim` | adds the claim `{"name":"…","value":…}` to ID tokens from now on; `null` removes it |
//! | `POST /_twin/add_person` | adds an account for `{"subject":"…"}`, who approves requests with this `login_hint` |
//! | `POST /_twin/initial_access_token` | requires `{"token":"…"}` to register a client; without one, anyone may |
//! | `POST /_twin/forget_client` | forgets the registered client `{"client_id":"…"}` |
//! | `POST /_twin/accept_client_id_metadata` | accepts URLs of metadata documents on loopback addresses as client ids |
//! | `POST /_twin/trust_publisher` | accepts the software statements of `{"issuer":"…","jwks":{…}}` |
//! | `POST /_twin/announce_saml_assertion` | accepts `{"assertion":"…"}`, the XML of a SAML assertion, once |
//! | `POST /_twin/sign_resource_metadata` | signs `{"claims":{…}}` about the API |
//! | `POST /_twin/access_token_lifetime` | new access tokens live `{"seconds":n}` |
//! | `POST /_twin/authorization_lifetime` | ends approvals after `{"seconds":n}` from now on |
//! | `POST /_twin/accept_service_accounts` | accepts assertions of Google's service accounts whose audience is `{"token_uri":"…"}` |
//! | `POST /_twin/refuse_resources` | refuses `resource`, as Entra does |
//! | `POST /_twin/rename_resource` | accepts no `resource` but `api://echo` |
//! | `POST /_twin/spend_before_nonces` | uses up refresh tokens even if their request lacks a nonce |
//! | `POST /_twin/dpop_nonces` | invalidates all nonces; `{"nonces":"unasked"}`, `kept` or `once` sets which are required from now on |
//! | `POST /_twin/require_dpop` | binds tokens to the key of a DPoP proof from now on |
//! | `POST /_twin/require_signed_requests` | refuses unsigned authorization requests (FAPI) |
//! | `POST /_twin/encrypt_responses` | encrypts signed responses to `{"jwk":{…},"alg":"ECDH-ES","enc":"A256GCM"}` (FAPI) |
//! | `POST /_twin/allow_unpushed_requests` | accepts authorization requests that were not pushed (FAPI) |
//! | `POST /_twin/register_assertion_key` | accepts the assertions of `{"issuer":"…","jwk":{…}}` |
//! | `POST /_twin/trust_identity_provider` | accepts the identity assertions of `{"issuer":"…","jwks":{…}}` |
//! | `POST /_twin/vouch_to` | issues identity assertions for the server `{"issuer":"…","client_id":"…"}`, and the client there |
//! | `POST /_twin/backchannel_delivery` | sets the delivery mode: `{"delivery":"ping","endpoint":"…"}`, `push`, or `poll` |
//! | `POST /_twin/notifications` | the notifications that would have been posted since: `endpoint`, `authorization`, `body` of each |
//! | `POST /_twin/console_token` | creates an access token by hand, returned as `access_token` |
//! | `POST /_twin/expire` | ends every access token |
//! | `POST /_twin/deny` | has the user deny the next request |

mod body;
mod client_document;
mod control;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::DATE;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use oauth_core::moment::{Moment, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::twin::wire::ClientCertificate;
use crate::twin::{Delivery, Twin};
use body::Drip;

#[cfg(doc)]
use crate::twin::Fault;

/// The maximum size of a request, in bytes.
const REQUEST_LIMIT: usize = 1 << 20;

/// A twin that answers on `127.0.0.1` until this is dropped.
///
/// ```
/// use oauth_testkit::{Served, Twin};
///
/// let served = Served::start(Twin::generic)?;
/// assert!(served.base().starts_with("http://127.0.0.1:"));
/// served.with(|twin| twin.expire_access_tokens());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Served {
    base: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    connections: AtomicUsize,
    open: AtomicUsize,
    peak: AtomicUsize,
}

#[derive(Debug)]
struct State {
    twin: Twin,
    ahead: Duration,
}

impl Served {
    /// Serves a twin on a free port. `make` gets the base URL of the server.
    ///
    /// # Errors
    /// If no port is available.
    pub fn start(make: impl FnOnce(&str) -> Twin) -> io::Result<Self> {
        Self::start_on(0, make)
    }

    /// Serves a twin on this port of `127.0.0.1`.
    ///
    /// # Errors
    /// If the port is not available.
    pub fn start_on(port: u16, make: impl FnOnce(&str) -> Twin) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let base = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                twin: make(&base),
                ahead: Duration::ZERO,
            }),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let server_state = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("twin".to_owned())
            .spawn(move || {
                runtime.spawn(accept(listener, server_state));
                // The sender is dropped to stop the server, so this is always an error.
                let _ = runtime.block_on(stopped);
                // Dropping the runtime closes what is still open.
            })?;
        Ok(Self {
            base,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Serves a connection that was accepted elsewhere.
    #[cfg(feature = "tls")]
    pub(crate) fn connection<S>(
        &self,
        stream: S,
        certificate: Option<ClientCertificate>,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        connection(Arc::clone(&self.shared), stream, certificate)
    }

    /// `http://127.0.0.1:PORT`
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Inspects or changes the twin while it serves. Requests wait until `f` returns.
    pub fn with<T>(&self, f: impl FnOnce(&mut Twin) -> T) -> T {
        f(&mut self.shared.state().twin)
    }

    /// Advances the twin's clock relative to the system's.
    pub fn advance(&self, by: Duration) {
        let mut state = self.shared.state();
        state.ahead = state.ahead.saturating_add(by);
    }

    /// The number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The maximum number of connections open at once.
    pub fn open_connections_peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It can only fail if the thread panicked, and that was printed already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Locks the state. A panic inside [`Served::with`] does not corrupt it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn moment(&self) -> Moment {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = UnixTime::from_secs(now.saturating_add(self.ahead).as_secs());
        // A twin does not use the seed.
        Moment::fixed(now, [0; 32])
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: wait for connections to be closed.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        tokio::spawn(connection(Arc::clone(&shared), stream, None));
    }
}

/// Serves one connection, whose client may have presented a certificate.
async fn connection<S>(shared: Arc<Shared>, stream: S, certificate: Option<ClientCertificate>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let open = OpenConnection::new(shared);
    let respond_to = |mut request: http::Request<Incoming>| {
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        respond(&open.0, request)
    };
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(respond_to));
    // An error means that the client hung up, or that a fault lost the reply.
    let _ = connection.await;
}

/// An open connection, counted while this exists.
struct OpenConnection(Arc<Shared>);

impl OpenConnection {
    fn new(shared: Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
        shared.peak.fetch_max(open, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An error closes the connection without a reply.
async fn respond(
    shared: &Shared,
    request: http::Request<Incoming>,
) -> Result<http::Response<Drip>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_LIMIT)
        .collect()
        .await?
        .to_bytes();
    let request = http::Request::from_parts(head, body);
    let document_url = shared.state().twin.document_wanted(&request);
    if let Some(url) = document_url {
        let found = client_document::fetch_from_loopback(&url).await;
        let mut state = shared.state();
        let at = state.moment().now();
        // The twin answers that the client is unknown.
        match found {
            Ok(found) => drop(state.twin.take_client_document(at, &url, &found)),
            Err(_) => state.twin.forget_client(&url),
        }
    }
    let mut reply = {
        let mut state = shared.state();
        match control::control_response(&mut state, &request) {
            Some(reply) => reply,
            None => {
                let moment = state.moment();
                let mut reply = state.twin.answer(&moment, request);
                // By the twin's own clock, which may have been moved.
                let now = SystemTime::UNIX_EPOCH + Duration::from_secs(moment.now().as_secs());
                if let Ok(date) = httpdate::fmt_http_date(now).parse() {
                    reply.headers_mut().insert(DATE, date);
                }
                reply
            }
        }
    };
    let delivery: Delivery = reply.extensions_mut().remove().unwrap_or_default();
    if delivery.lost {
        return Err("the reply is lost, by a fault".into());
    }
    let pause = Duration::from_millis(delivery.millis_per_byte);
    Ok(reply.map(|body| Drip::new(body, pause)))
}
