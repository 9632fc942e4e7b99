//! Connections in stores that several workers share, or that fail, and limits on repeated requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oauth_core::error::{Cause, Error};
use oauth_core::moment::UnixTime;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::{ClientMetadata, Scope, Secret, danger};
use oauth_reqwest::oauth_session::store::{
    Answer, Entry, Lease, MemoryStore, RecordTimes, SaveOutcome,
};
use oauth_reqwest::oauth_session::{Store, connections};
use oauth_reqwest::{Authorized, ResourceConnection, TokenSource, reqwest};
use oauth_testkit::Served;

use crate::obliging::Obliging;
use crate::support::{TEST_TIMEOUT, browse, callback_of, driver, start_twin};

fn api(served: &Served) -> String {
    format!("{}/api/echo", served.base())
}

/// A connection of a user who approves every page, and the number of pages.
fn connection(
    served: &Served,
    pages: &Arc<AtomicUsize>,
    store: Arc<dyn Store>,
) -> ResourceConnection {
    let request = danger::loopback_connect_request(&api(served)).unwrap();
    let request = request.register(ClientMetadata::of_native_app("Notes"));
    let pages = Arc::clone(pages);
    ResourceConnection::new(driver(), request)
        .store(store)
        .sign_in_timeout(TEST_TIMEOUT)
        .open(move |url| {
            pages.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(browse(url.as_str().to_owned()));
            Ok(())
        })
}

fn times(served: &Served, path: &str) -> usize {
    served.with(|twin| {
        let log = twin.log().iter();
        log.filter(|entry| entry.path.starts_with(path)).count()
    })
}

/// The effect of the next save.
enum NextSave {
    /// The store fails.
    Broken,
    /// Another worker has just saved this record.
    Overtaken(Secret<String>),
}

struct FaultyStore {
    inner: Arc<MemoryStore>,
    next_save: Mutex<Option<NextSave>>,
}

impl FaultyStore {
    fn new(trouble: impl Into<Option<NextSave>>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::default(),
            next_save: Mutex::new(trouble.into()),
        })
    }
}

impl Store for FaultyStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.inner.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        let trouble = self.next_save.lock().unwrap().take();
        Box::pin(async move {
            match trouble {
                Some(NextSave::Broken) => return Err(Error::lost(Cause::unsent("out of order"))),
                Some(NextSave::Overtaken(theirs)) => {
                    self.inner
                        .save(key, &theirs, version, RecordTimes::NONE)
                        .await?;
                }
                None => {}
            }
            self.inner.save(key, record, version, times).await
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        self.inner.lease(key, holder, ttl)
    }
}

fn key(served: &Served) -> String {
    let request = danger::loopback_connect_request(&api(served)).unwrap();
    request.key("")
}

