//! `oauth serve`: runs a test server on this machine.

mod certificates;
mod user;

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use oauth_core::url::Url;
use oauth_testkit::{Served, Twin};
use serde_json::{Map, Value, json};

use crate::output::{self, Failure, Output};
use crate::shell::quote;
use user::User;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth serve --system generic --port 8080
  oauth serve --system uservoice
  oauth serve --system fapi
  oauth serve --system fapi --mutual-tls certificates
  oauth serve --cors http://127.0.0.1:5173
  oauth serve --cors http://127.0.0.1:5173 --dpop
  oauth serve --web http://127.0.0.1:8000
  oauth serve --user sub=ann,email=ann@example.com,name='Ann Lee',role=admin

The server listens on 127.0.0.1 until Ctrl-C and approves every login immediately. Control it with requests \
to /_twin/: GET log, GET counters, POST expire, POST deny, POST advance {\"seconds\":60}, POST step_up \
{\"acr_values\":[\"mfa\"],\"max_age\":300}. The `try` lines of the output can be pasted into another shell.";

/// Runs a test server on this machine.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// System to emulate
    #[arg(long, value_enum, default_value_t = System::Generic)]
    system: System,
    /// Port to listen on [default: any free port]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// With `--system fapi`: use mutual TLS, and bind tokens to the client certificate (RFC 8705). Writes ca.pem and two
    /// client certificates with their keys, client.pem and next.pem, to this folder. The port is any free one: not with
    /// --port or --web
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with_all = ["port", "web"])]
    mutual_tls: Option<PathBuf>,
    /// With `--system generic`: require DPoP, and bind all tokens to the client's key (RFC 9449)
    #[arg(long)]
    dpop: bool,
    /// Allow pages of this origin to read responses (CORS), and register /callback there as redirect URI
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    cors: Option<String>,
    /// Register the web application at this URL, and print its environment variables
    #[arg(long, value_name = "URL", value_parser = base_url)]
    web: Option<String>,
    /// Register a redirect URI; may be repeated
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// Add a user account; may be repeated. Logins are those of the first user, or of the one whose sub or email is
    /// given as login_hint (by default Alice Liddell, alice@twin.example)
    #[arg(long, value_name = "CLAIM=VALUE,...", value_parser = User::parse)]
    user: Vec<User>,
    /// Add the user accounts in this file, a JSON array of objects with claims
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    users: Option<PathBuf>,
}

/// The base URL of a web application: without a trailing slash or a query.
fn base_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.query() {
        None => Ok(text.trim_end_matches('/').to_owned()),
        Some(_) => Err("the URL of the application must not have a query".to_owned()),
    }
}

/// An origin as browsers write it: anything else would silently match no page.
fn origin(text: &str) -> Result<String, String> {
    let origin = Url::parse(text)
        .map_err(|error| error.to_string())?
        .origin();
    if origin == text {
        Ok(origin)
    } else {
        Err(format!("an origin has no path; did you mean {origin}?"))
    }
}

/// The systems that have a twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum System {
    /// UserVoice
    Uservoice,
    /// UserTesting, with an account's credentials
    Usertesting,
    /// UserTesting, with a portal app's credentials
    UsertestingApps,
    /// Socios.com
    Socios,
    /// Generic server that follows the standards
    Generic,
    /// FAPI 2.0 server: pushed and signed requests, signed responses, tokens bound to a DPoP key
    Fapi,
}

impl System {
    fn twin(self, base: &str) -> Twin {
        match self {
            Self::Uservoice => Twin::uservoice(base),
            Self::Usertesting => Twin::usertesting(base),
            Self::UsertestingApps => Twin::usertesting_apps(base),
            Self::Socios => Twin::socios(base),
            Self::Generic => Twin::generic(base),
            Self::Fapi => Twin::fapi(base),
        }
    }

    /// The options with which other commands use this system at `base`.
    fn options(self, base: &str, issuer: &str) -> String {
        match self {
            Self::Uservoice => {
                format!("--provider uservoice --var subdomain=acme --on-loopback {base}")
            }
            Self::Usertesting => format!("--provider usertesting --on-loopback {base}"),
            Self::UsertestingApps => {
                let guid = issuer.rsplit('/').next().unwrap_or_default();
                format!("--provider usertesting-apps --var guid={guid} --on-loopback {base}")
            }
            Self::Socios => format!("--provider socios --on-loopback {base}"),
            Self::Generic => format!("--issuer {issuer} --loopback-http"),
            Self::Fapi => format!(
                "--issuer {issuer} --loopback-http --profile-rules fapi2_security --key client.jwk \
                 --dpop-key dpop.pem"
            ),
        }
    }
}

