//! Logins in progress, each in its own sealed cookie.

use oauth_core::error::Error;
use oauth_core::moment::UnixTime;
use oauth_core::{AuthorizationRequest, Client, PendingAuthorization, Secret};
use serde::{Deserialize, Serialize};

use crate::config::{Lookup, SessionStorage};
use crate::cookie::{CookieSameSite, Jar, Purpose};
use crate::provider::Provider;
use crate::reply::Reply;
use crate::request_context::RequestContext;
use crate::session::{Identity, PageRequirements, Session};
use crate::session_handle::Handle;
use crate::visit::{ExchangeOutput, wrong_output};

/// How many flow cookies of a request are read.
const MAX_FLOWS_READ: usize = 16;

/// The longest ID token that is sent as a hint, in bytes: with its URL the response has the cookie of the flow, and many
/// proxies read 4 KiB.
const MAX_ID_TOKEN_HINT: usize = 1536;

/// The cookie set by a silent check that found no session at the provider: until it expires, there is no other check.
pub(crate) const SILENT_RETRY_COOKIE: &str = "quiet";

/// The state of a login until its callback.
#[derive(Serialize, Deserialize)]
pub(crate) struct LoginFlow {
    pub(crate) provider: String,
    pub(crate) return_to: String,
    pub(crate) kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) need: Option<PageRequirements>,
    /// The session that a silent check or a step-up is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<ExistingSession>,
    /// The key of the record of the session that this browser had when the login began. That session ends with the
    /// login, although `SameSite` may withhold its cookie from the callback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) earlier: Option<String>,
    pub(crate) started_at: UnixTime,
    /// The issuer and the client of the login, as a digest.
    client: Option<String>,
    pending: String,
}

/// What the flow remembers of the existing session, because `SameSite` may withhold its cookie from the callback.
#[derive(Serialize, Deserialize)]
pub(crate) struct ExistingSession {
    /// A hash of issuer and subject.
    person: String,
    /// The key of its record, if it is in a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

/// The kind of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A user signs in.
    Login,
    /// A silent check whether there is a session at the provider (`prompt=none`).
    Check,
}

/// The parameters of a new login.
pub(crate) struct LoginParameters<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) return_to: String,
    pub(crate) kind: Kind,
    pub(crate) need: Option<PageRequirements>,
    /// The session that a silent check or a step-up is about: no other user is accepted.
    pub(crate) session: Option<&'a Session>,
    pub(crate) login_hint: Option<String>,
    pub(crate) prompt: Option<String>,
}

/// The flow that a callback belongs to, and the name of its cookie.
pub(crate) struct MatchingFlow {
    pub(crate) name: String,
    pub(crate) flow: LoginFlow,
    pub(crate) pending: PendingAuthorization,
    pub(crate) provider: Provider,
    pub(crate) client: Client,
}

impl LoginFlow {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(serde_json::to_vec(self).unwrap_or_default())
    }
}

impl ExistingSession {
    fn from_session(session: &Session) -> Self {
        Self {
            person: Self::person(&session.identity),
            key: session.key.clone(),
        }
    }

    pub(crate) fn belongs_to(&self, identity: &Identity) -> bool {
        self.person == Self::person(identity)
    }

    fn person(identity: &Identity) -> String {
        oauth_seal::digest(
            "oauth-web person 1",
            [identity.issuer.as_str(), identity.subject.as_str()],
        )
    }
}

impl<'a> LoginParameters<'a> {
    pub(crate) const fn login(provider: &'a Provider, return_to: String) -> Self {
        Self {
            provider,
            return_to,
            kind: Kind::Login,
            need: None,
            session: None,
            login_hint: None,
            prompt: None,
        }
    }
}

/// The key of the session's record, by the cookie of this request, if sessions are in a store.
fn stored_session_key(context: &RequestContext) -> Result<Option<String>, Error> {
    if context.config().keep != SessionStorage::Store {
        return Ok(None);
    }
    let handle = context.jar()?.open_session::<Handle>(&context.cookies);
    Ok(handle.ok().map(|handle| handle.key()))
}

