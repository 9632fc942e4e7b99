//! A client whose tokens come from a sign-in elsewhere: each request for them is an exchange at the identity provider,
//! and then a request with the assertion. Nothing is kept in between, because an assertion can be used once.
//! Sources of the sign-in are in `subject_token_source.rs` of oauth-session.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::{IdentityAssertionRequest, redeem, request};
use crate::client_config::ClientConfig;
use crate::error::{Cause, Error, Misuse};
use crate::exchange::{Boxed, ExchangeExt as _, Ready};
use crate::grant::{IdentitySubject, TokenRequest};
use crate::moment::UnixTime;
use crate::token::Tokens;

/// Returns the current sign-in.
type Read = dyn Fn(UnixTime) -> Result<IdentitySubject, Error> + Send + Sync;

/// The client of the identity provider, and the sign-in there.
#[derive(Clone)]
pub(crate) struct SignInElsewhere {
    identity_provider: Arc<ClientConfig>,
    read: Arc<Read>,
}

impl SignInElsewhere {
    pub(crate) fn new(
        identity_provider: Arc<ClientConfig>,
        read: impl Fn(UnixTime) -> Result<IdentitySubject, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            identity_provider,
            read: Arc::new(read),
        }
    }

    /// Requests tokens of the server of `config` with the client's sign-in.
    pub(crate) fn tokens_by_sign_in(
        sign_in: &(dyn Any + Send + Sync),
        config: Arc<ClientConfig>,
        token_request: TokenRequest,
    ) -> Boxed<Tokens> {
        match sign_in.downcast_ref::<Self>() {
            Some(sign_in) => sign_in.clone().tokens(config, token_request),
            // The client configuration stores no other type there.
            None => Ready::new(())
                .and_then(|_, ()| Err(Misuse::OutOfOrder.into()))
                .boxed(),
        }
    }

    fn tokens(self, config: Arc<ClientConfig>, token_request: TokenRequest) -> Boxed<Tokens> {
        let Self {
            identity_provider,
            read,
        } = self;
        let audience = config.server.issuer().as_str().to_owned();
        let assertion_request = Ready::new(()).and_then(move |at, ()| {
            IdentityAssertionRequest::new(read(at.now())?, audience, token_request)
        });
        let assertion = assertion_request
            .then(move |_, assertion_request| Ok(request(identity_provider, assertion_request)));
        // The assertion contains what was granted, which is not sent again.
        let tokens =
            assertion.then(move |_, assertion| Ok(redeem(config, assertion, TokenRequest::new())));
        // A refresh token would outlive the sign-in, and nothing would use it.
        let tokens = tokens.and_then(|_, mut tokens| {
            tokens.refresh_token = None;
            Ok(tokens)
        });
        tokens.boxed()
    }
}

impl fmt::Debug for SignInElsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInElsewhere").finish_non_exhaustive()
    }
}

/// A slot for the subject token of the next request, for hosts that read it asynchronously before each renewal: the
/// host stores it here, and it is removed by the next request of the client that was made with [`read`](Self::read),
/// see [`Client::with_identity`](crate::Client::with_identity). Clones share the slot.
#[derive(Clone, Default)]
pub struct SubjectSlot(Arc<Mutex<Option<Result<IdentitySubject, Error>>>>);

impl SubjectSlot {
    /// Stores the subject token for the next request, or the error of reading it.
    pub fn leave(&self, subject: Result<IdentitySubject, Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(subject);
    }

    /// Stores the ID token of a sign-in. Returns whether it has expired, so that the host should renew the tokens: the result
    /// is then `identity_assertion.no_id_token`.
    pub fn leave_login(&self, login: &Tokens, now: UnixTime) -> bool {
        let subject = IdentitySubject::from_login(login);
        let has_ended = matches!(&subject, Ok(subject) if subject.has_ended(now));
        self.leave(if has_ended {
            Err(Misuse::IdentityMissing.into())
        } else {
            subject
        });
        has_ended
    }

    /// Stores the subject of a sign-in that was renewed because its ID token had expired:
    /// [`IdentitySubject::from_renewed_login`]. Returns whether it is the refresh token, so that the host should keep other
    /// workers from using it in the meantime.
    pub fn leave_renewed(&self, login: &Tokens, now: UnixTime) -> bool {
        let subject = IdentitySubject::from_renewed_login(login, now);
        let is_refresh_token = matches!(subject, Ok(IdentitySubject::RefreshToken(_)));
        self.leave(subject);
        is_refresh_token
    }

    /// Removes and returns the stored result, if any.
    pub fn take(&self) -> Option<Result<IdentitySubject, Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The reader to pass to the client, which removes the stored result.
    pub fn read(
        &self,
    ) -> impl Fn(UnixTime) -> Result<IdentitySubject, Error> + Send + Sync + use<> {
        let slot = self.clone();
        move |_| {
            let none = || Err(Error::lost(Cause::unsent_as("nobody has read the sign-in")));
            slot.take().unwrap_or_else(none)
        }
    }
}

impl fmt::Debug for SubjectSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectSlot").finish_non_exhaustive()
    }
}
