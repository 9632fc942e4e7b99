//! Step-up: an API that requires a stronger or more recent login than that of the token, and the logins that satisfy
//! it.
//!
//! RFC 9470 sections 3, 4 and 6, OpenID Connect Core section 5.5

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oauth_core::moment::UnixTime;
use serde_json::Value;

use super::authority::{Authority, Grant, plus};
use super::wire::ReceivedRequest;
use super::{Twin, generic};

/// The login that the API requires; by default any.
#[derive(Default)]
pub(super) struct Requirement {
    acr_values: Vec<String>,
    max_age: Option<u64>,
    /// The `claims` that an authorization request must have had; null for none.
    claims: Value,
}

/// A login: the `acr` it was made with, and the `claims` of its authorization request.
#[derive(Clone, Default)]
pub(super) struct Login {
    pub(super) acr: Option<String>,
    claims: Value,
}

impl Login {
    /// The login by the first of the requested `acr_values`, if the API requires any, unless a test has set the user's
    /// `acr`.
    pub(super) fn for_request(authority: &Authority, request: &ReceivedRequest) -> Self {
        let knows_acr = !authority.step_up.acr_values.is_empty();
        let requested = request.query("acr_values").filter(|_| knows_acr);
        let first = || requested?.split(' ').next();
        let default_acr = authority.person.claim("acr").and_then(Value::as_str);
        let claims = request.query("claims").unwrap_or_default();
        Self {
            acr: default_acr.or_else(first).map(str::to_owned),
            claims: serde_json::from_str(claims).unwrap_or_default(),
        }
    }
}

/// The error and the parameters of the challenge for a token whose login does not suffice.
pub(super) fn missing(
    authority: &Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    grant: &Grant,
) -> Option<(&'static str, String)> {
    if !generic::is_api(request) {
        return None;
    }
    let Requirement {
        acr_values,
        max_age,
        claims,
    } = &authority.step_up;
    let acr = grant.login.acr.as_ref();
    let is_weak = !acr_values.is_empty() && acr.is_none_or(|acr| !acr_values.contains(acr));
    let is_authentication_too_old = max_age.is_some_and(|age| {
        let since = grant.auth_time;
        since.is_none_or(|since| at > plus(since, age))
    });
    if is_weak || is_authentication_too_old {
        let mut more = String::new();
        if !acr_values.is_empty() {
            more += &format!(", acr_values=\"{}\"", acr_values.join(" "));
        }
        if let Some(age) = max_age {
            more += &format!(", max_age=\"{age}\"");
        }
        return Some(("insufficient_user_authentication", more));
    }
    if !claims.is_null() && grant.login.claims != *claims {
        let encoded = STANDARD.encode(claims.to_string());
        return Some(("insufficient_claims", format!(", claims=\"{encoded}\"")));
    }
    None
}

impl Twin {
    /// Has the API require from now on that the user authenticated by one of these `acr_values`, and within `max_age`
    /// seconds (RFC 9470); any other token is answered with `insufficient_user_authentication`. Without both, it requires
    /// nothing.
    ///
    /// From then on a login has the first of the `acr_values` of its authorization request as its `acr`, in ID tokens
    /// and introspection; [`set_claim`](Self::set_claim) of `acr` sets the same one for all logins, regardless of what
    /// is requested.
    pub fn require_step_up(&mut self, acr_values: &[&str], max_age: Option<u64>) {
        let step_up = &mut self.authority.step_up;
        step_up.acr_values = acr_values.iter().map(|&acr| acr.to_owned()).collect();
        step_up.max_age = max_age;
    }

    /// Has the API require from now on that the authorization request had exactly these `claims`, as Microsoft Entra's
    /// do; any other token is answered with `insufficient_claims`, with the claims in base64. `null` for none.
    pub fn require_claims(&mut self, claims: Value) {
        self.authority.step_up.claims = claims;
    }
}