#[tokio::test]
async fn a_connection_that_cannot_be_stored_is_not_used() {
    let (served, pages) = (start_twin(), Arc::default());
    let connection = connection(&served, &pages, FaultyStore::new(NextSave::Broken));
    connection.token().await.map(drop).unwrap_err();
    assert_eq!(pages.load(Ordering::SeqCst), 0);
    // The store works again.
    connection.token().await.unwrap();
    assert_eq!(pages.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn two_workers_connecting_at_once_use_the_same_client() {
    let (served, pages) = (start_twin(), Arc::default());
    let other = Arc::new(MemoryStore::new());
    let first = connection(&served, &pages, other.clone());
    first.token().await.unwrap();
    let stored = connections::load(&*other, &key(&served)).await.unwrap();
    let theirs = stored.connection.unwrap().to_json().unwrap();

    let second = connection(
        &served,
        &pages,
        FaultyStore::new(NextSave::Overtaken(theirs)),
    );
    let client_id_of = async |connection: &ResourceConnection| {
        let reply = connection.authorized().get(&api(&served)).send().await;
        let text = reply.unwrap().text().await.unwrap();
        let output: serde_json::Value = serde_json::from_str(&text).unwrap();
        output["client_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(client_id_of(&second).await, client_id_of(&first).await);
    // It had registered before it knew of the other's client, checks that one before opening its page, and deletes its
    // own unused client.
    assert_eq!(times(&served, "/register"), 4);
    assert_eq!(served.with(|twin| twin.registered_clients().len()), 1);
}

/// `oauth connect --forget` in another shell, while this process registers its client.
#[tokio::test]
async fn forgetting_a_connection_while_another_is_made_keeps_its_client() {
    let (served, pages) = (start_twin(), Arc::default());
    let tombstone = Secret::new(String::new());
    let store = FaultyStore::new(NextSave::Overtaken(tombstone));
    let first = connection(&served, &pages, store.clone());
    let token = first.token().await.unwrap();
    // There is no other client: this one is used, and stored for the next run.
    let second = connection(&served, &pages, store);
    let again = second.token().await.unwrap();
    assert_eq!(again.access_token.expose(), token.access_token.expose());
    let client_count = served.with(|twin| twin.registered_clients().len());
    let registered = times(&served, "/register");
    assert_eq!(
        (registered, client_count, pages.load(Ordering::SeqCst)),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn a_stored_connection_is_rediscovered_after_a_day() {
    let (served, pages) = (start_twin(), Arc::default());
    let store = Arc::new(MemoryStore::new());
    connection(&served, &pages, store.clone())
        .token()
        .await
        .unwrap();
    let key = key(&served);
    let metadata = || times(&served, "/.well-known/oauth-protected-resource");
    let before = metadata();
    let aged = async |seconds: u64| {
        let record = connections::load(&*store, &key).await.unwrap();
        let text = record.connection.unwrap().to_json().unwrap();
        let mut stored: serde_json::Value = serde_json::from_str(text.expose()).unwrap();
        let now = UnixTime::system().unwrap().as_secs();
        stored["found_at"] = (now - seconds).into();
        let old = oauth_core::flow::resource_connection::Connection::from_json(&stored.to_string())
            .unwrap();
        let saved = connections::save(&*store, &key, &old, record.version).await;
        saved.unwrap().unwrap();
        connection(&served, &pages, store.clone())
            .token()
            .await
            .unwrap();
        metadata() - before
    };
    assert_eq!(aged(23 * 3600).await, 0);
    assert_eq!(aged(25 * 3600).await, 1);
    // The client and the user stay the same.
    assert_eq!(times(&served, "/register"), 1);
    assert_eq!(pages.load(Ordering::SeqCst), 1);
}

/// Equivalent spellings of a URL share a connection (B81); an older record is found by the spelling it was saved under.
#[tokio::test]
async fn equivalent_urls_share_a_stored_connection() {
    let (served, pages) = (start_twin(), Arc::default());
    let request_for = |last: &str| {
        let url = format!("{}/api/{last}", served.base());
        danger::loopback_connect_request(&url).unwrap()
    };
    let connected = |last: &str, store: &Arc<MemoryStore>| {
        let request = request_for(last).register(ClientMetadata::of_native_app("Notes"));
        let pages: Arc<AtomicUsize> = Arc::clone(&pages);
        ResourceConnection::new(driver(), request)
            .store(store.clone())
            .sign_in_timeout(TEST_TIMEOUT)
            .open(move |url| {
                pages.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(browse(url.as_str().to_owned()));
                Ok(())
            })
    };
    let store = Arc::new(MemoryStore::new());
    let token = connected("ech%6f", &store).token().await.unwrap();
    for other in ["ech%6F", "echo"] {
        let same = connected(other, &store).token().await.unwrap();
        assert_eq!(
            same.access_token.expose(),
            token.access_token.expose(),
            "{other}"
        );
    }
    assert_eq!(pages.load(Ordering::SeqCst), 1);

    // A record saved by an earlier release.
    let before = Arc::new(MemoryStore::new());
    let stored = connections::load(&*store, &request_for("echo").key(""))
        .await
        .unwrap();
    let former = request_for("ech%6f").former_key("").unwrap();
    let connection = stored.connection.unwrap();
    connections::save(&*before, &former, &connection, 0)
        .await
        .unwrap()
        .unwrap();
    let clients = || served.with(|twin| twin.registered_clients().len());
    connected("ech%6f", &before).token().await.unwrap();
    assert_eq!(clients(), 1);
    connected("echo", &before).token().await.unwrap();
    assert_eq!(clients(), 2);
}

#[tokio::test]
async fn registration_is_attempted_twice_if_the_server_forgets_every_client() {
    let served = Arc::new(start_twin());
    let pages = Arc::<AtomicUsize>::default();
    let request = danger::loopback_connect_request(&api(&served)).unwrap();
    let request = request.register(ClientMetadata::of_native_app("Notes"));
    let (twin, times_shown) = (Arc::clone(&served), Arc::clone(&pages));
    let connection = ResourceConnection::new(driver(), request).open(move |url| {
        times_shown.fetch_add(1, Ordering::SeqCst);
        let (url, twin) = (url.as_str().to_owned(), Arc::clone(&twin));
        tokio::spawn(async move {
            let home = callback_of(url).await;
            // Between the code and its redemption.
            twin.with(|twin| {
                let clients = twin.registered_clients();
                let clients: Vec<_> = clients.into_iter().map(str::to_owned).collect();
                clients.iter().for_each(|id| twin.forget_client(id));
            });
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            http.get(home).send().await.unwrap();
        });
        Ok(())
    });
    let refused = connection.token().await.map(drop).unwrap_err();
    assert_eq!(refused.code(), "denied.invalid_client");
    // The second client, which has no login, is deleted.
    assert_eq!(times(&served, "/register"), 3);
    assert_eq!(pages.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_step_up_that_is_never_granted_stores_nothing() {
    let (served, pages) = (start_twin(), Arc::<AtomicUsize>::default());
    let mut metadata = ClientMetadata::of_native_app("Notes");
    metadata.scope = Some(Scope::parse("read").unwrap());
    let request = danger::loopback_connect_request(&api(&served)).unwrap();
    let request = request
        .register(metadata)
        .challenge([br#"Bearer scope="read""#.as_slice()])
        .unwrap();
    let store = FaultyStore::new(None);
    let (shown, troubled) = (Arc::clone(&pages), Arc::clone(&store));
    let connection = ResourceConnection::new(driver(), request).store(store.clone());
    let connection = connection.open(move |url| {
        if shown.fetch_add(1, Ordering::SeqCst) == 1 {
            *troubled.next_save.lock().unwrap() = Some(NextSave::Broken);
        }
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    });
    let token = connection.token().await.unwrap();
    let mut required = StepUp::default();
    required.scope = Some(Scope::parse("moon").unwrap());
    let try_step_up = async || connection.step_up(&token, &required).await.map(drop);
    assert_eq!(
        try_step_up().await.unwrap_err().code(),
        "denied.invalid_scope"
    );
    assert_eq!(try_step_up().await.unwrap_err().code(), "step_up.repeated");
    assert_eq!(pages.load(Ordering::SeqCst), 2);
    // Nothing is saved, and the errors come from the user's answer and from the limit.
    assert!(store.next_save.lock().unwrap().take().is_some());
    // The client that was registered for it is not used.
    served.with(|twin| twin.expire_access_tokens());
    let reply = connection.authorized().get(&api(&served)).send().await;
    assert_eq!(reply.unwrap().status(), 200);
    assert_eq!(pages.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_steps_up_once() {
    let (served, pages) = (start_twin(), Arc::default());
    let request = danger::loopback_connect_request(&api(&served)).unwrap();
    let request = request
        .register(ClientMetadata::of_native_app("Notes"))
        .challenge([br#"Bearer scope="read""#.as_slice()])
        .unwrap();
    let shown = Arc::<AtomicUsize>::clone(&pages);
    let reader = ResourceConnection::new(driver(), request).open(move |url| {
        shown.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    });
    let token = reader.token().await.unwrap();
    let (source, prompts) = Obliging::with(&token);
    let resource = danger::loopback_resource([served.base()]).unwrap();
    let api_of_all = Authorized::new(driver(), source, resource);
    for turn in 1..3 {
        let reply = api_of_all.post(&api(&served)).body("x").send().await;
        assert_eq!(reply.unwrap().status(), 403);
        assert_eq!(prompts.load(Ordering::SeqCst), turn);
    }
    assert_eq!(pages.load(Ordering::SeqCst), 1);
}
