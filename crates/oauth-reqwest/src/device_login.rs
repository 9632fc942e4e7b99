//! When a person signs in with a code on another device instead of the browser of this machine.
//!
//! A person who sits at a browser signs in with that: of a code they cannot tell who has asked for it (RFC 10027 section 5).
//! So a code is for machines without one, and for callers who say so.

use std::fmt;
use std::sync::Arc;

use oauth_core::AuthorizationRequest;
use oauth_core::endpoint::device_authorization::DeviceCode;
use oauth_core::error::Error;
use oauth_core::flow::authorization::has_place_in_device_grant;
use oauth_core::server::Server;

use crate::browser;

/// When a person signs in with a code on another device (RFC 8628).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceLogin {
    /// Where this machine has no browser to show ([`browser::is_there`]), and the server offers it.
    WhereNoBrowser,
    /// In any case.
    Always,
    /// Never: where there is no browser, the person opens the URL by hand.
    Never,
}

/// Who shows a page to the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opener {
    /// A function of the application, which knows where the browser is.
    Callers,
    /// [`browser::open`].
    System,
    /// A program that the host's own library finds.
    Hosts,
}

/// When, in one login, it is the code's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodeTurn {
    /// There is nothing but the code.
    Only,
    /// The code comes first, and the browser where the server refuses a code to this client.
    First,
    /// The browser comes first, and the code where the browser could not be opened.
    IfNotOpened,
    /// There is nothing but the browser.
    Never,
}

impl CodeTurn {
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

    /// Whether a code that could not be had because of this leaves the browser: the server does not give this client any.
    pub fn leaves_browser(self, error: &Error) -> bool {
        self != Self::Only && error.server_error().is_some()
    }
}

impl DeviceLogin {
    /// The same for a login with these parameters of an authorization request, in snake case. A code never stands in where
    /// it would lose one of them ([`has_place_in_device_grant`]), such as how the person has to sign in.
    #[must_use]
    pub fn with_parameters<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let fits = names.into_iter().all(has_place_in_device_grant);
        self.unless_lost(fits.then_some(()))
    }

    /// The same for this request.
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

    /// When it is the code's turn, on this machine and at this server.
    pub fn turn(self, opener: Opener, server: &Server) -> CodeTurn {
        let is_there = match opener {
            Opener::Callers => true,
            Opener::System => browser::is_there(),
            Opener::Hosts => browser::has_display(),
        };
        match self {
            Self::Always => CodeTurn::Only,
            Self::WhereNoBrowser if opener == Opener::Callers || !server.takes_device_logins() => {
                CodeTurn::Never
            }
            Self::WhereNoBrowser if is_there => CodeTurn::IfNotOpened,
            Self::WhereNoBrowser => CodeTurn::First,
            Self::Never => CodeTurn::Never,
        }
    }
}

/// The page where the person enters the code, with the code in it, as a QR code for the camera of a telephone: lines of half
/// blocks, for a terminal of light characters on a dark ground. Nothing if the server has said no such page
/// (`verification_uri_complete`), or its address is too long.
///
/// Whoever has no camera needs the [prompt](DeviceCode::prompt): show both (RFC 8628 section 3.3.1).
#[cfg(feature = "qr-code")]
pub fn qr_code(code: &DeviceCode) -> Option<String> {
    use qrcode::render::unicode::Dense1x2;

    let url = code.verification_uri_complete.as_ref()?;
    let drawn = qrcode::QrCode::new(url.as_str()).ok()?;
    let mut drawn = drawn.render::<Dense1x2>();
    // What is light in the code are characters, as is its quiet zone: most terminals are dark.
    drawn.dark_color(Dense1x2::Light);
    drawn.light_color(Dense1x2::Dark);
    Some(drawn.build())
}

/// Shows a code to the person.
pub(crate) type ShowCode = Arc<dyn Fn(&DeviceCode) -> Result<(), Error> + Send + Sync>;

/// A way to show codes, and when one is wanted.
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
    /// When it is the code's turn in a login of this request; never without a way to show one.
    pub(crate) fn turn(
        code: Option<&Self>,
        server: &Server,
        ask: &AuthorizationRequest,
    ) -> CodeTurn {
        let login = code.map_or(DeviceLogin::Never, |code| code.login);
        login.with_request(ask).turn(Opener::System, server)
    }
}
