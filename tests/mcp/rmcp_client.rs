//! The servers called by the client of the crate `rmcp`, with the tokens of `oauth-rmcp`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use oauth_core::{ClientMetadata, danger};
use oauth_reqwest::oauth_session::store::{FileStore, MemoryStore};
use oauth_reqwest::oauth_session::{FixedToken, Store};
use oauth_reqwest::{AddressPolicy, Driver, Options, ResourceConnection, reqwest};
use oauth_rmcp::{AuthorizedClient, error_of};
use rmcp::model::CallToolRequestParams;
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceError, ServiceExt as _};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::obliging::Obliging;
use crate::plain_client::http;
use crate::servers::Server;

/// The guide's example, which is run below.
#[rustfmt::skip]
async fn called_as_in_the_guide(connection: ResourceConnection) -> Result<(), Box<dyn std::error::Error>> {
// guide
let client = ().serve(oauth_rmcp::transport(&connection)?).await?;
let arguments = [("text".to_owned(), "hello".into())].into_iter().collect();
let call = CallToolRequestParams::new("echo").with_arguments(arguments);
let result = client.call_tool(call).await?;
assert_eq!(result.content[0].as_text().map(|said| &*said.text), Some("hello"));
client.cancel().await?;
// end
Ok(())
}

pub(crate) fn the_example_of_the_guide_works(server: Server) {
    let chapter = include_str!("../../crates/oauth-guide/chapters/mcp_client.md");
    let source = include_str!("rmcp_client.rs");
    let lines = source
        .split("// guide\n")
        .nth(1)
        .and_then(|rest| rest.split_once("// end\n"));
    let (lines, _) = lines.expect("the lines");
    assert!(chapter.contains(lines), "the guide does not show:\n{lines}");
    let person = Person::new();
    let connection = person.connection(server.url(), Arc::new(MemoryStore::new()));
    let done = person.runtime.block_on(called_as_in_the_guide(connection));
    done.expect("a call");
}

/// How long the user may take.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// A program whose user approves every page that it opens.
struct Person {
    runtime: Runtime,
    pages: Arc<AtomicUsize>,
}

impl Person {
    fn new() -> Self {
        Self {
            runtime: Runtime::new().expect("a runtime"),
            pages: Arc::default(),
        }
    }

    fn pages(&self) -> usize {
        self.pages.load(Ordering::SeqCst)
    }

    fn connection(&self, url: &str, store: Arc<dyn Store>) -> ResourceConnection {
        // The servers are on this machine, and named by an API.
        let options = Options::default().addresses(AddressPolicy::Any);
        let driver = Driver::with_options(reqwest::Client::builder(), options).expect("a driver");
        let request = danger::loopback_connect_request(url).expect("a URL");
        let request = request.register(ClientMetadata::of_native_app("Notes"));
        let pages = Arc::clone(&self.pages);
        ResourceConnection::new(driver, request)
            .store(store)
            .sign_in_timeout(LOGIN_TIMEOUT)
            .open(move |page| {
                pages.fetch_add(1, Ordering::SeqCst);
                let page = page.as_str().to_owned();
                thread::spawn(move || browse(page));
                Ok(())
            })
    }

    fn begin(&self, connection: &ResourceConnection) -> Client<'_> {
        let service = self.runtime.block_on(async {
            let transport = oauth_rmcp::transport(connection).expect("a transport");
            ().serve(transport).await.expect("a session")
        });
        Client(self, service)
    }

    /// The results of these tools, over a new transport.
    fn call(&self, connection: &ResourceConnection, tools: &[&str]) -> Vec<String> {
        let client = self.begin(connection);
        let results = tools
            .iter()
            .map(|tool| client.call(tool).expect("a string"));
        let results = results.collect();
        client.end();
        results
    }
}

/// Follows the page to wherever it leads.
fn browse(page: String) {
    let mut next = Some(page);
    while let Some(page) = next {
        let reply = http().get(page).send().expect("a page");
        let place = reply.headers().get("location");
        next = place.map(|url| url.to_str().expect("a URL").to_owned());
    }
}

struct Client<'a>(&'a Person, RunningService<RoleClient, ()>);

impl Client<'_> {
    fn call(&self, tool: &str) -> Result<String, ServiceError> {
        let arguments = match tool {
            "echo" => json!({ "text": "hello" }),
            _ => json!({}),
        };
        let call = CallToolRequestParams::new(tool.to_owned());
        let call = call.with_arguments(arguments.as_object().cloned().expect("an object"));
        let result = self.0.runtime.block_on(self.1.call_tool(call))?;
        let text = result.content[0].as_text().expect("a string");
        Ok(text.text.clone())
    }

    fn end(self) {
        self.0.runtime.block_on(self.1.cancel()).expect("an end");
    }
}

fn counts<const N: usize>(server: &Server, names: [&str; N]) -> [u64; N] {
    let counts = server.counts();
    names.map(|name| counts.get(name).copied().unwrap_or_default())
}

pub(crate) fn the_first_call_registers_and_signs_in(server: Server) {
    let person = Person::new();
    let connection = person.connection(server.url(), Arc::new(MemoryStore::new()));
    assert_eq!(person.call(&connection, &["echo", "echo"]), ["hello"; 2]);
    assert_eq!(person.call(&connection, &["echo"]), ["hello"]);
    let names = ["registrations", "code_redemptions", "tool_calls"];
    assert_eq!(counts(&server, names), [1, 1, 3]);
    assert_eq!(person.pages(), 1);
}

