//! Builds the response that an API sends when it refuses a token.
//!
//! RFC 6750 <https://www.rfc-editor.org/rfc/rfc6750#section-3>, RFC 9449 section 7.1, RFC 9470 section 3, RFC
//! 9728 section 5.1

use super::{AccessTokenVerifier, asymmetric_algs};
use crate::challenge;
use crate::dpop::{INVALID_PROOF, USE_NONCE};
use crate::error::{ApiRefusal, Error, Misuse, ValidationFailure};
use crate::jose::Alg;
use crate::url::Url;

/// How a token was presented: the scheme of the `Authorization` header (RFC 9110 section 11.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Scheme {
    /// `Bearer` (RFC 6750)
    #[default]
    Bearer,
    /// `DPoP` (RFC 9449)
    Dpop,
}

impl Scheme {
    /// The scheme's name in a header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}

/// Additional parameters of an API's challenges.
#[derive(Debug, Clone, Default)]
pub(super) struct ChallengeParameters {
    realm: Option<String>,
    resource_metadata: Option<Url>,
    /// The algorithms of DPoP proofs, if the API has named them.
    dpop_algs: Option<Vec<Alg>>,
}

impl AccessTokenVerifier {
    /// Names a realm in every challenge (RFC 9110 section 11.5).
    ///
    /// # Errors
    /// `form.malformed_parameter` for a realm that is not printable ASCII.
    pub fn with_realm(mut self, realm: &str) -> Result<Self, Error> {
        if !realm.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(Error::from(Misuse::ParameterValue).about("realm"));
        }
        self.challenge_parameters.realm = Some(realm.to_owned());
        Ok(self)
    }

    /// Names the API's metadata in every challenge (RFC 9728 section 5.1).
    #[must_use]
    pub fn with_resource_metadata(mut self, url: Url) -> Self {
        self.challenge_parameters.resource_metadata = Some(url);
        self
    }

    /// Accepts DPoP proofs by these algorithms only, and announces them in every challenge (RFC 9449 section 7.1).
    /// Without this, [`verify_request`] accepts and announces all but those with a shared secret, and challenges of
    /// [`verify`](Self::verify) do not mention DPoP.
    ///
    /// # Errors
    /// `form.malformed_parameter` for an algorithm with a shared secret, and for none.
    ///
    /// [`verify_request`]: Self::verify_request
    pub fn with_dpop_algs(mut self, algs: impl IntoIterator<Item = Alg>) -> Result<Self, Error> {
        self.challenge_parameters.dpop_algs = Some(asymmetric_algs("dpop_algs", algs)?);
        Ok(self)
    }

    /// The algorithms that the API has named, and the profile of the client allows.
    fn named_proof_algs(&self) -> Vec<Alg> {
        let dpop_algs = self.challenge_parameters.dpop_algs.iter().flatten();
        dpop_algs
            .copied()
            .filter(|alg| self.config.allows_alg(*alg))
            .collect()
    }

    /// The algorithms of the proofs that are accepted.
    #[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
    pub(super) fn proof_algs(&self) -> Vec<Alg> {
        let dpop_algs = self.challenge_parameters.dpop_algs.as_deref();
        let algs = dpop_algs.unwrap_or(Alg::ALL).iter().copied();
        algs.filter(|alg| !alg.is_symmetric() && self.config.allows_alg(*alg))
            .collect()
    }

    /// The response to a request without a token: 401, with the supported schemes. "The resource server
    /// SHOULD NOT include an error code" (RFC 6750 section 3.1).
    pub fn refuse_missing(&self) -> ApiRefusal {
        let algs = self.named_proof_algs();
        ApiRefusal::new(401, Some(self.challenge(Scheme::Bearer, None, &algs)))
    }

    /// The response to a request whose token was presented by `scheme` and failed with this error.
    pub fn refuse(&self, scheme: Scheme, error: &Error) -> ApiRefusal {
        self.refuse_code(scheme, error.code())
    }

    /// The response of [`Self::refuse`], for an error that is known only by its code.
    pub fn refuse_code(&self, scheme: Scheme, code: &str) -> ApiRefusal {
        self.refuse_request(scheme, code, &self.named_proof_algs())
    }

