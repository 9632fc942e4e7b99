//! Tokens that are encrypted for the API (RFC 9068 section 4).

use super::{AT_JWT, KEYS, claims, token, verifier, verify};
use crate::base64;
use crate::crypto::{Decrypter, DecryptionFailed, DecryptionJob};
use crate::error::Error;
use crate::exchange::{Exchange as _, Input};
use crate::flow::access_token::{AccessTokenVerifier, Scheme};
use crate::jose::{Alg, Enc, JweAlg, KeySet, ResponseEncryption};
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::testing::{self, NOW, at, error_code};
use crate::token::access_token::ProvenKeys;

/// Decrypts every token to this text.
struct Known(String);

impl Decrypter for Known {
    fn decrypt(&self, _: &DecryptionJob) -> Result<Secret<Vec<u8>>, DecryptionFailed> {
        Ok(Secret::new(self.0.clone().into_bytes()))
    }
}

/// Decrypts no token.
struct Other;

impl Decrypter for Other {
    fn decrypt(&self, _: &DecryptionJob) -> Result<Secret<Vec<u8>>, DecryptionFailed> {
        Err(DecryptionFailed)
    }
}

fn verifier_with_encryption(text: &str) -> ResponseEncryption {
    ResponseEncryption::new(JweAlg::Dir, Known(text.to_owned())).encs([Enc::A128Gcm])
}

fn jwe(header: &str) -> String {
    let [iv, text, tag] = [12, 4, 16].map(|bytes| base64::url_safe(vec![1; bytes]));
    format!("{}..{iv}.{text}.{tag}", base64::url_safe(header))
}

const DIR: &str = r#"{"alg":"dir","enc":"A128GCM","cty":"JWT"}"#;

fn refused(verifier: &AccessTokenVerifier, token: &str) -> Error {
    let mut exchange = verifier.verify(token);
    exchange.resume(&at(), Input::Begin).map(drop).unwrap_err()
}

#[test]
fn encrypted_token_is_decrypted_and_verified_by_the_same_rules() {
    let judged = |typ: &str, more: &str| {
        let verifier =
            verifier().with_encryption(verifier_with_encryption(&token(typ, &claims(more))));
        let shown = verify(&verifier, &jwe(DIR), ProvenKeys::none());
        error_code(shown.map(|token| assert_eq!(token.subject(), "u")))
    };
    assert_eq!(judged(AT_JWT, ""), Ok(()));
    assert_eq!(judged(r#","typ":"JWT""#, ""), Err("jwt.typ"));
    let (other, ended) = (r#""aud":"https://other.example""#, r#""exp":1"#);
    assert_eq!(judged(AT_JWT, other), Err("jwt.audience"));
    assert_eq!(judged(AT_JWT, ended), Err("jwt.expired"));
    let bound = r#""cnf":{"jkt":"k"}"#;
    assert_eq!(judged(AT_JWT, bound), Err("access_token.proof_required"));
}

#[test]
fn plain_token_is_refused_where_encryption_is_configured_and_vice_versa() {
    let valid_token = token(AT_JWT, &claims(""));
    let error = refused(
        &verifier().with_encryption(verifier_with_encryption(&valid_token)),
        &valid_token,
    );
    assert_eq!(error.code(), "jwe.not_encrypted");
    // The error refers to the token, not to the API.
    let refusal = error.refusal().unwrap();
    let challenge = r#"Bearer error="invalid_token""#;
    assert_eq!(
        (refusal.status, refusal.challenge.as_deref()),
        (401, Some(challenge))
    );
    let verifier = verifier();
    let error = refused(&verifier, &jwe(DIR));
    assert_eq!(error.code(), "jwe.unexpected");
    assert_eq!(verifier.refuse(Scheme::Bearer, &error).status, 401);
}

#[test]
fn jwe_must_use_the_configured_algorithms_and_key() {
    let verifier =
        verifier().with_encryption(verifier_with_encryption(&token(AT_JWT, &claims(""))));
    for (alg, enc) in [
        ("dir", "A256GCM"),
        ("A128KW", "A128GCM"),
        ("RSA1_5", "A128GCM"),
    ] {
        let header = format!(r#"{{"alg":"{alg}","enc":"{enc}"}}"#);
        let error = refused(&verifier, &jwe(&header));
        assert_eq!(error.code(), "jwe.alg_not_allowed", "{alg} {enc}");
    }
    let other = ResponseEncryption::new(JweAlg::Dir, Other).encs([Enc::A128Gcm]);
    let error = refused(&verifier.with_encryption(other), &jwe(DIR));
    assert_eq!(error.code(), "jwe.decryption");
}

/// Anyone with the API's public key can encrypt to it: only a signature authenticates the issuer.
#[test]
fn encrypted_but_unsigned_token_is_refused() {
    let unsigned = format!("{}.{}.", base64::url_safe(r#"{"alg":"none"}"#), "e30");
    for (inside, expected) in [
        (claims(""), "jws.malformed"),
        (unsigned, "jws.alg_not_allowed"),
        (jwe(DIR), "jwe.nesting"),
    ] {
        let error = refused(
            &verifier().with_encryption(verifier_with_encryption(&inside)),
            &jwe(DIR),
        );
        assert_eq!(error.code(), expected, "{inside}");
        assert_eq!(error.refusal().map(|refusal| refusal.status), Some(401));
    }
}

#[test]
fn verifier_inherits_the_clients_token_encryption() {
    let client = testing::client_of(testing::server());
    client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
    let valid_token = token(AT_JWT, &claims(""));
    let client = client.with_access_token_encryption(verifier_with_encryption(&valid_token));
    let verifier = client.access_token_verifier("https://api.example");
    let verifier = verifier.with_algs([Alg::Es256]).unwrap();
    assert_eq!(refused(&verifier, &valid_token).code(), "jwe.not_encrypted");
    assert!(verify(&verifier, &jwe(DIR), ProvenKeys::none()).is_ok());
}
