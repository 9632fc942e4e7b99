//! The form in which tokens are stored.

use super::authorized_resources::AuthorizedResources;
use super::step_up_requirement::StepUpLogin;
use crate::browser_build::IS_BROWSER_BUILD;
use crate::certificate::KnownCertificate;
use crate::error::{Error, Misuse};
use crate::json::{self, Map, Value};
use crate::json_form;
use crate::moment::UnixTime;
use crate::scope::Scope;

/// Tokens as they are stored.
pub(crate) struct Stored {
    pub(super) version: u32,
    pub(super) issuer: String,
    pub(super) client_id: String,
    /// Records of earlier versions have no such member.
    pub(super) token_type: Option<String>,
    pub(super) access_token: String,
    pub(super) received_at: UnixTime,
    pub(super) expires_in: Option<u64>,
    /// Missing in records of earlier versions, and if the end is unknown.
    pub(super) authorization_until: Option<UnixTime>,
    pub(super) scope: Scope,
    pub(super) refresh_token: Option<String>,
    pub(super) refresh_scope: Option<Scope>,
    /// The scope that the login requested, if it is wider than the granted one. Missing in records of earlier versions.
    pub(super) requested_scope: Option<Scope>,
    /// The resources of the authorization. Missing in records of earlier versions.
    pub(super) resources: AuthorizedResources,
    pub(super) id_token: Option<String>,
    pub(super) answered: Option<StepUpLogin>,
    pub(super) refresh_jkt: Option<String>,
    /// Records of earlier versions have no such member.
    pub(super) refresh_token_use_by: Option<UnixTime>,
    /// The certificate that the access token is bound to, if it is known.
    pub(super) x5t_s256: KnownCertificate,
    pub(super) extra: Map<String, Value>,
}

json_form! { Stored {
    version, issuer, client_id, token_type: skip, access_token, received_at, expires_in,
    authorization_until: skip, scope, refresh_token, refresh_scope, requested_scope: skip, resources: skip,
    id_token,
    answered: skip, refresh_jkt: skip, refresh_token_use_by: skip, x5t_s256: native,
    extra: default,
} }

/// The error for a text that is not a stored token. It contains no part of the text.
pub(super) fn unreadable_error(text: &str) -> Error {
    let error = Error::from(Misuse::StoredForm);
    // A web page only reads its own records, so it needs no details.
    if IS_BROWSER_BUILD {
        return error;
    }
    let Some(members) = json::from_text::<Map<String, Value>>(text) else {
        return error.about("not a JSON object");
    };
    let mut required_members = "version issuer client_id access_token received_at scope".split(' ');
    match required_members.find(|name| !members.contains_key(*name)) {
        Some(missing) => error.about(&format!("{missing} is missing")),
        None => error,
    }
}
