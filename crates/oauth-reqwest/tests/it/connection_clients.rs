//! The client of a connection: registered with an initial access token, or identified by the URL of its metadata
//! document.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oauth_core::client_id_metadata_document::ClientIdMetadataDocument;
use oauth_core::endpoint::registration::Registration;
use oauth_core::error::Cause;
use oauth_core::flow::resource_connection::{ClientCandidates, ConnectRequest};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::Server;
use oauth_core::{ClientMetadata, RegisteredClient, Secret, danger, read_registration};
use oauth_reqwest::ResourceConnection;
use oauth_reqwest::oauth_session::store::MemoryStore;
use oauth_reqwest::oauth_session::{Store as _, connections};
use oauth_testkit::twin::Entry;
use oauth_testkit::{Fault, Served};

use crate::support::{TEST_TIMEOUT, browse, driver, start_twin};

fn api(served: &Served) -> String {
    format!("{}/api/echo", served.base())
}

fn request(served: &Served) -> ConnectRequest {
    danger::loopback_connect_request(&api(served)).unwrap()
}

/// A connection of a user who approves every page that is opened, and the number of pages.
fn connection(
    request: ConnectRequest,
    store: &Arc<MemoryStore>,
) -> (ResourceConnection, Arc<AtomicUsize>) {
    let pages = Arc::<AtomicUsize>::default();
    let opened = Arc::clone(&pages);
    let connection = ResourceConnection::new(driver(), request)
        .store(store.clone())
        .sign_in_timeout(TEST_TIMEOUT)
        .open(move |url| {
            opened.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(browse(url.as_str().to_owned()));
            Ok(())
        });
    (connection, pages)
}

#[tokio::test]
async fn an_initial_access_token_permits_registration() {
    let served = start_twin();
    served.with(|twin| twin.set_initial_access_token(Some("S3CR3T-init")));
    let store = Arc::new(MemoryStore::new());
    let connect_with = |token: Option<&str>| {
        let registration = Registration::new(ClientMetadata::of_native_app("Notes"));
        let registration = registration.initial_access_token(token.map(Secret::from));
        connection(request(&served).register(registration), &store)
    };
    for wrong in [None, Some("S3CR3T-other")] {
        let (connection, pages) = connect_with(wrong);
        let refused = connection.token().await.map(drop).unwrap_err();
        assert_eq!(refused.server_error().unwrap().status(), Some(401));
        assert!(!format!("{refused} {refused:?} {connection:?}").contains("S3CR3T"));
        assert_eq!(pages.load(Ordering::SeqCst), 0);
    }
    let (connection, pages) = connect_with(Some("S3CR3T-init"));
    let reply = connection.authorized().get(&api(&served)).send().await;
    assert_eq!(reply.unwrap().status(), 200);
    assert_eq!(pages.load(Ordering::SeqCst), 1);

    // It is sent only to the registration endpoint, and not stored.
    let (registration_requests, other_requests) = served.with(|twin| {
        let (there, elsewhere): (Vec<_>, Vec<_>) = twin
            .log()
            .iter()
            .partition(|entry| entry.path == "/register");
        let describe = |entry: &&Entry| {
            let Entry {
                headers,
                query,
                form,
                ..
            } = entry;
            format!("{headers:?} {query:?} {form:?} {:?}", entry.body)
        };
        (
            there.iter().map(describe).collect::<Vec<_>>(),
            elsewhere.iter().map(describe).collect::<Vec<_>>(),
        )
    });
    assert_eq!(registration_requests.len(), 3);
    assert!(
        registration_requests[2].contains("Bearer S3CR3T-init"),
        "{}",
        registration_requests[2]
    );
    assert!(!other_requests.iter().any(|entry| entry.contains("S3CR3T")));
    let keys = store.scan(None).await.unwrap().keys;
    assert!(!keys.is_empty());
    for key in keys {
        let entry = store.load(&key).await.unwrap().unwrap();
        assert!(!entry.record.expose().contains("S3CR3T"), "{key}");
    }
}

/// Serves this document, and counts the requests.
fn serve_document(document: Arc<Mutex<String>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let times = Arc::<AtomicUsize>::default();
    let requested = Arc::clone(&times);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            requested.fetch_add(1, Ordering::SeqCst);
            let body = document.lock().unwrap().clone();
            let length = body.len();
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{body}"
            );
            stream.write_all(reply.as_bytes()).unwrap();
        }
    });
    (base, times)
}

