//! The redirect URI: checks the authorization response, redeems the code, verifies the ID token and begins the session.
//! The rules are those of `flow/authorization/pending.rs` and `flow/redeem.rs` in oauth-core; which login a callback
//! belongs to is found in `login_flow.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::Method;
use oauth_core::error::{Error, ProtocolViolation, ValidationFailure};
use oauth_core::flow::redeem::Login;
use oauth_core::token::TokenType;
use oauth_core::token::id_token::IdToken;
use oauth_core::{Client, Secret, Tokens};
use serde_json::{Map, Value};

use crate::config::{SessionStorage, setup};
use crate::cookie::{CookieSameSite, Jar};
use crate::current_session::{self, CookieSession, CurrentSession};
use crate::hop;
use crate::identity_endpoint::IdentityRequest;
use crate::login_flow::{self, Kind, LoginFlow, MatchingFlow, SILENT_RETRY_COOKIE};
use crate::login_loop::RecentLogins;
use crate::login_stage::LoginStage;
use crate::provider::Provider;
use crate::reply::Reply;
use crate::request_context::RequestContext;
use crate::session::{Identity, Session};
use crate::session_store;
use crate::visit::{Admission, ExchangeOutput, wrong_output};

/// For how many seconds a silent check is not repeated after it found no session at the provider.
const SILENT_RETRY_SECONDS: u64 = 5 * 60;

