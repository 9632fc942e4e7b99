//! Sign-in of a user for a connection.

use std::io::{self, Write as _};
use std::sync::Arc;

use oauth_core::endpoint::device_authorization::DeviceAuthorization;
use oauth_core::error::Error;
use oauth_core::flow::resource_connection::{Connection, GrantChoice, LoginMethod};
use oauth_core::grant::TokenRequest;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::{AuthorizationRequest, Client, Tokens};

use super::Settings;
use crate::browser;
use crate::device_login::{CodeLogin, DeviceLogin, PageOpener};
use crate::loopback::Listener;

/// Why a login is made.
#[derive(Clone, Copy)]
pub(super) enum LoginReason<'a> {
    /// There are no tokens.
    None,
    /// These tokens were not sufficient.
    Short(&'a Tokens, &'a StepUp),
}

/// The loopback listener for the login, if a user signs in. It is bound before the client is registered, because the
/// registration names its URI.
pub(super) async fn listener(settings: &Settings) -> Result<Option<Listener>, Error> {
    match (settings.request.chosen_grant(), &settings.redirect_uri) {
        (GrantChoice::AuthorizationCode, Some(uri)) => {
            Listener::for_redirect_uri(uri).await.map(Some)
        }
        (GrantChoice::AuthorizationCode, None) => Listener::bind().await.map(Some),
        _ => Ok(None),
    }
}

/// The listener at the redirect URI with which this client is registered.
///
/// # Errors
/// `listener.unavailable` if another program has the port: the client can be registered for another.
pub(super) async fn registered_listener(
    settings: &Settings,
    connection: &Connection,
) -> Result<Listener, Error> {
    let registered = connection.registration.as_ref();
    let uri = registered.and_then(|client| client.metadata.redirect_uris.first());
    match settings.redirect_uri.as_ref().or(uri) {
        Some(uri) => Listener::for_redirect_uri(uri).await,
        None => Listener::bind().await,
    }
}

/// How codes are shown, and when: as the caller has set, or else without a browser, unless the caller has one.
fn code_login(settings: &Settings) -> Option<CodeLogin> {
    let usual = || CodeLogin {
        login: DeviceLogin::WhereNoBrowser,
        show: {
            let purpose = format!("use {}", settings.request.resource().as_str());
            Arc::new(move |code| {
                // A program that has closed its standard error gets no message.
                let _ = writeln!(io::stderr(), "{}", code.prompt(&purpose));
                Ok(())
            })
        },
    };
    match (&settings.device, &settings.open) {
        (Some(code), _) => Some(code.clone()),
        (None, None) => Some(usual()),
        (None, Some(_)) => None,
    }
}

/// How the user signs in to a client that registers itself.
pub(super) fn login_by(settings: &Settings) -> LoginMethod {
    match &code_login(settings) {
        Some(code) if code.login == DeviceLogin::Always => LoginMethod::Device,
        Some(code) if code.login == DeviceLogin::WhereNoBrowser && !browser::is_there() => {
            LoginMethod::Device
        }
        _ => LoginMethod::Browser,
    }
}

/// Lets the user sign in with a code, if one is used; `None` if the browser shows the login.
pub(super) async fn with_code(
    settings: &Settings,
    connection: &Connection,
    client: &Client,
    occasion: LoginReason<'_>,
) -> Result<Option<Tokens>, Error> {
    let Some(code) = &code_login(settings) else {
        return Ok(None);
    };
    let timing = code.login.timing(PageOpener::System, client.server());
    if !timing.begins() {
        return Ok(None);
    }
    let show = &code.show;
    let (driver, token_request) = (&settings.driver, token_request(connection, occasion)?);
    let code = driver.run(client.call(DeviceAuthorization::new(token_request.clone())));
    let code = match code.await {
        Ok(code) => code,
        // A browser elsewhere can be used.
        Err(error) if timing.leaves_browser(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    show(&code)?;
    let login = driver
        .run(client.poll_device_token(&code, token_request))
        .await?;
    Ok(Some(login.tokens))
}

/// The requested scope, with the part that the tokens lacked.
fn token_request(
    connection: &Connection,
    occasion: LoginReason<'_>,
) -> Result<TokenRequest, Error> {
    let mut token_request = connection.token_request()?;
    if let LoginReason::Short(_, required) = occasion
        && let Some(required_scope) = &required.scope
    {
        token_request.scope = token_request.scope.union(required_scope);
    }
    Ok(token_request)
}

/// Lets the user sign in, and returns the tokens.
pub(super) async fn sign_in(
    settings: &Settings,
    listener: Listener,
    connection: &Connection,
    client: &Client,
    occasion: LoginReason<'_>,
) -> Result<Tokens, Error> {
    let request = AuthorizationRequest::new(listener.redirect_uri().clone());
    let request = request.requesting(connection.token_request()?);
    let request = match occasion {
        LoginReason::None => request,
        LoginReason::Short(tokens, required) => request.step_up(required.clone(), tokens),
    };
    let open = |url: &_| match &settings.open {
        Some(open) => open(url),
        None => browser::open(url),
    };
    let driver = &settings.driver;
    let login = listener.login(driver, client, request, open, settings.sign_in_timeout);
    login.await.map(|login| login.tokens)
}
