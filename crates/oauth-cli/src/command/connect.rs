//! `oauth connect`: a token for an API known by its URL alone (Model Context Protocol, RFC 9728).

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use oauth_core::client_auth::Credentials;
use oauth_core::flow::connect::{ClientCandidates, ConnectRequest, GrantChoice};
use oauth_core::issuer::Issuer;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::url::Url;
use oauth_core::{ClientAuth, ClientId, ClientMetadata, Error, danger};
use oauth_reqwest::{AddressPolicy, DeviceLogin, ResourceConnection};
use oauth_session::blocking::wait;
use serde_json::json;

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
Only the access token is printed, so that it can be used at once:
  oauth connect https://mcp.example/mcp
  oauth connect https://mcp.example/mcp --format curl | \\
    curl --config - https://mcp.example/mcp
  oauth connect https://mcp.example/mcp --client-id app --issuer https://as.example
  oauth connect https://mcp.example/mcp --device
  oauth connect https://mcp.example/mcp --forget

The API says who issues its tokens; this client registers itself there as a public one, or is the one that \
--client-id or --client-metadata-url names; the browser shows the login. All of it is stored for all shells of \
this user, and tokens that are over are renewed: the next time a good one is printed at once.

Without a browser, as in a shell over SSH, and with --device a code is shown, to be entered on another \
device, if the server offers that. --trace shows what is sent on the way to the token.

Anybody may run an API that names any server: look at the page before you sign in. A server that the API alone has \
named is asked at public addresses only, unless --allow-issuer or --issuer names it too. A client that the server \
has forgotten registers anew, once; where the page in the browser says that the client is not known, \
use --forget. The token is good for this API alone.";

