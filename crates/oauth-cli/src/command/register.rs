//! `oauth register`: registers a client at a server (RFC 7591).

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use oauth_core::endpoint::registration::Registration;
use oauth_core::{ClientMetadata, RegisteredClient, Secret, register};
use serde_json::{Map, Value, json};

use crate::Global;
use crate::credential::Auth;
use crate::new_file::NewFile;
use crate::output::{self, Failure, Output};
use crate::profile::Profile;
use crate::profile_file::{self, ProfileFile};
use crate::secret_source::{Source, read_file, secret_args};
use crate::setup::{discover, net, provider_of};
use crate::time::rfc3339;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth register --issuer https://as.example --name App \\
    --redirect-uri http://127.0.0.1/callback --auth-method none --output client.json
  oauth register --issuer https://as.example --metadata metadata.json \\
    --secret-file acme.secret --print-profile acme >> ~/.config/oauth/config.toml
  oauth register --profile acme --metadata - --show-secrets --json < metadata.json

The server sends the secrets only once, so choose where to store them: --output writes the complete registration, for \
programs; --secret-file writes only the client secret, for a profile; --add-profile also adds the profile. Secrets are \
written to new files that are readable only by you. For a public client, use --auth-method none.";

secret_args!(
    /// The source of the initial access token, which authorizes the registration.
    InitialAccessToken,
    "initial-access-token",
    "initial-access-token",
    "Server",
    "the initial access token"
);

/// Registers a client with a server.
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// Issuer URL of the server [default: the profile's server]
    #[arg(long, value_name = "URL", help_heading = "Server")]
    issuer: Option<String>,
    /// Allow plain http for loopback addresses
    #[arg(long, help_heading = "Server")]
    loopback_http: bool,
    #[command(flatten)]
    initial_access_token: InitialAccessToken,
    /// Read the client metadata from this file, a JSON object (- for stdin); other options override it
    #[arg(long, value_name = "FILE", help_heading = "Client", value_hint = ValueHint::FilePath)]
    metadata: Option<PathBuf>,
    /// Client name shown to users (`client_name`)
    #[arg(long, value_name = "NAME", help_heading = "Client")]
    name: Option<String>,
    /// Redirect URI; may be repeated
    #[arg(long = "redirect-uri", value_name = "URI", help_heading = "Client")]
    redirect_uris: Vec<String>,
    /// Client authentication method, such as client_secret_basic or none
    #[arg(long, value_name = "METHOD", help_heading = "Client")]
    auth_method: Option<String>,
    /// Grant type that the client uses, such as authorization_code or refresh_token; may be repeated
    #[arg(long = "grant", value_name = "TYPE", help_heading = "Client")]
    grants: Vec<String>,
    /// Scope that the client may request
    #[arg(long, value_name = "SCOPE", help_heading = "Client")]
    scope: Option<String>,
    /// Write the complete registration to this new file, including secrets
    #[arg(long, short, value_name = "FILE", help_heading = "Result", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Write the client secret to this new file
    #[arg(long, value_name = "FILE", help_heading = "Result", value_hint = ValueHint::FilePath)]
    secret_file: Option<PathBuf>,
    /// Print the secrets
    #[arg(long, help_heading = "Result")]
    show_secrets: bool,
    /// Print a profile with this name, to add to the profile file
    #[arg(long, value_name = "NAME", help_heading = "Result")]
    print_profile: Option<String>,
    /// Add a profile with this name to the profile file; without --secret-file, the client secret is
    /// written to NAME.secret in the same folder
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Result",
        conflicts_with = "print_profile"
    )]
    add_profile: Option<String>,
}

