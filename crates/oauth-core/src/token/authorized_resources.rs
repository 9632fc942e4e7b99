//! The resources that an authorization request named (RFC 8707 section 2.1): a refresh must not request others (section
//! 2.2).

use crate::error::{Error, Misuse};
use crate::json::{Json, JsonForm};
use crate::secret::Secret;

/// The resources of an authorization, as URIs. Empty if the authorization named none, or if they are unknown.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuthorizedResources(Vec<String>);

impl AuthorizedResources {
    /// The resources that an authorization request names.
    pub(crate) fn from_parameters<'a>(resources: impl Iterator<Item = &'a Secret<String>>) -> Self {
        Self(resources.map(|uri| uri.expose().clone()).collect())
    }

    /// The resources, as URIs.
    pub(crate) fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Checks that the resources of a refresh are all among those of the authorization. (Servers do not report which of
    /// them they granted.)
    ///
    /// # Errors
    /// `resource.exceeds_grant`.
    pub(crate) fn check_requested<'a>(
        &self,
        resources: impl Iterator<Item = &'a Secret<String>>,
    ) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        match resources
            .map(Secret::expose)
            .find(|uri| !self.0.contains(uri))
        {
            Some(uri) => Err(Error::from(Misuse::ResourceExceeds).about(uri)),
            None => Ok(()),
        }
    }
}

impl JsonForm for AuthorizedResources {
    fn read(value: Json<'_>) -> Option<Self> {
        JsonForm::read(value).map(Self)
    }

    fn write(&self, out: &mut String) {
        self.0.write(out);
    }

    fn is_absent(&self) -> bool {
        self.0.is_empty()
    }
}
