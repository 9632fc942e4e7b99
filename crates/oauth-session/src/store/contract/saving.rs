//! The contract cases for `load` and `save`.

use std::time::Duration;

use super::harness::{CONCURRENT_WORKERS, CaseResult, Harness, expect_equal, saved_version};
use crate::store::SaveOutcome;

pub(super) async fn nothing(harness: &Harness) -> CaseResult {
    let key = harness.key("nothing");
    let entry = harness.load(0, &key).await?;
    expect_equal("that there is a record", &entry.is_some(), &false)
}

pub(super) async fn create(harness: &Harness) -> CaseResult {
    let key = harness.key("create");
    let version = harness.save_record(&key, "first", 0).await?;
    harness.expect_record(&key, version, "first").await
}

pub(super) async fn conflict(harness: &Harness) -> CaseResult {
    let key = harness.key("conflict");
    harness.expect_conflict(&key, 1).await?;
    let entry = harness.load(0, &key).await?;
    expect_equal("that a conflict left a record", &entry.is_some(), &false)?;
    let first_version = harness.save_record(&key, "first", 0).await?;
    for version in [0, first_version + 1, u64::from(u32::MAX)] {
        harness.expect_conflict(&key, version).await?;
    }
    harness.expect_record(&key, first_version, "first").await?;
    let second_version = harness.save_record(&key, "second", first_version).await?;
    harness.expect_conflict(&key, first_version).await?;
    harness.expect_record(&key, second_version, "second").await
}

pub(super) async fn versions_rise(harness: &Harness) -> CaseResult {
    let key = harness.key("rise");
    let mut version = 0;
    for number in 0..12 {
        let text = format!("record {number}");
        version = harness.save_record(&key, &text, version).await?;
        harness.expect_record(&key, version, &text).await?;
    }
    Ok(())
}

/// A removed record is loaded as an empty one, or not at all.
pub(super) async fn removed_record(harness: &Harness) -> CaseResult {
    let key = harness.key("removed");
    let first_version = harness.save_record(&key, "first", 0).await?;
    let removed_version = harness.save_record(&key, "", first_version).await?;
    let removed_entry = harness.load(1, &key).await?;
    if let Some(left) = &removed_entry {
        expect_equal(
            "the version of what was removed",
            &left.version,
            &removed_version,
        )?;
        expect_equal("that it is empty", &left.is_removed(), &true)?;
    }
    harness.expect_conflict(&key, first_version).await?;
    let resaved_version = harness
        .save_record(&key, "again", removed_entry.map_or(0, |left| left.version))
        .await?;
    if resaved_version <= removed_version {
        let text = format!(
            "version {resaved_version} does not exceed {removed_version}, at which the key was removed"
        );
        return Err(text);
    }
    harness.expect_conflict(&key, first_version).await?;
    harness.expect_record(&key, resaved_version, "again").await
}

/// A store that has lost a key never reuses its versions.
pub(super) async fn versions_are_not_reused(harness: &Harness) -> CaseResult {
    let mut highest = 0;
    let earlier_key = harness.key("before");
    for text in ["first", "second", "third"] {
        highest = harness.save_record(&earlier_key, text, highest).await?;
    }
    // Clocks may count in milliseconds.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let first_version = harness
        .save_record(&harness.key("after"), "first", 0)
        .await?;
    if first_version > highest {
        Ok(())
    } else {
        Err(format!(
            "a key's first version is {first_version}, when another's was {highest} before that"
        ))
    }
}

pub(super) async fn shared(harness: &Harness) -> CaseResult {
    let key = harness.key("shared");
    let mut version = 0;
    for worker in 0..CONCURRENT_WORKERS {
        let text = format!("from {worker}");
        version = saved_version(harness.save(worker, &key, &text, version).await?, version)?;
        harness.expect_record(&key, version, &text).await?;
    }
    Ok(())
}