impl Serve {
    /// Configures the twin from the options.
    fn configure(&self, users: &[User], twin: &mut Twin) {
        user::add_accounts(users, twin);
        if self.dpop {
            twin.require_dpop();
        }
        if let Some(origin) = &self.cors {
            twin.cors_origin(origin);
            twin.register_redirect_uri(&format!("{origin}/callback"));
        }
        if let Some(url) = &self.web {
            twin.register_redirect_uri(&format!("{url}/auth/callback"));
        }
        for uri in &self.redirect_uri {
            twin.register_redirect_uri(uri);
        }
    }

    pub(super) fn run(self, output: Output) -> Result<(), Failure> {
        if self.dpop && self.system != System::Generic {
            return Err(Failure::usage(
                "usage.dpop",
                "--dpop is for the generic server only: the FAPI 2.0 server always binds tokens, and the others never do",
                "remove --dpop or --system",
            ));
        }
        let mut users = self.user.clone();
        if let Some(path) = &self.users {
            users.extend(User::read(path)?);
        }
        if let Some(folder) = &self.mutual_tls {
            return self.serve_over_mutual_tls(folder, &users, output);
        }
        let twin = |base: &str| {
            let mut twin = self.system.twin(base);
            self.configure(&users, &mut twin);
            twin
        };
        let served = Served::start_on(self.port, twin).map_err(|reason| {
            Failure::usage(
                "usage.port",
                format_args!("cannot listen on port {}: {reason}", self.port),
                "choose another port with --port, or remove --port to use any free one",
            )
        })?;
        let base = served.base();
        let seal_key = self.web.as_ref().map(|_| super::key::seal_key());
        let seal = seal_key.transpose()?;
        let (rows, record) = served.with(|twin| {
            let mut options = self.system.options(base, twin.issuer());
            if self.dpop {
                options += " --dpop-key dpop.pem";
            }
            let (id, secret, key) = (twin.client_id(), twin.client_secret(), twin.client_key());
            let make_key = || "oauth key new --alg ES256 --output dpop.pem".to_owned();
            let mut commands = match key {
                "" => vec![
                    format!("export OAUTH_CLIENT_SECRET={}", quote(secret)),
                    format!(
                        "oauth token {options} --client-id {} --client-secret-env OAUTH_CLIENT_SECRET",
                        quote(id)
                    ),
                ],
                key => vec![
                    format!("echo {} > client.jwk", quote(key)),
                    make_key(),
                    format!("oauth token {options} --client-id {}", quote(id)),
                ],
            };
            if self.dpop {
                commands.insert(0, make_key());
            }
            let environment: Vec<_> = match (&self.web, &seal) {
                (Some(url), Some(seal)) => vec![
                    ("OAUTH_ISSUER", twin.issuer()),
                    ("OAUTH_CLIENT_ID", id),
                    ("OAUTH_CLIENT_SECRET", secret),
                    ("OAUTH_BASE_URL", url.as_str()),
                    ("OAUTH_KEY", seal.expose().as_str()),
                    // Both the provider and the site are on this machine.
                    ("OAUTH_TRANSPORT", "loopback_http"),
                ],
                _ => Vec::new(),
            };
            let exports = environment.iter();
            let exports = exports.map(|(name, value)| format!("export {name}={}", quote(value)));
            let mut rows = vec![
                ("base", base.to_owned()),
                ("issuer", twin.issuer().to_owned()),
                ("client_id", quote(id)),
                ("client_secret", quote(secret)),
                ("client_key", key.to_owned()),
                ("public_client_id", twin.public_client_id().to_owned()),
                ("redirect_uris", twin.redirect_uris().join(" ")),
                ("options", options.clone()),
            ];
            rows.retain(|(_, value)| !value.is_empty() && value != "''");
            let labels = std::iter::once("try").chain(std::iter::repeat(""));
            rows.extend(labels.zip(commands.iter().cloned()));
            let heads = std::iter::once("web").chain(std::iter::repeat(""));
            rows.extend(heads.zip(exports));
            let environment: Map<_, _> = environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
                .collect();
            let record = json!({
                "base": base, "issuer": twin.issuer(), "client_id": twin.client_id(),
                "client_secret": secret, "client_key": key, "public_client_id": twin.public_client_id(),
                "redirect_uris": twin.redirect_uris(), "options": options,
                "commands": commands, "environment": environment,
            });
            let rows: Vec<_> = rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            (rows, record)
        });
        output.result(output::table(&rows), &record)?;
        output.note("serving (Ctrl-C to stop)");
        loop {
            std::thread::park();
        }
    }
}
