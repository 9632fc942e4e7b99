//! [`TokenRequest`]: the scope, resources, audiences and provider-specific parameters of a token request. What a
//! `resource` must look like is in `resource_indicator.rs`.

use std::fmt;

use crate::authorization_details::{AuthorizationDetails, PARAMETER as DETAILS};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::grant::check_resource;
use crate::quirk::Rules;
use crate::scope::Scope;
use crate::secret::Secret;

/// The parameters of a token request that do not depend on the grant: scope, resources (RFC 8707), `audience` (Auth0,
/// Ory Hydra), and provider-specific parameters. The same value identifies the grant in a store, see
/// [`GrantId`](crate::flow::keeper::GrantId): a different request never gets its tokens.
///
/// `Debug` shows the scope, but only the names of other parameters, because some providers require keys there.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct TokenRequest {
    /// The scope to request; an empty one leaves it to the server.
    pub scope: Scope,
    parameters: Vec<(String, Secret<String>)>,
}

/// Names that the protocol uses in token requests. `resource` and `audience` have their own methods and may also be
/// given as extras.
const RESERVED: &[&str] = &[
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "scope",
    "state",
    "code",
    "code_verifier",
    "redirect_uri",
    "refresh_token",
    "username",
    "password",
    "assertion",
    "device_code",
    "auth_req_id",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
];

impl TokenRequest {
    /// A request without any of these parameters: the server chooses.
    pub const fn new() -> Self {
        Self {
            scope: Scope::none(),
            parameters: Vec::new(),
        }
    }

    /// Requests this scope.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Requests a token for this resource (RFC 8707 section 2), in addition to those named before. A code is redeemed for
    /// some of the authorized resources with
    /// [`for_resources`](crate::PendingAuthorization::for_resources), and a refresh may name no others (section 2.2):
    /// `token/authorized_resources.rs`.
    ///
    /// # Errors
    /// `resource.syntax`.
    pub fn resource(mut self, uri: &str) -> Result<Self, Error> {
        check_resource(uri)?;
        self.parameters.push(("resource".to_owned(), uri.into()));
        Ok(self)
    }

    /// Requests a token for this audience, in addition to those named before.
    #[must_use]
    pub fn audience(mut self, name: &str) -> Self {
        self.parameters.push(("audience".to_owned(), name.into()));
        self
    }

    /// Requests these permissions (RFC 9396), instead of those named before.
    #[must_use]
    pub fn authorization_details(mut self, details: &AuthorizationDetails) -> Self {
        self.parameters.retain(|(name, _)| name != DETAILS);
        let text = Secret::new(details.to_json());
        self.parameters.push((DETAILS.to_owned(), text));
        self
    }

    /// The requested permissions, if any.
    pub(crate) fn requested_details(&self) -> Result<Option<AuthorizationDetails>, Error> {
        let text = self.values_of(DETAILS).last();
        text.map(|text| AuthorizationDetails::parse(text.expose()))
            .transpose()
    }

    /// Adds a parameter that the provider documents.
    ///
    /// # Errors
    /// `form.reserved_parameter` for a name that the protocol uses, and for `authorization_details` if there are some
    /// already; `resource.syntax`, `authorization_details.malformed`.
    pub fn extra(
        mut self,
        name: impl Into<String>,
        value: impl Into<Secret<String>>,
    ) -> Result<Self, Error> {
        let (name, value) = (name.into(), value.into());
        if name.is_empty() || RESERVED.contains(&name.as_str()) {
            return Err(Error::from(Misuse::ParameterReserved).about(&name));
        }
        if name == "resource" {
            check_resource(value.expose())?;
        }
        if name == DETAILS {
            let details = AuthorizationDetails::parse(value.expose())?;
            // Browser builds skip this normalization to stay small, because a page never compares requests.
            if !IS_BROWSER_BUILD {
                // "Request and response parameters MUST NOT be included more than once" (RFC 6749 section 3.2).
                if self.values_of(DETAILS).next().is_some() {
                    return Err(Error::from(Misuse::ParameterReserved).about(DETAILS));
                }
                // Two spellings of the same details are the same request.
                return Ok(self.authorization_details(&details));
            }
        }
        self.parameters.push((name, value));
        Ok(self)
    }

