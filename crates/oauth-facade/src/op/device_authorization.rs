//! A code for another device: `POST {device_authorization_endpoint}` (RFC 8628 section 3.1).

use oauth_core::Secret;
use oauth_core::endpoint::device_authorization as core;
use oauth_core::exchange::ExchangeExt as _;
use oauth_core::moment::UnixTime;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::{arguments, outcome};
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;

arguments! {
    /// Requests a code that the user enters on another device (RFC 8628).
    ///
    /// Without a scope, the server grants its default. `endpoint.missing` if the server does not offer
    /// it, `reply.shape` if its reply is malformed, `denied.*` if it refuses, `lost.*` if no
    /// reply arrives.
    pub struct DeviceAuthorization {
        /// What the user agrees to, for the prompt, such as "sign in to example-cli on build-7".
        pub purpose: Option<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let request = core::DeviceAuthorization::new(self.request.to_core()?);
        let purpose = self.purpose.unwrap_or_default();
        let code = client.core().call(request);
        let code = code.and_then(move |_, code| Ok(DeviceAuthorizationResponse::from_core(code, &purpose)));
        Ok(ErasedExchange::with_record::<_, DeviceAuthorizationResponse>(code))
    }
}

outcome! {
    /// What to show to the user, and the code with which the token endpoint is polled (RFC 8628 section 3.2).
    pub struct DeviceAuthorizationResponse {
        /// The code with which the token endpoint is polled. Do not show it.
        pub device_code: Secret<String>,
        /// The code that the user enters.
        pub user_code: String,
        /// The page where the user enters the code.
        pub verification_uri: String,
        /// The same page with the code in its URL, for a QR code; show the code as well. Absent if its origin differs.
        pub verification_uri_complete: Option<String>,
        /// How long both codes are valid, in seconds from the response.
        pub expires_in: u64,
        /// When both codes expire: remove the prompt then, and request new ones only if the user wants to.
        pub expires_at: UnixTime,
        /// How many seconds to wait between two polls.
        pub interval: u64,
        /// The prompt for the user, in English: what the code is for, where to enter it, and not to enter a code that
        /// someone else has sent.
        pub prompt: String,
        /// `verification_uri_complete` as a QR code for the camera of a telephone: lines of half blocks, for a terminal
        /// with light characters on a dark background. Absent if there is no such URL, or it is too long.
        pub qr_code: Option<String>,
    }
}

impl DeviceAuthorizationResponse {
    /// The core's response, with a prompt for this purpose.
    pub fn from_core(code: core::DeviceAuthorizationResponse, purpose: &str) -> Self {
        let text = |url: &oauth_core::url::Url| url.as_str().to_owned();
        Self {
            prompt: code.prompt(purpose),
            qr_code: code
                .verification_uri_complete
                .as_ref()
                .and_then(|url| qr_code(url.as_str())),
            expires_at: code.expires_at,
            verification_uri: text(&code.verification_uri),
            verification_uri_complete: code.verification_uri_complete.as_ref().map(text),
            device_code: code.device_code,
            user_code: code.user_code,
            expires_in: code.expires_in,
            interval: code.interval,
        }
    }
}

/// The QR code: light modules are drawn as blocks, and so is its quiet zone.
fn qr_code(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    renderer.dark_color(Dense1x2::Light);
    renderer.light_color(Dense1x2::Dark);
    Some(renderer.build())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use super::*;

    /// How a camera sees the terminal: each character is two modules, one above the other, four pixels wide.
    fn read_by_camera(drawn: &str) -> String {
        const PIXELS: usize = 4;
        let lines: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
        let (width, height) = (lines[0].len() * PIXELS, lines.len() * 2 * PIXELS);
        let mut seen = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
            let row = y / PIXELS;
            let is_light = match (lines[row / 2][x / PIXELS], row % 2) {
                ('█', _) | ('▀', 0) | ('▄', 1) => true,
                (' ' | '▀' | '▄', _) => false,
                (other, _) => unreachable!("{other}"),
            };
            if is_light { 255 } else { 0 }
        });
        let detected_codes = seen.detect_grids();
        assert_eq!(detected_codes.len(), 1);
        detected_codes[0].decode().unwrap().1
    }

    #[test]
    fn qr_code_decodes_to_the_url() {
        let short = "https://as.example/device?user_code=WDJB-MJHT".to_owned();
        let long = format!(
            "https://as.example/device?user_code=WDJB-MJHT&state={}",
            "x".repeat(300)
        );
        for url in [short, long] {
            assert_eq!(read_by_camera(&qr_code(&url).unwrap()), url);
        }
        assert_eq!(qr_code(&"x".repeat(3_000)), None);
    }
}
