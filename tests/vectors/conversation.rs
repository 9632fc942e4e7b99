//! A conversation: a server, a client and the inputs they get, turn by turn. Players receive each as
//! one line of JSON; the files of `conversations/` hold them together with the expected results.

use std::collections::BTreeMap;

use oauth_facade::Transport;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::fields::{Fields, Reply, Text};

/// A conversation as a player receives it: without its name and expected results.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Conversation {
    pub(crate) server: Option<ServerConfig>,
    pub(crate) client: Option<ClientConfig>,
    #[serde(rename = "talk")]
    pub(crate) turns: Vec<Turn>,
}

/// The authorization server: a preset, or a metadata document.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerConfig {
    /// The name of a preset; `variables` and `options` belong to it.
    pub(crate) preset: Option<String>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) options: Vec<String>,
    /// The issuer of `metadata`; by default its `issuer` member.
    pub(crate) issuer: Option<String>,
    pub(crate) metadata: Option<Map<String, Value>>,
    /// Strictness and quirks, for the languages in which they can be set.
    #[serde(skip_serializing)]
    pub(crate) rules: Option<Value>,
    /// The result of `oauth_facade::Server::to_json` for a server with `rules`.
    #[serde(skip_deserializing)]
    pub(crate) stored: Option<String>,
}

/// The client's configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientConfig {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    /// The registered name of the authentication method; `assertion_source`, whose tokens come from `source`; or
    /// `workload`, for a platform's tokens. By default the preset's method. The key of `private_key_jwt` is `secret`.
    pub(crate) auth: Option<String>,
    /// More about the method: `alg`, `kid`, `audience`, `profile`, `platform`, `variables`.
    pub(crate) auth_options: Map<String, Value>,
    /// The client's registered metadata, by the parameter names of the Python constructor.
    pub(crate) registration: Map<String, Value>,
    /// The algorithm of a new DPoP key to which tokens are bound; all calls then go through one client.
    pub(crate) dpop: Option<String>,
    /// The registered redirect URIs.
    pub(crate) redirect_uris: Option<Vec<String>>,
    /// Header fields sent with every request.
    pub(crate) headers: BTreeMap<String, String>,
}

/// One turn: an input at a moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Turn {
    /// Unix seconds.
    pub(crate) now: u64,
    /// The moment's randomness: 32 bytes in hex.
    pub(crate) seed: String,
    /// The call is created but not begun.
    pub(crate) hold: bool,
    pub(crate) input: TurnInput,
}

/// The input of a turn. A variant that starts a call is followed by the inputs of that call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a conversation has a few turns")]
pub(crate) enum TurnInput {
    Authorize(AuthorizeInput),
    /// An authorization as one call, which may push its request first: the arguments, by name.
    BeginAuthorization(Map<String, Value>),
    ClientCredentials {
        #[serde(default)]
        scope: String,
    },
    Redeem {
        callback: String,
        /// A stored flow; by default the one begun last.
        #[serde(default)]
        flow: Option<Text>,
    },
    /// Redeems the flow begun last, with the context in which the callback arrived and the session's user.
    RedeemAt {
        callback: String,
        #[serde(default)]
        context: Option<String>,
        #[serde(default)]
        user: Option<String>,
    },
    Refresh {
        #[serde(default)]
        scope: String,
        /// Stored tokens; without them, those received last.
        #[serde(default)]
        tokens: Option<Text>,
    },
    Password {
        username: String,
        password: String,
        #[serde(default)]
        scope: String,
    },
    Revoke(TokenInput),
    Introspect(TokenInput),
    Userinfo {
        subject: String,
        /// Stored tokens; without them, those received last.
        #[serde(default)]
        tokens: Option<Text>,
    },
    /// The arguments, by name.
    VerifyAccessToken(Map<String, Value>),
    /// The arguments, by name.
    VerifyLogoutToken(Map<String, Value>),
    Discover {
        issuer: String,
        /// `https`, or `loopback_http`.
        #[serde(default = "https")]
        transport: String,
    },
    /// What the assertion source returns from now on, in order, the last one repeatedly; null is a failure.
    Source(Vec<Option<String>>),
    /// Reads a step-up challenge from an API's response (RFC 9470).
    StepUp {
        status: u16,
        challenges: Vec<String>,
    },
    /// Describes the server; nothing is sent.
    Server,
    Begin,
    Reply(Reply),
    /// `unsent`, `unknown` or `too_large`.
    Lost(String),
    Elapsed,
    /// The signature by the host's key, in hex.
    Signed(String),
    /// Adds a token to a request to an API.
    Attach {
        url: String,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: Option<String>,
        /// The origins that may receive the token; by default those of the preset's API.
        #[serde(default)]
        origins: Option<Vec<String>>,
        #[serde(default)]
        tokens: Option<Text>,
    },
    /// A request to an API over an HTTP client that returns these replies in order, and no others.
    CallApi {
        method: String,
        url: String,
        body: Option<String>,
        /// Whether the body can be sent only once.
        streams: bool,
        origins: Vec<String>,
        tokens: Text,
        replies: Vec<Reply>,
    },
    /// The response of an API to a request with a token.
    Verdict {
        status: u16,
        #[serde(default)]
        headers: Fields,
    },
    /// Any other operation of the table: its name and its arguments by name; times in Unix seconds.
    #[serde(untagged)]
    Operation(BTreeMap<String, Map<String, Value>>),
}

