//! The scopes, authorization details and resources of a grant.
//!
//! RFC 9396 section 2, RFC 8707 section 2

use serde_json::{Value, json};

use super::Twin;
use super::authority::Authority;

type Refusal = (&'static str, &'static str);

impl Twin {
    /// Sets the scopes that the server supports; a request without a scope is granted the first.
    pub fn set_scopes(&mut self, scopes: &'static [&'static str]) {
        let rules = &mut self.authority.rules;
        rules.scopes = scopes;
        rules.default_scope = scopes.first().copied();
        rules.metadata.1["scopes_supported"] = json!(scopes);
    }

    /// Restricts tokens to the requested resources from now on (RFC 8707); introspection names them as `aud`.
    pub fn know_resources(&mut self) {
        self.authority.restricts_to_resources = true;
    }
}

/// The requested `authorization_details`; null if there are none.
pub(super) fn read(authority: &Authority, requested: Option<&str>) -> Result<Value, Refusal> {
    let wrong = |description| ("invalid_authorization_details", description);
    let (Some(text), Some(fapi)) = (requested, &authority.rules.fapi) else {
        return Ok(Value::Null);
    };
    let requested: Value =
        serde_json::from_str(text).map_err(|_| wrong("authorization_details must be JSON"))?;
    let details = requested.as_array().filter(|details| !details.is_empty());
    let details = details.ok_or(wrong("authorization_details must be an array of objects"))?;
    let is_known_type = |detail: &Value| {
        let kind = detail["type"].as_str();
        kind.is_some_and(|kind| fapi.details.contains(&kind))
    };
    if details.iter().all(is_known_type) {
        Ok(requested)
    } else {
        Err(wrong("unknown type of authorization details"))
    }
}

/// The requested resources, one for each `resource` parameter; none at a server that does not support them.
pub(super) fn resources(
    authority: &Authority,
    pairs: Option<&[(String, String)]>,
) -> Result<Vec<String>, Refusal> {
    if authority.restricts_to_resources {
        targets(pairs.unwrap_or_default())
    } else {
        Ok(Vec::new())
    }
}

/// The values of all `resource` parameters.
pub(super) fn targets(pairs: &[(String, String)]) -> Result<Vec<String>, Refusal> {
    let resources = pairs.iter();
    let resources = resources.filter(|(name, _)| name == "resource");
    let resources: Vec<String> = resources.map(|(_, value)| value.clone()).collect();
    // "an absolute URI, as specified by Section 4.3 of [RFC3986]", which has no fragment.
    let is_target = |one: &String| {
        let scheme = one.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_scheme = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(is_scheme)
            && !one.contains('#')
    };
    if resources.iter().all(is_target) {
        Ok(resources)
    } else {
        Err((
            "invalid_target",
            "a resource must be an absolute URI without a fragment",
        ))
    }
}
