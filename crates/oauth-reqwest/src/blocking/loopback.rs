//! The login of native apps, without `async`.

use std::time::Duration;

use oauth_core::endpoint::device_authorization::{
    DeviceAuthorization, DeviceAuthorizationResponse,
};
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::flow::redeem::Login;
use oauth_core::grant::TokenRequest;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::url::Url;
use oauth_core::{AuthorizationRequest, Client, PendingAuthorization, Secret};
use tokio::runtime::{Builder, Runtime};

use super::Driver;
use crate::device_login::{CodeLogin, DeviceLogin, DeviceLoginTiming};
use crate::loopback::{self, Paste, UnexpectedCallback};

/// [`crate::loopback::Listener`] on its own small runtime, on the calling thread.
#[derive(Debug)]
pub struct Listener {
    // Dropped before the runtime it is registered with.
    listener: loopback::Listener,
    runtime: Runtime,
}

impl Listener {
    /// Listens on a free port of `127.0.0.1`, or of `[::1]` if there is no IPv4.
    ///
    /// # Errors
    /// `listener.unavailable` if neither address can be bound.
    pub fn bind() -> Result<Self, Error> {
        Self::bind_on(0)
    }

    /// Listens on this port, for servers that compare ports, contrary to RFC 8252.
    ///
    /// # Errors
    /// `listener.unavailable` if the port is taken.
    pub fn bind_on(port: u16) -> Result<Self, Error> {
        let runtime = runtime()?;
        let listener = runtime.block_on(loopback::Listener::bind_on(port))?;
        Ok(Self { listener, runtime })
    }

    /// Listens at a registered redirect URI, as
    /// [`crate::loopback::Listener::for_redirect_uri`] does.
    ///
    /// # Errors
    /// `redirect_uri.refused`, or `listener.unavailable` if the port is taken.
    pub fn for_redirect_uri(redirect_uri: &RedirectUri) -> Result<Self, Error> {
        let runtime = runtime()?;
        let listener = runtime.block_on(loopback::Listener::for_redirect_uri(redirect_uri))?;
        Ok(Self { listener, runtime })
    }

    /// Sets a path other than `/callback`.
    ///
    /// # Errors
    /// `redirect_uri.refused` if this is not a path.
    pub fn at_path(mut self, path: &str) -> Result<Self, Error> {
        self.listener = self.listener.at_path(path)?;
        Ok(self)
    }

    /// Sets how long a connection may take to send its request, instead of 10 s.
    #[must_use]
    pub fn with_header_timeout(mut self, limit: Duration) -> Self {
        self.listener = self.listener.with_header_timeout(limit);
        self
    }

    /// Reports every callback that does not belong to this login, as
    /// [`crate::loopback::Listener::on_stray`] does.
    #[must_use]
    pub fn on_stray(mut self, notice: impl Fn(UnexpectedCallback) + Send + Sync + 'static) -> Self {
        self.listener = self.listener.on_stray(notice);
        self
    }

    /// Also accepts a pasted address. The returned value may be sent to the thread that reads it.
    pub fn paste(&mut self) -> Paste {
        self.listener.paste()
    }

    /// Lets the user sign in with a code on another device, as
    /// [`crate::loopback::Listener::device`] does.
    #[must_use]
    pub fn device(
        mut self,
        login: DeviceLogin,
        show: impl Fn(&DeviceAuthorizationResponse) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        self.listener = self.listener.device(login, show);
        self
    }

    /// The redirect URI at which the callback must arrive.
    pub const fn redirect_uri(&self) -> &RedirectUri {
        self.listener.redirect_uri()
    }

    /// Performs the whole login: opens the authorization URL, waits for the callback, redeems its code.
    /// The arguments are those of [`crate::loopback::Listener::login`].
    ///
    /// # Errors
    /// The errors of [`crate::loopback::Listener::login`].
    pub fn login(
        mut self,
        driver: &Driver,
        client: &Client,
        request: AuthorizationRequest,
        open: impl FnOnce(&Url) -> Result<(), Error>,
        timeout: Duration,
    ) -> Result<Login, Error> {
        let (request, code) = (self.listener.asking(request), self.listener.take_code());
        let timing = CodeLogin::timing_for(code.as_ref(), client.server(), &request);
        let token_request = request.token_request.clone();
        if timing.begins()
            && let Some(login) =
                by_code(driver, client, token_request.clone(), code.as_ref(), timing)?
        {
            return Ok(login);
        }
        let begun = driver.run(client.begin_authorization(request))?;
        if let Err(reason) = open(&begun.url) {
            let login = match timing {
                DeviceLoginTiming::IfNotOpened => {
                    by_code(driver, client, token_request, code.as_ref(), timing)?
                }
                _ => None,
            };
            return login.ok_or(reason);
        }
        let callback = self.wait(&begun.pending, timeout)?;
        driver.run(client.redeem(begun.pending, &callback)?)
    }

    /// Waits for the callback of this flow, and returns the URL that was requested, for
    /// [`Client::redeem`].
    ///
    /// # Errors
    /// `lost.no_callback` if no callback arrives within `timeout`.
    pub fn wait(self, pending: &PendingAuthorization, timeout: Duration) -> Result<String, Error> {
        self.runtime.block_on(self.listener.wait(pending, timeout))
    }

    /// Waits until the user returns from a logout, as
    /// [`crate::loopback::Listener::wait_for_logout`] does.
    ///
    /// # Errors
    /// `lost.no_callback` if no callback arrives within `timeout`.
    pub fn wait_for_logout(self, state: &Secret<String>, timeout: Duration) -> Result<(), Error> {
        let waited = self.listener.wait_for_logout(state, timeout);
        self.runtime.block_on(waited)
    }
}

/// A login by a code; `None` if the server issues none to this client and the browser can be used.
fn by_code(
    driver: &Driver,
    client: &Client,
    token_request: TokenRequest,
    code: Option<&CodeLogin>,
    timing: DeviceLoginTiming,
) -> Result<Option<Login>, Error> {
    let Some(CodeLogin { show, .. }) = code else {
        return Ok(None);
    };
    let code = match driver.run(client.call(DeviceAuthorization::new(token_request.clone()))) {
        Err(error) if timing.leaves_browser(&error) => return Ok(None),
        code => code?,
    };
    show(&code)?;
    driver
        .run(client.poll_device_token(&code, token_request))
        .map(Some)
}

fn runtime() -> Result<Runtime, Error> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|reason| {
        Error::from(Misuse::ListenerUnavailable)
            .about("cannot listen")
            .caused_by(Cause::unsent(reason))
    })
}
