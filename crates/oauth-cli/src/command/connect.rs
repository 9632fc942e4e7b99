//! `oauth connect`: a token for an API that is known only by its URL (Model Context Protocol, RFC 9728).

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use oauth_core::error::Misuse;
use oauth_core::flow::resource_connection::{
    ClientCandidates, ConnectRequest, GrantChoice, MultipleServersPolicy,
};
use oauth_core::issuer::Issuer;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::url::Url;
use oauth_core::{ClientId, ClientMetadata, Error, danger};
use oauth_reqwest::{AddressPolicy, DeviceLogin, ResourceConnection};
use oauth_session::blocking::wait;
use serde_json::{Value, json};

use super::format::Format;
use super::{device, token};
use crate::Global;
use crate::browser::Browser;
use crate::credential::ClientSecret;
use crate::key_file;
use crate::output::{Failure, Output, print_stderr};
use crate::profile::Profile;
use crate::setup::{tracer, transport};
use crate::token_store::TokenStore;

pub(super) const EXAMPLES: &str = "\
Only the access token is printed, so it can be used directly:
  oauth connect https://mcp.example/mcp
  oauth connect https://mcp.example/mcp --format curl | \\
    curl --config - https://mcp.example/mcp
  oauth connect https://mcp.example/mcp --client-id app --issuer https://as.example
  oauth connect https://mcp.example/mcp --device
  oauth connect https://mcp.example/mcp --forget

The authorization server is discovered from the metadata of the API. The command registers itself there as a public \
client, unless --client-id or --client-metadata-url is given, and opens the browser for the login. The client and \
its tokens are stored for all shells of this user, and expired tokens are refreshed: the next call prints a valid \
token immediately.

Without a browser, such as in an SSH session, and with --device, the command shows a code to enter on another device, \
if the server supports this. --trace shows the requests that are sent.

With --json, the first line on stdout contains what the user has to open or enter, if a login is necessary: either \
`authorization_url`, or the members of a device code, as with oauth login. The same line is on stderr. The last line on \
stdout is the token. With --format, it is the only one.

An API can name any authorization server, so check the page before you sign in. A server that only the API names is \
contacted only at public addresses, unless --allow-issuer or --issuer names it too. If the API names several servers, \
choose one with --allow-issuer. If the server no longer knows the \
client, it is registered again, once; if only the page in the browser says that the client is unknown, use --forget. \
The token is valid for this API only.";

