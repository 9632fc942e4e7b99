//! Sealed records: the keys that decrypt them, and the detection of changes.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::Error;
use oauth_session::Store;
use oauth_session::store::seal::{Key, Keys};
use oauth_session::store::{
    Answer, Entry, FileStore, Lease, MemoryStore, RecordTimes, SaveOutcome, SealedStore, contract,
};

const NAME: &str = "a-key";
const TEXT: &str = r#"{"access_token":"S3CR3T"}"#;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

async fn stored(memory: &MemoryStore) -> Entry {
    memory.load(NAME).await.expect("loaded").expect("a record")
}

/// The stored record, decrypted with these keys.
async fn open(memory: &MemoryStore, keys: Keys) -> Result<String, Error> {
    let entry = SealedStore::new(memory.clone(), keys).load(NAME).await?;
    Ok(entry.expect("a record").record.expose().clone())
}

/// Saves a record, regardless of its version.
async fn put(store: &impl Store, name: &str, text: &str) {
    let version = store.load(name).await;
    let version = version.ok().flatten().map_or(0, |entry| entry.version);
    let saved = store
        .save(name, &Secret::from(text), version, RecordTimes::NONE)
        .await;
    assert_ne!(saved.expect("saved"), SaveOutcome::Conflict);
}

async fn seal(memory: &MemoryStore, keys: Keys) {
    put(&SealedStore::new(memory.clone(), keys), NAME, TEXT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sealed_store_meets_the_contract() {
    let memory = MemoryStore::new();
    // During a key rotation.
    let stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(SealedStore::new(
            memory.clone(),
            Keys::new(OLD).with_previous(NEW),
        )),
        Arc::new(SealedStore::new(memory, Keys::new(NEW).with_previous(OLD))),
    ];
    contract::assert(&stores).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_contract_holds_for_sealed_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Arc<dyn Store> =
        Arc::new(FileStore::new(folder.path().join("grants")).expect("a store"));
    let sealed = SealedStore::new(files, Keys::new(NEW));
    contract::assert(&[Arc::new(sealed.clone()), Arc::new(sealed)]).await;
}

#[tokio::test]
async fn the_store_contains_no_plaintext() {
    let memory = MemoryStore::new();
    seal(&memory, Keys::new(NEW)).await;
    let first = stored(&memory).await;
    assert!(!first.record.expose().contains("S3CR3T"));
    assert!(!first.record.expose().contains("access_token"));
    seal(&memory, Keys::new(NEW)).await;
    let second = stored(&memory).await;
    assert!(
        !first.record.matches(second.record.expose()),
        "the same nonce"
    );
    let shown = format!(
        "{:?}",
        SealedStore::new(memory, Keys::new(NEW).with_previous(OLD))
    );
    assert!(shown.contains(Key::new(NEW).id()));
    assert!(
        !shown.contains("[2, 2") && !shown.contains("[1, 1"),
        "{shown}"
    );
}

/// Records sealed by libsodium, with the nonces 0, 1, 2 and so on: neither the format nor the ids of
/// keys may ever change. The first has a format that bound only the name.
#[tokio::test]
async fn the_sealed_format_is_stable() {
    let first = concat!(
        r#"{"format":"oauth-core sealed 1","key":"t3TtDd7qwKlN","sealed":""#,
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXCJhjY-4LJ9CJMniht4WsdiNYaRsps1UCrkq-bAGeT00XwiwGvkl41tk",
        r#""}"#
    );
    let second = concat!(
        r#"{"format":"oauth-core sealed 2","key":"t3TtDd7qwKlN","over":7,"sealed":""#,
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXEpdpZfRuL4G3JXSvoZjROG5gPzZZuiNz4OcOPHdSCEUp7Tb746OLSRm_8Flyw8U",
        r#""}"#
    );
    let memory = MemoryStore::new();
    for theirs in [first, second] {
        put(&memory, NAME, theirs).await;
        assert_eq!(open(&memory, Keys::new(NEW)).await.expect("opened"), TEXT);
    }
    seal(&memory, Keys::new(NEW)).await;
    let ours = stored(&memory).await;
    let start = r#"{"format":"oauth-core sealed 2","key":"t3TtDd7qwKlN","over":"#;
    assert!(ours.record.expose().starts_with(start));
}

#[tokio::test]
async fn a_record_sealed_with_another_key_is_refused() {
    let memory = MemoryStore::new();
    seal(&memory, Keys::new(OLD)).await;
    let error = open(&memory, Keys::new(NEW)).await.expect_err("sealed");
    assert_eq!(
        (error.code(), error.endpoint()),
        ("stored.sealed", Some("store"))
    );
    assert!(error.to_string().contains(Key::new(OLD).id()), "{error}");
    // Also a record with the other format's prefix.
    let entry = stored(&memory).await;
    let claimed = entry
        .record
        .expose()
        .replace(Key::new(OLD).id(), Key::new(NEW).id());
    put(&memory, NAME, &claimed).await;
    let error = open(&memory, Keys::new(NEW)).await.expect_err("sealed");
    assert_eq!(error.code(), "stored.sealed");
}

#[tokio::test]
async fn the_sealing_key_can_be_rotated() {
    let memory = MemoryStore::new();
    seal(&memory, Keys::new(OLD)).await;
    let both = || Keys::new(NEW).with_previous(OLD);
    assert_eq!(open(&memory, both()).await.expect("opened"), TEXT);
    assert!(open(&memory, Keys::new(NEW)).await.is_err());
    // The next save seals it again.
    seal(&memory, both()).await;
    assert_eq!(open(&memory, Keys::new(NEW)).await.expect("opened"), TEXT);
    assert!(open(&memory, Keys::new(OLD)).await.is_err());
}

#[tokio::test]
async fn a_record_moved_to_another_name_is_refused() {
    let memory = MemoryStore::new();
    let sealed = SealedStore::new(memory.clone(), Keys::new(NEW));
    for name in [NAME, "other"] {
        put(&sealed, name, TEXT).await;
    }
    let moved = stored(&memory).await;
    put(&memory, "other", moved.record.expose()).await;
    let error = sealed.load("other").await.expect_err("moved");
    assert_eq!(error.code(), "stored.sealed");
    assert!(sealed.load(NAME).await.is_ok());
}

#[tokio::test]
async fn a_modified_record_is_refused() {
    let memory = MemoryStore::new();
    seal(&memory, Keys::new(NEW)).await;
    let whole = stored(&memory).await.record.expose().clone();
    let mut changed: Vec<String> = (0..whole.len())
        .map(|end| whole[..end].to_owned())
        .collect();
    for place in 0..whole.len() {
        let mut bytes = whole.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        changed.push(String::from_utf8(bytes).expect("text"));
    }
    changed.push(TEXT.to_owned());
    // An empty record is a tombstone.
    for text in changed.into_iter().filter(|text| !text.is_empty()) {
        put(&memory, NAME, &text).await;
        let error = open(&memory, Keys::new(NEW)).await.expect_err(&text);
        assert_eq!(error.code(), "stored.sealed", "{text}");
        assert!(!format!("{error:?}").contains("S3CR3T"));
    }
}

#[test]
fn a_sealing_key_is_parsed_from_text() {
    let key = Key::parse(&Secret::from("AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"));
    assert_eq!(key.expect("a key").id(), Key::new(NEW).id());
    assert_eq!(
        Key::from_slice(&NEW).expect("a key").id(),
        Key::new(NEW).id()
    );
    for bytes in [&NEW[1..], &[NEW, NEW].concat(), &[]] {
        let error = Key::from_slice(bytes).expect_err("no key");
        assert_eq!(error.code(), "key.sealing");
    }
    assert_ne!(Key::new(NEW).id(), Key::new(OLD).id());
    for text in [
        "",
        "AgI",
        "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
        "password!AgICAgICAgICAgICAgICAgICAgICAgICAgICAgI",
    ] {
        let error = Key::parse(&Secret::from(text)).expect_err("no key");
        assert_eq!(error.code(), "key.sealing");
        assert!(text.is_empty() || !error.to_string().contains(text));
    }
}

#[tokio::test]
async fn removals_are_visible_through_the_sealing_store() {
    let memory = MemoryStore::new();
    seal(&memory, Keys::new(NEW)).await;
    let sealed = SealedStore::new(memory.clone(), Keys::new(NEW));
    assert!(sealed.get_ref().remove(NAME).await.expect("removed"));
    assert!(!sealed.get_ref().remove(NAME).await.expect("removed"));
    let entry = sealed
        .load(NAME)
        .await
        .expect("loaded")
        .expect("a word of it");
    assert!(entry.is_removed());
    seal(&memory, Keys::new(NEW)).await;
    assert_eq!(open(&memory, Keys::new(NEW)).await.expect("opened"), TEXT);
}

/// A record sealed as the successor of a version is refused at that version or an earlier one, and as
/// the successor of a different version.
#[tokio::test]
async fn a_record_is_bound_to_its_version() {
    let memory = MemoryStore::new();
    seal(&memory, Keys::new(NEW)).await;
    let first = stored(&memory).await;
    seal(&memory, Keys::new(NEW)).await;
    let second = stored(&memory).await;
    let over = format!("\"over\":{}", first.version);
    assert!(second.record.expose().contains(&over));
    let later = format!("\"over\":{}", u64::MAX / 2);
    for text in [
        second.record.expose().replace(&over, &later),
        second.record.expose().replace(&over, "\"over\":0"),
        second.record.expose().replace(&format!("{over},"), ""),
    ] {
        put(&memory, NAME, &text).await;
        let error = open(&memory, Keys::new(NEW)).await.expect_err(&text);
        assert_eq!(error.code(), "stored.sealed");
    }
    let sealed = SealedStore::new(
        RollbackStore(memory, second.record, first.version),
        Keys::new(NEW),
    );
    let error = sealed.load(NAME).await.expect_err("too early");
    assert_eq!(error.code(), "stored.sealed");
}

/// A store that returns a record at an earlier version.
struct RollbackStore(MemoryStore, Secret<String>, u64);

impl Store for RollbackStore {
    fn load<'a>(&'a self, _: &'a str) -> Answer<'a, Option<Entry>> {
        let (version, record) = (self.2, self.1.clone());
        Box::pin(async move { Ok(Some(Entry { version, record })) })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        self.0.save(key, record, version, times)
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        self.0.lease(key, holder, ttl)
    }
}
