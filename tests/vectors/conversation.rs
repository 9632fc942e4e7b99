//! A conversation: who talks to whom, and what happens, moment by moment. It is what a player gets,
//! one JSON line each, and, with the answers wanted, what the files of `conversations/` hold.

use std::collections::BTreeMap;

use oauth_facade::Transport;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::fields::{Fields, Reply, Text};

/// What a player is told. Names and wanted answers are not its business.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Conversation {
    pub(crate) server: Option<ServerConfig>,
    pub(crate) client: Option<ClientConfig>,
    pub(crate) talk: Vec<Turn>,
}

/// One server: a preset, or a metadata document.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerConfig {
    /// The name of a preset, with its variables and options.
    pub(crate) preset: Option<String>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) options: Vec<String>,
    /// The issuer of `metadata`; the one it names, unless given.
    pub(crate) issuer: Option<String>,
    pub(crate) metadata: Option<Map<String, Value>>,
    /// Strictness and quirks, for the languages that can set them.
    #[serde(skip_serializing)]
    pub(crate) rules: Option<Value>,
    /// What `oauth_facade::Server::to_json` says of a server with `rules`.
    #[serde(skip_deserializing)]
    pub(crate) stored: Option<String>,
}

/// One client.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientConfig {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    /// The registered name of the method, or `assertion_source`, whose tokens `source` gives; without it, as the
    /// preset documents; `workload` is one of a platform. The key of `private_key_jwt` is the `secret`.
    pub(crate) auth: Option<String>,
    /// More about the method: `alg`, `kid`, `audience`, `profile`, `platform`, `variables`.
    pub(crate) auth_options: Map<String, Value>,
    /// What the client is registered with, by the names that its constructor has in Python.
    pub(crate) registration: Map<String, Value>,
    /// Tokens are bound to a new key for this algorithm, and all calls are made by one client.
    pub(crate) dpop: Option<String>,
    /// Those registered.
    pub(crate) redirect_uris: Option<Vec<String>>,
    /// Sent with every request.
    pub(crate) headers: BTreeMap<String, String>,
}

/// Something happens.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Turn {
    /// Unix seconds.
    pub(crate) now: u64,
    /// 32 bytes, as hex.
    pub(crate) seed: String,
    /// The call is made and not begun.
    pub(crate) hold: bool,
    pub(crate) input: In,
}

/// What happens. The first of them make a call, which goes on until the next one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a conversation has a few turns")]
pub(crate) enum In {
    Authorize(Ask),
    /// An authorization by one call, which may send something first: its arguments, by name.
    BeginAuthorization(Map<String, Value>),
    ClientCredentials {
        #[serde(default)]
        scope: String,
    },
    Redeem {
        callback: String,
        /// A stored flow; without it, the one that was begun last.
        #[serde(default)]
        flow: Option<Text>,
    },
    /// Of the flow that was begun last, where the callback arrived and in whose session.
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
    Revoke(Asked),
    Introspect(Asked),
    Userinfo {
        subject: String,
        /// Stored tokens; without them, those received last.
        #[serde(default)]
        tokens: Option<Text>,
    },
    /// Its arguments, by name.
    VerifyAccessToken(Map<String, Value>),
    /// Its arguments, by name.
    VerifyLogoutToken(Map<String, Value>),
    Discover {
        issuer: String,
        /// `https`, or `loopback_http`.
        #[serde(default = "https")]
        transport: String,
    },
    /// What the source of assertions gives from now on, one after the other, the last for ever; null is nothing.
    Source(Vec<Option<String>>),
    /// What an API's reply wants of the person.
    StepUp {
        status: u16,
        challenges: Vec<String>,
    },
    /// The server, asked nothing.
    Server,
    Begin,
    Reply(Reply),
    /// `unsent`, `unknown` or `too_large`.
    Lost(String),
    Elapsed,
    /// Hex.
    Signed(String),
    /// A token is to be put on a request to an API.
    Attach {
        url: String,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: Option<String>,
        /// Where it may go; without them, to the preset's API.
        #[serde(default)]
        origins: Option<Vec<String>>,
        #[serde(default)]
        tokens: Option<Text>,
    },
    /// A request to an API, over an HTTP client whose replies these are, one after the other; there is no other.
    CallApi {
        method: String,
        url: String,
        body: Option<String>,
        /// Whether the body can be sent once only.
        streams: bool,
        origins: Vec<String>,
        tokens: Text,
        replies: Vec<Reply>,
    },
    /// An API has answered.
    Verdict {
        status: u16,
        #[serde(default)]
        headers: Fields,
    },
    /// Any other operation of the table, by its name, with its arguments by theirs; times in Unix seconds.
    #[serde(untagged)]
    Operation(BTreeMap<String, Map<String, Value>>),
}

