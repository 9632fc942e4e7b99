//! Sessions in a store: the cookie holds a handle, and the record is stored under its hash. Read access to the store
//! does not allow forging the cookie.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::{Error, ValidationFailure};
use oauth_core::flow::keeper::{self, Entry, SaveOutcome};
use oauth_core::moment::UnixTime;
use oauth_core::server::EndpointKind;
use oauth_core::{Client, Secret, Tokens};

use crate::request_context::RequestContext;
use crate::session::{self, Identity, Session};
use crate::session_handle::Handle;
use crate::session_index::{
    ListedSession, SessionIndex, change_index, contended_error, index_name, index_names, read_index,
};
use crate::visit::{ExchangeOutput, RecordTimes, wrong_output};

/// How many sessions a user may have: the next sign-in ends the oldest.
const MAX_SESSIONS: usize = 64;

/// The number of attempts to remove a session when the store fails, since the response says that it has ended.
const MAX_REMOVE_ATTEMPTS: u32 = 3;

/// The longest time between indexing a session and storing it. A session that is not stored by then was abandoned.
const MAX_LOGIN_TIME: Duration = Duration::from_secs(5 * 60);

/// Loads the session of this key, and updates its last use at intervals.
pub(crate) async fn load(context: &RequestContext, key: &str) -> Result<Option<Session>, Error> {
    let Some(entry) = context.io.load(key).await? else {
        return Ok(None);
    };
    let Some(session) = read_session(key, &entry) else {
        return Ok(None);
    };
    let now = context.io.now();
    if let (Some(idle), Some(seen_at)) = (context.config().idle, session.seen_at)
        && !session.has_ended(now, Some(idle))
        && now.since(seen_at) >= idle / 8
    {
        let session_in_use = Session {
            seen_at: Some(now),
            ..session.clone()
        };
        // A failure is only logged: another request updates the last use.
        let (io, times) = (&context.io, RecordTimes::until(session.until));
        let saved = io
            .save(key, session_text(&session_in_use), entry.version, times)
            .await;
        if let Err(error) = saved {
            context.io.note_error(&error);
        }
    }
    Ok(Some(session))
}

/// Begins a session: lists it in the indexes, then stores its tokens, and the session last.
pub(crate) async fn begin(
    context: &RequestContext,
    (provider, client): (&str, Option<&Client>),
    session: Session,
    tokens: Option<Tokens>,
) -> Result<Vec<String>, Error> {
    let at = context.io.moment();
    let handle = Handle {
        handle: oauth_seal::base64url(&at.draw("oauth-web handle")?),
        until: session.until,
        provider: Some(provider.to_owned()),
    };
    let key = handle.key();
    let session = Session {
        seen_at: context.config().idle.map(|_| session.started_at),
        ..session
    };
    match client {
        Some(client) => list_and_store(context, client, &key, &session, tokens).await?,
        None => save_session(context, &key, &session).await?,
    }
    let plain = Secret::new(serde_json::to_vec(&handle).unwrap_or_default());
    let seconds = context.config().lifetime.as_secs();
    let jar = context.jar()?;
    // The step may have changed since.
    let (at, same_site) = (context.io.moment(), context.same_site());
    jar.set_session(&at, &context.cookies, plain.expose(), seconds, same_site)
}

/// Adds a session to the indexes. Returns the user's sessions beyond the limit, and those old enough to be either
/// stored or abandoned.
async fn list_session(
    context: &RequestContext,
    client: &Client,
    key: &str,
    session: &Session,
) -> Result<(Vec<ListedSession>, Vec<ListedSession>), Error> {
    let new_entry = ListedSession {
        key: key.to_owned(),
        until: session.until,
        since: context.io.now(),
    };
    let mut earlier_sessions = None;
    for name in index_names(client, &session.identity) {
        // Sessions beyond the limit stay listed until they have ended: a logout at the provider finds only listed ones.
        let add = |index: &mut SessionIndex| index.sessions.push(new_entry.clone());
        let index = change_index(context, &name, add).await?;
        earlier_sessions.get_or_insert(index.sessions);
    }
    let mut earlier_sessions = earlier_sessions.unwrap_or_default();
    let surplus = earlier_sessions.len().saturating_sub(MAX_SESSIONS);
    let surplus = earlier_sessions.drain(..surplus).collect();
    earlier_sessions.retain(|listed| new_entry.since.since(listed.since) >= MAX_LOGIN_TIME);
    Ok((surplus, earlier_sessions))
}

