//! Client credentials: a secret, a key, an assertion issued by another party, or a certificate.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use oauth_core::client_auth::{
    AssertionAudience, Certificate, ClientAssertion, ClientIdParameter, FederatedAssertion,
};
use oauth_core::error::{Error, Misuse, ValidationFailure};
use oauth_core::jose::Alg;
use oauth_core::server::Server;
use oauth_core::{ClientAuth, Secret};
use oauth_providers::Provider;
use oauth_reqwest::AssertionFile;
use serde::{Deserialize, Serialize};

use crate::key_file::{self, Passphrase};
use crate::output::Failure;
use crate::profile::Profile;
use crate::secret_source::{Source, secret_args};
use crate::setup::SecretRequirement;

/// How the client authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Auth {
    /// `client_secret_basic`: client secret in the Authorization header
    Basic,
    /// `client_secret_post`: client secret in the request body
    Post,
    /// `client_secret_jwt`: assertion signed with the client secret (HMAC)
    ClientSecretJwt,
    /// `private_key_jwt`: assertion signed with --key
    PrivateKeyJwt,
    /// Workload token in --assertion-file, such as a Kubernetes service account token
    AssertionFile,
    /// `tls_client_auth`: --client-cert, issued by an authority that the server trusts
    Tls,
    /// `self_signed_tls_client_auth`: --client-cert, registered at the server
    SelfSignedTls,
    /// `spiffe_x509`: --client-cert is an X.509-SVID, whose SPIFFE ID is the client ID
    SpiffeX509,
    /// Public client, without a secret
    None,
}

/// The credentials that an authentication method needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CredentialKind {
    Secret,
    Key,
    AssertionFile,
    Certificate,
}

impl Auth {
    const fn needs(self) -> Option<CredentialKind> {
        match self {
            Self::Basic | Self::Post | Self::ClientSecretJwt => Some(CredentialKind::Secret),
            Self::PrivateKeyJwt => Some(CredentialKind::Key),
            Self::AssertionFile => Some(CredentialKind::AssertionFile),
            Self::Tls | Self::SelfSignedTls | Self::SpiffeX509 => Some(CredentialKind::Certificate),
            Self::None => None,
        }
    }

    /// The method with this registered name (RFC 7591 section 2); `None` if a profile cannot contain it.
    pub(crate) fn registered(name: &str) -> Option<Self> {
        Some(match name {
            "client_secret_basic" => Self::Basic,
            "client_secret_post" => Self::Post,
            "client_secret_jwt" => Self::ClientSecretJwt,
            "private_key_jwt" => Self::PrivateKeyJwt,
            "tls_client_auth" => Self::Tls,
            "self_signed_tls_client_auth" => Self::SelfSignedTls,
            "spiffe_x509" => Self::SpiffeX509,
            "none" => Self::None,
            _ => return None,
        })
    }

    /// The name in a profile.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Post => "post",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::AssertionFile => "assertion_file",
            Self::Tls => "tls",
            Self::SelfSignedTls => "self_signed_tls",
            Self::SpiffeX509 => "spiffe_x509",
            Self::None => "none",
        }
    }
}

impl CredentialKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "a client secret",
            Self::Key => "a key",
            Self::AssertionFile => "an assertion file",
            Self::Certificate => "a client certificate",
        }
    }

    /// The options that provide it.
    const fn options(self) -> &'static str {
        match self {
            Self::Secret => SECRET_OPTIONS,
            Self::Key => {
                "use --key FILE, or set `client_key_file` in the profile; oauth key new generates a key"
            }
            Self::AssertionFile => {
                "use --assertion-file FILE, or set `client_assertion_file` in the profile"
            }
            Self::Certificate => {
                "use --client-cert FILE, or set `network.client_certificate` in the profile"
            }
        }
    }
}

/// The options for a client secret.
const SECRET_OPTIONS: &str = "use --client-secret-env VAR, --client-secret-file PATH (- for stdin), \
     `client_secret_env` or `client_secret_file` in the profile, or the prompt of a terminal; \
     for a client without a secret, use --client-auth none";

secret_args!(
    /// The source of the client secret.
    ClientSecret,
    "client-secret",
    "credential",
    "Client",
    "the client secret",
    "client_secret"
);

