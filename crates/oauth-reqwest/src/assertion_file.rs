//! A workload's token in a file, as Kubernetes and SPIFFE helpers write it.

use std::fmt;
use std::path::PathBuf;

use oauth_core::Secret;
use oauth_core::client_auth::{AssertionRequest, AssertionSource};
use oauth_core::error::Cause;
use oauth_core::secret::shown_name;

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
#[derive(Clone)]
pub struct AssertionFile(PathBuf);

impl fmt::Debug for AssertionFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.display().to_string();
        f.debug_tuple("AssertionFile")
            .field(&shown_name(&path))
            .finish()
    }
}

impl AssertionFile {
    /// A token in the file with this name, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl AssertionSource for AssertionFile {
    fn assertion(&self, _: &AssertionRequest<'_>) -> Result<Secret<String>, Cause> {
        environment::read(&self.0).map_err(|reason| {
            let path = self.0.display().to_string();
            Cause::unsent(format!(
                "the client assertion in {}: {reason}",
                shown_name(&path)
            ))
        })
    }

    fn location(&self) -> String {
        shown_name(&self.0.display().to_string()).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use oauth_core::moment::UnixTime;

    use super::*;

    #[test]
    fn a_token_given_as_the_file_path_is_not_shown() {
        let wanted = AssertionRequest::new("https://as.example", UnixTime::from_secs(0));
        for path in [
            "eyJhbGciOiJub25lIn0.e30.",
            "/profiles/eyJhbGciOiJub25lIn0.e30.",
        ] {
            let file = AssertionFile::new(path);
            let cause = file.assertion(&wanted).unwrap_err();
            let shown = format!("{cause:?} {cause} {file:?}");
            assert!(!shown.contains("eyJ"), "{shown}");
        }
        let file = AssertionFile::new("/no/such/file");
        assert!(format!("{:?}", file.assertion(&wanted)).contains("/no/such/file"));
    }
}
