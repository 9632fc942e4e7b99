//! A sign-in under way: it lives in the browser alone, one cookie for each.

use oauth_core::error::Error;
use oauth_core::flow::authorization::ResponseMode;
use oauth_core::moment::UnixTime;
use oauth_core::{AuthorizationRequest, Client, Pending, Secret};
use serde::{Deserialize, Serialize};

use crate::config::{CallbackMode, Lookup, Provider};
use crate::cookie::{Jar, Purpose, Sent};
use crate::reply::Reply;
use crate::session::Need;
use crate::turn::Turn;
use crate::visit::{Fruit, mixed_up};

/// How many cookies of flows are looked at.
const MOST: usize = 16;

/// What is kept of a sign-in until its callback.
#[derive(Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) provider: String,
    pub(crate) return_to: String,
    pub(crate) kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) need: Option<Need>,
    pub(crate) started_at: UnixTime,
    pending: String,
}

/// What a sign-in is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Somebody signs in.
    Login,
    /// Whether somebody is signed in at the provider: nobody is asked.
    Check,
}

/// How a sign-in begins.
pub(crate) struct Wanted<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) return_to: String,
    pub(crate) kind: Kind,
    pub(crate) need: Option<Need>,
    pub(crate) login_hint: Option<String>,
    pub(crate) prompt: Option<String>,
}

/// A flow of this browser, and its cookie.
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) flow: Flow,
    pub(crate) pending: Pending,
    pub(crate) provider: Provider,
    pub(crate) client: Client,
}

impl Flow {
    fn plain(&self) -> Secret<Vec<u8>> {
        Secret::new(serde_json::to_vec(self).unwrap_or_default())
    }
}

impl<'a> Wanted<'a> {
    pub(crate) const fn login(provider: &'a Provider, return_to: String) -> Self {
        Self {
            provider,
            return_to,
            kind: Kind::Login,
            need: None,
            login_hint: None,
            prompt: None,
        }
    }
}

/// Sends the person to the provider.
pub(crate) async fn begin(turn: &Turn, wanted: Wanted<'_>) -> Result<Reply, Error> {
    let (place, config) = (turn.place()?, turn.config());
    let provider = wanted.provider;
    let mut ask = AuthorizationRequest::new(place.redirect_uri(config, provider)?)
        .scope(provider.scope.clone());
    for (name, value) in &provider.parameters {
        ask = ask.extra(name, value);
    }
    if provider.callback_mode == CallbackMode::FormPost {
        ask = ask.response_mode(ResponseMode::FormPost);
    }
    if let Some(need) = &wanted.need {
        let more = oauth_core::Scope::of(need.scope.iter().map(String::as_str))?;
        ask = ask.scope(provider.scope.union(&more));
        if !need.acr.is_empty() {
            ask = ask.acr_values(need.acr.iter().map(String::as_str));
        }
        if let Some(max_age) = need.max_age {
            ask = ask.max_age(max_age);
        }
    }
    if let Some(hint) = &wanted.login_hint {
        ask = ask.login_hint(hint);
    }
    match (wanted.kind, &wanted.prompt) {
        (Kind::Check, _) => ask = ask.prompt("none"),
        (Kind::Login, Some(prompt)) => ask = ask.prompt(prompt),
        (Kind::Login, None) => {}
    }
    let client = turn.client(provider).await?;
    let begun = client.begin_authorization(ask);
    let begun = turn.desk.run(begun, |begun| Fruit::Begun(Box::new(begun)));
    let Fruit::Begun(begun) = begun.await? else {
        return Err(mixed_up());
    };
    let mut flow = Flow {
        provider: provider.id.clone(),
        return_to: wanted.return_to,
        kind: wanted.kind,
        need: wanted.need,
        started_at: turn.desk.now(),
        pending: begun.pending.to_json().expose().clone(),
    };
    let name = cookie_name(turn, begun.pending.state().expose())?;
    let jar = turn.jar()?;
    let mut plain = flow.plain();
    if !Jar::fits(&name, plain.expose().len()) {
        turn.desk.note(
            "return_target.refused",
            "a return target is too long; home was taken",
        );
        flow.return_to = turn.home()?;
        plain = flow.plain();
    }
    let value = jar.seal(&turn.desk.at(), Purpose::Flow, &name, plain.expose())?;
    let sent = sent(provider);
    let seconds = config.flow_lifetime.as_secs();
    let mut cookies = surplus(turn)?;
    cookies.push(jar.set(&name, &value, seconds, sent));
    Ok(Reply::see_other(begun.url.as_str()).cookies(cookies))
}