/// The options for it.
#[derive(Debug, Clone, Args)]
pub(crate) struct CredentialArgs {
    /// Client authentication method [default: from the provider or the server's metadata, or the
    /// method that uses the given key or file]
    #[arg(long, value_name = "METHOD", help_heading = "Client")]
    client_auth: Option<Auth>,
    #[command(flatten)]
    client_secret: ClientSecret,
    /// Sign client assertions with the private key in this file, PEM or JWK (- for stdin) [profile:
    /// `client_key_file`]
    #[arg(
        long, value_name = "FILE", help_heading = "Client", group = "credential",
        value_hint = ValueHint::FilePath
    )]
    key: Option<PathBuf>,
    #[command(flatten)]
    key_passphrase: Passphrase,
    /// Signature algorithm of client assertions, such as ES256 [default: one that both key and server
    /// support; profile: `client_key_alg`]
    #[arg(long, value_name = "ALG", help_heading = "Client", value_parser = alg_name)]
    key_alg: Option<String>,
    /// Key ID (`kid`) registered at the server [default: `kid` of the JWK; profile: `client_key_id`]
    #[arg(long, value_name = "KID", help_heading = "Client")]
    key_id: Option<String>,
    /// Authenticate with the workload token in this file, reread for each request [profile:
    /// `client_assertion_file`]
    #[arg(
        long, value_name = "FILE", help_heading = "Client", group = "credential",
        value_hint = ValueHint::FilePath
    )]
    assertion_file: Option<PathBuf>,
    /// Audience of client assertions [default: the issuer; profile: `client_assertion_audience`]
    #[arg(long, value_name = "AUD", help_heading = "Client")]
    assertion_audience: Option<String>,
    /// Send the client ID along with the workload token, as Microsoft Entra requires [profile:
    /// `client_assertion_with_id`]
    #[arg(long, help_heading = "Client")]
    assertion_with_id: bool,
    /// Use this client certificate: a PEM file with the certificate and its key [profile:
    /// `network.client_certificate`]
    #[arg(long, value_name = "FILE", help_heading = "Client", value_hint = ValueHint::FilePath)]
    client_cert: Option<String>,
}

impl CredentialArgs {
    /// Overrides the profile with the command line. There is only one credential: a given one replaces that of the
    /// profile, and also a method that does not use it.
    pub(crate) fn override_profile(self, profile: &mut Profile) {
        let kind = match (&self.key, &self.assertion_file) {
            (Some(_), _) => Some(CredentialKind::Key),
            (None, Some(_)) => Some(CredentialKind::AssertionFile),
            _ => self.client_secret.source().map(|_| CredentialKind::Secret),
        };
        if kind.is_some() {
            profile.client_secret_env = self.client_secret.env;
            profile.client_secret_file = self.client_secret.file;
            profile.client_key_file = self.key;
            profile.client_assertion_file = self.assertion_file;
            profile.client_auth = profile.client_auth.filter(|auth| auth.needs() == kind);
        }
        if let Some(path) = self.client_cert {
            profile.network.client_certificate = Some(path.into());
            profile.network.client_key = None;
        }
        let or = |from_args: Option<String>, usual: &mut Option<String>| {
            if from_args.is_some() {
                *usual = from_args;
            }
        };
        if self.key_passphrase.source().is_some() {
            profile.client_key_passphrase_env = self.key_passphrase.env;
            profile.client_key_passphrase_file = self.key_passphrase.file;
        }
        or(self.key_alg, &mut profile.client_key_alg);
        or(self.key_id, &mut profile.client_key_id);
        or(
            self.assertion_audience,
            &mut profile.client_assertion_audience,
        );
        profile.client_assertion_with_id |= self.assertion_with_id;
        profile.client_auth = self.client_auth.or(profile.client_auth);
    }
}

/// The credential with which a profile's client authenticates, if configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credential(Option<Auth>);

