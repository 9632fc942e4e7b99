//! The end of a process. This test has its own process, because it ends all sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::exchange::Boxed;
use oauth_core::flow::keeper::GrantId;
use oauth_core::issuer::Issuer;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Moment, Tokens};
use oauth_session::store::{Answer, MemoryStore};
use oauth_session::{GrantSource, Store as _, TokenDriver, drain_all};

const GRANTS: usize = 20;

/// A server that answers after three seconds.
#[derive(Clone, Default)]
struct Slow(Arc<AtomicUsize>);

impl TokenDriver for Slow {
    fn run(&self, _: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(async move {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(3)).await;
            tokens(&format!("renewed-{number}"))
        })
    }
}

fn client() -> Result<Client, Error> {
    let server = Server::new(Issuer::parse("https://as.example")?)
        .with_endpoint(EndpointKind::Token, "https://as.example/token")?;
    Client::new(server, ClientId::new("id"), ClientAuth::basic("secret"))
}

fn tokens(name: &str) -> Result<Tokens, Error> {
    let now = Moment::system()?.now().as_secs();
    Tokens::from_json(&format!(
        r#"{{"version":1,"issuer":"https://as.example","client_id":"id","received_at":{now},
        "access_token":"{name}","expires_in":3600,"scope":"read","refresh_token":"of-{name}",
        "refresh_scope":null,"id_token":null}}"#
    ))
}

#[tokio::test(start_paused = true)]
async fn all_renewals_under_way_are_finished_and_stored() -> Result<(), Error> {
    drain_all(Duration::ZERO).await?;
    let (driver, store) = (Slow::default(), Arc::new(MemoryStore::new()));
    let (mut sessions, mut renewals) = (Vec::new(), Vec::new());
    for number in 0..GRANTS {
        let keeper = client()?.keeper(GrantId::user(number.to_string()));
        let session = GrantSource::with_store(driver.clone(), keeper, store.clone());
        let first = tokens("first")?;
        session.log_in(first.clone()).await?;
        sessions.push(session.clone());
        renewals.push(tokio::spawn(async move { session.renew(&first).await }));
    }
    while driver.0.load(Ordering::SeqCst) < GRANTS {
        tokio::task::yield_now().await;
    }
    let late = drain_all(Duration::from_secs(1)).await;
    assert_eq!(late.map_err(|error| error.code()), Err("lost.timeout"));
    drain_all(Duration::from_secs(10)).await?;
    for session in &sessions {
        let key = session.key().unwrap_or_default();
        let record = store.load(key).await?.map(|entry| entry.record);
        let record = record.expect("a record");
        assert!(
            record.expose().contains("renewed-") && record.expose().contains(r#""attempt":null"#)
        );
    }
    for renewal in renewals {
        let token = renewal.await.expect("no panic")?;
        assert!(token.access_token.expose().starts_with("renewed-"));
    }
    assert_eq!(driver.0.load(Ordering::SeqCst), GRANTS);
    // Only these have ended.
    let token = sessions.first().expect("a session").token().await?;
    assert!(
        sessions
            .first()
            .expect("a session")
            .renew(&token)
            .await
            .is_err()
    );
    let keeper = client()?.keeper(GrantId::user("later"));
    let other = GrantSource::with_store(driver, keeper, store);
    other.log_in(tokens("first")?).await?;
    let token = other.token().await?;
    assert!(other.renew(&token).await.is_ok());
    Ok(())
}
