//! Group `refresh-token-expiration`: when a refresh token and an authorization expire, and how an idle grant is
//! kept alive.

use bytes::Bytes;
use http::Response;
use oauth_core::error::{Advice, Error};
use oauth_core::flow::keeper::{
    Entry, Event, GrantId, GrantStatus, Keeper, Lease, Policy, SaveOutcome, Step, Upkeep,
};
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::quirk::{Rules, Strictness};
use oauth_core::server::Server;
use oauth_core::token::MAX_LIFETIME;
use oauth_core::{Exchange as _, Input, Tokens};
use serde_json::{Value, json};

use crate::conversation::{Conversation, TokenInput, TurnInput};
use crate::expect::outcome;
use crate::fields::{Fields, Reply};
use crate::format::{Failure, Vector, Verdict, check, check_equal};
use crate::runner::{
    Outcome, Runner, as_example, confidential, public, request, stored_tokens, tokens,
};
use crate::token::{client, moment, reply};
use crate::transcript::{Done, TokensOutput, TurnOutput};

const KEPT: &str = "a conversation has no keeper: each package's own tests cover it";

const CLIENT: &str = "s6BhdRkqt3";

const DAY: u64 = 24 * 3600;

/// Vectors for the core only: its keeper with a store and a clock, and its reading of the list of types.
pub(crate) fn core(vector: &Vector) -> Verdict {
    let input = &vector.input;
    match () {
        () if input.get("keep_alive").is_some() => kept_alive(vector),
        () if input.get("notice").is_some() => reports_authorization_end(vector),
        () if input.get("token_responses").is_some() => refused(vector),
        () if input.get("metadata").is_some() => types(vector),
        () => Ok(()),
    }
}

pub(crate) fn lifetimes(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    match () {
        () if input.get("body").is_some() => response(vector, runner),
        () if input.get("introspection_response").is_some() => introspection(vector, runner),
        () if input.get("metadata").is_some() => metadata(vector, runner),
        () => Err(Failure::OutOfReach(KEPT)),
    }
}

fn response(vector: &Vector, runner: &mut Runner) -> Verdict {
    let expected = &vector.expected;
    let read = play_refresh(vector, runner, &Rules::default())?;
    let tokens = read.map_err(|refusal| refusal.message)?;
    let allowed_members = [
        "refresh_token",
        "refresh_token_use_by",
        "authorization_until",
    ];
    for (name, want) in expected["ok"].as_object().into_iter().flatten() {
        check(name, allowed_members.contains(&name.as_str()))?;
        let want = match want.as_str() {
            Some("saturated") => json!(tokens.number("received_at")? + MAX_LIFETIME),
            _ => want.clone(),
        };
        check_equal(name, tokens.get_or_null(name)?, want)?;
    }
    if let (Some(warning), Some(warnings)) = (expected["warning"].as_str(), tokens.warnings()) {
        check_equal("warnings", warnings, vec![warning.to_owned()])?;
    }
    if let Some(strict) = expected.get("strict") {
        let rules = Rules {
            strictness: Strictness::Strict,
            ..Rules::default()
        };
        let verdict = play_refresh(vector, runner, &rules).and_then(|read| outcome(strict, read));
        runner.allow_unsupported(verdict.map(drop))?;
    }
    Ok(())
}

/// The tokens in the vector's response: to a refresh of stored tokens if there are any, else to a first request.
fn play_refresh(vector: &Vector, runner: &mut Runner, rules: &Rules) -> Outcome<TokensOutput> {
    let at = vector.input["received_at"].as_u64().ok_or("no time")?;
    let (client, turn) = match vector.input.get("stored") {
        Some(stored) => {
            let client = public(CLIENT);
            let tokens = Some(stored_tokens(stored.clone()));
            (
                client,
                TurnInput::Refresh {
                    scope: String::new(),
                    tokens,
                },
            )
        }
        None if runner.lang == crate::lang::Lang::Browser => {
            (public(CLIENT), crate::runner::code("c"))
        }
        None => {
            let client = confidential(CLIENT, "gX1fBat3bV");
            (
                client,
                TurnInput::ClientCredentials {
                    scope: String::new(),
                },
            )
        }
    };
    let conversation = Conversation::new(Some(as_example(rules)), Some(client))
        .then(at, turn)
        .then(at, TurnInput::Reply(reply(vector)?));
    let mut outputs = runner.play(&conversation)?.into_iter();
    request(outputs.next())?;
    tokens(outputs.next())
}

