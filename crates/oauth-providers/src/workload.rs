//! The documented sources of workload tokens on each platform.
//!
//! | name | the token | documentation |
//! |---|---|---|
//! | `kubernetes` | a file, at the path of the pod's projected volume | <https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#serviceaccount-token-volume-projection> |
//! | `github_actions` | requested at `ACTIONS_ID_TOKEN_REQUEST_URL`, with `ACTIONS_ID_TOKEN_REQUEST_TOKEN`; a job needs `id-token: write` | <https://docs.github.com/en/actions/reference/security/oidc> |
//! | `gitlab_ci` | the environment variable that `id_tokens` of the job names | <https://docs.gitlab.com/ci/secrets/id_token_authentication/> |
//! | `spiffe` | a JWT-SVID in a file, such as spiffe-helper's `jwt_svid_file_name` | <https://github.com/spiffe/spiffe-helper> |
//! | `aws` | the file that `AWS_WEB_IDENTITY_TOKEN_FILE` names | <https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html> |
//! | `azure` | the file that `AZURE_FEDERATED_TOKEN_FILE` names, for `api://AzureADTokenExchange` | <https://azure.github.io/azure-workload-identity/docs/installation/mutating-admission-webhook.html> |
//! | `gcp` | requested from the metadata service at 169.254.169.254, or at `GCE_METADATA_HOST` | <https://docs.cloud.google.com/compute/docs/instances/verifying-instance-identity> |

use std::fmt;
use std::sync::Arc;

use oauth_core::client_auth::{AssertionProfile, ClientIdParameter, FederatedAssertion};
use oauth_core::error::{Error, Misuse};
use oauth_core::grant::token_type;
use oauth_core::workload::{
    CredentialSource, Environment, SubjectToken, TokenFormat, WorkloadToken, WorkloadTokenService,
};

/// The audience that Microsoft Entra requires.
const ENTRA_AUDIENCE: &str = "api://AzureADTokenExchange";

/// A platform that gives its workloads tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Platform {
    /// A projected service account token.
    Kubernetes,
    /// A job of GitHub Actions.
    GithubActions,
    /// A job of GitLab CI.
    GitlabCi,
    /// A JWT-SVID.
    Spiffe,
    /// A pod with a role of AWS.
    Aws,
    /// A pod with a workload identity of Azure.
    Azure,
    /// A machine of Google Cloud.
    Gcp,
}

impl Platform {
    /// All platforms.
    pub const ALL: &'static [Self] = &[
        Self::Kubernetes,
        Self::GithubActions,
        Self::GitlabCi,
        Self::Spiffe,
        Self::Aws,
        Self::Azure,
        Self::Gcp,
    ];

    /// The platform's name, such as `github_actions`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::GithubActions => "github_actions",
            Self::GitlabCi => "gitlab_ci",
            Self::Spiffe => "spiffe",
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        }
    }

    /// The platform of this name.
    ///
    /// # Errors
    /// `workload.setup`, which lists all.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        let mut all = Self::ALL.iter();
        all.find(|platform| platform.as_str() == name)
            .copied()
            .ok_or_else(|| {
                let all: Vec<_> = Self::ALL.iter().map(|listed| listed.as_str()).collect();
                let name: String = name.chars().take(40).collect();
                setup(&format!("no `{name}`; there are {}", all.join(", ")))
            })
    }

    /// The environment variable that names the file of the platform's token, if there is one.
    const fn file_variable(self) -> Option<&'static str> {
        match self {
            Self::Aws => Some("AWS_WEB_IDENTITY_TOKEN_FILE"),
            Self::Azure => Some("AZURE_FEDERATED_TOKEN_FILE"),
            _ => None,
        }
    }
}

/// The identity of a workload on one platform: its token, read again each time, in place of a client secret.
///
/// ```
/// # use std::sync::Arc;
/// # use oauth_core::{Secret, error::Cause, workload::Environment};
/// # struct Pod;
/// # impl Environment for Pod {
/// #     fn variable(&self, _: &str) -> Option<Secret<String>> { None }
/// #     fn file(&self, _: &str) -> Result<Secret<String>, Cause> { Err(Cause::unsent("none")) }
/// # }
/// use oauth_core::ClientAuth;
/// use oauth_providers::{Platform, Workload};
///
/// # fn main() -> Result<(), oauth_core::Error> {
/// // In a program, oauth_reqwest::ProcessEnvironment.
/// let environment = Arc::new(Pod);
/// let workload = Workload::new(Platform::Kubernetes).path("/var/run/secrets/tokens/idp");
/// let auth = ClientAuth::federated(workload.assertion(environment)?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Workload {
    platform: Platform,
    path: Option<String>,
    variable: Option<String>,
    audience: Option<String>,
    client_id: Option<ClientIdParameter>,
}

impl Workload {
    /// The token that this platform provides.
    pub const fn new(platform: Platform) -> Self {
        Self {
            platform,
            path: None,
            variable: None,
            audience: None,
            client_id: None,
        }
    }

