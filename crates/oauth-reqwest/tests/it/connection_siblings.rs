//! Two APIs on one origin, each with its own metadata: nothing of one API is sent to the other.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use oauth_core::flow::resource_connection::{ClientCandidates, GrantChoice};
use oauth_core::{ClientAuth, ClientId, ClientMetadata, danger};
use oauth_reqwest::oauth_session::{Store, store::MemoryStore};
use oauth_reqwest::{ResourceConnection, reqwest};
use oauth_testkit::Served;

use crate::support::{TEST_TIMEOUT, browse, driver, start_twin};

const METADATA_PATH: &str = "/.well-known/oauth-protected-resource/";

/// The configuration of the two APIs, and the requests they received.
#[derive(Default)]
pub(crate) struct State {
    /// The issuers of the tokens for `/a` and `/b`.
    pub(crate) issuers: [String; 2],
    /// The API whose metadata the challenge of `/a` names.
    a_names: char,
    /// The `Authorization` values that are refused.
    pub(crate) dead: HashSet<String>,
    /// Whether refusals name the metadata.
    pub(crate) names_on_refusal: bool,
    /// The number of metadata fetches.
    pub(crate) fetched: usize,
    /// The `Authorization` values whose scope does not suffice for a POST.
    narrow: HashSet<String>,
    /// The paths of requests, and their `Authorization` values.
    pub(crate) seen: Vec<(String, String)>,
}

pub(crate) struct Siblings {
    base: String,
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) pages: Arc<Mutex<Vec<String>>>,
}

impl State {
    fn answer(&mut self, base: &str, method: &str, path: &str, token: String) -> String {
        if let Some(name) = path.strip_prefix(METADATA_PATH) {
            self.fetched += 1;
            let issuer = &self.issuers[usize::from(name == "b")];
            let body = format!(
                r#"{{"resource":"{base}/{name}","authorization_servers":["{issuer}"],"scopes_supported":["read"]}}"#
            );
            return http_reply("200 OK", "Content-Type: application/json", &body);
        }
        self.seen.push((path.to_owned(), token.clone()));
        if token.is_empty() || self.dead.contains(&token) {
            let named = match path {
                "/a" => self.a_names,
                _ => 'b',
            };
            let challenge = if token.is_empty() || self.names_on_refusal {
                format!(
                    r#"WWW-Authenticate: Bearer resource_metadata="{base}{METADATA_PATH}{named}""#
                )
            } else {
                r#"WWW-Authenticate: Bearer error="invalid_token""#.to_owned()
            };
            return http_reply("401 Unauthorized", &challenge, "");
        }
        if method == "POST" && self.narrow.contains(&token) {
            let challenge =
                r#"WWW-Authenticate: Bearer error="insufficient_scope", scope="read write""#;
            return http_reply("403 Forbidden", challenge, "");
        }
        if path == "/a/moved" {
            return http_reply("307 Temporary Redirect", "Location: /b", "");
        }
        http_reply("200 OK", "Content-Type: text/plain", "served")
    }
}

fn http_reply(status: &str, header: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

impl Siblings {
    pub(crate) fn start(a: &Served, b: &Served) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State {
            issuers: [a.base().to_owned(), b.base().to_owned()],
            a_names: 'a',
            ..State::default()
        };
        let both = Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::new(Mutex::new(state)),
            store: Arc::new(MemoryStore::new()),
            pages: Arc::default(),
        };
        let (base, state) = (both.base.clone(), Arc::clone(&both.state));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut length, mut token) = (String::new(), 0, String::new());
                reader.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let Some((name, value)) = line.trim_end().split_once(": ") else {
                        break;
                    };
                    match name.to_ascii_lowercase().as_str() {
                        "authorization" => value.clone_into(&mut token),
                        "content-length" => length = value.parse().unwrap(),
                        _ => {}
                    }
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let mut words = first.split(' ');
                let (method, path) = (words.next().unwrap(), words.next().unwrap());
                let reply = state.lock().unwrap().answer(&base, method, path, token);
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        both
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    pub(crate) fn connection(&self, name: &str) -> ResourceConnection {
        let request = danger::loopback_connect_request(&self.url(name)).unwrap();
        let issuers = self.state.lock().unwrap().issuers.clone();
        let request =
            request.allow(issuers.map(|issuer| danger::loopback_issuer(&issuer).unwrap()));
        let request = request.register(ClientMetadata::of_native_app("Notes"));
        let pages = Arc::clone(&self.pages);
        ResourceConnection::new(driver(), request)
            .store(Arc::clone(&self.store))
            .sign_in_timeout(TEST_TIMEOUT)
            .open(move |url| {
                pages.lock().unwrap().push(url.as_str().to_owned());
                tokio::spawn(browse(url.as_str().to_owned()));
                Ok(())
            })
    }

    /// The server whose page was opened, and three of its parameters.
    pub(crate) fn page_parameters(&self, page: usize) -> (String, [Option<String>; 3]) {
        let page = reqwest::Url::parse(&self.pages.lock().unwrap()[page]).unwrap();
        let param = |name: &str| {
            let mut pairs = page.query_pairs();
            pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
        };
        let params = ["resource", "client_id", "scope"].map(param);
        (page.origin().ascii_serialization(), params)
    }

    pub(crate) fn logins(&self) -> usize {
        self.pages.lock().unwrap().len()
    }

    /// The tokens sent to this API and the paths below it.
    fn tokens(&self, name: &str) -> HashSet<String> {
        let state = self.state.lock().unwrap();
        let seen = state
            .seen
            .iter()
            .filter(|(path, token)| path.split('/').nth(1) == Some(name) && !token.is_empty());
        seen.map(|(_, token)| token.clone()).collect()
    }
}

