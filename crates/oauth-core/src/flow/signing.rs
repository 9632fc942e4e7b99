//! One JWS, signed in this process or by the host.

use crate::crypto::SigningKey;
use crate::error::{Error, Misuse};
use crate::exchange::{Exchange, Input, Step};
use crate::moment::Moment;
use crate::secret::Secret;

/// Makes what is signed, of the moment it is signed in.
type Content = Box<dyn FnOnce(&Moment) -> Result<String, Error> + Send>;

/// Signs once.
pub(crate) struct Signing {
    key: SigningKey,
    state: State,
}

enum State {
    Fresh(Content),
    /// The host signs this.
    Waiting(String),
    Over,
}

impl Signing {
    /// Signs the signing input that `content` makes.
    pub(crate) fn new(
        key: SigningKey,
        content: impl FnOnce(&Moment) -> Result<String, Error> + Send + 'static,
    ) -> Self {
        Self {
            key,
            state: State::Fresh(Box::new(content)),
        }
    }
}

impl Exchange for Signing {
    type Output = Secret<String>;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Secret<String>>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh(content), Input::Begin) => {
                let content = content(at)?;
                if let Some(jws) = self.key.sign(&content)? {
                    return Ok(Step::Done(jws));
                }
                let job = self.key.job(content.clone());
                self.state = State::Waiting(content);
                Ok(Step::Sign(job))
            }
            (State::Waiting(content), Input::Signed(signature)) => {
                self.key.finish(&content, &signature).map(Step::Done)
            }
            (State::Waiting(_), Input::Lost(cause)) => Err(Error::lost(cause)),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}