    /// The parameters of this name, in order: the resources, for example.
    pub fn values_of(&self, name: &str) -> impl Iterator<Item = &Secret<String>> {
        let has_name = move |pair: &&(String, Secret<String>)| pair.0 == name;
        self.parameters
            .iter()
            .filter(has_name)
            .map(|(_, value)| value)
    }

    /// A copy of the request without the parameters of these names.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let remaining = self.parameters.iter();
        let remaining = remaining.filter(|(name, _)| !names.contains(&name.as_str()));
        Self {
            scope: self.scope.clone(),
            parameters: remaining.cloned().collect(),
        }
    }

    /// Names and values of the parameters, as they are stored.
    pub(crate) fn stored_pairs(&self) -> Vec<(String, String)> {
        let to_owned_pair =
            |(name, value): (&str, &Secret<String>)| (name.to_owned(), value.expose().clone());
        self.iter().map(to_owned_pair).collect()
    }

    /// Reads a stored request.
    pub(crate) fn from_stored(scope: Scope, pairs: Vec<(String, String)>) -> Result<Self, Error> {
        pairs
            .into_iter()
            .try_fold(Self::new().scope(scope), |all, (name, value)| {
                all.extra(name, value)
                    .map_err(|_| Error::from(Misuse::StoredForm).about("parameters"))
            })
    }

    /// Names and values, in an order that does not depend on the order in which they were given.
    pub(crate) fn sorted_by_name(&self) -> Vec<(&str, &Secret<String>)> {
        let mut pairs: Vec<_> = self.iter().collect();
        pairs.sort_by(|left, right| {
            left.0
                .cmp(right.0)
                .then_with(|| left.1.expose().cmp(right.1.expose()))
        });
        pairs
    }

    /// Names and values of the parameters, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret<String>)> {
        self.parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Appends the parameters to the form.
    pub(crate) fn fill(&self, form: &mut Form, rules: &Rules) -> Result<(), Error> {
        if !IS_BROWSER_BUILD && self.parameters.is_empty() {
            return Ok(());
        }
        let grant_form = form.clone();
        for (name, value) in self.iter().filter(|(name, _)| rules.sends_parameter(name)) {
            // The request must not replace the client id (under a quirk's name) or a parameter that the grant writes.
            let is_set_by_grant =
                grant_form.names(name) && !matches!(name, "resource" | "audience");
            if name == rules.client_id_parameter() || is_set_by_grant {
                return Err(Error::from(Misuse::ParameterReserved).about(name));
            }
            form.push_repeated(name, value.expose());
        }
        Ok(())
    }
}

/// Equal if the same is requested, in any order.
impl PartialEq for TokenRequest {
    fn eq(&self, other: &Self) -> bool {
        if self.scope != other.scope {
            return false;
        }
        let (parameters, other_parameters) = (self.sorted_by_name(), other.sorted_by_name());
        parameters.len() == other_parameters.len()
            && parameters
                .iter()
                .zip(&other_parameters)
                .all(|(left, right)| left.0 == right.0 && left.1.matches(right.1.expose()))
    }
}

impl Eq for TokenRequest {}

