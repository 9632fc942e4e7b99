//! Authorization responses: by whom, for which request, and under Message Signing signed (JARM).

use oauth_core::Profile;
use oauth_testkit::Fault;
use oauth_testkit::twin::IdTokenFlaw;

use super::{Bank, authentications};
use crate::row;

/// What becomes of a login whose response has this flaw: no request for tokens follows.
fn refused(profile: Profile, fault: &Fault, module: &str, wanted: &'static str) {
    for variant in authentications(profile) {
        let bank = Bank::of(variant);
        let flaw = format!("{fault:?}");
        bank.tls.with(|twin| twin.inject(fault.clone()));
        let seen = bank.sign_in().err().map(|error| error.code());
        row(module, &flaw, Some(wanted), seen);
        assert_eq!(seen, Some(wanted), "{variant:?} {flaw}");
        assert_eq!(bank.requests("/token"), 0, "{variant:?} {flaw}");
        // The next person signs in as if nothing had been.
        assert!(bank.sign_in().is_ok(), "{variant:?} {flaw}");
    }
}

#[test]
fn a_response_names_its_issuer_and_its_request() {
    for profile in [Profile::Fapi2Security, Profile::Fapi2MessageSigning] {
        let is_signed = profile == Profile::Fapi2MessageSigning;
        let issuer = if is_signed {
            "jwt.issuer"
        } else {
            "callback.issuer"
        };
        for (fault, module, wanted) in [
            (
                Fault::WrongIssuerInCallback,
                "fapi2-...-test-invalid-authorization-response-iss",
                issuer,
            ),
            (
                Fault::ForeignStateInCallback,
                "fapi2-...-response-with-invalid-state-fails",
                "callback.state",
            ),
            (
                Fault::MissingStateInCallback,
                "fapi2-...-response-with-invalid-missing-state-fails",
                "callback.state",
            ),
        ] {
            refused(profile, &fault, module, wanted);
        }
    }
    refused(
        Profile::Fapi2Security,
        &Fault::MissingIssuerInCallback,
        "fapi2-...-test-remove-authorization-response-iss",
        "callback.missing_issuer",
    );
}

#[test]
fn every_flaw_of_a_signed_response_is_found() {
    for (flaw, module, wanted) in [
        (
            IdTokenFlaw::MissingIssuer,
            "without-iss",
            "jwt.missing_claim",
        ),
        (IdTokenFlaw::WrongIssuer, "invalid-iss", "jwt.issuer"),
        (
            IdTokenFlaw::MissingAudience,
            "without-aud",
            "jwt.missing_claim",
        ),
        (IdTokenFlaw::WrongAudience, "invalid-aud", "jwt.audience"),
        (
            IdTokenFlaw::MissingExpiry,
            "without-exp",
            "jwt.missing_claim",
        ),
        (IdTokenFlaw::Expired, "expired-exp", "jwt.expired"),
        (
            IdTokenFlaw::BrokenSignature,
            "invalid-sig",
            "jws.bad_signature",
        ),
        (
            IdTokenFlaw::Unsigned,
            "signature-is-not-none",
            "jws.alg_not_allowed",
        ),
        (
            IdTokenFlaw::OtherAlgorithm,
            "alternate-alg",
            "jws.alg_not_allowed",
        ),
        (
            IdTokenFlaw::PublicKeyAsSecret,
            "hs256",
            "jws.alg_not_allowed",
        ),
        (
            IdTokenFlaw::Missing,
            "missing",
            "callback.missing_jarm_response",
        ),
    ] {
        let module = format!("fapi2-...-test-ensure-jarm-{module}-fails");
        let fault = Fault::ResponseJwt { flaw };
        refused(Profile::Fapi2MessageSigning, &fault, &module, wanted);
    }
}

/// A response that is not signed is none, where a signed one was asked for.
#[test]
fn a_plain_response_in_place_of_a_signed_one_is_refused() {
    refused(
        Profile::Fapi2MessageSigning,
        &Fault::PlainResponse,
        "JARM 2.1",
        "callback.missing_jarm_response",
    );
}
