//! Cases of loading and saving.

use super::bench::{Bench, CROWD, Verdict, same};
use crate::store::Saved;

pub(super) async fn nothing(bench: &Bench) -> Verdict {
    let key = bench.key("nothing");
    let entry = bench.load(0, &key).await?;
    same("that there is a record", &entry.is_some(), &false)
}

pub(super) async fn create(bench: &Bench) -> Verdict {
    let key = bench.key("create");
    bench.saved(&key, "first", 0).await?;
    bench.holds(&key, 1, "first").await
}

pub(super) async fn conflict(bench: &Bench) -> Verdict {
    let key = bench.key("conflict");
    bench.conflicts(&key, 1).await?;
    let entry = bench.load(0, &key).await?;
    same("that a conflict left a record", &entry.is_some(), &false)?;
    bench.saved(&key, "first", 0).await?;
    for version in [0, 2, u64::from(u32::MAX)] {
        bench.conflicts(&key, version).await?;
    }
    bench.holds(&key, 1, "first").await?;
    bench.saved(&key, "second", 1).await?;
    bench.conflicts(&key, 1).await?;
    bench.holds(&key, 2, "second").await
}

pub(super) async fn rise(bench: &Bench) -> Verdict {
    let key = bench.key("rise");
    for version in 0..12 {
        let text = format!("record {version}");
        bench.saved(&key, &text, version).await?;
        bench.holds(&key, version + 1, &text).await?;
    }
    Ok(())
}

pub(super) async fn shared(bench: &Bench) -> Verdict {
    let key = bench.key("shared");
    for worker in 0..CROWD {
        let text = format!("from {worker}");
        let version = worker as u64;
        let saved = bench.save(worker, &key, &text, version).await?;
        same("the answer to a save", &saved, &Saved::At(version + 1))?;
        bench.holds(&key, version + 1, &text).await?;
    }
    Ok(())
}

pub(super) async fn race(bench: &Bench) -> Verdict {
    let key = bench.key("race");
    for version in 0..8 {
        let answers = bench
            .crowd(|bench, worker| {
                let key = key.clone();
                async move {
                    let text = format!("{version} by {worker}");
                    let saved = bench.save(worker, &key, &text, version).await?;
                    Ok((saved, text))
                }
            })
            .await?;
        let mut winners = Vec::new();
        for (saved, text) in answers {
            match saved {
                Saved::Conflict => {}
                Saved::At(new) => {
                    same("the version of the winner", &new, &(version + 1))?;
                    winners.push(text);
                }
            }
        }
        same("the number of winners", &winners.len(), &1)?;
        bench.holds(&key, version + 1, &winners.concat()).await?;
    }
    Ok(())
}

/// Each worker adds one, three times, as often as it takes.
pub(super) async fn count(bench: &Bench) -> Verdict {
    const TURNS: usize = 3;
    let key = bench.key("count");
    bench
        .crowd(|bench, worker| {
            let key = key.clone();
            async move {
                for _ in 0..TURNS {
                    while !add_one(&bench, worker, &key).await? {}
                }
                Ok(())
            }
        })
        .await?;
    let total = (CROWD * TURNS) as u64;
    bench.holds(&key, total, &total.to_string()).await
}

async fn add_one(bench: &Bench, worker: usize, key: &str) -> Result<bool, String> {
    let (version, count) = match bench.load(worker, key).await? {
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
    let saved = bench.save(worker, key, &next, version).await?;
    Ok(saved != Saved::Conflict)
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

pub(super) async fn keys(bench: &Bench) -> Verdict {
    for name in ODD_KEYS {
        bench.saved(&bench.key(name), name, 0).await?;
    }
    for name in ODD_KEYS {
        bench.holds(&bench.key(name), 1, name).await?;
    }
    let first = bench.key(ODD_KEYS[0]);
    bench.saved(&first, "second", 1).await?;
    for name in &ODD_KEYS[1..] {
        bench.holds(&bench.key(name), 1, name).await?;
    }
    Ok(())
}

pub(super) async fn texts(bench: &Bench) -> Verdict {
    let key = bench.key("texts");
    let all: String = ('\u{1}'..='\u{2fff}').collect();
    let texts = [
        String::new(),
        " ".to_owned(),
        r#"{"a":"\"\\\u0000","b":[1,null]}"#.to_owned(),
        "line\r\nline\n".to_owned(),
        "null".to_owned(),
        "\u{1f511}\u{202e}\u{feff}%s$1\\x00'';--".to_owned(),
        all,
        "\"".repeat(64 * 1024),
        "\u{1f511}".repeat(16 * 1024),
    ];
    for (version, text) in (0..).zip(&texts) {
        bench.saved(&key, text, version).await?;
        bench.holds(&key, version + 1, text).await?;
    }
    Ok(())
}
