//! Signed authorization requests (JAR): the parameters are the claims of a JWT. `client_id` is also sent outside it
//! (RFC 9101 section 5). In `prepare.rs`, `request` and `request_uri` are reserved names, and an unsigned request is
//! refused if the server has `require_signed_request_object`.
//!
//! RFC 9101 <https://www.rfc-editor.org/rfc/rfc9101#section-4>

#[cfg(all(test, feature = "sha2"))]
mod tests;

use crate::authorization_details;
use crate::client_config::ClientConfig;
use crate::error::{Error, Misuse};
use crate::form::{self, Form};
use crate::jose;
use crate::json::Members;
use crate::moment::Moment;
use crate::request_signing::RequestSigning;
use crate::server::{FlagDefault, Server};
use crate::url::{Transport, Url};
use crate::value::writer;

/// The longest `request_uri` ("The entire Request URI SHOULD NOT exceed 512 ASCII characters", section 5.2).
const MAX_REQUEST_URI: usize = 512;

/// The JWS signing input for these parameters.
pub(crate) fn signing_input(
    signing: &RequestSigning,
    config: &ClientConfig,
    at: &Moment,
    parameters: &Form,
) -> Result<String, Error> {
    let now = at.now().as_secs();
    let (mut header, mut claims) = (String::new(), String::new());
    let mut members = Members::begin(&mut header);
    members.text("alg", signing.key().alg().as_str());
    if !signing.key().id().is_empty() {
        members.text("kid", signing.key().id());
    }
    // Distinguished from a client assertion by its type, and because it has no `sub` (section 10.8).
    members.text("typ", "oauth-authz-req+jwt");
    members.end();
    let mut members = Members::begin(&mut claims);
    members.text("aud", config.server.issuer().as_str());
    members.number("exp", now.saturating_add(signing.lifetime_seconds().into()));
    members.number("iat", now);
    members.text("iss", config.client_id.as_str());
    // The prefix keeps it different from the `jti` of the client assertion in the same request.
    members.text("jti", &format!("request-{}", at.ticket()?));
    members.number("nbf", now);
    write(parameters, &mut members);
    members.end();
    Ok(jose::signing_input(&header, &claims))
}

/// Every parameter as a claim: numbers and JSON as such ("Numerical values are included as JSON numbers", section
/// 4), a parameter that occurs several times as a list.
fn write(parameters: &Form, members: &mut Members<'_>) {
    let pairs = form::parse(parameters.as_str()).unwrap_or_default();
    for (index, (name, value)) in pairs.iter().enumerate() {
        let has_same_name = |(other, _): &&(std::borrow::Cow<'_, str>, _)| other == name;
        if pairs.iter().take(index).any(|pair| has_same_name(&pair)) {
            continue;
        }
        let same_name_pairs: Vec<_> = pairs.iter().filter(has_same_name).collect();
        match &**name {
            // Their content has already been checked to be well-formed.
            "max_age" | "claims" | authorization_details::PARAMETER => {
                members.next(name).push_str(value);
            }
            _ if same_name_pairs.len() > 1 => {
                let write = |(_, value): &&(_, std::borrow::Cow<'_, str>), out: &mut String| {
                    writer::string(value, out);
                };
                writer::list(&same_name_pairs, members.next(name), write);
            }
            _ => members.text(name, value),
        }
    }
}

/// The parameters outside the request object: `client_id`, and those that OpenID Connect Core section 6.1 also requires
/// of a request that is not pushed (RFC 9126).
pub(super) fn parameters_beside(config: &ClientConfig, parameters: &Form) -> Form {
    let id = config.server.rules().client_id_parameter();
    let is_openid = parameters.names("nonce");
    let mut form = Form::new();
    for (name, value) in form::parse(parameters.as_str()).unwrap_or_default() {
        let is_openid_parameter = matches!(&*name, "response_type" | "scope");
        if *name == *id || is_openid && is_openid_parameter {
            form.push(&name, &value);
        }
    }
    form
}

/// Checks that the server accepts this `request_uri`.
///
/// # Errors
/// `form.malformed_parameter` for a `request_uri` that is not `https`, or too long; or if the server does not support
/// it.
pub(super) fn check_reference(url: &Url, server: &Server) -> Result<(), Error> {
    let invalid = |reason: &str| Err(Error::from(Misuse::ParameterValue).about(reason));
    if !server.flag("request_uri_parameter_supported", FlagDefault::True) {
        return invalid("request_uri: the server takes none");
    }
    if url.require(Transport::Https).is_err() || url.as_str().len() > MAX_REQUEST_URI {
        return invalid("request_uri must be https, and at most 512 characters");
    }
    Ok(())
}
