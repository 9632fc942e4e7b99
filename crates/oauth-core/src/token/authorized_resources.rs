//! The resources that an authorization asked for (RFC 8707 section 2.1): a refresh asks for no others (section 2.2).

use crate::error::{Error, Misuse};
use crate::json::{Json, JsonForm};
use crate::secret::Secret;

/// These resources; none if the authorization named none, or if they are not known. Always none in builds for pages,
/// where the authorization and every refresh ask for the resources of the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuthorizedResources(Option<Resources>);

#[cfg(not(all(feature = "js", target_family = "wasm")))]
type Resources = std::sync::Arc<[String]>;
/// No value: what would look at it is not linked.
#[cfg(all(feature = "js", target_family = "wasm"))]
type Resources = std::convert::Infallible;

impl AuthorizedResources {
    /// Those that the request of an authorization names.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    pub(crate) fn of<'a>(named: impl Iterator<Item = &'a Secret<String>>) -> Self {
        Self::listed(named.map(|uri| uri.expose().clone()).collect())
    }

    #[cfg(all(feature = "js", target_family = "wasm"))]
    pub(crate) fn of<'a>(_: impl Iterator<Item = &'a Secret<String>>) -> Self {
        Self(None)
    }

    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    fn listed(resources: Vec<String>) -> Self {
        Self((!resources.is_empty()).then(|| resources.into()))
    }

    #[cfg(all(feature = "js", target_family = "wasm"))]
    fn listed(_: Vec<String>) -> Self {
        Self(None)
    }

    /// The resources, as URIs.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    pub(crate) fn as_slice(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }

    #[cfg(all(feature = "js", target_family = "wasm"))]
    pub(crate) const fn as_slice(&self) -> &[String] {
        &[]
    }

    /// Checks that a refresh, which names these resources, asks for none but those of the authorization. Servers do not say which of them they granted.
    ///
    /// # Errors
    /// `resource.exceeds_grant`.
    pub(crate) fn check<'a>(
        &self,
        named: impl Iterator<Item = &'a Secret<String>>,
    ) -> Result<(), Error> {
        if self.0.is_none() {
            return Ok(());
        }
        match named
            .map(Secret::expose)
            .find(|uri| !self.as_slice().contains(uri))
        {
            Some(uri) => Err(Error::from(Misuse::ResourceExceeds).about(uri)),
            None => Ok(()),
        }
    }
}

impl JsonForm for AuthorizedResources {
    fn read(value: Json<'_>) -> Option<Self> {
        JsonForm::read(value).map(Self::listed)
    }

    fn write(&self, out: &mut String) {
        self.as_slice().to_vec().write(out);
    }

    fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}
