//! One worker beside others, as a process that can be killed: `PLACE VERB ARGUMENT...`.
//!
//! The verbs are `save KEY VERSION TEXT`, `lease KEY HOLDER MILLISECONDS`, and `count KEY TIMES`,
//! which adds one to the number stored under the key, so many times, and prints each number it has
//! stored.

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use oauth_core::Secret;
use oauth_session::Store;
use oauth_session::store::{FileStore, PostgresStore, RedisStore, Saved};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(run())
}

async fn run() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [place, rest @ ..] = arguments.as_slice() else {
        return Err("PLACE VERB ARGUMENT...".into());
    };
    let store = store(place).await?;
    match rest {
        ["save", key, version, text] => {
            let record = Secret::from(*text);
            println!("{:?}", store.save(key, &record, version.parse()?).await?);
        }
        ["lease", key, holder, millis] => {
            let ttl = Duration::from_millis(millis.parse()?);
            println!("{:?}", store.lease(key, holder, ttl).await?);
        }
        ["count", key, times] => {
            for _ in 0..times.parse()? {
                let count = add_one(&*store, key).await?;
                // Others count on what is printed here, so it must be on its way before the next.
                writeln!(std::io::stdout(), "{count}")?;
            }
        }
        _ => return Err(format!("no such verb: {rest:?}").into()),
    }
    Ok(())
}

async fn store(place: &str) -> Outcome<Box<dyn Store>> {
    match place.split_once(':') {
        Some(("file", folder)) => Ok(Box::new(FileStore::new(folder)?)),
        Some(("redis" | "rediss", _)) => Ok(Box::new(RedisStore::new(place)?)),
        Some(("postgres", _)) => Ok(Box::new(PostgresStore::new(place)?)),
        _ => Err(format!("no such place: {place}").into()),
    }
}

async fn add_one(store: &dyn Store, key: &str) -> Outcome<u64> {
    loop {
        let entry = store.load(key).await?;
        let (version, count) = match &entry {
            None => (0, 0),
            Some(entry) => (entry.version, entry.record.expose().parse::<u64>()?),
        };
        let next = Secret::new((count + 1).to_string());
        if let Saved::At(_) = store.save(key, &next, version).await? {
            return Ok(count + 1);
        }
    }
}
