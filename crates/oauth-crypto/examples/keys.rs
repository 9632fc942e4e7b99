//! A new key, its public half to register, and a signature with it:
//! `cargo run -p oauth-crypto --example keys`.

use std::sync::Arc;

use bytes::Bytes;
use oauth_core::crypto::Signer as _;
use oauth_core::exchange::{VerificationJob, VerificationKey};
use oauth_core::jose::Alg;
use oauth_crypto::PrivateKey;

fn signed_and_verified(alg: Alg) -> Result<bool, Box<dyn std::error::Error>> {
    let key = PrivateKey::generate(alg)?;
    println!("{}: register {}", alg.as_str(), key.public_jwk().to_json());
    let text = "eyJhbGciOiJFUzI1NiJ9.e30";
    let signature = key.sign(text.as_bytes())?;
    Ok(oauth_crypto::verify(&VerificationJob::Signature {
        alg: alg.as_str(),
        key: VerificationKey::Public(Arc::new(key.public_jwk().clone())),
        signing_input: Bytes::from_static(text.as_bytes()),
        signature,
    }))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for alg in [Alg::Es256, Alg::EdDsa, Alg::Rs256] {
        assert!(signed_and_verified(alg)?);
    }
    Ok(())
}

#[test]
fn signatures_of_every_asymmetric_algorithm_verify() -> Result<(), Box<dyn std::error::Error>> {
    for alg in Alg::ALL.iter().filter(|alg| !alg.is_symmetric()) {
        assert!(signed_and_verified(*alg)?, "{}", alg.as_str());
    }
    Ok(())
}
