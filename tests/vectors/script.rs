//! Reads the files of `conversations/`: conversations with the expected result of each turn. The
//! format is described in README.md.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::conversation::{ClientConfig, Conversation, ServerConfig, Turn, TurnInput};
use crate::format::Verdict;
use crate::judge;
use crate::lang::Lang;
use crate::runner::Runner;

/// One conversation of a file.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) name: String,
    /// The file's name without its extension.
    pub(crate) group: String,
    /// The languages it is for; all of them if empty.
    only: Vec<Lang>,
    conversation: Conversation,
    expected: Vec<ExpectedOutput>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenVector {
    name: String,
    #[serde(default)]
    only: Vec<Lang>,
    server: Option<ServerConfig>,
    client: Option<ClientConfig>,
    #[serde(rename = "talk")]
    turns: Vec<WrittenTurn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTurn {
    at: (u64, Seed),
    #[serde(rename = "in")]
    input: TurnInput,
    #[serde(default)]
    hold: bool,
    out: ExpectedOutput,
}

/// A byte that is repeated 32 times, or 64 hex digits.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seed {
    Byte(u8),
    Hex(String),
}

/// The expected result of a turn: exactly one of `open`, `send`, `done`, `error`, `url`, `server`,
/// `attached`, `verdict` and `sleep`; the other members are parts of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExpectedOutput {
    pub(crate) open: bool,
    /// The method and URL of a request, such as `POST https://as.example/token`.
    pub(crate) send: Option<String>,
    /// All parameters of the body.
    pub(crate) form: Option<BTreeMap<String, String>>,
    /// The `Authorization` header; it must be absent if this is not set.
    pub(crate) authorization: Option<String>,
    /// All other headers, except `accept` and `content-type`.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) done: Option<DoneWant>,
    pub(crate) error: Option<ErrorWant>,
    /// An authorization URL, without its query.
    pub(crate) url: Option<String>,
    /// All parameters of the URL.
    pub(crate) query: BTreeMap<String, String>,
    /// Members of the stored flow.
    pub(crate) flow: Map<String, Value>,
    pub(crate) server: Option<ServerWant>,
    /// The `Authorization` header for an API.
    pub(crate) attached: Option<String>,
    pub(crate) verdict: Option<String>,
    pub(crate) sleep: Option<f64>,
}

/// The expected end of a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DoneWant {
    Tokens(TokensWant),
    /// The members that are set, in snake case, times in seconds.
    Record(Value),
    Server(ServerWant),
    Nothing,
}

/// The expected tokens, with all members. The time of receipt is that of the turn.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokensWant {
    pub(crate) access_token: String,
    pub(crate) expires_in: Option<u64>,
    #[serde(default)]
    pub(crate) scope: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) id_token: Option<String>,
    #[serde(default)]
    pub(crate) extra: Map<String, Value>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    /// The issuer, for a server that is a preset.
    pub(crate) issuer: Option<String>,
}

/// The expected server. Only these members of its metadata are compared; null means absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerWant {
    pub(crate) issuer: String,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) api_origins: Vec<String>,
}

/// The expected error, with all members.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorWant {
    pub(crate) code: String,
    pub(crate) kind: String,
    pub(crate) advice: String,
    pub(crate) retry_after: Option<u64>,
    pub(crate) endpoint: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) extra: Map<String, Value>,
    /// The part of the message that names what is at fault.
    pub(crate) detail: Option<String>,
}

