//! Sender-constrained tokens: bound to the key of DPoP proofs, or to a client certificate.
//!
//! The twin verifies proofs by itself, and not with the verifier of oauth-core: the client's proofs are judged by code
//! that shares no rule with them.
//!
//! RFC 9449 sections 4.3, 5, 7, 8 and 9; RFC 8705 section 3

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, HeaderName, WWW_AUTHENTICATE};
use oauth_core::jose::PublicJwk;
use oauth_core::moment::UnixTime;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::authority::{Authority, Grant};
use super::fapi::{ALGS, CredentialKind};
use super::jwt::Jwt;
use super::wire::{self, ReceivedRequest, Reply};
use super::{Twin, generic, step_up};

const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// By how many seconds the `iat` of a proof may differ from the server's time, in either direction.
const MAX_PROOF_SKEW_SECONDS: u64 = 60;

/// The key or certificate that a token is bound to.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Binding {
    /// The thumbprint of a key (`jkt`).
    Key(String),
    /// The thumbprint of a certificate (`x5t#S256`).
    Certificate(String),
}

/// The sender constraint of a server's tokens.
#[derive(Clone, Copy)]
pub(super) struct Sender {
    pub(super) by: CredentialKind,
    pub(super) nonces: DpopNonces,
}

impl Sender {
    /// Binds tokens to the key of a DPoP proof.
    pub(super) fn by_key() -> Self {
        Self {
            by: CredentialKind::Key,
            nonces: DpopNonces::default(),
        }
    }
}

/// The nonces that a server requires in DPoP proofs (RFC 9449 sections 8 and 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DpopNonces {
    /// No nonce is required.
    Unasked,
    /// A proof needs the newest nonce of the server, which can be used again.
    #[default]
    Kept,
    /// A proof needs a nonce that was not used before: each reply has the next.
    Once,
}

/// The server that issues the nonces.
#[derive(Clone, Copy)]
pub(super) enum Side {
    AuthorizationServer,
    ResourceServer,
}

/// The refusal of a proof: the error code and the description.
pub(super) type Problem = (&'static str, &'static str);

const INVALID: &str = "invalid_dpop_proof";
const USE_NONCE: &str = "use_dpop_nonce";

/// The key of the proof that came with a request; `None` if there is no proof.
pub(super) fn proof(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    side: Side,
    token: Option<&str>,
) -> Result<Option<String>, Problem> {
    let mut fields = request.headers.get_all(DPOP).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    let wrong = |description| (INVALID, description);
    if fields.next().is_some() {
        return Err(wrong("there are two proofs"));
    }
    let text = field
        .to_str()
        .map_err(|_| wrong("the proof must be text"))?;
    let jwt = Jwt::read(text).map_err(wrong)?;
    if jwt.header["typ"] != "dpop+jwt" {
        return Err(wrong("typ of a proof must be dpop+jwt"));
    }
    let key = PublicJwk::parse(&jwt.header["jwk"].to_string());
    let key = key.map_err(|_| wrong("jwk of a proof must be a public key"))?;
    jwt.check_signature(&key, ALGS).map_err(wrong)?;
    if jwt.text("htm") != Some(request.method.as_str()) {
        return Err(wrong("htm must be the request's method"));
    }
    let fapi = authority.rules.fapi.as_ref();
    let aliases = fapi.map(|fapi| fapi.mutual_base.as_str());
    let allowed_bases = [Some(authority.base.as_str()), aliases];
    let url = jwt
        .text("htu")
        .and_then(|url| url.strip_suffix(request.path.as_str()));
    if url.is_none() || !allowed_bases.contains(&url) {
        return Err(wrong("htu must be the request's URL"));
    }
    let hash = token.map(|token| URL_SAFE_NO_PAD.encode(Sha256::digest(token)));
    if jwt.text("ath") != hash.as_deref() {
        return Err(wrong("ath must be the hash of the access token"));
    }
    let nonces = authority.rules.sender.map(|sender| sender.nonces);
    if nonces.is_some_and(|nonces| nonces != DpopNonces::Unasked) {
        let expected_nonce = &authority.nonces[side as usize];
        if expected_nonce.is_empty() || jwt.text("nonce") != Some(expected_nonce) {
            return Err((USE_NONCE, "the proof must contain the nonce of this server"));
        }
    }
    jwt.check_issued_recently(at, MAX_PROOF_SKEW_SECONDS)
        .map_err(wrong)?;
    let jti = jwt.text("jti").ok_or(wrong("a proof must have a jti"))?;
    if !authority.seen.insert(format!("proof {jti}")) {
        return Err(wrong("the proof was used before"));
    }
    if nonces == Some(DpopNonces::Once) {
        authority.nonces[side as usize].clear();
    }
    Ok(Some(key.thumbprint()))
}

