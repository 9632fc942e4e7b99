//! Profiles: options that need not be repeated. The file contains no secrets, only references to them.

mod syntax;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use oauth_reqwest::transport::Settings;
use serde::{Deserialize, Serialize};

use crate::Global;
use crate::credential::Auth;
use crate::output::Failure;
use crate::profile_rules::ProfileRules;
use crate::registered_responses::RegisteredResponses;
use crate::token_request::{ProfileDefaults, Values};

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The default profile.
    pub(crate) default_profile: Option<String>,
    #[serde(default)]
    pub(crate) profile: BTreeMap<String, Profile>,
}

/// `[profile.NAME]`. Command-line options take precedence over it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Profile {
    /// The name; `None` if no profile is selected.
    #[serde(skip)]
    pub(crate) name: Option<String>,
    /// The server: a built-in provider,
    pub(crate) provider: Option<String>,
    /// a provider file,
    pub(crate) provider_file: Option<PathBuf>,
    /// or an issuer to discover.
    pub(crate) issuer: Option<String>,
    /// The variables of the provider's URLs.
    pub(crate) variables: BTreeMap<String, String>,
    /// The provider's documented options to turn on.
    pub(crate) options: Vec<String>,
    /// The base URL that all URLs of the provider are moved to, for tests.
    pub(crate) on_loopback: Option<String>,
    /// Whether issuer, endpoints and API may be plain `http` on a loopback address.
    pub(crate) loopback_http: bool,
    /// The environment variable that holds an access token, instead of a client that gets one.
    pub(crate) token_env: Option<String>,
    /// The file that holds an access token.
    pub(crate) token_file: Option<PathBuf>,
    /// The client id.
    pub(crate) client_id: Option<String>,
    /// The environment variable that holds the client secret.
    pub(crate) client_secret_env: Option<String>,
    /// The file that holds the client secret.
    pub(crate) client_secret_file: Option<PathBuf>,
    /// The file of the key that signs the client's assertions,
    pub(crate) client_key_file: Option<PathBuf>,
    /// the variable or the file that holds its passphrase, if it is encrypted,
    pub(crate) client_key_passphrase_env: Option<String>,
    /// the variable takes precedence,
    pub(crate) client_key_passphrase_file: Option<PathBuf>,
    /// the algorithm,
    pub(crate) client_key_alg: Option<String>,
    /// and the `kid`.
    pub(crate) client_key_id: Option<String>,
    /// The file that holds a workload's token.
    pub(crate) client_assertion_file: Option<PathBuf>,
    /// Whether the client ID is sent along with it.
    pub(crate) client_assertion_with_id: bool,
    /// The audience of assertions, if it is not the issuer.
    pub(crate) client_assertion_audience: Option<String>,
    /// The client authentication method.
    pub(crate) client_auth: Option<Auth>,
    /// The private key that its tokens are bound to (DPoP).
    pub(crate) dpop_key_file: Option<PathBuf>,
    /// The security profile that is enforced.
    pub(crate) profile_rules: Option<ProfileRules>,
    /// The registered signing and encryption of responses to the client.
    pub(crate) registered: RegisteredResponses,
    /// Whom commands act for; by default the user after the first login, and the client until then.
    #[serde(rename = "as")]
    pub(crate) acts_for: Option<ActsFor>,
    /// Endpoints that are missing or wrong in the server's metadata.
    pub(crate) endpoints: BTreeMap<String, String>,
    /// The scope to request.
    pub(crate) scope: Option<String>,
    /// The resources the tokens are for (RFC 8707),
    pub(crate) resource: Vec<String>,
    /// the audiences,
    pub(crate) audience: Vec<String>,
    /// and provider-specific parameters of token requests.
    pub(crate) token_parameters: BTreeMap<String, Values>,
    /// The redirect URI of logins, as it is registered.
    pub(crate) redirect_uri: Option<String>,
    /// The loopback port for logins; any free one if absent.
    pub(crate) redirect_port: Option<u16>,
    /// The path for logins; `/callback` if absent.
    pub(crate) redirect_path: Option<String>,
    /// The redirect URIs registered for the client, if the provider compares them.
    pub(crate) redirect_uris: Vec<String>,
    /// The registered URI to which the browser returns from a logout at the server.
    pub(crate) post_logout_redirect_uri: Option<String>,
    /// Origins that may receive its tokens, in addition to the provider's API.
    pub(crate) origins: Vec<String>,
    /// The user name for git and docker.
    pub(crate) credential_username: Option<String>,
    /// The store of its tokens.
    pub(crate) store: StoreKind,
    /// Certificates, proxy and limits, as [`Settings`] has them.
    #[serde(skip_serializing)]
    pub(crate) network: Settings,
}

