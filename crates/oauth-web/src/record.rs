//! Sessions in a store: the cookie holds a handle, and the store what it stands for. Whoever reads the store cannot
//! make the cookie.

use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::{Cause, Error, Loss};
use oauth_core::flow::keeper::{self, Entry, Saved};
use oauth_core::moment::UnixTime;
use oauth_core::server::EndpointKind;
use oauth_core::{Client, Secret, Tokens};
use serde::{Deserialize, Serialize};

use crate::config::Provider;
use crate::session::{self, Identity, Session};
use crate::turn::Turn;
use crate::visit::{Fruit, Times, mixed_up};

/// How many sessions of a person are remembered: the oldest are not ended by the provider any more.
const MOST: usize = 64;

/// How often a record is saved over that others save as well.
const ATTEMPTS: u32 = 8;

/// What the cookie holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Handle {
    handle: String,
    until: UnixTime,
}

/// The sessions of a person, or of one session at the provider.
#[derive(Debug, Default, Serialize, Deserialize)]
struct People {
    sessions: Vec<Listed>,
    /// When the last of them ends: whoever seals records anew finds it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<UnixTime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    key: String,
    until: UnixTime,
}

impl Handle {
    fn key(&self) -> String {
        oauth_seal::digest("oauth-web session 1", [self.handle.as_str()])
    }
}

/// The session of a handle. That it is used is written down now and then.
pub(crate) async fn load(turn: &Turn, handle: &Handle) -> Result<Option<Session>, Error> {
    let key = handle.key();
    let Some(entry) = turn.desk.load(&key).await? else {
        return Ok(None);
    };
    let Some(session) = read(&key, &entry) else {
        return Ok(None);
    };
    let now = turn.desk.now();
    if let (Some(idle), Some(seen_at)) = (turn.config().idle, session.seen_at)
        && !session.is_over(now, Some(idle))
        && now.since(seen_at) >= idle / 8
    {
        let seen = Session {
            seen_at: Some(now),
            ..session.clone()
        };
        // Another request writes the same, or the next one will.
        let (desk, times) = (&turn.desk, Times::until(session.until));
        let saved = desk.save(&key, text(&seen), entry.version, times).await;
        if let Err(error) = saved {
            turn.desk.note_error(&error);
        }
    }
    Ok(Some(session))
}

/// Begins a session: its tokens, where it is found by the provider, and last itself.
pub(crate) async fn begin(
    turn: &Turn,
    provider: &Provider,
    session: Session,
    tokens: Option<Tokens>,
) -> Result<Vec<String>, Error> {
    let at = turn.desk.at();
    let handle = Handle {
        handle: oauth_seal::base64url(&at.draw("oauth-web handle")?),
        until: session.until,
    };
    let key = handle.key();
    let session = Session {
        seen_at: turn.config().idle.map(|_| session.started_at),
        ..session
    };
    let client = &provider.client;
    if let Some(tokens) = tokens {
        keep(turn, client, &key, tokens, session.until).await?;
    }
    if let Err(error) = list_and_save(turn, client, &key, &session).await {
        // No tokens without a session.
        if let Err(left) = forget(turn, client, &key).await {
            turn.desk.note_error(&left);
        }
        return Err(error);
    }
    let plain = Secret::new(serde_json::to_vec(&handle).unwrap_or_default());
    let seconds = turn.config().lifetime.as_secs();
    let jar = turn.jar()?;
    // The step may be another by now.
    let (at, sent) = (turn.desk.at(), turn.sent());
    jar.set_session(&at, &turn.cookies, plain.expose(), seconds, sent)
}

async fn list_and_save(
    turn: &Turn,
    client: &Client,
    key: &str,
    session: &Session,
) -> Result<(), Error> {
    let listed = Listed {
        key: key.to_owned(),
        until: session.until,
    };
    for name in people(client, &session.identity) {
        let now = turn.desk.now();
        change(turn, &name, |people| {
            people.sessions.retain(|listed| now < listed.until);
            people.sessions.push(listed.clone());
            let surplus = people.sessions.len().saturating_sub(MOST);
            people.sessions.drain(..surplus);
        })
        .await?;
    }
    let times = Times::until(session.until);
    match turn.desk.save(key, text(session), 0, times).await? {
        Saved::At(_) => Ok(()),
        Saved::Conflict => Err(contended()),
    }
}