/// Gets a token for an API by its URL.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// URL of the API, such as an MCP server
    #[arg(value_name = "URL")]
    url: String,
    /// Client name to register
    #[arg(
        long,
        value_name = "NAME",
        default_value = "oauth",
        help_heading = "Client"
    )]
    name: String,
    /// ID of a client that is already registered at --issuer
    #[arg(long, value_name = "ID", requires = "issuer", help_heading = "Client")]
    client_id: Option<String>,
    #[command(flatten)]
    secret: ClientSecret,
    /// URL of a client ID metadata document, used as client ID if the server supports it
    #[arg(long, value_name = "URL", help_heading = "Client")]
    client_metadata_url: Option<String>,
    /// Get a token for the client itself instead of a user
    #[arg(long, requires = "client_id", help_heading = "Client")]
    as_client: bool,
    /// Bind tokens to the private key in this file (DPoP, RFC 9449); without it, a key is generated and stored if the
    /// API requires one
    #[arg(long, value_name = "FILE", help_heading = "Client")]
    dpop_key: Option<PathBuf>,
    /// Authorization server at which --client-id is registered
    #[arg(long, value_name = "URL", help_heading = "Server")]
    issuer: Option<String>,
    /// Use only this authorization server, even if the API names others; may be repeated
    #[arg(long = "allow-issuer", value_name = "URL", help_heading = "Server")]
    allowed: Vec<String>,
    /// Do not send the `resource` parameter (RFC 8707), for servers that reject it, such as Microsoft Entra; required
    /// in each call
    #[arg(long, help_heading = "Server")]
    without_resource: bool,
    /// Send this `resource` parameter, for servers that know the API by another identifier; required in each call
    #[arg(
        long,
        value_name = "URI",
        conflicts_with = "without_resource",
        help_heading = "Server"
    )]
    resource: Option<String>,
    /// Allow plain http for loopback addresses
    #[arg(long, help_heading = "Server")]
    loopback_http: bool,
    /// Print the URL instead of opening a browser
    #[arg(long)]
    no_browser: bool,
    /// Show a code to enter on another device instead of opening a browser (RFC 8628)
    #[arg(long, conflicts_with_all = ["no_browser", "as_client"])]
    device: bool,
    /// How long to wait for the browser to return, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    /// Remove the stored client and tokens of this API, and exit
    #[arg(long)]
    forget: bool,
    /// Output format
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Connect {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let connection = self.connection(global, output)?;
        if self.forget {
            wait(connection.forget())??;
            let record = json!({ "forgotten": self.url });
            return output.result(format_args!("forgotten: {}", self.url), &record);
        }
        let tokens = wait(connection.token())??.into_arc();
        match self.format {
            Some(format) => format.print(&tokens, output),
            None => token::print(&tokens, output),
        }
    }

    fn connection(&self, global: &Global, output: Output) -> Result<ResourceConnection, Failure> {
        let profile = Profile {
            loopback_http: self.loopback_http,
            issuer: self.loopback_http.then(|| self.url.clone()),
            ..Profile::default()
        };
        let mut transport = transport(&profile, global)?;
        if self.loopback_http {
            // The user has named this machine on the command line.
            transport.options = transport.options.addresses(AddressPolicy::Any);
        }
        let tracer = tracer(global);
        let driver = transport
            .driver()?
            .on_wire(move |event| tracer.record(event));
        let mut connection = ResourceConnection::new(driver, self.request()?)
            .sign_in_timeout(Duration::from_secs(self.timeout))
            .open(self.opener(output));
        if let Some(login) = self.device_login() {
            let purpose = format!("let {} use {}", self.name, self.url);
            let prompt = self.prompt(output);
            connection = connection.device(login, move |code| {
                prompt(&device::members(code))?;
                device::show(&purpose, code, output);
                Ok(())
            });
        }
        if let Some(path) = &self.dpop_key {
            connection = connection.dpop(key_file::dpop_key(path)?);
        }
        if let Some(secret) = self.secret.source() {
            let secret = secret.read("the client secret", "use --client-secret-file")?;
            connection = connection.client_auth_at(move |server| {
                oauth_crypto::client_secret_auth(secret.clone(), server)
            });
        }
        if global.no_store {
            Ok(connection)
        } else {
            Ok(connection.store(TokenStore::files()?.store()))
        }
    }

    /// With --no-browser, the user opens the URL in a browser elsewhere, so no code is needed.
    fn device_login(&self) -> Option<DeviceLogin> {
        match (self.device, self.no_browser) {
            (true, _) => Some(DeviceLogin::Always),
            (false, false) => Some(DeviceLogin::WhereNoBrowser),
            (false, true) => None,
        }
    }

    fn request(&self) -> Result<ConnectRequest, Error> {
        let request = if self.loopback_http {
            danger::loopback_connect_request(&self.url)?
        } else {
            ConnectRequest::new(&self.url)?
        };
        let mut candidates = match (&self.client_id, &self.issuer) {
            (Some(id), Some(issuer)) => ClientCandidates::preregistered(
                self.parse_issuer(issuer)?,
                ClientId::new(id.as_str()),
            ),
            _ => ClientCandidates::default(),
        };
        candidates.metadata_document = self.client_metadata_url.as_deref().map(ClientId::new);
        let allowed = self.allowed.iter().chain(&self.issuer);
        let allowed = allowed.map(|issuer| self.parse_issuer(issuer));
        let allowed = allowed.collect::<Result<Vec<_>, _>>()?;
        let quirks = self.without_resource.then_some(Quirk::WithoutResource);
        let request = request
            .rules(Rules {
                quirks: quirks.into_iter().collect(),
                ..Rules::default()
            })
            // The error lists the servers, so that the user can choose one.
            .on_several_servers(MultipleServersPolicy::Error)
            .grant(if self.as_client {
                GrantChoice::ClientCredentials
            } else {
                GrantChoice::AuthorizationCode
            })
            .clients(candidates)
            .register(ClientMetadata::of_native_app(self.name.as_str()));
        let request = match &self.resource {
            Some(uri) => request.resource_value(uri)?,
            None => request,
        };
        Ok(if allowed.is_empty() {
            request
        } else {
            request.allow(allowed)
        })
    }

    fn parse_issuer(&self, issuer: &str) -> Result<Issuer, Error> {
        if self.loopback_http {
            danger::loopback_issuer(issuer)
        } else {
            Issuer::parse(issuer)
        }
    }

    /// With `--json`, prints what the user has to open or enter on stdout, as `oauth login` does. With `--format`, stdout is
    /// for the program that reads this format.
    fn prompt(&self, output: Output) -> impl Fn(&Value) -> Result<(), Error> + Send + 'static {
        let is_formatted = self.format.is_some();
        move |line| {
            if is_formatted {
                return Ok(());
            }
            let printed = output.json_line(line);
            printed
                .map_err(|failure| Error::from(Misuse::ApplicationFunction).about(&failure.message))
        }
    }

    /// Opens the page, and always prints its URL.
    fn opener(&self, output: Output) -> impl Fn(&Url) -> Result<(), Error> + Send + Sync + 'static {
        let browser = Browser::find(self.no_browser);
        let timeout = self.timeout;
        let prompt = self.prompt(output);
        move |url| {
            let line = json!({ "authorization_url": url.as_str() });
            prompt(&line)?;
            if browser.open(url) {
                output.note("opening the browser; if it does not show the login, open this URL:");
            } else {
                output.note("open this URL:");
            }
            print_stderr(if output.json {
                line.to_string()
            } else {
                url.to_string()
            });
            output.note(format_args!(
                "waiting up to {timeout} s for the browser (Ctrl-C to cancel)"
            ));
            Ok(())
        }
    }
}