/// Gets a token of an API by its URL alone.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// The API, such as a server of the Model Context Protocol
    #[arg(value_name = "URL")]
    url: String,
    /// The name by which this client registers itself
    #[arg(
        long,
        value_name = "NAME",
        default_value = "oauth",
        help_heading = "Client"
    )]
    name: String,
    /// The id of a client that was registered by hand at --issuer
    #[arg(long, value_name = "ID", requires = "issuer", help_heading = "Client")]
    client_id: Option<String>,
    #[command(flatten)]
    secret: ClientSecret,
    /// The URL of a client metadata document, which is the client's id where the server takes such
    #[arg(long, value_name = "URL", help_heading = "Client")]
    client_metadata_url: Option<String>,
    /// Act for the client itself, and for no person
    #[arg(long, requires = "client_id", help_heading = "Client")]
    as_client: bool,
    /// Have tokens bound to the private key in this file (RFC 9449), so that others can prove that they may use them; without
    /// it the key of an API that demands one is kept with its tokens
    #[arg(long, value_name = "FILE", help_heading = "Client")]
    dpop_key: Option<PathBuf>,
    /// The server that knows --client-id
    #[arg(long, value_name = "URL", help_heading = "Server")]
    issuer: Option<String>,
    /// A server that may be asked, whichever others the API names
    #[arg(long = "allow-issuer", value_name = "URL", help_heading = "Server")]
    allowed: Vec<String>,
    /// Send no resource (RFC 8707) to the server, because it refuses that parameter, as Microsoft Entra does; give this each
    /// time
    #[arg(long, help_heading = "Server")]
    without_resource: bool,
    /// Send this as resource to the server, because it knows the API by another name than the API's own; give this each time
    #[arg(
        long,
        value_name = "URI",
        conflicts_with = "without_resource",
        help_heading = "Server"
    )]
    resource: Option<String>,
    /// Allow plain http, to loopback addresses only
    #[arg(long, help_heading = "Server")]
    loopback_http: bool,
    /// Print the URL instead of opening a browser
    #[arg(long)]
    no_browser: bool,
    /// Show a code to be entered on another device, and open nothing here (RFC 8628)
    #[arg(long, conflicts_with_all = ["no_browser", "as_client"])]
    device: bool,
    /// How many seconds to wait for the browser to come back
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    /// Forget the client and the tokens of this API, and ask for none
    #[arg(long)]
    forget: bool,
    /// How to print it
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl Connect {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let connection = self.connection(global, output)?;
        if self.forget {
            wait(connection.forget())??;
            let said = json!({ "forgotten": self.url });
            return output.result(format_args!("forgotten: {}", self.url), &said);
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
            // A user who names this machine means it.
            transport.options = transport.options.addresses(AddressPolicy::Any);
        }
        let tracer = tracer(global);
        let driver = transport.driver()?.on_wire(move |what| tracer.seen(what));
        let mut connection = ResourceConnection::new(driver, self.request()?)
            .patience(Duration::from_secs(self.timeout))
            .open(self.opener(output));
        if let Some(login) = self.device_login() {
            let purpose = format!("let {} use {}", self.name, self.url);
            connection = connection.device(login, move |code| {
                device::show(&purpose, code, output);
                Ok(())
            });
        }
        if let Some(path) = &self.dpop_key {
            connection = connection.dpop(key_file::dpop(path)?);
        }
        if let Some(secret) = self.secret.source() {
            let secret = secret.read("the client secret", "use --client-secret-file")?;
            connection = connection.client_auth_at(move |server| {
                let mut credentials = Credentials::default();
                credentials.secret = Some(secret.clone());
                ClientAuth::negotiate(credentials, server)
            });
        }
        match global.no_store {
            true => Ok(connection),
            false => Ok(connection.store(TokenStore::files()?.store())),
        }
    }

    /// A user who wants no browser opened here has one elsewhere.
    fn device_login(&self) -> Option<DeviceLogin> {
        match (self.device, self.no_browser) {
            (true, _) => Some(DeviceLogin::Always),
            (false, false) => Some(DeviceLogin::WhereNoBrowser),
            (false, true) => None,
        }
    }

    fn request(&self) -> Result<ConnectRequest, Error> {
        let request = match self.loopback_http {
            false => ConnectRequest::new(&self.url)?,
            true => danger::loopback_connect_request(&self.url)?,
        };
        let mut identities = match (&self.client_id, &self.issuer) {
            (Some(id), Some(issuer)) => {
                ClientCandidates::preregistered(self.read(issuer)?, ClientId::new(id.as_str()))
            }
            _ => ClientCandidates::default(),
        };
        identities.metadata_document = self.client_metadata_url.as_deref().map(ClientId::new);
        let allowed = self.allowed.iter().chain(&self.issuer);
        let allowed = allowed.map(|issuer| self.read(issuer));
        let allowed = allowed.collect::<Result<Vec<_>, _>>()?;
        let quirks = self.without_resource.then_some(Quirk::WithoutResource);
        let request = request
            .rules(Rules {
                quirks: quirks.into_iter().collect(),
                ..Rules::default()
            })
            .grant(match self.as_client {
                true => GrantChoice::ClientCredentials,
                false => GrantChoice::AuthorizationCode,
            })
            .clients(identities)
            .register(ClientMetadata::of_native_app(self.name.as_str()));
        let request = match &self.resource {
            Some(uri) => request.resource_value(uri)?,
            None => request,
        };
        Ok(match allowed.is_empty() {
            true => request,
            false => request.allow(allowed),
        })
    }

    fn read(&self, issuer: &str) -> Result<Issuer, Error> {
        match self.loopback_http {
            false => Issuer::parse(issuer),
            true => danger::loopback_issuer(issuer),
        }
    }

    /// Shows the page, and always says where it is.
    fn opener(&self, output: Output) -> impl Fn(&Url) -> Result<(), Error> + Send + Sync + 'static {
        let browser = Browser::find(self.no_browser);
        let timeout = self.timeout;
        move |url| {
            if browser.open(url) {
                output.note("the browser shows the login; if it does not, open this URL:");
            } else {
                output.note("open this URL:");
            }
            print_stderr(match output.json {
                true => json!({ "authorization_url": url.as_str() }).to_string(),
                false => url.to_string(),
            });
            output.note(format_args!(
                "waiting for the browser for up to {timeout} s (Ctrl-C gives up)"
            ));
            Ok(())
        }
    }
}