fn introspection(vector: &Vector, runner: &mut Runner) -> Verdict {
    let at = vector.input["received_at"].as_u64().ok_or("no time")?;
    let response = &vector.input["introspection_response"];
    let text = |name: &str| response[name].as_str().unwrap_or_default().to_owned();
    let reply = Reply {
        status: 200,
        headers: Fields(vec![("content-type".to_owned(), text("content_type"))]),
        body: text("body"),
    };
    let token_input = TokenInput {
        token: Some("a-refresh-token".to_owned()),
        ..TokenInput::default()
    };
    let client = confidential(CLIENT, "gX1fBat3bV");
    let conversation = Conversation::new(Some(as_example(&Rules::default())), Some(client))
        .then(at, TurnInput::Introspect(token_input))
        .then(at, TurnInput::Reply(reply));
    let output = runner.play(&conversation)?.pop();
    let Some(TurnOutput::Done(Done::Record(record))) = output else {
        return Err(format!("want what is said of a token, got {output:?}").into());
    };
    for (name, want) in vector.expected["ok"].as_object().into_iter().flatten() {
        // The vectors use the names of stored tokens for two of them.
        let member = match name.as_str() {
            "refresh_token_use_by" => ["refresh_token", "expires_at"].join("_"),
            "authorization_until" => ["authorization", "expires_at"].join("_"),
            other => other.to_owned(),
        };
        check_equal(name, record[&member].clone(), want.clone())?;
    }
    Ok(())
}

