//! Encrypted tokens: no input causes a panic, and no modified token is accepted.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::jose::{Enc, JweAlg, ResponseEncryption};
use oauth_crypto::DecryptionKey;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

/// A token of another implementation, and its decryption key.
struct ForeignToken {
    token: String,
    text: String,
    encryption: ResponseEncryption,
}

static KNOWN: LazyLock<Vec<ForeignToken>> = LazyLock::new(|| {
    let cases = include_str!("../../crates/oauth-crypto/tests/jwe.json");
    let cases: Vec<Value> = serde_json::from_str(cases).expect("tokens");
    cases.iter().map(foreign_token).collect()
});

fn foreign_token(case: &Value) -> ForeignToken {
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let alg = JweAlg::from_name(text("alg")).expect("an alg");
    let enc = Enc::from_name(text("enc")).expect("an enc");
    let key = DecryptionKey::from_jwk(&case["key"].to_string(), alg).expect("a key");
    ForeignToken {
        token: text("token").to_owned(),
        text: text("text").to_owned(),
        encryption: ResponseEncryption::new(alg, key).encs([enc]),
    }
}

/// A modification of a token.
#[derive(Debug, Clone)]
enum Change {
    Replace(Index, char),
    Insert(Index, char),
    Remove(Index),
    Swap(Index, Index),
    Truncate(Index),
    /// A part of another token in place of its own.
    Part(Index, Index),
    /// A bit of a part's bytes.
    Bit(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let letter = || {
        select(vec![
            'A', 'B', '_', '-', '.', '=', '+', 'g', 'Q', 'w', ' ', '\u{e9}',
        ])
    };
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), letter()).prop_map(|(at, letter)| Change::Replace(at, letter)),
        1 => (at(), letter()).prop_map(|(at, letter)| Change::Insert(at, letter)),
        1 => at().prop_map(Change::Remove),
        1 => (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
        1 => at().prop_map(Change::Truncate),
        2 => (at(), at()).prop_map(|(part, other)| Change::Part(part, other)),
        3 => (at(), at()).prop_map(|(part, bit)| Change::Bit(part, bit)),
    ]
}

fn changed(token: &str, change: &Change) -> String {
    let mut letters: Vec<char> = token.chars().collect();
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    match change {
        Change::Replace(at, letter) => {
            let at = at.index(letters.len());
            letters[at] = *letter;
        }
        Change::Insert(at, letter) => letters.insert(at.index(letters.len() + 1), *letter),
        Change::Remove(at) => drop(letters.remove(at.index(letters.len()))),
        Change::Swap(a, b) => {
            let count = letters.len();
            letters.swap(a.index(count), b.index(count));
        }
        Change::Truncate(at) => {
            let count = at.index(letters.len());
            letters.truncate(count);
        }
        Change::Part(part, other) => {
            let other = &KNOWN[other.index(KNOWN.len())].token;
            let part = part.index(parts.len());
            parts[part] = other.split('.').nth(part).unwrap_or_default().to_owned();
            return parts.join(".");
        }
        Change::Bit(part, bit) => {
            let part = part.index(parts.len());
            let mut bytes = URL_SAFE_NO_PAD.decode(&parts[part]).unwrap_or_default();
            if !bytes.is_empty() {
                let bit = bit.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            parts[part] = URL_SAFE_NO_PAD.encode(bytes);
            return parts.join(".");
        }
    }
    letters.into_iter().collect()
}

fn header() -> impl Strategy<Value = String> {
    let name = select(vec![
        "alg", "enc", "zip", "kid", "epk", "apu", "apv", "iv", "tag", "crit", "p2c", "cty",
    ]);
    let value = select(vec![
        r#""RSA-OAEP""#,
        r#""ECDH-ES""#,
        r#""A128GCMKW""#,
        r#""dir""#,
        r#""A128GCM""#,
        r#""A128CBC-HS256""#,
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        r#"["exp"]"#,
        "null",
        "-1",
        r#""""#,
        r#""_w""#,
    ]);
    vec((name, value), 0..7).prop_map(|members| {
        let members = members.iter();
        let members: Vec<_> = members
            .map(|(name, value)| format!(r#""{name}":{value}"#))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(any::<u8>(), 0..40).prop_map(|bytes| URL_SAFE_NO_PAD.encode(bytes)),
        select(vec![0usize, 12, 16, 24, 32, 40, 256])
            .prop_map(|n| URL_SAFE_NO_PAD.encode(vec![0; n])),
        "[A-Za-z0-9_=-]{0,9}",
    ]
}

proptest! {
    #[test]
    fn modified_tokens_are_refused(at in any::<Index>(), changes in vec(change(), 1..4)) {
        let known = &KNOWN[at.index(KNOWN.len())];
        let mut token = known.token.clone();
        for change in &changes {
            if !token.is_empty() {
                token = changed(&token, change);
            }
        }
        match known.encryption.decrypt(&token) {
            Ok(text) => {
                prop_assert_eq!(&token, &known.token, "{:?}", changes);
                prop_assert_eq!(text.expose(), &known.text);
            }
            Err(error) => prop_assert_ne!(&token, &known.token, "{}", error),
        }
    }

    #[test]
    fn made_up_tokens_are_refused(
        at in any::<Index>(),
        header in prop_oneof![4 => header(), 1 => "\\PC{0,20}"],
        parts in vec(part(), 0..6),
    ) {
        let known = &KNOWN[at.index(KNOWN.len())];
        let token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), parts.join("."));
        prop_assert!(known.encryption.decrypt(&token).is_err());
    }

    /// With the correct header, so that the arbitrary parts reach the algorithms.
    #[test]
    fn arbitrary_parts_with_a_valid_header_are_refused_without_a_panic(at in any::<Index>(), parts in vec(part(), 4)) {
        let known = &KNOWN[at.index(KNOWN.len())];
        let header = known.token.split('.').next().unwrap_or_default();
        let token = format!("{header}.{}", parts.join("."));
        prop_assert!(known.encryption.decrypt(&token).is_err());
    }

    #[test]
    fn arbitrary_text_is_refused_without_a_panic(text in "\\PC{0,60}|[.]{0,9}") {
        for known in KNOWN.iter() {
            prop_assert!(known.encryption.decrypt(&text).is_err());
        }
    }
}