impl From<Scope> for TokenRequest {
    fn from(scope: Scope) -> Self {
        Self::new().scope(scope)
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parameters.iter().map(|(name, _)| name).collect();
        f.debug_struct("TokenRequest")
            .field("scope", &self.scope)
            .field("parameters", &names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Exchange, Input, Step};
    use crate::quirk::Quirk;
    use crate::testing::{at, client, client_with_quirks, error_code};

    fn request_with_repeated_parameters() -> TokenRequest {
        TokenRequest::new()
            .resource("https://api.example/a")
            .and_then(|all| all.resource("urn:example:b"))
            .map(|all| all.audience("x").audience("y"))
            .and_then(|all| all.extra("expires_in", "3600"))
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn body(mut exchange: impl Exchange) -> Result<String, &'static str> {
        match error_code(exchange.resume(&at(), Input::Begin))? {
            Step::Send(request) => Ok(String::from_utf8_lossy(request.body()).into_owned()),
            step => unreachable!("{step:?}"),
        }
    }

    #[test]
    fn every_grant_sends_extra_parameters_and_repeated_targets() {
        let added = "&resource=https%3A%2F%2Fapi.example%2Fa&resource=urn%3Aexample%3Ab&audience=x&audience=y&expires_in=3600";
        let client = client();
        let token_request =
            || request_with_repeated_parameters().scope(Scope::parse("a").unwrap_or_default());
        let grant = crate::grant::ClientCredentials;
        assert_eq!(
            body(client.token(grant, token_request())),
            Ok(format!("grant_type=client_credentials&scope=a{added}"))
        );
        let token = client.refresh_token("r1", Scope::none());
        let grant = crate::grant::Refresh::new(token);
        assert_eq!(
            body(client.token(grant, token_request())),
            Ok(format!(
                "grant_type=refresh_token&refresh_token=r1&scope=a{added}"
            ))
        );
    }

    #[test]
    fn reserved_parameter_names_are_refused() {
        for name in RESERVED.iter().copied().chain([""]) {
            let extra = TokenRequest::new().extra(name, "x");
            assert_eq!(
                error_code(extra.map(drop)),
                Err("form.reserved_parameter"),
                "{name}"
            );
        }
        let named = |client: crate::client::Client, name: &str| {
            let extra = TokenRequest::new().extra(name, "x");
            let grant = crate::grant::Extension::new("urn:example:g");
            let grant = grant.and_then(|grant| grant.parameter("own", "y"));
            let (Ok(extra), Ok(grant)) = (extra, grant) else {
                unreachable!()
            };
            body(client.token(grant, extra)).map(drop)
        };
        let tiktok = client_with_quirks([Quirk::ClientIdParameter("client_key".to_owned())]);
        assert_eq!(named(tiktok, "client_key"), Err("form.reserved_parameter"));
        assert_eq!(named(client(), "client_key"), Ok(()));
        assert_eq!(named(client(), "own"), Err("form.reserved_parameter"));
    }

    #[test]
    fn authorization_details_are_normalized_and_sent_once() {
        let text = r#"[{"type":"payment","amount":"12.50"}]"#;
        let loose = r#"[ {"type": "p\u0061yment", "amount": "12.50"} ]"#;
        let details = error_code(AuthorizationDetails::parse(text));
        let details = details.unwrap_or_else(|code| unreachable!("{code}"));
        let named = TokenRequest::new().authorization_details(&details);
        let added = TokenRequest::new().extra(DETAILS, loose);
        assert_eq!(error_code(added), Ok(named.clone()));
        let twice = named.clone().extra(DETAILS, loose);
        assert_eq!(error_code(twice.map(drop)), Err("form.reserved_parameter"));
        // The setter replaces earlier values.
        assert_eq!(named.clone().authorization_details(&details), named);
        assert_eq!(named.values_of(DETAILS).count(), 1);
    }

    #[test]
    fn resource_parameter_must_be_an_absolute_uri_without_fragment() {
        for uri in [
            "https://api.example/",
            "https://api.example/a?b=c",
            "urn:a:b",
            "api://id",
        ] {
            assert!(TokenRequest::new().resource(uri).is_ok(), "{uri}");
            assert!(TokenRequest::new().extra("resource", uri).is_ok(), "{uri}");
        }
        for bad in [
            "",
            "api",
            "/a",
            "//api.example/",
            "https://api.example/#a",
            "a b:c",
            "urn:",
        ] {
            let resource = TokenRequest::new().resource(bad);
            assert_eq!(
                error_code(resource.map(drop)),
                Err("resource.syntax"),
                "{bad}"
            );
            let extra = TokenRequest::new().extra("resource", bad);
            assert_eq!(error_code(extra.map(drop)), Err("resource.syntax"), "{bad}");
        }
    }

    #[test]
    fn debug_hides_parameter_values() {
        let text = format!("{:?}", request_with_repeated_parameters());
        assert!(
            text.contains("expires_in") && !text.contains("3600"),
            "{text}"
        );
    }
}
