//! Logout: ends the session here, revokes its tokens, and continues at the provider (OpenID Connect RP-Initiated
//! Logout). Logout that the provider announces is in `provider_logout.rs`; protection against forged requests (CSRF)
//! is in `request_context.rs`.

use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{Method, StatusCode};
use oauth_core::error::Error;
use oauth_core::flow::logout::{LogoutForm, LogoutRequest, MAX_URL, check_return};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::EndpointKind;
use oauth_core::{Client, Secret};
use serde::{Deserialize, Serialize};

use crate::config::SessionStorage;
use crate::cookie::{CookieSameSite, Purpose};
use crate::current_session::{self, CurrentSession};
use crate::html;
use crate::reply::Reply;
use crate::request::Initiator;
use crate::request_context::RequestContext;
use crate::session::{Identity, Session};
use crate::session_store;

/// The cookie of a logout that continues at the provider.
const LOGOUT_COOKIE: &str = "out";

/// The time limit of the logout at the provider, in seconds.
const LOGOUT_STATE_SECONDS: u64 = 10 * 60;

/// The state of a logout until the user returns from the provider.
#[derive(Serialize, Deserialize)]
struct LogoutState {
    state: String,
    return_to: String,
}

pub(crate) async fn logout(context: &RequestContext) -> Result<Reply, Error> {
    let mut signed_out = None;
    let mut reply = log_out(context, &mut signed_out).await?;
    reply.signed_out = signed_out.map(Box::new);
    Ok(reply)
}

async fn log_out(
    context: &RequestContext,
    signed_out: &mut Option<Identity>,
) -> Result<Reply, Error> {
    let request = &context.request;
    context.require_same_origin()?;
    if request.is_prefetch() {
        return Ok(RequestContext::empty_prefetch_reply());
    }
    let return_to = context.return_to(request.parameter("return_to").as_deref())?;
    let is_clicked = request.initiator(&context.base_url()?.origin) == Initiator::SameOrigin
        && request.is_navigation();
    if request.method == Method::GET && !is_clicked {
        // A link from another site must not sign a user out, nor an image embedded in a page of this site.
        return confirmation(context, &return_to);
    }
    // Regardless of what happens in the store or at the provider, this browser no longer has a session.
    let ended = context.end_session()?;
    let session = session_to_end(context).await?;
    let mut id_token = None;
    let provider = match &session {
        Some(session) => {
            *signed_out = Some(session.identity.clone());
            id_token = session_store::end_session(context, session).await;
            context.provider(&session.identity.provider).await.map(Some)
        }
        None => context.default_provider(None).await,
    };
    let provider = match provider {
        Err(error) if super::is_host_misuse(&error) => return Err(error),
        Err(error) => {
            context.io.note_error(&error);
            None
        }
        Ok(provider) => provider,
    };
    let client = match &provider {
        Some(provider) => context.client(provider).await,
        None => return Ok(RequestContext::see_other(&return_to, ended)),
    };
    let logout = client.and_then(|client| provider_logout(context, &client, id_token, &return_to));
    let (destination, cookie) = match logout {
        Ok(Some(logout)) => logout,
        Ok(None) => return Ok(RequestContext::see_other(&return_to, ended)),
        Err(error) if super::is_host_misuse(&error) => return Err(error),
        Err(error) => {
            context.io.note_error(&error);
            return Ok(RequestContext::see_other(&return_to, ended));
        }
    };
    Ok(destination.reply(ended).with_cookies([cookie]))
}

/// The page that asks the user to confirm the logout.
fn confirmation(context: &RequestContext, return_to: &str) -> Result<Reply, Error> {
    let page = context.page_path("logout", &[("return_to", return_to)])?;
    let button = html::button(&page, "Sign out");
    let mut confirmation = Reply::page(StatusCode::OK, "Sign out?", &button);
    // Without a referrer the form would have `Origin: null` (Fetch standard section 3.2), and frameworks that check
    // origins themselves, such as SvelteKit, would refuse it before the site sees it.
    confirmation.set_header(REFERRER_POLICY, "same-origin");
    Ok(confirmation)
}

