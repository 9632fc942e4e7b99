//! Asks the server whether it still knows the client, before the user is sent to its authorization page: one that has
//! forgotten the client would tell only the user.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::flow::resource_connection::{GrantChoice, RegistrationCheck};
use oauth_session::{Token, connections};
use tokio::time;

use super::Settings;
use super::connected::{Connected, Failure};
use super::state::State;
use crate::loopback::Listener;

/// The longest time that the user waits for the answer; the login continues without it after that.
const MAX_CHECK_WAIT: Duration = Duration::from_secs(10);

/// Signs the user in with the browser; returns the tokens, and the connection that they belong to. `listener` is that of a
/// client that has just been registered.
pub(super) async fn sign_in(
    settings: &Settings,
    state: &State,
    connected: Arc<Connected>,
    listener: Option<Listener>,
) -> Result<(Arc<Connected>, Result<Token, Failure>), Error> {
    let (connected, forgotten) = match listener {
        Some(_) => (connected, None),
        None => check_registration(settings, state, connected).await?,
    };
    let obtained = match forgotten {
        Some(error) => Err(Failure::OfClient(error)),
        None => connected.obtain_with_browser(settings, listener).await,
    };
    Ok((connected, obtained))
}

/// The connection with its registration as the server has it now, and the refusal if the server has forgotten the client.
///
/// # Errors
/// The errors of the store; `client_auth.no_usable_method`.
pub(super) async fn check_registration(
    settings: &Settings,
    state: &State,
    connected: Arc<Connected>,
) -> Result<(Arc<Connected>, Option<Error>), Error> {
    let connection = &connected.connection;
    if connection.grant != GrantChoice::AuthorizationCode {
        return Ok((connected, None));
    }
    let Some(check) = connection.check_registration() else {
        return Ok((connected, None));
    };
    let registration = match time::timeout(MAX_CHECK_WAIT, settings.driver.run(check)).await {
        Ok(Ok(RegistrationCheck::Known(registration))) => *registration,
        Ok(Ok(RegistrationCheck::Forgotten(error))) => return Ok((connected, Some(error))),
        _ => return Ok((connected, None)),
    };
    let mut next = connection.clone();
    next.registration = Some(registration);
    if next.to_json()?.expose() == connection.to_json()?.expose() {
        return Ok((connected, None));
    }
    // The secrets that the server has replaced are of no use to anybody else either.
    let (store, key) = (&*settings.store, settings.key().await?);
    let saved = connections::save(store, key, &next, connected.version).await?;
    // If another worker has saved the connection in the meantime, the next caller reads that.
    let version = saved.unwrap_or(connected.version);
    let next = Connected::new(settings, next, version).await?;
    Ok((state.publish(settings, next), None))
}
