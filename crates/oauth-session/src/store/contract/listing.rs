//! The contract cases for `remove`, `scan` and `due`.

use super::harness::{CaseResult, Harness, expect_equal, saved_version};

pub(super) async fn removal(harness: &Harness) -> CaseResult {
    let key = harness.key("removal");
    let first_version = harness.save_record(&key, "first", 0).await?;
    let existed = harness.remove(1, &key).await?;
    expect_equal("that there was a record to remove", &existed, &true)?;
    let tombstone = harness.load(0, &key).await?;
    let removed_version = tombstone
        .as_ref()
        .map_or(first_version + 1, |tombstone| tombstone.version);
    if let Some(tombstone) = &tombstone {
        expect_equal("that nothing is left", &tombstone.is_removed(), &true)?;
    }
    if removed_version <= first_version {
        let text =
            format!("version {removed_version} of a removal does not exceed {first_version}");
        return Err(text);
    }
    harness.expect_conflict(&key, first_version).await?;
    let existed = harness.remove(0, &key).await?;
    expect_equal("that there was a record to remove twice", &existed, &false)?;
    let tombstone_version = harness
        .load(1, &key)
        .await?
        .map_or(0, |tombstone| tombstone.version);
    let next_version = harness
        .save_record(&key, "again", tombstone_version)
        .await?;
    if next_version > removed_version {
        harness.expect_record(&key, next_version, "again").await
    } else {
        Err(format!(
            "version {next_version} does not exceed {removed_version}"
        ))
    }
}

/// More than a page of most stores.
const LISTED_RECORDS: usize = 130;

pub(super) async fn scan(harness: &Harness) -> CaseResult {
    if harness.scan(0).await?.is_none() {
        return Ok(());
    }
    let mut stored_keys = Vec::new();
    for number in 0..LISTED_RECORDS {
        let key = harness.key(&format!("scan:{number}"));
        let due = (number % 2 == 0).then_some(1);
        saved_version(harness.save_due(number, &key, "text", 0, due).await?, 0)?;
        stored_keys.push(key);
    }
    let removed_key = harness.key("scan:removed");
    let version = harness.save_record(&removed_key, "text", 0).await?;
    harness.save_record(&removed_key, "", version).await?;
    harness
        .expect_won(&harness.key("scan:leased"), "one", 60_000)
        .await?;
    let is_scanned_key = |key: &String| key.starts_with("scan:");
    for worker in 0..2 {
        let listed = harness.scan(worker).await?.unwrap_or_default();
        let mut listed: Vec<_> = listed.into_iter().filter(is_scanned_key).collect();
        listed.sort();
        listed.dedup();
        stored_keys.sort();
        expect_equal("what a scan tells of", &listed, &stored_keys)?;
    }
    for key in stored_keys {
        harness.remove(0, &key).await?;
    }
    let remaining = harness.scan(1).await?.unwrap_or_default();
    let remaining = remaining.into_iter().filter(is_scanned_key).count();
    expect_equal("what a scan tells of what was removed", &remaining, &0)
}

/// More keys than earlier runs may have left in the store.
const MAX_OTHER_KEYS: usize = 1_000_000;

pub(super) async fn due(harness: &Harness) -> CaseResult {
    if harness.due(0, 1, 1).await?.is_none() {
        return Ok(());
    }
    let key = |name: &str| harness.key(&format!("due:{name}"));
    let listed = async |worker, before| -> Result<Vec<String>, String> {
        let listed = harness
            .due(worker, before, MAX_OTHER_KEYS)
            .await?
            .unwrap_or_default();
        Ok(listed
            .into_iter()
            .filter(|key| harness.is_key_of_this_run(key) && key.starts_with("due:"))
            .collect())
    };
    let mut versions = Vec::new();
    // Their keys sort differently.
    for (name, due) in [
        ("a", Some(300)),
        ("b", Some(100)),
        ("c", None),
        ("d", Some(200)),
    ] {
        let saved = harness.save_due(0, &key(name), "text", 0, due).await?;
        versions.push(saved_version(saved, 0)?);
    }
    let subject = "what is due";
    expect_equal(
        subject,
        &listed(0, 301).await?,
        &vec![key("b"), key("d"), key("a")],
    )?;
    expect_equal(subject, &listed(1, 300).await?, &vec![key("b"), key("d")])?;
    expect_equal(subject, &listed(0, 100).await?, &vec![])?;
    let few = harness.due(1, 301, 2).await?.unwrap_or_default();
    expect_equal("the number of those asked for", &few.len(), &2)?;
    // The last save counts, also without a time; one that conflicts does not.
    let saved = harness
        .save_due(1, &key("a"), "text", versions[0], Some(50))
        .await?;
    versions[0] = saved_version(saved, versions[0])?;
    harness
        .save_due(0, &key("a"), "text", versions[0] + 1, None)
        .await?;
    let saved = harness
        .save_due(1, &key("b"), "text", versions[1], None)
        .await?;
    saved_version(saved, versions[1])?;
    let saved = harness
        .save_due(0, &key("d"), "", versions[3], Some(200))
        .await?;
    saved_version(saved, versions[3])?;
    expect_equal(subject, &listed(0, 301).await?, &vec![key("a")])?;
    harness.remove(0, &key("a")).await?;
    expect_equal(subject, &listed(1, 301).await?, &vec![])
}