/// The names that the metadata lists: known and unknown ones.
fn metadata(vector: &Vector, runner: &mut Runner) -> Verdict {
    let mut server = as_example(&Rules::default());
    if let (Some(server_metadata), Value::Object(more)) =
        (&mut server.metadata, &vector.input["metadata"])
    {
        server_metadata.extend(more.clone());
    }
    let conversation = Conversation::new(Some(server), Some(crate::runner::public("s6BhdRkqt3")))
        .then(0, TurnInput::Server);
    let output = runner.play(&conversation)?.pop();
    let Some(TurnOutput::Server(server)) = output else {
        return Err(format!("want a server, got {output:?}").into());
    };
    let listed = server
        .metadata
        .get("refresh_token_expiration_types_supported");
    let names = |name: &str| {
        vector.expected[name]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let want: Vec<Value> = [names("types"), names("unknown")].concat();
    check_equal("types", listed.cloned(), Some(Value::from(want)))
}

fn types(vector: &Vector) -> Verdict {
    let mut document = json!({ "issuer": "https://as.example" });
    if let (Some(document), Value::Object(more)) =
        (document.as_object_mut(), &vector.input["metadata"])
    {
        document.extend(more.clone());
    }
    let text = document.to_string();
    let issuer = Issuer::parse("https://as.example").map_err(|error| error.to_string())?;
    let server = match oauth_core::json::parse(&text) {
        Ok(oauth_core::json::Json::Object(object)) => {
            Server::read(&issuer, &object, Rules::default())
        }
        _ => return Err("no document".into()),
    };
    let server = server.map_err(|error| error.to_string())?;
    let known_types = server.refresh_token_expiration_types();
    let known_types: Vec<_> = known_types.iter().map(|known| known.as_str()).collect();
    check_equal(
        "types",
        json!(known_types),
        vector.expected["types"].clone(),
    )
}

/// One member of a fleet.
struct Worker {
    keeper: Keeper,
    /// When its next upkeep of the grant is due, in Unix seconds.
    wakes: Option<u64>,
}

/// A store with one record, the workers that share it, and the requests they sent.
struct Fleet {
    workers: Vec<Worker>,
    entry: Option<Entry>,
    requests: u64,
    /// When the last request was sent.
    sent_at: u64,
    ends: Vec<u64>,
    draws: u8,
}

impl Fleet {
    /// This many workers, all of which have read this record.
    fn of(size: usize, policy: &Policy, tokens: &Value, now: u64) -> Result<Self, Failure> {
        let client = client(Rules::default(), "gX1fBat3bV").map_err(|error| error.to_string())?;
        let mut fleet = Self {
            workers: Vec::new(),
            entry: None,
            requests: 0,
            sent_at: 0,
            ends: Vec::new(),
            draws: 0,
        };
        for _ in 0..size {
            let keeper = client
                .keeper(GrantId::user("u1"))
                .with_policy(policy.clone());
            fleet.workers.push(Worker {
                keeper: keeper.shared(),
                wakes: None,
            });
        }
        let text = stored_tokens(tokens.clone()).0;
        let tokens = Tokens::from_json(&text).map_err(|error| error.to_string())?;
        let first = fleet.workers.first_mut().ok_or("no worker")?;
        let replaced = first.keeper.replace(&moment(now), tokens);
        replaced.map_err(|error| error.to_string())?;
        check("it is to be stored", first.keeper.save_again())?;
        fleet.renew(0, now, &[])?.ok();
        for index in 0..size {
            let entry = fleet.entry.clone().ok_or("nothing is stored")?;
            let at = fleet.moment(now);
            let worker = &mut fleet.workers[index];
            let learnt = worker.keeper.learn(&at, entry);
            learnt.map_err(|error| error.to_string())?;
            worker.schedule_upkeep(now);
        }
        Ok(fleet)
    }

    /// A moment with fresh random bytes.
    fn moment(&mut self, now: u64) -> oauth_core::Moment {
        self.draws = self.draws.wrapping_add(41);
        oauth_core::Moment::fixed(UnixTime::from_secs(now), [self.draws; 32])
    }

    /// Runs one worker's renewal to its end, with this response of the server.
    fn renew(
        &mut self,
        index: usize,
        now: u64,
        replies: &[Value],
    ) -> Result<Result<(), Error>, Failure> {
        let mut event = Event::Begin;
        loop {
            let at = self.moment(now);
            let step = self.workers[index].keeper.resume(&at, event);
            event = match step {
                Step::Load => Event::Loaded(self.entry.clone()),
                Step::Lease { .. } => Event::Leased(Lease::Won),
                Step::Save {
                    record, version, ..
                } => {
                    let is_at = self.entry.as_ref().map_or(0, |entry| entry.version);
                    Event::Saved(if version == is_at {
                        let version = version + 1;
                        self.entry = Some(Entry { version, record });
                        SaveOutcome::At(version)
                    } else {
                        SaveOutcome::Conflict
                    })
                }
                Step::Run(exchange) => {
                    let reply = replies.get(self.requests as usize).or(replies.last());
                    self.requests += 1;
                    self.sent_at = now;
                    Event::Completed(run(exchange, now, reply.ok_or("no answer is known")?)?)
                }
                Step::Wait(_) => Event::Elapsed,
                Step::Done(outcome) => return Ok(outcome.map(drop)),
            };
        }
    }

    /// Runs the workers' upkeep of the grant until `end`.
    fn idle_until(&mut self, end: u64, replies: &[Value]) -> Verdict {
        loop {
            let due = self.workers.iter().enumerate();
            let due = due
                .filter_map(|(index, worker)| Some((worker.wakes?, index)))
                .min();
            let Some((now, index)) = due.filter(|(at, _)| *at <= end) else {
                return Ok(());
            };
            match self.workers[index].keeper.upkeep(UnixTime::from_secs(now)) {
                Some(Upkeep::Renew) => self.renew(index, now, replies)?.ok(),
                Some(Upkeep::AuthorizationEnds(end)) => {
                    self.ends.push(end.as_secs());
                    Some(())
                }
                _ => None,
            };
            self.workers[index].schedule_upkeep(now);
        }
    }
}

impl Worker {
    fn schedule_upkeep(&mut self, now: u64) {
        let wait = self.keeper.upkeep_after(UnixTime::from_secs(now));
        self.wakes = wait.map(|wait| now + wait.as_secs());
    }
}

fn run(
    mut exchange: oauth_core::exchange::Boxed<Tokens>,
    now: u64,
    reply: &Value,
) -> Result<Result<Tokens, Error>, Failure> {
    let mut input = Input::Begin;
    loop {
        input = match exchange.resume(&moment(now), input) {
            Ok(oauth_core::Step::Send(_)) => {
                let status = reply["status"].as_u64().unwrap_or(200) as u16;
                let response = Response::builder()
                    .status(status)
                    .header("content-type", "application/json");
                let body = reply["body"].as_str().unwrap_or_default().to_owned();
                let response = response.body(Bytes::from(body));
                Input::Reply(response.map_err(|error| error.to_string())?)
            }
            Ok(oauth_core::Step::Done(tokens)) => return Ok(Ok(tokens)),
            Ok(_) => return Err("a token request only waits for its response".into()),
            Err(error) => return Ok(Err(error)),
        };
    }
}

/// The stored tokens of a vector about a keeper.
fn kept_grant(vector: &Vector) -> Result<(u64, Value), Failure> {
    let input = &vector.input;
    let now = input["now"].as_u64().ok_or("no time")?;
    let received_at = now.saturating_sub(3600);
    let lifetime = input["access_token_expires"].as_u64();
    let mut tokens = json!({
        "access_token": "a0",
        "received_at": received_at,
        "expires_in": lifetime.map_or(7200, |end| end - received_at),
        "refresh_token": "r0",
    });
    for name in ["refresh_token_use_by", "authorization_until"] {
        if let Some(end) = input[name].as_u64() {
            tokens[name] = end.into();
        }
    }
    Ok((now, tokens))
}

fn policy(keep_alive: bool) -> Policy {
    let mut policy = Policy::default();
    policy.keep_alive = keep_alive.then_some(std::time::Duration::from_secs(DAY));
    policy
}

fn kept_alive(vector: &Vector) -> Verdict {
    let (now, tokens) = kept_grant(vector)?;
    let end = vector.input["refresh_token_use_by"]
        .as_u64()
        .ok_or("no end")?;
    check_equal("keep_alive", &vector.input["keep_alive"], &json!(true))?;
    let body = json!({
        "access_token": "a1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r1",
        "refresh_token_timeout": 604_800,
    });
    let replies = [json!({ "body": body.to_string() })];
    let mut fleet = Fleet::of(12, &policy(true), &tokens, now)?;
    fleet.idle_until(end, &replies)?;
    check_equal(
        "requests",
        Some(fleet.requests),
        vector.expected["fleet_requests"].as_u64(),
    )?;
    let latest = vector.expected["refresh_not_later_than"]
        .as_u64()
        .ok_or("no latest")?;
    check(
        "it is in time",
        now < fleet.sent_at && fleet.sent_at <= latest,
    )?;
    // Without that policy nothing is sent.
    let mut fleet = Fleet::of(12, &policy(false), &tokens, now)?;
    fleet.idle_until(end + DAY, &replies)?;
    check_equal("requests without it", fleet.requests, 0)
}

fn reports_authorization_end(vector: &Vector) -> Verdict {
    let (now, mut tokens) = kept_grant(vector)?;
    // It expires with the authorization, which no refresh extends.
    tokens["refresh_token_use_by"] = vector.input["authorization_until"].clone();
    let notice = vector.input["notice"].as_u64().ok_or("no notice")?;
    let mut policy = policy(true);
    policy.notice = std::time::Duration::from_secs(notice);
    let mut fleet = Fleet::of(1, &policy, &tokens, now)?;
    let end = vector.expected["at"].as_u64().ok_or("no end")?;
    fleet.idle_until(end + DAY, &[])?;
    check_equal(
        "event",
        &vector.expected["event"],
        &json!("authorization_ends"),
    )?;
    check_equal("told, once", fleet.ends, vec![end])?;
    check_equal(
        "refreshes",
        Some(fleet.requests),
        vector.expected["refreshes"].as_u64(),
    )
}

/// A refusal ends the grant, regardless of what the dates say: one request is sent, and then the user has to log in.
fn refused(vector: &Vector) -> Verdict {
    let (now, tokens) = kept_grant(vector)?;
    let replies = vector.input["token_responses"]
        .as_array()
        .ok_or("no answers")?;
    let mut fleet = Fleet::of(1, &policy(true), &tokens, now)?;
    // If the token has not expired yet, an API has refused it.
    let held = fleet.workers[0].keeper.tokens().cloned();
    for _ in 0..3 {
        let keeper = &mut fleet.workers[0].keeper;
        let decision = keeper.ask(UnixTime::from_secs(now), held.as_deref());
        let error = match decision {
            oauth_core::flow::keeper::Decision::Renew => fleet.renew(0, now, replies)?.err(),
            oauth_core::flow::keeper::Decision::Fail(error) => Some(error),
            other => return Err(format!("want no token, got {other:?}").into()),
        };
        let advice = error.map(|error| error.advice().as_str());
        check_equal("advice", advice, Some(Advice::Reauthorize.as_str()))?;
    }
    check_equal(
        "result",
        &vector.expected["result"],
        &json!("login_required"),
    )?;
    check(
        "it has ended",
        fleet.workers[0].keeper.status() == GrantStatus::Ended,
    )?;
    // The record stays in the store for inspection, and its token is never sent again.
    if vector.expected.get("refresh_token").is_some() {
        let record = fleet.entry.ok_or("nothing is stored")?;
        let summary = oauth_core::flow::keeper::GrantSummary::read(&record.record);
        let summary = summary.map_err(|error| error.to_string())?;
        check(
            "nothing is due",
            summary.ended.is_some() && summary.due.is_none(),
        )?;
    }
    check_equal(
        "requests",
        Some(fleet.requests),
        vector.expected["requests"].as_u64(),
    )
}
