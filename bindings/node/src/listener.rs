//! The loopback listener of native apps (RFC 8252), and the user's browser.

use std::sync::{Arc, Mutex, PoisonError};

use napi::Result;
use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use oauth_core::error::Misuse;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::url::Url;
use oauth_reqwest::DeviceLogin;
use oauth_reqwest::device_login::PageOpener;
use oauth_reqwest::loopback::{Listener, Paste};
use tokio::sync::Notify;

use crate::client::{NativeClient, NativeFlow};
use crate::error::{fail, overdue};
use crate::runtime::{millis, promise};

/// A listener on a loopback address for one callback.
#[napi]
pub struct NativeListener {
    listener: Mutex<Option<Listener>>,
    pasted: Paste,
    redirect_uri: String,
    stop: Arc<Notify>,
}

/// Listens at `redirect_uri`, or on `port`; 0 selects a free port.
#[napi(ts_return_type = "Promise<NativeListener>")]
pub(crate) fn listen(
    env: &Env,
    port: u16,
    path: Option<String>,
    redirect_uri: Option<String>,
) -> Result<Object<'_>> {
    promise(env, async move {
        let mut listener = match redirect_uri {
            Some(uri) => Listener::for_redirect_uri(&RedirectUri::parse(&uri)?).await?,
            None => Listener::bind_on(port).await?,
        };
        if let Some(path) = path {
            listener = listener.at_path(&path)?;
        }
        Ok(NativeListener {
            redirect_uri: listener.redirect_uri().as_str().to_owned(),
            pasted: listener.paste(),
            listener: Mutex::new(Some(listener)),
            stop: Arc::default(),
        })
    })
}

#[napi]
impl NativeListener {
    /// The URI at which the callback must arrive.
    #[napi(getter)]
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Waits for the callback URL, for at most `timeout_ms` milliseconds.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn wait<'env>(
        &self,
        env: &'env Env,
        flow: &NativeFlow,
        timeout_ms: f64,
    ) -> Result<Object<'env>> {
        let pending = flow.0.pending().map_err(fail)?;
        let listener = self.take();
        let listener = listener.ok_or_else(|| fail(Misuse::Over.into()))?;
        let stop = Arc::clone(&self.stop);
        promise(env, async move {
            tokio::select! {
                callback = listener.wait(&pending, millis(timeout_ms)) => callback,
                () = stop.notified() => Err(overdue("the caller gave up")),
            }
        })
    }

    /// Passes on a pasted URL. Returns whether it is a callback of this flow.
    #[napi]
    pub fn paste(&self, flow: &NativeFlow, text: String) -> Result<bool> {
        let pending = flow.0.pending().map_err(fail)?;
        Ok(self.pasted.give_callback(&text, &pending))
    }

    /// Stops listening.
    #[napi]
    pub fn close(&self) {
        self.stop.notify_one();
        if let (Some(listener), Ok(runtime)) = (self.take(), crate::runtime::runtime()) {
            // The socket belongs to the runtime, and must be dropped inside it.
            runtime.spawn(async move { drop(listener) });
        }
    }

    fn take(&self) -> Option<Listener> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        listener.take()
    }
}

/// When a login uses a code on another device: `only`, `first`, `if_not_opened` or `never`. `device` is the caller's option,
/// `opener` whether the caller opens the page, and `parameters` are the names of the requested options.
#[napi]
pub(crate) fn code_turn(
    client: &NativeClient,
    device: Option<bool>,
    opener: bool,
    parameters: Vec<String>,
) -> &'static str {
    let login = match device {
        Some(true) => DeviceLogin::Always,
        Some(false) => DeviceLogin::Never,
        None => DeviceLogin::WhereNoBrowser,
    };
    let opener = if opener {
        PageOpener::Callers
    } else {
        PageOpener::System
    };
    let parameters: Vec<String> = parameters.iter().map(|name| snake(name)).collect();
    let login = login.with_parameters(parameters.iter().map(String::as_str));
    login.timing(opener, client.0.core().server()).as_str()
}

/// Converts camel case to snake case: `loginHint` to `login_hint`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Opens a page in the user's browser.
#[napi]
pub(crate) fn open_browser(url: String) -> Result<()> {
    let url = Url::parse(&url).map_err(fail)?;
    oauth_reqwest::browser::open(&url).map_err(fail)
}
