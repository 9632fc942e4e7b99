//! A login with a code that a person enters on another device (RFC 8628).

use std::io::{self, IsTerminal as _};

use oauth_core::endpoint::device_authorization::{DeviceAuthorization, DeviceCode};
use oauth_core::flow::redeem::Login;
use oauth_core::grant::TokenRequest;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;

use crate::output::{Failure, Output, complain};
use crate::setup::Setup;
use crate::time::rfc3339;

/// Shows the code, and waits until the person has entered it.
pub(super) fn sign_in(
    setup: &Setup,
    asked: TokenRequest,
    output: Output,
) -> Result<Login, Failure> {
    let code = setup.client.call(DeviceAuthorization::new(asked.clone()));
    let code = setup.net.run(code)?;
    show(setup, &code, output);
    Ok(setup.net.run(setup.client.device_login(&code, asked))?)
}

/// Programs need it too: it is no result, but somebody has to enter it.
fn show(setup: &Setup, code: &DeviceCode, output: Output) {
    let end = rfc3339(code.expires_at);
    let complete = code.verification_uri_complete.as_ref();
    if output.json {
        complain(json!({
            "user_code": code.user_code,
            "verification_uri": code.verification_uri.as_str(),
            "verification_uri_complete": complete.map(oauth_core::url::Url::as_str),
            "expires_at": end,
        }));
        return;
    }
    let purpose = format!(
        "let the client `{}` act for you",
        setup.client.client_id().as_str()
    );
    complain(code.prompt(&purpose));
    if let Some(url) = complete
        && let Some(drawing) = drawing(url.as_str())
    {
        complain(format_args!(
            "\n{drawing}\nThe same with the code in it:\n{}",
            url.as_str()
        ));
    }
    output.note(format_args!("waiting until {end} (Ctrl-C gives up)"));
}

/// For a camera; nothing where nobody looks, or for an address that is too long.
fn drawing(url: &str) -> Option<String> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let code = QrCode::new(url).ok()?;
    Some(code.render::<Dense1x2>().build())
}