/// The session to end, if there is one. Errors of the store are logged: the browser is logged out all the same.
async fn session_to_end(context: &RequestContext) -> Result<Option<Box<Session>>, Error> {
    match current_session::session(context).await {
        Ok(CurrentSession::Session(session)) => Ok(Some(session)),
        Ok(CurrentSession::Absent(_)) => {
            if context.config().keep == SessionStorage::Store
                && let Err(error) = session_store::forget_leftover_grant(context).await
            {
                context.io.note_error(&error);
            }
            Ok(None)
        }
        Err(error) if super::is_host_misuse(&error) => Err(error),
        Err(error) => {
            context.io.note_error(&error);
            Ok(None)
        }
    }
}

/// How the browser is sent to the provider.
enum ProviderRedirect {
    Url(String),
    /// With an ID token that is too long for a URL.
    Form(LogoutForm),
}

impl ProviderRedirect {
    fn reply(&self, cookies: impl IntoIterator<Item = String>) -> Reply {
        match self {
            Self::Url(url) => RequestContext::see_other(url, cookies),
            Self::Form(form) => {
                let mut reply = Reply::page(StatusCode::OK, "", "").with_cookies(cookies);
                reply.set_header(CONTENT_SECURITY_POLICY, form.content_security_policy());
                reply.body = form.html();
                reply
            }
        }
    }
}

/// The logout request to the provider, and the cookie for the return; `None` if the provider has no
/// `end_session_endpoint`.
fn provider_logout(
    context: &RequestContext,
    client: &Client,
    id_token: Option<Secret<String>>,
    return_to: &str,
) -> Result<Option<(ProviderRedirect, String)>, Error> {
    let server = client.server();
    if server.endpoint(EndpointKind::EndSession).is_err() {
        return Ok(None);
    }
    let at = context.io.moment();
    let base_url = context.base_url()?;
    let return_uri = format!(
        "{}{}",
        base_url.origin,
        base_url.page(context.config(), "logout/done")
    );
    let mut request = LogoutRequest::returning_to(RedirectUri::parse(&return_uri)?, &at)?;
    request.id_token_hint = id_token;
    let url = client.end_session_url(&request)?;
    let destination = if url.as_str().len() > MAX_URL {
        ProviderRedirect::Form(client.end_session_form(&request)?)
    } else {
        ProviderRedirect::Url(url.as_str().to_owned())
    };
    let state = request.state.as_ref();
    let logout_state = LogoutState {
        state: state
            .map(|state| state.expose().clone())
            .unwrap_or_default(),
        return_to: return_to.to_owned(),
    };
    let jar = context.jar()?;
    let name = jar.name_of(LOGOUT_COOKIE);
    let plain = serde_json::to_vec(&logout_state).unwrap_or_default();
    let value = jar.seal(&at, Purpose::Logout, &name, &plain)?;
    let cookie = jar.set_cookie(&name, &value, LOGOUT_STATE_SECONDS, CookieSameSite::Lax);
    Ok(Some((destination, cookie)))
}

/// `GET {prefix}/logout/done`: the return from the provider. A request without the state may come from anywhere,
/// and gets a page.
pub(crate) fn return_from_provider(context: &RequestContext) -> Result<Reply, Error> {
    let jar = context.jar()?;
    let name = jar.name_of(LOGOUT_COOKIE);
    let logout_state = jar.read::<LogoutState>(&context.cookies, Purpose::Logout, &name);
    if let Ok(logout_state) = logout_state {
        match check_return(&context.request.target, &Secret::new(logout_state.state)) {
            Ok(()) => {
                return Ok(RequestContext::see_other(
                    &logout_state.return_to,
                    [jar.clear_cookie(&name, CookieSameSite::Lax)],
                ));
            }
            Err(error) => context.io.note_error(&error),
        }
    }
    let home = html::escape(&context.home_path()?);
    let link = format!("<p><a href=\"{home}\">Go on</a>");
    Ok(Reply::page(StatusCode::OK, "You are signed out", &link))
}
