//! Whether an ID token answers a request of this client or came unsolicited, and what then binds it to a sign-in
//! (`nonce`).

use super::{IdTokenChecks, WITHOUT_NONCE};
use crate::secret::Secret;

impl IdTokenChecks {
    /// Of a token that came by itself, with this nonce. Without one, a token that has one is refused, for it was
    /// made for another sign-in; and so is one that is older than a day, unless `max_token_age` says otherwise.
    pub fn unsolicited(nonce: Option<Secret<String>>) -> Self {
        Self {
            arrival: Arrival::Unsolicited,
            max_token_age: nonce.is_none().then_some(WITHOUT_NONCE),
            nonce,
            without_nonce: WithoutNonce::Absent,
            ..Self::default()
        }
    }
}

/// How an ID token came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Arrival {
    /// In the answer to a request of this client: a code or a secret vouches for it too.
    #[default]
    Answer,
    /// By itself: a page or an app has posted it, and may have it from anywhere.
    Unsolicited,
}

/// Whether a token may have a `nonce` if the request sent none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WithoutNonce {
    /// It is not looked at: some libraries of apps send one that the server of the application never learns. A token
    /// that was stolen from another sign-in is then accepted.
    #[default]
    Ignored,
    /// There must be none: a token with one is of another sign-in.
    Absent,
}

impl WithoutNonce {
    /// `ignored` or `absent`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Absent => "absent",
        }
    }
}
