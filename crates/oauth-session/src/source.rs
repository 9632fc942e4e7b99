//! One small trait, and what can stand behind it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::Guard;
use oauth_core::Tokens;
use oauth_core::error::Error;
use oauth_core::moment::UnixTime;

use crate::store::Answer;

/// Whatever has a token when one is asked for.
///
/// [`Session`](crate::Session) is the one that matters; [`Fixed`] has one token and no other. Wrap
/// another to count, log or choose: a source is what its [`token`](Self::token) gives.
pub trait TokenSource: Send + Sync {
    /// A token that is fresh, and not the one that a resource server `refused`.
    ///
    /// If another caller has replaced that one already, the newer one is given without a request.
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token>;

    /// Forgets exactly this token, for callers who do not want another one now.
    fn refuse(&self, refused: &Tokens);
}

impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        (**self).token(refused)
    }

    fn refuse(&self, refused: &Tokens) {
        (**self).refuse(refused);
    }
}

/// Tokens that were handed out. They are read through it; [`into_arc`](Self::into_arc) keeps them.
///
/// It is no plain `Arc`, for then every thread that asks would count in the same place: two threads
/// would each be slower than one alone.
pub struct Token(Held);

enum Held {
    Cached(Guard<Arc<Cached>>),
    Given(Arc<Tokens>),
}

/// What is handed out without asking anybody.
pub(crate) struct Cached {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) until: UnixTime,
}

impl Token {
    pub(crate) const fn cached(guard: Guard<Arc<Cached>>) -> Self {
        Self(Held::Cached(guard))
    }

    /// The tokens themselves.
    pub fn into_arc(self) -> Arc<Tokens> {
        match self.0 {
            Held::Cached(guard) => Arc::clone(&guard.tokens),
            Held::Given(tokens) => tokens,
        }
    }
}

impl Deref for Token {
    type Target = Tokens;

    fn deref(&self) -> &Tokens {
        match &self.0 {
            Held::Cached(guard) => &guard.tokens,
            Held::Given(tokens) => tokens,
        }
    }
}

impl Clone for Token {
    fn clone(&self) -> Self {
        match &self.0 {
            Held::Cached(guard) => Arc::clone(&guard.tokens).into(),
            Held::Given(tokens) => Arc::clone(tokens).into(),
        }
    }
}

impl From<Arc<Tokens>> for Token {
    fn from(tokens: Arc<Tokens>) -> Self {
        Self(Held::Given(tokens))
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

/// One token and no other, for tests and for tokens that somebody else keeps fresh.
#[derive(Debug, Clone)]
pub struct Fixed(Arc<Tokens>);

impl Fixed {
    /// Gives these tokens to whoever asks, fresh or not.
    pub fn new(tokens: Tokens) -> Self {
        Self(Arc::new(tokens))
    }
}

impl TokenSource for Fixed {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        let is_refused = refused.is_some_and(|refused| {
            let refused = refused.access_token.expose();
            self.0.access_token.matches(refused)
        });
        Box::pin(std::future::ready(match is_refused {
            true => Err(Error::from(oauth_core::error::Misuse::NoRefreshToken)),
            false => Ok(Arc::clone(&self.0).into()),
        }))
    }

    fn refuse(&self, _: &Tokens) {}
}