/// The store of a profile's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoreKind {
    /// Files, shared by all shells of this user
    #[default]
    File,
    /// SQLite database, shared by all shells of this user
    Sqlite,
    /// Encrypted files, with the key in the keyring of the operating system
    Keyring,
    /// Not stored: each command requests its own tokens
    None,
}

/// Whom a command acts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActsFor {
    /// The user who logged in with the profile
    // `person` was its name before.
    #[value(alias = "person")]
    #[serde(alias = "person")]
    User,
    /// The client itself
    Client,
}

impl ActsFor {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Client => "client",
        }
    }
}

impl Profile {
    /// The resources and audiences of its tokens, in addition to the scope.
    pub(crate) fn defaults(&self) -> ProfileDefaults<'_> {
        ProfileDefaults {
            resource: &self.resource,
            audience: &self.audience,
            token_parameters: &self.token_parameters,
        }
    }
}

impl File {
    /// All profiles; none if there is no file.
    pub(crate) fn load(global: &Global) -> Result<Self, Failure> {
        Ok(Self::find(global)?
            .map(|(_, file)| file)
            .unwrap_or_default())
    }

    /// A profile by its name.
    fn find_by_name(&self, name: &str, path: &Path) -> Option<Profile> {
        let mut profile = self.profile.get(name)?.clone().resolve_paths(path);
        profile.name = Some(name.to_owned());
        Some(profile)
    }

    /// The file and its path. A file given with --config must exist.
    fn find(global: &Global) -> Result<Option<(PathBuf, Self)>, Failure> {
        let Some(path) = path(global) else {
            return Ok(None);
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && global.config.is_none() =>
            {
                return Ok(None);
            }
            Err(error) => return Err(invalid_profile(&path, &error.to_string())),
        };
        let file = Self::parse(&path, &text)?;
        Ok(Some((path, file)))
    }

    /// Reads the text of the file at this path.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        let file: Self = toml::from_str(text)
            .map_err(|error| invalid_profile(path, &syntax::explain(text, &error)))?;
        for (name, profile) in &file.profile {
            if let Some((first, second)) = profile.conflict() {
                return Err(Failure::usage(
                    "usage.profile",
                    format_args!(
                        "{}: profile `{name}` has both `{first}` and `{second}`, which exclude each other",
                        path.display()
                    ),
                    "remove one of them from the file, or choose another file with --config",
                ));
            }
        }
        Ok(file)
    }
}

impl Profile {
    /// The selected profile, or else the default profile, or else an empty one.
    pub(crate) fn load(global: &Global) -> Result<Self, Failure> {
        let Some((path, file)) = File::find(global)? else {
            let reason = match default_path() {
                Some(path) => format!("{} does not exist", path.display()),
                None => "no home directory".to_owned(),
            };
            return missing(global.profile.as_deref(), &reason);
        };
        let Some(name) = global.profile.as_ref().or(file.default_profile.as_ref()) else {
            return Ok(Self::default());
        };
        let Some(profile) = file.find_by_name(name, &path) else {
            let names: Vec<&str> = file.profile.keys().map(String::as_str).collect();
            let reason = format!("no profile `{name}`; the profiles are {}", names.join(", "));
            return Err(invalid_profile(&path, &reason));
        };
        Ok(profile)
    }

    /// The selected profile, or else all profiles.
    pub(crate) fn candidates(global: &Global) -> Result<Vec<Self>, Failure> {
        if global.profile.is_some() {
            return Ok(vec![Self::load(global)?]);
        }
        let Some((path, file)) = File::find(global)? else {
            return Ok(Vec::new());
        };
        let all = file.profile.keys();
        Ok(all
            .filter_map(|name| file.find_by_name(name, &path))
            .collect())
    }

