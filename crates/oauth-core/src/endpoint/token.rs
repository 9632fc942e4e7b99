//! `POST {token_endpoint}`: exchanges a grant for tokens. The parameters of each grant type are in `grant/`, as is the
//! `issued_token_type` of a token exchange; a new refresh token is stored before the new tokens are returned
//! (`flow/keeper/commit.rs`). Granted `authorization_details` (RFC 9396 section 7) are compared in
//! `authorization_details.rs`.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-3.2>, response section 5.1. Error responses (section 5.2)
//! are read in `endpoint/reply.rs`; their codes are in `error/server_error.rs`.

mod lifetime;
mod self_renewal;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::{Auth, Body, Context, Endpoint, EndpointRequest, ProofOfPossession, Reply};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::extra::{Extra, MAX_EXTRA};
use crate::form::Form;
use crate::grant::token_exchange::check_issued_token_type;
use crate::grant::{Grant, TokenRequest, push_scope};
use crate::json::{Json, Object};
use crate::quirk::{Quirk, Rules};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::security_profile::Requirement;
use crate::server::EndpointKind;
use crate::token::{RefreshToken, RenewalTokenKind, TokenType, Tokens, Warning, id_token};
use lifetime::{ResponseExpiries, expires_in};

pub(super) use lifetime::{AUTHORIZATION_EXPIRES_IN, REFRESH_TOKEN_TIMEOUT, seconds};

/// Exchanges one grant for tokens of the calling client.
#[derive(Debug, Clone)]
pub struct TokenEndpoint<G> {
    grant: G,
    token_request: TokenRequest,
}

impl<G: Grant> TokenEndpoint<G> {
    /// The exchange of `grant` for the requested tokens.
    pub const fn new(grant: G, token_request: TokenRequest) -> Self {
        Self {
            grant,
            token_request,
        }
    }
}

impl<G: Grant> Endpoint for TokenEndpoint<G> {
    const NAME: &'static str = "token";
    type Output = Tokens;

    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error> {
        let rules = cx.server.rules();
        if let Some(token) = self.grant.refresh_token()
            && token.binding != cx.identity.binding
        {
            return Err(ValidationFailure::StoredIssuer.into());
        }
        if let Some(token) = self.grant.refresh_token()
            && let RenewalTokenKind::AsAccessToken(lifetime) = token.renews
            && let Some(renewal) = cx.server.renewal(lifetime)
        {
            return self_renewal::request(renewal, token, cx.at.now());
        }
        // "it MUST be the same key" (RFC 9449 section 5): with another key the server may revoke the grant.
        if let Some(jkt) = self
            .grant
            .refresh_token()
            .and_then(|token| token.dpop_jkt.as_deref())
            && cx.identity.refresh_jkt().as_deref() != Some(jkt)
        {
            return Err(Misuse::KeyMismatch.into());
        }
        if let Some(token) = self.grant.refresh_token() {
            // Servers bind refresh tokens of public clients to the certificate as well (RFC 8705 section 4).
            if !IS_BROWSER_BUILD
                && !token.certificate.is_usable_with(&cx.identity.certificate)
                && !cx.identity.auth.is_confidential()
            {
                return Err(Misuse::KeyMismatch.into());
            }
            token
                .resources
                .check_requested(self.token_request.values_of("resource"))?;
        }
        let mut form = Form::new();
        form.push("grant_type", self.grant.grant_type());
        self.grant.fill(cx, &mut form)?;
        let scope = self.grant.scope(cx, &self.token_request.scope)?;
        push_scope(&mut form, &scope, rules);
        self.token_request.fill(&mut form, rules)?;
        for (name, value) in rules.token_parameters() {
            form.push(name, value);
        }
        let purpose = self.grant.purpose();
        if let Some(profile) = cx.identity.profile {
            profile.require(Requirement::NoPassword, || purpose != "password", purpose)?;
        }
        let mut request = EndpointRequest::post(EndpointKind::Token, purpose, form);
        request.proof = ProofOfPossession::Dpop;
        if self.grant.is_for_confidential_clients() {
            request.auth = Auth::ConfidentialClient { purpose };
        }
        if !self.grant.names_client() {
            request.auth = Auth::None;
        }
        if rules.has(&Quirk::JsonRequest)
            && let Body::Form(form) = request.body
        {
            request.body = Body::FormAsJson(form);
        }
        Ok(request)
    }