/// The conversations of one file. `server` and `client` at its top level are the defaults for all
/// of its conversations.
pub(crate) fn read(group: &str, whole: &Value) -> Result<Vec<Script>, String> {
    let allowed_members = ["about", "server", "client", "conversations"];
    let members = whole.as_object().into_iter().flatten();
    if let Some((name, _)) = members
        .clone()
        .find(|(name, _)| !allowed_members.contains(&name.as_str()))
    {
        return Err(format!("unknown member {name} beside conversations"));
    }
    let list = whole["conversations"].as_array();
    let list = list.ok_or("conversations is not a list")?;
    let mut names = BTreeSet::new();
    let mut scripts = Vec::new();
    for (at, item) in list.iter().enumerate() {
        let mut item = item.clone();
        for shared in ["server", "client"] {
            if let (Some(value), Some(item)) = (whole.get(shared), item.as_object_mut()) {
                item.entry(shared).or_insert_with(|| value.clone());
            }
        }
        let place = match item["name"].as_str() {
            Some(name) => format!("conversation {name:?}"),
            None => format!("conversation {}", at + 1),
        };
        let script = Script::of(group, item).map_err(|error| format!("{place}: {error}"))?;
        if !names.insert(script.name.clone()) {
            return Err(format!("{place} is in the file twice"));
        }
        scripts.push(script);
    }
    Ok(scripts)
}

impl Script {
    fn of(group: &str, item: Value) -> Result<Self, String> {
        let written: WrittenVector =
            serde_json::from_value(item).map_err(|error| error.to_string())?;
        let mut conversation = Conversation::new(written.server, written.client);
        let mut expected = Vec::new();
        for (number, turn) in written.turns.into_iter().enumerate() {
            let turn_place = |error: String| format!("turn {}: {error}", number + 1);
            turn.out.check().map_err(turn_place)?;
            let (now, seed) = turn.at;
            let next = Turn {
                now,
                seed: match seed {
                    Seed::Byte(byte) => format!("{byte:02x}").repeat(32),
                    Seed::Hex(digits) => digits,
                },
                hold: turn.hold,
                input: turn.input,
            };
            next.moment().map_err(turn_place)?;
            conversation.turns.push(next);
            expected.push(turn.out);
        }
        if expected.is_empty() {
            return Err("the conversation has no turns".to_owned());
        }
        Ok(Self {
            name: written.name,
            group: group.to_owned(),
            only: written.only,
            conversation,
            expected,
        })
    }

    /// Whether it is for this language.
    pub(crate) fn is_for(&self, lang: Lang) -> bool {
        self.only.is_empty() || self.only.contains(&lang)
    }

    /// Plays the conversation, and compares the results with the expected ones.
    pub(crate) fn verdict(&self, runner: &mut Runner) -> Verdict {
        let output = if self.only.is_empty() {
            runner.play(&self.conversation)?
        } else {
            // A language named explicitly may play a conversation that it is expected to refuse.
            runner.play_unchecked(&self.conversation)?
        };
        for (at, ((output, want), turn)) in output
            .iter()
            .zip(&self.expected)
            .zip(&self.conversation.turns)
            .enumerate()
        {
            judge::compare(want, output, turn, &self.conversation)
                .map_err(|wrong| format!("turn {}: {wrong}", at + 1))?;
            runner.left_out.extend(runner.lang.leaves_out(want));
        }
        Ok(())
    }
}

impl ExpectedOutput {
    /// Checks that there is exactly one kind of result, with only its own parts.
    fn check(&self) -> Result<(), String> {
        let kinds = [
            self.open,
            self.send.is_some(),
            self.done.is_some(),
            self.error.is_some(),
            self.url.is_some(),
            self.server.is_some(),
            self.attached.is_some(),
            self.verdict.is_some(),
            self.sleep.is_some(),
        ];
        if kinds.iter().filter(|is_there| **is_there).count() != 1 {
            return Err(
                "out wants one thing: open, send, done, error, url, server, attached, \
                        verdict or sleep"
                    .to_owned(),
            );
        }
        let of_send =
            self.form.is_some() || self.authorization.is_some() || !self.headers.is_empty();
        if of_send && self.send.is_none() {
            return Err("form, authorization and headers are parts of send".to_owned());
        }
        if (!self.query.is_empty() || !self.flow.is_empty()) && self.url.is_none() {
            return Err("query and flow are parts of url".to_owned());
        }
        Ok(())
    }
}