/// Stores a session of this client, and removes the remains of the user's other sessions.
async fn list_and_store(
    context: &RequestContext,
    client: &Client,
    key: &str,
    session: &Session,
    tokens: Option<Tokens>,
) -> Result<(), Error> {
    let (surplus, earlier_sessions) =
        match store_login(context, client, key, session, tokens.clone()).await {
            Ok(sessions) => sessions,
            Err(error) => {
                // There must be no tokens without a session. The session stays listed, because a save that failed may still
                // take effect.
                undo_login(context, client, key, tokens).await;
                return Err(error);
            }
        };
    for listed in surplus {
        clean_up(context, client, &session.identity, &listed, |_| true).await;
    }
    let (now, idle) = (context.io.now(), context.config().idle);
    let has_ended = |session: &Session| session.has_ended(now, idle);
    for listed in earlier_sessions {
        clean_up(context, client, &session.identity, &listed, has_ended).await;
    }
    Ok(())
}

async fn save_session(context: &RequestContext, key: &str, session: &Session) -> Result<(), Error> {
    let times = RecordTimes::until(session.until);
    match context
        .io
        .save(key, session_text(session), 0, times)
        .await?
    {
        SaveOutcome::Conflict => Err(contended_error()),
        SaveOutcome::At(_) => Ok(()),
    }
}

/// Lists a session, stores its tokens, then the session. Returns what [`list_session`] found.
async fn store_login(
    context: &RequestContext,
    client: &Client,
    key: &str,
    session: &Session,
    tokens: Option<Tokens>,
) -> Result<(Vec<ListedSession>, Vec<ListedSession>), Error> {
    let sessions = list_session(context, client, key, session).await?;
    if let Some(tokens) = tokens {
        save_grant(context, client, key, tokens, session.until).await?;
    }
    save_session(context, key, session).await?;
    // If the provider has signed the user out in the meantime, the session is no longer listed.
    for name in index_names(client, &session.identity) {
        let entry = context.io.load(&name).await?;
        let index = entry.as_ref().map(read_index).unwrap_or_default();
        if !index.sessions.iter().any(|listed| listed.key == key) {
            context.io.remove(key).await?;
            return Err(ValidationFailure::WebSignedOut.into());
        }
    }
    Ok(sessions)
}

/// Removes and revokes the tokens of a failed login, stored or not.
async fn undo_login(context: &RequestContext, client: &Client, key: &str, tokens: Option<Tokens>) {
    let forgotten = forget_grant(context, client, key).await;
    if let Err(error) = &forgotten {
        context.io.note_error(error);
    }
    if let (Ok(None) | Err(_), Some(tokens)) = (forgotten, tokens) {
        revoke_tokens(context, client, &tokens).await;
    }
}

/// Ends a session and its grant: removes the record, then revokes the tokens. The tokens of a renewal in progress
/// elsewhere are revoked by its worker. Returns the ID token, for the logout at the provider.
pub(crate) async fn end_session(
    context: &RequestContext,
    session: &Session,
) -> Option<Secret<String>> {
    let io = &context.io;
    let Some(key) = session.key.as_deref() else {
        if let Some(tokens) = session.tokens().filter(|_| !session.is_stale(io.now())) {
            match context.client_of(&session.identity.provider).await {
                Ok(client) => revoke_tokens(context, &client, tokens).await,
                Err(error) => io.note_error(&error),
            }
        }
        return session.id_token_hint();
    };
    for attempt in 1.. {
        let Err(error) = io.remove(key).await else {
            break;
        };
        io.note_error(&error);
        if attempt == MAX_REMOVE_ATTEMPTS {
            break;
        }
    }
    // Without a client its tokens stay until the user's next login, which finds them listed.
    let client = context.client_of(&session.identity.provider).await;
    let client = client.inspect_err(|error| io.note_error(error)).ok()?;
    clean_up_removed(context, &client, key, &session.identity).await
}

