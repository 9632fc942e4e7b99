//! The Rust player: plays conversations with the facade, in this process.

use std::sync::Arc;

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::token::TokenKind;
use oauth_core::{Moment, Secret, Tokens};
use oauth_facade::{
    Arg, Attachment, Authorize, Client, ClientCredentials, ErasedExchange, ErasedStep, Introspect,
    Kind, Operation as _, Password, Record, Refresh, Reply, Resource, ResponseMode, ResponseType,
    Revoke, Scope, Server, StartError, TABLE, TokenRequest, Transport, Userinfo,
};
use serde_json::{Value, json};

use crate::conversation::{
    ClientConfig, Conversation, ServerConfig, TokenInput, Turn as Happening, TurnInput, octets,
};
use crate::fields::Text;
use crate::native_client::{
    Source, make_client, operation_arguments, verify_access_token, verify_logout_token,
};
use crate::player::Player;
use crate::transcript::{
    Done, Entry, Refusal, Sent, ServerOutput, TokensOutput, TurnOutput, VerdictOutput,
};

/// The player that runs in this process.
pub(crate) struct Native;

impl Player for Native {
    fn play(&mut self, conversation: &Conversation) -> Result<Vec<Entry>, String> {
        let whole = conversation.complete()?;
        let mut party = Party {
            server: whole.server.as_ref(),
            client: whole.client.as_ref(),
            machine: None,
            flow: None,
            tokens: None,
            verifier: None,
            source: Source::default(),
            shown: Vec::new(),
        };
        whole.turns.iter().map(|turn| party.turn(turn)).collect()
    }
}

struct Party<'a> {
    server: Option<&'a ServerConfig>,
    client: Option<&'a ClientConfig>,
    machine: Option<ErasedExchange>,
    flow: Option<String>,
    tokens: Option<Tokens>,
    /// The client that verifies tokens: it caches the server's keys and the logout tokens it has seen.
    verifier: Option<Client>,
    source: Source,
    shown: Vec<String>,
}