/// The authorization request of a login, with what the page needs.
fn authorization_request(
    context: &RequestContext,
    login: &LoginParameters<'_>,
) -> Result<AuthorizationRequest, Error> {
    let base_url = context.base_url()?;
    let provider = login.provider;
    let mut request = AuthorizationRequest::new(base_url.redirect_uri(context.config(), provider)?)
        .scope(provider.scope.clone())
        .response_mode(provider.response_mode.requested());
    for (name, value) in &provider.parameters {
        request = request.extra(name, value);
    }
    if let Some(need) = &login.need {
        let needed_scope = oauth_core::Scope::from_names(need.scope.iter().map(String::as_str))?;
        request = request.scope(provider.scope.union(&needed_scope));
        if !need.acr.is_empty() {
            request = request.acr_values(need.acr.iter().map(String::as_str));
        }
        if let Some(max_age) = need.max_age {
            request = request.max_age(max_age);
        }
    }
    let id_token = login.session.and_then(Session::id_token_hint);
    if let Some(hint) = id_token.filter(|hint| hint.expose().len() <= MAX_ID_TOKEN_HINT) {
        request = request.id_token_hint(&hint);
    }
    if let Some(hint) = &login.login_hint {
        request = request.login_hint(hint);
    }
    match (login.kind, &login.prompt) {
        (Kind::Check, _) => request = request.prompt("none"),
        (Kind::Login, Some(prompt)) => request = request.prompt(prompt),
        (Kind::Login, None) => {}
    }
    Ok(request)
}

/// Starts a login: redirects the user to the provider.
pub(crate) async fn begin(
    context: &RequestContext,
    login: LoginParameters<'_>,
) -> Result<Reply, Error> {
    let provider = login.provider;
    let request = authorization_request(context, &login)?;
    let client = context.client(provider).await?;
    let exchange = client.begin_authorization(request);
    let output = context.io.run(exchange, |authorization| {
        ExchangeOutput::Authorization(Box::new(authorization))
    });
    let ExchangeOutput::Authorization(authorization) = output.await? else {
        return Err(wrong_output());
    };
    let mut flow = LoginFlow {
        provider: provider.id.clone(),
        return_to: login.return_to,
        kind: login.kind,
        need: login.need,
        session: login.session.map(ExistingSession::from_session),
        earlier: stored_session_key(context)?,
        started_at: context.io.now(),
        client: context.registration(provider),
        pending: authorization.pending.to_json().expose().clone(),
    };
    let name = cookie_name(context, authorization.pending.state().expose())?;
    let jar = context.jar()?;
    let mut plain = flow.to_plaintext();
    if !Jar::fits_in_cookie(&name, plain.expose().len()) {
        context.io.log_entry(
            "return_to.refused",
            "the return target is too long; home is used instead",
        );
        flow.return_to = context.home_path()?;
        plain = flow.to_plaintext();
    }
    let value = jar.seal(
        &context.io.moment(),
        Purpose::LoginFlow,
        &name,
        plain.expose(),
    )?;
    let same_site = same_site(provider);
    let seconds = context.config().flow_lifetime.as_secs();
    let mut cookies = clear_surplus(context)?;
    cookies.push(jar.set_cookie(&name, &value, seconds, same_site));
    Ok(Reply::see_other(authorization.url.as_str()).with_cookies(cookies))
}

/// Finds the flow that a callback belongs to, without consuming it; otherwise, why each flow does not match.
pub(crate) async fn find(
    context: &RequestContext,
    callback: &str,
) -> Result<Result<MatchingFlow, Vec<String>>, Error> {
    let mut reasons = Vec::new();
    for (name, opened) in open_flows(context)? {
        match opened {
            Err(reason) => reasons.push(reason),
            Ok((flow, pending)) => {
                let provider = match context.provider(&flow.provider).await {
                    Ok(provider) => provider,
                    Err(error) => {
                        reasons.push(error.to_string());
                        continue;
                    }
                };
                // Mix-up defence (RFC 9700 section 4.4.2.2): the callback path must be that of the flow's provider.
                let (config, base_url) = (context.config(), context.base_url()?);
                let path = format!("{}{}", base_url.root, config.callback(&provider));
                if context.request.path() != path {
                    reasons.push("the callback belongs to another provider".to_owned());
                    continue;
                }
                let client = context.client(&provider).await?;
                if flow.client != context.registration(&provider) {
                    reasons.push("it began with another issuer or client".to_owned());
                    continue;
                }
                if !client.recognizes(&pending, callback) {
                    reasons.push("the state does not match".to_owned());
                    continue;
                }
                return Ok(Ok(MatchingFlow {
                    name,
                    flow,
                    pending,
                    provider,
                    client,
                }));
            }
        }
    }
    if reasons.is_empty() {
        reasons.push("there is no cookie".to_owned());
    }
    Ok(Err(reasons))
}

