//! A source of tokens that is never short of an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oauth_core::Tokens;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_reqwest::oauth_session::store::Answer;
use oauth_reqwest::oauth_session::{FixedToken, Token, TokenSource};

/// A person who always says yes, which is never enough.
pub(crate) struct Obliging {
    token: FixedToken,
    asked: Arc<AtomicUsize>,
}

impl Obliging {
    /// With this token forever; and how often more was asked for.
    pub(crate) fn with(token: &Tokens) -> (Self, Arc<AtomicUsize>) {
        let asked = Arc::default();
        let token = FixedToken::new(token.access_token.expose().as_str());
        let source = Self {
            token,
            asked: Arc::clone(&asked),
        };
        (source, asked)
    }
}

impl TokenSource for Obliging {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        self.token.token(refused)
    }

    fn refuse(&self, refused: &Tokens) {
        self.token.refuse(refused);
    }

    fn step_up<'a>(&'a self, _: &'a Tokens, _: &'a StepUp) -> Answer<'a, Option<Token>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match asked {
                // A test that fails has an end, too.
                9.. => Ok(None),
                _ => self.token.token(None).await.map(Some),
            }
        })
    }
}
