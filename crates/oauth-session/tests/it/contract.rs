//! Checks that all stores of this crate fulfil the contract, and that the contract detects wrong stores.

use std::sync::Arc;

use oauth_session::Store;
use oauth_session::store::{MemoryStore, contract};

use crate::wrong::{FaultyStore, Mistake, mistakes};

/// Handles of one store, as several workers of one process have.
fn clones(store: impl Store + Clone + 'static) -> Vec<Arc<dyn Store>> {
    (0..4)
        .map(|_| Arc::new(store.clone()) as Arc<dyn Store>)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_meets_the_contract() {
    contract::assert(&clones(MemoryStore::new())).await;
}

/// The contract must detect wrong stores: each of these fails the cases listed with it, and each
/// case is broken by one of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_contract_detects_faulty_stores() {
    let reports = contract::check(&clones(MemoryStore::new())).await;
    let mut never_broken: Vec<_> = reports.iter().map(|report| report.case).collect();
    for (way, must_break) in mistakes() {
        let reports = contract::check(&clones(FaultyStore::new(way))).await;
        let broken = reports.iter().filter(|report| report.outcome.is_err());
        let broken: Vec<_> = broken.map(|report| report.case).collect();
        for case in must_break {
            assert!(broken.contains(case), "{way:?} passes {case:?}: {broken:?}");
        }
        // A store that only returns errors would break all of them.
        if way != Mistake::Fails {
            never_broken.retain(|case| !broken.contains(case));
        }
    }
    assert!(
        never_broken.is_empty(),
        "no wrong store breaks {never_broken:?}"
    );
}
