//! The login of native apps: a listener on a loopback address for one callback.
//!
//! RFC 8252 sections 7.3 and 8.3. The listener is bound before the browser opens, answers only
//! under its own literal address (a page of another host that resolves to this machine gets a
//! 403), serves one path, is closed by the first callback that belongs to the flow, and sets no
//! cookie and no CORS header. A callback of another flow is turned away and the wait goes on.

mod guest;
mod head;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::flow::authorization::ResponseMode;
use oauth_core::issuer::RedirectUri;
use oauth_core::url::Url;
use oauth_core::{AuthorizationRequest, Client, Moment, Pending, Tokens};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time;

use crate::driver::Driver;
use guest::{Answer, Guest};

/// How many connections are served at once; one more pushes out the oldest.
const MAX_GUESTS: usize = 32;

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
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// What `Host` must say, to the letter.
    host: String,
    redirect_uri: RedirectUri,
    header_timeout: Duration,
}

impl Listener {
    /// Listens on a free port of `127.0.0.1`, or of `[::1]` where there is no IPv4.
    ///
    /// The redirect URI is then `http://127.0.0.1:PORT/callback`: servers must allow any port of a
    /// registered loopback address (RFC 8252 section 7.3).
    ///
    /// # Errors
    /// `misuse.setup` if neither address can be had.
    pub async fn bind() -> Result<Self, Error> {
        Self::bind_on(0).await
    }

    /// Listens on this port, for servers that compare ports against the letter of RFC 8252.
    ///
    /// # Errors
    /// `misuse.setup` if the port is taken: whoever has it would get the callback, so there is no way
    /// around it.
    pub async fn bind_on(port: u16) -> Result<Self, Error> {
        let bound = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await;
                v6.map_err(|_| error)
            }
            bound => bound,
        };
        let failed = |why: io::Error| {
            Error::from(Misuse::Setup)
                .about("cannot listen")
                .caused_by(Cause::unsent(why))
        };
        let socket = bound.map_err(failed)?;
        let host = host_of(socket.local_addr().map_err(failed)?);
        let redirect_uri = RedirectUri::parse(&format!("http://{host}/callback"))?;
        Ok(Self {
            socket,
            host,
            redirect_uri,
            header_timeout: Duration::from_secs(10),
        })
    }

    /// Waits at another path than `/callback`.
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

    /// How long a connection may take to send its request, instead of 10 s.
    #[must_use]
    pub const fn with_header_timeout(mut self, limit: Duration) -> Self {
        self.header_timeout = limit;
        self
    }

    /// Where the callback must come to.
    pub const fn redirect_uri(&self) -> &RedirectUri {
        &self.redirect_uri
    }

    /// The whole login: opens the authorization URL, waits for the callback, redeems its code.
    ///
    /// `ask` goes out with this listener's redirect URI and answers in the query, whatever it
    /// says: nothing else can be heard here. `open` shows the URL to the person, for example with
    /// [`browser::open`](crate::browser::open), and must not wait for what the browser does.
    ///
    /// # Errors
    /// Those of [`Client::authorize`], of `open`, of [`wait`](Self::wait), of [`Client::redeem`]
    /// (`denied.access_denied` if the person said no) and of the token request.
    pub async fn login(
        self,
        driver: &Driver,
        client: &Client,
        ask: AuthorizationRequest,
        open: impl FnOnce(&Url) -> Result<(), Error>,
        patience: Duration,
    ) -> Result<Tokens, Error> {
        let pending = self.start(client, ask, open)?;
        let callback = self.wait(&pending, patience).await?;
        driver.run(client.redeem(pending, &callback)?).await
    }

    pub(crate) fn start(
        &self,
        client: &Client,
        mut ask: AuthorizationRequest,
        open: impl FnOnce(&Url) -> Result<(), Error>,
    ) -> Result<Pending, Error> {
        ask.redirect_uri = self.redirect_uri.clone();
        ask.response_mode = ResponseMode::Query;
        let (url, pending) = client.authorize(Moment::system()?, ask)?;
        open(&url)?;
        Ok(pending)
    }

    /// Waits for the callback of this flow, and gives back the URL that was called, for
    /// [`Client::redeem`]. The listener is closed by then, and the person has seen a page that
    /// says nothing of what was in the callback.
    ///
    /// # Errors
    /// `lost` if nobody comes within `patience`.
    pub async fn wait(self, pending: &Pending, patience: Duration) -> Result<String, Error> {
        let accepted = time::timeout(patience, self.accept(pending)).await;
        let Ok((guest, callback)) = accepted else {
            let nobody = Cause::unsent("nobody came back to the redirect URI in time");
            return Err(Error::lost(nobody.because(Loss::Timeout)));
        };
        // Nobody else gets in, not even while the answer is on its way.
        drop(self);
        guest.answer(Answer::Welcome).await;
        Ok(callback)
    }

    /// Serves until the right callback comes. All other connections are dropped with the two sets.
    async fn accept(&self, pending: &Pending) -> (Guest, String) {
        let mut readers = JoinSet::new();
        let mut writers = JoinSet::new();
        let mut handles = VecDeque::new();
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
                    let Ok(Some(guest)) = read else { continue };
                    match guest.judge(&self.host, pending) {
                        Ok(callback) => return (guest, callback),
                        Err(answer) => {
                            handles.push_back(writers.spawn(guest.answer(answer)));
                        }
                    }
                }
                Some(_) = writers.join_next(), if !writers.is_empty() => {}
            }
        }
    }
}

async fn read(stream: TcpStream, patience: Duration) -> Option<Guest> {
    time::timeout(patience, Guest::read(stream)).await.ok()?
}

/// A browser's request takes milliseconds, so the oldest guest is the least likely to be one.
fn make_room(handles: &mut VecDeque<AbortHandle>) {
    handles.retain(|handle| !handle.is_finished());
    while handles.len() >= MAX_GUESTS {
        handles.pop_front().iter().for_each(AbortHandle::abort);
    }
}

fn host_of(address: SocketAddr) -> String {
    match (address.ip(), address.port()) {
        // Clients leave out the port that http implies.
        (IpAddr::V4(ip), 80) => ip.to_string(),
        (IpAddr::V6(ip), 80) => format!("[{ip}]"),
        _ => address.to_string(),
    }
}