/// Cleans up after a session is removed: it stays listed until its tokens are gone as well.
async fn clean_up_removed(
    context: &RequestContext,
    client: &Client,
    key: &str,
    identity: &Identity,
) -> Option<Secret<String>> {
    let forgotten = forget_grant(context, client, key).await;
    let mut outcome = forgotten.as_ref().map(drop).map_err(Clone::clone);
    for name in index_names(client, identity) {
        if outcome.is_ok() {
            outcome = remove_from_index(context, &name, key).await;
        }
    }
    if let Err(error) = outcome {
        context.io.note_error(&error);
    }
    forgotten.ok().flatten()?.id_token.clone()
}

async fn remove_from_index(context: &RequestContext, name: &str, key: &str) -> Result<(), Error> {
    let is_other = |listed: &ListedSession| listed.key != key;
    let changed = change_index(context, name, |index| index.sessions.retain(is_other));
    changed.await.map(drop)
}

/// Cleans up a session that has ended or has to, or that a worker stored only in part before it crashed.
async fn clean_up(
    context: &RequestContext,
    client: &Client,
    identity: &Identity,
    listed: &ListedSession,
    has_ended: impl Fn(&Session) -> bool,
) {
    let entry = context.io.load(&listed.key).await;
    let session = match &entry {
        Ok(entry) => entry
            .as_ref()
            .and_then(|entry| read_session(&listed.key, entry)),
        Err(error) => return context.io.note_error(error),
    };
    match session {
        Some(session) if !has_ended(&session) => {}
        Some(session) => drop(end_session(context, &session).await),
        None => drop(clean_up_removed(context, client, &listed.key, identity).await),
    }
}

/// Removes the tokens of a session that is gone, by the cookie of this request: the worker that ended it may have
/// crashed before it removed them.
pub(crate) async fn forget_leftover_grant(context: &RequestContext) -> Result<(), Error> {
    let Ok(handle) = context.jar()?.open_session::<Handle>(&context.cookies) else {
        return Ok(());
    };
    let Some(id) = &handle.provider else {
        return Ok(());
    };
    let client = context.client_of(id).await?;
    forget_grant(context, &client, &handle.key())
        .await
        .map(drop)
}

/// Ends all sessions of a user, or those of one provider session (`sid`), that `must_end` accepts. A session that is
/// listed but not stored yet is removed from the index, which its sign-in notices. Grants with `offline_access` are
/// revoked too, although OpenID Connect Back-Channel Logout section 2.7 would keep them: a site uses a grant only for
/// its session, and no user could see or end a grant that outlives it. `signed_out` becomes the identity of the first
/// session that ends: all are sessions of one user.
///
/// # Errors
/// The errors of the store.
pub(crate) async fn end_all(
    context: &RequestContext,
    client: &Client,
    (kind, value, unstored): (&str, &str, UnstoredSessions),
    must_end: impl Fn(&Session) -> bool,
    signed_out: &mut Option<Identity>,
) -> Result<(), Error> {
    let io = &context.io;
    let name = index_name(client, kind, value);
    let Some(entry) = io.load(&name).await? else {
        return Ok(());
    };
    for listed in read_index(&entry).sessions {
        let key = listed.key.as_str();
        let mut session = io
            .load(key)
            .await?
            .and_then(|entry| read_session(key, &entry));
        if session.is_none() && unstored == UnstoredSessions::Included {
            remove_from_index(context, &name, key).await?;
            session = io
                .load(key)
                .await?
                .and_then(|entry| read_session(key, &entry));
            if session.is_none() {
                forget_grant(context, client, key).await?;
            }
        }
        if let Some(session) = session.filter(|session| must_end(session)) {
            end_session(context, &session).await;
            signed_out.get_or_insert(session.identity);
        }
    }
    Ok(())
}

