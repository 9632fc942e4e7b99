//! Runs the conversations of known-answer groups in one language, and reads their results.

use std::collections::BTreeSet;

use oauth_core::quirk::Rules;
use serde_json::{Value, json};

use crate::conversation::{ClientConfig, Conversation, ServerConfig, TurnInput};
use crate::fields::{Reply, Text};
use crate::format::{Failure, Verdict};
use crate::lang::Lang;
use crate::player::Player;
use crate::registration;
use crate::transcript::{Done, Refusal, Sent, TokensOutput, TurnOutput};

/// The result of a call: a value, or the library's refusal.
pub(crate) type Outcome<T> = Result<Result<T, Refusal>, Failure>;

/// Runs conversations in one language.
pub(crate) struct Runner {
    pub(crate) lang: Lang,
    player: Box<dyn Player>,
    /// The reasons for parts of vectors that were left out.
    pub(crate) left_out: BTreeSet<&'static str>,
}

impl Runner {
    pub(crate) fn new(lang: Lang, player: Box<dyn Player>) -> Self {
        Self {
            lang,
            player,
            left_out: BTreeSet::new(),
        }
    }

    /// Whether the core can be tested directly as well.
    pub(crate) fn is_rust(&self) -> bool {
        self.lang == Lang::Rust
    }

    /// Plays a conversation. No text that the language renders may contain its secrets.
    pub(crate) fn play(&mut self, conversation: &Conversation) -> Result<Vec<TurnOutput>, Failure> {
        if let Some(reason) = self.lang.lacks(conversation) {
            return Err(Failure::OutOfReach(reason));
        }
        self.play_unchecked(conversation)
    }

    /// [`play`](Self::play) for a conversation that is expected to be refused.
    pub(crate) fn play_unchecked(
        &mut self,
        conversation: &Conversation,
    ) -> Result<Vec<TurnOutput>, Failure> {
        let entries = self.player.play(conversation)?;
        if entries.len() != conversation.turns.len() {
            let (got, want) = (entries.len(), conversation.turns.len());
            return Err(format!("{got} entries for {want} turns").into());
        }
        let secrets = secrets(conversation);
        let mut texts = entries.iter().flat_map(|entry| &entry.shown);
        if let Some(text) = texts.find(|text| secrets.iter().any(|secret| text.contains(secret))) {
            return Err(format!("a secret is shown: {text}").into());
        }
        Ok(entries.into_iter().map(|entry| entry.output).collect())
    }

    /// Every text that the language rendered in a conversation.
    pub(crate) fn rendered_texts(
        &mut self,
        conversation: &Conversation,
    ) -> Result<Vec<String>, Failure> {
        if let Some(reason) = self.lang.lacks(conversation) {
            return Err(Failure::OutOfReach(reason));
        }
        let entries = self.player.play(conversation)?;
        let threw = entries.iter().find_map(|entry| match &entry.output {
            TurnOutput::Threw(what) => Some(what.clone()),
            _ => None,
        });
        match threw {
            Some(what) => Err(what.into()),
            None => Ok(entries.into_iter().flat_map(|entry| entry.shown).collect()),
        }
    }

    /// The verdict of one part of a vector: if this language cannot express it, the rest still counts.
    pub(crate) fn allow_unsupported(&mut self, verdict: Verdict) -> Verdict {
        match verdict {
            Err(Failure::OutOfReach(reason)) => {
                self.left_out.insert(reason);
                Ok(())
            }
            other => other,
        }
    }

    /// A token request that gets this reply: `client_credentials`, or, in a page, which has no
    /// secret, the redemption of a code. `secret` is the client's secret, or that code.
    pub(crate) fn token(
        &mut self,
        rules: &Rules,
        secret: &str,
        reply: Reply,
    ) -> Outcome<TokensOutput> {
        let server = as_example(rules);
        let conversation = if self.lang == Lang::Browser {
            let client = public("s6BhdRkqt3");
            Conversation::new(Some(server), Some(client)).then(0, code(secret))
        } else {
            let client = confidential("s6BhdRkqt3", secret);
            let scope = String::new();
            Conversation::new(Some(server), Some(client))
                .then(0, TurnInput::ClientCredentials { scope })
        };
        let conversation = conversation
            .then(1, TurnInput::Reply(reply))
            .then(2, TurnInput::Begin);
        let mut outputs = self.play(&conversation)?.into_iter();
        request(outputs.next())?;
        let tokens = tokens(outputs.next())?;
        match outputs.next() {
            Some(TurnOutput::Error(error)) if error.code == "misuse.already_finished" => Ok(tokens),
            other => Err(format!("want the call to be finished, got {other:?}").into()),
        }
    }
}

