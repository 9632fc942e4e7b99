//! The login of native apps: a listener on a loopback address for one callback.
//!
//! RFC 8252 sections 7.3 and 8.3. The listener is bound before the browser opens, answers only
//! under the name in its redirect URI (a page of another host that resolves to this machine gets a
//! 403), serves one path, is closed by the first callback that belongs to the flow, and sets no
//! cookie and no CORS header. A callback of another flow is rejected, the program is notified, and the wait continues.

mod connection;
mod expected_callback;
mod head;
mod paste;
mod sockets;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::endpoint::device_authorization::{
    DeviceAuthorization, DeviceAuthorizationResponse,
};
use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::flow::authorization::ResponseMode;
use oauth_core::flow::redeem::Login;
use oauth_core::grant::TokenRequest;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::url::Url;
use oauth_core::{AuthorizationRequest, Client, PendingAuthorization, Secret};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time;

use crate::device_login::{CodeLogin, DeviceLogin, DeviceLoginTiming};
use crate::driver::Driver;
use connection::{Answer, CallbackConnection};
use expected_callback::ExpectedCallback;
pub use paste::{Paste, UnexpectedCallback};
use sockets::ListenerSockets;

/// The number of connections served at once; another one closes the oldest.
const MAX_CONNECTIONS: usize = 32;

/// Waits on a loopback address for the callback of one login.
///
/// ```no_run
/// use std::time::Duration;
/// use oauth_core::{AuthorizationRequest, Client, Scope};
/// use oauth_reqwest::loopback::Listener;
/// use oauth_reqwest::{Driver, browser};
///
/// # async fn login(driver: Driver, client: Client) -> Result<(), oauth_core::Error> {
/// let listener = Listener::bind().await?;
/// let ask = AuthorizationRequest::new(listener.redirect_uri().clone())
///     .scope(Scope::parse("openid profile")?);
/// let patience = Duration::from_secs(300);
/// let tokens = listener.login(&driver, &client, ask, browser::open, patience).await?;
/// # Ok(())
/// # }
/// ```
pub struct Listener {
    socket: ListenerSockets,
    /// The host and port required in `Host`; the port that http implies is left out.
    host: String,
    redirect_uri: RedirectUri,
    header_timeout: Duration,
    pasted: Option<mpsc::UnboundedReceiver<String>>,
    notice: Option<UnexpectedCallbackHook>,
    code: Option<CodeLogin>,
}

type UnexpectedCallbackHook = Box<dyn Fn(UnexpectedCallback) + Send + Sync>;

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { redirect_uri, .. } = self;
        write!(f, "Listener({})", redirect_uri.as_str())
    }
}

impl Listener {
    /// Listens on a free port of `127.0.0.1`, or of `[::1]` if there is no IPv4.
    ///
    /// The redirect URI is then `http://127.0.0.1:PORT/callback`: servers must allow any port of a
    /// registered loopback address (RFC 8252 section 7.3).
    ///
    /// # Errors
    /// `listener.unavailable` if neither address can be bound.
    pub async fn bind() -> Result<Self, Error> {
        Self::bind_on(0).await
    }

    /// Listens on this port, for servers that compare ports, contrary to RFC 8252.
    ///
    /// # Errors
    /// `listener.unavailable` if the port is taken: the program that has it would get the callback, so there is no alternative.
    pub async fn bind_on(port: u16) -> Result<Self, Error> {
        let (socket, host) = ListenerSockets::bind(port).await?;
        let redirect_uri = RedirectUri::parse(&format!("http://{host}/callback"))?;
        Ok(Self::from_sockets(socket, host, redirect_uri))
    }

    /// Listens at a registered redirect URI: this address, this port and this path. Without a port, a free one is used,
    /// as in RFC 8252 section 7.3; port 80 has to be named.
    ///
    /// `http://localhost` means both addresses of this machine: the listener is bound to
    /// `127.0.0.1` and to `[::1]`. Prefer a literal address if the server accepts one.
    ///
    /// # Errors
    /// `redirect_uri.refused` if it is not plain http on a loopback address; `listener.unavailable` if the
    /// port is taken.
    pub async fn for_redirect_uri(redirect_uri: &RedirectUri) -> Result<Self, Error> {
        let (socket, host, redirect_uri) = ListenerSockets::at(redirect_uri).await?;
        Ok(Self::from_sockets(socket, host, redirect_uri))
    }

    fn from_sockets(socket: ListenerSockets, host: String, redirect_uri: RedirectUri) -> Self {
        Self {
            socket,
            host,
            redirect_uri,
            header_timeout: Duration::from_secs(10),
            pasted: None,
            notice: None,
            code: None,
        }
    }

    /// Sets a path other than `/callback`.
    ///
    /// # Errors
    /// `redirect_uri.refused` if this is not a path.
    pub fn at_path(mut self, path: &str) -> Result<Self, Error> {
        if !path.starts_with('/') || path.contains('?') {
            return Err(Misuse::RedirectUriRefused.into());
        }
        self.redirect_uri = RedirectUri::parse(&format!("http://{}{path}", self.host))?;
        Ok(self)
    }

