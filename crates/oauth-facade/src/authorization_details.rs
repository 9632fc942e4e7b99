//! The permissions of a grant (RFC 9396), in JSON.

use oauth_core::Tokens;
use oauth_core::authorization_details::AuthorizationDetails;
use oauth_core::error::Error;
use oauth_core::json::Value;

/// The `authorization_details` that were granted (section 7), as a list of objects; `None` if the server lists none.
///
/// # Errors
/// `token_response.malformed` if they are malformed.
pub fn authorization_details(tokens: &Tokens) -> Result<Option<Value>, Error> {
    Ok(tokens.authorization_details()?.as_ref().map(list))
}

/// The `authorization_details` in `requested`, a JSON array, that were not granted: there is none of this type, or it
/// lacks something that section 2.2 defines. The members that a type itself defines are for the caller to compare.
///
/// # Errors
/// `authorization_details.malformed` for a string that is not such an array, `token_response.malformed` for what was granted.
pub fn missing_authorization_details(tokens: &Tokens, requested: &str) -> Result<Value, Error> {
    let requested = AuthorizationDetails::parse(requested)?;
    let granted = tokens.authorization_details()?.unwrap_or_default();
    let missing = requested.missing_from(&granted).cloned();
    Ok(list(&missing.collect()))
}

fn list(details: &AuthorizationDetails) -> Value {
    let details = details
        .iter()
        .map(|detail| Value::Object(detail.as_map().clone()));
    Value::Array(details.collect())
}