    /// The redirect URIs that are registered.
    pub(crate) fn registered(&self) -> Vec<String> {
        let first = self.redirect_uri.iter();
        let mut all: Vec<String> = first.chain(&self.redirect_uris).cloned().collect();
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|uri| seen.insert(uri.clone()));
        all
    }

    /// Two settings that exclude each other, as the options for them do on the command line.
    fn conflict(&self) -> Option<(&'static str, &'static str)> {
        let has_token = self.token_env.is_some() || self.token_file.is_some();
        let groups: [&[(&str, bool)]; 5] = [
            &[
                ("provider", self.provider.is_some()),
                ("provider_file", self.provider_file.is_some()),
                ("issuer", self.issuer.is_some()),
            ],
            &[
                ("client_secret_env", self.client_secret_env.is_some()),
                ("client_secret_file", self.client_secret_file.is_some()),
                ("client_key_file", self.client_key_file.is_some()),
                (
                    "client_assertion_file",
                    self.client_assertion_file.is_some(),
                ),
            ],
            &[
                (
                    "client_key_passphrase_env",
                    self.client_key_passphrase_env.is_some(),
                ),
                (
                    "client_key_passphrase_file",
                    self.client_key_passphrase_file.is_some(),
                ),
            ],
            &[
                ("token_env", self.token_env.is_some()),
                ("token_file", self.token_file.is_some()),
            ],
            &[
                ("as", self.acts_for.is_some()),
                ("a fixed token", has_token),
            ],
        ];
        groups.into_iter().find_map(|group| {
            let mut given = group.iter().filter(|(_, is_given)| *is_given);
            Some((given.next()?.0, given.next()?.0))
        })
    }

    /// Whether its servers are on this machine.
    pub(crate) const fn is_local(&self) -> bool {
        self.loopback_http || self.on_loopback.is_some()
    }

    /// Resolves relative file names of the command line against the current folder.
    pub(crate) fn named_here(self) -> Result<Self, Failure> {
        let current_folder = std::env::current_dir()
            .map_err(|error| invalid_profile(Path::new("."), &error.to_string()))?;
        Ok(self.resolve_paths(&current_folder.join("-")))
    }

    /// Resolves relative file names against the folder of the profile file, and `~/` against the home folder.
    pub(crate) fn resolve_paths(mut self, config: &Path) -> Self {
        let folder = config.parent().unwrap_or_else(|| Path::new(""));
        let files = [
            &mut self.provider_file,
            &mut self.client_secret_file,
            &mut self.client_key_file,
            &mut self.client_key_passphrase_file,
            &mut self.client_assertion_file,
            &mut self.dpop_key_file,
            &mut self.registered.decryption_key_file,
            &mut self.token_file,
        ];
        for path in files.into_iter().flatten() {
            // `-` is stdin.
            if path != Path::new("-") {
                *path = folder.join(at_home(path));
            }
        }
        let network = &mut self.network;
        for text in [&mut network.ca, &mut network.only_ca]
            .into_iter()
            .flatten()
        {
            *text = at_home(Path::new(text)).to_string_lossy().into_owned();
        }
        let secrets = [&mut network.client_certificate, &mut network.client_key];
        for text in secrets.into_iter().flatten() {
            let moved = at_home(Path::new(text.expose()))
                .to_string_lossy()
                .into_owned();
            *text = moved.into();
        }
        self.network = self.network.relative_to(folder);
        self
    }
}

/// The path of the profile file, which might not exist yet.
pub(crate) fn path(global: &Global) -> Option<PathBuf> {
    global.config.clone().or_else(default_path)
}

fn default_path() -> Option<PathBuf> {
    let folder = match base_directory("XDG_CONFIG_HOME") {
        Some(folder) => folder,
        None => home()?.join(".config"),
    };
    Some(folder.join("oauth").join("config.toml"))
}

/// An environment variable that is not empty.
pub(crate) fn nonempty_variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// A folder of the XDG Base Directory Specification: a relative path is invalid there, and ignored.
pub(crate) fn base_directory(name: &str) -> Option<PathBuf> {
    nonempty_variable(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

pub(crate) fn home() -> Option<PathBuf> {
    nonempty_variable("HOME")
        .or_else(|| nonempty_variable("USERPROFILE"))
        .map(PathBuf::from)
}

/// The path with the home folder in place of a leading `~`. Another text, such as that of a certificate, is unchanged.
fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// A missing file is fine, unless one of its profiles was requested.
fn missing(requested: Option<&str>, reason: &str) -> Result<Profile, Failure> {
    match requested {
        None => Ok(Profile::default()),
        Some(name) => Err(Failure::usage(
            "usage.profile",
            format_args!("no profile `{name}`: {reason}"),
            "create it with oauth profile add, or pass the profile file with --config",
        )),
    }
}

pub(crate) fn invalid_profile(path: &Path, reason: &str) -> Failure {
    let hint = if reason.contains("client_secret`") {
        "do not store secrets in this file: use client_secret_env or client_secret_file instead"
    } else {
        "correct the file, or choose another with --config or --profile"
    };
    Failure::usage(
        "usage.profile",
        format_args!("{}: {reason}", path.display()),
        hint,
    )
}
