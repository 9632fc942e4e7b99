//! The configuration that distinguishes one authorization server from another.

use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use serde_json::Value;

use super::authority::Authority;
use super::fapi::{CredentialKind, Fapi};
use super::personality::Deviation;
use super::sender_constrained::Sender;
use super::wire::{ReceivedRequest, Reply};

/// The configuration of one system. The engine is the same for all.
pub(super) struct Rules {
    pub(super) issuer: String,
    pub(super) paths: Paths,
    /// The paths of the metadata document, and its content; no paths for systems without one.
    pub(super) metadata: (Vec<String>, Value),
    pub(super) client_id: &'static str,
    pub(super) client_secret: &'static str,
    /// Empty for systems without public clients.
    pub(super) public_client_id: &'static str,
    /// Grant types the confidential client may use, and the public one.
    pub(super) grants: (&'static [&'static str], &'static [&'static str]),
    pub(super) redirect_uris: Vec<String>,
    /// RFC 8252 section 7.3: any port on a loopback address.
    pub(super) any_loopback_port: bool,
    /// Empty for systems without scopes.
    pub(super) scopes: &'static [&'static str],
    /// `None` for systems that require a scope.
    pub(super) default_scope: Option<&'static str>,
    /// The client authentication methods for a purpose.
    pub(super) accepts: fn(&str) -> Accepts,
    pub(super) public_needs_pkce: bool,
    /// Whether the authorization request may call the challenge `code_verifier` (UserVoice).
    pub(super) challenge_alias: bool,
    /// Whether callbacks contain `iss` (RFC 9207).
    pub(super) sends_iss: bool,
    /// The algorithm of ID tokens and signed responses.
    pub(super) alg: Alg,
    /// The sender constraint of tokens, if there is one.
    pub(super) sender: Option<Sender>,
    /// The rules that FAPI 2.0 adds.
    pub(super) fapi: Option<Fapi>,
    pub(super) reply: Shape,
    /// The other deviations from the standards.
    pub(super) deviations: &'static [Deviation],
    pub(super) access_lifetime: Option<u64>,
    pub(super) refresh_lifetime: Option<u64>,
    /// The lifetime of a user's approval, in seconds.
    pub(super) authorization_lifetime: Option<u64>,
    /// Whether a refresh token is used up even if its request is refused for lack of a nonce.
    pub(super) spends_refresh_token_before_nonce: bool,
    /// Whether the API refuses every access token.
    pub(super) refuses_access_tokens: bool,
    pub(super) rotation: Rotation,
    /// API calls a minute, per token.
    pub(super) rate_limit: Option<u32>,
    /// The length of its windows in seconds.
    pub(super) rate_window: u64,
    pub(super) api: fn(&mut Authority, UnixTime, &ReceivedRequest) -> Reply,
}

/// A server's treatment of a refresh token after its use (RFC 9700 section 4.14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Rotation {
    /// It is replaced; if it is used again, its family is revoked.
    #[default]
    Strict,
    /// It is replaced, and accepted for this many seconds more; a later use revokes its family.
    Grace(u64),
    /// It is replaced, and stays valid.
    Lenient,
    /// It is not replaced.
    Never,
}

impl Rules {
    /// Whether tokens are bound to the keys of DPoP proofs.
    pub(super) fn binds_to_keys(&self) -> bool {
        self.sender
            .is_some_and(|sender| sender.by == CredentialKind::Key)
    }

    /// Whether ID tokens are issued with codes (a hybrid flow).
    pub(super) fn is_hybrid(&self) -> bool {
        let response_types = self.metadata.1["response_types_supported"].as_array();
        response_types.is_some_and(|named| {
            named
                .iter()
                .any(|response_type| response_type == "code id_token")
        })
    }
}

/// Paths of the endpoints; empty where the system has none.
#[derive(Default)]
pub(super) struct Paths {
    pub(super) authorize: String,
    pub(super) token: String,
    pub(super) revoke: String,
    pub(super) introspect: String,
    pub(super) device_authorization: String,
    pub(super) device_page: String,
    pub(super) backchannel: String,
    pub(super) backchannel_page: String,
    pub(super) keys: String,
    pub(super) userinfo: String,
    pub(super) logout: String,
    pub(super) pushed: String,
    pub(super) registration: String,
}

impl Paths {
    /// Whether this path is the configuration endpoint of a registered client.
    pub(super) fn is_client_configuration(&self, path: &str) -> bool {
        let id = path.strip_prefix(&self.registration);
        let id = id.and_then(|rest| rest.strip_prefix('/'));
        !self.registration.is_empty() && id.is_some_and(|id| !id.is_empty())
    }
}

pub(super) struct Accepts {
    pub(super) basic: Basic,
    /// Whether `client_id` and `client_secret` in the form are accepted.
    pub(super) body: bool,
    /// Whether the `client_id` of a public client is accepted alone.
    pub(super) public: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Basic {
    Refused,
    /// Form-encoded, as RFC 6749 section 2.3.1 requires.
    Encoded,
    /// Without form encoding.
    Raw,
}

/// The members of a token response, and the form of an access token.
#[derive(Default)]
pub(super) struct Shape {
    pub(super) token_type: Option<&'static str>,
    pub(super) expires_in: bool,
    pub(super) scope: bool,
    pub(super) refresh_token: bool,
    /// Whether the refresh token's idle timeout is included.
    pub(super) refresh_token_timeout: bool,
    /// Whether an ID token is issued for the scope `openid`.
    pub(super) id_token: bool,
    pub(super) jwt: bool,
    /// The number of hexadecimal digits of an access token, at most 64.
    pub(super) hex_digits: Option<usize>,
}
