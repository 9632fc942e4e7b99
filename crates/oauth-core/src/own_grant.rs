//! A grant of a server's own, as a preset describes it: a URI, and parameters that are checked before they are sent.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-4.5>

use crate::error::{Error, Misuse};

/// A grant that one server has, and no standard (RFC 6749 section 4.5).
///
/// ```
/// use oauth_core::grant::{OwnGrant, OwnParameter};
///
/// # fn main() -> Result<(), oauth_core::Error> {
/// let grant = OwnGrant::new("impersonation", "https://acme.example/grants/impersonation")?
///     .fixed("version", "2")?
///     .parameter(OwnParameter::new("user_id"))?
///     .parameter(OwnParameter::new("reason").optional())?;
/// assert_eq!(grant.name(), "impersonation");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnGrant {
    name: String,
    grant_type: String,
    fixed: Vec<(String, String)>,
    parameters: Vec<OwnParameter>,
    client: OwnGrantClient,
    refresh_token: OwnGrantRefresh,
}

/// A parameter that the caller gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnParameter {
    name: String,
    is_required: bool,
    is_secret: bool,
    is_repeated: bool,
}

/// Which clients a grant is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OwnGrantClient {
    /// Any: one that can authenticate does, and a public one names itself.
    #[default]
    Any,
    /// Only clients that authenticate.
    Authenticated,
    /// The request says nothing of the client.
    Unnamed,
}

/// What becomes of a refresh token that comes with the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OwnGrantRefresh {
    /// The tokens are renewed with it.
    #[default]
    Kept,
    /// It is forgotten: the server documents none, or the grant is to be asked for anew.
    Dropped,
}

impl OwnParameter {
    /// One that must be given, once.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            is_required: true,
            is_secret: false,
            is_repeated: false,
        }
    }

    /// One that may be missing.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.is_required = false;
        self
    }

    /// One that nobody is to see, such as a password: programs take it from no command line.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// One that may be given several times.
    #[must_use]
    pub const fn repeated(mut self) -> Self {
        self.is_repeated = true;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether nobody is to see it.
    pub const fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// Whether it must be given.
    pub const fn is_required(&self) -> bool {
        self.is_required
    }
}

impl OwnGrant {
    /// A grant that is called by this name, and has this URI as its type.
    ///
    /// # Errors
    /// `grant.not_an_extension` for a type that is no URI, or a name that could be one.
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
            client: OwnGrantClient::default(),
            refresh_token: OwnGrantRefresh::default(),
        })
    }

    /// Always sends this.
    ///
    /// # Errors
    /// `form.reserved_parameter` for a name of the protocol's own, `form.duplicate_parameter` for one that is taken.
    pub fn fixed(mut self, name: &str, value: impl Into<String>) -> Result<Self, Error> {
        self.check(name)?;
        self.fixed.push((name.to_owned(), value.into()));
        Ok(self)
    }

    /// Takes this from the caller.
    ///
    /// # Errors
    /// As [`Self::fixed`].
    pub fn parameter(mut self, parameter: OwnParameter) -> Result<Self, Error> {
        self.check(&parameter.name)?;
        self.parameters.push(parameter);
        Ok(self)
    }

    /// Which clients it is for.
    #[must_use]
    pub const fn client(mut self, client: OwnGrantClient) -> Self {
        self.client = client;
        self
    }

    /// What becomes of a refresh token.
    #[must_use]
    pub const fn refresh_token(mut self, refresh_token: OwnGrantRefresh) -> Self {
        self.refresh_token = refresh_token;
        self
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        check_name(name)?;
        let is_known = self.parameters.iter().any(|known| known.name == name)
            || self.fixed.iter().any(|(known, _)| known == name);
        match is_known {
            true => Err(Error::from(Misuse::ParameterTwice).about(name)),
            false => Ok(()),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type: a URI.
    pub fn grant_type(&self) -> &str {
        &self.grant_type
    }

    /// What the caller gives.
    pub fn parameters(&self) -> &[OwnParameter] {
        &self.parameters
    }

    pub(super) fn fixed_parameters(&self) -> &[(String, String)] {
        &self.fixed
    }

    pub(super) const fn clients(&self) -> OwnGrantClient {
        self.client
    }

    pub(super) fn keeps_refresh_token(&self) -> bool {
        self.refresh_token == OwnGrantRefresh::Kept
    }

    /// Whether the caller may give this, who has given the others.
    pub(super) fn admit<'a>(
        &self,
        name: &str,
        mut others: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let Some(known) = self.parameters.iter().find(|known| known.name == name) else {
            return Err(Error::from(Misuse::ParameterUnlisted).about(name));
        };
        match !known.is_repeated && others.any(|other| other == name) {
            true => Err(Error::from(Misuse::ParameterTwice).about(name)),
            false => Ok(()),
        }
    }

    /// Whether all is there that must be.
    pub(super) fn check_whole<'a>(
        &self,
        given: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Error> {
        let is_missing = |known: &&OwnParameter| {
            known.is_required && !given.clone().any(|name| name == known.name)
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

/// Whether a parameter of a grant may have this name.
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
    match RESERVED.contains(&name) || name.is_empty() {
        true => Err(Error::from(Misuse::ParameterReserved).about(name)),
        false => Ok(()),
    }
}
