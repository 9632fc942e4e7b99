//! Assertions that the client signs itself, from plain values.

use oauth_core::Secret;
use oauth_core::assertion::Assertion;
use oauth_core::error::Error;

use crate::client::Client;

/// The claims of an assertion to be signed, and its key.
#[cfg_attr(
    not(feature = "crypto"),
    allow(dead_code, reason = "nothing signs there")
)]
pub(crate) struct AssertionInput {
    pub(crate) key: Secret<String>,
    pub(crate) passphrase: Option<Secret<String>>,
    pub(crate) alg: Option<String>,
    pub(crate) kid: Option<String>,
    pub(crate) issuer: String,
    pub(crate) subject: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) lifetime: Option<u64>,
    pub(crate) claims: Option<String>,
}

/// Makes the assertion, and signs it with the given key.
///
/// # Errors
/// `key.*`, `assertion.claim`.
#[cfg(feature = "crypto")]
pub(crate) fn assertion(client: &Client, signed: AssertionInput) -> Result<Assertion, Error> {
    use oauth_core::error::Misuse;
    use oauth_core::jose::Alg;
    use oauth_core::json::{self, Json};
    use oauth_crypto::PrivateKey;

    let server = client.core().server();
    let named = |name: &str| {
        Alg::from_name(name).ok_or_else(|| Error::from(Misuse::KeyAlgorithm).about(name))
    };
    let alg = signed.alg.as_deref().map(named).transpose()?;
    let text = match &signed.passphrase {
        Some(passphrase) => oauth_crypto::decrypt_pem(signed.key.expose(), passphrase)?,
        None => signed.key,
    };
    let key = PrivateKey::read_with(text.expose(), alg)?;
    let subject = signed.subject.unwrap_or_else(|| signed.issuer.clone());
    let key = key.signing_key(signed.kid.unwrap_or_default());
    let mut assertion = server.assertion(key, signed.issuer, subject)?;
    if let Some(audience) = signed.audience {
        assertion = assertion.audience(audience)?;
    }
    if let Some(seconds) = signed.lifetime {
        assertion = assertion.lifetime(u32::try_from(seconds).unwrap_or(u32::MAX));
    }
    let Some(text) = &signed.claims else {
        return Ok(assertion);
    };
    match json::parse(text)? {
        Json::Object(claims) => claims
            .to_map()
            .into_iter()
            .try_fold(assertion, |all, (name, value)| all.claim(&name, value)),
        _ => Err(Error::from(Misuse::AssertionClaim).about("claims are an object")),
    }
}

/// Stands in for the function above in a build without algorithms.
///
/// # Errors
/// Always: the core has no algorithms.
#[cfg(not(feature = "crypto"))]
pub(crate) fn assertion(_: &Client, _: AssertionInput) -> Result<Assertion, Error> {
    use oauth_core::error::Misuse;
    Err(Error::from(Misuse::Setup).about("no key signs in this build"))
}