    /// Sets the file of the token, for platforms where the operator chooses it.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets the environment variable of the token, for platforms where the operator chooses it.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>) -> Self {
        self.variable = Some(name.into());
        self
    }

    /// Sets the audience that the token must have: by default the server's issuer, and for `azure` what Microsoft Entra
    /// requires.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets whether requests name the client too; by default they do only for `azure`.
    #[must_use]
    pub const fn client_id(mut self, parameter: ClientIdParameter) -> Self {
        self.client_id = Some(parameter);
        self
    }

    /// The token as a client assertion.
    ///
    /// # Errors
    /// `environment.missing`, which names the variable; `workload.setup` for a path or variable that is missing, or
    /// that the platform does not use; `url.*` for the URL of a service.
    pub fn assertion(
        &self,
        environment: Arc<dyn Environment>,
    ) -> Result<FederatedAssertion, Error> {
        let mut assertion = FederatedAssertion::from_workload_token(self.token(environment)?);
        let mut audience = self.audience.as_deref();
        if self.platform == Platform::Spiffe {
            assertion = assertion.profile(AssertionProfile::SpiffeJwt);
        }
        if self.platform == Platform::Azure {
            assertion = assertion.client_id(ClientIdParameter::Sent);
            audience = audience.or(Some(ENTRA_AUDIENCE));
        }
        if let Some(parameter) = self.client_id {
            assertion = assertion.client_id(parameter);
        }
        Ok(match audience {
            Some(audience) => assertion.audience(audience),
            None => assertion,
        })
    }

    /// The token as the subject of an exchange for the client's own tokens (RFC 8693), which are for `audience`.
    ///
    /// # Errors
    /// The errors of [`Self::assertion`].
    pub fn subject_token(
        &self,
        environment: Arc<dyn Environment>,
        audience: &str,
    ) -> Result<SubjectToken, Error> {
        let subject = SubjectToken::new(self.token(environment)?, token_type::JWT, audience);
        Ok(match &self.audience {
            Some(audience) => subject.platform_audience(audience),
            None => subject,
        })
    }

    /// Only the token.
    ///
    /// # Errors
    /// The errors of [`Self::assertion`].
    pub fn token(&self, environment: Arc<dyn Environment>) -> Result<WorkloadToken, Error> {
        let source = self.source(&*environment)?;
        Ok(WorkloadToken::from_source(source, environment))
    }

    fn source(&self, environment: &dyn Environment) -> Result<CredentialSource, Error> {
        let name = self.platform.as_str();
        let (takes_path, takes_variable) = match self.platform {
            Platform::Kubernetes | Platform::Spiffe | Platform::Aws | Platform::Azure => {
                (true, false)
            }
            Platform::GitlabCi => (false, true),
            Platform::GithubActions | Platform::Gcp => (false, false),
        };
        if self.path.is_some() && !takes_path {
            return Err(setup(&format!("{name} has no file")));
        }
        if self.variable.is_some() && !takes_variable {
            return Err(setup(&format!("{name} has no variable of one's own")));
        }
        match self.platform {
            Platform::Kubernetes | Platform::Spiffe | Platform::Aws | Platform::Azure => {
                let path = match (&self.path, self.platform.file_variable()) {
                    (Some(path), _) => path.clone(),
                    (None, Some(variable)) => required(environment, variable)?,
                    (None, None) => return Err(setup(&format!("{name} needs the path of a file"))),
                };
                let format = TokenFormat::Text;
                Ok(CredentialSource::File { path, format })
            }
            Platform::GitlabCi => {
                let needs = || setup(&format!("{name} needs the name of a variable"));
                let variable = self.variable.clone().ok_or_else(needs)?;
                Ok(CredentialSource::Variable(variable))
            }
            Platform::GithubActions => github_actions(environment),
            Platform::Gcp => gcp(environment),
        }
    }
}

/// `GET {ACTIONS_ID_TOKEN_REQUEST_URL}&audience=…`, with a bearer token; the reply is `{"value": …}`.
fn github_actions(environment: &dyn Environment) -> Result<CredentialSource, Error> {
    let url = required(environment, "ACTIONS_ID_TOKEN_REQUEST_URL")?;
    let token = required(environment, "ACTIONS_ID_TOKEN_REQUEST_TOKEN")?;
    let endpoint = WorkloadTokenService::new(&url)?
        .audience_parameter("audience")
        .bearer(&token.into())?
        .format(TokenFormat::Json("value".to_owned()));
    Ok(CredentialSource::Endpoint(endpoint))
}

/// `GET …/identity?audience=…&format=full`; the reply is the token.
fn gcp(environment: &dyn Environment) -> Result<CredentialSource, Error> {
    let host = present(environment, "GCE_METADATA_HOST");
    let host = host.unwrap_or_else(|| "169.254.169.254".to_owned());
    let account = "computeMetadata/v1/instance/service-accounts/default";
    let endpoint =
        WorkloadTokenService::new(&format!("http://{host}/{account}/identity?format=full"))?
            .audience_parameter("audience")
            .header("metadata-flavor", "Google")?;
    Ok(CredentialSource::Endpoint(endpoint))
}

fn setup(detail: &str) -> Error {
    Error::from(Misuse::WorkloadSetup).about(detail)
}

/// A variable's value; an empty one counts as not set.
pub(crate) fn present(environment: &dyn Environment, name: &str) -> Option<String> {
    let value = environment.variable(name)?;
    Some(value.expose().trim().to_owned()).filter(|value| !value.is_empty())
}

/// The value of an environment variable that must be present.
///
/// # Errors
/// `environment.missing`, which names the variable.
fn required(environment: &dyn Environment, name: &str) -> Result<String, Error> {
    let missing = || Error::from(Misuse::EnvironmentMissing).about(name);
    present(environment, name).ok_or_else(missing)
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
