//! Proof Key for Code Exchange (RFC 7636): the verifier, its challenge, and which method may be used with a server
//! ([`ChallengeMethod::choose`]: there is no downgrade from S256). That the Model Context Protocol refuses a server
//! without `code_challenge_methods_supported` is checked in `flow/resource_connection.rs`. A flow's verifier is
//! generated in
//! `flow/authorization/entropy.rs`.

#[cfg(feature = "sha2")]
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use crate::base64;
use crate::error::{Error, Misuse};
#[cfg(feature = "sha2")]
use crate::moment::Moment;
use crate::secret::Secret;

/// The `code_verifier`: 43 to 128 unreserved characters (RFC 7636 section 4.1).
#[derive(Debug, Clone)]
pub struct CodeVerifier(Secret<String>);

/// How a challenge is derived from a verifier (`code_challenge_method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengeMethod {
    /// `BASE64URL(SHA256(verifier))`
    S256,
    /// The verifier itself; see [`crate::danger::plain_challenge`].
    Plain,
}

/// Whether a server must advertise PKCE (`code_challenge_methods_supported`, RFC 8414 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PkceRequirement {
    /// S256 is sent even if the server does not advertise it (RFC 9700 section 2.1.1).
    #[default]
    Usual,
    /// The server must list S256, as the Model Context Protocol requires.
    Advertised,
}

impl CodeVerifier {
    /// A verifier of 32 fresh octets, as 43 characters.
    #[cfg(feature = "sha2")]
    pub(crate) fn generate(moment: &Moment) -> Result<Self, Error> {
        Ok(Self(Secret::new(moment.token("code_verifier")?)))
    }

    /// The verifier that encodes these 32 octets (RFC 7636 appendix B).
    pub fn from_octets(mut octets: [u8; 32]) -> Self {
        let text = base64::url_safe(octets);
        octets.zeroize();
        Self(Secret::new(text))
    }

    /// Reads a verifier that the caller generated.
    ///
    /// # Errors
    /// `pkce.verifier`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::check_syntax(text, 43).map(|()| Self(text.into()))
    }

    /// Checks that a string consists of `least` to 128 unreserved characters.
    pub(crate) fn check_syntax(text: &str, least: usize) -> Result<(), Error> {
        let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if (least..=128).contains(&text.len()) && text.bytes().all(is_unreserved) {
            Ok(())
        } else {
            Err(Misuse::VerifierSyntax.into())
        }
    }

    /// The verifier's text, for the token request only: it must never be part of a URL.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The `code_challenge` (RFC 7636 section 4.2).
    #[cfg(feature = "sha2")]
    pub fn challenge(&self, method: ChallengeMethod) -> String {
        match method {
            ChallengeMethod::S256 => base64::url_safe(Sha256::digest(self.expose())),
            ChallengeMethod::Plain => self.expose().to_owned(),
        }
    }
}

impl ChallengeMethod {
    /// `S256` or `plain`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S256 => "S256",
            Self::Plain => "plain",
        }
    }

    /// The method to use with a server that lists `supported`. There is no downgrade from S256
    /// (RFC 7636 section 7.2).
    ///
    /// # Errors
    /// `pkce.s256_unsupported`, `pkce.unsupported`.
    pub fn choose(
        supported: Option<&[String]>,
        requirement: PkceRequirement,
    ) -> Result<Self, Error> {
        match supported {
            Some(methods) if methods.iter().any(|method| method == "S256") => Ok(Self::S256),
            Some(_) => Err(Misuse::PkceS256Unsupported.into()),
            None if requirement == PkceRequirement::Usual => Ok(Self::S256),
            None => Err(Misuse::PkceUnsupported.into()),
        }
    }
}
