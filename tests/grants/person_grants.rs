//! The grants, one for each user, and their rows in the store.

use oauth_core::flow::keeper::{Event, GrantId, Keeper, Step};
use oauth_core::{Client, Error, Moment, Tokens};
use oauth_session::store::PostgresStore;
use serde_json::json;
use tokio_postgres::NoTls;

use crate::Size;

/// The lifetime of an access token, in seconds.
pub(crate) const ACCESS_TOKEN_SECONDS: u64 = 3600;

/// The length of a token, of either kind.
const TOKEN_LENGTH: usize = 128;

/// The number of rows in one statement.
const ROWS_PER_STATEMENT: usize = 5000;

/// The statement with which the store saves a new record.
const INSERT: &str = "insert into oauth_core_grant (key, version, record, due) \
    select key, (extract(epoch from clock_timestamp()) * 1000000)::bigint, record, due \
    from unnest($1::text[], $2::text[], $3::bigint[]) as given (key, record, due)";

pub(crate) fn person(number: usize) -> GrantId {
    GrantId::user(format!("person {number}"))
}

/// A unique token, of the same length as all others.
pub(crate) fn token(kind: &str, number: usize) -> String {
    format!("{kind}.{number}.{:x<TOKEN_LENGTH$}", "")[..TOKEN_LENGTH].to_owned()
}

/// The tokens of a user after a login; those of the last users have expired.
pub(crate) fn tokens(client: &Client, size: &Size, number: usize) -> Result<Tokens, Error> {
    let now = Moment::system()?.now().as_secs();
    let age = if size.is_expired(number) {
        2 * ACCESS_TOKEN_SECONDS
    } else {
        0
    };
    let stored = json!({
        "version": 1,
        "issuer": client.server().issuer().as_str(),
        "client_id": client.client_id().as_str(),
        "access_token": token("at", number),
        "refresh_token": token("rt", number),
        "received_at": now - age,
        "expires_in": ACCESS_TOKEN_SECONDS,
        "scope": "read write",
    });
    Tokens::from_json(&stored.to_string())
}

/// A row as the store would write it.
struct Row {
    key: String,
    record: String,
    due: Option<i64>,
}

impl Row {
    /// The row of a new login, with the record that a session's keeper would have stored.
    fn of(client: &Client, size: &Size, number: usize) -> Result<Self, Error> {
        let at = Moment::system()?;
        let mut keeper: Keeper = client.keeper(person(number)).shared();
        keeper.replace(&at, tokens(client, size, number)?)?;
        assert!(keeper.save_again(), "there is something to store");
        let Step::Load = keeper.resume(&at, Event::Begin) else {
            panic!("it looks first")
        };
        let Step::Save { record, due, .. } = keeper.resume(&at, Event::Loaded(None)) else {
            panic!("then it saves")
        };
        Ok(Self {
            key: keeper.key(),
            record: record.expose().clone(),
            due: due.map(|due| i64::try_from(due.as_secs()).expect("a time")),
        })
    }
}

/// Writes all rows into the table, in its own process so that its memory is not measured.
pub(crate) async fn fill(client: &Client, size: &Size, postgres: &str) -> Result<(), Error> {
    PostgresStore::new(postgres)?.migrate().await?;
    let (connection, driving) = tokio_postgres::connect(postgres, NoTls)
        .await
        .expect("a connection");
    tokio::spawn(driving);
    let mut next = 0;
    while next < size.grants {
        let until = size.grants.min(next + ROWS_PER_STATEMENT);
        let (mut keys, mut records, mut due) = (Vec::new(), Vec::new(), Vec::new());
        for number in next..until {
            let row = Row::of(client, size, number)?;
            keys.push(row.key);
            records.push(row.record);
            due.push(row.due);
        }
        connection
            .execute(INSERT, &[&keys, &records, &due])
            .await
            .expect("the rows are stored");
        next = until;
    }
    connection
        .batch_execute("analyze oauth_core_grant")
        .await
        .expect("the table is analyzed");
    Ok(())
}
