//! The five classes of errors, and every row of the table in each.

use serde::Serialize;

use super::{Advice, Denial, Loss, Misuse, ProtocolViolation, ValidationFailure};

/// The party that caused an error, without the details of [`Kind`](super::Kind): the class that each
/// language raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The server refused.
    Denied,
    /// The server broke the protocol.
    Malformed,
    /// A check failed.
    Untrusted,
    /// No response arrived.
    Lost,
    /// The call cannot be carried out: its arguments, the settings or the state of the grant do not allow it.
    Misuse,
}

impl Class {
    /// All five classes.
    pub const ALL: &'static [Self] = &[
        Self::Denied,
        Self::Malformed,
        Self::Untrusted,
        Self::Lost,
        Self::Misuse,
    ];

    /// The name in records: `denied`, `malformed`, `untrusted`, `lost` or `misuse`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::Untrusted => "untrusted",
            Self::Lost => "lost",
            Self::Misuse => "misuse",
        }
    }

    /// The meaning of the class, in a sentence or two: its documentation in each language.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Denied => "Refused: by the server, or unsent while its refusal still holds.",
            Self::Malformed => "The server, or whatever answered in its place, broke the protocol.",
            Self::Untrusted => {
                "A check failed: the message may be forged, replayed or meant for somebody else, or a site does not serve the request. Never act on its content."
            }
            Self::Lost => "No reply arrived. The request may have been carried out all the same.",
            Self::Misuse => {
                "The call cannot be carried out: its arguments, the settings or the state of the grant do not allow it."
            }
        }
    }
}

/// One row of the table, of any class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// A refusal.
    Denied(Denial),
    /// A breach of the protocol.
    Malformed(ProtocolViolation),
    /// A failed check.
    Untrusted(ValidationFailure),
    /// No response.
    Lost(Loss),
    /// A mistake of the caller.
    Misuse(Misuse),
}

impl Row {
    /// Every row, class by class.
    pub fn all() -> impl Iterator<Item = Self> {
        let denials = Denial::ALL.iter().copied().map(Self::Denied);
        let malformed = ProtocolViolation::ALL.iter().copied().map(Self::Malformed);
        let untrusted = ValidationFailure::ALL.iter().copied().map(Self::Untrusted);
        let misuse = Misuse::ALL.iter().copied().map(Self::Misuse);
        denials
            .chain(malformed)
            .chain(untrusted)
            .chain(Loss::ALL.iter().copied().map(Self::Lost))
            .chain(misuse)
    }

    /// The class of the row.
    pub const fn class(self) -> Class {
        match self {
            Self::Denied(_) => Class::Denied,
            Self::Malformed(_) => Class::Malformed,
            Self::Untrusted(_) => Class::Untrusted,
            Self::Lost(_) => Class::Lost,
            Self::Misuse(_) => Class::Misuse,
        }
    }

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.code(),
            Self::Malformed(fault) => fault.code(),
            Self::Untrusted(check) => check.code(),
            Self::Lost(loss) => loss.code(),
            Self::Misuse(misuse) => misuse.code(),
        }
    }

    /// One sentence for display; for a refusal, its OAuth error code.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.text(),
            Self::Malformed(fault) => fault.text(),
            Self::Untrusted(check) => check.text(),
            Self::Lost(loss) => loss.text(),
            Self::Misuse(misuse) => misuse.text(),
        }
    }

    /// The advice that follows from the code alone. An [`Error`](super::Error) may know more: the pause that the server
    /// named, or that its exchange cannot be repeated.
    pub const fn advice(self) -> Advice {
        match self {
            Self::Denied(denial) => denial.advice(),
            Self::Malformed(fault) => fault.advice(),
            Self::Untrusted(check) => check.advice(),
            Self::Lost(loss) => loss.advice(),
            Self::Misuse(misuse) => misuse.advice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_unique_and_match_their_class() {
        let mut codes: Vec<_> = Row::all().map(Row::code).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
        for row in Row::all() {
            let is_word =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
            assert!(row.code().chars().all(is_word), "{}", row.code());
            // The code of a resource server's refusal depends on what is refused.
            let is_resources = matches!(row, Row::Denied(Denial::RateLimited | Denial::Revoked));
            assert_eq!(
                row.class() == Class::Denied && !is_resources,
                row.code().starts_with("denied.")
            );
            assert!(
                !row.text().is_empty() && !row.text().contains('\n'),
                "{}",
                row.code()
            );
        }
    }

    #[test]
    fn class_names_match_their_serialization_and_no_class_is_empty() {
        for class in Class::ALL {
            let name = serde_json::to_value(class).ok();
            assert_eq!(name, Some(class.as_str().into()));
            assert!(
                Row::all().any(|row| row.class() == *class),
                "{class:?} is empty"
            );
        }
    }
}
