//! The callers of sessions, which request tokens, use them, and log in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oauth_core::Tokens;
use oauth_core::error::Advice;
use oauth_core::moment::Moment;
use oauth_session::GrantSource;

use super::super::callers::CallerPatience;
use super::super::{Breach, Rule};
use super::endpoints::SessionLink;
use super::simulation::{Shared, lock};

/// The maximum time from a fetch of tokens until the cache has them, including the release of the lease,
/// in milliseconds.
const MAX_SETTLING_MS: u64 = 40_000;

thread_local! {
    /// The sessions of the history that this thread runs: their stores cannot own them.
    static SESSIONS: RefCell<BTreeMap<usize, GrantSource>> = const { RefCell::new(BTreeMap::new()) };
}

pub(super) fn register(member: usize, session: &GrantSource) {
    SESSIONS.with_borrow_mut(|sessions| sessions.insert(member, session.clone()));
}

pub(super) fn forget(member: usize) {
    // It is dropped after the borrow of the map ends, because its tasks end with it.
    let removed = SESSIONS.with_borrow_mut(|sessions| sessions.remove(&member));
    drop(removed);
}

/// A call of a session, open until this is dropped.
struct Call {
    sim: Shared,
    number: u64,
}

impl Call {
    fn open(line: &SessionLink, description: &str) -> Self {
        let number = line.act(|sim| {
            let now = sim.now / 1000;
            let (worker, member) = (line.worker, line.member);
            sim.open(format!(
                "{description} of session {member}, worker {worker}, of {now} s"
            ))
        });
        let sim = Arc::clone(&line.sim);
        Self { sim, number }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        lock(&self.sim).open.remove(&self.number);
    }
}

/// An await point at which a user may log in.
pub(super) async fn log_in_concurrently(line: &SessionLink) {
    let is_login = line.act(|sim| {
        let odds = sim.setup.odds.login_during_renewal;
        sim.fault_occurs(odds) && !sim.setup.is_client_grant
    });
    let session = SESSIONS.with_borrow(|sessions| sessions.get(&line.member).cloned());
    if let (true, Some(session)) = (is_login, session) {
        tokio::spawn(log_in(line.clone(), session));
        tokio::task::yield_now().await;
    }
}

pub(super) async fn log_in(line: SessionLink, session: GrantSource) {
    let Some(tokens) = line.act(|sim| sim.login(line.member)) else {
        line.act(|sim| sim.expect_login(line.grant));
        return;
    };
    let _call = Call::open(&line, "a login");
    line.act(|sim| sim.members[line.member].logging_in += 1);
    let logged_in = session.log_in(tokens.clone()).await;
    line.act(|sim| {
        sim.members[line.member].logging_in -= 1;
        if logged_in.is_ok() {
            let result = sim.logged_in(line.member, &tokens);
            sim.record_breach(result);
        }
    });
}

