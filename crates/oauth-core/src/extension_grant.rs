//! The definition of an extension grant, as a preset describes it: a URI, and parameters that are checked before they
//! are sent. The grant in a request is [`Extension`](crate::grant::Extension), in `grant/extension.rs`.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-4.5>

use crate::error::{Error, Misuse};

/// The definition of an extension grant (RFC 6749 section 4.5) that one server defines and no standard describes.
/// [`Extension::of_definition`](crate::grant::Extension::of_definition) makes the grant of a request.
///
/// ```
/// use oauth_core::grant::{ExtensionGrantDefinition, ExtensionGrantParameter};
///
/// # fn main() -> Result<(), oauth_core::Error> {
/// let uri = "https://acme.example/grants/impersonation";
/// let grant = ExtensionGrantDefinition::new("impersonation", uri)?
///     .fixed("version", "2")?
///     .parameter(ExtensionGrantParameter::new("user_id"))?
///     .parameter(ExtensionGrantParameter::new("reason").optional())?;
/// assert_eq!(grant.name(), "impersonation");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionGrantDefinition {
    name: String,
    grant_type: String,
    fixed: Vec<(String, String)>,
    parameters: Vec<ExtensionGrantParameter>,
    client: ExtensionGrantClient,
    refresh_token: ExtensionGrantRefresh,
}

/// A parameter of an extension grant that the caller provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionGrantParameter {
    name: String,
    is_required: bool,
    is_secret: bool,
    is_repeated: bool,
}

/// Which clients may use an extension grant, and how the request names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExtensionGrantClient {
    /// Any client: a confidential client authenticates, a public client sends its id.
    #[default]
    Any,
    /// Only clients that authenticate.
    Authenticated,
    /// The request does not name the client.
    Unnamed,
}

/// What happens to a refresh token in the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExtensionGrantRefresh {
    /// The refresh token is kept, and the tokens are renewed with it.
    #[default]
    Kept,
    /// The refresh token is dropped: the server documents none, or the grant has to be requested again.
    Dropped,
}

impl ExtensionGrantParameter {
    /// A parameter that must be given, exactly once.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            is_required: true,
            is_secret: false,
            is_repeated: false,
        }
    }

    /// Makes the parameter optional.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.is_required = false;
        self
    }

    /// Marks the parameter as secret, such as a password: programs must not accept it on a command line.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// Lets the parameter be given several times.
    #[must_use]
    pub const fn repeated(mut self) -> Self {
        self.is_repeated = true;
        self
    }

    /// The parameter's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the value is secret.
    pub const fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// Whether the parameter must be given.
    pub const fn is_required(&self) -> bool {
        self.is_required
    }
}

impl ExtensionGrantDefinition {
    /// A grant with this name, and this URI as its type.
    ///
    /// # Errors
    /// `grant.not_an_extension` for a type that is not a URI, or a name that could be one.
    pub fn new(name: impl Into<String>, grant_type: impl Into<String>) -> Result<Self, Error> {
        let (name, grant_type) = (name.into(), grant_type.into());
        if !grant_type.contains(':') || name.is_empty() || name.contains(':') {
            return Err(Error::from(Misuse::GrantNotExtension).about(&grant_type));
        }
        Ok(Self {
            name,
            grant_type,
            fixed: Vec::new(),
            parameters: Vec::new(),
            client: ExtensionGrantClient::default(),
            refresh_token: ExtensionGrantRefresh::default(),
        })
    }

    /// Adds a parameter with a fixed value to every request.
    ///
    /// # Errors
    /// `form.reserved_parameter` for a name that the protocol uses, `form.duplicate_parameter` for one that is already
    /// described.
    pub fn fixed(mut self, name: &str, value: impl Into<String>) -> Result<Self, Error> {
        self.check_new_name(name)?;
        self.fixed.push((name.to_owned(), value.into()));
        Ok(self)
    }

    /// Adds a parameter that the caller provides.
    ///
    /// # Errors
    /// The errors of [`Self::fixed`].
    pub fn parameter(mut self, parameter: ExtensionGrantParameter) -> Result<Self, Error> {
        self.check_new_name(&parameter.name)?;
        self.parameters.push(parameter);
        Ok(self)
    }

    /// Sets which clients may use the grant.
    #[must_use]
    pub const fn client(mut self, client: ExtensionGrantClient) -> Self {
        self.client = client;
        self
    }

    /// Sets what happens to a refresh token in the response.
    #[must_use]
    pub const fn refresh_token(mut self, refresh_token: ExtensionGrantRefresh) -> Self {
        self.refresh_token = refresh_token;
        self
    }

    fn check_new_name(&self, name: &str) -> Result<(), Error> {
        check_name(name)?;
        let is_known = self
            .parameters
            .iter()
            .any(|parameter| parameter.name == name)
            || self.fixed.iter().any(|(parameter, _)| parameter == name);
        if is_known {
            Err(Error::from(Misuse::ParameterTwice).about(name))
        } else {
            Ok(())
        }
    }

    /// The grant's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The grant type: a URI.
    pub fn grant_type(&self) -> &str {
        &self.grant_type
    }

    /// The parameters that the caller provides.
    pub fn parameters(&self) -> &[ExtensionGrantParameter] {
        &self.parameters
    }

    pub(super) fn fixed_parameters(&self) -> &[(String, String)] {
        &self.fixed
    }

    pub(super) const fn clients(&self) -> ExtensionGrantClient {
        self.client
    }

    pub(super) fn keeps_refresh_token(&self) -> bool {
        self.refresh_token == ExtensionGrantRefresh::Kept
    }

    /// Checks that the caller may add this parameter to those given before.
    pub(super) fn check_parameter<'a>(
        &self,
        name: &str,
        mut given_names: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let Some(parameter) = self
            .parameters
            .iter()
            .find(|parameter| parameter.name == name)
        else {
            return Err(Error::from(Misuse::ParameterUnlisted).about(name));
        };
        if !parameter.is_repeated && given_names.any(|given_name| given_name == name) {
            Err(Error::from(Misuse::ParameterTwice).about(name))
        } else {
            Ok(())
        }
    }

    /// Checks that all required parameters are given.
    pub(super) fn check_required<'a>(
        &self,
        given_names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Error> {
        let is_missing = |parameter: &&ExtensionGrantParameter| {
            parameter.is_required && !given_names.clone().any(|name| name == parameter.name)
        };
        match self.parameters.iter().find(is_missing) {
            Some(missing) => {
                let detail = format!("{}: the grant needs it", missing.name);
                Err(Error::from(Misuse::ParameterValue).about(&detail))
            }
            None => Ok(()),
        }
    }
}

/// Checks that a parameter of a grant may have this name.
///
/// # Errors
/// `form.reserved_parameter`.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    const RESERVED: [&str; 6] = [
        "grant_type",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "scope",
    ];
    if RESERVED.contains(&name) || name.is_empty() {
        Err(Error::from(Misuse::ParameterReserved).about(name))
    } else {
        Ok(())
    }
}
