//! Security profiles: one setting that enables what a profile requires, and refuses what it forbids before anything is
//! sent. A profile is a list of clauses, each with a requirement that this crate can check.
//!
//! FAPI 2.0 Security Profile <https://openid.net/specs/fapi-security-profile-2_0-final.html>,
//! FAPI 2.0 Message Signing <https://openid.net/specs/fapi-message-signing-2_0-final.html>,
//! OAuth 2.1 (draft-ietf-oauth-v2-1), RFC 9700.

#[cfg(all(test, feature = "sha2"))]
mod tests;

use std::fmt;

use crate::error::{Error, Misuse};
use crate::jose::Alg;

/// A set of rules for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecurityProfile {
    /// Refuses what OAuth 2.1 has removed, and pushes authorization requests where the server offers it.
    Oauth21,
    /// OAuth 2.1 with strict parsing: any violation of a standard is an error, even a harmless one. The server must
    /// advertise PKCE and the `iss` parameter in callbacks (RFC 9207).
    Strict,
    /// FAPI 2.0 Security Profile, for banking, health care and similar. Not for web pages, whose clients have no
    /// registered key.
    #[cfg(feature = "sha2")]
    Fapi2Security,
    /// FAPI 2.0 Message Signing: the FAPI 2.0 Security Profile with signed requests and responses, for non-repudiation.
    #[cfg(feature = "sha2")]
    Fapi2MessageSigning,
}

/// What a clause requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Requirement {
    /// Client authentication by `private_key_jwt` or mutual TLS.
    AuthenticationByKey,
    /// Client assertions name the issuer as their audience, and nothing else.
    IssuerAsAudience,
    /// Tokens are bound to a DPoP key or a certificate.
    SenderConstrainedTokens,
    /// Signatures are PS256, ES256 or EdDSA.
    Algorithms,
    /// The server's endpoints come from its metadata document.
    Discovery,
    /// No resource owner password credentials.
    NoPassword,
    /// The response type is `code`.
    CodeOnly,
    /// PKCE, with S256.
    Pkce,
    /// The server announces that it supports PKCE.
    PkceAdvertised,
    /// A `nonce` has 64 characters at most.
    ShortNonce,
    /// Authorization requests are pushed.
    Pushed,
    /// Authorization requests are pushed if the server offers it.
    PushedWhereOffered,
    /// Authorization responses name their issuer.
    IssuerInResponse,
    /// Authorization requests are signed.
    SignedRequest,
    /// Signed authorization requests are valid for 60 minutes at most.
    ShortRequest,
    /// Authorization responses are signed.
    SignedResponse,
    /// Introspection responses are signed.
    SignedIntrospection,
    /// Replies are parsed strictly.
    StrictReading,
}

/// One requirement of a profile, and its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Clause {
    /// The document and its section.
    pub source: &'static str,
    /// What the clause requires.
    pub requirement: Requirement,
    /// The requirement in words, for error messages.
    pub text: &'static str,
}

const fn clause(source: &'static str, requirement: Requirement, text: &'static str) -> Clause {
    Clause {
        source,
        requirement,
        text,
    }
}

const NO_PASSWORD: Clause = clause(
    "RFC 9700 section 2.4",
    Requirement::NoPassword,
    "the resource owner password credentials grant must not be used",
);
const PKCE: Clause = clause(
    "OAuth 2.1 section 4.1.1",
    Requirement::Pkce,
    "authorization requests have a code_challenge by S256",
);
/// "If omitted, the authorization server does not support PKCE" (RFC 8414 section 2).
const PKCE_ADVERTISED: Clause = clause(
    "RFC 9700 section 2.1.1",
    Requirement::PkceAdvertised,
    "the server publishes that it supports PKCE",
);
const AUDIENCE: Clause = clause(
    "RFC 10070 section 4",
    Requirement::IssuerAsAudience,
    "client assertions have the issuer as their only audience",
);
const PUSHED_WHERE_OFFERED: Clause = clause(
    "OAuth 2.1 section 3.1",
    Requirement::PushedWhereOffered,
    "authorization requests are pushed where the server offers it",
);

const OAUTH21: &[Clause] = &[NO_PASSWORD, PKCE, AUDIENCE, PUSHED_WHERE_OFFERED];

const STRICT: &[Clause] = &[
    NO_PASSWORD,
    PKCE,
    AUDIENCE,
    PUSHED_WHERE_OFFERED,
    PKCE_ADVERTISED,
    clause(
        "RFC 9700 section 2.1",
        Requirement::IssuerInResponse,
        "authorization responses name their issuer",
    ),
    clause(
        "RFC 6749, and the standards of each message",
        Requirement::StrictReading,
        "replies are read to the letter",
    ),
];

