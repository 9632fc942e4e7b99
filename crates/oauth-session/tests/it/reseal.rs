//! Sealed stores over time: key rotation, unsealed records from before, hidden names, and lost
//! keys.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::moment::UnixTime;
use oauth_session::Store;
use oauth_session::store::seal::{Key, Keys};
use oauth_session::store::{
    MemoryStore, RecordTimes, SaveOutcome, SealedStore, SqliteStore, contract,
};

use crate::session::{Rotating, of_ann, person};
use crate::workers::version;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];
const NAMES: [u8; 32] = [3; 32];

async fn save(store: &dyn Store, name: &str, text: &str) -> u64 {
    let entry = store.load(name).await.ok().flatten();
    let version = entry.map_or(0, |entry| entry.version);
    let saved = store
        .save(name, &Secret::from(text), version, RecordTimes::NONE)
        .await;
    self::version(saved.expect("saved"))
}

async fn load_text(store: &dyn Store, name: &str) -> Option<String> {
    let entry = store.load(name).await.expect("loaded")?;
    Some(entry.record.expose().clone())
}

fn old_and_new_keys() -> Keys {
    Keys::new(NEW).with_previous(OLD)
}

/// The end of a key rotation: no remaining record is sealed with the old key.
#[tokio::test]
async fn all_records_are_resealed() {
    let memory = MemoryStore::new();
    let old = SealedStore::new(memory.clone(), Keys::new(OLD));
    for number in 0..250 {
        save(&old, &format!("key-{number}"), &format!("text {number}")).await;
    }
    save(&old, "removed", "text").await;
    old.remove("removed").await.expect("removed");
    save(
        &SealedStore::new(memory.clone(), Keys::new([9; 32])),
        "lost",
        "text",
    )
    .await;
    let sealed = SealedStore::new(memory.clone(), old_and_new_keys());
    save(&sealed, "key-0", "newer").await;
    let done = sealed.reseal().await.expect("done");
    assert_eq!(
        (done.count, done.unopened.clone()),
        (249, vec!["lost".to_owned()])
    );
    let new = SealedStore::new(memory.clone(), Keys::new(NEW));
    assert_eq!(load_text(&new, "key-0").await.as_deref(), Some("newer"));
    for number in 1..250 {
        let expected = format!("text {number}");
        assert_eq!(
            load_text(&new, &format!("key-{number}")).await,
            Some(expected)
        );
    }
    assert_eq!(load_text(&new, "removed").await.as_deref(), Some(""));
    let again = sealed.reseal().await.expect("done");
    assert_eq!((again.count, again.unopened.len()), (0, 1));
}

/// No concurrent save is lost, and due times are kept.
#[tokio::test]
async fn resealing_loses_no_concurrent_update() {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let old: Arc<dyn Store> = Arc::new(SealedStore::new(Arc::clone(&memory), Keys::new(OLD)));
    let session = of_ann(Rotating::default(), Arc::clone(&old));
    let tokens = person("first").expect("tokens");
    let due = tokens
        .expires_at()
        .expect("an end")
        .after(Duration::from_secs(1));
    session.log_in(tokens).await.expect("stored");
    let key = session.key().expect("a name").to_owned();
    assert_eq!(
        memory.due(due, 9).await.expect("told"),
        std::slice::from_ref(&key)
    );
    let sealed = SealedStore::new(Arc::clone(&memory), old_and_new_keys());
    assert_eq!(sealed.reseal().await.expect("done").count, 1);
    assert_eq!(
        memory.due(due, 9).await.expect("told"),
        std::slice::from_ref(&key)
    );
    let new: Arc<dyn Store> = Arc::new(SealedStore::new(memory, Keys::new(NEW)));
    let other = of_ann(Rotating::default(), new);
    assert!(
        other
            .token()
            .await
            .expect("a token")
            .access_token
            .matches("first")
    );
}

