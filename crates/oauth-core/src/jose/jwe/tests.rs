#![allow(clippy::unwrap_used)] // tests may panic

use std::sync::{Arc, Mutex};

use super::*;
use crate::jose::{DecryptJwe, ResponseEncryption, decrypt_if_encrypted};
use crate::jose::{Decrypter, DecryptionFailed};
use crate::secret::Secret;
use crate::testing::error_code;

/// Decrypts every token to this text, and records the call.
struct Fake(
    Option<&'static str>,
    &'static str,
    Arc<Mutex<Vec<Option<&'static str>>>>,
);

impl Decrypter for Fake {
    fn decrypt(&self, _: &DecryptionJob) -> Result<Secret<Vec<u8>>, DecryptionFailed> {
        self.2.lock().unwrap().push(self.0);
        match self.1 {
            "" => Err(DecryptionFailed),
            text => Ok(Secret::new(text.as_bytes().to_vec())),
        }
    }

    fn key_id(&self) -> Option<&str> {
        self.0
    }
}

fn fake(text: &'static str) -> ResponseEncryption {
    let key = Fake(None, text, Arc::default());
    ResponseEncryption::new(JweAlg::RsaOaep, key).encs([Enc::A128Gcm])
}

/// A token with this header and other parts of valid length.
fn token(header: &str) -> String {
    with_parts(header, 256, 12, 5, 16)
}

fn with_parts(header: &str, key: usize, iv: usize, text: usize, tag: usize) -> String {
    let parts = [key, iv, text, tag].map(|bytes| base64::url_safe(vec![7; bytes]));
    format!("{}.{}", base64::url_safe(header), parts.join("."))
}

const HEADER: &str = r#"{"alg":"RSA-OAEP","enc":"A128GCM"}"#;

fn outcome(token: &str) -> Result<String, &'static str> {
    error_code(fake("a.b.c").decrypt(token)).map(|text| text.expose().clone())
}