    /// Sets how long a connection may take to send its request, instead of 10 s.
    #[must_use]
    pub const fn with_header_timeout(mut self, limit: Duration) -> Self {
        self.header_timeout = limit;
        self
    }

    /// Immediately reports every callback that does not belong to this login: the listener keeps waiting, and the user
    /// should not have to wait for its end to learn that something is wrong.
    #[must_use]
    pub fn on_stray(mut self, notice: impl Fn(UnexpectedCallback) + Send + Sync + 'static) -> Self {
        self.notice = Some(Box::new(notice));
        self
    }

    /// Also accepts a pasted address, for users whose browser is on another machine.
    pub fn paste(&mut self) -> Paste {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.pasted = Some(receiver);
        Paste(sender)
    }

    /// Lets the user sign in with a code on another device (RFC 8628), always or only if necessary: if there is no
    /// browser, or it cannot be opened, the server offers codes, and the request needs nothing that a code cannot
    /// express ([`DeviceLogin::with_request`]). This function shows the code, for example its
    /// [prompt](DeviceAuthorizationResponse::prompt); the server determines how long the user may take.
    ///
    /// Without this, a [login](Self::login) uses only the browser: the function that opens the page is the caller's, who
    /// knows where the browser is, and only the caller knows how to show a code.
    #[must_use]
    pub fn device(
        mut self,
        login: DeviceLogin,
        show: impl Fn(&DeviceAuthorizationResponse) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        let show = Arc::new(show);
        self.code = Some(CodeLogin { login, show });
        self
    }

    /// The redirect URI at which the callback must arrive.
    pub const fn redirect_uri(&self) -> &RedirectUri {
        &self.redirect_uri
    }

    /// Performs the whole login: opens the authorization URL, waits for the callback, redeems its code.
    ///
    /// `request` is sent with this listener's redirect URI and with the response in the query, even if it specifies others, because
    /// the listener can receive nothing else. `open` shows the URL to the user, for example with
    /// [`browser::open`](crate::browser::open), and must not wait for the browser.
    ///
    /// With [`device`](Self::device), a code may be used instead.
    ///
    /// # Errors
    /// The errors of [`Client::authorize`], of `open`, of [`wait`](Self::wait), of [`Client::redeem`]
    /// (`denied.access_denied` if the user declined) and of the token request; those of
    /// [`Client::poll_device_token`].
    pub async fn login(
        mut self,
        driver: &Driver,
        client: &Client,
        request: AuthorizationRequest,
        open: impl FnOnce(&Url) -> Result<(), Error>,
        timeout: Duration,
    ) -> Result<Login, Error> {
        let (request, code) = (self.asking(request), self.code.take());
        let timing = CodeLogin::timing_for(code.as_ref(), client.server(), &request);
        let token_request = request.token_request.clone();
        if timing.begins()
            && let Some(login) =
                by_code(driver, client, token_request.clone(), code.as_ref(), timing).await?
        {
            return Ok(login);
        }
        let begun = driver.run(client.begin_authorization(request)).await?;
        if let Err(reason) = open(&begun.url) {
            let login = match timing {
                DeviceLoginTiming::IfNotOpened => {
                    by_code(driver, client, token_request, code.as_ref(), timing).await?
                }
                _ => None,
            };
            return login.ok_or(reason);
        }
        let callback = self.wait(&begun.pending, timeout).await?;
        driver.run(client.redeem(begun.pending, &callback)?).await
    }

    /// Takes the way in which codes are shown.
    #[cfg(feature = "blocking")]
    pub(crate) fn take_code(&mut self) -> Option<CodeLogin> {
        self.code.take()
    }

    /// The request, with its response directed to this listener.
    pub(crate) fn asking(&self, mut request: AuthorizationRequest) -> AuthorizationRequest {
        request.redirect_uri = self.redirect_uri.clone();
        // A listener sees no fragment, and accepts no form.
        request.response_mode = if request.response_mode.is_jwt() {
            ResponseMode::QueryJwt
        } else {
            ResponseMode::Query
        };
        request
    }

    /// Waits for the callback of this flow, and returns the URL that was requested, for [`Client::redeem`]. The
    /// listener is closed by then, and the user has seen a page that shows nothing of the callback.
    ///
    /// # Errors
    /// `lost.no_callback` if no callback arrives within `timeout`.
    pub async fn wait(
        self,
        pending: &PendingAuthorization,
        timeout: Duration,
    ) -> Result<String, Error> {
        self.wait_for(ExpectedCallback::Login(pending), timeout)
            .await
    }

    async fn wait_for(
        mut self,
        awaited: ExpectedCallback<'_>,
        timeout: Duration,
    ) -> Result<String, Error> {
        let mut unexpected_callbacks = UnexpectedCallbacks::default();
        let accepted =
            time::timeout(timeout, self.accept(awaited, &mut unexpected_callbacks)).await;
        let Ok((connection, callback)) = accepted else {
            let timeout_cause = Cause::unsent(unexpected_callbacks.timeout_reason());
            return Err(Error::lost(timeout_cause.because(Loss::NoCallback)));
        };
        // No other connection is accepted, not even while the response is being sent.
        drop(self);
        if let Some((connection, response)) = connection {
            connection.respond(response).await;
        }
        Ok(callback)
    }