/// The arguments of an authorization request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthorizeInput {
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    /// `code`, or `code id_token`.
    pub(crate) response_type: Option<String>,
    /// `query`, `fragment` or `form_post`.
    pub(crate) response_mode: Option<String>,
    /// Resource indicators (RFC 8707).
    pub(crate) resource: Vec<String>,
    /// Rich authorization requests (RFC 9396).
    pub(crate) authorization_details: Option<Value>,
    /// The URL of the request object.
    pub(crate) request_uri: Option<String>,
    /// The result of `step_up`, used with the tokens received last.
    pub(crate) step_up: Option<Value>,
    /// The context in which the flow begins; `user` is the user who begins it.
    pub(crate) context: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) extra: BTreeMap<String, String>,
    /// The values derived from the seed, for hosts that draw their own.
    #[serde(skip_deserializing)]
    pub(crate) drawn: Option<DrawnValues>,
}

/// The random values of one flow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DrawnValues {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
}

/// The arguments of an introspection or a revocation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokenInput {
    /// By default the token received last of the kind that `token_type_hint` names.
    pub(crate) token: Option<String>,
    /// `access_token` or `refresh_token`.
    pub(crate) token_type_hint: Option<String>,
    /// For an introspection, the registered algorithm of signed responses; `audience` is their audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signed_response_alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) audience: Option<String>,
}

fn https() -> String {
    "https".to_owned()
}

impl TurnInput {
    /// Discovery over `https`.
    pub(crate) fn discover(issuer: &str) -> Self {
        Self::Discover {
            issuer: issuer.to_owned(),
            transport: https(),
        }
    }

    /// An operation of the table.
    pub(crate) fn operation(name: &str, arguments: Value) -> Self {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        Self::operation_of(name, arguments)
    }

    /// [`operation`](Self::operation) with a map of arguments.
    pub(crate) fn operation_of(name: &str, arguments: Map<String, Value>) -> Self {
        Self::Operation(BTreeMap::from([(name.to_owned(), arguments)]))
    }
}

impl Conversation {
    /// A conversation without turns.
    pub(crate) const fn new(server: Option<ServerConfig>, client: Option<ClientConfig>) -> Self {
        Self {
            server,
            client,
            turns: Vec::new(),
        }
    }

    /// Appends a turn whose seed does not matter.
    #[must_use]
    pub(crate) fn then(mut self, now: u64, input: TurnInput) -> Self {
        self.turns.push(Turn {
            now,
            // Each turn has a different seed.
            seed: format!("{:02x}", (self.turns.len() + 7) % 256).repeat(32),
            hold: false,
            input,
        });
        self
    }

