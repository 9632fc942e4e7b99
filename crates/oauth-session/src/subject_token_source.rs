//! Grants by identity assertion: tokens of one server for a sign-in at another.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::error::{Error, Misuse};
use oauth_core::exchange::Boxed;
use oauth_core::flow::identity_assertion::SubjectSlot;
use oauth_core::flow::keeper::GrantId;
use oauth_core::grant::IdentitySubject;
use oauth_core::{Client, Tokens};

use crate::clock::now;
use crate::grant_source::{Drive, GrantSource};
use crate::source::TokenSource;
use crate::store::{Answer, Store};

/// A sign-in at an identity provider, which vouches for the user at other servers
/// (draft-ietf-oauth-identity-assertion-authz-grant). It is read anew for each renewal.
#[derive(Clone)]
pub struct SubjectTokenSource {
    identity_provider: Client,
    origin: Origin,
}

#[derive(Clone)]
enum Origin {
    Tokens(Arc<dyn TokenSource>),
    Subject(Arc<Read>),
}

type Read = dyn Fn() -> Answer<'static, IdentitySubject> + Send + Sync;

impl SubjectTokenSource {
    /// The sign-in whose tokens `source` keeps fresh, such as a [`GrantSource`] of `identity_provider` whose scope
    /// contains `openid`. If the ID token has expired, the source is asked for other tokens.
    pub fn new(identity_provider: &Client, source: impl TokenSource + 'static) -> Self {
        Self {
            identity_provider: identity_provider.clone(),
            origin: Origin::Tokens(Arc::new(source)),
        }
    }

    /// The sign-in that `read` reads each time, such as an ID token from a file.
    pub fn read(
        identity_provider: &Client,
        read: impl Fn() -> Answer<'static, IdentitySubject> + Send + Sync + 'static,
    ) -> Self {
        Self {
            identity_provider: identity_provider.clone(),
            origin: Origin::Subject(Arc::new(read)),
        }
    }

    /// Reads it: an ID token that is valid, or what else the identity provider exchanges.
    ///
    /// # Errors
    /// `identity_assertion.no_id_token` if the user has to sign in again there; those of the source.
    pub async fn subject(&self) -> Result<IdentitySubject, Error> {
        let source = match &self.origin {
            Origin::Tokens(source) => source,
            Origin::Subject(read) => return read().await,
        };
        let login = source.token(None).await?;
        let subject = IdentitySubject::of_login(&login)?;
        if !subject.has_ended(now()?) {
            return Ok(subject);
        }
        // The ID token may expire before the other tokens. The source renews it, once for all who ask.
        let renewed = source.token(Some(&login)).await?;
        match IdentitySubject::of_login(&renewed)? {
            subject if subject.has_ended(now()?) => Err(Misuse::IdentityMissing.into()),
            subject => Ok(subject),
        }
    }

    /// What runs the requests of a grant of this sign-in, and the client whose requests they are.
    fn at(
        self,
        driver: impl Drive + 'static,
        client: &Client,
    ) -> (IdentityAssertionDriver, Client) {
        let left = SubjectSlot::default();
        let client = client
            .clone()
            .with_identity(&self.identity_provider, left.read());
        let driver = IdentityAssertionDriver {
            driver: Box::new(driver),
            sign_in: self,
            left,
        };
        (driver, client)
    }
}

/// Reads the sign-in before each request.
struct IdentityAssertionDriver {
    driver: Box<dyn Drive>,
    sign_in: SubjectTokenSource,
    left: SubjectSlot,
}

impl Drive for IdentityAssertionDriver {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(async move {
            // If there is none, the exchange says so. Other exchanges need none.
            self.left.leave(self.sign_in.subject().await);
            self.driver.run(exchange).await
        })
    }

    fn revoke(&self, exchange: Boxed<()>) -> Answer<'_, ()> {
        self.driver.revoke(exchange)
    }

    /// The renewal of the sign-in, the exchange, and the request with the assertion.
    fn longest(&self) -> Duration {
        self.driver.longest().saturating_mul(3)
    }
}

impl GrantSource {
    /// A session for tokens of the server of `client`, renewed with a sign-in elsewhere: an exchange at the identity
    /// provider, then a request with its assertion, as often as a token is needed. `id` says whose grant it is, and
    /// what is requested: both servers get its scope, resources and `authorization_details`.
    pub fn by_identity(
        driver: impl Drive + 'static,
        client: &Client,
        id: GrantId,
        sign_in: SubjectTokenSource,
    ) -> Self {
        let (driver, client) = sign_in.at(driver, client);
        Self::new(driver, client.keeper(id))
    }

    /// The same, shared through a store: one worker renews for all. Its record is another one than that of a login of
    /// the same user at this server.
    pub fn by_identity_shared(
        driver: impl Drive + 'static,
        client: &Client,
        id: GrantId,
        sign_in: SubjectTokenSource,
        store: Arc<dyn Store>,
    ) -> Self {
        let (driver, client) = sign_in.at(driver, client);
        Self::shared(driver, client.keeper(id), store)
    }
}

impl fmt::Debug for SubjectTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectTokenSource").finish_non_exhaustive()
    }
}
