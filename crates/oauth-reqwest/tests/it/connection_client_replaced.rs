//! Replacement of a client that is registered for too little scope, or forgotten by the server: only after the user has
//! signed in to the new one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oauth_core::{ClientMetadata, Scope, danger};
use oauth_reqwest::oauth_session::connections;
use oauth_reqwest::oauth_session::store::MemoryStore;
use oauth_reqwest::{ResourceConnection, reqwest};
use oauth_testkit::Served;

use crate::support::{TEST_TIMEOUT, browse, driver, start_twin, until};

/// The URLs of the opened pages. The first is approved at once.
type Pages = Arc<Mutex<Vec<String>>>;

struct Stage {
    served: Served,
    store: Arc<MemoryStore>,
    pages: Pages,
}

impl Stage {
    fn new() -> Self {
        Self {
            served: start_twin(),
            store: Arc::default(),
            pages: Arc::default(),
        }
    }

    fn api(&self) -> String {
        format!("{}/api/echo", self.served.base())
    }

    /// A connection whose client registers only for `read`.
    fn connection(&self) -> ResourceConnection {
        let mut metadata = ClientMetadata::of_native_app("Notes");
        metadata.scope = Some(Scope::parse("read").unwrap());
        let request = danger::loopback_connect_request(&self.api()).unwrap();
        let request = request
            .register(metadata)
            .challenge([br#"Bearer scope="read""#.as_slice()])
            .unwrap();
        let pages = Arc::clone(&self.pages);
        ResourceConnection::new(driver(), request)
            .store(self.store.clone())
            .sign_in_timeout(TEST_TIMEOUT)
            .open(move |url| {
                let mut pages = pages.lock().unwrap();
                pages.push(url.as_str().to_owned());
                if pages.len() == 1 {
                    tokio::spawn(browse(url.as_str().to_owned()));
                }
                Ok(())
            })
    }

    fn page_count(&self) -> usize {
        self.pages.lock().unwrap().len()
    }

    fn last_page(&self) -> String {
        self.pages.lock().unwrap().last().unwrap().clone()
    }

    async fn answer_last_page(&self) {
        browse(self.last_page()).await;
    }

    /// The user denies the last request.
    async fn deny_last_page(&self) {
        let page: reqwest::Url = self.last_page().parse().unwrap();
        let page_parameter = |name: &str| {
            let mut pairs = page.query_pairs();
            let value = pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()));
            value.unwrap()
        };
        let mut callback: reqwest::Url = page_parameter("redirect_uri").parse().unwrap();
        callback
            .query_pairs_mut()
            .append_pair("error", "access_denied")
            .append_pair("state", &page_parameter("state"))
            .append_pair("iss", self.served.base());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        http.get(callback).send().await.unwrap();
    }

    /// The number of registered clients.
    fn client_count(&self) -> usize {
        self.served.with(|twin| twin.registered_clients().len())
    }

    /// The id of the client in the stored record.
    async fn stored_client_id(&self) -> String {
        let request = danger::loopback_connect_request(&self.api()).unwrap();
        let stored = connections::load(&*self.store, &request.key("")).await;
        let registration = stored.unwrap().connection.unwrap().registration;
        registration.unwrap().client_id.as_str().to_owned()
    }
}

type PendingCall = tokio::task::JoinHandle<Result<u16, &'static str>>;

/// A request that has opened a page, which the user has not answered yet.
async fn call_until_page_opens(
    stage: &Stage,
    connection: &ResourceConnection,
    method: reqwest::Method,
) -> PendingCall {
    let (authorized, url) = (connection.authorized(), stage.api());
    let pages = stage.page_count();
    let call = tokio::spawn(async move {
        let reply = authorized.request(method, &url).send().await;
        reply
            .map(|reply| reply.status().as_u16())
            .map_err(|error| error.code())
    });
    until(|| stage.page_count() > pages).await;
    call
}

/// A request that needs more scope than the first client has.
async fn post_until_page_opens(stage: &Stage, connection: &ResourceConnection) -> PendingCall {
    call_until_page_opens(stage, connection, reqwest::Method::POST).await
}

