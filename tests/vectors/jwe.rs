//! Group `jwe`: encrypted ID tokens, and the client's keys for them.

use oauth_core::Secret;
use oauth_core::jose::{Enc, JweAlg, ResponseEncryption};
use oauth_crypto::DecryptionKey;
use serde_json::Value;

use crate::expect::accepted;
use crate::format::{Vector, Verdict, check};
use crate::id_token::{checks, registered};
use crate::jws::{Verified, key_set, keys, refused, run};

/// The registered algorithm of vectors that name none.
const ALG: JweAlg = JweAlg::RsaOaep256;

pub(crate) fn id_token(vector: &Vector) -> Verdict {
    let expect = &vector.input["expect"];
    let now = expect["now"].as_u64().ok_or("no time")?;
    let client = registered(expect)?;
    let client = match encryption(expect)? {
        Some(encryption) => client.with_id_token_encryption(encryption),
        None => client,
    };
    let token = vector.required_text("token")?;
    let exchange = client.verify_id_token(Secret::from(token), checks(expect));
    let Verified { result, .. } = run(exchange, now, &[key_set(&expect["jwks"])]);
    match result {
        Ok(id_token) => {
            accepted(&vector.expected, id_token.claims())?;
            check(
                "is the signed token of somebody",
                !id_token.subject().is_empty() && id_token.text().expose().split('.').count() == 3,
            )
        }
        Err(error) => refused(&error, vector),
    }
}

/// The encryption that the client is registered with, where a vector that names none has none.
pub(crate) fn encryption_agreed(expect: &Value) -> Result<Option<ResponseEncryption>, String> {
    match expect.get("id_token_encrypted_response_alg") {
        None => Ok(None),
        Some(_) => encryption(expect),
    }
}

/// The encryption that the client is registered with: none if the vector has `null`; any `enc` if the vector has
/// none.
pub(crate) fn encryption(expect: &Value) -> Result<Option<ResponseEncryption>, String> {
    let alg = match expect.get("id_token_encrypted_response_alg") {
        Some(Value::Null) => return Ok(None),
        Some(name) => JweAlg::from_name(name.as_str().unwrap_or_default()).ok_or("no such alg")?,
        None => ALG,
    };
    let encs = match expect["id_token_encrypted_response_enc"].as_str() {
        Some(name) => vec![Enc::from_name(name).ok_or("no such enc")?],
        None => Enc::ALL.to_vec(),
    };
    let key = match (alg.is_rsa(), alg.has_ephemeral_key()) {
        (true, _) => DecryptionKey::from_jwk(&keys("enc_rsa").to_string(), alg),
        (_, true) => DecryptionKey::from_jwk(&keys("enc_ec").to_string(), alg),
        // Derived from the client secret (OpenID Connect Core section 10.2).
        _ => {
            let secret = expect["client_secret"].as_str().ok_or("no secret")?;
            let enc = encs.first().ok_or("no enc")?;
            DecryptionKey::from_client_secret(secret, alg, *enc)
        }
    };
    let key = key.map_err(|error| error.to_string())?;
    Ok(Some(ResponseEncryption::new(alg, key).encs(encs)))
}
