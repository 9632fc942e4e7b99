//! [`Api`]: a resource server and the rules for its callers. That a URL must not contain an access token (RFC 6750
//! section 2) is checked in `flow/resource.rs`.

use crate::http::HeaderName;

use super::ended_token::EndedTokens;
#[cfg(feature = "ended-tokens")]
use super::ended_token::ExpiredTokenReply;
use super::limiter::RateLimiter;
#[cfg(not(target_family = "wasm"))]
use super::metadata_challenge::MetadataChallenge;
use super::proof_maker::{ProofMaker, Proofs};
use super::rate_limit_headers::{self, Allowance};
use super::{Resource, Routes, TokenOwner};
#[cfg(feature = "sha2")]
use crate::client_config::ClientConfig;
use crate::error::{Error, Misuse};
use crate::exchange::field_named;
use crate::url::Url;

/// A resource server: the origins to which tokens may be sent, whose token a route needs, and how often it may
/// be called. Cheap to clone; clones share the limits.
#[derive(Debug, Clone)]
pub struct Api {
    pub(super) resource: Resource,
    routes: Routes,
    owners: Owners,
    pub(super) limiter: RateLimiter,
    proof_maker: Option<ProofMaker>,
    /// The proofs, if their key is known only once there are tokens.
    proofs: Option<Proofs>,
    pub(super) ended: EndedTokens,
    #[cfg(not(target_family = "wasm"))]
    pub(super) metadata_challenge: Option<MetadataChallenge>,
}

/// The owners of the available tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owners {
    /// One source for all routes.
    One,
    Application,
    User,
    Both,
}

impl Api {
    /// An API with one source of tokens for all its routes.
    pub fn new(resource: Resource) -> Self {
        Self {
            resource,
            routes: Routes::default(),
            owners: Owners::One,
            limiter: RateLimiter::default(),
            proof_maker: None,
            proofs: None,
            ended: EndedTokens::default(),
            #[cfg(not(target_family = "wasm"))]
            metadata_challenge: None,
        }
    }

    /// Treats replies that match one of these rules as the report of an expired token, in addition to those of RFC 6750
    /// section 3.1. These rules replace those that were set before.
    ///
    /// # Errors
    /// `misuse.setup` for a rule that a successful reply would match.
    #[cfg(feature = "ended-tokens")]
    pub fn with_expired_token_replies(
        mut self,
        rules: impl IntoIterator<Item = ExpiredTokenReply>,
    ) -> Result<Self, Error> {
        self.ended = EndedTokens::new(rules.into_iter().collect())?;
        Ok(self)
    }

    /// Distinguishes routes by their paths, once [`with_owners`](Self::with_owners) says whose tokens are available.
    #[must_use]
    pub fn with_routes(mut self, routes: Routes) -> Self {
        self.routes = routes;
        self
    }

    /// Sends the token of its owner to each route; routes of an owner that is not named here are refused.
    ///
    /// # Errors
    /// `resource.no_token_source` if neither owner is named, or both and the API has one kind of route.
    pub fn with_owners(
        mut self,
        owners: impl IntoIterator<Item = TokenOwner>,
    ) -> Result<Self, Error> {
        let owners: Vec<TokenOwner> = owners.into_iter().collect();
        if owners == [TokenOwner::Any] {
            self.owners = Owners::One;
            return Ok(self);
        }
        let has_owner = |owner| owners.contains(&owner);
        let missing = |text| Err(Error::from(Misuse::OwnerMissing).about(text));
        self.owners = match (
            has_owner(TokenOwner::Application),
            has_owner(TokenOwner::User),
        ) {
            (true, true) if self.routes.segments().is_empty() => {
                return missing("this API has one kind of route: give one source, not two");
            }
            (true, true) => Owners::Both,
            (true, false) => Owners::Application,
            (false, true) => Owners::User,
            (false, false) => return missing("give the application's source, the user's, or both"),
        };
        Ok(self)
    }

    /// Keeps to this allowance without waiting for a refusal, see [`RateLimiter::keeping`].
    #[must_use]
    pub fn keeping(mut self, allowance: Allowance) -> Self {
        self.limiter = self.limiter.keeping(allowance);
        self
    }

    /// Uses these shared limits.
    #[must_use]
    pub fn with_limiter(mut self, limiter: RateLimiter) -> Self {
        self.limiter = limiter;
        self
    }

    /// Implements [`Client`](crate::Client)'s `with_dpop` for this API, from the client's configuration.
    #[cfg(feature = "sha2")]
    pub(crate) fn with_client_config(mut self, config: &ClientConfig) -> Result<Self, Error> {
        self.proof_maker = Some(ProofMaker::from_config(config)?);
        Ok(self)
    }

    /// Sends tokens that are bound to a key with proofs of the key that `proofs` contains at that time.
    #[must_use]
    pub fn with_proofs(mut self, proofs: Proofs) -> Self {
        self.proofs = Some(proofs);
        self
    }

    /// Records in `challenge` a refusal's challenge that names the metadata of the API.
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn with_metadata_challenge(mut self, challenge: MetadataChallenge) -> Self {
        self.metadata_challenge = Some(challenge);
        self
    }

    pub(super) fn proof_maker(&self) -> Option<ProofMaker> {
        let later = || self.proofs.as_ref().and_then(Proofs::proof_maker);
        self.proof_maker.clone().or_else(later)
    }

    /// The thumbprint of the key with which proofs are made, if there is one.
    #[cfg(feature = "sha2")]
    pub fn dpop_jkt(&self) -> Option<String> {
        self.proof_maker().as_ref().map(ProofMaker::thumbprint)
    }

    /// Where tokens may be sent.
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The rate limits.
    pub const fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }

    /// Whether header fields of this name are read in responses; a host with its own header type need not pass the
    /// others.
    pub fn reads(&self, name: &[u8]) -> bool {
        self.field(name).is_some()
    }

    /// The header field of this name, if it [is read](Self::reads).
    pub fn field(&self, name: &[u8]) -> Option<HeaderName> {
        field_named(name, &rate_limit_headers::READ)
            .or_else(|| self.limiter.field(name))
            .or_else(|| self.ended.field(name))
    }

    /// The owner of the token for a request to this URL; [`TokenOwner::Any`] if there is one source.
    ///
    /// # Errors
    /// `resource.no_token_source`, `resource.route_ambiguous`.
    pub fn owner(&self, url: &Url) -> Result<TokenOwner, Error> {
        let route_owner = match self.owners {
            Owners::One => return Ok(TokenOwner::Any),
            _ => self.routes.token_for(url.as_str())?,
        };
        let missing = |source: &str| {
            let detail = format!("{} needs {source}", url.path());
            Err(Error::from(Misuse::OwnerMissing).about(&detail))
        };
        match (route_owner, self.owners) {
            (TokenOwner::Any, Owners::User) => Ok(TokenOwner::User),
            (TokenOwner::Any, _) => Ok(TokenOwner::Application),
            (TokenOwner::User, Owners::Application) => {
                missing("the user's token: log a user in, and give that source as `user`")
            }
            (TokenOwner::Application, Owners::User) => missing(
                "the application's token: give a source of client credentials as `application`",
            ),
            (owner, _) => Ok(owner),
        }
    }
}
