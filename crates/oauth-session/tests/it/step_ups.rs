//! The tokens of a step-up are kept beside the ordinary ones (RFC 9470).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oauth_core::error::{Cause, Error};
use oauth_core::flow::keeper::GrantId;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::{Secret, Tokens};
use oauth_session::Grants;
use oauth_session::store::{Answer, Entry, Lease, MemoryStore, RecordTimes, SaveOutcome, Store};

use crate::sessions::{Rotating, client, new_grants, person, tokens};

pub(crate) fn required_acr(acr: &str) -> StepUp {
    let mut required = StepUp::default();
    required.acr_values = vec![acr.to_owned()];
    required
}

/// The tokens of a login for this requirement.
pub(crate) fn stepped_up(name: &str, acr: &str) -> Tokens {
    let text = tokens(name, Duration::ZERO).to_json().expose().clone();
    let answered =
        format!(r#"{{"answered":{{"step_up":{{"acr_values":["{acr}"]}},"at":1,"in_a_row":1}},"#);
    Tokens::from_json(&text.replacen('{', &answered, 1)).expect("tokens")
}

async fn use_token(grants: &Grants, id: &GrantId) -> Result<String, &'static str> {
    let token = grants.get(id).token().await;
    let token = token.map_err(|error| error.advice().as_str())?;
    Ok(token.access_token.expose().clone())
}

#[tokio::test(start_paused = true)]
async fn step_up_tokens_are_kept_separately_and_found_by_requirement() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (first_worker, second_worker) = (new_grants(&server, &store), new_grants(&server, &store));
    let ann = person(1);
    let login = |tokens| first_worker.log_in(&ann, tokens);
    login(tokens("ordinary", Duration::ZERO))
        .await
        .expect("stored");
    login(stepped_up("phr", "phr")).await.expect("stored");
    login(stepped_up("mfa", "mfa")).await.expect("stored");
    for grants in [&first_worker, &second_worker] {
        assert_eq!(use_token(grants, &ann).await.as_deref(), Ok("of-ordinary"));
        for acr in ["phr", "mfa"] {
            let token = use_token(grants, &ann.clone().stepped_up(&required_acr(acr))).await;
            assert_eq!(token, Ok(format!("of-{acr}")));
        }
        let nobody = use_token(grants, &ann.clone().stepped_up(&required_acr("hardware"))).await;
        assert_eq!(nobody, Err("reauthorize"));
    }
    // Another login for the same requirement replaces only those tokens, and a renewal keeps the requirement.
    login(stepped_up("again", "phr")).await.expect("stored");
    let phr = ann.clone().stepped_up(&required_acr("phr"));
    let token = first_worker.get(&phr).token().await.expect("a token");
    assert_eq!(token.access_token.expose(), "of-again");
    let renewed = first_worker.get(&phr).renew(&token).await.expect("a token");
    assert_eq!(renewed.access_token.expose(), "new-0");
    assert_eq!(renewed.step_up(), Some(&required_acr("phr")));
    assert_eq!(
        use_token(&first_worker, &ann).await.as_deref(),
        Ok("of-ordinary")
    );
    let mut listed = first_worker.list(None).await.expect("listed").grants;
    listed.sort_by_key(|grant| {
        grant
            .id
            .step_up
            .as_ref()
            .map(|step_up| step_up.acr_values.clone())
    });
    let ids: Vec<_> = listed.into_iter().map(|grant| grant.id).collect();
    let mfa = ann.clone().stepped_up(&required_acr("mfa"));
    assert_eq!(ids, [ann, mfa, phr]);
}

