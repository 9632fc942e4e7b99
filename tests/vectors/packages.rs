//! Runs groups that are tested in the core directly in the packages too: each vector becomes a conversation through
//! the public API, such as a sign-in with scripted responses.

pub(crate) mod api;
pub(crate) mod auth;
mod bound_refresh;
pub(crate) mod examples;
pub(crate) mod identity;
pub(crate) mod jose;
pub(crate) mod possession;
pub(crate) mod protected;
pub(crate) mod workload;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::crypto::Signer as _;
use oauth_core::jose::Alg;
use oauth_core::quirk::Rules;
use oauth_crypto::PrivateKey;
use serde_json::{Map, Value, json};

use crate::classes;
use crate::conversation::{ClientConfig, Conversation, ServerConfig, TurnInput};
use crate::expect::wanted_classes;
use crate::fields::Reply;
use crate::format::{Failure, Vector, check, texts};
use crate::jws::private_key;
use crate::lang::Lang;
use crate::runner::{self, Runner};
use crate::transcript::{Called, Done, Refusal, Sent, TokensOutput, TurnOutput};

/// The time of vectors that have none, in Unix seconds.
pub(crate) const NOW: u64 = 1_700_000_000;

/// The nonce of vectors that have one.
const NONCE: &str = "n-0S6_WzA2Mj";

const NO_MAC: &str = "a page holds no client secret, and takes no signature by one";

/// The result of a call: the requests it sent, and its end, if it has one.
pub(crate) struct CallResult {
    pub(crate) sent: Vec<Sent>,
    pub(crate) end: Option<Result<Done, Refusal>>,
    /// The HTTP status of an API's response.
    pub(crate) status: Option<u16>,
}

/// A conversation of calls, each with the responses prepared for it. Responses to requests that are not sent are
/// ignored.
pub(crate) struct Calls {
    conversation: Conversation,
    /// The index of each call's first turn, and the number of its turns.
    calls: Vec<(usize, usize)>,
}

