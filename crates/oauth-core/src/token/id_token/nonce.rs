//! Whether an ID token answers a request of this client or came unsolicited, and what then binds it to a sign-in
//! (`nonce`). The rules for the ID token of a refresh (section 12.2) are in `token/id_token.rs`.

use super::{IdTokenChecks, WITHOUT_NONCE};
use crate::secret::Secret;

impl IdTokenChecks {
    /// Checks for an unsolicited token with this nonce. Without one, a token that has a nonce is refused, because it
    /// was made for another sign-in; and so is one that is older than a day, unless `max_token_age` says otherwise.
    pub fn unsolicited(nonce: Option<Secret<String>>) -> Self {
        Self {
            origin: IdTokenOrigin::Unsolicited,
            max_token_age: nonce.is_none().then_some(WITHOUT_NONCE),
            nonce,
            unexpected_nonce: UnexpectedNonce::Reject,
            ..Self::default()
        }
    }
}

/// How an ID token arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum IdTokenOrigin {
    /// In the response to a request of this client: a code or a secret vouches for it too.
    #[default]
    Answer,
    /// Unsolicited: a page or an app has posted it, and may have it from anywhere.
    Unsolicited,
}

/// Whether a token may have a `nonce` if the request sent none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnexpectedNonce {
    /// The nonce is not checked: some app libraries send one that the application's server never learns. A token
    /// that was stolen from another sign-in is then accepted.
    #[default]
    Ignore,
    /// There must be no nonce: a token with one belongs to another sign-in.
    Reject,
}

impl UnexpectedNonce {
    /// `ignore` or `reject`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Reject => "reject",
        }
    }
}
