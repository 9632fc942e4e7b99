//! `oauth device`, `oauth login --device`: a login with a code that the user enters on another device (RFC 8628).

use std::io::{self, IsTerminal as _};

use clap::Args;
use oauth_core::endpoint::device_authorization::{
    DeviceAuthorization, DeviceAuthorizationResponse,
};
use oauth_core::error::{Error, Misuse};
use oauth_core::grant::TokenRequest;
use oauth_reqwest::device_login::{self, DeviceLoginTiming};
use serde_json::{Value, json};

use super::login::{LoginArgs, SignInResult};
use crate::Global;
use crate::output::{Failure, Output, print_stderr};
use crate::setup::Setup;
use crate::time::rfc3339;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth device --profile acme
  oauth device --issuer https://as.example --client-id tv --client-auth none \\
    --scope \"openid email\" --save tokens.json
  oauth device --profile acme --json > login.json

The code and the URL at which to enter it are printed to stderr, in a terminal with a QR code. With --json, \
stdout has two lines: what to enter (`user_code`, `verification_uri`, `verification_uri_complete`, \
`expires_at`), then the result (see oauth login). The first is on stderr too. Entering a \
code that someone else has sent gives them access to your account, so the message says what the code is \
for, and to enter it only if you started the login yourself. Tokens are stored as by oauth login: in \
the profile's store, or in the --save file.";

/// Logs in with a code that is entered on another device.
#[derive(Debug, Args)]
#[command(mut_arg("token_parameters", |arg| arg.visible_alias("param")))]
pub(crate) struct Device {
    #[command(flatten)]
    args: LoginArgs,
}

impl Device {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        self.args.run(global, output, &[], sign_in)
    }
}

/// Shows the code, and waits until the user has entered it.
pub(super) fn sign_in(
    setup: &mut Setup,
    token_request: TokenRequest,
    output: Output,
) -> Result<SignInResult, Failure> {
    let login = try_sign_in(setup, token_request, DeviceLoginTiming::Only, output)?;
    login.ok_or_else(|| Error::from(Misuse::OutOfOrder).into())
}

/// Signs in with a device code; `None` if the server issues no codes to this client and a browser can be used.
pub(super) fn try_sign_in(
    setup: &Setup,
    token_request: TokenRequest,
    timing: DeviceLoginTiming,
    output: Output,
) -> Result<Option<SignInResult>, Failure> {
    let code = setup
        .client
        .call(DeviceAuthorization::new(token_request.clone()));
    let code = match setup.net.run(code) {
        Err(error) if timing.leaves_browser(&error) => {
            output.note(format_args!(
                "no device code for this client: {}",
                error.code()
            ));
            return Ok(None);
        }
        code => code?,
    };
    output.json_line(&members(&code))?;
    let client = setup.client.client_id().as_str();
    show(
        &format!("let the client `{client}` act for you"),
        &code,
        output,
    );
    let login = setup
        .net
        .run(setup.client.poll_device_token(&code, token_request))?;
    Ok(Some((login, None)))
}

/// The code and the URL for the user, as output for programs.
pub(super) fn members(code: &DeviceAuthorizationResponse) -> Value {
    let complete = code.verification_uri_complete.as_ref();
    json!({
        "user_code": code.user_code,
        "verification_uri": code.verification_uri.as_str(),
        "verification_uri_complete": complete.map(oauth_core::url::Url::as_str),
        "expires_at": rfc3339(code.expires_at),
    })
}

/// With `--json` it is printed too: it is not a result, but someone has to enter it.
pub(super) fn show(purpose: &str, code: &DeviceAuthorizationResponse, output: Output) {
    if output.json {
        print_stderr(members(code));
        return;
    }
    let end = rfc3339(code.expires_at);
    let complete = code.verification_uri_complete.as_ref();
    print_stderr(code.prompt(purpose));
    if let Some(url) = complete
        && io::stderr().is_terminal()
        && let Some(drawing) = device_login::qr_code(code)
    {
        print_stderr(format_args!(
            "\n{drawing}\nOr open this link, which includes the code:\n{}",
            url.as_str()
        ));
    }
    output.note(format_args!("waiting until {end} (Ctrl-C to cancel)"));
}
