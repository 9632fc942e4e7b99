//! The index of a user's sessions, by which a logout at the provider finds them.

use oauth_core::error::{Cause, Error, Loss};
use oauth_core::flow::keeper::{Entry, SaveOutcome};
use oauth_core::moment::UnixTime;
use oauth_core::{Client, Secret};
use serde::{Deserialize, Serialize};

use crate::request_context::RequestContext;
use crate::session::Identity;
use crate::visit::RecordTimes;

/// The number of attempts to save an index that others change at the same time.
const MAX_SAVE_ATTEMPTS: u32 = 8;

/// The index of the sessions of a user, or of one session at the provider. A session is listed before its tokens are
/// stored, and until they are gone: if a worker crashes in between, the next request that reads the index cleans up.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SessionIndex {
    pub(crate) sessions: Vec<ListedSession>,
    /// When the last of the sessions ends, which a reseal reads here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<UnixTime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedSession {
    pub(crate) key: String,
    pub(crate) until: UnixTime,
    /// When it was listed.
    #[serde(default = "long_ago")]
    pub(crate) since: UnixTime,
}

const fn long_ago() -> UnixTime {
    UnixTime::from_secs(0)
}

/// Changes an index that others may change concurrently, and returns it.
pub(crate) async fn change_index(
    context: &RequestContext,
    name: &str,
    change: impl Fn(&mut SessionIndex),
) -> Result<SessionIndex, Error> {
    for _ in 0..MAX_SAVE_ATTEMPTS {
        let entry = context.io.load(name).await?;
        let version = entry.as_ref().map_or(0, |entry| entry.version);
        let mut index = entry.as_ref().map(read_index).unwrap_or_default();
        change(&mut index);
        let until = index.sessions.iter().map(|listed| listed.until).max();
        index.until = until;
        let record = match until {
            // An empty record, not an absent one: its version continues.
            None if version == 0 => return Ok(index),
            None => String::new(),
            Some(_) => serde_json::to_string(&index).unwrap_or_default(),
        };
        let times = RecordTimes { due: None, until };
        let saved = context.io.save(name, Secret::new(record), version, times);
        if let SaveOutcome::At(_) = saved.await? {
            return Ok(index);
        }
    }
    Err(contended_error())
}

/// The names of the indexes of this user's sessions: by subject, and by the session at the provider.
pub(crate) fn index_names(client: &Client, identity: &Identity) -> Vec<String> {
    let by_subject = index_name(client, "sub", &identity.subject);
    let by_sid = identity
        .sid
        .as_ref()
        .map(|sid| index_name(client, "sid", sid));
    std::iter::once(by_subject).chain(by_sid).collect()
}

pub(crate) fn index_name(client: &Client, kind: &str, value: &str) -> String {
    let issuer = client.server().issuer().as_str();
    let parts = [issuer, client.client_id().as_str(), kind, value];
    oauth_seal::digest("oauth-web people 1", parts)
}

pub(crate) fn read_index(entry: &Entry) -> SessionIndex {
    serde_json::from_str(entry.record.expose()).unwrap_or_default()
}

pub(crate) fn contended_error() -> Error {
    let cause = Cause::unsent("other workers keep saving the record").because(Loss::Contended);
    Error::lost(cause).at_endpoint("store")
}
