//! The login of a desktop application whose redirect URI has a scheme of its own (RFC 8252 section 7.1).
//!
//! The system answers such a redirect by starting the application again. That process knows nothing of the flow, which
//! the first one began; so the flow lies in a folder of this user's, and whichever process gets the callback ends it.
//! An application that has one instance only lets the second process do that, store the tokens, and tell the first by
//! any means.
//!
//! ```text
//! custom_scheme FOLDER http://127.0.0.1:8080 CLIENT-ID              prints the URL for the browser
//! custom_scheme FOLDER http://127.0.0.1:8080 CLIENT-ID CALLBACK     as the system starts it
//! ```

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::quirk::Rules;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Moment, PendingAuthorization, Scope,
    Tokens, danger,
};
use oauth_reqwest::{Driver, Transport};

/// A domain of the application's maker, backwards: nobody else has a reason to register it.
pub(crate) const REDIRECT_URI: &str = "com.example.app:/callback";

/// A user who has not come back by then begins again.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(600);

/// One installation of the application, as each of its processes finds it.
pub(crate) struct App {
    folder: PathBuf,
    driver: Driver,
    client: Client,
}

impl App {
    /// The server is on this machine, or else it is `Issuer::parse` and `discover` that belong here.
    pub(crate) async fn new(folder: &Path, issuer: &str, client_id: &str) -> Result<Self, Error> {
        let driver = Transport::default().driver()?;
        let issuer = danger::loopback_issuer(issuer)?;
        let server = danger::discover_on_loopback(issuer, Rules::default());
        let server = driver.run(server).await?;
        // Anyone who has the application can read what is in it, so it contains no secret.
        let client = Client::new(server, ClientId::new(client_id), ClientAuth::none())?;
        Ok(Self {
            folder: folder.to_owned(),
            driver,
            client,
        })
    }

    /// The first process: the URL for the browser. The flow is stored before anybody can answer.
    pub(crate) fn begin(&self) -> Result<String, Error> {
        let request = AuthorizationRequest::new(RedirectUri::parse(REDIRECT_URI)?)
            .scope(Scope::parse("read offline_access")?);
        let (url, pending) = self.client.authorize(&Moment::system()?, request)?;
        private_folder(&self.folder).map_err(io)?;
        let name = format!("{}.flow", pending.state().expose());
        let text = pending.to_json();
        private_file(&self.folder.join(name))
            .and_then(|mut file| file.write_all(text.expose().as_bytes()))
            .map_err(io)?;
        Ok(url.to_string())
    }

    /// The process that gets the callback, whichever it is. Any program can start it with any text: an unrecognized
    /// callback ends no flow.
    pub(crate) async fn end(&self, callback: &str) -> Result<Tokens, Error> {
        let now = Moment::system()?.now();
        for entry in fs::read_dir(&self.folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_none_or(|ending| ending != "flow") {
                continue;
            }
            // It may be gone since the folder was read.
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let pending = PendingAuthorization::from_json(&text)?;
            if now.since(pending.started_at()) > LOGIN_TIMEOUT {
                let _ = fs::remove_file(&path);
            } else if pending.recognizes(callback) {
                // A code can be used once: of two processes with the same callback, only one removes this file.
                fs::remove_file(&path).map_err(io)?;
                let redeemed = self.client.redeem(pending, callback)?;
                return Ok(self.driver.run(redeemed).await?.tokens);
            }
        }
        Err(Error::from(Misuse::Setup).about("this callback belongs to no login that waits"))
    }
}

/// For this user alone: a flow holds its verifier. Other systems have such a folder for each user.
#[cfg(unix)]
fn private_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

#[cfg(not(unix))]
fn private_folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)
}

fn private_file(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn io(reason: std::io::Error) -> Error {
    Error::from(Misuse::Setup)
        .about("the folder of flows")
        .caused_by(Cause::unsent(reason))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (app, callback) = match arguments.as_slice() {
        [folder, issuer, id] => (App::new(folder.as_ref(), issuer, id).await?, None),
        [folder, issuer, id, callback] => {
            (App::new(folder.as_ref(), issuer, id).await?, Some(callback))
        }
        _ => return Err("custom_scheme FOLDER ISSUER CLIENT-ID [CALLBACK]".into()),
    };
    let mut out = std::io::stdout();
    match callback {
        None => writeln!(out, "{}", app.begin()?)?,
        // Here they are stored.
        Some(callback) => {
            let tokens = app.end(callback).await?;
            writeln!(out, "logged in, with scope {}", tokens.scope)?;
        }
    }
    Ok(())
}