impl Calls {
    pub(crate) const fn new(server: ServerConfig, client: ClientConfig) -> Self {
        Self {
            conversation: Conversation::new(Some(server), Some(client)),
            calls: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn call(mut self, now: u64, input: TurnInput, replies: Vec<Reply>) -> Self {
        let before = self.conversation.turns.len();
        self.conversation = self.conversation.then(now, input);
        for reply in replies {
            self.conversation = self.conversation.then(now, TurnInput::Reply(reply));
        }
        let turns = self.conversation.turns.len() - before;
        self.calls.push((before, turns));
        self
    }

    /// Adds a turn between calls, or one more turn of the last call.
    #[must_use]
    pub(crate) fn then(mut self, now: u64, input: TurnInput) -> Self {
        let is_reply = matches!(input, TurnInput::Reply(_));
        self.conversation = self.conversation.then(now, input);
        let end = self.conversation.turns.len();
        if let (true, Some((start, turns))) = (is_reply, self.calls.last_mut()) {
            *turns = end - *start;
        }
        self
    }

    pub(crate) fn play(self, runner: &mut Runner) -> Result<Vec<CallResult>, Failure> {
        let mut outputs: Vec<_> = runner
            .play(&self.conversation)?
            .into_iter()
            .map(Some)
            .collect();
        self.calls
            .iter()
            .map(|(start, turns)| {
                let turns = outputs.iter_mut().skip(*start).take(*turns);
                call_result(turns.filter_map(Option::take))
            })
            .collect()
    }

    /// Plays the conversation; returns the end of the last call.
    pub(crate) fn end(self, runner: &mut Runner) -> Result<Result<Done, Refusal>, Failure> {
        let last = self.play(runner)?.pop();
        let end = last.and_then(|came| came.end);
        end.ok_or_else(|| "the call has not ended".into())
    }
}

fn call_result(turns: impl Iterator<Item = TurnOutput>) -> Result<CallResult, Failure> {
    let mut sent = Vec::new();
    for output in turns {
        match output {
            TurnOutput::Send(request) => sent.push(request),
            TurnOutput::Done(done) => {
                let (end, status) = (Some(Ok(done)), None);
                return Ok(CallResult { sent, end, status });
            }
            TurnOutput::Error(refusal) => {
                let (end, status) = (Some(Err(refusal)), None);
                return Ok(CallResult { sent, end, status });
            }
            TurnOutput::Called(Called {
                sent,
                status,
                error,
            }) => {
                let end = error.map(Err);
                return Ok(CallResult { sent, end, status });
            }
            // Between calls.
            TurnOutput::Open => {}
            other => return Err(format!("unexpected: {other:?}").into()),
        }
    }
    Ok(CallResult {
        sent,
        end: None,
        status: None,
    })
}

/// Compares the end of a call with a vector's expectation.
pub(crate) fn check_end(
    vector: &Vector,
    end: Result<Done, Refusal>,
) -> Result<Option<Done>, Failure> {
    match end {
        Ok(done) => {
            let expected_value = &vector.expected["ok"];
            let is_success_expected = *expected_value == true
                || expected_value.is_object()
                || vector.expected["valid"] == true;
            check("is accepted", is_success_expected)?;
            Ok(Some(done))
        }
        Err(refusal) => {
            classes::check(&refusal, &wanted_classes(&vector.expected))?;
            Ok(None)
        }
    }
}

/// The vectors' server, with these additional members of its metadata.
pub(crate) fn server(issuer: &str, additional_metadata: &Value) -> ServerConfig {
    let at = |path: &str| Value::from(format!("{issuer}/{path}"));
    let mut members = json!({
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "revocation_endpoint": at("revoke"),
        "introspection_endpoint": at("introspect"),
        "device_authorization_endpoint": at("device"),
        "userinfo_endpoint": at("userinfo"),
        "jwks_uri": at("jwks"),
    });
    for (name, value) in additional_metadata.as_object().into_iter().flatten() {
        members[name] = value.clone();
    }
    ServerConfig::of(issuer, members, &Rules::default())
}

/// A client with this id, which authenticates if it has a secret.
pub(crate) fn client(id: &str, secret: Option<&str>) -> ClientConfig {
    match secret {
        Some(secret) => ClientConfig {
            auth: Some("client_secret_post".to_owned()),
            ..runner::confidential(id, secret)
        },
        None => runner::public(id),
    }
}

/// A sign-in that ends with an ID token.
pub(crate) struct SignIn {
    pub(crate) issuer: String,
    pub(crate) client: ClientConfig,
    /// Additional members of the server's metadata.
    metadata: Map<String, Value>,
    /// The nonce of the stored flow.
    pub(crate) nonce: String,
    pub(crate) max_age: Option<u64>,
    pub(crate) started_at: u64,
    pub(crate) now: u64,
    pub(crate) access_token: String,
    /// The ID token that comes beside the code, which is `code`.
    pub(crate) front: Option<String>,
    pub(crate) code: String,
    pub(crate) state: String,
    /// The key sets that the server publishes, in order.
    pub(crate) keys: Vec<Value>,
}

impl SignIn {
    pub(crate) fn new(issuer: &str, client: ClientConfig) -> Self {
        Self {
            issuer: issuer.to_owned(),
            client,
            metadata: Map::new(),
            nonce: NONCE.to_owned(),
            max_age: None,
            started_at: NOW,
            now: NOW,
            access_token: "SlAV32hkKG".to_owned(),
            front: None,
            code: "c".to_owned(),
            state: "xyz".to_owned(),
            keys: vec![crate::jws::key_set(&Value::Null)],
        }
    }

    /// Allows these algorithms for ID tokens: in the server's metadata, or, as an HMAC requires, in the client's
    /// registration.
    pub(crate) fn algs(mut self, lang: Lang, named: &Value) -> Result<Self, Failure> {
        let names = texts(named);
        let mac = names.iter().find(|name| name.starts_with("HS"));
        match (mac, names.as_slice()) {
            (Some(_), _) if lang == Lang::Browser => return Err(Failure::OutOfReach(NO_MAC)),
            (Some(name), _) => self.register("id_token_signed_response_alg", name.as_str()),
            (None, [name]) if lang != Lang::Browser => {
                self.register("id_token_signed_response_alg", name.as_str());
            }
            (None, _) => {
                let name = "id_token_signing_alg_values_supported".to_owned();
                self.metadata.insert(name, names.into());
            }
        }
        Ok(self)
    }

    pub(crate) fn register(&mut self, name: &str, value: impl Into<Value>) {
        let registration = &mut self.client.registration;
        registration.insert(name.to_owned(), value.into());
    }

    /// The calls of a sign-in that ends with this ID token.
    pub(crate) fn with(&self, id_token: &str) -> Calls {
        self.again(self.calls(), id_token)
    }

    /// A conversation without calls.
    pub(crate) fn calls(&self) -> Calls {
        let metadata = Value::Object(self.metadata.clone());
        Calls::new(server(&self.issuer, &metadata), self.client.clone())
    }

    /// Adds one more sign-in of the same client.
    pub(crate) fn again(&self, calls: Calls, id_token: &str) -> Calls {
        self.reply(
            calls,
            &json!({
                "access_token": self.access_token, "token_type": "Bearer", "id_token": id_token,
            }),
        )
    }

    /// Adds a sign-in with this token response.
    pub(crate) fn reply(&self, calls: Calls, tokens: &Value) -> Calls {
        let keys = self.keys.iter().map(Reply::json);
        let mut replies: Vec<_> = [Reply::json(tokens)].into_iter().chain(keys).collect();
        if self.front.is_some() {
            // The token beside the code is verified first, so the keys are fetched before the token request.
            replies.rotate_left(1);
        }
        calls.call(self.now, self.redemption("openid"), replies)
    }

    /// The redemption of a code for a flow of this client.
    pub(crate) fn redemption(&self, scope: &str) -> TurnInput {
        let is_openid = scope.split(' ').any(|name| name == "openid");
        let mut members = json!({
            "issuer": self.issuer, "client_id": self.client.id, "scope": scope,
            "nonce": is_openid.then_some(&self.nonce), "started_at": self.started_at,
            "state": self.state,
        });
        if let Some(seconds) = self.max_age {
            members["max_age"] = seconds.into();
        }
        let (code, state) = (&self.code, &self.state);
        let mut callback = format!("https://app.example/cb?code={code}&state={state}");
        if let Some(token) = &self.front {
            members["response_type"] = "code id_token".into();
            members["response_mode"] = "fragment".into();
            callback = format!("https://app.example/cb#code={code}&state={state}&id_token={token}");
        }
        TurnInput::Redeem {
            callback,
            flow: Some(runner::flow(members)),
        }
    }
}

/// A JWT signed with a private key of the vectors' server.
pub(crate) fn signed(
    kid: &str,
    alg: Alg,
    typ: Option<&str>,
    claims: &Value,
) -> Result<String, Failure> {
    let text = |error: &dyn std::fmt::Display| Failure::Wrong(error.to_string());
    let key = PrivateKey::from_jwk(&private_key(kid).to_string(), alg);
    let key = key.map_err(|error| text(&error))?;
    let mut header = json!({ "alg": alg.as_str(), "kid": kid });
    if let Some(typ) = typ {
        header["typ"] = typ.into();
    }
    let parts = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let input = parts.join(".");
    let signature = key.sign(input.as_bytes()).map_err(|error| text(&error))?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The claims of a valid ID token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://as.example", "sub": "user-1", "aud": "client1", "iat": NOW, "exp": NOW + 300,
        "nonce": NONCE,
    })
}

/// The tokens that a call ended with.
pub(crate) fn tokens(done: Done) -> Result<TokensOutput, Failure> {
    match done {
        Done::Tokens(tokens) => Ok(tokens),
        other => Err(format!("want tokens, got {other:?}").into()),
    }
}

/// The members of the record that a call ended with.
pub(crate) fn record(done: Done) -> Result<Value, Failure> {
    match done {
        Done::Record(members) => Ok(members),
        other => Err(format!("want a record, got {other:?}").into()),
    }
}