/// Requests tokens until one works, or the caller gives up.
pub(super) async fn call(line: SessionLink, session: GrantSource, wait_limit: CallerPatience) {
    let call = Call::open(&line, "a caller");
    let delay = Duration::from_millis(1 + call.number % 64);
    line.act(|sim| sim.report.callers += 1);
    let mut refused: Option<Arc<Tokens>> = None;
    loop {
        line.act(|sim| sim.note_for(line.member, || format!("caller {} asks", call.number)));
        let outcome = match &refused {
            None => session.token().await,
            Some(tokens) => session.renew(tokens).await,
        };
        let result = match &outcome {
            Ok(token) => line
                .act(|sim| sim.check_hand_out(line.member, token))
                .and_then(|()| check_cache(&line, &session, token)),
            Err(error) => line.act(|sim| sim.check_error(line.member, error)),
        };
        line.act(|sim| sim.record_breach(result));
        // The callers of one renewal are woken in an order that the seed does not determine.
        tokio::time::sleep(delay).await;
        match outcome {
            Ok(token) => {
                let (tokens, pause) = (token.into_arc(), line.act(|sim| sim.rng.between(1, 2000)));
                tokio::time::sleep(Duration::from_millis(pause)).await;
                if is_token_accepted(&line, &tokens)
                    || (wait_limit == CallerPatience::Hasty && refused.is_some())
                {
                    return;
                }
                let is_invalidated_first = line.act(|sim| {
                    let access = tokens.access_token.expose().clone();
                    let name = sim.ledger.name(&access).to_owned();
                    sim.note_for(line.member, || format!("{name} was refused"));
                    sim.members[line.member].refused = Some(access);
                    sim.rng.chance(3000)
                });
                refused = if is_invalidated_first {
                    // The same call in two steps.
                    session.invalidate(&tokens);
                    None
                } else {
                    Some(tokens)
                };
            }
            Err(error) => {
                let pause = line.act(|sim| {
                    if error.advice() == Advice::Reauthorize {
                        sim.expect_login(line.grant);
                    }
                    sim.rng.between(1000, 3000)
                });
                if wait_limit == CallerPatience::Hasty {
                    return;
                }
                let named = match error.advice() {
                    Advice::Retry { after } => after.unwrap_or_default(),
                    _ => Duration::ZERO,
                };
                tokio::time::sleep(named.max(Duration::from_millis(pause))).await;
            }
        }
    }
}

fn is_token_accepted(line: &SessionLink, tokens: &Tokens) -> bool {
    line.act(|sim| {
        let odds = sim.setup.odds.access_tokens_revoked;
        if sim.fault_occurs(odds) {
            sim.twin.expire_access_tokens();
            sim.record_in_transcript(|| "the server ends all access tokens".to_owned());
        }
        let bearer = format!("Bearer {}", tokens.access_token.expose());
        let request = http::Request::get("https://as.example/api/echo")
            .header("authorization", bearer)
            .body(Bytes::new());
        let mut request = request.expect("a token's characters fit a header");
        sim.certificates.present(line.worker, &mut request);
        let at = Moment::fixed(sim.time(), [0; 32]);
        let is_accepted = sim.twin.answer(&at, request).status() == 200;
        sim.report.served += u64::from(is_accepted);
        sim.report.refused += u64::from(!is_accepted);
        is_accepted
    })
}

/// Checks the cache after a caller has received these tokens.
fn check_cache(line: &SessionLink, session: &GrantSource, tokens: &Tokens) -> Result<(), Breach> {
    let (ready, latest) = (session.ready().ok().flatten(), session.latest());
    line.act(|sim| {
        let now = sim.clock(line.worker);
        let policy = &sim.setup.policy;
        let remaining = |tokens: &Tokens| {
            let lifetime = Duration::from_secs(tokens.expires_in?);
            let end = tokens.expires_at()?;
            let leeway = policy.leeway.min(lifetime / 10);
            let ahead = policy.ahead.min(lifetime / 5);
            Some((end.before(leeway), ahead))
        };
        if let Some((stale, ahead)) = ready.as_deref().and_then(remaining)
            && now >= stale.before(ahead)
        {
            let text = format!(
                "session {} has a nearly stale token in its cache",
                line.member
            );
            return Err(Breach(Rule::Newest, text));
        }
        let session = &sim.members[line.member];
        let access = tokens.access_token.expose();
        let is_latest = latest.is_some_and(|latest| latest.access_token.expose() == access);
        let is_plain =
            is_latest && session.logging_in == 0 && session.fails == 0 && !session.has_lost_tasks;
        let is_stored = sim.ledger.history[line.grant]
            .iter()
            .any(|saved| saved.access == *access);
        if let Some((stale, ahead)) = remaining(tokens)
            && ready.is_none()
            && is_plain
            && is_stored
            && session
                .fetched
                .get(access)
                .is_some_and(|at| at + MAX_SETTLING_MS < sim.now)
            && now < stale.before(ahead * 2)
        {
            let text = format!(
                "session {} has fresh tokens, but none in its cache",
                line.member
            );
            return Err(Breach(Rule::Answered, text));
        }
        Ok(())
    })
}
