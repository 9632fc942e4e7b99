//! An API whose refusal of a token names its metadata, which is fetched again: the connection follows changes (RFC 9728
//! section 5.2).

use std::sync::Arc;

use oauth_core::flow::resource_connection::{
    ClientCandidates, ConnectRequest, Connection, GrantChoice,
};
use oauth_core::moment::UnixTime;
use oauth_core::{ClientAuth, ClientId, danger};
use oauth_reqwest::ResourceConnection;
use oauth_reqwest::oauth_session::{Store, connections};
use oauth_testkit::Served;

use crate::connection_siblings::{Siblings, status, token};
use crate::support::{counters, driver, start_twin};

/// The API `a` of the first server, in a connection whose metadata is ten minutes old.
pub(crate) struct Stage {
    pub(crate) first: Served,
    pub(crate) second: Served,
    pub(crate) apis: Siblings,
    pub(crate) connection: ResourceConnection,
    pub(crate) request: ConnectRequest,
}

impl Stage {
    async fn new() -> Self {
        Self::with_store(None).await
    }

    /// A stage with this store instead of the default one.
    pub(crate) async fn with_store(store: Option<Arc<dyn Store>>) -> Self {
        let (first, second) = (start_twin(), start_twin());
        let mut apis = Siblings::start(&first, &second);
        if let Some(store) = store {
            apis.store = store;
        }
        apis.state.lock().unwrap().names_on_refusal = true;
        let connection = apis.connection("a");
        let request = danger::loopback_connect_request(&apis.url("a")).unwrap();
        let stage = Self {
            first,
            second,
            apis,
            connection,
            request,
        };
        assert_eq!(stage.call().await, Ok(200));
        stage.age_connection().await;
        stage
    }

    pub(crate) async fn call(&self) -> Result<u16, &'static str> {
        status(&self.connection, &self.apis.url("a")).await
    }

    /// Makes the stored connection older.
    pub(crate) async fn age_connection(&self) {
        let (store, key) = (&*self.apis.store, self.request.key(""));
        let record = connections::load(store, &key).await.unwrap();
        let text = record.connection.unwrap().to_json().unwrap();
        let mut stored: serde_json::Value = serde_json::from_str(text.expose()).unwrap();
        stored["found_at"] = (UnixTime::system().unwrap().as_secs() - 600).into();
        let old = Connection::from_json(&stored.to_string()).unwrap();
        let saved = connections::save(store, &key, &old, record.version).await;
        saved.unwrap().unwrap();
    }

    /// Has the API refuse the token that the connection has.
    pub(crate) async fn refuse_token(&self) -> String {
        let token = token(&self.connection).await;
        let mut state = self.apis.state.lock().unwrap();
        state.dead.insert(format!("Bearer {token}"));
        token
    }

    /// Has the API name this authorization server.
    pub(crate) fn set_authorization_server(&self, server: &Served) {
        let mut state = self.apis.state.lock().unwrap();
        server.base().clone_into(&mut state.issuers[0]);
    }

    fn metadata_requests(&self) -> usize {
        self.apis.state.lock().unwrap().fetched
    }
}

#[tokio::test]
async fn after_a_refused_token_the_connection_follows_the_api_to_a_new_server() {
    let stage = Stage::new().await;
    let old = stage.refuse_token().await;
    stage.set_authorization_server(&stage.second);
    let refreshes = counters(&stage.first).refreshes;
    assert_eq!(stage.call().await, Ok(200));
    assert_eq!(stage.apis.logins(), 2);
    let (before, [_, client_before, _]) = stage.apis.page_parameters(0);
    let (server, [resource, client, _]) = stage.apis.page_parameters(1);
    assert_eq!(
        (before.as_str(), server.as_str()),
        (stage.first.base(), stage.second.base())
    );
    assert_eq!(resource, Some(stage.apis.url("a")));
    assert_ne!(client, client_before);
    // Nothing about the former server is sent to the new one, and no more requests go to the former.
    let expected = stage.second.with(|twin| format!("{:?}", twin.log()));
    assert!(!expected.contains(&old), "{expected}");
    assert!(!expected.contains(&client_before.unwrap()), "{expected}");
    assert_eq!(counters(&stage.first).refreshes, refreshes);
    // Other processes follow without a login.
    let elsewhere = stage.apis.connection("a");
    assert_eq!(token(&elsewhere).await, token(&stage.connection).await);
    assert_eq!(stage.apis.logins(), 2);
}