impl Party<'_> {
    fn turn(&mut self, turn: &Happening) -> Result<Entry, String> {
        let at = turn.moment()?;
        let output = match self.take(&at, &turn.input, turn.hold) {
            Ok(output) => output,
            Err(error) => {
                let refusal = Refusal::from(error);
                self.shown.push(refusal.shown.clone());
                TurnOutput::Error(refusal)
            }
        };
        let shown = std::mem::take(&mut self.shown);
        Ok(Entry { output, shown })
    }

    fn take(&mut self, at: &Moment, input: &TurnInput, hold: bool) -> Result<TurnOutput, Error> {
        if let Some(machine) = self.call(input)? {
            let machine = self.machine.insert(machine);
            if hold {
                return Ok(TurnOutput::Open);
            }
            let turn = machine.begin(at)?;
            return self.take_output(turn);
        }
        match input {
            TurnInput::Authorize(authorization_request) => {
                let response_type = authorization_request
                    .response_type
                    .as_deref()
                    .unwrap_or("code");
                let mode = authorization_request.response_mode.as_deref();
                let authorization_request = Authorize {
                    scope: for_scope(&authorization_request.scope)?.scope,
                    response_type: Some(
                        ResponseType::from_name(response_type).ok_or(Misuse::Setup)?,
                    ),
                    response_mode: mode
                        .map(|mode| ResponseMode::from_name(mode).ok_or(Misuse::Setup))
                        .transpose()?,
                    extra: authorization_request
                        .extra
                        .clone()
                        .into_iter()
                        .map(|(name, value)| (name, value.into()))
                        .collect(),
                    context: authorization_request.context.clone(),
                    user: authorization_request.user.clone().map(Secret::new),
                    ..Authorize::new(&authorization_request.redirect_uri)
                };
                let authorization = self.client()?.authorize(at, &authorization_request)?;
                self.show(&authorization);
                let flow = authorization.pending.to_json().expose().clone();
                self.flow = Some(flow.clone());
                Ok(TurnOutput::Authorized {
                    url: authorization.url,
                    flow,
                })
            }
            TurnInput::Source(tokens) => {
                self.source.give(tokens.clone());
                Ok(TurnOutput::Open)
            }
            TurnInput::Server => Ok(TurnOutput::Server(server_output(&self.server()?)?)),
            TurnInput::Attach {
                url,
                headers,
                body,
                origins,
                tokens,
            } => {
                let tokens = self.tokens(tokens.as_ref())?;
                let headers: Vec<_> = headers.clone().into_iter().collect();
                let request = Attachment {
                    url,
                    headers: &headers,
                    body: body.as_deref().map(str::as_bytes),
                };
                let resource = self.server()?.resource(origins.as_deref())?;
                resource
                    .authorization(&request, &tokens.access_token)
                    .map(TurnOutput::Attached)
            }
            TurnInput::Verdict { status, headers } => {
                let name = Resource::verdict(*status, &headers.0)?;
                Ok(TurnOutput::Verdict(VerdictOutput {
                    renews: name == "renew",
                    name: Some(name.to_owned()),
                }))
            }
            _ => self.resume(at, input),
        }
    }

    /// The exchange of a call, if the input starts one.
    fn call(&mut self, input: &TurnInput) -> Result<Option<ErasedExchange>, Error> {
        Ok(Some(match input {
            TurnInput::ClientCredentials { scope } => {
                let request = for_scope(scope)?;
                let arguments = ClientCredentials { request };
                self.client()?.client_credentials(arguments)?
            }
            TurnInput::Redeem { callback, flow } => {
                let stored = flow.as_ref().map(|Text(text)| text.clone());
                let flow = stored.or(self.flow.take()).ok_or(Misuse::Over)?;
                self.verifier()?.redeem(&flow, callback)?
            }
            TurnInput::RedeemAt {
                callback,
                context,
                user,
            } => {
                let flow = self.flow.take().ok_or(Misuse::Over)?;
                let arrival = oauth_facade::callback_context(context.clone(), user.clone());
                let flow = oauth_facade::AuthorizationFlow::parse(&flow)?;
                flow.redeem_at(&self.verifier()?, callback, None, arrival)?
            }
            TurnInput::Refresh { scope, tokens } => {
                let tokens = Arc::new(self.tokens(tokens.as_ref())?);
                let request = for_scope(scope)?;
                self.client()?.refresh(Refresh { tokens, request })?
            }
            TurnInput::Password {
                username,
                password,
                scope,
            } => self.client()?.password(Password {
                username: username.clone(),
                password: Secret::from(password.as_str()),
                request: for_scope(scope)?,
            })?,
            TurnInput::Revoke(token_input) => {
                let (token, hint) = self.token_and_hint(token_input)?;
                self.client()?.revoke(Revoke {
                    token,
                    token_type_hint: hint,
                })?
            }
            TurnInput::Introspect(token_input) => {
                let (token, hint) = self.token_and_hint(token_input)?;
                self.client()?.introspect(Introspect {
                    token,
                    token_type_hint: hint,
                    signed_response_alg: token_input.signed_response_alg.clone(),
                    audience: token_input.audience.clone(),
                })?
            }
            TurnInput::Userinfo { subject, tokens } => Userinfo {
                tokens: Arc::new(self.tokens(tokens.as_ref())?),
                subject: subject.clone(),
            }
            .start(&self.client()?)?,
            TurnInput::VerifyAccessToken(arguments) => {
                verify_access_token(arguments)?.start(&self.verifier()?)?
            }
            TurnInput::VerifyLogoutToken(arguments) => {
                verify_logout_token(arguments)?.start(&self.verifier()?)?
            }
            TurnInput::Operation(operations) => {
                let (name, arguments) = operations.iter().next().ok_or(Misuse::Setup)?;
                let (number, args) = operation_arguments(name, arguments)?;
                let client = self.verifier()?;
                client
                    .begin(number, args)
                    .map_err(|refused| match refused {
                        StartError::Call(error) => error,
                        StartError::Argument(_) => {
                            Error::from(Misuse::Setup).about("an argument's type")
                        }
                    })?
            }
            TurnInput::Discover { issuer, transport } => {
                let transport = match transport.as_str() {
                    "https" => Transport::Https,
                    "loopback_http" => Transport::LoopbackHttp,
                    _ => return Err(Misuse::Setup.into()),
                };
                Server::discover(issuer, transport)?
            }
            _ => return Ok(None),
        }))
    }

    fn resume(&mut self, at: &Moment, input: &TurnInput) -> Result<TurnOutput, Error> {
        let machine = self.machine.as_mut().ok_or(Misuse::Setup)?;
        let turn = match input {
            TurnInput::Reply(reply) => {
                let fields = reply.headers.0.iter();
                let reply = Reply {
                    status: reply.status,
                    headers: fields
                        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
                        .collect(),
                    body: reply.body.clone().into_bytes(),
                };
                machine.reply(at, reply)?
            }
            TurnInput::Lost(reach) => {
                let cause = match reach.as_str() {
                    "unsent" => Cause::unsent("no connection"),
                    "too_large" => Cause::too_large(),
                    _ => Cause::unknown("no answer"),
                };
                machine.lost(at, cause)?
            }
            TurnInput::Elapsed => machine.elapsed(at)?,
            TurnInput::Signed(digits) => {
                let signature = octets(digits).ok_or(Misuse::Setup)?;
                machine.signed(at, signature)?
            }
            _ => machine.begin(at)?,
        };
        self.take_output(turn)
    }

    fn take_output(&mut self, turn: ErasedStep) -> Result<TurnOutput, Error> {
        self.show(&turn);
        Ok(match turn {
            ErasedStep::Send(request) => TurnOutput::Send(Sent {
                method: request.method,
                url: request.url,
                headers: request.headers,
                body: String::from_utf8_lossy(&request.body).into_owned(),
            }),
            ErasedStep::Sleep(pause) => TurnOutput::Sleep(pause.as_secs_f64()),
            ErasedStep::Sign(_) => TurnOutput::Sign,
            // The exchange has verified the signature by itself.
            ErasedStep::Verify(_) => return Err(Error::from(Misuse::OutOfOrder)),
            ErasedStep::Done(record) => TurnOutput::Done(match record {
                Record::Tokens(tokens) => {
                    let token_fields = tokens_output(&tokens);
                    self.tokens = Some(Arc::unwrap_or_clone(tokens));
                    Done::Tokens(token_fields)
                }
                Record::Login(login) => {
                    let token_fields = tokens_output(&login.tokens);
                    self.tokens = Some(login.tokens);
                    Done::Tokens(token_fields)
                }
                Record::Plain(name, members) => Done::Record(record_members(name, members)),
                // `authorize` sends nothing, and returns no record here.
                Record::Authorization(_) => return Err(Error::from(Misuse::OutOfOrder)),
                Record::Server(server) => Done::Server(server_output(&server)?),
                Record::Nothing => Done::Nothing,
            }),
        })
    }

    fn show(&mut self, value: &impl std::fmt::Debug) {
        self.shown.push(format!("{value:?} {value:#?}"));
    }

    fn server(&self) -> Result<Server, Error> {
        let config = self.server.ok_or(Misuse::Setup)?;
        if let Some(stored) = &config.stored {
            return Server::from_json(stored);
        }
        if let Some(name) = &config.preset {
            let mut preset = oauth_providers::provider(name)?;
            for (variable, value) in &config.variables {
                preset = preset.with(variable, value)?;
            }
            for option in &config.options {
                preset = preset.option(option)?;
            }
            return Server::from_provider(preset);
        }
        let metadata = config.metadata.clone().ok_or(Misuse::Setup)?;
        let issuer = config.issuer.as_deref().ok_or(Misuse::Setup)?;
        Server::from_metadata(issuer, &json!(metadata).to_string(), Transport::Https)
    }

    fn client(&mut self) -> Result<Client, Error> {
        let config = self.client.ok_or(Misuse::Setup)?;
        let client = make_client(config, &self.server()?, &self.source)?;
        self.show(&client);
        Ok(client)
    }

    fn verifier(&mut self) -> Result<Client, Error> {
        if let Some(client) = &self.verifier {
            return Ok(client.clone());
        }
        let client = self.client()?;
        self.verifier = Some(client.clone());
        Ok(client)
    }

    fn tokens(&mut self, serialized: Option<&Text>) -> Result<Tokens, Error> {
        let tokens = match serialized {
            Some(Text(text)) => Tokens::from_json(text)?,
            None => self.tokens.clone().ok_or(Misuse::NoRefreshToken)?,
        };
        self.show(&tokens);
        Ok(tokens)
    }

    fn token_and_hint(
        &mut self,
        asked: &TokenInput,
    ) -> Result<(Secret<String>, Option<TokenKind>), Error> {
        let kind = match asked.token_type_hint.as_deref() {
            Some("refresh_token") => Some(TokenKind::Refresh),
            Some(_) => Some(TokenKind::Access),
            None => None,
        };
        if let Some(token) = &asked.token {
            return Ok((Secret::from(token.as_str()), kind));
        }
        let tokens = self.tokens(None)?;
        let token = match (kind, tokens.refresh_token) {
            (Some(TokenKind::Refresh), Some(token)) => token.secret().clone(),
            _ => tokens.access_token,
        };
        Ok((token, kind))
    }
}