impl Register {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let is_written_to_file = self.output.is_some() || self.secret_file.is_some();
        if !is_written_to_file && self.add_profile.is_none() && !self.show_secrets {
            return Err(Failure::usage(
                "usage.register_output",
                "the server sends the client's secrets only once, and no option stores them",
                "store them with --output FILE, --secret-file FILE or --add-profile NAME, or print them with --show-secrets",
            ));
        }
        let target = self.target(global)?;
        let mut profile = match &target {
            Some(file) if file.is_new && global.profile.is_none() => Profile::default(),
            _ => Profile::load(global)?,
        };
        if self.issuer.is_some() {
            (profile.provider, profile.provider_file) = (None, None);
            profile.issuer.clone_from(&self.issuer);
        }
        profile.loopback_http |= self.loopback_http;
        let metadata = self.metadata()?;
        let token = self.initial_access_token()?;
        // The secrets are returned only once, so the files are created first.
        let record_file = self.output.as_deref().map(NewFile::create).transpose()?;
        let secret_path = self.secret_path(target.as_ref());
        let secret = secret_path.as_deref();
        let secret = secret.map(NewFile::create).transpose()?;
        let net = net(&profile, global)?;
        let server = match (provider_of(&profile)?, &profile.issuer) {
            (Some(provider), _) => provider.server()?,
            (None, Some(issuer)) => discover(&net, issuer, profile.loopback_http)?,
            (None, None) => return Err(no_server()),
        };
        let request = Registration::new(metadata).initial_access_token(token);
        let client = net.run(register(server, request))?;
        if let Some(file) = record_file {
            file.fill(client.to_json().expose())?;
        }
        if let (Some(file), Some(secret)) = (secret, &client.client_secret) {
            file.fill(secret.expose())?;
        }
        for warning in &client.warnings {
            output.note(format_args!("warning: {}", warning.text()));
        }
        let profile = self.profile(&client, profile, secret_path)?;
        if let Some(name) = &self.add_profile {
            let path = ProfileFile::change(global, |file| {
                file.add(name, &profile)?;
                Ok(file.path.clone())
            })?;
            output.note(format_args!("added profile `{name}` to {}", path.display()));
        }
        self.report_registration(&client, &profile, output)
    }

    /// The metadata in the file, overridden by the options.
    fn metadata(&self) -> Result<ClientMetadata, Failure> {
        let mut members = match &self.metadata {
            Some(path) => object(path)?,
            None => Map::new(),
        };
        let texts = [
            ("client_name", &self.name),
            ("token_endpoint_auth_method", &self.auth_method),
            ("scope", &self.scope),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                members.insert(name.to_owned(), json!(text));
            }
        }
        let lists = [
            ("redirect_uris", &self.redirect_uris),
            ("grant_types", &self.grants),
        ];
        for (name, list) in lists {
            if !list.is_empty() {
                members.insert(name.to_owned(), json!(list));
            }
        }
        let text = Value::Object(members).to_string();
        ClientMetadata::from_json(&text).map_err(Failure::from)
    }

    fn initial_access_token(&self) -> Result<Option<Secret<String>>, Failure> {
        let source = self.initial_access_token.source();
        let options = "use --initial-access-token-env VAR or --initial-access-token-file PATH";
        let read = |source: Source| source.read("the initial access token", options);
        source.map(read).transpose()
    }

    fn report_registration(
        &self,
        client: &RegisteredClient,
        profile: &Profile,
        output: Output,
    ) -> Result<(), Failure> {
        let record = record(client, self.show_secrets);
        if let Some(name) = &self.print_profile {
            let text = profile_file::text(name, profile)?;
            return output.result(text, &Value::Object(record));
        }
        let rows: Vec<_> = record
            .iter()
            .map(|(name, value)| (name.clone(), readable(name, value)))
            .collect();
        output.result(output::table(&rows), &Value::Object(record))
    }

    /// A profile of this client. It contains the path of the secret's file, not the secret.
    fn profile(
        &self,
        client: &RegisteredClient,
        base: Profile,
        secret: Option<PathBuf>,
    ) -> Result<Profile, Failure> {
        let uris = client.metadata.redirect_uris.iter();
        let mut uris: Vec<_> = uris.map(|uri| uri.as_str().to_owned()).collect();
        let profile = Profile {
            issuer: match (&base.provider, &base.provider_file) {
                (None, None) => Some(client.issuer().to_owned()),
                _ => None,
            },
            provider: base.provider,
            provider_file: base.provider_file,
            variables: base.variables,
            options: base.options,
            on_loopback: base.on_loopback,
            loopback_http: base.loopback_http,
            client_id: Some(client.client_id.as_str().to_owned()),
            client_auth: Auth::registered(client.metadata.auth_method()),
            client_secret_file: secret.filter(|_| client.client_secret.is_some()),
            redirect_uri: (uris.len() == 1).then(|| uris.remove(0)),
            redirect_uris: uris,
            ..Profile::default()
        };
        profile.named_here()
    }

    /// Where the client secret is written: by default next to the profile file, if a profile is added.
    fn secret_path(&self, target: Option<&ProfileFile>) -> Option<PathBuf> {
        let secret_file_beside_profile = || {
            let (file, name) = target.zip(self.add_profile.as_ref())?;
            Some(file.path.with_file_name(format!("{name}.secret")))
        };
        self.secret_file.clone().or_else(secret_file_beside_profile)
    }

    /// The profile file, if a profile is to be added to it; checks that this is possible.
    fn target(&self, global: &Global) -> Result<Option<ProfileFile>, Failure> {
        let Some(name) = &self.add_profile else {
            return Ok(None);
        };
        let file = ProfileFile::read(global)?;
        file.check_new(name)?;
        file.try_out().map(Some)
    }
}

/// The server's response, with secrets only if requested.
fn record(client: &RegisteredClient, with_secrets: bool) -> Map<String, Value> {
    let stored: Value = serde_json::from_str(client.to_json().expose()).unwrap_or_default();
    let Value::Object(mut members) = stored else {
        return Map::new();
    };
    members.remove("version");
    let metadata = members.remove("metadata");
    for (name, value) in members.iter_mut() {
        let is_secret = matches!(name.as_str(), "client_secret" | "registration_access_token");
        if is_secret && !with_secrets {
            *value = "[not shown]".into();
        }
    }
    if let Some(Value::Object(mut metadata)) = metadata {
        if !with_secrets {
            metadata.remove("software_statement");
        }
        members.extend(metadata);
    }
    members
}

/// Times in a readable form.
fn readable(name: &str, value: &Value) -> String {
    match (name, value.as_u64()) {
        ("client_secret_expires_at", Some(0)) => "never".to_owned(),
        ("client_id_issued_at" | "client_secret_expires_at", Some(seconds)) => {
            rfc3339(oauth_core::moment::UnixTime::from_secs(seconds))
        }
        _ => output::plain(value),
    }
}

/// The JSON object in a file.
pub(super) fn object(path: &Path) -> Result<Map<String, Value>, Failure> {
    let refused = |reason: &str| {
        Failure::usage(
            "usage.metadata",
            format_args!("{}: {reason}", path.display()),
            "pass a file that contains a JSON object",
        )
    };
    let text = read_file(path).map_err(|error| refused(&error.to_string()))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(refused("not a JSON object")),
    }
}

fn no_server() -> Failure {
    Failure::usage(
        "usage.server",
        "no server is given",
        "use --issuer or --profile",
    )
}