#[tokio::test]
async fn a_client_is_identified_by_its_metadata_document() {
    let document = Arc::<Mutex<String>>::default();
    let (home, fetched) = serve_document(Arc::clone(&document));
    let url = danger::loopback_client_id_url(&format!("{home}/client.json")).unwrap();
    let mut metadata = ClientMetadata::of_native_app("Notes");
    metadata.redirect_uris = vec![RedirectUri::parse("http://127.0.0.1/callback").unwrap()];
    let made = ClientIdMetadataDocument::new(url.clone(), metadata).unwrap();
    made.check_for_mcp().unwrap();
    *document.lock().unwrap() = made.to_json();

    let identities = || {
        let mut identities = ClientCandidates::default();
        identities.metadata_document = Some(url.clone().into());
        identities
    };
    let registering = |served: &Served| {
        let request = request(served).clients(identities());
        request.register(ClientMetadata::of_native_app("Notes"))
    };
    let taking = start_twin();
    taking.with(|twin| twin.accept_client_id_metadata());
    let store = Arc::new(MemoryStore::new());
    for _ in 0..2 {
        // The second connection has the store of the first: no login is needed.
        let (connection, _) = connection(registering(&taking), &store);
        let reply = connection.authorized().get(&api(&taking)).send().await;
        let echo: serde_json::Value =
            serde_json::from_str(&reply.unwrap().text().await.unwrap()).unwrap();
        assert_eq!(echo["client_id"], url.as_str());
    }
    let (registered, logins) = taking.with(|twin| {
        let request_count =
            |path: &str| twin.log().iter().filter(|entry| entry.path == path).count();
        (request_count("/register"), request_count("/token"))
    });
    assert_eq!((registered, logins), (0, 1));
    assert!(fetched.load(Ordering::SeqCst) > 0);

    // At a server without support for such ids, the client registers; without registration there is no client.
    let other = start_twin();
    let (connection, _) = connection(registering(&other), &store);
    connection.token().await.unwrap();
    assert_eq!(other.with(|twin| twin.registered_clients().len()), 1);
    let alone = request(&other).clients(identities());
    let refused = ResourceConnection::new(driver(), alone).token().await;
    assert_eq!(refused.map(drop).unwrap_err().code(), "connect.no_client");
}

/// A client that has registered, and whose user has not signed in yet.
async fn registered_only(served: &Served, store: &Arc<MemoryStore>) -> String {
    let request = request(served).register(ClientMetadata::of_native_app("Notes"));
    let closed = || Err(oauth_core::Error::lost(Cause::unsent("closed")));
    let connection = ResourceConnection::new(driver(), request.clone())
        .store(store.clone())
        .open(move |_| closed());
    connection.token().await.map(drop).unwrap_err();
    client_in(served, store).await.client_id.as_str().to_owned()
}

/// The stored client.
async fn client_in(served: &Served, store: &Arc<MemoryStore>) -> RegisteredClient {
    let stored = connections::load(&**store, &request(served).key("")).await;
    stored.unwrap().connection.unwrap().registration.unwrap()
}

fn logged_paths(served: &Served, line: &str) -> usize {
    served.with(|twin| {
        let log = twin.log().iter();
        let lines = log.map(|entry| format!("{} {}", entry.method, entry.path));
        lines.filter(|logged| logged.starts_with(line)).count()
    })
}

/// "authorize page says unknown client" (B82): the user does not return from such a page.
#[tokio::test]
async fn a_client_that_the_server_forgot_is_registered_again_before_sign_in() {
    let (served, store) = (start_twin(), Arc::new(MemoryStore::new()));
    let first = registered_only(&served, &store).await;
    served.with(|twin| twin.forget_client(&first));
    let again = request(&served).register(ClientMetadata::of_native_app("Notes"));
    let (connection, pages) = connection(again, &store);
    connection.token().await.unwrap();
    assert_eq!(pages.load(Ordering::SeqCst), 1);
    assert_ne!(client_in(&served, &store).await.client_id.as_str(), first);
    // The server is asked about the stored client, not about the one that has just been registered.
    assert_eq!(logged_paths(&served, "GET /register/"), 1);
    assert_eq!(logged_paths(&served, "POST /register"), 2);
}

#[tokio::test]
async fn a_stored_client_that_the_server_still_knows_is_used_again() {
    let (served, store) = (start_twin(), Arc::new(MemoryStore::new()));
    let first = registered_only(&served, &store).await;
    let before = client_in(&served, &store).await;
    let again = || request(&served).register(ClientMetadata::of_native_app("Notes"));
    let (one, pages) = connection(again(), &store);
    one.token().await.unwrap();
    let stored = client_in(&served, &store).await;
    assert_eq!(stored.client_id.as_str(), first);
    // The server has replaced the token with which the registration is managed.
    let token = |client: &RegisteredClient| client.registration_access_token.clone().unwrap();
    assert_ne!(token(&stored).expose(), token(&before).expose());
    let server = one_server(&served, &store).await;
    driver()
        .run(read_registration(server, stored))
        .await
        .unwrap();
    assert_eq!(
        (
            pages.load(Ordering::SeqCst),
            logged_paths(&served, "POST /reg")
        ),
        (1, 1)
    );
}

async fn one_server(served: &Served, store: &Arc<MemoryStore>) -> Server {
    let stored = connections::load(&**store, &request(served).key("")).await;
    stored.unwrap().connection.unwrap().server
}

#[tokio::test]
async fn an_unreadable_registration_does_not_prevent_a_sign_in() {
    let faults = [
        Fault::LostReply,
        Fault::Html,
        Fault::Status {
            status: 503,
            retry_after: None,
        },
    ];
    for fault in faults {
        let (served, store) = (start_twin(), Arc::new(MemoryStore::new()));
        let first = registered_only(&served, &store).await;
        served.with(|twin| twin.inject(fault));
        let again = request(&served).register(ClientMetadata::of_native_app("Notes"));
        let (connection, pages) = connection(again, &store);
        connection.token().await.unwrap();
        assert_eq!(pages.load(Ordering::SeqCst), 1);
        assert_eq!(client_in(&served, &store).await.client_id.as_str(), first);
    }
}