type OpenedFlows = Result<(LoginFlow, PendingAuthorization), String>;

/// The flows of this browser: the valid ones, and for the others the reason why they are not.
fn open_flows(context: &RequestContext) -> Result<Vec<(String, OpenedFlows)>, Error> {
    let jar = context.jar()?;
    let prefix = jar.name_of("flow-");
    let flow_cookies = context.cookies.iter();
    let flow_cookies = flow_cookies
        .filter(|(name, _)| name.starts_with(&prefix))
        .take(MAX_FLOWS_READ);
    let opened = flow_cookies.map(|(name, value)| (name.clone(), open_flow(context, name, value)));
    Ok(opened.collect())
}

fn open_flow(context: &RequestContext, name: &str, value: &str) -> OpenedFlows {
    let jar = context.jar().map_err(|error| error.to_string())?;
    let plain = jar.open_value(Purpose::LoginFlow, name, value)?;
    let flow: LoginFlow =
        serde_json::from_slice(plain.expose()).map_err(|_| "it cannot be parsed".to_owned())?;
    if context.io.now().since(flow.started_at) >= context.config().flow_lifetime {
        return Err("it has expired".to_owned());
    }
    let pending =
        PendingAuthorization::from_json(&flow.pending).map_err(|error| error.to_string())?;
    Ok((flow, pending))
}

/// Clears the cookies of flows beyond the limit when another begins: invalid ones first, then the oldest.
fn clear_surplus(context: &RequestContext) -> Result<Vec<String>, Error> {
    let jar = context.jar()?;
    let mut flows: Vec<_> = open_flows(context)?
        .into_iter()
        .map(|(name, opened)| (opened.ok().map(|(flow, _)| flow.started_at), name))
        .collect();
    flows.sort();
    let surplus = (flows.len() + 1).saturating_sub(context.config().flows);
    let surplus = flows.iter().take(surplus);
    Ok(surplus
        .map(|(_, name)| jar.clear_cookie(name, same_site_to_clear(context)))
        .collect())
}

/// Clears the cookie of a flow.
pub(crate) fn clear_flow_cookie(context: &RequestContext, name: &str) -> Result<String, Error> {
    Ok(context
        .jar()?
        .clear_cookie(name, same_site_to_clear(context)))
}

fn cookie_name(context: &RequestContext, state: &str) -> Result<String, Error> {
    let hash = oauth_seal::digest("oauth-web flow 1", [state]);
    let hash = hash.get(..8).unwrap_or(&hash);
    Ok(context.jar()?.name_of(&format!("flow-{hash}")))
}

const fn same_site(provider: &Provider) -> CookieSameSite {
    if provider.response_mode.is_posted() {
        CookieSameSite::None
    } else {
        CookieSameSite::Lax
    }
}

/// The `SameSite` to clear a flow cookie with: in the response to a cross-site form, a browser accepts `None` only.
fn same_site_to_clear(context: &RequestContext) -> CookieSameSite {
    let mut providers = context.config().providers.iter();
    let posts = providers.any(|provider| provider.response_mode.is_posted());
    // A provider that is looked up may use either mode.
    let is_secure = context
        .base_url()
        .is_ok_and(|base_url| base_url.url.scheme() == "https");
    if posts || context.config().lookup == Lookup::Asked && is_secure {
        CookieSameSite::None
    } else {
        CookieSameSite::Lax
    }
}
