//! Runs workers of other libraries for comparison, used as their documentation shows, and without kills.
//! They share tokens under a mutex within a process, and between processes through a file that is read
//! again before a refresh.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Tokens;
use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, ClientId, HttpRequest, HttpResponse, RefreshToken, TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::oidc_provider::OidcProvider;
use crate::round::{ACCESS_TOKEN_LIFETIME, login};
use crate::tally::Tally;
use crate::{Callers, Reuse, StoreLocation, TokenBinding, Work, now};

/// A program written with another library.
pub(crate) struct OtherLibrary {
    pub(crate) name: &'static str,
    processes: usize,
    callers: Callers,
    /// The interpreter and the program, if it is not this one.
    script: Option<(Option<PathBuf>, &'static str)>,
}

/// All libraries; `python` is an interpreter with Authlib.
pub(crate) fn all(python: Option<&Path>) -> [OtherLibrary; 4] {
    let authlib = || {
        Some((
            python.map(PathBuf::from),
            "workers/peers/authlib_workers.py",
        ))
    };
    let library = |name, processes, callers, script| OtherLibrary {
        name,
        processes,
        callers,
        script,
    };
    [
        library(
            "peer: Authlib, 50 threads, no kills",
            1,
            Callers::Threads(50),
            authlib(),
        ),
        library(
            "peer: Authlib, 8 processes, no kills",
            8,
            Callers::Threads(4),
            authlib(),
        ),
        library(
            "peer: oauth2 + mutex, 1000 tasks, no kills",
            1,
            Callers::Tasks(1000),
            None,
        ),
        library(
            "peer: oauth2 + mutex, 8 processes, no kills",
            8,
            Callers::Tasks(4),
            None,
        ),
    ]
}

/// The contents of a library's token file.
#[derive(Serialize, Deserialize)]
struct TokenFile {
    access_token: String,
    refresh_token: String,
    /// Milliseconds since 1970.
    expires_at: u64,
}

impl TokenFile {
    fn of(tokens: &Tokens) -> Self {
        let refresh = tokens.refresh_token.as_ref().expect("a refresh token");
        Self {
            access_token: tokens.access_token.expose().clone(),
            refresh_token: refresh.secret().expose().clone(),
            expires_at: now() + u64::try_from(ACCESS_TOKEN_LIFETIME.as_millis()).expect("seconds"),
        }
    }

    fn read(file: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()
    }

    fn write(&self, file: &Path) {
        let text = serde_json::to_string(self).expect("JSON");
        std::fs::write(file, text).expect("the file is written");
    }
}

impl OtherLibrary {
    pub(crate) fn run(&self, length: Duration) -> Result<Tally, String> {
        let life = ACCESS_TOKEN_LIFETIME.as_secs().to_string();
        let server = OidcProvider::start_with(&[("ACCESS_TOKEN_SECONDS", &life)]);
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let file = folder.path().join("tokens.json");
        TokenFile::of(&login(&server, None)).write(&file);
        let work = Work {
            issuer: server.issuer().to_owned(),
            client_id: server.client_id("native").to_owned(),
            place: StoreLocation::File(file),
            callers: self.callers,
            reuse: Reuse::Revokes,
            tokens: TokenBinding::Nothing,
        };
        let pool: Result<Vec<Child>, String> =
            (0..self.processes).map(|_| self.hire(&work)).collect();
        let mut pool = pool?;
        std::thread::sleep(length);
        let mut tally = Tally::of_server(server.issuer(), length);
        for process in &mut pool {
            let last_line = last_report(process)?;
            tally.tokens += last_line["ok"].as_u64().unwrap_or_default();
            tally.failed += last_line["failed"].as_u64().unwrap_or_default();
        }
        match tally.tokens {
            0 => Err(
                "it handed out no token: is it installed as `cargo xtask test workers` does?"
                    .to_owned(),
            ),
            _ => Ok(tally),
        }
    }

    fn hire(&self, work: &Work) -> Result<Child, String> {
        let text = serde_json::to_string(work).expect("JSON");
        let mut command = match &self.script {
            None => {
                let mut own_process =
                    Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
                own_process.arg("peer");
                own_process
            }
            Some((None, _)) => {
                return Err(
                    "no Python with Authlib: cargo xtask test workers creates one".to_owned(),
                );
            }
            Some((Some(python), script)) => {
                let mut python = Command::new(python);
                python.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script));
                python
            }
        };
        command
            .arg(text)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command.spawn().map_err(|error| error.to_string())
    }
}

/// Ends a library's process, and returns its last report.
fn last_report(process: &mut Child) -> Result<Value, String> {
    process.kill().map_err(|error| error.to_string())?;
    process.wait().map_err(|error| error.to_string())?;
    let output = process.stdout.take().ok_or("a pipe")?;
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let counts = lines.filter_map(|line| serde_json::from_str(&line).ok());
    Ok(counts.last().unwrap_or_default())
}

/// Runs one process with `oauth2` and a mutex.
pub(crate) fn work(work: &Work) {
    let StoreLocation::File(file) = &work.place else {
        panic!("other libraries use a file")
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let desk = Arc::new(SharedClient {
        stored_tokens: Mutex::new((TokenFile::read(file).expect("tokens"), 0, 0)),
        file: file.clone(),
        http: reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client"),
        issuer: work.issuer.clone(),
        client_id: work.client_id.clone(),
    });
    let (Callers::Tasks(count) | Callers::Threads(count)) = work.callers;
    let local_set = tokio::task::LocalSet::new();
    local_set.block_on(&runtime, async {
        for _ in 0..count {
            let desk = Arc::clone(&desk);
            tokio::task::spawn_local(async move {
                loop {
                    desk.visit().await;
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
            });
        }
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let (_, ok, failed) = &*desk.stored_tokens.lock().await;
            println!("{}", json!({ "ok": ok, "failed": failed }));
        }
    });
}

struct SharedClient {
    stored_tokens: Mutex<(TokenFile, u64, u64)>,
    file: PathBuf,
    http: reqwest::Client,
    issuer: String,
    client_id: String,
}

impl SharedClient {
    async fn visit(&self) {
        let mut held = self.stored_tokens.lock().await;
        let (stored_tokens, ok, failed) = &mut *held;
        if now() >= stored_tokens.expires_at
            && let Some(stored) = TokenFile::read(&self.file)
        {
            *stored_tokens = stored;
        }
        if now() < stored_tokens.expires_at {
            *ok += 1;
            return;
        }
        match self.refresh(&stored_tokens.refresh_token).await {
            Some(new) => {
                new.write(&self.file);
                *stored_tokens = new;
                *ok += 1;
            }
            None => *failed += 1,
        }
    }

    async fn refresh(&self, token: &str) -> Option<TokenFile> {
        let client = BasicClient::new(ClientId::new(self.client_id.clone()))
            .set_auth_uri(AuthUrl::new(format!("{}/auth", self.issuer)).ok()?)
            .set_token_uri(TokenUrl::new(format!("{}/token", self.issuer)).ok()?);
        let token = RefreshToken::new(token.to_owned());
        let send = |request: HttpRequest| self.send(request);
        let reply = client
            .exchange_refresh_token(&token)
            .request_async(&send)
            .await
            .ok()?;
        let life = reply.expires_in().unwrap_or_default();
        Some(TokenFile {
            access_token: reply.access_token().secret().clone(),
            refresh_token: reply.refresh_token()?.secret().clone(),
            expires_at: now() + u64::try_from(life.as_millis()).ok()?,
        })
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
        let reply = self.http.execute(request.try_into()?).await?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        let mut response = HttpResponse::new(reply.bytes().await?.to_vec());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}
