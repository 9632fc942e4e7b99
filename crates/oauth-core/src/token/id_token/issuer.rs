//! Checks the issuer of a token (`iss`), including servers with one issuer per tenant.

use crate::error::{Error, ValidationFailure};
use crate::jose::Claims;
use crate::server::Server;

/// Checks that a token was issued by this server, or, if it has an issuer for each tenant, by the tenant that the token
/// names.
///
/// # Errors
/// `jwt.issuer`, `jwt.missing_claim`, `jwt.malformed_claim`.
pub(crate) fn issuer(server: &Server, claims: &Claims) -> Result<(), Error> {
    let iss = Claims::require_claim("iss", claims.text("iss")?)?;
    let (rules, issuer) = (server.rules(), server.issuer());
    let is_excluded = |tenant| rules.excludes_tenant(tenant);
    let is_tenant = is_tenant_issuer(rules.tenant_issuer(), iss, claims)?
        && !claims.text("tid")?.is_some_and(is_excluded);
    if issuer.as_str() == iss || is_tenant {
        return Ok(());
    }
    let expected = Some(issuer.as_str());
    Err(Claims::mismatch(
        ValidationFailure::JwtIssuer,
        Some(iss),
        expected,
    ))
}

/// Whether an issuer is that of the tenant that the token names, for servers whose metadata has a template
/// (`{tenantid}`) instead.
fn is_tenant_issuer(template: Option<&str>, iss: &str, claims: &Claims) -> Result<bool, Error> {
    let (Some(template), Some(tenant)) = (template, claims.text("tid")?) else {
        return Ok(false);
    };
    let is_plain = tenant
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    Ok(is_plain && !tenant.is_empty() && template.replace("{tenantid}", tenant) == iss)
}

/// Whether a key that names its issuer may have signed a token with these claims. A server with an issuer for each
/// tenant has keys for all of them (`{tenantid}`) and keys for one alone.
///
/// "Validate the signing key issuer" of
/// <https://learn.microsoft.com/en-us/entra/identity-platform/claims-validation>
pub(crate) fn is_issuer_of_key(key_issuer: &str, claims: &Claims) -> bool {
    let Ok(Some(iss)) = claims.text("iss") else {
        return false;
    };
    key_issuer == iss || is_tenant_issuer(Some(key_issuer), iss, claims).is_ok_and(|is_own| is_own)
}
