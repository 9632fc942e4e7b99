//! The trait of token sources, and the tokens they return. The sources are in `grant_source.rs`, `fixed_token.rs` and
//! `grants.rs`.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use oauth_core::Tokens;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::TokenOwner;
use oauth_core::moment::UnixTime;
use oauth_core::token::step_up_requirement::StepUp;

use crate::hold::HeldTokens;
use crate::store::Answer;

/// A source of tokens.
///
/// [`GrantSource`](crate::GrantSource) renews a grant; [`FixedToken`](crate::FixedToken) has only one token.
/// Wrap another source to count, log or choose, or write your own: only [`token`](Self::token) is
/// required.
pub trait TokenSource: Send + Sync {
    /// Returns a fresh token, other than the one that a resource server `refused`.
    ///
    /// If another caller has already replaced the refused token, the newer one is returned without a request.
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token>;

    /// Marks only this token as refused, for callers that do not need a new one now.
    fn refuse(&self, refused: &Tokens);

    /// Called when the API has refused a request sent without a token because this source had none
    /// (`connect.not_protected`): the API requires authorization now.
    fn refused_without_token(&self) {}

    /// Returns tokens for the step-up that `insufficient` needs (RFC 9470, RFC 6750 `insufficient_scope`), if
    /// this source can prompt the user. Most sources cannot; the caller then gets the API's reply.
    fn step_up<'a>(
        &'a self,
        insufficient: &'a Tokens,
        required: &'a StepUp,
    ) -> Answer<'a, Option<Token>> {
        let _ = (insufficient, required);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Holds the grant for at most `limit`: its latest tokens, which no worker renews in the meantime, so that the refresh
    /// token can be used outside a renewal. `None`, the default, is for a source that has no grant to hold; one that
    /// wraps another source passes this on to it.
    fn hold(&self, limit: Duration) -> Answer<'_, Option<HeldTokens>> {
        let _ = limit;
        Box::pin(std::future::ready(Ok(None)))
    }
}

impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        (**self).token(refused)
    }

    fn refuse(&self, refused: &Tokens) {
        (**self).refuse(refused);
    }

    fn refused_without_token(&self) {
        (**self).refused_without_token();
    }

    fn step_up<'a>(
        &'a self,
        insufficient: &'a Tokens,
        required: &'a StepUp,
    ) -> Answer<'a, Option<Token>> {
        (**self).step_up(insufficient, required)
    }

    fn hold(&self, limit: Duration) -> Answer<'_, Option<HeldTokens>> {
        (**self).hold(limit)
    }
}

/// The tokens that a source returned. Dereferences to [`Tokens`]; [`into_arc`](Self::into_arc) keeps them longer.
///
/// Not a plain `Arc`, because all threads would contend for its reference count, and two threads would each be slower
/// than a single one.
pub struct Token(TokenRef);

enum TokenRef {
    Cached(Guard<Arc<Cached>>),
    Shared(Arc<Tokens>),
}

/// The token that is returned without a lock.
pub(crate) struct Cached {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) times: Range<UnixTime>,
}

impl Token {
    pub(crate) const fn cached(guard: Guard<Arc<Cached>>) -> Self {
        Self(TokenRef::Cached(guard))
    }

    /// The tokens themselves.
    pub fn into_arc(self) -> Arc<Tokens> {
        match self.0 {
            TokenRef::Cached(guard) => Arc::clone(&guard.tokens),
            TokenRef::Shared(tokens) => tokens,
        }
    }
}

impl Deref for Token {
    type Target = Tokens;

    fn deref(&self) -> &Tokens {
        match &self.0 {
            TokenRef::Cached(guard) => &guard.tokens,
            TokenRef::Shared(tokens) => tokens,
        }
    }
}

impl Clone for Token {
    fn clone(&self) -> Self {
        match &self.0 {
            TokenRef::Cached(guard) => Arc::clone(&guard.tokens).into(),
            TokenRef::Shared(tokens) => Arc::clone(tokens).into(),
        }
    }
}

impl From<Arc<Tokens>> for Token {
    fn from(tokens: Arc<Tokens>) -> Self {
        Self(TokenRef::Shared(tokens))
    }
}

impl From<Token> for Arc<Tokens> {
    fn from(token: Token) -> Self {
        token.into_arc()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// The sources of an API: one for all its routes, or one for each owner.
///
/// ```
/// use oauth_session::{FixedToken, Sources};
///
/// let both = Sources::application(FixedToken::new("ours")).with_user(FixedToken::new("ann's"));
/// assert_eq!(both.owners().count(), 2);
/// ```
#[derive(Clone)]
pub struct Sources(Vec<(TokenOwner, Arc<dyn TokenSource>)>);

impl Sources {
    /// One source for all routes.
    pub fn one(source: impl TokenSource + 'static) -> Self {
        Self(vec![(TokenOwner::Any, Arc::new(source))])
    }

    /// A source of the application's own tokens, for the application's routes.
    pub fn application(source: impl TokenSource + 'static) -> Self {
        Self(vec![(TokenOwner::Application, Arc::new(source))])
    }

    /// A source of a user's tokens, for the user's routes.
    pub fn user(source: impl TokenSource + 'static) -> Self {
        Self(vec![(TokenOwner::User, Arc::new(source))])
    }

    /// Adds a source of a user's tokens, for the user's routes.
    #[must_use]
    pub fn with_user(mut self, source: impl TokenSource + 'static) -> Self {
        self.0.retain(|(owner, _)| *owner != TokenOwner::User);
        self.0.push((TokenOwner::User, Arc::new(source)));
        self
    }

    /// The owners that have a source.
    pub fn owners(&self) -> impl Iterator<Item = TokenOwner> {
        self.0.iter().map(|(owner, _)| *owner)
    }

    /// The source of this owner's tokens.
    ///
    /// # Errors
    /// `resource.no_token_source`.
    pub fn for_owner(&self, owner: TokenOwner) -> Result<&dyn TokenSource, Error> {
        let entry = self
            .0
            .iter()
            .find(|(source_owner, _)| *source_owner == owner);
        let missing = || Error::from(Misuse::OwnerMissing).about(owner.as_str());
        entry.map(|(_, source)| &**source).ok_or_else(missing)
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.owners()).finish()
    }
}
