//! A person signs in for a connection.

use oauth_core::error::Error;
use oauth_core::flow::connect::{Connection, Way};
use oauth_core::token::step_up::StepUp;
use oauth_core::{AuthorizationRequest, Client, Tokens};

use super::Settings;
use crate::loopback::Listener;

/// What a login is made for.
#[derive(Clone, Copy)]
pub(super) enum Occasion<'a> {
    /// There are no tokens.
    None,
    /// These were not enough.
    Short(&'a Tokens, &'a StepUp),
}

/// A place to come back to, if this connection is a person's. It is had before a client is registered, which names it.
pub(super) async fn listener(settings: &Settings) -> Result<Option<Listener>, Error> {
    match (settings.request.chosen_way(), &settings.redirect_uri) {
        (Way::AuthorizationCode, Some(uri)) => Listener::at(uri).await.map(Some),
        (Way::AuthorizationCode, None) => Listener::bind().await.map(Some),
        _ => Ok(None),
    }
}

/// The place that this client is registered for.
///
/// # Errors
/// `misuse.setup` if somebody else has the port: the client can be registered for another.
pub(super) async fn registered_listener(
    settings: &Settings,
    connection: &Connection,
) -> Result<Listener, Error> {
    let registered = connection.registration.as_ref();
    let uri = registered.and_then(|client| client.metadata.redirect_uris.first());
    match settings.redirect_uri.as_ref().or(uri) {
        Some(uri) => Listener::at(uri).await,
        None => Listener::bind().await,
    }
}

/// Has the person sign in, and returns their tokens.
pub(super) async fn sign_in(
    settings: &Settings,
    listener: Listener,
    connection: &Connection,
    client: &Client,
    occasion: Occasion<'_>,
) -> Result<Tokens, Error> {
    let request = AuthorizationRequest::new(listener.redirect_uri().clone());
    let request = request.requesting(connection.token_request()?);
    let request = match occasion {
        Occasion::None => request,
        Occasion::Short(tokens, wanted) => request.step_up(wanted.clone(), tokens),
    };
    let open = |url: &_| (settings.open)(url);
    let driver = &settings.driver;
    let login = listener.login(driver, client, request, open, settings.patience);
    login.await.map(|login| login.tokens)
}
