//! Grants by identity assertion: tokens of one server for a sign-in at another, which supplies the subject token. The
//! exchange and the assertion are in `flow/identity_assertion.rs` of oauth-core.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::exchange::Boxed;
use oauth_core::flow::identity_assertion::SubjectSlot;
use oauth_core::flow::keeper::GrantId;
use oauth_core::grant::IdentitySubject;
use oauth_core::{Client, Tokens};

use crate::clock::now;
use crate::grant_source::{GrantSource, TokenDriver};
use crate::hold::HeldTokens;
use crate::source::TokenSource;
use crate::store::{Answer, Store};

/// How much longer than its two requests a sign-in is held.
const HOLD_MARGIN: Duration = Duration::from_secs(5);

/// The source of the subject token for an identity assertion: a sign-in at the identity provider
/// (draft-ietf-oauth-identity-assertion-authz-grant). It is read again for each renewal.
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
    /// The ID token of a sign-in whose tokens `source` keeps fresh, such as a [`GrantSource`] of `identity_provider`
    /// whose scope contains `openid`. If the ID token has expired, the source renews the tokens; if that brings no
    /// other, the refresh token takes its place.
    pub fn new(identity_provider: &Client, source: impl TokenSource + 'static) -> Self {
        Self {
            identity_provider: identity_provider.clone(),
            origin: Origin::Tokens(Arc::new(source)),
        }
    }

    /// A source that calls `read` for each subject token, such as an ID token in a file.
    pub fn read(
        identity_provider: &Client,
        read: impl Fn() -> Answer<'static, IdentitySubject> + Send + Sync + 'static,
    ) -> Self {
        Self {
            identity_provider: identity_provider.clone(),
            origin: Origin::Subject(Arc::new(read)),
        }
    }

    /// Reads the subject token: a valid ID token, the refresh token of a sign-in whose renewal brought none, or another
    /// token that the identity provider exchanges.
    ///
    /// With a refresh token comes a [`HeldTokens`], if the source has a grant to hold: no worker renews the sign-in
    /// until it is dropped, or `limit` has passed. Keep it until the request with the token has been answered.
    ///
    /// # Errors
    /// `identity_assertion.no_id_token` if the user has to sign in again there; those of the source.
    pub async fn subject(
        &self,
        limit: Duration,
    ) -> Result<(IdentitySubject, Option<HeldTokens>), Error> {
        let source = match &self.origin {
            Origin::Tokens(source) => source,
            Origin::Subject(read) => return Ok((read().await?, None)),
        };
        let login = source.token(None).await?;
        let subject = IdentitySubject::from_login(&login)?;
        if !subject.has_ended(now()?) {
            return Ok((subject, None));
        }
        // The ID token may expire before the other tokens. The source renews it, once for all callers.
        let renewed = if IdentitySubject::is_renewal_in_vain(&login) {
            login
        } else {
            source.token(Some(&login)).await?
        };
        let subject = IdentitySubject::from_renewed_login(&renewed, now()?)?;
        if !matches!(subject, IdentitySubject::RefreshToken(_)) {
            return Ok((subject, None));
        }
        match source.hold(limit).await? {
            // Another worker may have renewed the sign-in in the meantime and obtained an ID token.
            Some(held) => {
                let subject = IdentitySubject::from_renewed_login(held.tokens(), now()?)?;
                let is_held = matches!(subject, IdentitySubject::RefreshToken(_));
                Ok((subject, Some(held).filter(|_| is_held)))
            }
            None => Ok((subject, None)),
        }
    }

    /// The driver that runs the requests of a grant of this sign-in, and the client that makes them.
    fn at_identity_provider(
        self,
        driver: impl TokenDriver + 'static,
        client: &Client,
    ) -> (IdentityAssertionDriver, Client) {
        let slot = SubjectSlot::default();
        let client = client
            .clone()
            .with_identity(&self.identity_provider, slot.read());
        let driver = IdentityAssertionDriver {
            driver: Box::new(driver),
            source: self,
            slot,
        };
        (driver, client)
    }
}

/// Reads the sign-in before each request.
struct IdentityAssertionDriver {
    driver: Box<dyn TokenDriver>,
    source: SubjectTokenSource,
    slot: SubjectSlot,
}

impl TokenDriver for IdentityAssertionDriver {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(async move {
            let limit = self.driver.longest().saturating_mul(2) + HOLD_MARGIN;
            let (subject, held) = match self.source.subject(limit).await {
                Ok((subject, held)) => (Ok(subject), held),
                Err(error) => (Err(error), None),
            };
            // Without a subject token, the exchange reports the error. Other exchanges need none.
            self.slot.leave(subject);
            let outcome = self.driver.run(exchange).await;
            drop(held);
            outcome
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
    /// provider, then a request with its assertion, as often as a token is needed. `id` identifies the user and the
    /// token request: both servers get its scope, resources and `authorization_details`.
    pub fn by_identity(
        driver: impl TokenDriver + 'static,
        client: &Client,
        id: GrantId,
        source: SubjectTokenSource,
    ) -> Self {
        let (driver, client) = source.at_identity_provider(driver, client);
        Self::new(driver, client.keeper(id))
    }

    /// A session for tokens of the server of `client`, renewed with a sign-in elsewhere
    /// ([`by_identity`](Self::by_identity)), and shared through a store: one worker renews for all. Its record differs
    /// from that of a login of the same user at this server.
    pub fn by_identity_shared(
        driver: impl TokenDriver + 'static,
        client: &Client,
        id: GrantId,
        source: SubjectTokenSource,
        store: Arc<dyn Store>,
    ) -> Self {
        let (driver, client) = source.at_identity_provider(driver, client);
        Self::with_store(driver, client.keeper(id), store)
    }
}

impl fmt::Debug for SubjectTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectTokenSource").finish_non_exhaustive()
    }
}