/// Adds the nonce for the next proof to a reply, if the server requires nonces.
pub(super) fn add_nonce(
    authority: &mut Authority,
    at: UnixTime,
    side: Side,
    reply: Reply,
) -> Reply {
    let nonces = authority.rules.sender.map(|sender| sender.nonces);
    if nonces.is_none_or(|nonces| nonces == DpopNonces::Unasked) {
        return reply;
    }
    if authority.nonces[side as usize].is_empty() {
        authority.nonces[side as usize] = authority.new_value(at, "nonce");
    }
    wire::with(reply, DPOP_NONCE, &authority.nonces[side as usize])
}

/// The binding of tokens issued for this request; a refusal without proof or certificate, if the server issues only
/// bound tokens.
pub(super) fn binding(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
) -> Result<Option<Binding>, Problem> {
    let Some(sender) = authority.rules.sender else {
        return Ok(None);
    };
    match sender.by {
        CredentialKind::Key => {
            match proof(authority, at, request, Side::AuthorizationServer, None)? {
                Some(jkt) => Ok(Some(Binding::Key(jkt))),
                None => Err((
                    INVALID,
                    "this server binds tokens to keys: a proof is missing",
                )),
            }
        }
        CredentialKind::Certificate => match &request.certificate {
            Some(thumbprint) => Ok(Some(Binding::Certificate(thumbprint.clone()))),
            None => Err((
                "invalid_request",
                "this server binds tokens to certificates: a certificate is missing",
            )),
        },
    }
}

/// Uses up the refresh token of a request that lacks a nonce, if the server does so.
pub(super) fn spend(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    error: &str,
) {
    if !authority.rules.spends_refresh_token_before_nonce || error != USE_NONCE {
        return;
    }
    let provided = request.form("refresh_token").unwrap_or_default();
    if let Some(refresh) = authority.refresh.get_mut(provided) {
        refresh.spent.get_or_insert(at);
    }
}

