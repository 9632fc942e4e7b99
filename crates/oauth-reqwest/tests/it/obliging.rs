//! A token source whose user approves every step-up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oauth_core::Tokens;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_reqwest::oauth_session::store::Answer;
use oauth_reqwest::oauth_session::{FixedToken, Token, TokenSource};

/// A source that always grants a step-up, which never satisfies the API.
pub(crate) struct Obliging {
    token: FixedToken,
    requested: Arc<AtomicUsize>,
}

impl Obliging {
    /// A source that always returns this token, and the number of step-ups requested.
    pub(crate) fn with(token: &Tokens) -> (Self, Arc<AtomicUsize>) {
        let requested = Arc::default();
        let token = FixedToken::new(token.access_token.expose().as_str());
        let source = Self {
            token,
            requested: Arc::clone(&requested),
        };
        (source, requested)
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
        let prompt_count = self.requested.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match prompt_count {
                // A failing test must end as well.
                9.. => Ok(None),
                _ => self.token.token(None).await.map(Some),
            }
        })
    }
}