pub(super) async fn one_of_many_saves_wins(harness: &Harness) -> CaseResult {
    let key = harness.key("race");
    let mut version = 0;
    for round in 0..8 {
        let answers = harness
            .run_concurrently(|harness, worker| {
                let key = key.clone();
                async move {
                    let text = format!("{round} by {worker}");
                    let saved = harness.save(worker, &key, &text, version).await?;
                    Ok((saved, text))
                }
            })
            .await?;
        let mut winners = Vec::new();
        for (saved, text) in answers {
            if saved != SaveOutcome::Conflict {
                winners.push((saved_version(saved, version)?, text));
            }
        }
        expect_equal("the number of winners", &winners.len(), &1)?;
        for (new_version, text) in winners {
            harness.expect_record(&key, new_version, &text).await?;
            version = new_version;
        }
    }
    Ok(())
}

/// Each worker adds one, three times, and retries as often as needed.
pub(super) async fn count(harness: &Harness) -> CaseResult {
    const TURNS_PER_WORKER: usize = 3;
    let key = harness.key("count");
    harness
        .run_concurrently(|harness, worker| {
            let key = key.clone();
            async move {
                for _ in 0..TURNS_PER_WORKER {
                    while !add_one(&harness, worker, &key).await? {}
                }
                Ok(())
            }
        })
        .await?;
    let total = (CONCURRENT_WORKERS * TURNS_PER_WORKER).to_string();
    let version = harness
        .load(0, &key)
        .await?
        .map_or(0, |entry| entry.version);
    harness.expect_record(&key, version, &total).await
}

async fn add_one(harness: &Harness, worker: usize, key: &str) -> Result<bool, String> {
    let (version, count) = match harness.load(worker, key).await? {
        None => (0, 0),
        Some(entry) => {
            let text = entry.record.expose();
            let count: u64 = text
                .parse()
                .map_err(|_| format!("loaded {text:?} instead of a number"))?;
            (entry.version, count)
        }
    };
    let next = (count + 1).to_string();
    let saved = harness.save(worker, key, &next, version).await?;
    Ok(saved != SaveOutcome::Conflict)
}

pub(super) const ODD_KEYS: &[&str] = &[
    "key",
    "Key",
    "KEY",
    "k/ey",
    "../key",
    "k\\ey",
    "k:ey",
    "k ey",
    "k%65y",
    "k*y",
    "k\u{e9}y",
    "ke\u{301}y",
    "{key}",
    "'key\"",
    "k\ney",
];

pub(super) async fn keys(harness: &Harness) -> CaseResult {
    let mut versions = Vec::new();
    for name in ODD_KEYS {
        versions.push(harness.save_record(&harness.key(name), name, 0).await?);
    }
    for (name, version) in ODD_KEYS.iter().zip(&versions) {
        harness
            .expect_record(&harness.key(name), *version, name)
            .await?;
    }
    let first_key = harness.key(ODD_KEYS[0]);
    harness
        .save_record(&first_key, "second", versions[0])
        .await?;
    for (name, version) in ODD_KEYS.iter().zip(&versions).skip(1) {
        harness
            .expect_record(&harness.key(name), *version, name)
            .await?;
    }
    Ok(())
}

pub(super) async fn texts(harness: &Harness) -> CaseResult {
    let key = harness.key("texts");
    let all: String = ('\u{1}'..='\u{2fff}').collect();
    let texts = [
        " ".to_owned(),
        r#"{"a":"\"\\\u0000","b":[1,null]}"#.to_owned(),
        "line\r\nline\n".to_owned(),
        "null".to_owned(),
        "\u{1f511}\u{202e}\u{feff}%s$1\\x00'';--".to_owned(),
        all,
        "\"".repeat(64 * 1024),
        "\u{1f511}".repeat(16 * 1024),
    ];
    let mut version = 0;
    for text in &texts {
        version = harness.save_record(&key, text, version).await?;
        harness.expect_record(&key, version, text).await?;
    }
    Ok(())
}