/// The secrets of a conversation, which no rendered text may contain.
fn secrets(conversation: &Conversation) -> Vec<String> {
    let client = conversation.client.as_ref();
    let secret = client.and_then(|client| client.secret.clone());
    let of_turns = conversation
        .turns
        .iter()
        .flat_map(|turn| match &turn.input {
            TurnInput::Password { password, .. } => vec![password.clone()],
            TurnInput::Revoke(token_input) | TurnInput::Introspect(token_input) => {
                token_input.token.iter().cloned().collect()
            }
            TurnInput::Operation(operations) => operations
                .values()
                .flat_map(registration::secrets)
                .collect(),
            _ => Vec::new(),
        });
    // A short text may occur anywhere by chance.
    let secrets = secret.into_iter().chain(of_turns);
    secrets.filter(|secret| secret.len() >= 10).collect()
}

/// The server of most vectors.
pub(crate) fn as_example(rules: &Rules) -> ServerConfig {
    let endpoints = json!({
        "token_endpoint": "https://as.example/token",
        "authorization_endpoint": "https://as.example/authorize",
        "revocation_endpoint": "https://as.example/revoke",
        "introspection_endpoint": "https://as.example/introspect",
    });
    ServerConfig::of("https://as.example", endpoints, rules)
}

pub(crate) fn public(id: &str) -> ClientConfig {
    ClientConfig {
        id: id.to_owned(),
        auth: Some("none".to_owned()),
        ..ClientConfig::default()
    }
}

/// A client that authenticates with `client_secret_basic`.
pub(crate) fn confidential(id: &str, secret: &str) -> ClientConfig {
    ClientConfig {
        id: id.to_owned(),
        secret: Some(secret.to_owned()),
        auth: Some("client_secret_basic".to_owned()),
        ..ClientConfig::default()
    }
}

/// The redemption of this code by a client of [`as_example`].
pub(crate) fn code(code: &str) -> TurnInput {
    let query = serde_urlencoded::to_string([("code", code), ("state", "xyz")]);
    TurnInput::Redeem {
        callback: format!("https://app.example/cb?{}", query.unwrap_or_default()),
        flow: Some(flow(
            json!({ "issuer": "https://as.example", "client_id": "s6BhdRkqt3" }),
        )),
    }
}

/// A stored flow, with members other than the usual ones.
pub(crate) fn flow(members: Value) -> Text {
    let mut flow = json!({
        "version": 1, "issuer": "https://as.example", "client_id": "s6BhdRkqt3",
        "issuer_required": false, "redirect_uri": "https://app.example/cb", "state": "xyz",
        "nonce": null, "code_verifier": null, "scope": "", "response_mode": "query", "started_at": 0,
    });
    merge(&mut flow, members);
    Text(flow.to_string())
}

/// Stored tokens, with members other than the usual ones.
pub(crate) fn stored_tokens(members: Value) -> Text {
    let mut tokens = json!({
        "version": 1, "issuer": "https://as.example", "client_id": "s6BhdRkqt3",
        "access_token": "a", "received_at": 0, "expires_in": null, "scope": "",
        "refresh_token": "r", "refresh_scope": null, "id_token": null,
    });
    merge(&mut tokens, members);
    Text(tokens.to_string())
}

fn merge(value: &mut Value, members: Value) {
    if let (Some(value), Value::Object(members)) = (value.as_object_mut(), members) {
        value.extend(members);
    }
}

/// The request that was sent, or the refusal.
pub(crate) fn sent(output: Option<TurnOutput>) -> Outcome<Sent> {
    match output {
        Some(TurnOutput::Send(sent)) => Ok(Ok(sent)),
        Some(TurnOutput::Error(refusal)) => Ok(Err(refusal)),
        other => Err(format!("want a request, got {other:?}").into()),
    }
}

/// The request that was sent; a failure if there is none.
pub(crate) fn request(output: Option<TurnOutput>) -> Result<Sent, Failure> {
    sent(output)?.map_err(|refusal| refusal.message.into())
}

/// The tokens that were received, or the refusal.
pub(crate) fn tokens(output: Option<TurnOutput>) -> Outcome<TokensOutput> {
    match output {
        Some(TurnOutput::Done(Done::Tokens(tokens))) => Ok(Ok(tokens)),
        Some(TurnOutput::Error(refusal)) => Ok(Err(refusal)),
        other => Err(format!("want tokens, got {other:?}").into()),
    }
}

impl Sent {
    /// The form's parameters.
    pub(crate) fn form(&self) -> Result<Vec<(String, String)>, Failure> {
        serde_urlencoded::from_str(&self.body).map_err(|error| error.to_string().into())
    }

    /// The form parameter of this name.
    pub(crate) fn parameter(&self, name: &str) -> Result<Option<String>, Failure> {
        let mut form = self.form()?.into_iter();
        Ok(form.find(|(key, _)| key == name).map(|(_, value)| value))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}