async fn token(connection: &ResourceConnection) -> String {
    let token = tokio::time::timeout(Duration::from_secs(10), connection.token()).await;
    let token = token
        .expect("nobody waits for the step-up of another")
        .unwrap();
    token.access_token.expose().to_owned()
}

/// The user presses Ctrl-C, or the caller's time limit has passed (B82).
#[tokio::test]
async fn the_first_client_is_kept_until_the_user_has_signed_in_with_the_wider_one() {
    let stage = Stage::new();
    let connection = stage.connection();
    let first = token(&connection).await;
    let call = post_until_page_opens(&stage, &connection).await;
    // A caller that needs no more scope gets its token at once, here and in another process.
    assert_eq!(token(&connection).await, first);
    assert_eq!(token(&stage.connection()).await, first);

    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    stage.served.with(|twin| twin.expire_access_tokens());
    for connection in [&connection, &stage.connection()] {
        let reply = connection.authorized().get(&stage.api()).send().await;
        assert_eq!(reply.unwrap().status(), 200);
        assert_ne!(token(connection).await, first);
    }
    assert_eq!(stage.page_count(), 2);
}

#[tokio::test]
async fn a_step_up_succeeds_although_another_worker_saved_the_connection() {
    let stage = Stage::new();
    let connection = stage.connection();
    let first = token(&connection).await;
    let call = post_until_page_opens(&stage, &connection).await;
    let key = danger::loopback_connect_request(&stage.api())
        .unwrap()
        .key("");
    let stored = connections::load(&*stage.store, &key).await.unwrap();
    let stored_connection = stored.connection.unwrap();
    let saved = connections::save(&*stage.store, &key, &stored_connection, stored.version).await;
    assert!(saved.unwrap().is_some());

    stage.answer_last_page().await;
    assert_eq!(call.await.unwrap(), Ok(200));
    let wider = token(&connection).await;
    assert_ne!(wider, first);
    assert_eq!(token(&stage.connection()).await, wider);
    // The next login requests all of it at once.
    let stored = connections::load(&*stage.store, &key).await.unwrap();
    let scope = stored.connection.unwrap().scope.unwrap();
    assert!(
        scope.contains("read") && scope.contains("write"),
        "{scope:?}"
    );
    assert_eq!(stage.page_count(), 2);
}

/// An unused client is deleted at the server (RFC 7592), and the caller gets the user's answer as the error.
#[tokio::test]
async fn a_refused_step_up_deletes_the_new_client() {
    let stage = Stage::new();
    let connection = stage.connection();
    let first = token(&connection).await;
    let call = post_until_page_opens(&stage, &connection).await;
    assert_eq!(stage.client_count(), 2);
    stage.deny_last_page().await;

    assert_eq!(call.await.unwrap(), Err("denied.access_denied"));
    assert_eq!(stage.client_count(), 1);
    assert_eq!(token(&connection).await, first);
    assert_eq!(token(&stage.connection()).await, first);
}

/// "register once more, once, then log in; the old record kept until it works" (B82): the server may know the client again
/// tomorrow, and its refresh token with it.
#[tokio::test]
async fn the_record_of_a_forgotten_client_is_kept_until_another_login_succeeds() {
    let stage = Stage::new();
    let connection = stage.connection();
    token(&connection).await;
    let first = stage.stored_client_id().await;
    stage.served.with(|twin| {
        twin.forget_client(&first);
        twin.expire_access_tokens();
    });
    let call = call_until_page_opens(&stage, &connection, reqwest::Method::GET).await;
    assert_eq!(
        (stage.client_count(), stage.stored_client_id().await),
        (1, first.clone())
    );
    stage.deny_last_page().await;
    assert_eq!(call.await.unwrap(), Err("denied.access_denied"));
    assert_eq!(
        (stage.client_count(), stage.stored_client_id().await),
        (0, first.clone())
    );

    let call = call_until_page_opens(&stage, &connection, reqwest::Method::GET).await;
    stage.answer_last_page().await;
    assert_eq!(call.await.unwrap(), Ok(200));
    assert_ne!(stage.stored_client_id().await, first);
    let new_token = token(&connection).await;
    assert_eq!(token(&stage.connection()).await, new_token);
    assert_eq!((stage.client_count(), stage.page_count()), (1, 3));
}
