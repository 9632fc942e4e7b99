//! Sign-in by an assertion of an organization's identity provider about the user, without a browser.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::error::{Error, Kind, Misuse, ValidationFailure};
use oauth_core::flow::identity_assertion::IdentityAssertion;
use oauth_core::flow::resource_connection::{Connection, GrantChoice};
use oauth_core::grant::IdentitySubject;
use oauth_core::moment::UnixTime;
use oauth_core::{Client, Scope};
use oauth_session::{TokenDriver as _, TokenSource};

use super::Settings;
use crate::driver::Driver;

/// How much longer than the request a sign-in is held.
const HOLD_MARGIN: Duration = Duration::from_secs(5);

/// The identity provider at which the user has signed in, and the sign-in.
#[derive(Clone)]
pub(super) struct IdentityProvider {
    client: Client,
    sign_in: Arc<dyn TokenSource>,
}

impl IdentityProvider {
    pub(super) const fn new(client: Client, sign_in: Arc<dyn TokenSource>) -> Self {
        Self { client, sign_in }
    }

    /// Requests an assertion for the user at the server of the connection, for its scope and `additional_scope`.
    ///
    /// # Errors
    /// `identity_assertion.no_id_token` if the user has to sign in again there; those of the sign-in and of
    /// [`Client::identity_assertion`].
    pub(super) async fn assertion(
        &self,
        driver: &Driver,
        connection: &Connection,
        additional_scope: &Scope,
    ) -> Result<IdentityAssertion, Error> {
        let login = self.sign_in.token(None).await?;
        let request = connection.identity_request(&login, additional_scope)?;
        match driver.run(self.client.identity_assertion(request)).await {
            // The ID token may expire before the other tokens. The source of the sign-in renews it, once for all
            // callers.
            Err(error) if is_id_token_expired(&error) => {
                let login = if IdentitySubject::is_renewal_in_vain(&login) {
                    login
                } else {
                    self.sign_in.token(Some(&login)).await?
                };
                let now = UnixTime::system()?;
                let renewed = IdentitySubject::from_renewed_login(&login, now)?;
                // Its refresh token is used only while no worker renews the sign-in.
                let held = match renewed {
                    IdentitySubject::RefreshToken(_) => {
                        self.sign_in.hold(driver.longest() + HOLD_MARGIN).await?
                    }
                    _ => None,
                };
                let login = held.as_ref().map_or(&*login, |held| &**held.tokens());
                let request = connection.renewed_identity_request(login, additional_scope, now)?;
                let result = driver.run(self.client.identity_assertion(request)).await;
                drop(held);
                result
            }
            vouched => vouched,
        }
    }
}

/// The identity provider, if tokens come from an identity assertion.
///
/// # Errors
/// `arguments.inconsistent` if no provider was configured.
pub(super) fn provider(settings: &Settings) -> Result<Option<&IdentityProvider>, Error> {
    match (settings.request.chosen_grant(), &settings.identity) {
        (GrantChoice::IdentityAssertion, None) => {
            let reason = "identity assertions are those of an identity provider: name it";
            Err(Error::from(Misuse::ArgumentsInconsistent).about(reason))
        }
        (GrantChoice::IdentityAssertion, provider) => Ok(provider.as_ref()),
        _ => Ok(None),
    }
}

/// Whether the ID token has expired: such a token was sent to no server.
fn is_id_token_expired(error: &Error) -> bool {
    matches!(error.kind(), Kind::Untrusted(ValidationFailure::JwtExpired))
}
