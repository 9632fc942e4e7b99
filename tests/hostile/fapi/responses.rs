//! Authorization responses: issuer, `state`, and, with Message Signing, the signature (JARM).

use oauth_core::jose::{Enc, JweAlg, ResponseEncryption};
use oauth_core::{Error, SecurityProfile};
use oauth_crypto::DecryptionKey;
use oauth_testkit::Fault;
use oauth_testkit::twin::IdTokenFlaw;

use super::{Bank, USUAL, Variant, authentications};
use crate::print_row;

/// Checks that a login whose response has this flaw is refused without a token request.
fn refused(profile: SecurityProfile, fault: &Fault, module: &str, expected: &'static str) {
    for variant in authentications(profile) {
        let bank = Bank::of(variant);
        let flaw = format!("{fault:?}");
        bank.tls.with(|twin| twin.inject(fault.clone()));
        let seen = bank.sign_in().err().map(|error| error.code());
        print_row(module, &flaw, Some(expected), seen);
        assert_eq!(seen, Some(expected), "{variant:?} {flaw}");
        assert_eq!(bank.requests("/token"), 0, "{variant:?} {flaw}");
        // The next sign-in succeeds.
        assert!(bank.sign_in().is_ok(), "{variant:?} {flaw}");
    }
}

#[test]
fn a_response_must_have_the_issuer_and_state_of_its_request() {
    for profile in [
        SecurityProfile::Fapi2Security,
        SecurityProfile::Fapi2MessageSigning,
    ] {
        let is_signed = profile == SecurityProfile::Fapi2MessageSigning;
        let issuer = if is_signed {
            "jwt.issuer"
        } else {
            "callback.issuer"
        };
        for (fault, module, expected) in [
            (
                Fault::WrongIssuerInCallback,
                "fapi2-...-test-invalid-authorization-response-iss",
                issuer,
            ),
            (
                Fault::ForeignStateInCallback,
                "fapi2-...-test-ensure-authorization-response-with-invalid-state-fails",
                "callback.state",
            ),
            (
                Fault::MissingStateInCallback,
                "fapi2-...-test-ensure-authorization-response-with-invalid-missing-state-fails",
                "callback.state",
            ),
        ] {
            refused(profile, &fault, module, expected);
        }
    }
    refused(
        SecurityProfile::Fapi2Security,
        &Fault::MissingIssuerInCallback,
        "fapi2-...-test-remove-authorization-response-iss",
        "callback.missing_issuer",
    );
}

#[test]
fn every_flaw_of_a_signed_response_is_detected() {
    for (flaw, module, expected) in [
        (
            IdTokenFlaw::MissingIssuer,
            "fapi2-...-test-ensure-jarm-without-iss-fails",
            "jwt.missing_claim",
        ),
        (
            IdTokenFlaw::WrongIssuer,
            "fapi2-...-test-ensure-jarm-invalid-iss-fails",
            "jwt.issuer",
        ),
        (
            IdTokenFlaw::MissingAudience,
            "fapi2-...-test-ensure-jarm-without-aud-fails",
            "jwt.missing_claim",
        ),
        (
            IdTokenFlaw::WrongAudience,
            "fapi2-...-test-ensure-jarm-invalid-aud-fails",
            "jwt.audience",
        ),
        (
            IdTokenFlaw::MissingExpiry,
            "fapi2-...-test-ensure-jarm-without-exp-fails",
            "jwt.missing_claim",
        ),
        (
            IdTokenFlaw::Expired,
            "fapi2-...-test-ensure-jarm-expired-exp-fails",
            "jwt.expired",
        ),
        (
            IdTokenFlaw::BrokenSignature,
            "fapi2-...-test-ensure-jarm-invalid-sig-fails",
            "jws.bad_signature",
        ),
        (
            IdTokenFlaw::Unsigned,
            "fapi2-...-test-ensure-jarm-signature-is-not-none",
            "jws.alg_not_allowed",
        ),
        (
            IdTokenFlaw::OtherAlgorithm,
            "JARM 2.4",
            "jws.alg_not_allowed",
        ),
        (
            IdTokenFlaw::PublicKeyAsSecret,
            "JARM 2.4",
            "jws.alg_not_allowed",
        ),
        (
            IdTokenFlaw::Missing,
            "JARM 2.4",
            "callback.missing_jarm_response",
        ),
    ] {
        let fault = Fault::ResponseJwt { flaw };
        refused(
            SecurityProfile::Fapi2MessageSigning,
            &fault,
            module,
            expected,
        );
    }
}

/// An unsigned response is refused if a signed one was requested.
#[test]
fn a_plain_response_in_place_of_a_signed_one_is_refused() {
    refused(
        SecurityProfile::Fapi2MessageSigning,
        &Fault::PlainResponse,
        "JARM 2.1",
        "callback.missing_jarm_response",
    );
}

/// The published private key of RFC 7517 appendix A.2.
const OPENING_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#;

/// JARM section 2.2: a client registered for encrypted responses accepts only those.
#[test]
fn a_signed_response_can_be_encrypted() {
    let profile = SecurityProfile::Fapi2MessageSigning;
    let mut bank = Bank::of(Variant { profile, ..USUAL });
    let (alg, enc) = (JweAlg::EcdhEsA256Kw, Enc::A256Gcm);
    let key = DecryptionKey::from_jwk(OPENING_KEY, alg).unwrap();
    let plain = bank.client.clone();
    let encryption = ResponseEncryption::new(alg, key).encs([enc]);
    bank.client = plain.clone().with_authorization_encryption(encryption);
    let code = |login: Result<_, Error>| login.map(drop).map_err(|error| error.code());
    assert_eq!(code(bank.sign_in()), Err("jwe.not_encrypted"));

    let (public, _) = OPENING_KEY.split_once(",\"d\"").unwrap();
    let public = format!("{public}}}");
    bank.tls.with(|twin| {
        // Neither algorithm is for this public key.
        assert!(twin.encrypt_responses(&public, JweAlg::Dir, enc).is_err());
        assert!(
            twin.encrypt_responses(&public, JweAlg::RsaOaep256, enc)
                .is_err()
        );
        twin.encrypt_responses(&public, alg, enc).unwrap();
    });
    assert_eq!(code(bank.sign_in()), Ok(()));
    // A flaw inside the encrypted response is detected.
    let flaw = IdTokenFlaw::WrongAudience;
    bank.tls
        .with(|twin| twin.inject(Fault::ResponseJwt { flaw }));
    assert_eq!(code(bank.sign_in()), Err("jwt.audience"));
    bank.client = plain;
    assert_eq!(code(bank.sign_in()), Err("jwe.unexpected"));
}
