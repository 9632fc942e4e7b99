//! The limits on renewals per second, and on concurrent renewals.

use super::*;

#[tokio::test(start_paused = true)]
async fn renewals_begin_at_the_configured_rate() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = new_grants(&server, &store).per_second(10);
    store_stale_logins(&server, &*store, 50).await;
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let sessions = sessions.clone();
            tokio::spawn(async move { sessions.get(&person(number)).token().await })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("a token");
    }
    let mut at = server.0.at.lock().expect("no panic").clone();
    at.sort_unstable();
    for pair in at.windows(11) {
        let [first, .., last] = pair else { continue };
        assert!(
            *last - *first >= Duration::from_millis(999),
            "{:?}",
            *last - *first
        );
    }
    assert_eq!(at.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_concurrent_renewals_is_limited() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = new_grants(&server, &store).at_once(3);
    store_stale_logins(&server, &*store, 30).await;
    let tasks: Vec<_> = (0..30)
        .map(|number| {
            let sessions = sessions.clone();
            tokio::spawn(async move { sessions.get(&person(number)).token().await })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("a token");
    }
    // Each request takes a tenth of a second: the fourth begins after the end of the first.
    let at = server.0.at.lock().expect("no panic").clone();
    assert_eq!(at.len(), 30);
    for four in at.windows(4) {
        let [first, .., last] = four else { continue };
        assert!(*last - *first >= Duration::from_millis(99));
    }
    let took = at.last().copied().zip(at.first().copied());
    let took = took.map(|(last, first)| last - first);
    // They do not wait for one another beyond that.
    assert!(
        took.is_some_and(|took| took < Duration::from_millis(1_200)),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_another_worker_blocks_no_other_renewal() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = new_grants(&server, &store).at_once(1);
    store_stale_logins(&server, &*store, 2).await;
    let held = sessions.get(&person(0));
    let key = held.key().expect("a shared one").to_owned();
    let minute = Duration::from_secs(60);
    store.lease(&key, "another", minute).await.expect("a lease");
    let waiting = tokio::spawn(async move { held.token().await });
    tokio::task::yield_now().await;
    let begun = Instant::now();
    sessions.get(&person(1)).token().await.expect("a token");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    store
        .lease(&key, "another", Duration::ZERO)
        .await
        .expect("released");
    waiting.await.expect("no panic").expect("a token");
}