fn for_scope(scope: &str) -> Result<TokenRequest, Error> {
    Scope::parse(scope).map(TokenRequest::for_scope)
}

/// The members of a record that are set, by the names in its description.
fn record_members(name: &str, members: Vec<Arg>) -> Value {
    let records = TABLE.iter().filter_map(|entry| match entry.outcome {
        Kind::Record(description) if description.name == name => Some(description),
        _ => None,
    });
    let named = records
        .flat_map(|description| description.members)
        .zip(members);
    let named_members = named.map(|(about, member)| (about.name.to_owned(), plain(member)));
    Value::Object(
        named_members
            .filter(|(_, value)| !is_empty(value))
            .collect(),
    )
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn plain(value: Arg) -> Value {
    match value {
        Arg::Null | Arg::Tokens(_) | Arg::Other => Value::Null,
        Arg::Bool(flag) => flag.into(),
        Arg::Number(number) => number.into(),
        Arg::Text(text) => text.expose().clone().into(),
        Arg::Names(names) => names.iter().collect(),
        Arg::List(list) => list.into_iter().map(plain).collect(),
        Arg::Pairs(pairs) => pairs
            .into_iter()
            .map(|(name, value)| (name, plain(value)))
            .collect(),
        Arg::Time(time) => time.as_secs().into(),
        Arg::Json(value) => value,
    }
}

fn tokens_output(tokens: &Tokens) -> TokensOutput {
    let warnings: Vec<_> = tokens
        .warnings
        .iter()
        .map(|warning| warning.code())
        .collect();
    let refresh = tokens.refresh_token.as_ref();
    let members = json!({
        "stored": tokens.to_json().expose(),
        "access_token": tokens.access_token.expose(),
        "token_type": tokens.token_type.as_str(),
        "expires_in": tokens.expires_in,
        "expires_at": tokens.expires_at(),
        "received_at": tokens.received_at,
        "refresh_token_use_by": tokens.refresh_token_expires_at(),
        "authorization_until": tokens.authorization_expires_at,
        "scope": tokens.scope.iter().collect::<Vec<_>>(),
        "refresh_token": refresh.map(|token| token.secret().expose()),
        "id_token": tokens.id_token.as_ref().map(Secret::expose),
        "extra": tokens.extra.as_map(),
        "warnings": warnings,
        "issuer": tokens.issuer(),
        "client_id": tokens.client_id(),
    });
    match members {
        Value::Object(members) => TokensOutput(members),
        _ => TokensOutput(serde_json::Map::new()),
    }
}

fn server_output(server: &Server) -> Result<ServerOutput, Error> {
    let metadata = serde_json::from_str(&server.metadata()).map_err(|_| Misuse::StoredForm)?;
    Ok(ServerOutput {
        issuer: server.issuer().to_owned(),
        metadata,
        api_origins: server.api_origins()?,
    })
}
