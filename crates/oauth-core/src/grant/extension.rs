//! `grant_type=urn:...`: any grant that this crate has no type for.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-4.5>

use super::Grant;
use crate::context::Context;
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::secret::Secret;

/// A grant type named by a URI, with parameters of its own.
#[derive(Debug, Clone)]
pub struct Extension {
    grant_type: String,
    parameters: Vec<(String, Secret<String>)>,
}

impl Extension {
    /// A grant type by its absolute URI. The grants with short names have files of their own, and
    /// checks that this one could not make.
    ///
    /// # Errors
    /// `grant.not_an_extension`.
    pub fn new(grant_type: impl Into<String>) -> Result<Self, Error> {
        let grant_type = grant_type.into();
        if !grant_type.contains(':') {
            return Err(Error::from(Misuse::GrantNotExtension).about(&grant_type));
        }
        Ok(Self {
            grant_type,
            parameters: Vec::new(),
        })
    }

    /// Adds a parameter, behind the ones before it; a name may stand twice where the grant type
    /// says so.
    ///
    /// # Errors
    /// `form.reserved_parameter` for one that says who the client is, or what is granted.
    pub fn parameter(
        mut self,
        name: &str,
        value: impl Into<Secret<String>>,
    ) -> Result<Self, Error> {
        let reserved = [
            "grant_type",
            "client_id",
            "client_secret",
            "client_assertion",
            "scope",
        ];
        if reserved.contains(&name) || name == "client_assertion_type" || name.is_empty() {
            return Err(Error::from(Misuse::ParameterReserved).about(name));
        }
        self.parameters.push((name.to_owned(), value.into()));
        Ok(self)
    }
}

impl Grant for Extension {
    fn grant_type(&self) -> &str {
        &self.grant_type
    }

    fn purpose(&self) -> &'static str {
        "extension"
    }

    fn fill(&self, cx: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        let rules = cx.server.rules();
        for (name, value) in &self.parameters {
            if name == rules.client_id_parameter() {
                return Err(Error::from(Misuse::ParameterReserved).about(name));
            }
            form.push_repeated(name, value.expose());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::TokenRequest;
    use super::*;
    use crate::client::Client;
    use crate::exchange::{Exchange as _, Input, Step};
    use crate::quirk::Quirk;
    use crate::scope::Scope;
    use crate::testing::{at, client, code, quirky};

    fn extension() -> Extension {
        Extension::new("urn:example:grant").unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn names_that_say_who_the_client_is_are_not_for_parameters() {
        for name in [
            "",
            "grant_type",
            "client_id",
            "client_secret",
            "client_assertion",
            "client_assertion_type",
            "scope",
        ] {
            let parameter = extension().parameter(name, "x");
            assert_eq!(
                code(parameter.map(drop)),
                Err("form.reserved_parameter"),
                "{name}"
            );
        }
        let named = |client: Client| {
            let grant = extension().parameter("client_key", "x")?;
            client
                .token(grant, TokenRequest::new())
                .resume(&at(), Input::Begin)
                .map(drop)
        };
        let tiktok = quirky([Quirk::ClientIdParameter("client_key".to_owned())]);
        assert_eq!(code(named(tiktok)), Err("form.reserved_parameter"));
        assert_eq!(code(named(client())), Ok(()));
        assert!(Extension::new("password").is_err());
    }

    #[test]
    fn a_scope_is_asked_for_and_taken_for_granted() {
        let scope = Scope::parse("a b").unwrap_or_default();
        let grant = extension().parameter("resource", "x");
        let grant = grant.and_then(|grant| grant.parameter("resource", "y"));
        let grant = grant.unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(grant.implied_scope(&scope), &scope);
        let Ok(Step::Send(request)) = client().token(grant, scope).resume(&at(), Input::Begin)
        else {
            unreachable!("a request")
        };
        let sent = "grant_type=urn%3Aexample%3Agrant&resource=x&resource=y&scope=a+b";
        assert_eq!(request.body(), sent);
    }
}