    /// [`Self::refuse_code`], for an API that accepts DPoP proofs by these algorithms.
    pub(super) fn refuse_request(
        &self,
        scheme: Scheme,
        code: &str,
        dpop_algs: &[Alg],
    ) -> ApiRefusal {
        let kind = code.split_once('.').map_or(code, |(kind, _)| kind);
        let (status, error) = match kind {
            // "The resource server SHOULD NOT include an error code" (RFC 6750 section 3.1).
            _ if code == ValidationFailure::AccessTokenMissing.code() => (401, None),
            _ if code == ValidationFailure::AccessTokenDuplicate.code() => {
                (400, Some("invalid_request"))
            }
            _ if code == ValidationFailure::ProofNonce.code() => (401, Some(USE_NONCE)),
            "dpop_proof" => (401, Some(INVALID_PROOF)),
            _ if code == ValidationFailure::AccessTokenScope.code() => {
                (403, Some("insufficient_scope"))
            }
            _ if code == ValidationFailure::AccessTokenAuthentication.code() => {
                (401, Some("insufficient_user_authentication"))
            }
            "jwe" | "jws" | "jwt" | "access_token" => (401, Some("invalid_token")),
            // The token may be valid: the client may succeed with it later.
            "lost" | "denied" | "reply" | "jwks" | "metadata" => return ApiRefusal::new(503, None),
            _ => return ApiRefusal::new(500, None),
        };
        ApiRefusal::new(status, Some(self.challenge(scheme, error, dpop_algs)))
    }

    /// The challenge of the scheme that was used, and that of the other scheme, if it may be used.
    fn challenge(&self, scheme: Scheme, error: Option<&str>, dpop_algs: &[Alg]) -> String {
        let algs: Vec<_> = dpop_algs.iter().map(|alg| alg.as_str()).collect();
        let algs = algs.join(" ");
        let unmet = UnmetRequirements::new(self, error);
        let mut text = String::new();
        let schemes = match scheme {
            Scheme::Bearer => [Scheme::Bearer, Scheme::Dpop],
            Scheme::Dpop => [Scheme::Dpop, Scheme::Bearer],
        };
        for offered in schemes {
            if offered == Scheme::Dpop && algs.is_empty() && scheme != Scheme::Dpop {
                continue;
            }
            let mut params = Vec::new();
            if let Some(realm) = &self.challenge_parameters.realm {
                params.push(("realm", realm.as_str()));
            }
            if offered == scheme {
                params.extend(error.map(|error| ("error", error)));
                params.extend(unmet.params());
            }
            if offered == Scheme::Dpop && !algs.is_empty() {
                params.push(("algs", algs.as_str()));
            }
            if let Some(url) = &self.challenge_parameters.resource_metadata {
                params.push(("resource_metadata", url.as_str()));
            }
            challenge::write(offered.as_str(), &params, &mut text);
        }
        text
    }
}

/// The requirements of the request that the token does not meet.
#[derive(Default)]
struct UnmetRequirements {
    scope: Option<String>,
    acr_values: Option<String>,
    max_age: Option<String>,
}

impl UnmetRequirements {
    fn new(verifier: &AccessTokenVerifier, error: Option<&str>) -> Self {
        let checks = &verifier.checks;
        let non_empty = |text: String| Some(text).filter(|text| !text.is_empty());
        match error {
            // "scope" may occur in a challenge without an error, too (RFC 6750 section 3).
            None | Some("insufficient_scope") => Self {
                scope: non_empty(checks.scope.as_str().to_owned()),
                ..Self::default()
            },
            Some("insufficient_user_authentication") => Self {
                scope: None,
                acr_values: non_empty(checks.acr_values.join(" ")),
                max_age: checks.max_age.map(|age| age.as_secs().to_string()),
            },
            Some(_) => Self::default(),
        }
    }

    fn params(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parameters = [
            ("scope", &self.scope),
            ("acr_values", &self.acr_values),
            ("max_age", &self.max_age),
        ];
        parameters
            .into_iter()
            .filter_map(|(name, value)| value.as_deref().map(|value| (name, value)))
    }
}