/// The grant of the token in the header of an API request, if the request proves what the token is bound to. Otherwise,
/// or if the scope is insufficient, the challenge.
pub(super) fn authorize_api_request(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    scope: &str,
) -> Result<(Grant, String), Box<Reply>> {
    let authorization = request
        .header(AUTHORIZATION)
        .and_then(|field| field.split_once(' '));
    let count = request.headers.get_all(AUTHORIZATION).iter().count();
    let authorization = authorization.filter(|_| count == 1);
    let by_key = authority.rules.binds_to_keys();
    let expected_scheme = if by_key { "DPoP" } else { "Bearer" };
    let token = authorization.and_then(|(scheme, token)| {
        scheme
            .eq_ignore_ascii_case(expected_scheme)
            .then_some(token)
    });
    let algs: Vec<_> = ALGS.iter().map(|alg| alg.as_str()).collect();
    let mut challenge = if by_key {
        format!("DPoP realm=\"twin\", algs=\"{}\"", algs.join(" "))
    } else {
        "Bearer realm=\"twin\"".to_owned()
    };
    if let Some(metadata_url) = generic::resource_metadata_url(authority, request) {
        challenge += &format!(", resource_metadata=\"{metadata_url}\"");
    }
    // "If the request lacks any authentication information [...] the resource server SHOULD NOT
    // include an error code" (RFC 6750 section 3.1)
    let Some(token) = token else {
        let reply = wire::plain(401, "text/plain", "a token is required");
        return Err(Box::new(wire::with(reply, WWW_AUTHENTICATE, &challenge)));
    };
    let mut refused = |status, error: &str, more: &str| {
        challenge += &format!(", error=\"{error}\"{more}");
        let reply = wire::json(status, &json!({ "error": error }));
        Err(Box::new(wire::with(reply, WWW_AUTHENTICATE, &challenge)))
    };
    let proven = if by_key {
        match proof(authority, at, request, Side::ResourceServer, Some(token)) {
            Ok(jkt) => jkt.map(Binding::Key),
            Err((error, _)) => return refused(401, error, ""),
        }
    } else {
        request.certificate.clone().map(Binding::Certificate)
    };
    let required_binding = authority.bound(token);
    let is_misbound = required_binding.is_some() && required_binding != proven;
    authority.counters.api_misbound += u64::from(is_misbound);
    let is_refused = authority.rules.refuses_access_tokens;
    let Some(grant) = authority.access(at, token).filter(|_| !is_refused).cloned() else {
        return refused(401, "invalid_token", "");
    };
    if is_misbound {
        return refused(401, "invalid_token", "");
    }
    if let Some((error, more)) = step_up::missing(authority, at, request, &grant) {
        return refused(401, error, &more);
    }
    if !grant.scope.split(' ').any(|granted| granted == scope) {
        return refused(403, "insufficient_scope", &format!(", scope=\"{scope}\""));
    }
    Ok((grant, token.to_owned()))
}

/// Announces in the metadata of the API what its tokens are bound to (RFC 9728 section 2).
pub(super) fn announce_binding(authority: &Authority, document: &mut Value) {
    match authority.rules.sender.map(|sender| sender.by) {
        Some(CredentialKind::Key) => {
            let algs: Vec<_> = ALGS.iter().map(|alg| alg.as_str()).collect();
            document["dpop_bound_access_tokens_required"] = true.into();
            document["dpop_signing_alg_values_supported"] = json!(algs);
        }
        Some(CredentialKind::Certificate) => {
            document["tls_client_certificate_bound_access_tokens"] = true.into();
        }
        None => {}
    }
}

impl Twin {
    /// Binds tokens to the key of a DPoP proof from now on, as the FAPI twin always does; server and API announce it in
    /// their metadata. See [`set_dpop_nonces`](Self::set_dpop_nonces).
    pub fn require_dpop(&mut self) {
        let rules = &mut self.authority.rules;
        rules.sender = Some(Sender::by_key());
        let algs: Vec<_> = ALGS.iter().map(|alg| alg.as_str()).collect();
        rules.metadata.1["dpop_signing_alg_values_supported"] = json!(algs);
    }

    /// Binds tokens to the certificate of the client from now on (RFC 8705 section 3).
    pub(crate) fn require_certificates(&mut self) {
        let rules = &mut self.authority.rules;
        rules.sender = Some(Sender {
            by: CredentialKind::Certificate,
            nonces: DpopNonces::Unasked,
        });
        rules.metadata.1["tls_client_certificate_bound_access_tokens"] = true.into();
    }

    /// Sets which nonces a twin that binds tokens to keys requires in DPoP proofs, at its token endpoint and at its
    /// API.
    pub fn set_dpop_nonces(&mut self, nonces: DpopNonces) {
        if let Some(sender) = &mut self.authority.rules.sender {
            sender.nonces = nonces;
        }
    }

    /// Uses up a refresh token from now on even if its request is refused for lack of a nonce: the request that follows
    /// with the nonce then has a token that was used.
    pub fn spend_before_nonces(&mut self) {
        self.authority.rules.spends_refresh_token_before_nonce = true;
    }

    /// Invalidates all DPoP nonces that were issued.
    pub fn rotate_dpop_nonces(&mut self) {
        self.authority.nonces = Default::default();
    }
}
