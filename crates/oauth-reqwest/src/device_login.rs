//! Decides whether a user signs in with a code on another device instead of the browser of this machine.
//!
//! A user at a machine with a browser signs in with that, because a user cannot see who has requested a code (RFC 10027
//! section 5). So a code is for machines without a browser, and for callers that choose it.

use std::fmt;
use std::sync::Arc;

use oauth_core::AuthorizationRequest;
use oauth_core::endpoint::device_authorization::DeviceAuthorizationResponse;
use oauth_core::error::Error;
use oauth_core::flow::authorization::has_place_in_device_grant;
use oauth_core::server::Server;

use crate::browser;

/// When a user signs in with a code on another device (RFC 8628).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceLogin {
    /// If this machine has no browser ([`browser::is_there`]), and the server offers codes.
    WhereNoBrowser,
    /// In any case.
    Always,
    /// Never: without a browser, the user opens the URL by hand.
    Never,
}

/// The means of showing a page to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageOpener {
    /// A function of the application, which knows where the browser is.
    Callers,
    /// [`browser::open`].
    System,
    /// A program that the host's own library finds.
    Hosts,
}

/// When a code is used in one login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceLoginTiming {
    /// Only the code is used.
    Only,
    /// The code is used first, and the browser if the server refuses this client a code.
    First,
    /// The browser is used first, and the code if the browser could not be opened.
    IfNotOpened,
    /// Only the browser is used.
    Never,
}

impl DeviceLoginTiming {
    /// `only`, `first`, `if_not_opened` or `never`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::First => "first",
            Self::IfNotOpened => "if_not_opened",
            Self::Never => "never",
        }
    }

    /// Whether the login begins with the code.
    pub const fn begins(self) -> bool {
        matches!(self, Self::Only | Self::First)
    }

    /// Whether the browser is used after this error of requesting a code: the server issues no codes to this client.
    pub fn leaves_browser(self, error: &Error) -> bool {
        self != Self::Only && error.server_error().is_some()
    }
}

impl DeviceLogin {
    /// Uses a code only if that loses none of these parameters of an authorization request, in snake case
    /// ([`has_place_in_device_grant`]), such as how the user has to sign in.
    #[must_use]
    pub fn with_parameters<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let fits = names.into_iter().all(has_place_in_device_grant);
        self.unless_lost(fits.then_some(()))
    }

    /// Uses a code only if that loses no parameter of this request, see [`with_parameters`](Self::with_parameters).
    #[must_use]
    pub fn with_request(self, request: &AuthorizationRequest) -> Self {
        self.unless_lost(request.fits_device_grant().then_some(()))
    }

    const fn unless_lost(self, fits: Option<()>) -> Self {
        match (self, fits) {
            (Self::WhereNoBrowser, None) => Self::Never,
            _ => self,
        }
    }

    /// When a code is used, on this machine and at this server.
    pub fn timing(self, opener: PageOpener, server: &Server) -> DeviceLoginTiming {
        let has_browser = match opener {
            PageOpener::Callers => true,
            PageOpener::System => browser::is_there(),
            PageOpener::Hosts => browser::has_display(),
        };
        match self {
            Self::Always => DeviceLoginTiming::Only,
            Self::WhereNoBrowser
                if opener == PageOpener::Callers || !server.takes_device_logins() =>
            {
                DeviceLoginTiming::Never
            }
            Self::WhereNoBrowser if has_browser => DeviceLoginTiming::IfNotOpened,
            Self::WhereNoBrowser => DeviceLoginTiming::First,
            Self::Never => DeviceLoginTiming::Never,
        }
    }
}

/// The page where the user enters the code, with the code in it, as a QR code for the camera of a telephone: lines of half
/// blocks, for a terminal with light characters on a dark background. `None` if the server named no such page
/// (`verification_uri_complete`), or its address is too long.
///
/// A user without a camera needs the [prompt](DeviceAuthorizationResponse::prompt): show both (RFC 8628 section 3.3.1).
#[cfg(feature = "qr-code")]
pub fn qr_code(code: &DeviceAuthorizationResponse) -> Option<String> {
    use qrcode::render::unicode::Dense1x2;

    let url = code.verification_uri_complete.as_ref()?;
    let drawn = qrcode::QrCode::new(url.as_str()).ok()?;
    let mut drawn = drawn.render::<Dense1x2>();
    // Light modules, the quiet zone among them, are drawn as characters, because most terminals are dark.
    drawn.dark_color(Dense1x2::Light);
    drawn.light_color(Dense1x2::Dark);
    Some(drawn.build())
}

/// A function that shows a code to the user.
pub(crate) type ShowCode =
    Arc<dyn Fn(&DeviceAuthorizationResponse) -> Result<(), Error> + Send + Sync>;

/// A way to show codes, and when to use them.
#[derive(Clone)]
pub(crate) struct CodeLogin {
    pub(crate) login: DeviceLogin,
    pub(crate) show: ShowCode,
}

impl fmt::Debug for CodeLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CodeLogin").field(&self.login).finish()
    }
}

impl CodeLogin {
    /// When a code is used in a login with this request; never without a way to show one.
    pub(crate) fn timing_for(
        code: Option<&Self>,
        server: &Server,
        request: &AuthorizationRequest,
    ) -> DeviceLoginTiming {
        let login = code.map_or(DeviceLogin::Never, |code| code.login);
        login
            .with_request(request)
            .timing(PageOpener::System, server)
    }
}