pub(crate) fn an_expired_token_causes_one_refresh(server: Server) {
    let person = Person::new();
    let connection = person.connection(server.url(), Arc::new(MemoryStore::new()));
    let client = person.begin(&connection);
    client.call("echo").expect("a string");
    server.steer("expire_tokens");
    assert_eq!(client.call("echo").expect("a string"), "hello");
    client.end();
    let names = ["refreshes", "refresh_token_reuses", "registrations"];
    assert_eq!(counts(&server, names), [1, 0, 1]);
    assert_eq!(person.pages(), 1);
}

pub(crate) fn a_forgotten_client_registers_again_once(server: Server) {
    let person = Person::new();
    let connection = person.connection(server.url(), Arc::new(MemoryStore::new()));
    let client = person.begin(&connection);
    client.call("echo").expect("a string");
    server.steer("forget_clients");
    // If sessions are bound to the client, rmcp begins another.
    assert_eq!(client.call("echo").expect("a string"), "hello");
    assert_eq!(client.call("echo").expect("a string"), "hello");
    client.end();
    assert_eq!(counts(&server, ["registrations"]), [2]);
    assert_eq!(person.pages(), 2);
}

pub(crate) fn additional_scope_for_a_tool_is_requested_from_the_user_once(server: Server) {
    let person = Person::new();
    let connection = person.connection(server.url(), Arc::new(MemoryStore::new()));
    let client = person.begin(&connection);
    client.call("echo").expect("a string");
    let results = ["secret_tool", "secret_tool"].map(|tool| client.call(tool).expect("a string"));
    assert!(!results[0].is_empty() && results[0] == results[1]);
    assert_eq!(person.pages(), 2);
    // A scope that never suffices is not requested forever.
    server.steer("require_scope/mcp:other");
    let mut pages = Vec::new();
    for _ in 0..3 {
        client.call("secret_tool").expect_err("too little");
        pages.push(person.pages());
    }
    assert!(pages[0] <= 3 && pages[2] == pages[1], "{pages:?}");
    let failure = client.call("secret_tool").expect_err("too little");
    let code = error_of(&failure).map(|error| error.code());
    assert!(
        code.is_some_and(|code| code.starts_with("step_up.")),
        "{failure:?}"
    );
    // The client still works.
    assert_eq!(client.call("echo").expect("a string"), "hello");
    client.end();
}

pub(crate) fn the_next_run_reuses_the_registration(server: Server) {
    let person = Person::new();
    let folder = tempfile::tempdir().expect("a folder");
    let store = |place: &Path| Arc::new(FileStore::new(place).expect("a store"));
    for _ in 0..2 {
        let connection = person.connection(server.url(), store(folder.path()));
        assert_eq!(person.call(&connection, &["echo"]), ["hello"]);
    }
    assert_eq!(counts(&server, ["registrations"]), [1]);
    assert_eq!(person.pages(), 1);
}

pub(crate) fn tokens_are_sent_only_beneath_the_url(server: Server) {
    let person = Person::new();
    let beneath = format!("{}/deeper", server.url());
    let connection = person.connection(&beneath, Arc::new(MemoryStore::new()));
    let failure = person.runtime.block_on(async {
        let client = AuthorizedClient::new(&connection).expect("a client");
        let client = client.source(FixedToken::new("token"));
        let config = StreamableHttpClientTransportConfig::with_uri(server.url());
        let transport = StreamableHttpClientTransport::with_client(client, config);
        ().serve(transport).await.expect_err("another's URL")
    });
    let code = error_of(&failure).map(|error| error.code());
    assert_eq!(code, Some("resource.not_covered"), "{failure:?}");
    assert_eq!(person.pages(), 0);
}

pub(crate) fn a_revoked_token_of_another_source_is_reported(server: Server) {
    let person = Person::new();
    let connection = person.connection(server.url(), Arc::new(MemoryStore::new()));
    let failure = person.runtime.block_on(async {
        let client = AuthorizedClient::new(&connection).expect("a client");
        let client = client.source(FixedToken::new("token"));
        let config = StreamableHttpClientTransportConfig::with_uri(server.url());
        let transport = StreamableHttpClientTransport::with_client(client, config);
        ().serve(transport).await.expect_err("a refused token")
    });
    let code = error_of(&failure).map(|error| error.code());
    assert_eq!(code, Some("grant.revoked"), "{failure:?}");
}

pub(crate) fn a_message_steps_up_once(server: Server) {
    let person = Person::new();
    let connection = person.connection(server.url(), Arc::new(MemoryStore::new()));
    let token = person.runtime.block_on(connection.token()).expect("tokens");
    server.steer("require_scope/mcp:other");
    let (source, requested_scopes) = Obliging::with(&token);
    let service = person.runtime.block_on(async {
        let client = AuthorizedClient::new(&connection).expect("a client");
        let config = StreamableHttpClientTransportConfig::with_uri(server.url());
        let transport = StreamableHttpClientTransport::with_client(client.source(source), config);
        ().serve(transport).await.expect("a session")
    });
    let client = Client(&person, service);
    let failure = client.call("secret_tool").expect_err("too little");
    assert!(error_of(&failure).is_none(), "{failure:?}");
    assert!(format!("{failure:?}").contains("insufficient_scope"));
    assert_eq!(requested_scopes.load(Ordering::SeqCst), 1);
    client.end();
}