#[cfg(feature = "sha2")]
macro_rules! fapi2 {
    ($($more:expr),* $(,)?) => {
        &[
            clause(
                "FAPI 2.0 Security Profile section 5.3.3.1",
                Requirement::AuthenticationByKey,
                "the client authenticates with private_key_jwt or mutual TLS",
            ),
            clause(
                "FAPI 2.0 Security Profile section 5.3.3.1",
                Requirement::SenderConstrainedTokens,
                "access tokens are bound to a DPoP key or a certificate",
            ),
            clause(
                "FAPI 2.0 Security Profile section 5.3.3.1",
                Requirement::IssuerAsAudience,
                "client assertions have the issuer as their only audience",
            ),
            clause(
                "FAPI 2.0 Security Profile section 5.3.3.1",
                Requirement::Discovery,
                "endpoints come from the metadata document of the server",
            ),
            clause(
                "FAPI 2.0 Security Profile section 5.4.1",
                Requirement::Algorithms,
                "signatures are PS256, ES256 or EdDSA",
            ),
            clause(
                "FAPI 2.0 Security Profile section 5.3.2.1",
                Requirement::NoPassword,
                "the resource owner password credentials grant must not be used",
            ),
            clause(
                "FAPI 2.0 Security Profile section 5.3.3.2",
                Requirement::CodeOnly,
                "the response type is code",
            ),
            clause(
                "FAPI 2.0 Security Profile section 5.3.3.2",
                Requirement::Pkce,
                "authorization requests have a code_challenge by S256",
            ),
            clause(
                "FAPI 2.0 Security Profile section 5.3.3.2",
                Requirement::Pushed,
                "authorization requests are pushed",
            ),
            clause(
                "FAPI 2.0 Security Profile section 5.3.3.2",
                Requirement::ShortNonce,
                "a nonce has at most 64 characters",
            ),
            PKCE_ADVERTISED,
            clause(
                "FAPI 2.0 Security Profile section 5.3.3.2",
                Requirement::IssuerInResponse,
                "authorization responses name their issuer",
            ),
            $($more),*
        ]
    };
}

#[cfg(feature = "sha2")]
const FAPI2_SECURITY: &[Clause] = fapi2![];

#[cfg(feature = "sha2")]
const FAPI2_MESSAGE_SIGNING: &[Clause] = fapi2![
    clause(
        "FAPI 2.0 Message Signing section 5.3.2",
        Requirement::SignedRequest,
        "authorization requests are signed",
    ),
    clause(
        "FAPI 2.0 Message Signing section 5.3.2",
        Requirement::ShortRequest,
        "signed authorization requests are valid for at most 60 minutes",
    ),
    clause(
        "FAPI 2.0 Message Signing section 5.4.2",
        Requirement::SignedResponse,
        "authorization responses are signed",
    ),
    clause(
        "FAPI 2.0 Message Signing section 5.5.2",
        Requirement::SignedIntrospection,
        "introspection responses are signed",
    ),
];

/// The signature algorithms of FAPI 2.0 (Security Profile section 5.4.1). The minimum size of RSA keys, 2048 bits, is
/// checked for every profile in `jose/jwk.rs`, and for own keys in `private_key.rs` of oauth-crypto.
const ALGORITHMS: [Alg; 4] = [Alg::Ps256, Alg::Es256, Alg::EdDsa, Alg::Ed25519];

impl SecurityProfile {
    /// Every profile.
    pub const ALL: &'static [Self] = &[
        Self::Oauth21,
        Self::Strict,
        #[cfg(feature = "sha2")]
        Self::Fapi2Security,
        #[cfg(feature = "sha2")]
        Self::Fapi2MessageSigning,
    ];

    /// The profile with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut profiles = Self::ALL.iter().copied();
        profiles.find(|profile| profile.as_str() == name)
    }

    /// The profile's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oauth21 => "oauth21",
            Self::Strict => "strict",
            #[cfg(feature = "sha2")]
            Self::Fapi2Security => "fapi2_security",
            #[cfg(feature = "sha2")]
            Self::Fapi2MessageSigning => "fapi2_message_signing",
        }
    }

    /// All clauses of the profile.
    pub const fn clauses(self) -> &'static [Clause] {
        match self {
            Self::Oauth21 => OAUTH21,
            Self::Strict => STRICT,
            #[cfg(feature = "sha2")]
            Self::Fapi2Security => FAPI2_SECURITY,
            #[cfg(feature = "sha2")]
            Self::Fapi2MessageSigning => FAPI2_MESSAGE_SIGNING,
        }
    }

    /// The clause with this requirement, if the profile has it.
    pub fn clause(self, requirement: Requirement) -> Option<&'static Clause> {
        self.clauses()
            .iter()
            .find(|clause| clause.requirement == requirement)
    }

    /// Whether the profile has this requirement.
    pub fn requires(self, requirement: Requirement) -> bool {
        self.clause(requirement).is_some()
    }

    /// Whether the profile allows signatures of this algorithm.
    pub fn allows(self, alg: Alg) -> bool {
        !self.requires(Requirement::Algorithms) || ALGORITHMS.contains(&alg)
    }

    /// The algorithms to accept if the server's metadata lists none and the profile forbids the standard's default.
    pub(crate) fn default_algs(self) -> Option<&'static [Alg]> {
        self.requires(Requirement::Algorithms)
            .then_some(&ALGORITHMS)
    }

    /// Fails if the profile has this requirement and `is_met` returns false. `failure` says how the client fails it.
    ///
    /// # Errors
    /// `profile.forbidden`, which names the clause.
    pub(crate) fn require(
        self,
        requirement: Requirement,
        is_met: impl FnOnce() -> bool,
        failure: &str,
    ) -> Result<(), Error> {
        match self.clause(requirement) {
            Some(clause) if !is_met() => {
                Err(Error::from(Misuse::ProfileForbids).about(&format!("{clause}; {failure}")))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.text)
    }
}