pub(crate) async fn status(
    connection: &ResourceConnection,
    url: &str,
) -> Result<u16, &'static str> {
    let reply = connection.authorized().get(url).send().await;
    reply
        .map(|reply| reply.status().as_u16())
        .map_err(|error| error.code())
}

pub(crate) async fn token(connection: &ResourceConnection) -> String {
    let token = connection.token().await.unwrap();
    token.access_token.expose().to_owned()
}

async fn check_separate_connections(a: &Served, b: &Served) {
    let both = Siblings::start(a, b);
    let [of_a, of_b] = ["a", "b"].map(|name| both.connection(name));
    let [url_a, url_b] = ["a", "b"].map(|name| both.url(name));
    assert_eq!(status(&of_a, &url_a).await, Ok(200));
    assert_eq!(status(&of_b, &url_b).await, Ok(200));
    let (server, [resource, first_client, _]) = both.page_parameters(0);
    assert_eq!((server.as_str(), resource), (a.base(), Some(url_a.clone())));
    let (server, [resource, second_client, _]) = both.page_parameters(1);
    assert_eq!((server.as_str(), resource), (b.base(), Some(url_b.clone())));
    assert_ne!(first_client, second_client);
    let token_of_b = token(&of_b).await;

    // One API requires more scope: nothing changes for the other.
    let narrow = format!("Bearer {}", token(&of_a).await);
    both.state.lock().unwrap().narrow.insert(narrow);
    for (connection, url) in [(&of_a, &url_a), (&of_b, &url_b)] {
        let post = connection.authorized().post(url).body("x").send().await;
        assert_eq!(post.unwrap().status(), 200);
    }
    let (server, [resource, _, scope]) = both.page_parameters(2);
    assert_eq!((server.as_str(), resource), (a.base(), Some(url_a.clone())));
    assert!(scope.unwrap().split(' ').any(|name| name == "write"));
    assert_eq!((both.logins(), token(&of_b).await), (3, token_of_b.clone()));

    // The same holds in another process with the same store, and after the connection to one is forgotten.
    let again = token(&both.connection("a")).await;
    assert_eq!(again, token(&of_a).await);
    of_a.forget().await.unwrap();
    assert_eq!(
        (token(&both.connection("b")).await, both.logins()),
        (token_of_b.clone(), 3)
    );
    assert_eq!(both.tokens("a").len(), 2);
    assert_eq!(
        both.tokens("b"),
        HashSet::from([format!("Bearer {token_of_b}")])
    );
    assert!(both.tokens("a").is_disjoint(&both.tokens("b")));
}

#[tokio::test]
async fn apis_at_two_servers_have_separate_clients_logins_and_tokens() {
    check_separate_connections(&start_twin(), &start_twin()).await;
}

#[tokio::test]
async fn apis_at_one_server_have_separate_clients_logins_and_tokens() {
    let one = start_twin();
    check_separate_connections(&one, &one).await;
}

#[tokio::test]
async fn requests_for_one_connection_never_reach_the_other() {
    let one = start_twin();
    let both = Siblings::start(&one, &one);
    let connection_a = both.connection("a");
    assert_eq!(status(&connection_a, &both.url("a")).await, Ok(200));
    for (path, code) in [
        ("b", "resource.not_covered"),
        ("ab", "resource.not_covered"),
        ("a/../b", "url.syntax"),
        ("a/%2e%2e/b", "url.syntax"),
    ] {
        assert_eq!(
            status(&connection_a, &both.url(path)).await,
            Err(code),
            "{path}"
        );
    }
    // The caller gets a redirect from one to the other, which is not followed.
    assert_eq!(status(&connection_a, &both.url("a/moved")).await, Ok(307));
    assert!(both.tokens("b").is_empty());
}

#[tokio::test]
async fn metadata_of_a_sibling_api_is_refused() {
    let both = Siblings::start(&start_twin(), &start_twin());
    both.state.lock().unwrap().a_names = 'b';
    let refused = both.connection("a").token().await.map(drop);
    assert_eq!(
        refused.map_err(|error| error.code()),
        Err("resource_metadata.resource")
    );
    assert_eq!(both.logins(), 0);
}

#[tokio::test]
async fn the_secret_of_one_api_is_not_sent_to_the_server_of_another() {
    let (first, second) = (start_twin(), start_twin());
    let both = Siblings::start(&first, &second);
    let (id, secret) =
        first.with(|twin| (twin.client_id().to_owned(), twin.client_secret().to_owned()));
    let known = |name: &str| {
        let issuer = danger::loopback_issuer(first.base()).unwrap();
        let identities = ClientCandidates::preregistered(issuer, ClientId::new(id.as_str()));
        let request = danger::loopback_connect_request(&both.url(name)).unwrap();
        let request = request
            .clients(identities)
            .grant(GrantChoice::ClientCredentials);
        let connection = ResourceConnection::new(driver(), request);
        connection
            .store(Arc::clone(&both.store))
            .client_auth(ClientAuth::basic(secret.as_str()))
    };
    assert_eq!(status(&known("a"), &both.url("a")).await, Ok(200));
    let refused = known("b").token().await.map(drop);
    assert_eq!(refused.map_err(|error| error.code()), Err("connect.issuer"));
    assert_eq!(second.with(|twin| twin.log().len()), 0);
    assert!(both.tokens("b").is_empty());
}