/// Ends a session and its grant: the record first, then the tokens, which are revoked. What a renewal brings that
/// is under way elsewhere is revoked by whoever runs it. The ID token, for the logout at the provider.
pub(crate) async fn end(turn: &Turn, session: &Session) -> Option<Secret<String>> {
    let Some(key) = session.key.as_deref() else {
        if let Some(tokens) = session
            .tokens()
            .filter(|_| !session.is_stale(turn.desk.now()))
        {
            revoke_of(turn, session, tokens).await;
        }
        return session.id_token_hint();
    };
    if let Err(error) = turn.desk.remove(key).await {
        turn.desk.note_error(&error);
    }
    let provider = turn.provider(&session.identity.provider).await;
    let provider = provider
        .map_err(|error| turn.desk.note_error(&error))
        .ok()?;
    for name in people(&provider.client, &session.identity) {
        let gone = change(turn, &name, |people| {
            people.sessions.retain(|listed| listed.key != key);
        });
        if let Err(error) = gone.await {
            turn.desk.note_error(&error);
        }
    }
    match forget(turn, &provider.client, key).await {
        Ok(id_token) => id_token,
        Err(error) => {
            turn.desk.note_error(&error);
            None
        }
    }
}

/// Revokes the token of a session that has no record.
async fn revoke_of(turn: &Turn, session: &Session, tokens: &Tokens) {
    match turn.provider(&session.identity.provider).await {
        Ok(provider) => revoke(turn, &provider.client, tokens).await,
        Err(error) => turn.desk.note_error(&error),
    }
}

/// Revokes these tokens (RFC 7009), where the provider can; that it failed is told to the log.
async fn revoke(turn: &Turn, client: &Client, tokens: &Tokens) {
    if client.server().endpoint(EndpointKind::Revocation).is_err() {
        return;
    }
    let revoked = turn
        .desk
        .run(client.revoke(Revocation::of(tokens)), |()| Fruit::Revoked);
    if let Err(error) = revoked.await {
        turn.desk.note_error(&error);
    }
}

/// The sessions that a person has, or those that belong to one session at the provider.
pub(crate) async fn sessions_of(
    turn: &Turn,
    client: &Client,
    kind: &str,
    value: &str,
) -> Result<Vec<Session>, Error> {
    let name = person(client, kind, value);
    let Some(entry) = turn.desk.load(&name).await? else {
        return Ok(Vec::new());
    };
    let mut sessions = Vec::new();
    for listed in listed(&entry).sessions {
        let entry = turn.desk.load(&listed.key).await?;
        sessions.extend(entry.and_then(|entry| read(&listed.key, &entry)));
    }
    Ok(sessions)
}

