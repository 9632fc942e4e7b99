//! Reads environment variables and files of this process, for workloads and client settings. Which variables configure a
//! client is in `settings/environment.rs` of oauth-providers; those of a site, in oauth-web-tower.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use oauth_core::Secret;
use oauth_core::error::Cause;
use oauth_core::workload::{Environment, MAX_BYTES};

/// The environment variables and the files of this process, each read when it is needed.
///
/// ```
/// use std::sync::Arc;
/// use oauth_core::ClientAuth;
/// use oauth_core::client_auth::FederatedAssertion;
/// use oauth_core::workload::{CredentialSource, WorkloadToken};
/// use oauth_reqwest::ProcessEnvironment;
///
/// // A job of GitLab CI, whose `id_tokens` name this variable.
/// let source = CredentialSource::Variable("IDP_TOKEN".to_owned());
/// let token = WorkloadToken::from_source(source, Arc::new(ProcessEnvironment::new()));
/// let auth = ClientAuth::federated(FederatedAssertion::from_workload_token(token));
/// ```
#[derive(Clone, Default)]
pub struct ProcessEnvironment {
    variables: Option<BTreeMap<String, Secret<String>>>,
}

impl ProcessEnvironment {
    /// The environment of the process.
    pub const fn new() -> Self {
        Self { variables: None }
    }

    /// An environment with these variables instead of those of the process.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, Secret<String>)>) -> Self {
        Self {
            variables: Some(variables.into_iter().collect()),
        }
    }
}

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<Secret<String>> {
        match &self.variables {
            Some(variables) => variables.get(name).cloned(),
            None => std::env::var(name).ok().map(Secret::new),
        }
    }

    fn file(&self, path: &str) -> Result<Secret<String>, Cause> {
        read(Path::new(path)).map_err(|error| Cause::unsent(format!("{path}: {error}")))
    }
}

/// The text of a file, or in words why there is none.
pub(crate) fn read(path: &Path) -> Result<Secret<String>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let limit = MAX_BYTES as u64;
    let mut text = String::new();
    let read = file.take(limit + 1).read_to_string(&mut text);
    let text = Secret::new(text);
    read.map_err(|error| error.to_string())?;
    if text.expose().len() <= MAX_BYTES {
        Ok(text)
    } else {
        Err(format!("larger than {MAX_BYTES} bytes"))
    }
}

impl fmt::Debug for ProcessEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.variables.as_ref().map(BTreeMap::keys);
        f.debug_struct("ProcessEnvironment")
            .field("variables", &names)
            .finish()
    }
}