    /// Waits until the user returns from a logout at the server, with this `state`: that of the
    /// [`LogoutRequest`](oauth_core::flow::logout::LogoutRequest), whose `post_logout_redirect_uri` is
    /// this listener's (OpenID Connect RP-Initiated Logout section 3).
    ///
    /// # Errors
    /// `lost.no_callback` if no callback arrives within `timeout`.
    pub async fn wait_for_logout(
        self,
        state: &Secret<String>,
        timeout: Duration,
    ) -> Result<(), Error> {
        let redirect_uri = self.redirect_uri.clone();
        let awaited = ExpectedCallback::Logout(&redirect_uri, state);
        self.wait_for(awaited, timeout).await.map(|_| ())
    }

    /// Serves until the right callback arrives. All other connections are dropped with the two sets.
    async fn accept(
        &mut self,
        awaited: ExpectedCallback<'_>,
        strays: &mut UnexpectedCallbacks,
    ) -> (Option<(CallbackConnection, Answer)>, String) {
        let mut readers = JoinSet::new();
        let mut writers = JoinSet::new();
        let mut handles = VecDeque::new();
        let notice = self.notice.take();
        let mut record_unexpected = |unexpected| {
            strays.record(unexpected);
            notice.iter().for_each(|notice| notice(unexpected));
        };
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) => {
                        make_room(&mut handles);
                        handles.push_back(readers.spawn(read(stream, self.header_timeout)));
                    }
                    // Out of file descriptors, most likely: let others close theirs.
                    Err(_) => time::sleep(Duration::from_millis(20)).await,
                },
                Some(read) = readers.join_next(), if !readers.is_empty() => {
                    let Ok(Some(connection)) = read else { continue };
                    match connection.classify(&self.host, awaited) {
                        Ok((callback, response)) => return (Some((connection, response)), callback),
                        Err(response) => {
                            match response {
                                Answer::OtherFlow | Answer::OtherLogout => record_unexpected(UnexpectedCallback::Callback),
                                Answer::RefusedWithoutState => record_unexpected(UnexpectedCallback::Refusal),
                                _ => {}
                            }
                            handles.push_back(writers.spawn(connection.respond(response)));
                        }
                    }
                }
                Some(text) = next_pasted(&mut self.pasted) => match paste::callback(&text, awaited) {
                    Some(callback) => return (None, callback),
                    // Users press Enter to see whether a program is alive.
                    None if text.trim().is_empty() => {}
                    None => record_unexpected(UnexpectedCallback::Paste),
                },
                Some(_) = writers.join_next(), if !writers.is_empty() => {}
            }
        }
    }
}

/// A login by a code; `None` if the server issues none to this client and the browser can be used.
async fn by_code(
    driver: &Driver,
    client: &Client,
    token_request: TokenRequest,
    code: Option<&CodeLogin>,
    timing: DeviceLoginTiming,
) -> Result<Option<Login>, Error> {
    let Some(CodeLogin { show, .. }) = code else {
        return Ok(None);
    };
    let code = client.call(DeviceAuthorization::new(token_request.clone()));
    let code = match driver.run(code).await {
        Err(error) if timing.leaves_browser(&error) => return Ok(None),
        code => code?,
    };
    show(&code)?;
    driver
        .run(client.poll_device_token(&code, token_request))
        .await
        .map(Some)
}

/// Whether anything arrived that was not a callback of this login.
#[derive(Default)]
struct UnexpectedCallbacks {
    refusals: usize,
    others: usize,
}

impl UnexpectedCallbacks {
    const fn record(&mut self, unexpected: UnexpectedCallback) {
        match unexpected {
            UnexpectedCallback::Refusal => self.refusals += 1,
            UnexpectedCallback::Callback | UnexpectedCallback::Paste => self.others += 1,
        }
    }

    const fn timeout_reason(&self) -> &'static str {
        match (self.refusals, self.others) {
            (0, 0) => "the browser did not return to the redirect URI",
            (0, _) => {
                "the redirect URI was called, but only with callbacks that belong to other logins"
            }
            _ => {
                "the redirect URI was called, but only with an error without `state`: the server may have refused this login in an incorrect way"
            }
        }
    }
}

/// The next pasted text; `None` once no more can be pasted.
async fn next_pasted(pasted: &mut Option<mpsc::UnboundedReceiver<String>>) -> Option<String> {
    pasted.as_mut()?.recv().await
}

async fn read(stream: TcpStream, timeout: Duration) -> Option<CallbackConnection> {
    time::timeout(timeout, CallbackConnection::read(stream))
        .await
        .ok()?
}

/// A browser's request takes milliseconds, so the oldest connection is the least likely to be one.
fn make_room(handles: &mut VecDeque<AbortHandle>) {
    handles.retain(|handle| !handle.is_finished());
    while handles.len() >= MAX_CONNECTIONS {
        handles.pop_front().iter().for_each(AbortHandle::abort);
    }
}
