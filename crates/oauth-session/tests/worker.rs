//! A worker process for tests, which can be killed: `PLACE VERB ARGUMENT...`.
//!
//! The verbs are `key NAME` of a keyring, `contract`, `load KEY`, `save KEY VERSION TEXT`, `lease KEY HOLDER MILLISECONDS`, and `count KEY TIMES`,
//! which adds one to the number stored under the key, so many times, and prints each number it has
//! stored.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_session::Store;
use oauth_session::store::{
    Access, FileStore, KeyringStore, PostgresStore, RecordTimes, RedisStore, SaveOutcome,
    SqliteStore, contract,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [place, rest @ ..] = arguments.as_slice() else {
        return Err("PLACE VERB ARGUMENT...".into());
    };
    if let (Some(("keyring", folder)), ["key", name]) = (place.split_once(':'), rest) {
        println!("{}", KeyringStore::new(folder)?.seal_key(name).await?.id());
        return Ok(());
    }
    let store = open(place)?;
    match rest {
        ["contract"] => {
            let second = open(place)?;
            for report in contract::check(&[store, second]).await {
                report
                    .outcome
                    .map_err(|error| format!("{}: {error}", report.case))?;
                println!("{}", report.case);
            }
        }
        ["load", key] => match store.load(key).await? {
            Some(entry) => println!("{} {}", entry.version, entry.record.expose()),
            None => println!("None"),
        },
        ["save", key, version, text] => {
            let record = Secret::from(*text);
            println!(
                "{:?}",
                store
                    .save(key, &record, version.parse()?, RecordTimes::NONE)
                    .await?
            );
        }
        ["remove", key] => {
            println!("{}", store.remove(key).await?);
        }
        ["lease", key, holder, millis] => {
            let ttl = Duration::from_millis(millis.parse()?);
            println!("{:?}", store.lease(key, holder, ttl).await?);
        }
        ["count", key, times] => {
            for _ in 0..times.parse()? {
                let count = add_one(&*store, key).await?;
                // Readers rely on the output, so it must be flushed before the next step.
                writeln!(std::io::stdout(), "{count}")?;
            }
        }
        _ => return Err(format!("no such verb: {rest:?}").into()),
    }
    Ok(())
}

fn open(place: &str) -> Outcome<Arc<dyn Store>> {
    match place.split_once(':') {
        Some(("file", folder)) => Ok(Arc::new(FileStore::new(folder)?)),
        Some(("sqlite", path)) => Ok(Arc::new(SqliteStore::new(path)?)),
        Some(("group-file", folder)) => Ok(Arc::new(FileStore::open(folder, Access::Group)?)),
        Some(("group-sqlite", path)) => Ok(Arc::new(SqliteStore::open(path, Access::Group)?)),
        Some(("keyring", folder)) => Ok(Arc::new(KeyringStore::new(folder)?)),
        Some((scheme, _)) if scheme.starts_with("redis") => Ok(Arc::new(RedisStore::new(place)?)),
        Some(("postgres", _)) => Ok(Arc::new(PostgresStore::new(place)?)),
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
        if let SaveOutcome::At(_) = store.save(key, &next, version, RecordTimes::NONE).await? {
            return Ok(count + 1);
        }
    }
}