/// The flow that a callback belongs to, without using it up; else why each that there is is not the one.
pub(crate) async fn find(turn: &Turn, callback: &str) -> Result<Result<Kept, Vec<String>>, Error> {
    let mut why = Vec::new();
    for (name, opened) in flows(turn)? {
        match opened {
            Err(reason) => why.push(reason),
            Ok((flow, pending)) => {
                let provider = match turn.provider(&flow.provider).await {
                    Ok(provider) => provider,
                    Err(error) => {
                        why.push(error.to_string());
                        continue;
                    }
                };
                // Mix-up (RFC 9700 section 4.4.2.2): each provider has a redirect URI of its own.
                let (config, place) = (turn.config(), turn.place()?);
                let path = format!("{}{}", place.root, config.callback(&provider));
                if turn.request.path() != path {
                    why.push("the callback is another provider's".to_owned());
                    continue;
                }
                let client = turn.client(&provider).await?;
                if !client.recognises(&pending, callback) {
                    why.push("the state is another".to_owned());
                    continue;
                }
                return Ok(Ok(Kept {
                    name,
                    flow,
                    pending,
                    provider,
                    client,
                }));
            }
        }
    }
    if why.is_empty() {
        why.push("there is no cookie".to_owned());
    }
    Ok(Err(why))
}

type Opened = Result<(Flow, Pending), String>;

/// The flows of this browser that are still good, and why the others are not.
fn flows(turn: &Turn) -> Result<Vec<(String, Opened)>, Error> {
    let jar = turn.jar()?;
    let prefix = jar.named("flow-");
    let ours = turn.cookies.iter();
    let ours = ours
        .filter(|(name, _)| name.starts_with(&prefix))
        .take(MOST);
    let opened = ours.map(|(name, value)| (name.clone(), open(turn, name, value)));
    Ok(opened.collect())
}

fn open(turn: &Turn, name: &str, value: &str) -> Opened {
    let jar = turn.jar().map_err(|error| error.to_string())?;
    let plain = jar.open(Purpose::Flow, name, value)?;
    let flow: Flow =
        serde_json::from_slice(plain.expose()).map_err(|_| "it does not read".to_owned())?;
    if turn.desk.now().since(flow.started_at) >= turn.config().flow_lifetime {
        return Err("it is expired".to_owned());
    }
    let pending = Pending::from_json(&flow.pending).map_err(|error| error.to_string())?;
    Ok((flow, pending))
}

/// The ends of the flows that are one too many once another begins: those that are not good first, then the
/// oldest.
fn surplus(turn: &Turn) -> Result<Vec<String>, Error> {
    let jar = turn.jar()?;
    let mut flows: Vec<_> = flows(turn)?
        .into_iter()
        .map(|(name, opened)| (opened.ok().map(|(flow, _)| flow.started_at), name))
        .collect();
    flows.sort();
    let gone = (flows.len() + 1).saturating_sub(turn.config().flows);
    let gone = flows.iter().take(gone);
    Ok(gone.map(|(_, name)| jar.end(name, ended(turn))).collect())
}

/// The end of a flow's cookie.
pub(crate) fn end(turn: &Turn, name: &str) -> Result<String, Error> {
    Ok(turn.jar()?.end(name, ended(turn)))
}

fn cookie_name(turn: &Turn, state: &str) -> Result<String, Error> {
    let hash = oauth_seal::digest("oauth-web flow 1", [state]);
    let hash = hash.get(..8).unwrap_or(&hash);
    Ok(turn.jar()?.named(&format!("flow-{hash}")))
}

const fn sent(provider: &Provider) -> Sent {
    match provider.callback_mode {
        CallbackMode::Query => Sent::Lax,
        CallbackMode::FormPost => Sent::None,
    }
}

/// A browser ends a cookie in the answer to a form from elsewhere only if it is such a cookie.
fn ended(turn: &Turn) -> Sent {
    let mut providers = turn.config().providers.iter();
    let posts = providers.any(|provider| provider.callback_mode == CallbackMode::FormPost);
    // Those that are looked up may be any.
    let is_secure = turn
        .place()
        .is_ok_and(|place| place.url.scheme() == "https");
    match posts || turn.config().lookup == Lookup::Asked && is_secure {
        true => Sent::None,
        false => Sent::Lax,
    }
}
