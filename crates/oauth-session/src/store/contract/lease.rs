//! Cases of leasing.

use super::bench::{Bench, Verdict, same};
use super::record::ODD_KEYS;
use crate::store::Lease;

const MINUTE: u64 = 60_000;

/// Over before a person notices, and not before a busy machine comes to the next line.
const SHORT: u64 = 120;

pub(super) async fn exclusive(bench: &Bench) -> Verdict {
    let key = bench.key("exclusive");
    bench.won(&key, "one", MINUTE).await?;
    bench.held(&key, "two", MINUTE).await?;
    bench.held(&key, "ONE", MINUTE).await
}

pub(super) async fn race(bench: &Bench) -> Verdict {
    for round in 0..8 {
        let key = bench.key(&format!("takers{round}"));
        let leases = bench
            .crowd(|bench, worker| {
                let key = key.clone();
                async move {
                    let holder = format!("worker {worker}");
                    bench.lease(worker, &key, &holder, MINUTE).await
                }
            })
            .await?;
        let winners = leases.iter().filter(|lease| **lease == Lease::Won);
        same("the number of holders", &winners.count(), &1)?;
    }
    Ok(())
}

pub(super) async fn again(bench: &Bench) -> Verdict {
    let key = bench.key("again");
    bench.won(&key, "one", MINUTE).await?;
    bench.won(&key, "one", 10 * MINUTE).await?;
    bench.held(&key, "two", 10 * MINUTE).await?;
    // The latest word counts, also where it shortens.
    bench.won(&key, "one", SHORT).await?;
    bench.inherit(&key, "two", SHORT).await
}

pub(super) async fn give_back(bench: &Bench) -> Verdict {
    let key = bench.key("give-back");
    bench.won(&key, "one", MINUTE).await?;
    bench.won(&key, "one", 0).await?;
    bench.won(&key, "two", MINUTE).await?;
    bench.held(&key, "one", MINUTE).await
}

pub(super) async fn not_theirs(bench: &Bench) -> Verdict {
    let key = bench.key("not-theirs");
    // Nobody's, at first.
    bench.won(&key, "two", 0).await?;
    bench.won(&key, "one", MINUTE).await?;
    bench.won(&key, "two", 0).await?;
    bench.held(&key, "two", MINUTE).await
}

pub(super) async fn over(bench: &Bench) -> Verdict {
    let key = bench.key("over");
    bench.won(&key, "one", SHORT).await?;
    bench.inherit(&key, "two", SHORT).await?;
    // Who lost it is one of the others now.
    bench.won(&key, "one", 0).await?;
    bench.held(&key, "one", MINUTE).await
}

pub(super) async fn keys(bench: &Bench) -> Verdict {
    let holder = |name: &str| format!("of {name}");
    let key = |name: &str| bench.key(&format!("{name}!"));
    for name in ODD_KEYS {
        bench.won(&key(name), &holder(name), MINUTE).await?;
    }
    for name in &ODD_KEYS[1..] {
        bench.won(&key(name), &holder(name), 0).await?;
    }
    bench.held(&key(ODD_KEYS[0]), "another", MINUTE).await
}

pub(super) async fn alone(bench: &Bench) -> Verdict {
    let key = bench.key("alone");
    bench.won(&key, "one", MINUTE).await?;
    let entry = bench.load(0, &key).await?;
    same("that a lease made a record", &entry.is_some(), &false)?;
    bench.conflicts(&key, 1).await?;
    let version = bench.saved(&key, "first", 0).await?;
    bench.won(&key, "one", 0).await?;
    bench.holds(&key, version, "first").await
}

pub(super) async fn apart(bench: &Bench) -> Verdict {
    let key = bench.key("apart");
    let first = bench.saved(&key, "first", 0).await?;
    bench.won(&key, "one", MINUTE).await?;
    bench.holds(&key, first, "first").await?;
    // A save asks for the version only, and leaves the lease as it is.
    let second = bench.saved(&key, "second", first).await?;
    bench.conflicts(&key, first).await?;
    bench.held(&key, "two", MINUTE).await?;
    bench.won(&key, "one", 0).await?;
    bench.holds(&key, second, "second").await
}

pub(super) async fn fenced(bench: &Bench) -> Verdict {
    let key = bench.key("fenced");
    let first = bench.saved(&key, "first", 0).await?;
    bench.won(&key, "sleeper", SHORT).await?;
    bench.inherit(&key, "next", SHORT).await?;
    let second = bench.saved(&key, "second", first).await?;
    bench.conflicts(&key, first).await?;
    bench.won(&key, "sleeper", 0).await?;
    bench.held(&key, "sleeper", MINUTE).await?;
    bench.holds(&key, second, "second").await
}