impl Credential {
    /// The credential of this profile. Checks that its method and the given credential match.
    pub(crate) fn from_profile(profile: &Profile) -> Result<Self, Failure> {
        if let Some(name) = &profile.client_key_alg {
            alg(name).ok_or_else(|| {
                Failure::usage(
                    "usage.key_alg",
                    no_alg(name),
                    "use an algorithm such as ES256, EdDSA or RS256",
                )
            })?;
        }
        let method = profile.client_auth;
        if method == Some(Auth::None) {
            return Ok(Self(method));
        }
        let has_secret =
            profile.client_secret_env.is_some() || profile.client_secret_file.is_some();
        let mut kinds = [
            (CredentialKind::Secret, has_secret),
            (CredentialKind::Key, profile.client_key_file.is_some()),
            (
                CredentialKind::AssertionFile,
                profile.client_assertion_file.is_some(),
            ),
        ]
        .into_iter()
        .filter_map(|(kind, is_given)| is_given.then_some(kind));
        let first = kinds.next();
        if let (Some(first), Some(second)) = (first, kinds.next()) {
            return Err(Failure::usage(
                "usage.credentials",
                format_args!("{} and {} are given", first.as_str(), second.as_str()),
                "a client must use only one authentication method (RFC 6749 section 2.3): remove one of them",
            ));
        }
        let Some(method) = method else {
            return Ok(Self(match first {
                Some(CredentialKind::Key) => Some(Auth::PrivateKeyJwt),
                Some(CredentialKind::AssertionFile) => Some(Auth::AssertionFile),
                _ => None,
            }));
        };
        let needed = method.needs();
        if let Some(other) = first.filter(|kind| Some(*kind) != needed) {
            return Err(Failure::usage(
                "usage.credentials",
                format_args!("`{}` does not use {}", method.as_str(), other.as_str()),
                "remove it, or choose a method that uses it with --client-auth",
            ));
        }
        let has_certificate = profile.network.client_certificate.is_some();
        match needed {
            // The user can be prompted for a secret.
            Some(CredentialKind::Secret) | None => {}
            Some(CredentialKind::Certificate) if has_certificate => {}
            Some(kind) if first == Some(kind) => {}
            Some(kind) => {
                return Err(Failure::usage(
                    "usage.credentials",
                    format_args!("`{}` requires {}", method.as_str(), kind.as_str()),
                    kind.options(),
                ));
            }
        }
        Ok(Self(Some(method)))
    }

    /// The source of the client secret, if there is one.
    fn secret(
        self,
        profile: &Profile,
        provider: Option<&Provider>,
        need: SecretRequirement,
    ) -> Option<Source> {
        let may_have_one = self
            .0
            .is_none_or(|auth| auth.needs() == Some(CredentialKind::Secret));
        if !may_have_one {
            return None;
        }
        let env = profile.client_secret_env.as_ref();
        Source::selected(env, profile.client_secret_file.as_ref()).or_else(|| {
            let may_be_public = provider.is_none_or(|provider| provider.client_auth(None).is_ok());
            let is_optional =
                need == SecretRequirement::Optional && may_be_public && self.0.is_none();
            (!is_optional).then_some(Source::Prompt)
        })
    }

    /// Reads the secret or the key.
    pub(crate) fn read(
        self,
        profile: &Profile,
        provider: Option<&Provider>,
        need: SecretRequirement,
        reads_stdin: bool,
    ) -> Result<LoadedCredentials, Failure> {
        let source = self.secret(profile, provider, need);
        let key = profile.client_key_file.as_deref();
        let key = key.filter(|_| self.0 == Some(Auth::PrivateKeyJwt));
        let passphrase = Passphrase {
            env: profile.client_key_passphrase_env.clone(),
            file: profile.client_key_passphrase_file.clone(),
        };
        let is_stdin = source.as_ref().is_some_and(Source::is_stdin) || key == Some(Path::new("-"));
        let passphrase_is_stdin =
            key.is_some() && passphrase.source().is_some_and(|source| source.is_stdin());
        if (reads_stdin && (is_stdin || passphrase_is_stdin)) || (is_stdin && passphrase_is_stdin) {
            return Err(Failure::usage(
                "usage.stdin_twice",
                "stdin can be read only once",
                "pass the secret, the key or the token in a variable or a file",
            ));
        }
        let secret = source.map(|source| source.read("client secret", SECRET_OPTIONS));
        let key = key.map(|path| {
            let text = passphrase.decrypt(path, key_file::read_text(path)?)?;
            Ok::<_, Failure>((path.to_owned(), text))
        });
        Ok(LoadedCredentials {
            method: self.0,
            secret: secret.transpose()?,
            key: key.transpose()?,
        })
    }
}