#[tokio::test]
async fn fifty_refused_callers_rediscover_once() {
    let stage = Stage::new().await;
    stage.refuse_token().await;
    stage.set_authorization_server(&stage.second);
    let before = stage.metadata_requests();
    let calls = (0..50).map(|_| {
        let (connection, url) = (stage.connection.clone(), stage.apis.url("a"));
        tokio::spawn(async move { status(&connection, &url).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), Ok(200));
    }
    // Once to notice the change, and once to connect.
    assert_eq!(
        (stage.metadata_requests() - before, stage.apis.logins()),
        (2, 2)
    );
}

#[tokio::test]
async fn unchanged_metadata_is_fetched_once_in_five_minutes() {
    let stage = Stage::new().await;
    let before = stage.metadata_requests();
    for renewals in 1..=3 {
        stage.refuse_token().await;
        assert_eq!(stage.call().await, Ok(200));
        assert_eq!(counters(&stage.first).refreshes, renewals);
        assert_eq!(stage.metadata_requests() - before, 1);
    }
    assert_eq!(stage.apis.logins(), 1);

    // A refusal without a metadata URL does not cause a fetch.
    let stage = Stage::new().await;
    stage.apis.state.lock().unwrap().names_on_refusal = false;
    let before = stage.metadata_requests();
    stage.refuse_token().await;
    stage.set_authorization_server(&stage.second);
    assert_eq!(stage.call().await, Ok(200));
    assert_eq!(
        (stage.metadata_requests(), stage.apis.logins()),
        (before, 1)
    );
}

#[tokio::test]
async fn changes_of_server_cause_at_most_one_login_an_hour() {
    let stage = Stage::new().await;
    stage.refuse_token().await;
    stage.set_authorization_server(&stage.second);
    assert_eq!(stage.call().await, Ok(200));
    assert_eq!(stage.apis.logins(), 2);
    for server in [&stage.first, &stage.second, &stage.first] {
        stage.age_connection().await;
        stage.refuse_token().await;
        stage.set_authorization_server(server);
        assert_eq!(stage.call().await, Ok(200));
    }
    assert_eq!(stage.apis.logins(), 2);
}

#[tokio::test]
async fn a_preregistered_client_does_not_follow_the_api_to_another_server() {
    let (first, second) = (start_twin(), start_twin());
    let apis = Siblings::start(&first, &second);
    apis.state.lock().unwrap().names_on_refusal = true;
    let (id, secret) =
        first.with(|twin| (twin.client_id().to_owned(), twin.client_secret().to_owned()));
    let issuer = danger::loopback_issuer(first.base()).unwrap();
    let request = danger::loopback_connect_request(&apis.url("a")).unwrap();
    let request = request
        .clients(ClientCandidates::preregistered(issuer, ClientId::new(id)))
        .grant(GrantChoice::ClientCredentials);
    let connection = ResourceConnection::new(driver(), request.clone())
        .store(Arc::clone(&apis.store))
        .client_auth(ClientAuth::basic(secret));
    let stage = Stage {
        first,
        second,
        apis,
        connection,
        request,
    };
    assert_eq!(stage.call().await, Ok(200));
    stage.age_connection().await;
    stage.refuse_token().await;
    stage.set_authorization_server(&stage.second);
    assert_eq!(stage.call().await, Err("connect.issuer"));
    assert!(stage.second.with(|twin| twin.log().is_empty()));
}