/// What a person is asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ask {
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    /// `code`, or `code id_token`.
    pub(crate) response_type: Option<String>,
    /// `query`, `fragment` or `form_post`.
    pub(crate) response_mode: Option<String>,
    /// What the tokens are for.
    pub(crate) resource: Vec<String>,
    /// Permissions in detail.
    pub(crate) authorization_details: Option<Value>,
    /// Where the signed request lies.
    pub(crate) request_uri: Option<String>,
    /// What `step_up` was told, with the tokens received last.
    pub(crate) step_up: Option<Value>,
    /// In which context the flow is begun, and by whom.
    pub(crate) context: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) extra: BTreeMap<String, String>,
    /// What the seed stretches to, for hosts that draw their own.
    #[serde(skip_deserializing)]
    pub(crate) drawn: Option<Drawn>,
}

/// The unguessable values of one flow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Drawn {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
}

/// A token to be asked about, or to be forgotten.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Asked {
    /// Without it, that kind of those received last which `token_type_hint` names.
    pub(crate) token: Option<String>,
    /// `access_token` or `refresh_token`.
    pub(crate) token_type_hint: Option<String>,
    /// Of an introspection: how the answer is signed, and for whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signed_response_alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) audience: Option<String>,
}

fn https() -> String {
    "https".to_owned()
}

impl In {
    /// A discovery over `https`.
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

    /// The same with arguments by name.
    pub(crate) fn operation_of(name: &str, arguments: Map<String, Value>) -> Self {
        Self::Operation(BTreeMap::from([(name.to_owned(), arguments)]))
    }
}

impl Conversation {
    /// Nothing has happened yet.
    pub(crate) const fn new(server: Option<ServerConfig>, client: Option<ClientConfig>) -> Self {
        Self {
            server,
            client,
            talk: Vec::new(),
        }
    }

    /// Then this happens, at a moment whose seed does not matter.
    #[must_use]
    pub(crate) fn then(mut self, now: u64, input: In) -> Self {
        self.talk.push(Turn {
            now,
            // Each turn draws something else.
            seed: format!("{:02x}", (self.talk.len() + 7) % 256).repeat(32),
            hold: false,
            input,
        });
        self
    }

    /// With everything computed that a player must not know how to compute.
    pub(crate) fn complete(&self) -> Result<Self, String> {
        let mut whole = self.clone();
        if let Some(server) = &mut whole.server {
            server.complete()?;
        }
        for turn in &mut whole.talk {
            let at = turn.moment()?;
            if let In::Authorize(ask) = &mut turn.input {
                ask.drawn = Some(Drawn::at(at)?);
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

/// The bytes that hex digits stand for.
pub(crate) fn octets(digits: &str) -> Option<Vec<u8>> {
    let places = (0..digits.len()).step_by(2);
    places
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

impl ServerConfig {
    /// A server by metadata, with rules of its own unless they are the usual ones.
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

    /// Names the issuer, and turns rules into what a host would have stored.
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

impl Drawn {
    /// What the core stretches a moment to, read off a flow of its own.
    fn at(moment: oauth_core::Moment) -> Result<Self, String> {
        let text = |error: oauth_core::Error| error.to_string();
        let metadata =
            r#"{"issuer":"https://as.example","authorization_endpoint":"https://as.example/a"}"#;
        let server =
            oauth_facade::Server::from_metadata("https://as.example", metadata, Transport::Https);
        let client =
            oauth_facade::Client::new(&server.map_err(text)?, "id", oauth_facade::Auth::None);
        let ask = oauth_facade::Authorize {
            scope: oauth_core::Scope::parse("openid").map_err(text)?,
            ..oauth_facade::Authorize::new("https://app.example/cb")
        };
        let begun = client
            .and_then(|client| client.authorize(&moment, &ask))
            .map_err(text)?;
        let flow: Value = serde_json::from_str(begun.pending.to_json().expose())
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