#[test]
fn malformed_jwe_is_refused() {
    assert_eq!(outcome(&token(HEADER)).as_deref(), Ok("a.b.c"));
    let valid_token = token(HEADER);
    let long = " ".repeat(MAX_HEADER);
    for bad in [
        String::new(),
        "....".to_owned(),
        valid_token.replacen('.', "", 1),
        format!("{valid_token}."),
        format!("{valid_token}.x"),
        format!("{valid_token}="),
        format!(" {valid_token}"),
        valid_token.replace('.', "+."),
        token("[]"),
        token("{}"),
        token(r#"{"alg":"RSA-OAEP"}"#),
        token(r#"{"enc":"A128GCM"}"#),
        token(r#"{"alg":1,"enc":"A128GCM"}"#),
        token(r#"{"alg":"RSA-OAEP","enc":["A128GCM"]}"#),
        token(r#"{"alg":"RSA-OAEP","enc":"A128GCM","kid":1}"#),
        token(r#"{"alg":"RSA-OAEP","enc":"A128GCM","apu":{}}"#),
        token(r#"{"alg":"RSA-OAEP","enc":"A128GCM","apu":"="}"#),
        token(r#"{"alg":"RSA-OAEP","enc":"A128GCM","crit":[]}"#),
        token(r#"{"alg":"RSA-OAEP","enc":"A128GCM","crit":null}"#),
        token(r#"{"alg":"RSA-OAEP","enc":"A128GCM","apu":null}"#),
        token(r#"{"alg":"RSA-OAEP","enc":"A128GCM","crit":["epk"]}"#),
        token(&format!(r#"{{"alg":"RSA-OAEP","enc":"A128GCM"{long}}}"#)),
        with_parts(HEADER, 1025, 12, 5, 16),
        with_parts(HEADER, 256, 60, 5, 16),
        with_parts(HEADER, 256, 12, 5, 60),
        with_parts(HEADER, 256, 12, MAX_BYTES, 16),
    ] {
        let shown: String = bad.chars().take(120).collect();
        assert_eq!(outcome(&bad), Err("jwe.malformed"), "{shown}");
    }
    let twice = r#"{"alg":"RSA-OAEP","enc":"A128GCM","enc":"A128GCM"}"#;
    assert_eq!(outcome(&token(twice)), Err("jws.duplicate_member"));
    let critical = r#"{"alg":"RSA-OAEP","enc":"A128GCM","crit":["new"],"new":1}"#;
    assert_eq!(outcome(&token(critical)), Err("jws.unsupported_crit"));
}

/// Only the registered algorithms are accepted; the token's header does not choose them.
#[test]
fn algorithms_other_than_the_registered_ones_are_refused() {
    for (alg, enc) in [
        ("RSA1_5", "A128GCM"),
        ("RSA-OAEP-256", "A128GCM"),
        ("PBES2-HS256+A128KW", "A128GCM"),
        ("dir", "A128GCM"),
        ("none", "A128GCM"),
        ("rsa-oaep", "A128GCM"),
        ("RSA-OAEP", "A256GCM"),
        ("RSA-OAEP", "A128CBC-HS256"),
        ("RSA-OAEP", "none"),
    ] {
        let header = format!(r#"{{"alg":"{alg}","enc":"{enc}","p2c":2147483647}}"#);
        assert_eq!(
            outcome(&token(&header)),
            Err("jwe.alg_not_allowed"),
            "{header}"
        );
    }
    for name in ["RSA1_5", "PBES2-HS256+A128KW", "none", ""] {
        assert_eq!(JweAlg::from_name(name), None);
    }
    // The registration default is the only algorithm until another is configured.
    let by_default = ResponseEncryption::new(JweAlg::RsaOaep, Fake(None, "a.b.c", Arc::default()));
    assert_eq!(
        error_code(by_default.decrypt(&token(HEADER))).map(drop),
        Err("jwe.alg_not_allowed")
    );
}

#[test]
fn compressed_jwe_is_refused() {
    for zip in [r#""DEF""#, r#""""#, "1"] {
        let header = format!(r#"{{"alg":"RSA-OAEP","enc":"A128GCM","zip":{zip}}}"#);
        assert_eq!(outcome(&token(&header)), Err("jwe.compression"));
    }
}

/// Parts of other lengths fail like a wrong key, before a key is used.
#[test]
fn parts_of_the_wrong_length_are_refused_before_a_key_is_used() {
    for (key, iv, tag) in [
        (0, 12, 16),
        (256, 12, 15),
        (256, 12, 1),
        (256, 12, 0),
        (256, 16, 16),
    ] {
        let token = with_parts(HEADER, key, iv, 5, tag);
        let requested = Arc::default();
        let key = Fake(None, "a.b.c", Arc::clone(&requested));
        let encryption = ResponseEncryption::new(JweAlg::RsaOaep, key).encs([Enc::A128Gcm]);
        assert_eq!(
            error_code(encryption.decrypt(&token)).map(drop),
            Err("jwe.decryption")
        );
        assert!(requested.lock().unwrap().is_empty());
    }
    let direct = ResponseEncryption::new(JweAlg::Dir, Fake(None, "a.b.c", Arc::default()));
    let direct = direct.encs([Enc::A128Gcm]);
    let header = r#"{"alg":"dir","enc":"A128GCM"}"#;
    assert!(direct.decrypt(&with_parts(header, 0, 12, 5, 16)).is_ok());
    let refused = error_code(direct.decrypt(&token(header))).map(drop);
    assert_eq!(
        refused,
        Err("jwe.decryption"),
        "a shared key comes with no other"
    );
}

#[test]
fn ephemeral_key_must_be_complete_and_on_a_known_curve() {
    let encryption = ResponseEncryption::new(JweAlg::EcdhEs, Fake(None, "a.b.c", Arc::default()));
    let encryption = encryption.encs([Enc::A128Gcm]);
    let decrypt_with_epk = |epk: &str| {
        let header = format!(r#"{{"alg":"ECDH-ES","enc":"A128GCM"{epk}}}"#);
        error_code(encryption.decrypt(&with_parts(&header, 0, 12, 5, 16))).map(drop)
    };
    let x = base64::url_safe([1; 32]);
    let (ec, okp) = (
        r#""kty":"EC","crv":"P-256""#,
        r#""kty":"OKP","crv":"X25519""#,
    );
    assert_eq!(
        decrypt_with_epk(&format!(r#","epk":{{{ec},"x":"{x}","y":"{x}"}}"#)),
        Ok(())
    );
    assert_eq!(
        decrypt_with_epk(&format!(r#","epk":{{{okp},"x":"{x}"}}"#)),
        Ok(())
    );
    for bad in [
        String::new(),
        r#","epk":"x""#.to_owned(),
        r#","epk":{}"#.to_owned(),
        format!(r#","epk":{{{ec},"x":"{x}"}}"#),
        format!(r#","epk":{{{ec},"x":"{x}","y":"AAAA"}}"#),
        format!(r#","epk":{{{ec},"x":"{x}A","y":"{x}"}}"#),
        format!(r#","epk":{{{ec},"x":"{x}","y":"{x}","d":"{x}"}}"#),
        format!(r#","epk":{{"kty":"EC","crv":"P-384","x":"{x}","y":"{x}"}}"#),
        format!(r#","epk":{{"kty":"EC","crv":"secp256k1","x":"{x}","y":"{x}"}}"#),
        format!(r#","epk":{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#),
        format!(r#","epk":{{"kty":"OKP","crv":"P-256","x":"{x}","y":"{x}"}}"#),
    ] {
        assert_eq!(decrypt_with_epk(&bad), Err("jwe.malformed"), "{bad}");
    }
}

#[test]
fn key_is_selected_by_kid_and_all_are_tried_otherwise() {
    let header = |kid: &str| format!(r#"{{"alg":"RSA-OAEP","enc":"A128GCM"{kid}}}"#);
    for (kid, expected) in [
        (r#","kid":"b""#, &[Some("b")][..]),
        (r#","kid":"z""#, &[Some("a"), Some("b"), None]),
        ("", &[Some("a"), Some("b"), None]),
    ] {
        let requested = Arc::default();
        let key = |id| Fake(id, "", Arc::clone(&requested));
        let encryption = ResponseEncryption::new(JweAlg::RsaOaep, key(Some("a")));
        let encryption = encryption.key(key(Some("b"))).key(key(None));
        let refused = encryption
            .encs([Enc::A128Gcm])
            .decrypt(&token(&header(kid)));
        assert_eq!(error_code(refused).map(drop), Err("jwe.decryption"));
        assert_eq!(requested.lock().unwrap().as_slice(), expected, "{kid}");
    }
}

#[test]
fn nested_jwe_is_refused() {
    let inside = error_code(fake("a.b.c.d.e").decrypt(&token(HEADER))).map(drop);
    assert_eq!(inside, Err("jwe.nesting"));
    // A value with dots that is not a JWE is passed through.
    let claims = r#"{"iss":"https://a.b.c.d.example"}"#;
    assert!(fake(claims).decrypt(&token(HEADER)).is_ok());
}

#[test]
fn encryption_must_match_the_agreement() {
    let decrypted = |token: &str, encryption: Option<&ResponseEncryption>| {
        error_code(decrypt_if_encrypted(
            Secret::from(token),
            encryption.map(|opens| opens as &dyn DecryptJwe),
        ))
        .map(|text| text.expose().clone())
    };
    let (jwe, encryption) = (token(HEADER), fake("a.b.c"));
    assert_eq!(decrypted("d.e.f", None).as_deref(), Ok("d.e.f"));
    assert_eq!(decrypted(&jwe, Some(&encryption)).as_deref(), Ok("a.b.c"));
    assert_eq!(decrypted(&jwe, None), Err("jwe.unexpected"));
    assert_eq!(
        decrypted("d.e.f", Some(&encryption)),
        Err("jwe.not_encrypted")
    );
    assert_eq!(decrypted("d.e", Some(&encryption)), Err("jwe.malformed"));
}

/// "the application receiving them SHOULD verify that their values are identical" (RFC 7519 section 5.3).
#[test]
fn claims_replicated_in_the_header_must_equal_the_inner_claims() {
    // {"iss":"https://as.example","aud":["id"]}, signed and bare.
    let signed = "e30.eyJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUiLCJhdWQiOlsiaWQiXX0.AA";
    let bare = r#"{"iss":"https://as.example","aud":["id"]}"#;
    let judged = |content: &'static str, members: &str| {
        let header = HEADER.replace('}', &format!(",{members}}}"));
        let text = fake(content).decrypt(&token(&header));
        text.map(drop)
            .map_err(|error| (error.code(), error.detail().map(str::to_owned)))
    };
    for content in [signed, bare] {
        for same in [
            r#""iss":"https://as.example""#,
            r#""aud":["id"],"iss":"https:\/\/as.example""#,
            r#""iss":null"#,
            r#""exp":7"#,
        ] {
            assert_eq!(judged(content, same), Ok(()), "{same}");
        }
        for (other, name) in [
            (r#""iss":"https://evil.example""#, "iss"),
            (r#""iss":["https://as.example"]"#, "iss"),
            (r#""aud":"id""#, "aud"),
            (r#""sub":"ann""#, "sub"),
        ] {
            let refused = Err(("jwe.malformed", Some(name.to_owned())));
            assert_eq!(judged(content, other), refused, "{other}");
        }
    }
    // What has no claims is refused where it is read.
    assert_eq!(judged("a.b.c", r#""iss":"https://as.example""#), Ok(()));
}
