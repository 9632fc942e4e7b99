//! A cached token, requested on one thread and on two at once.

use std::hint::black_box;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use oauth_core::error::{Cause, Error};
use oauth_core::exchange::Boxed;
use oauth_core::{Moment, Tokens};
use oauth_session::store::Answer;
use oauth_session::{GrantSource, TokenDriver};

use crate::measure::{median, on_cpu};
use crate::{ID, ISSUER, OURS, huskarls, ours, print_figure, replies};

const ROUNDS: usize = 31;
const CALLS: u32 = 50_000;
/// In nanoseconds, on one thread.
const BUDGET: f64 = 25.0;

const TOKEN: &str = "mF_9.B5f-4.1JqM_mF_9.B5f-4.1JqM";

/// No token is requested here.
struct Nobody;

impl TokenDriver for Nobody {
    fn run(&self, _: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(std::future::ready(Err(Error::lost(Cause::unsent(
            "nobody",
        )))))
    }
}

fn session() -> Result<GrantSource, Error> {
    let now = Moment::system()?.now().as_secs();
    let tokens = Tokens::from_json(&format!(
        r#"{{"version":1,"issuer":"{ISSUER}","client_id":"{ID}","received_at":{now},
        "access_token":"{TOKEN}","expires_in":3600,"scope":"read","refresh_token":"{TOKEN}"}}"#
    ))?;
    GrantSource::refreshing(Nobody, &ours::client()?, tokens)
}

pub(crate) fn figures() {
    let session = session().expect("a session");
    let ours = move || {
        let token = session.ready().ok().flatten();
        assert!(black_box(token.as_deref()).is_some());
    };
    let held = Arc::new(Mutex::new((TOKEN.to_owned(), u64::MAX)));
    let floor = move || {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock");
        let held = held.lock().expect("no panic");
        assert!(now.as_secs() < held.1);
        black_box(held.0.clone());
    };
    let huskarl = huskarls::at_hand(replies(TOKEN));
    let sides: [(&str, &(dyn Fn() + Sync)); 3] = [
        ("mutex, clock, clone", &floor),
        (OURS, &ours),
        ("huskarl", &huskarl),
    ];
    let mut times = vec![(Vec::new(), Vec::new()); sides.len()];
    for _ in 0..ROUNDS {
        for ((_, call), (one, two)) in sides.iter().zip(&mut times) {
            one.push(round(1, call));
            two.push(round(2, call));
        }
    }
    let (mut one, mut two, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for ((name, call), (on_one, on_two)) in sides.iter().zip(times) {
        one.push((*name, median(on_one)));
        two.push((*name, median(on_two)));
        counts.push((*name, allocation_counter::measure(call).count_total as f64));
    }
    print_figure(
        "a token at hand, one thread",
        "ns on the processor",
        &one,
        Some(BUDGET),
    );
    let flat = one
        .iter()
        .find(|(name, _)| *name == OURS)
        .map(|(_, value)| value * 1.1);
    print_figure(
        "the same on two threads at once; budget: as on one, and 10 % for chance",
        "ns on the processor, each",
        &two,
        flat,
    );
    print_figure("the same", "allocations", &counts, None);
}

fn round(threads: usize, call: &(dyn Fn() + Sync)) -> f64 {
    let start = Barrier::new(threads);
    let one = || {
        start.wait();
        let start = on_cpu();
        (0..CALLS).for_each(|_| call());
        on_cpu().saturating_sub(start)
    };
    let slowest = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        all.into_iter()
            .filter_map(|thread| thread.join().ok())
            .max()
    });
    slowest.unwrap_or_default().as_secs_f64() * 1e9 / f64::from(CALLS)
}