/// Saves the tokens of a login as the grant of this session.
async fn keep(
    turn: &Turn,
    client: &Client,
    key: &str,
    tokens: Tokens,
    until: UnixTime,
) -> Result<(), Error> {
    // No grant outlives its session.
    let keeper = client.keeper(session::grant(key)).shared();
    let mut keeper = keeper.until(until);
    keeper.replace(&turn.desk.at(), tokens)?;
    if !keeper.save_again() {
        return Ok(());
    }
    let record = keeper.key();
    let mut event = keeper::Event::Begin;
    loop {
        let step = keeper.resume(&turn.desk.at(), event);
        let answer = match step {
            keeper::Step::Load => turn.desk.load(&record).await.map(keeper::Event::Loaded),
            keeper::Step::Lease { holder, ttl } => {
                let lease = turn.desk.lease(&record, holder, ttl).await;
                lease.map(keeper::Event::Leased)
            }
            keeper::Step::Save {
                record: text,
                version,
                due,
                until,
            } => {
                let times = Times { due, until };
                let saved = turn.desk.save(&record, text, version, times).await;
                saved.map(keeper::Event::Saved)
            }
            keeper::Step::Wait(pause) => {
                turn.desk.wait(pause).await.map(|()| keeper::Event::Elapsed)
            }
            keeper::Step::Run(exchange) => {
                let landed = turn
                    .desk
                    .run(exchange, |tokens| Fruit::Tokens(Box::new(tokens)));
                match landed.await {
                    Ok(Fruit::Tokens(tokens)) => Ok(keeper::Event::Completed(Ok(*tokens))),
                    Ok(_) => return Err(mixed_up()),
                    Err(error) => Ok(keeper::Event::Completed(Err(error))),
                }
            }
            keeper::Step::Done(outcome) => {
                outcome?;
                // A session whose tokens are nowhere is none.
                return match keeper.is_stored() {
                    true => Ok(()),
                    // What the store failed with, where it did.
                    false => Err(keeper.trouble().cloned().unwrap_or_else(contended)),
                };
            }
        };
        event = answer.unwrap_or_else(keeper::Event::Failed);
    }
}

/// Removes the grant of this session, and revokes its tokens.
async fn forget(turn: &Turn, client: &Client, key: &str) -> Result<Option<Secret<String>>, Error> {
    let mut keeper = client.keeper(session::grant(key)).shared();
    let record = keeper.key();
    let entry = turn.desk.load(&record).await?;
    let Some(entry) = entry.filter(|entry| !entry.is_removed()) else {
        return Ok(None);
    };
    let learnt = keeper.learn(&turn.desk.at(), entry);
    turn.desk.remove(&record).await?;
    learnt?;
    let Some(tokens) = keeper.tokens().cloned() else {
        return Ok(None);
    };
    revoke(turn, client, &tokens).await;
    Ok(tokens.id_token.clone())
}

/// Changes a list that others may change as well.
async fn change(turn: &Turn, name: &str, change: impl Fn(&mut People)) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let entry = turn.desk.load(name).await?;
        let version = entry.as_ref().map_or(0, |entry| entry.version);
        let mut people = entry.as_ref().map(listed).unwrap_or_default();
        change(&mut people);
        let until = people.sessions.iter().map(|listed| listed.until).max();
        people.until = until;
        let record = match until {
            // A removed record, and not an absent one: its version goes on.
            None if version == 0 => return Ok(()),
            None => String::new(),
            Some(_) => serde_json::to_string(&people).unwrap_or_default(),
        };
        let times = Times { due: None, until };
        let saved = turn.desk.save(name, Secret::new(record), version, times);
        if let Saved::At(_) = saved.await? {
            return Ok(());
        }
    }
    Err(contended())
}

/// Where the sessions of this person are listed: by subject, and by the session at the provider.
fn people(client: &Client, identity: &Identity) -> Vec<String> {
    let by_subject = person(client, "sub", &identity.subject);
    let by_sid = identity.sid.as_ref().map(|sid| person(client, "sid", sid));
    std::iter::once(by_subject).chain(by_sid).collect()
}

fn person(client: &Client, kind: &str, value: &str) -> String {
    let issuer = client.server().issuer().as_str();
    let facts = [issuer, client.client_id().as_str(), kind, value];
    oauth_seal::digest("oauth-web people 1", facts)
}

fn listed(entry: &Entry) -> People {
    serde_json::from_str(entry.record.expose()).unwrap_or_default()
}

fn read(key: &str, entry: &Entry) -> Option<Session> {
    let session: Session = serde_json::from_str(entry.record.expose()).ok()?;
    Some(Session {
        key: Some(key.to_owned()),
        ..session
    })
}

fn text(session: &Session) -> Secret<String> {
    let stored = Session {
        key: None,
        ..session.clone()
    };
    Secret::new(serde_json::to_string(&stored).unwrap_or_default())
}

fn contended() -> Error {
    let cause = Cause::unsent("others keep saving the record").because(Loss::Contended);
    Error::lost(cause).at_endpoint("store")
}