/// Whether sessions that are not stored yet are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnstoredSessions {
    Included,
    Excluded,
}

/// Saves the tokens of a login as the grant of this session.
async fn save_grant(
    context: &RequestContext,
    client: &Client,
    key: &str,
    tokens: Tokens,
    until: UnixTime,
) -> Result<(), Error> {
    let io = &context.io;
    // No grant outlives its session.
    let keeper = client.keeper(session::grant(key)).shared();
    let mut keeper = keeper.until(until);
    keeper.replace(&io.moment(), tokens)?;
    if !keeper.save_again() {
        return Ok(());
    }
    let record = keeper.key();
    let mut event = keeper::Event::Begin;
    loop {
        let step = keeper.resume(&io.moment(), event);
        let result = match step {
            keeper::Step::Load => io.load(&record).await.map(keeper::Event::Loaded),
            keeper::Step::Lease { holder, ttl } => {
                let lease = io.lease(&record, holder, ttl).await;
                lease.map(keeper::Event::Leased)
            }
            keeper::Step::Save {
                record: text,
                version,
                due,
                until,
            } => {
                let times = RecordTimes { due, until };
                let saved = io.save(&record, text, version, times).await;
                saved.map(keeper::Event::Saved)
            }
            keeper::Step::Wait(pause) => io.wait(pause).await.map(|()| keeper::Event::Elapsed),
            keeper::Step::Run(exchange) => {
                let output = io.run(exchange, |tokens| ExchangeOutput::Tokens(Box::new(tokens)));
                match output.await {
                    Ok(ExchangeOutput::Tokens(tokens)) => Ok(keeper::Event::Completed(Ok(*tokens))),
                    Ok(_) => return Err(wrong_output()),
                    Err(error) => Ok(keeper::Event::Completed(Err(error))),
                }
            }
            keeper::Step::Done(outcome) => {
                outcome?;
                // A session whose tokens were not stored must not exist.
                return if keeper.is_stored() {
                    Ok(())
                } else {
                    // The store's error, if it failed.
                    Err(keeper.last_error().cloned().unwrap_or_else(contended_error))
                };
            }
        };
        event = result.unwrap_or_else(keeper::Event::Failed);
    }
}

/// Removes the grant of this session and revokes its tokens, which it returns, if there were any.
async fn forget_grant(
    context: &RequestContext,
    client: &Client,
    key: &str,
) -> Result<Option<Arc<Tokens>>, Error> {
    let mut keeper = client.keeper(session::grant(key)).shared();
    let record = keeper.key();
    let entry = context.io.load(&record).await?;
    let Some(entry) = entry.filter(|entry| !entry.is_removed()) else {
        return Ok(None);
    };
    let decoded = keeper.learn(&context.io.moment(), entry);
    context.io.remove(&record).await?;
    decoded?;
    let Some(tokens) = keeper.tokens().cloned() else {
        return Ok(None);
    };
    revoke_tokens(context, client, &tokens).await;
    Ok(Some(tokens))
}

/// Revokes tokens, if the provider has an endpoint for that. A failure is only logged.
pub(crate) async fn revoke_tokens(context: &RequestContext, client: &Client, tokens: &Tokens) {
    if client.server().endpoint(EndpointKind::Revocation).is_err() {
        return;
    }
    let revoked = client.revoke(Revocation::from_tokens(tokens));
    if let Err(error) = context.io.run(revoked, |()| ExchangeOutput::Revoked).await {
        context.io.note_error(&error);
    }
}

fn read_session(key: &str, entry: &Entry) -> Option<Session> {
    let session: Session = serde_json::from_str(entry.record.expose()).ok()?;
    Some(Session {
        key: Some(key.to_owned()),
        ..session
    })
}

fn session_text(session: &Session) -> Secret<String> {
    let stored = Session {
        key: None,
        ..session.clone()
    };
    Secret::new(serde_json::to_string(&stored).unwrap_or_default())
}
