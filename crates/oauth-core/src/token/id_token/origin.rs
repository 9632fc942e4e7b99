//! Whether an ID token replies to a request or is unsolicited, and how `nonce` binds it to a sign-in. The rules
//! for the ID token of a refresh (OpenID Connect Core section 12.2) are in `refreshed.rs`.

use super::{IdTokenChecks, MAX_AGE_WITHOUT_NONCE};
use crate::secret::Secret;

impl IdTokenChecks {
    /// Checks for an unsolicited token with this nonce. Without one, a token that has a nonce is refused, because it
    /// was issued for another sign-in. A token older than a day is refused too, unless `max_token_age` is set.
    pub fn unsolicited(nonce: Option<Secret<String>>) -> Self {
        Self {
            origin: IdTokenOrigin::Unsolicited,
            max_token_age: nonce.is_none().then_some(MAX_AGE_WITHOUT_NONCE),
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
    /// In the response to a request of this client, so a code or a secret authenticates it too.
    #[default]
    Answer,
    /// Unsolicited: a page or an app posted it and may have obtained it anywhere.
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