/// The credentials that were read, before the server is known.
pub(crate) struct LoadedCredentials {
    method: Option<Auth>,
    secret: Option<Secret<String>>,
    key: Option<(PathBuf, Secret<String>)>,
}

impl LoadedCredentials {
    /// The method at this server.
    pub(crate) fn client_auth(
        self,
        profile: &Profile,
        provider: Option<&Provider>,
        server: &Server,
    ) -> Result<ClientAuth, Failure> {
        let needed = || Error::from(Misuse::SecretMissing);
        Ok(match self.method {
            None => match (provider, self.secret) {
                (Some(provider), secret) => provider.client_auth(secret)?,
                (None, None) => ClientAuth::none(),
                (None, Some(secret)) => {
                    oauth_crypto::client_secret_auth(secret, server).map_err(unfit_secret)?
                }
            },
            Some(Auth::None) => ClientAuth::none(),
            Some(Auth::Basic) => ClientAuth::basic(self.secret.ok_or_else(needed)?),
            Some(Auth::Post) => ClientAuth::post(self.secret.ok_or_else(needed)?),
            Some(Auth::ClientSecretJwt) => {
                let secret = self.secret.ok_or_else(needed)?;
                let bytes = secret.expose().len();
                let alg = configured_alg(profile);
                let alg = alg.unwrap_or_else(|| ClientAssertion::mac_alg_at(server, bytes));
                let client_jwt =
                    oauth_crypto::client_secret_jwt(secret, alg).map_err(unfit_secret)?;
                ClientAuth::assertion(with_audience(client_jwt, profile))
            }
            Some(Auth::PrivateKeyJwt) => {
                let (path, text) = self.key.ok_or_else(|| Error::from(Misuse::KeyMalformed))?;
                let (key, own_id) =
                    key_file::private_key(&path, &text, server, configured_alg(profile))?;
                let kid = profile.client_key_id.clone().or(own_id);
                let client_jwt = key.client_assertion(kid.unwrap_or_default());
                ClientAuth::assertion(with_audience(client_jwt, profile))
            }
            Some(Auth::AssertionFile) => {
                let path = profile.client_assertion_file.clone().unwrap_or_default();
                let mut assertion = FederatedAssertion::new(AssertionFile::new(path));
                if let Some(audience) = &profile.client_assertion_audience {
                    assertion = assertion.audience(audience);
                }
                if profile.client_assertion_with_id {
                    assertion = assertion.client_id(ClientIdParameter::Sent);
                }
                ClientAuth::federated(assertion)
            }
            Some(Auth::Tls) => ClientAuth::tls(Certificate::Pki),
            Some(Auth::SelfSignedTls) => ClientAuth::tls(Certificate::SelfSigned),
            Some(Auth::SpiffeX509) => ClientAuth::tls(Certificate::Svid),
        })
    }
}

fn with_audience(assertion: ClientAssertion, profile: &Profile) -> ClientAssertion {
    match profile.client_assertion_audience.clone() {
        Some(text) => assertion.audience(AssertionAudience::Other(text)),
        None => assertion,
    }
}

/// The user has chosen this secret, and no server has been asked yet.
fn unfit_secret(error: Error) -> Failure {
    if error.code() != ValidationFailure::JwsKeyTooSmall.code() {
        return error.into();
    }
    Failure::usage(
        error.code(),
        format_args!(
            "the client secret is too short: {}",
            error.detail().unwrap_or_default()
        ),
        "choose a shorter hash with --key-alg, or have the server issue a longer secret",
    )
}

fn configured_alg(profile: &Profile) -> Option<Alg> {
    profile.client_key_alg.as_deref().and_then(alg)
}

fn alg(name: &str) -> Option<Alg> {
    Alg::from_name(name)
}

fn alg_name(name: &str) -> Result<String, String> {
    alg(name)
        .map(|alg| alg.as_str().to_owned())
        .ok_or_else(|| no_alg(name))
}

fn no_alg(name: &str) -> String {
    format!("unknown algorithm `{name}`")
}
