//! The settings with which an API introspects the tokens of its callers (RFC 7662).

use oauth_core::endpoint::introspection::SignedResponse;
use oauth_core::error::{Error, Misuse};
use oauth_core::jose::Alg;

use crate::op::arguments;

arguments! {
    /// How an API introspects tokens, and caches the responses.
    pub struct IntrospectionOptions {
        /// The algorithm of signed responses (RFC 9701), as registered: introspection_signed_response_alg. Plain
        /// responses are then refused.
        pub signed_response_alg: Option<String>,
        /// The server's name for this API in the aud of a signed response, if it is not the client id.
        pub signed_response_audience: Option<String>,
        /// For how many seconds a response is cached, but never beyond the expiry of the token. Without it, each call
        /// sends a request.
        pub cache_max_age: Option<u64>,
        /// The largest number of cached responses: 1000 by default.
        pub cache_entries: Option<u64>,
    }
}

/// A page verifies no access tokens, and its module has no room for unused code.
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
mod verifier {
    use std::time::Duration;

    use oauth_core::error::{Error, Misuse};
    use oauth_core::flow::access_token::AccessTokenVerifier;

    use super::{IntrospectionOptions, signed_response};

    /// How many responses are cached by default.
    const MAX_CACHED_RESPONSES: u64 = 1000;

    impl IntrospectionOptions {
        pub(crate) fn apply(
            self,
            verifier: AccessTokenVerifier,
        ) -> Result<AccessTokenVerifier, Error> {
            let signed = signed_response(self.signed_response_alg, self.signed_response_audience)?;
            let verifier = match signed {
                Some(signed) => verifier.with_signed_introspection(signed),
                None => verifier,
            };
            match (self.cache_max_age, self.cache_entries) {
                (Some(seconds), entries) => {
                    let entries = usize::try_from(entries.unwrap_or(MAX_CACHED_RESPONSES))
                        .unwrap_or(usize::MAX);
                    let max_age = Duration::from_secs(seconds);
                    Ok(verifier.with_introspection_cache(max_age, entries))
                }
                (None, None) => Ok(verifier),
                (None, Some(_)) => Err(Error::from(Misuse::ArgumentsInconsistent)
                    .about("answers are kept for an age, and none is given")),
            }
        }
    }
}

/// The form of a signed response, if one is registered.
pub(crate) fn signed_response(
    alg: Option<String>,
    audience: Option<String>,
) -> Result<Option<SignedResponse>, Error> {
    let Some(name) = alg else {
        return match audience {
            None => Ok(None),
            Some(_) => Err(Error::from(Misuse::ArgumentsInconsistent)
                .about("an audience is that of a signed answer")),
        };
    };
    let alg =
        Alg::from_name(&name).ok_or_else(|| Error::from(Misuse::KeyAlgorithm).about(&name))?;
    let mut signed = SignedResponse::default();
    signed.algs = vec![alg];
    signed.audience = audience;
    Ok(Some(signed))
}