pub(crate) async fn callback(context: &RequestContext) -> Result<Reply, Error> {
    let response = authorization_response(context)?;
    // Only the client can check whether a flow belongs to this callback.
    if let Some(provider) = context.provider_of_callback()? {
        context.client(provider).await?;
    }
    let MatchingFlow {
        name,
        flow,
        pending,
        provider,
        client,
    } = match login_flow::find(context, &response).await? {
        Ok(flow) => flow,
        Err(reasons) => return answer_unknown_callback(context, &reasons).await,
    };
    // The flow is consumed, regardless of the result.
    let clear_flow = login_flow::clear_flow_cookie(context, &name)?;
    let login = match client.redeem(pending, &response) {
        Ok(redeemed) => {
            let output = context
                .io
                .run(redeemed, |login| ExchangeOutput::Login(Box::new(login)));
            match output.await {
                Ok(ExchangeOutput::Login(login)) => Ok(*login),
                Ok(_) => return Err(wrong_output()),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    let reply = match login {
        Ok(login) => complete_login(context, (&provider, &client), &flow, login).await,
        Err(error) => Err(error.into()),
    };
    match reply {
        Ok(reply) => Ok(reply.with_cookies([clear_flow])),
        Err(refusal) if super::is_host_misuse(&refusal.error) => Err(refusal.error),
        Err(refusal) => refuse(context, &client, &flow, clear_flow, refusal).await,
    }
}

/// The response to a callback whose sign-in is refused. Its tokens are revoked.
async fn refuse(
    context: &RequestContext,
    client: &Client,
    flow: &LoginFlow,
    clear_flow: String,
    refusal: Refusal,
) -> Result<Reply, Error> {
    let error = refusal.error;
    let reply = match flow.kind {
        // A silent check: the user did not start it, so no error is shown.
        Kind::Check => {
            context.io.note_error(&error);
            let jar = context.jar()?;
            let silent_retry_cookie = jar.set_cookie(
                &jar.name_of(SILENT_RETRY_COOKIE),
                "1",
                SILENT_RETRY_SECONDS,
                CookieSameSite::Lax,
            );
            hop::redirect_or_hop(context, &flow.return_to).with_cookies([silent_retry_cookie])
        }
        Kind::Login => {
            let reply = super::error_page(context, &error, Some(&flow.return_to));
            match refusal.reason {
                Some(reason) => reply.with_detail(&reason, context.reader()),
                None => reply,
            }
        }
    };
    let mut reply = reply.with_cookies([clear_flow]);
    if super::is_user_changed(&error) {
        reply = end_existing_session(context, flow, reply).await?;
    }
    // Last, as at a logout: the request may fail.
    if let Some(tokens) = refusal.tokens {
        session_store::revoke_tokens(context, client, &tokens).await;
    }
    Ok(reply)
}

/// Why a sign-in is refused.
struct Refusal {
    error: Error,
    /// The reason that the application gave.
    reason: Option<String>,
    /// The tokens that were issued for it, which have to be revoked.
    tokens: Option<Box<Tokens>>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (reason, tokens) = (None, None);
        Self {
            error,
            reason,
            tokens,
        }
    }
}

impl From<ValidationFailure> for Refusal {
    fn from(failure: ValidationFailure) -> Self {
        Error::from(failure).into()
    }
}

impl Refusal {
    /// The refusal, with the tokens of a login if its user has no session left. Otherwise they are not revoked: a
    /// server that has one grant for each user and client would end the tokens of the remaining session, too (RFC 7009
    /// section 2.1).
    fn with_tokens_to_revoke(mut self, tokens: Tokens, remaining: RemainingSession) -> Self {
        if remaining == RemainingSession::NoneOrOtherUser || super::is_user_changed(&self.error) {
            self.tokens = Some(Box::new(tokens));
        }
        self
    }
}

/// The session that remains in this browser after a refused login.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RemainingSession {
    /// That of the user who has logged in, or of an unknown user.
    SameUser,
    /// None, or that of a different user.
    NoneOrOtherUser,
}

/// Whether the user of the login still has a session in this browser.
async fn remaining(context: &RequestContext, flow: &LoginFlow, login: &Login) -> RemainingSession {
    let Some(session) = existing_session(context, flow).await else {
        return RemainingSession::NoneOrOtherUser;
    };
    let subject = login.id_token.as_ref().map(IdToken::subject);
    if subject.is_none_or(|subject| subject == session.identity.subject) {
        RemainingSession::SameUser
    } else {
        RemainingSession::NoneOrOtherUser
    }
}

/// The existing session of this browser: that of its cookie or, if `SameSite` withholds the cookie, that of the flow.
async fn existing_session(context: &RequestContext, flow: &LoginFlow) -> Option<Box<Session>> {
    match current_session::session(context).await {
        Ok(CurrentSession::Session(session)) => return Some(session),
        Ok(CurrentSession::Absent(_)) => {}
        Err(error) => context.io.note_error(&error),
    }
    load_or_log(context, flow.session.as_ref()?.key.as_deref()?).await
}

/// Loads the session with this key. A store failure is only logged.
async fn load_or_log(context: &RequestContext, key: &str) -> Option<Box<Session>> {
    let session = session_store::load(context, key).await;
    let session = session.inspect_err(|error| context.io.note_error(error));
    session.ok().flatten().map(Box::new)
}

/// Ends this browser's session because a different user is now signed in at the provider, as a logout would (OpenID
/// Connect Session Management section 3.1).
async fn end_existing_session(
    context: &RequestContext,
    flow: &LoginFlow,
    mut reply: Reply,
) -> Result<Reply, Error> {
    let mut cookies = context.end_session()?;
    if cookies.is_empty() {
        let jar = context.jar()?;
        cookies = jar.clear_session(context.same_site());
    }
    if let Some(session) = existing_session(context, flow).await {
        session_store::end_session(context, &session).await;
        reply.signed_out = Some(Box::new(session.identity));
    }
    Ok(reply.with_cookies(cookies))
}

/// The authorization response: the whole URL, or the posted form.
fn authorization_response(context: &RequestContext) -> Result<String, Error> {
    if context.request.method == Method::POST {
        let form = context.request.form_text();
        let form = form.ok_or(ProtocolViolation::CallbackEncoding)?;
        return Ok(form.to_owned());
    }
    Ok(format!(
        "{}{}",
        context.base_url()?.origin,
        context.request.target
    ))
}

/// An admitted user.
struct Admitted {
    identity: Identity,
    local: Map<String, Value>,
    earlier_session: Option<Box<Session>>,
}

/// Handles a successful login: a session begins, or the user is refused.
async fn complete_login(
    context: &RequestContext,
    (provider, client): (&Provider, &Client),
    flow: &LoginFlow,
    login: Login,
) -> Result<Reply, Refusal> {
    match admit(context, (provider, client), flow, &login).await {
        Ok(Some(admitted)) => begin_session(context, (provider, client), flow, login, admitted)
            .await
            .map_err(Refusal::from),
        Ok(None) => Ok(hop::redirect_or_hop(context, &flow.return_to)),
        Err(refusal) => {
            let remaining = remaining(context, flow, &login).await;
            Err(refusal.with_tokens_to_revoke(login.tokens, remaining))
        }
    }
}

/// Checks who has logged in, and asks the application whether it admits them; `None` for a silent check that no longer
/// matters.
async fn admit(
    context: &RequestContext,
    (provider, client): (&Provider, &Client),
    flow: &LoginFlow,
    login: &Login,
) -> Result<Option<Admitted>, Refusal> {
    let identity = identity(context, (provider, client), login).await?;
    let earlier_session = existing_session(context, flow).await;
    let is_elsewhere = |session: &Session| session.identity.provider != provider.id;
    if flow.kind == Kind::Check && earlier_session.as_deref().is_some_and(is_elsewhere) {
        // The user has signed in with another provider in the meantime, which a check at this one does not concern.
        return Ok(None);
    }
    if is_different_user(flow, earlier_session.as_deref(), &identity) {
        return Err(ValidationFailure::WebAnotherPerson.into());
    }
    let (scope, now) = (login.tokens.scope.as_str(), context.io.now());
    let (need, tenant) = (flow.need.as_ref(), provider.tenant.as_deref());
    if need.is_some_and(|need| !need.is_met(&identity, tenant, scope, now)) {
        return Err(ValidationFailure::WebStepUpFailed.into());
    }
    let identity = super::userinfo::complete(context, (provider, client), login, identity).await?;
    match context.io.admit(identity.clone()).await? {
        Admission::Admitted(local) => Ok(Some(Admitted {
            identity,
            local,
            earlier_session,
        })),
        Admission::Refused(reason) => Err(Refusal {
            reason: Some(reason),
            ..ValidationFailure::WebNotAdmitted.into()
        }),
    }
}

/// Begins the session of an admitted user, in place of the existing one of this browser.
async fn begin_session(
    context: &RequestContext,
    (provider, client): (&Provider, &Client),
    flow: &LoginFlow,
    login: Login,
    admitted: Admitted,
) -> Result<Reply, Error> {
    let Admitted {
        identity,
        local,
        mut earlier_session,
    } = admitted;
    let scope = login.tokens.scope.as_str().to_owned();
    let now = context.io.now();
    let id_token = login.id_token.as_ref();
    let hint = id_token.map(|id_token| id_token.text().expose().clone());
    let new_user = identity.clone();
    let session = Session {
        identity: with_stored_claims(context, identity),
        local,
        started_at: now,
        until: now.after(context.config().lifetime),
        scope,
        key: None,
        seen_at: None,
        id_token: None,
        tenant: provider.tenant.clone(),
        client: context.registration(provider),
        tokens: None,
    };
    let return_to = &flow.return_to;
    let cookies = match context.config().keep {
        SessionStorage::Identity => seal_session(context, session, hint, return_to)?,
        SessionStorage::AccessToken => {
            let tokens = Some(Arc::new(tokens_for_cookie(login.tokens)?));
            seal_session(context, Session { tokens, ..session }, hint, return_to)?
        }
        SessionStorage::Store => {
            session_store::begin(
                context,
                (&provider.id, Some(client)),
                session,
                Some(login.tokens),
            )
            .await?
        }
    };
    // The earlier session may be another user's, or planted by an attacker.
    if let (None, Some(key)) = (&earlier_session, &flow.earlier) {
        earlier_session = load_or_log(context, key).await;
    }
    let mut signed_out = None;
    if let Some(earlier_session) = earlier_session {
        session_store::end_session(context, &earlier_session).await;
        if !earlier_session.identity.is_same_person(&new_user) {
            signed_out = Some(Box::new(earlier_session.identity));
        }
    }
    let recent_logins_cookie = RecentLogins::from_cookie(context)?
        .record_login(now)
        .cookie(context)?;
    let mut reply = hop::redirect_or_hop(context, &flow.return_to);
    reply.signed_out = signed_out;
    Ok(reply
        .with_cookies(cookies)
        .with_cookies([recent_logins_cookie]))
}

/// Whether a silent check or a step-up returned a different user than that of the session.
fn is_different_user(flow: &LoginFlow, session: Option<&Session>, identity: &Identity) -> bool {
    match (session, &flow.session) {
        (Some(session), flow_session) if flow_session.is_some() || flow.kind == Kind::Check => {
            !session.identity.is_same_person(identity)
        }
        (_, flow_session) => flow_session
            .as_ref()
            .is_some_and(|flow_session| !flow_session.belongs_to(identity)),
    }
}

/// The identity that the provider asserts: in a verified ID token, or by its identity endpoint.
async fn identity(
    context: &RequestContext,
    (provider, client): (&Provider, &Client),
    login: &Login,
) -> Result<Identity, Error> {
    let Some(endpoint) = &provider.identity else {
        let id_token = login.id_token.as_ref();
        let id_token = id_token.ok_or(ProtocolViolation::IdTokenMissing)?;
        return Ok(Identity::from_id_token(&provider.id, id_token));
    };
    let exchange = client.call(IdentityRequest {
        endpoint: endpoint.clone(),
        tokens: Arc::new(login.tokens.clone()),
        provider: provider.id.clone(),
        issuer: client.server().issuer().as_str().to_owned(),
    });
    let output = context.io.run(exchange, |identity| {
        ExchangeOutput::Identity(Box::new(identity))
    });
    match output.await? {
        ExchangeOutput::Identity(identity) => Ok(*identity),
        _ => Err(wrong_output()),
    }
}

/// The tokens that a cookie keeps: only the access token. Concurrent requests would each use a refresh token, and
/// no API needs the rest.
fn tokens_for_cookie(tokens: Tokens) -> Result<Tokens, Error> {
    if tokens.token_type != TokenType::Bearer {
        return Err(setup("keep: a key-bound token needs SessionStorage::Store"));
    }
    let mut tokens = tokens;
    (tokens.refresh_token, tokens.id_token) = (None, None);
    Ok(tokens)
}

/// The identity with only the claims that a session stores.
pub(crate) fn with_stored_claims(context: &RequestContext, identity: Identity) -> Identity {
    let stored_claims = &context.config().claims;
    let claims = identity.claims.into_iter();
    let claims: Map<_, _> = claims
        .filter(|(name, _)| stored_claims.contains(name))
        .collect();
    Identity { claims, ..identity }
}

/// Seals a session in cookies, with the ID token for the logout at the provider if there is room for it in a response
/// that leads to this URL.
pub(crate) fn seal_session(
    context: &RequestContext,
    session: Session,
    id_token: Option<String>,
    return_to: &str,
) -> Result<Vec<String>, Error> {
    let jar = context.jar()?;
    let keep = context.config().keep;
    let plaintext = |session: &Session| {
        let json = match keep {
            SessionStorage::AccessToken => {
                serde_json::to_vec(&CookieSession::from_session(session.clone()))
            }
            SessionStorage::Identity | SessionStorage::Store => serde_json::to_vec(session),
        };
        Secret::new(json.unwrap_or_default())
    };
    let without_id_token = plaintext(&session);
    let with_id_token = plaintext(&Session {
        id_token,
        ..session
    });
    let content = if Jar::is_small(with_id_token.expose().len(), return_to.len()) {
        with_id_token
    } else {
        without_id_token
    };
    if let Err(large) = Jar::check_small(content.expose())
        && !context
            .site
            .is_large_session_logged
            .swap(true, Ordering::Relaxed)
    {
        context.io.note_error(&large);
    }
    let seconds = context.config().lifetime.as_secs();
    let (at, same_site) = (context.io.moment(), context.same_site());
    jar.set_session(&at, &context.cookies, content.expose(), seconds, same_site)
}

/// Whether the response is an error, or claims to be one: it is unsigned, or there is no flow by which it could be
/// verified. Nothing in it is used.
async fn reports_error(context: &RequestContext) -> Result<bool, Error> {
    if context.request.parameter("error").is_some() {
        return Ok(true);
    }
    let Some(response) = context.request.parameter("response") else {
        return Ok(false);
    };
    let provider = context.known_at_callback().await?;
    let client = provider.and_then(|provider| context.known_client(&provider));
    Ok(client.is_some_and(|client| client.claims_error(&response)))
}

/// Handles a callback without a flow: the back button, a bookmark, a lost cookie, a forged link. The reason is only
/// logged.
async fn answer_unknown_callback(
    context: &RequestContext,
    reasons: &[String],
) -> Result<Reply, Error> {
    let error = Error::from(ValidationFailure::WebCallbackUnknown).about(&reasons.join("; "));
    if let CurrentSession::Session(_) = current_session::session(context).await? {
        context.io.note_error(&error);
        return Ok(RequestContext::see_other(&context.home_path()?, []));
    }
    let has_error = reports_error(context).await?;
    if has_error && hop::is_cookie_missing(context)? {
        context.io.note_error(&error);
        return Ok(hop::hop_page(&context.page_path(
            "login",
            &[("stage", LoginStage::CallbackError.name())],
        )?));
    }
    if has_error || context.request.method == Method::GET && !context.request.is_navigation() {
        return Ok(super::error_page(context, &error, None));
    }
    context.io.note_error(&error);
    // The login page looks for the session again.
    let restart = context.page_path("login", &[("stage", LoginStage::Restart.name())])?;
    Ok(hop::redirect_or_hop(context, &restart))
}
