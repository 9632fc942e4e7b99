//! Connections from an API's URL alone: discovery of its server, client registration, sign-in and calls.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oauth_core::flow::resource_connection::{ClientCandidates, ConnectRequest, GrantChoice};
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::{ClientAuth, ClientId, ClientMetadata, Error, Scope, danger};
use oauth_reqwest::oauth_session::store::{FileStore, MemoryStore, RecordTimes};
use oauth_reqwest::oauth_session::{Store, TokenSource as _};
use oauth_reqwest::{ResourceConnection, reqwest};
use oauth_testkit::{Fault, Served};

use crate::support::{TEST_TIMEOUT, browse, counters, driver, start_twin};

/// A user who approves every page that is opened, and the number of pages.
#[derive(Clone, Default)]
pub(crate) struct Person(Arc<AtomicUsize>);

impl Person {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn api(served: &Served) -> String {
    format!("{}/api/echo", served.base())
}

pub(crate) fn request(served: &Served) -> ConnectRequest {
    let request = danger::loopback_connect_request(&api(served)).unwrap();
    request.register(ClientMetadata::of_native_app("Notes"))
}

pub(crate) fn connection(
    served: &Served,
    person: &Person,
    store: Arc<dyn Store>,
) -> ResourceConnection {
    let times = Arc::clone(&person.0);
    let open = move |url: &oauth_core::url::Url| {
        times.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    };
    ResourceConnection::new(driver(), request(served))
        .store(store)
        .open(open)
        .sign_in_timeout(TEST_TIMEOUT)
}

pub(crate) async fn echo(
    connection: &ResourceConnection,
    served: &Served,
) -> (u16, serde_json::Value) {
    let reply = connection.authorized().get(&api(served)).send().await;
    let reply = reply.unwrap();
    let status = reply.status().as_u16();
    (
        status,
        serde_json::from_str(&reply.text().await.unwrap()).unwrap(),
    )
}

#[tokio::test]
async fn the_first_call_discovers_registers_and_signs_in() {
    let (served, person) = (start_twin(), Person::default());
    let connection = connection(&served, &person, Arc::new(MemoryStore::new()));
    let (status, echo) = echo(&connection, &served).await;
    assert_eq!(status, 200);
    let clients = served.with(|twin| twin.registered_clients().len());
    assert_eq!((clients, person.times()), (1, 1));
    assert!(echo["client_id"].is_string(), "{echo}");

    // Fifty callers with one expired token cause one refresh, and no login.
    served.with(|twin| twin.expire_access_tokens());
    let calls = (0..50).map(|_| {
        let (connection, url) = (connection.clone(), api(&served));
        tokio::spawn(async move { connection.authorized().get(&url).send().await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!((counters(&served).refreshes, person.times()), (1, 1));
}

#[tokio::test]
async fn fifty_concurrent_callers_register_one_client() {
    let (served, person) = (start_twin(), Person::default());
    let connection = connection(&served, &person, Arc::new(MemoryStore::new()));
    let calls = (0..50).map(|_| {
        let connection = connection.clone();
        tokio::spawn(async move { connection.token().await.map(drop) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    let clients = served.with(|twin| twin.registered_clients().len());
    assert_eq!((clients, person.times()), (1, 1));
}

#[tokio::test]
async fn a_stored_connection_needs_no_sign_in() {
    let (served, person) = (start_twin(), Person::default());
    let folder = tempfile::tempdir().unwrap();
    let store = || Arc::new(FileStore::new(folder.path()).unwrap());
    let first = connection(&served, &person, store());
    assert_eq!(echo(&first, &served).await.0, 200);
    let before = served.with(|twin| twin.log().len());

    let second = connection(&served, &person, store());
    assert_eq!(echo(&second, &served).await.0, 200);
    let logged = served.with(|twin| {
        let log = twin.log().iter().skip(before);
        log.map(|entry| entry.path.clone()).collect::<Vec<_>>()
    });
    assert_eq!(logged, ["/api/echo"]);
    assert_eq!(person.times(), 1);
    // A different user has different tokens, and a different client.
    let other = connection(&served, &person, store()).subject("ann");
    assert_eq!(echo(&other, &served).await.0, 200);
    assert_eq!(person.times(), 2);
}

#[tokio::test]
async fn a_client_that_the_server_has_forgotten_registers_again_once() {
    let (served, person) = (start_twin(), Person::default());
    let connection = connection(&served, &person, Arc::new(MemoryStore::new()));
    let (_, echoed) = echo(&connection, &served).await;
    let first = echoed["client_id"].as_str().unwrap().to_owned();
    served.with(|twin| {
        twin.forget_client(&first);
        twin.expire_access_tokens();
    });
    let calls = (0..10).map(|_| {
        let (connection, url) = (connection.clone(), api(&served));
        tokio::spawn(async move { connection.authorized().get(&url).send().await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    let (_, echoed) = echo(&connection, &served).await;
    assert_ne!(echoed["client_id"], first.as_str());
    let clients = served.with(|twin| twin.registered_clients().len());
    assert_eq!((clients, person.times()), (1, 2));

    // Registration at a server that forgets clients at once is not repeated forever.
    served.with(|twin| twin.set_initial_access_token(Some("only by hand")));
    let id = echoed["client_id"].as_str().unwrap().to_owned();
    served.with(|twin| {
        twin.forget_client(&id);
        twin.expire_access_tokens();
    });
    let refused = connection.authorized().get(&api(&served)).send().await;
    assert_eq!(refused.unwrap_err().endpoint(), Some("registration"));
    assert_eq!(person.times(), 2);
}

#[tokio::test]
async fn a_wider_scope_is_requested_from_the_user_once() {
    let (served, person) = (start_twin(), Person::default());
    let urls = Arc::new(Mutex::new(Vec::new()));
    let (seen, times) = (Arc::clone(&urls), Arc::clone(&person.0));
    let request = request(&served)
        .challenge([br#"Bearer scope="read""#.as_slice()])
        .unwrap();
    let store = Arc::new(MemoryStore::new());
    let connection = ResourceConnection::new(driver(), request).store(store.clone());
    let connection = connection.open(move |url| {
        times.fetch_add(1, Ordering::SeqCst);
        seen.lock().unwrap().push(url.as_str().to_owned());
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    });
    let (_, echo) = echo(&connection, &served).await;
    assert_eq!(echo["scope"], "read offline_access");

    let authorized = connection.authorized();
    let reply = authorized
        .post(&api(&served))
        .body("x")
        .send()
        .await
        .unwrap();
    assert_eq!((reply.status().as_u16(), person.times()), (200, 2));
    let requested = urls.lock().unwrap().last().unwrap().clone();
    assert!(
        requested.contains("scope=read+offline_access+write"),
        "{requested}"
    );
    // The granted scope is kept.
    let again = connection.authorized().post(&api(&served)).body("y");
    assert_eq!(again.send().await.unwrap().status(), 200);
    assert_eq!(person.times(), 2);

    // A streaming body cannot be sent again: the caller gets the response.
    let token = connection.token().await.unwrap();
    let required = oauth_core::flow::resource::step_up(
        http::StatusCode::FORBIDDEN,
        [br#"Bearer error="insufficient_scope", scope="read write""#.as_slice()],
    );
    let again = connection.step_up(&token, &required.unwrap()).await;
    assert_eq!(code(again), Err("step_up.repeated"));
}

/// Servers refuse scopes that a client is not registered for.
#[tokio::test]
async fn a_client_registered_for_a_narrower_scope_registers_again() {
    let (served, person) = (start_twin(), Person::default());
    let mut metadata = ClientMetadata::of_native_app("Notes");
    metadata.scope = Some(Scope::parse("read").unwrap());
    let request = danger::loopback_connect_request(&api(&served)).unwrap();
    let request = request
        .register(metadata)
        .challenge([br#"Bearer scope="read""#.as_slice()])
        .unwrap();
    let times = Arc::clone(&person.0);
    let connection = ResourceConnection::new(driver(), request).open(move |url| {
        times.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    });
    let (_, first) = echo(&connection, &served).await;
    let authorized = connection.authorized();
    let reply = authorized
        .post(&api(&served))
        .body("x")
        .send()
        .await
        .unwrap();
    assert_eq!((reply.status().as_u16(), person.times()), (200, 2));
    let output: serde_json::Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
    assert_ne!(output["client_id"], first["client_id"]);
    assert_eq!(output["scope"], "read offline_access write");
    let registered = served.with(|twin| {
        let log = twin.log().iter();
        let all = log.filter(|entry| entry.path == "/register");
        all.map(|entry| {
            serde_json::from_slice::<serde_json::Value>(&entry.body).unwrap()["scope"].clone()
        })
        .collect::<Vec<_>>()
    });
    assert_eq!(
        registered,
        ["read offline_access", "read offline_access write"]
    );
}

#[tokio::test]
async fn a_preregistered_client_is_used_only_at_its_server() {
    let served = start_twin();
    let issuer = danger::loopback_issuer(served.base()).unwrap();
    let (id, secret) =
        served.with(|twin| (twin.client_id().to_owned(), twin.client_secret().to_owned()));
    let identities = ClientCandidates::preregistered(issuer, ClientId::new(id.as_str()));
    let request = danger::loopback_connect_request(&api(&served)).unwrap();
    let request = request
        .clients(identities)
        .grant(GrantChoice::ClientCredentials);
    let connection =
        ResourceConnection::new(driver(), request).client_auth(ClientAuth::basic(secret.as_str()));
    let (status, echo) = echo(&connection, &served).await;
    assert_eq!(
        (status, echo["client_id"].as_str()),
        (200, Some(id.as_str()))
    );
    assert!(served.with(|twin| twin.registered_clients().is_empty()));

    let elsewhere = ClientCandidates::preregistered(
        oauth_core::issuer::Issuer::parse("https://as.example").unwrap(),
        ClientId::new(id),
    );
    let request = danger::loopback_connect_request(&api(&served)).unwrap();
    let lost = ResourceConnection::new(driver(), request.clients(elsewhere));
    assert_eq!(code(lost.token().await), Err("connect.issuer"));
}

#[tokio::test]
async fn an_occupied_redirect_port_causes_another_registration() {
    let (served, person) = (start_twin(), Person::default());
    let connection = connection(&served, &person, Arc::new(MemoryStore::new()));
    let opened = Arc::new(Mutex::new(Vec::new()));
    let (seen, times) = (Arc::clone(&opened), Arc::clone(&person.0));
    let connection = connection.open(move |url| {
        times.fetch_add(1, Ordering::SeqCst);
        seen.lock().unwrap().push(url.as_str().to_owned());
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    });
    let token = connection.token().await.unwrap();
    let url: reqwest::Url = opened.lock().unwrap()[0].parse().unwrap();
    let redirect = url.query_pairs().find(|(name, _)| name == "redirect_uri");
    let redirect: reqwest::Url = redirect.unwrap().1.parse().unwrap();
    let port = redirect.port().unwrap();

    served.with(|twin| twin.revoke_all());
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .unwrap();
    let again = connection
        .authorized()
        .get(&api(&served))
        .send()
        .await
        .unwrap();
    assert_eq!((again.status().as_u16(), person.times()), (200, 2));
    let clients = served.with(|twin| twin.registered_clients().len());
    assert_eq!(clients, 2);
    drop((taken, token));
}

/// A stored connection older than a day may be for a server that the API no longer uses.
#[tokio::test]
async fn after_the_api_moves_a_client_is_registered_at_the_new_server() {
    let (served, person) = (start_twin(), Person::default());
    let store = Arc::new(MemoryStore::new());
    let first = connection(&served, &person, store.clone());
    assert_eq!(echo(&first, &served).await.0, 200);
    let page = store.scan(None).await.unwrap();
    let key = page.keys.iter().find(|key| key.starts_with("connection:"));
    let key = key.unwrap();
    let entry = store.load(key).await.unwrap().unwrap();
    let old = entry
        .record
        .expose()
        .replace(served.base(), "http://127.0.0.1:9");
    let mut old: serde_json::Value = serde_json::from_str(&old).unwrap();
    old["found_at"] = 0.into();
    let old = oauth_core::Secret::new(old.to_string());
    store
        .save(key, &old, entry.version, RecordTimes::NONE)
        .await
        .unwrap();

    let second = connection(&served, &person, store);
    assert_eq!(echo(&second, &served).await.0, 200);
    let clients = served.with(|twin| twin.registered_clients().len());
    assert_eq!((clients, person.times()), (2, 2));
}

#[tokio::test]
async fn after_forget_a_connection_registers_and_signs_in_again() {
    let (served, person) = (start_twin(), Person::default());
    let store = Arc::new(MemoryStore::new());
    let first = connection(&served, &person, store.clone());
    let (_, first_echo) = echo(&first, &served).await;
    let second = connection(&served, &person, store);
    second.forget().await.unwrap();
    assert_eq!(second.token().await.map(drop).map_err(|e| e.code()), Ok(()));
    let (_, again) = echo(&second, &served).await;
    assert_ne!(again["client_id"], first_echo["client_id"]);
    assert_eq!(person.times(), 2);
}

#[tokio::test]
async fn tokens_are_sent_only_below_the_apis_url() {
    let (served, person) = (start_twin(), Person::default());
    let connection = connection(&served, &person, Arc::new(MemoryStore::new()));
    let neighbour = format!("{}/api/other", served.base());
    let refused = connection.authorized().get(&neighbour).send().await;
    assert_eq!(code(refused), Err("resource.not_covered"));
    assert_eq!(person.times(), 0);
    // Debug output contains only the API's own name.
    assert!(format!("{connection:?}").contains("/api/echo"));
    let scope = connection.token().await.unwrap().scope.clone();
    assert_eq!(scope, Scope::parse("read write offline_access").unwrap());
}

fn code<T>(result: Result<T, Error>) -> Result<(), &'static str> {
    result.map(drop).map_err(|error| error.code())
}

/// Microsoft Entra refuses `resource`, which the Model Context Protocol demands (B80).
#[tokio::test]
async fn the_without_resource_quirk_omits_the_resource_parameter() {
    let (served, person) = (start_twin(), Person::default());
    served.with(|twin| twin.refuse_resources());
    let quirk = Rules {
        quirks: vec![Quirk::WithoutResource],
        ..Rules::default()
    };
    // With the same store, as in the next run, which knows of the quirk.
    let store = Arc::new(MemoryStore::new());
    let connected = |rules: Rules| {
        let times = Arc::clone(&person.0);
        ResourceConnection::new(driver(), request(&served).rules(rules))
            .store(store.clone())
            .sign_in_timeout(TEST_TIMEOUT)
            .open(move |url| {
                times.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(browse(url.as_str().to_owned()));
                Ok(())
            })
    };
    let refused = connected(Rules::default()).token().await;
    let refused = refused.map(drop).unwrap_err();
    assert_eq!(refused.code(), "denied.invalid_target");
    let connection = connected(quirk);
    assert_eq!(echo(&connection, &served).await.0, 200);
    served.with(|twin| twin.expire_access_tokens());
    assert_eq!(echo(&connection, &served).await.0, 200);
    assert_eq!((counters(&served).refreshes, person.times()), (1, 2));
    // The client is that of the first attempt.
    let clients = served.with(|twin| twin.registered_clients().len());
    assert_eq!(clients, 1);
    let sent = served.with(|twin| {
        let tokens = twin.log().iter().filter(|entry| entry.path == "/token");
        tokens
            .filter(|entry| entry.form("resource").is_some())
            .count()
    });
    assert_eq!(sent, 0);
}

/// A proxy in front of the API sends only the challenge `Negotiate` (B87).
#[tokio::test]
async fn metadata_is_found_at_the_well_known_url_if_the_challenge_names_none() {
    let (served, person) = (start_twin(), Person::default());
    served.with(|twin| twin.inject(Fault::NegotiateAlone));
    let connection = connection(&served, &person, Arc::new(MemoryStore::new()));
    assert_eq!(echo(&connection, &served).await.0, 200);
    let (fault, logged) = served.with(|twin| {
        let log = twin.log();
        let well_known = "/.well-known/oauth-protected-resource/api/echo";
        let is_asked = log.iter().any(|entry| entry.path == well_known);
        (log[0].fault, is_asked)
    });
    assert_eq!((fault, logged), (Some("negotiate_alone"), true));
}

/// A second connection requests the same as the first (B88).
#[tokio::test]
async fn a_second_login_uses_the_scope_and_resource_of_the_first() {
    let (served, person) = (start_twin(), Person::default());
    let connection = connection(&served, &person, Arc::new(MemoryStore::new()));
    assert_eq!(echo(&connection, &served).await.0, 200);
    served.with(|twin| twin.revoke_all());
    assert_eq!(echo(&connection, &served).await.0, 200);
    assert_eq!(person.times(), 2);
    let logged = served.with(|twin| {
        let log = twin.log().iter().filter(|entry| entry.path == "/authorize");
        let logged = log.map(|entry| {
            let value = |name| entry.query(name).map(str::to_owned);
            (value("scope"), value("resource"))
        });
        logged.collect::<Vec<_>>()
    });
    let [first, second] = logged.as_slice() else {
        panic!("{logged:?}")
    };
    assert_eq!(first, second);
    assert_eq!(first.1.as_deref(), Some(api(&served).as_str()));
}

/// Two APIs on one origin have a login each, even in one store (B81).
#[tokio::test]
async fn two_apis_on_one_origin_have_separate_logins() {
    let (served, person) = (start_twin(), Person::default());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let echo = connection(&served, &person, Arc::clone(&store));
    let times = Arc::clone(&person.0);
    let origin = danger::loopback_connect_request(served.base()).unwrap();
    let origin = origin.register(ClientMetadata::of_native_app("Notes"));
    let origin = ResourceConnection::new(driver(), origin)
        .store(store)
        .sign_in_timeout(TEST_TIMEOUT)
        .open(move |url| {
            times.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(browse(url.as_str().to_owned()));
            Ok(())
        });
    let first = echo.token().await.unwrap();
    let second = origin.token().await.unwrap();
    assert_ne!(
        first.access_token.expose(),
        second.access_token.expose(),
        "a token is for one of them"
    );
    assert_eq!(person.times(), 2);
    let again = echo.token().await.unwrap();
    assert_eq!(again.access_token.expose(), first.access_token.expose());
    assert_eq!(person.times(), 2);
}