    /// The conversation with the values filled in that players are not expected to compute.
    pub(crate) fn complete(&self) -> Result<Self, String> {
        let mut whole = self.clone();
        if let Some(server) = &mut whole.server {
            server.complete()?;
        }
        for turn in &mut whole.turns {
            let at = turn.moment()?;
            if let TurnInput::Authorize(authorize_input) = &mut turn.input {
                authorize_input.drawn = Some(DrawnValues::at(at)?);
            }
        }
        Ok(whole)
    }
}

impl Turn {
    pub(crate) fn moment(&self) -> Result<oauth_core::Moment, String> {
        let seed = octets(&self.seed).and_then(|octets| <[u8; 32]>::try_from(octets).ok());
        let seed = seed.ok_or("a seed is one byte, or 64 hex digits")?;
        let now = oauth_core::moment::UnixTime::from_secs(self.now);
        Ok(oauth_core::Moment::fixed(now, seed))
    }
}

/// Decodes hex.
pub(crate) fn octets(digits: &str) -> Option<Vec<u8>> {
    let places = (0..digits.len()).step_by(2);
    places
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

impl ServerConfig {
    /// A server configured by metadata, and by `rules` if they differ from the default.
    pub(crate) fn of(issuer: &str, members: Value, rules: &oauth_core::quirk::Rules) -> Self {
        let mut metadata = Map::from_iter([("issuer".to_owned(), issuer.into())]);
        if let Value::Object(members) = members {
            metadata.extend(members);
        }
        let is_usual = *rules == oauth_core::quirk::Rules::default();
        Self {
            issuer: Some(issuer.to_owned()),
            metadata: Some(metadata),
            rules: (!is_usual).then(|| json!(rules)),
            ..Self::default()
        }
    }

    /// Sets the issuer, and turns rules into the JSON that a host would have stored.
    fn complete(&mut self) -> Result<(), String> {
        let Some(metadata) = &self.metadata else {
            return Ok(());
        };
        let named = metadata.get("issuer").and_then(Value::as_str);
        let issuer = self.issuer.clone().or(named.map(str::to_owned));
        let issuer = issuer.ok_or("metadata without an issuer")?;
        if let Some(rules) = &self.rules {
            let text = Value::Object(metadata.clone()).to_string();
            let stored = oauth_facade::Server::from_metadata(&issuer, &text, Transport::Https)
                .and_then(|server| server.to_json())
                .map_err(|error| format!("a server with rules: {error}"))?;
            let mut stored: Value =
                serde_json::from_str(&stored).map_err(|error| error.to_string())?;
            stored["rules"] = rules.clone();
            self.stored = Some(stored.to_string());
        }
        self.issuer = Some(issuer);
        Ok(())
    }
}

impl DrawnValues {
    /// The values that the core derives from a moment, read from a flow begun at it.
    fn at(moment: oauth_core::Moment) -> Result<Self, String> {
        let text = |error: oauth_core::Error| error.to_string();
        let metadata =
            r#"{"issuer":"https://as.example","authorization_endpoint":"https://as.example/a"}"#;
        let server =
            oauth_facade::Server::from_metadata("https://as.example", metadata, Transport::Https);
        let client =
            oauth_facade::Client::new(&server.map_err(text)?, "id", oauth_facade::Auth::None);
        let authorize = oauth_facade::Authorize {
            scope: oauth_core::Scope::parse("openid").map_err(text)?,
            ..oauth_facade::Authorize::new("https://app.example/cb")
        };
        let authorization = client
            .and_then(|client| client.authorize(&moment, &authorize))
            .map_err(text)?;
        let flow: Value = serde_json::from_str(authorization.pending.to_json().expose())
            .map_err(|error| error.to_string())?;
        let member = |name: &str| {
            flow[name]
                .as_str()
                .map(str::to_owned)
                .ok_or("no such member")
        };
        Ok(Self {
            state: member("state")?,
            nonce: member("nonce")?,
            verifier: member("code_verifier")?,
        })
    }
}
