//! A minimal authorization server, for behaviour that the twins do not have.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::common::{Run, oauth};

#[derive(Clone)]
pub(crate) struct TinyServer {
    pub(crate) base: String,
    state: Arc<Mutex<State>>,
}

/// The server's configuration, and the requests it received.
#[derive(Default)]
pub(crate) struct State {
    /// The subject of ID tokens.
    pub(crate) subject: String,
    /// The error of token requests.
    pub(crate) error: Option<&'static str>,
    /// The parameters of the callback, instead of a code.
    pub(crate) callback: Option<&'static str>,
    /// Whether revocations are refused, as by servers whose tokens are JWTs.
    pub(crate) refuses_revocations: bool,
    /// The path that always fails.
    pub(crate) broken: Option<&'static str>,
    /// Additional members of its metadata.
    pub(crate) metadata: Value,
    /// Additional members of token responses.
    pub(crate) granted: Value,
    /// Additional bytes in token responses.
    pub(crate) padding: usize,
    /// The path and body of each POST.
    pub(crate) log: Vec<(String, String)>,
}

impl TinyServer {
    pub(crate) fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let tiny = Self {
            base: format!("http://{}", socket.local_addr().unwrap()),
            state: Arc::default(),
        };
        let server = tiny.clone();
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || server.answer(stream));
            }
        });
        tiny
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn request_count(&self, path: &str) -> usize {
        let log = &self.state().log;
        log.iter().filter(|(logged, _)| logged == path).count()
    }

    /// The command against this server.
    pub(crate) fn run(&self, command: &[&str]) -> Run {
        let secret = ["--client-secret-env", "S"];
        self.run_with(&[command, &secret].concat())
            .env("S", "s3cret")
    }

    /// [`run`](Self::run) without a secret.
    pub(crate) fn run_with(&self, command: &[&str]) -> Run {
        let server = ["--issuer", &self.base, "--loopback-http"];
        oauth(&[command, &server, &["--client-id", "app"]].concat())
    }

    /// The parameters of the last request to this path.
    pub(crate) fn form(&self, path: &str) -> BTreeMap<String, String> {
        let state = self.state();
        let mut log = state.log.iter().rev();
        let (_, body) = log.find(|(logged, _)| logged == path).unwrap();
        let pairs = oauth_core::form::parse(body).unwrap();
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let target = line.split(' ').nth(1)?.to_owned();
        let mut length = 0;
        loop {
            let mut field = String::new();
            reader.read_line(&mut field).ok()?;
            if field.trim().is_empty() {
                break;
            }
            let (name, value) = field.split_once(':')?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (status, field, body) = self.reply(path, query, &String::from_utf8_lossy(&body));
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\n{field}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .ok()
    }

    fn reply(&self, path: &str, query: &str, body: &str) -> (&'static str, String, String) {
        let mut state = self.state();
        let json = "content-type: application/json".to_owned();
        let base = &self.base;
        // The pushed request has the parameters.
        let pushed = state.log.iter().rev().find(|(logged, _)| logged == "/par");
        let pushed = pushed.map(|(_, body)| body.clone());
        let query = match &pushed {
            Some(pushed) if query.contains("request_uri=") => pushed,
            _ => query,
        };
        let of = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let found = pairs.find(|(key, _)| *key == name);
            found.map_or("", |(_, value)| value)
        };
        let uri = |name: &str| of(name).replace("%3A", ":").replace("%2F", "/");
        match path {
            path if state.broken == Some(path) => {
                return (
                    "500 Internal Server Error",
                    "x-a: b".to_owned(),
                    String::new(),
                );
            }
            "/logout" => {
                let back = uri("post_logout_redirect_uri");
                state.log.push((path.to_owned(), query.to_owned()));
                return (
                    "302 Found",
                    format!("location: {back}?state={}", of("state")),
                    String::new(),
                );
            }
            "/.well-known/oauth-authorization-server" => {
                let mut document = json!({
                    "issuer": base, "authorization_endpoint": format!("{base}/authorize"),
                    "token_endpoint": format!("{base}/token"),
                    "revocation_endpoint": format!("{base}/revoke"),
                    "response_types_supported": ["code"],
                });
                for (name, value) in state.metadata.as_object().into_iter().flatten() {
                    document[name] = value.clone();
                }
                return ("200 OK", json, document.to_string());
            }
            "/authorize" => {
                let uri = uri("redirect_uri");
                let valid_callback = format!("code=c0de&state={}", of("state"));
                let callback = match state.callback {
                    Some(template) => template.replace("STATE", of("state")),
                    None => valid_callback,
                };
                return (
                    "302 Found",
                    format!("location: {uri}?{callback}"),
                    String::new(),
                );
            }
            _ => state.log.push((path.to_owned(), body.to_owned())),
        }
        match (path, state.error) {
            ("/token", Some(error)) => (
                "400 Bad Request",
                json,
                json!({ "error": error }).to_string(),
            ),
            ("/token", None) => {
                let claims = json!({ "sub": state.subject }).to_string();
                let number = state.log.len();
                let mut tokens = json!({
                    "access_token": format!("access{number}"), "token_type": "Bearer",
                    "expires_in": 3600, "refresh_token": format!("refresh{number}"),
                    "id_token": format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims)),
                    "scope": "openid email", "padding": "a".repeat(state.padding),
                });
                for (name, value) in state.granted.as_object().into_iter().flatten() {
                    tokens[name] = value.clone();
                }
                ("200 OK", json, tokens.to_string())
            }
            ("/revoke", _) if state.refuses_revocations => (
                "400 Bad Request",
                json,
                json!({ "error": "unsupported_token_type" }).to_string(),
            ),
            ("/par", _) => (
                "201 Created",
                json,
                json!({ "request_uri": "urn:example:1", "expires_in": 60 }).to_string(),
            ),
            ("/introspect", _) => (
                "200 OK",
                json,
                Value::from_iter([("active", true)]).to_string(),
            ),
            ("/api", _) => (
                "403 Forbidden",
                "x-a: b".to_owned(),
                "not for you".to_owned(),
            ),
            _ => ("200 OK", "x-a: b".to_owned(), String::new()),
        }
    }
}