#[tokio::test]
async fn unsealed_records_are_sealed_only_if_plain_records_are_accepted() {
    let memory = MemoryStore::new();
    for name in ["one", "two"] {
        save(&memory, name, r#"{"access_token":"S3CR3T"}"#).await;
    }
    let strict = SealedStore::new(memory.clone(), Keys::new(NEW));
    let error = strict.load("one").await.expect_err("plain");
    assert_eq!(error.code(), "stored.sealed");
    assert_eq!(
        strict.reseal().await.expect("done").unopened,
        ["one", "two"]
    );
    let sealed = strict.clone().accepting_plain();
    assert!(
        load_text(&sealed, "one")
            .await
            .expect("a record")
            .contains("S3CR3T")
    );
    let done = sealed.reseal().await.expect("done");
    assert_eq!((done.count, done.unopened.len()), (2, 0));
    for name in ["one", "two"] {
        assert!(
            !load_text(&memory, name)
                .await
                .expect("a record")
                .contains("S3CR3T")
        );
        assert!(
            load_text(&strict, name)
                .await
                .expect("a record")
                .contains("S3CR3T")
        );
    }
    // A sealed record that cannot be decrypted is not treated as plain text.
    save(
        &SealedStore::new(memory.clone(), Keys::new(OLD)),
        "three",
        "text",
    )
    .await;
    let error = sealed.load("three").await.expect_err("sealed");
    assert_eq!(error.code(), "stored.sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_contract_holds_with_hidden_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grants.db");
    let stores = [old_and_new_keys(), Keys::new(OLD).with_previous(NEW)].map(|keys| {
        let files = SqliteStore::new(&path).expect("a store");
        Arc::new(SealedStore::new(files, keys).hiding_names(NAMES)) as Arc<dyn Store>
    });
    contract::assert(&stores).await;
}

#[tokio::test]
async fn hidden_names_are_readable_only_with_the_key() {
    let memory = MemoryStore::new();
    let sealed = SealedStore::new(memory.clone(), Keys::new(OLD)).hiding_names(NAMES);
    save(&sealed, "anna", "text").await;
    let stored = memory.scan(None).await.expect("told").keys;
    let [name] = stored.as_slice() else {
        panic!("one record: {stored:?}")
    };
    assert!(name.len() == 43 && !name.contains("anna"));
    assert_eq!(sealed.scan(None).await.expect("told").keys, ["anna"]);
    let other = SealedStore::new(memory.clone(), Keys::new(OLD)).hiding_names([4; 32]);
    assert!(other.load("anna").await.expect("loaded").is_none());
    // Keys change, names do not.
    let new = SealedStore::new(memory.clone(), old_and_new_keys()).hiding_names(NAMES);
    assert_eq!(new.reseal().await.expect("done").count, 1);
    assert_eq!(memory.scan(None).await.expect("told").keys, stored);
    let new = SealedStore::new(memory, Keys::new(NEW)).hiding_names(NAMES);
    assert_eq!(load_text(&new, "anna").await.as_deref(), Some("text"));
    assert!(new.remove("anna").await.expect("removed"));
    let due = UnixTime::from_secs(9);
    let (record, early) = (Secret::from("text"), Some(UnixTime::from_secs(1)));
    let saved = new.save(
        "ben",
        &record,
        0,
        RecordTimes {
            due: early,
            until: None,
        },
    );
    assert_ne!(saved.await.expect("saved"), SaveOutcome::Conflict);
    assert_eq!(new.due(due, 9).await.expect("told"), ["ben"]);
    assert!(!format!("{new:?}").contains("[3, 3"));
    assert_eq!(Key::new(NAMES).id(), Key::new(NAMES).id());
}

/// With a lost key no caller gets a token, and the record is left unchanged until the user logs in.
#[tokio::test]
async fn a_login_replaces_a_record_that_no_key_opens() {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sealed = |keys| Arc::new(SealedStore::new(Arc::clone(&memory), keys)) as Arc<dyn Store>;
    let before = of_ann(Rotating::default(), sealed(Keys::new(OLD)));
    before
        .log_in(person("first").expect("tokens"))
        .await
        .expect("stored");
    let key = before.key().expect("a name").to_owned();
    let lost = load_text(&*memory, &key).await;
    let session = of_ann(Rotating::default(), sealed(Keys::new(NEW)));
    let error = session.token().await.expect_err("sealed");
    assert_eq!(error.code(), "stored.sealed");
    assert_eq!(load_text(&*memory, &key).await, lost);
    session
        .log_in(person("second").expect("tokens"))
        .await
        .expect("stored");
    assert!(
        session
            .token()
            .await
            .expect("a token")
            .access_token
            .matches("second")
    );
    let other = of_ann(Rotating::default(), sealed(Keys::new(NEW)));
    assert!(
        other
            .token()
            .await
            .expect("a token")
            .access_token
            .matches("second")
    );
}
