//! `grant_type=urn:...`: any grant for which this crate has no type. Those that presets describe are defined in
//! `extension_grant.rs`.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-4.5>

use std::sync::Arc;

use super::{ExtensionGrantClient, ExtensionGrantDefinition, Grant};
use crate::context::Context;
use crate::error::{Error, Misuse};
use crate::extension_grant;
use crate::form::Form;
use crate::secret::Secret;

/// A grant type named by a URI, with parameters of its own.
#[derive(Debug, Clone)]
pub struct Extension {
    grant_type: String,
    parameters: Vec<(String, Secret<String>)>,
    definition: Option<Arc<ExtensionGrantDefinition>>,
}

impl Extension {
    /// A grant type by its absolute URI. The grants with short names have their own types, with checks that this one
    /// cannot make.
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
            definition: None,
        })
    }

    /// A grant as a preset describes it: its parameters are checked against the description.
    pub fn of_definition(grant: Arc<ExtensionGrantDefinition>) -> Self {
        Self {
            grant_type: grant.grant_type().to_owned(),
            parameters: Vec::new(),
            definition: Some(grant),
        }
    }

    /// Adds a parameter after the ones before it; a name may occur twice if the grant type allows it.
    ///
    /// # Errors
    /// `form.reserved_parameter` for one that identifies the client, or that the protocol uses; if a preset describes
    /// the grant, `form.unlisted_parameter` and `form.duplicate_parameter` too.
    pub fn parameter(
        mut self,
        name: &str,
        value: impl Into<Secret<String>>,
    ) -> Result<Self, Error> {
        extension_grant::check_name(name)?;
        if let Some(definition) = &self.definition {
            definition.check_parameter(name, self.names())?;
        }
        self.parameters.push((name.to_owned(), value.into()));
        Ok(self)
    }

    /// Whether the grant has a parameter of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|parameter_name| parameter_name == name)
    }

    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.parameters.iter().map(|(name, _)| name.as_str())
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
        if let Some(definition) = &self.definition {
            definition.check_required(self.names())?;
            for (name, value) in definition.fixed_parameters() {
                form.push(name, value);
            }
        }
        for (name, value) in &self.parameters {
            if name == rules.client_id_parameter() {
                return Err(Error::from(Misuse::ParameterReserved).about(name));
            }
            form.push_repeated(name, value.expose());
        }
        Ok(())
    }

    fn names_client(&self) -> bool {
        let definition = self.definition.as_ref();
        definition.is_none_or(|definition| definition.clients() != ExtensionGrantClient::Unnamed)
    }

    fn keeps_refresh_token(&self) -> bool {
        let definition = self.definition.as_ref();
        definition.is_none_or(|definition| definition.keeps_refresh_token())
    }

    fn is_for_confidential_clients(&self) -> bool {
        let definition = self.definition.as_ref();
        definition
            .is_some_and(|definition| definition.clients() == ExtensionGrantClient::Authenticated)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ExtensionGrantParameter, ExtensionGrantRefresh, TokenRequest};
    use super::*;
    use crate::client::Client;
    use crate::client_auth::ClientAuth;
    use crate::client_id::ClientId;
    use crate::exchange::{Exchange as _, Input, Step};
    use crate::quirk::Quirk;
    use crate::scope::Scope;
    use crate::testing::{
        at, client, client_of, client_with_quirks, error_code, json, run_with_reply, server,
    };

    fn extension() -> Extension {
        Extension::new("urn:example:grant").unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn reserved_extension_parameters_are_refused() {
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
                error_code(parameter.map(drop)),
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
        let tiktok = client_with_quirks([Quirk::ClientIdParameter("client_key".to_owned())]);
        assert_eq!(error_code(named(tiktok)), Err("form.reserved_parameter"));
        assert_eq!(error_code(named(client())), Ok(()));
        assert!(Extension::new("password").is_err());
    }

    /// `urn:example:own` with one parameter of each kind.
    fn definition() -> ExtensionGrantDefinition {
        let grant = ExtensionGrantDefinition::new("own", "urn:example:own")
            .and_then(|grant| grant.fixed("version", "2"));
        let parameters = [
            ExtensionGrantParameter::new("user"),
            ExtensionGrantParameter::new("tag").optional().repeated(),
            ExtensionGrantParameter::new("pin").optional().secret(),
        ];
        let mut parameters = parameters.into_iter();
        grant
            .and_then(|grant| parameters.try_fold(grant, ExtensionGrantDefinition::parameter))
            .unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// The form sent by the client with these parameters.
    fn form_for(
        grant: ExtensionGrantDefinition,
        parameters: &[(&str, &str)],
    ) -> Result<(String, bool), &'static str> {
        let extension = Extension::of_definition(Arc::new(grant));
        let mut parameters = parameters.iter();
        let extension =
            parameters.try_fold(extension, |all, (name, value)| all.parameter(name, *value));
        let begun = extension.and_then(|grant| {
            client()
                .token(grant, TokenRequest::new())
                .resume(&at(), Input::Begin)
        });
        match error_code(begun) {
            Ok(Step::Send(request)) => Ok((
                String::from_utf8_lossy(request.body()).into_owned(),
                request.headers().contains_key("authorization"),
            )),
            Ok(step) => unreachable!("{step:?}"),
            Err(error) => Err(error),
        }
    }

    #[test]
    fn extension_parameters_are_checked_against_the_definition() {
        let body = "grant_type=urn%3Aexample%3Aown&version=2&user=alice&tag=a&tag=b";
        let all = [("user", "alice"), ("tag", "a"), ("tag", "b")];
        assert_eq!(form_for(definition(), &all), Ok((body.to_owned(), true)));
        for (parameters, error) in [
            (&[][..], "form.malformed_parameter"),
            (&[("tag", "a")], "form.malformed_parameter"),
            (
                &[("user", "alice"), ("other", "x")],
                "form.unlisted_parameter",
            ),
            (
                &[("user", "alice"), ("version", "3")],
                "form.unlisted_parameter",
            ),
            (
                &[("user", "alice"), ("user", "bob")],
                "form.duplicate_parameter",
            ),
            (&[("client_id", "x")], "form.reserved_parameter"),
        ] {
            assert_eq!(
                form_for(definition(), parameters),
                Err(error),
                "{parameters:?}"
            );
        }
    }

    #[test]
    fn definition_determines_the_client_authentication() {
        let alice = [("user", "alice")];
        let unnamed = definition().client(ExtensionGrantClient::Unnamed);
        let (body, authenticates) = form_for(unnamed, &alice).unwrap_or_default();
        assert!(!authenticates && !body.contains("client_id"), "{body}");
        let public = |grant: ExtensionGrantDefinition| {
            let extension = Extension::of_definition(Arc::new(grant)).parameter("user", "alice");
            let extension = extension.unwrap_or_else(|error| unreachable!("{error}"));
            let client = Client::new(server(), ClientId::new("id"), ClientAuth::none());
            let client = client.unwrap_or_else(|error| unreachable!("{error}"));
            let begun = client.token(extension, TokenRequest::new());
            let mut begun = begun;
            error_code(begun.resume(&at(), Input::Begin).map(drop))
        };
        assert_eq!(public(definition()), Ok(()));
        let confidential = definition().client(ExtensionGrantClient::Authenticated);
        assert_eq!(public(confidential), Err("client_auth.required"));
    }

    #[test]
    fn refresh_token_is_dropped_if_the_definition_says_so() {
        let reply = || {
            json(
                200,
                r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r"}"#,
            )
        };
        let tokens = |grant: ExtensionGrantDefinition| {
            let extension = Extension::of_definition(Arc::new(grant)).parameter("user", "alice");
            let extension = extension.unwrap_or_else(|error| unreachable!("{error}"));
            run_with_reply(client().token(extension, TokenRequest::new()), reply())
        };
        let has = |grant| tokens(grant).is_ok_and(|tokens| tokens.refresh_token.is_some());
        assert!(has(definition()));
        assert!(!has(
            definition().refresh_token(ExtensionGrantRefresh::Dropped)
        ));
    }

    #[test]
    fn reserved_or_duplicate_names_in_a_definition_are_refused() {
        let error = |grant: Result<ExtensionGrantDefinition, Error>| error_code(grant.map(drop));
        let (reserved, twice) = (
            Err("form.reserved_parameter"),
            Err("form.duplicate_parameter"),
        );
        assert_eq!(error(definition().fixed("client_secret", "x")), reserved);
        assert_eq!(
            error(definition().parameter(ExtensionGrantParameter::new("scope"))),
            reserved
        );
        assert_eq!(error(definition().fixed("user", "x")), twice);
        assert_eq!(
            error(definition().parameter(ExtensionGrantParameter::new("version"))),
            twice
        );
        for (name, grant_type) in [("own", "password"), ("", "urn:x"), ("urn:y", "urn:x")] {
            let grant = ExtensionGrantDefinition::new(name, grant_type);
            assert_eq!(error(grant), Err("grant.not_an_extension"), "{name}");
        }
        let named = client_of(server().with_extension_grants([definition()]));
        assert!(named.extension("own").is_ok() && named.extension("urn:example:other").is_ok());
        assert_eq!(
            error_code(named.extension("another").map(drop)),
            Err("grant.not_an_extension")
        );
    }

    #[test]
    fn requested_scope_is_sent_and_assumed_to_be_granted() {
        let scope = Scope::parse("a b").unwrap_or_default();
        let grant = extension().parameter("resource", "x");
        let grant = grant.and_then(|grant| grant.parameter("resource", "y"));
        let grant = grant.unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(grant.default_granted_scope(&scope), &scope);
        let Ok(Step::Send(request)) = client().token(grant, scope).resume(&at(), Input::Begin)
        else {
            unreachable!("a request")
        };
        let sent = "grant_type=urn%3Aexample%3Agrant&resource=x&resource=y&scope=a+b";
        assert_eq!(request.body(), sent);
    }
}
