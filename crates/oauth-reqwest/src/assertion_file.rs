//! A workload's token in a file, as Kubernetes and SPIFFE helpers write it.

use std::path::PathBuf;

use oauth_core::Secret;
use oauth_core::client_auth::AssertionSource;
use oauth_core::error::Cause;

use crate::environment;

/// A workload's token in a file, read again for each request.
///
/// ```
/// use oauth_core::ClientAuth;
/// use oauth_core::client_auth::FederatedAssertion;
/// use oauth_reqwest::AssertionFile;
///
/// let token = AssertionFile::new("/var/run/secrets/tokens/idp");
/// let auth = ClientAuth::federated(FederatedAssertion::new(token));
/// ```
#[derive(Debug, Clone)]
pub struct AssertionFile(PathBuf);

impl AssertionFile {
    /// A token in the file with this name, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl AssertionSource for AssertionFile {
    fn assertion(&self) -> Result<Secret<String>, Cause> {
        environment::read(&self.0).map_err(|why| {
            let path = self.0.display();
            Cause::unsent(format!("the client assertion in {path}: {why}"))
        })
    }
}