#[tokio::test(start_paused = true)]
async fn a_logout_also_ends_step_up_grants() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (first_worker, second_worker) = (new_grants(&server, &store), new_grants(&server, &store));
    let ann = person(1);
    let login = |tokens| first_worker.log_in(&ann, tokens);
    login(tokens("ordinary", Duration::ZERO))
        .await
        .expect("stored");
    login(stepped_up("phr", "phr")).await.expect("stored");
    login(stepped_up("mfa", "mfa")).await.expect("stored");
    // Logging out of a step-up ends only that grant.
    let phr = ann.clone().stepped_up(&required_acr("phr"));
    second_worker.log_out(&phr).await.expect("logged out");
    assert_eq!(
        use_token(&second_worker, &ann).await.as_deref(),
        Ok("of-ordinary")
    );
    second_worker.log_out(&ann).await.expect("logged out");
    assert!(
        second_worker
            .list(None)
            .await
            .expect("listed")
            .grants
            .is_empty()
    );
    let revoked = server.0.revoked.lock().expect("no panic").join(" ");
    for name in ["rt-ordinary", "rt-phr", "rt-mfa"] {
        assert_eq!(revoked.matches(name).count(), 1, "{revoked}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_ninth_step_up_of_a_user_ends_the_oldest() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let grants = new_grants(&server, &store);
    let ann = person(1);
    for number in 0..9 {
        let acr = format!("acr-{number}");
        grants
            .log_in(&ann, stepped_up(&acr, &acr))
            .await
            .expect("stored");
    }
    assert_eq!(grants.list(None).await.expect("listed").grants.len(), 8);
    let oldest = ann.stepped_up(&required_acr("acr-0"));
    assert_eq!(use_token(&grants, &oldest).await, Err("reauthorize"));
    let revoked = server.0.revoked.lock().expect("no panic").join(" ");
    assert!(revoked.contains("rt-acr-0"), "{revoked}");
}

/// The step-ups that are listed, by the keys of their grants.
async fn stored(grants: &Grants) -> Vec<String> {
    let mut listed = grants.list(None).await.expect("listed").grants;
    listed.retain(|grant| grant.id.step_up.is_some());
    let step_ups = listed.into_iter().filter_map(|grant| grant.id.step_up);
    let mut names: Vec<_> = step_ups.flat_map(|one| one.acr_values).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn ended_or_expired_step_ups_are_replaced_first() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let grants = new_grants(&server, &store);
    let ann = person(1);
    let login = |tokens| grants.log_in(&ann, tokens);
    for acr in ["ended", "expired", "kept"] {
        login(stepped_up(acr, acr)).await.expect("stored");
    }
    // The server ends one; another has only an expired access token left.
    *server.0.refuses.lock().expect("no panic") = Some("rt-ended");
    let ended = grants.get(&ann.clone().stepped_up(&required_acr("ended")));
    let token = ended.token().await.expect("a token");
    ended.renew(&token).await.expect_err("ended");
    let expired = ann.clone().stepped_up(&required_acr("expired"));
    let key = client("id").keeper(expired).key();
    let entry = store.load(&key).await.expect("read").expect("a record");
    let now = stepped_up("expired", "expired").received_at.as_secs();
    let record = (0..60).fold(entry.record.expose().clone(), |record, age| {
        let old = format!(r#""received_at":{}"#, now - 7200);
        record.replace(&format!(r#""received_at":{}"#, now - age), &old)
    });
    let record = record.replace(r#""refresh_token":"rt-expired""#, r#""refresh_token":null"#);
    assert!(record.contains("null") && record.contains(&(now - 7200).to_string()));
    store
        .save(&key, &Secret::new(record), entry.version, RecordTimes::NONE)
        .await
        .expect("saved");
    login(stepped_up("new", "new")).await.expect("stored");
    assert_eq!(stored(&grants).await, ["kept", "new"]);
    // A step-up grant that ended on its own is removed from the list.
    grants
        .log_out(&ann.clone().stepped_up(&required_acr("kept")))
        .await
        .expect("logged out");
    let key = format!("step-ups:{}", client("id").keeper(ann.clone()).key());
    let list = store.load(&key).await.expect("read").expect("a list");
    assert!(!list.record.expose().contains("kept"));
    let new = ann.stepped_up(&required_acr("new"));
    grants.log_out(&new).await.expect("logged out");
    let list = store.load(&key).await.expect("read").expect("a list");
    assert!(list.is_removed());
}

/// A store that saves lists, and no grants while it fails.
struct OnlyLists(Arc<MemoryStore>, AtomicBool);

impl Store for OnlyLists {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.0.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        if self.1.load(Ordering::SeqCst) && !key.starts_with("step-ups:") {
            let error = Error::lost(Cause::unknown("down")).at_endpoint("store");
            return Box::pin(std::future::ready(Err(error)));
        }
        self.0.save(key, record, version, times)
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        self.0.lease(key, holder, ttl)
    }
}

#[tokio::test(start_paused = true)]
async fn replacing_a_step_up_keeps_logins_of_this_worker_that_wait_for_the_store() {
    let (server, memory) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let store = Arc::new(OnlyLists(Arc::clone(&memory), AtomicBool::new(false)));
    let grants = Grants::new(server.clone(), &client("id"), Arc::clone(&store) as _);
    let ann = person(1);
    let login = |tokens| grants.log_in(&ann, tokens);
    login(stepped_up("first", "mfa")).await.expect("stored");
    // The server ends it, and the next login cannot be stored over it.
    *server.0.refuses.lock().expect("no panic") = Some("rt-first");
    let mfa = ann.clone().stepped_up(&required_acr("mfa"));
    let token = grants.get(&mfa).token().await.expect("a token");
    let renewal = grants.get(&mfa).renew(&token).await;
    renewal.expect_err("ended");
    store.1.store(true, Ordering::SeqCst);
    login(stepped_up("second", "mfa")).await.expect_err("down");
    store.1.store(false, Ordering::SeqCst);
    login(stepped_up("other", "other")).await.expect("stored");
    let revoked = server.0.revoked.lock().expect("no panic").join(" ");
    assert!(!revoked.contains("rt-second"), "{revoked}");
    tokio::time::sleep(Duration::from_secs(300)).await;
    let other_sources = new_grants(&server, &memory);
    assert_eq!(stored(&other_sources).await, ["mfa", "other"]);
    assert_eq!(use_token(&grants, &mfa).await.as_deref(), Ok("of-second"));
}

#[tokio::test(start_paused = true)]
async fn an_evicted_step_up_that_cannot_be_revoked_is_reported() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let grants = new_grants(&server, &store);
    let ann = person(1);
    let login = |acr: String| {
        let tokens = stepped_up(&acr, &acr);
        let grants = &grants;
        let ann = &ann;
        async move { grants.log_in(ann, tokens).await }
    };
    for number in 0..8 {
        login(format!("acr-{number}")).await.expect("stored");
    }
    *server.0.is_gone.lock().expect("no panic") = true;
    let error = login("acr-8".to_owned()).await.expect_err("no way");
    assert_eq!(error.code(), "lost.unsent");
    // The login is stored, and the record of the other removed.
    let new = ann.clone().stepped_up(&required_acr("acr-8"));
    assert_eq!(use_token(&grants, &new).await.as_deref(), Ok("of-acr-8"));
    let names = stored(&grants).await;
    assert_eq!(
        (names.len(), names.contains(&"acr-0".to_owned())),
        (8, false)
    );
    // New tokens are not lost either if the list is full before they are stored.
    let key = format!("step-ups:{}", client("id").keeper(ann.clone()).key());
    let entry = store.load(&key).await.expect("read").expect("a list");
    let more: String = (0..8)
        .map(|number| format!(r#",{{"acr_values":["more-{number}"]}}"#))
        .collect();
    let list = entry.record.expose().replace("}]", &format!("}}{more}]"));
    let list = Secret::new(list);
    let saved = store
        .save(&key, &list, entry.version, RecordTimes::NONE)
        .await;
    saved.expect("saved");
    let error = login("acr-9".to_owned()).await.expect_err("no way");
    assert_eq!(error.code(), "lost.unsent");
    let new = ann.clone().stepped_up(&required_acr("acr-9"));
    assert_eq!(use_token(&grants, &new).await.as_deref(), Ok("of-acr-9"));
}