    fn can_repeat(&self) -> bool {
        self.grant.can_repeat()
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<Tokens, Error> {
        let is_refresh = self.grant.refresh_token().is_some();
        let result = read_tokens(&self.grant, &self.token_request, cx, reply);
        self.grant.note_outcome(cx, result.as_ref().map(drop));
        result.map_err(|error| {
            if is_refresh {
                error.during_refresh()
            } else {
                error
            }
        })
    }
}

/// Reads the response. This function is not generic, so that it is compiled once and not for every grant.
pub(crate) fn read_tokens(
    grant: &dyn Grant,
    token_request: &TokenRequest,
    cx: &Context<'_>,
    reply: Reply<'_>,
) -> Result<Tokens, Error> {
    let rules = cx.server.rules();
    let now = cx.at.now();
    // For an authorization code the details were requested in the authorization request, so the comparison is made in
    // the login.
    let requested_details = if IS_BROWSER_BUILD {
        None
    } else {
        token_request.requested_details()?
    };
    let mut object = reply.object_or(ProtocolViolation::TokenShape)?;
    if rules.has(&Quirk::CamelCaseResponse) {
        object.rename_members(snake_case)?;
    }
    if rules.has(&Quirk::PlainFormResponse) {
        object.rename_members(|name| (name == "expires").then_some("expires_in"))?;
    }
    for member in rules.token_members() {
        if !has_access_token(&object) {
            object.lift_members(member, &MEMBERS);
        }
    }
    let mut warnings = Vec::new();
    let access_token = access_token(&mut object)?;
    if !is_token68(access_token.expose()) {
        if rules.is_strict() {
            return Err(shape_error("access_token"));
        }
        warnings.push(Warning::TokenNotToken68);
    }
    let token_type = token_type(&mut object, grant, cx)?;
    let expires_in = expires_in(&mut object, rules, now, &mut warnings)?;
    let mut expiries = ResponseExpiries::read(&mut object, rules, now, &mut warnings)?;
    let requested_scope = grant.default_granted_scope(&token_request.scope);
    let scope = match granted_scope(&mut object, requested_scope, rules, &mut warnings)? {
        Some(granted) => {
            if !requested_scope.is_empty() && !rules.covers_scope(requested_scope, &granted) {
                warnings.push(Warning::ScopeWidened);
            }
            granted
        }
        // "OPTIONAL, if identical to the scope requested by the client" (RFC 6749 section 5.1)
        None => requested_scope.clone(),
    };
    let mut new_refresh_token = optional_secret(&mut object, "refresh_token")?;
    if !grant.keeps_refresh_token() {
        new_refresh_token = None;
    }
    let presented = grant.refresh_token();
    let mut renews = presented.map_or(RenewalTokenKind::AsRefreshToken, |presented| {
        presented.renews
    });
    if new_refresh_token.is_some() {
        renews = RenewalTokenKind::AsRefreshToken;
    } else if grant.is_user_grant()
        && presented.is_none_or(|presented| presented.renews != RenewalTokenKind::AsRefreshToken)
        && cx.server.renewal(expires_in).is_some()
    {
        // The access token renews itself, which is possible only while it is valid.
        renews = RenewalTokenKind::AsAccessToken(expires_in);
        new_refresh_token = Some(access_token.clone());
        expiries.expires_at = expires_in.map(|seconds| now.after(Duration::from_secs(seconds)));
    }
    let expiries = match (&new_refresh_token, presented) {
        (None, Some(previous)) => expiries.kept_for_same_refresh_token(previous, now),
        _ => expiries,
    };
    let earlier_id_token = presented.and_then(|presented| presented.id_token.as_ref());
    let id_token = match (optional_secret(&mut object, "id_token")?, earlier_id_token) {
        (Some(id_token), Some(earlier_id_token)) => Some(id_token::check_refreshed_id_token(
            cx,
            earlier_id_token,
            id_token,
            &mut warnings,
        )?),
        (id_token, earlier_id_token) => id_token.or_else(|| earlier_id_token.cloned()),
    };
    let refresh_token = new_refresh_token
        .or_else(|| presented.map(|presented| presented.secret.clone()))
        .map(|secret| {
            RefreshToken {
                secret,
                // A refresh for a narrower scope does not narrow the grant (RFC 6749 section 6).
                scope: presented.map_or_else(|| scope.clone(), |presented| presented.scope.clone()),
                requested: presented.map_or_else(
                    || requested_scope.clone(),
                    |presented| presented.requested.clone(),
                ),
                resources: presented
                    .map(|presented| presented.resources.clone())
                    .unwrap_or_default(),
                id_token: id_token.clone(),
                step_up_login: presented.and_then(|presented| presented.step_up_login.clone()),
                dpop_jkt: cx.identity.refresh_jkt().map(Into::into),
                certificate: cx.identity.certificate.clone(),
                expires_at: expiries.expires_at,
                renews,
                authorization_expires_at: expiries.authorization_expires_at,
                binding: Arc::clone(&cx.identity.binding),
            }
        });
    if grant.returns_issued_token_type() {
        check_issued_token_type(&object, rules, &mut warnings)?;
    }
    let (extra, is_complete) = object.to_map_within(MAX_EXTRA);
    if !is_complete {
        warnings.push(Warning::ExtraTooLarge);
    }
    let mut tokens = Tokens {
        access_token,
        token_type,
        received_at: now,
        expires_in,
        authorization_expires_at: expiries.authorization_expires_at,
        scope,
        refresh_token,
        id_token,
        extra: Extra(extra),
        warnings,
        step_up_login: presented.and_then(|presented| presented.step_up_login.clone()),
        certificate: cx.identity.certificate.clone(),
        binding: Arc::clone(&cx.identity.binding),
    };
    tokens.compare_details(requested_details.as_ref())?;
    Ok(tokens)
}

fn shape_error(member: &str) -> Error {
    Error::from(ProtocolViolation::TokenShape).about(member)
}

/// The members that RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3 and
/// draft-ietf-oauth-refresh-token-expiration-03 section 6.1 define.
const MEMBERS: [&str; 8] = [
    "access_token",
    "token_type",
    "expires_in",
    "refresh_token",
    "id_token",
    "scope",
    REFRESH_TOKEN_TIMEOUT,
    AUTHORIZATION_EXPIRES_IN,
];

fn has_access_token(object: &Object<'_>) -> bool {
    let token = object.get("access_token").and_then(Json::as_str);
    token.is_some_and(|token| !token.is_empty())
}

fn access_token(object: &mut Object<'_>) -> Result<Secret<String>, Error> {
    optional_secret(object, "access_token")?.ok_or_else(|| {
        let similar_member = object.iter().find_map(|(name, value)| match value {
            Json::Object(inside) if has_access_token(inside) => Some(name),
            _ => None,
        });
        let missing = Error::from(ProtocolViolation::TokenMissing);
        match similar_member {
            Some(name) => missing.about(&format!("one stands inside `{name}`")),
            None => missing,
        }
    })
}

/// A string of visible ASCII and space (`VSCHAR`, RFC 6749 appendix A); empty counts as absent.
fn optional_secret(object: &mut Object<'_>, member: &str) -> Result<Option<Secret<String>>, Error> {
    match object.take(member) {
        None => Ok(None),
        Some(Json::String(text)) if text.is_empty() => Ok(None),
        Some(Json::String(text)) if is_vschar(&text) => Ok(Some(Secret::new(text.into_owned()))),
        Some(_) => Err(shape_error(member)),
    }
}

/// No early exit, so that the compiler can vectorize the loop.
fn is_vschar(text: &str) -> bool {
    text.bytes()
        .fold(true, |valid, b| valid & (0x20..=0x7e).contains(&b))
}

/// `b64token` (RFC 6750 section 2.1). No early exit either, because a JWT is long.
fn is_token68(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    // `-./0123456789` are consecutive.
    let is_char = |b: u8| {
        (b'-'..=b'9').contains(&b)
            | b.is_ascii_alphabetic()
            | (b == b'_')
            | (b == b'~')
            | (b == b'+')
    };
    !body.is_empty() && body.bytes().fold(true, |valid, b| valid & is_char(b))
}

/// A client with a DPoP key accepts only a token bound to it: "the client MUST discard the response" if that protection
/// is important to it (RFC 9449 section 5). It is important, except at servers that are known to bind no tokens
/// ([`Quirk::UnboundTokens`]).
fn token_type(
    object: &mut Object<'_>,
    grant: &dyn Grant,
    cx: &Context<'_>,
) -> Result<TokenType, Error> {
    let rules = cx.server.rules();
    let requires_binding = cx.identity.dpop.is_some();
    let profile = cx.identity.profile;
    let must_be_bound = !rules.has(&Quirk::UnboundTokens)
        || profile.is_some_and(|profile| profile.requires(Requirement::SenderConstrainedTokens));
    let type_name = match object.take("token_type") {
        None => None,
        Some(Json::String(text)) if text.is_empty() => None,
        Some(Json::String(text)) => Some(text),
        Some(_) => return Err(shape_error("token_type")),
    };
    let token_type = match type_name {
        Some(text) if rules.is_bearer_alias(&text) => TokenType::Bearer,
        Some(text) => TokenType::from_name(&text),
        None if rules.has(&Quirk::AssumeBearer) => TokenType::Bearer,
        None => return Err(ProtocolViolation::TokenTypeMissing.into()),
    };
    match &token_type {
        TokenType::Dpop if requires_binding => Ok(token_type),
        TokenType::Bearer if requires_binding && must_be_bound => {
            Err(ValidationFailure::TokenUnbound.into())
        }
        _ if grant.accepts(&token_type) => Ok(token_type),
        _ => Err(Error::from(ProtocolViolation::TokenTypeUnknown).about(token_type.as_str())),
    }
}

fn granted_scope(
    object: &mut Object<'_>,
    requested_scope: &Scope,
    rules: &Rules,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Scope>, Error> {
    let delimiter = rules.reply_scope_delimiter();
    match object.take("scope") {
        None => Ok(None),
        // Fast path: nearly every server returns exactly the requested scope.
        Some(Json::String(text)) if text == requested_scope.as_str() && delimiter == ' ' => {
            Ok(Some(requested_scope.clone()))
        }
        Some(Json::String(text)) if text.is_empty() && rules.has(&Quirk::EmptyScopeIsAbsent) => {
            Ok(None)
        }
        Some(Json::String(text)) if rules.is_strict() => {
            if text.len() > MAX_SCOPE {
                return Err(shape_error("scope"));
            }
            let is_strict = delimiter != ' ' || Scope::is_strict(&text);
            let scope =
                Scope::parse_delimited(&text, delimiter).map_err(|_| shape_error("scope"))?;
            if is_strict {
                Ok(Some(scope))
            } else {
                Err(shape_error("scope"))
            }
        }
        Some(Json::String(text)) if text.len() > MAX_SCOPE => {
            Ok(Some(valid_names(text.split(delimiter), warnings)))
        }
        Some(Json::String(text)) => Ok(Some(
            Scope::parse_delimited(&text, delimiter)
                .unwrap_or_else(|_| valid_names(text.split(delimiter), warnings)),
        )),
        // Twitch sends a list.
        Some(value) if !rules.is_strict() => {
            let names = value.as_texts().ok_or_else(|| shape_error("scope"))?;
            // An entry may itself contain several names.
            let names = names.into_iter().flat_map(|entry| entry.split(delimiter));
            Ok(Some(valid_names(names, warnings)))
        }
        Some(_) => Err(shape_error("scope")),
    }
}

/// The largest granted scope that is kept completely, in bytes: it is stored with the tokens.
const MAX_SCOPE: usize = 64 << 10;

/// The valid names, of no more than [`MAX_SCOPE`] bytes in total.
fn valid_names<'a>(names: impl Iterator<Item = &'a str>, warnings: &mut Vec<Warning>) -> Scope {
    let (mut budget, mut is_complete_scope) = (MAX_SCOPE, true);
    let valid = names.filter(|name| {
        let remaining = budget.checked_sub(name.len() + 1);
        match remaining.filter(|_| Scope::is_name(name)) {
            Some(remaining) => budget = remaining,
            None => is_complete_scope = false,
        }
        remaining.is_some() && Scope::is_name(name)
    });
    let scope = Scope::collect(valid);
    if !is_complete_scope {
        warnings.push(Warning::MalformedScope);
    }
    scope
}

/// The standard member for a name, ignoring case and underscores.
fn snake_case(name: &str) -> Option<&'static str> {
    let normalized = |name: &str| name.replace('_', "").to_ascii_lowercase();
    MEMBERS
        .into_iter()
        .find(|member| normalized(member) == normalized(name))
}
