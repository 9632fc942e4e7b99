//! A workload's token in a file, such as Kubernetes and SPIFFE helpers write it.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use oauth_core::Secret;
use oauth_core::client_auth::AssertionSource;
use oauth_core::error::Cause;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// A workload's token in a file, read anew for each request.
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
    /// The file of this name. It need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl AssertionSource for AssertionFile {
    fn assertion(&self) -> Result<Secret<String>, Cause> {
        let told = |why: &dyn std::fmt::Display| {
            Cause::unsent(format!(
                "the client assertion in {}: {why}",
                self.0.display()
            ))
        };
        let file = File::open(&self.0).map_err(|why| told(&why))?;
        let mut text = String::new();
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
        let text = Secret::new(text);
        let read = read.map_err(|why| told(&why))?;
        match u64::try_from(read) {
            Ok(read) if read <= MAX_BYTES => Ok(text),
            _ => Err(told(&format_args!("larger than {MAX_BYTES} bytes"))),
        }
    }
}
