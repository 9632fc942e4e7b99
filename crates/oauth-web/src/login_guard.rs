//! The guard of the application's own pages: passes a request on, or sends the user to sign in. Which site a request
//! came from is read in `Request::initiator` (`request.rs`); the site's own pages refuse requests of other sites in
//! `page/api.rs`, `page/session.rs` and `page/logout.rs`, by `require_same_origin` in `request_context.rs`.

use http::Method;
use oauth_core::error::{Error, ValidationFailure};

use crate::config::{Access, SessionStorage};
use crate::current_session::{self, CurrentSession};
use crate::hop;
use crate::login_flow::{self, Kind, LoginParameters, SILENT_RETRY_COOKIE};
use crate::login_loop::RecentLogins;
use crate::reply::{Reader, Reply};
use crate::request_context::RequestContext;
use crate::session::{PageRequirements, Session};
use crate::visit::VisitEnd;

/// Decides about a request, in this order: a cross-site form is refused, unless it comes without a session to a public
/// page; a signed-in user is passed on; a request for a public page is passed on; a user who opens a page is sent to
/// sign in; any other request gets an error.
pub(crate) async fn guard(
    context: &RequestContext,
    access: Access,
    need: Option<PageRequirements>,
) -> Result<VisitEnd, Error> {
    if let Err(error) = context.require_same_origin() {
        // A cross-site form is legitimate on the return page of a payment or of another sign-in, and at an API for
        // scripts on other sites. Without a session it cannot be abused, so the request is passed on without one.
        let is_public_page = access != Access::SignedIn && need.is_none();
        return if is_public_page && !context.has_session()? {
            Ok(VisitEnd::Pass(None))
        } else {
            Err(error)
        };
    }
    let reason = match current_session::session(context).await? {
        CurrentSession::Session(session) => {
            let has_access_token_cookie = context.config().keep == SessionStorage::AccessToken;
            if has_access_token_cookie
                && session.is_stale(context.io.now())
                && let Some(reply) =
                    Box::pin(replace_expired_token(context, access, &session)).await?
            {
                return Ok(VisitEnd::Respond(reply));
            }
            return match need.filter(|need| !session.suffices(need, context.io.now())) {
                None => Ok(VisitEnd::Pass(Some((*session).into()))),
                Some(need) => Box::pin(step_up(context, &session, need)).await,
            };
        }
        CurrentSession::Absent(reason) => reason,
    };
    // Boxed, like the others, because most requests have a session: their visits stay small.
    Box::pin(without_session(context, access, need, &reason)).await
}

/// Decides about a request without a session; `reason` says why it has none.
async fn without_session(
    context: &RequestContext,
    access: Access,
    need: Option<PageRequirements>,
    reason: &str,
) -> Result<VisitEnd, Error> {
    if hop::is_needed(context)? {
        return hop::to_application(context).map(VisitEnd::Respond);
    }
    match access {
        Access::Silent if may_check_silently(context)? => {
            let provider = context.first_provider().await?;
            if context.client_at_once(&provider).await?.is_none() {
                // The page does not wait: the silent check is made once the provider is reachable.
                return Ok(VisitEnd::Pass(None));
            }
            let login = LoginParameters {
                kind: Kind::Check,
                ..LoginParameters::login(&provider, context.this_page()?)
            };
            return Ok(VisitEnd::Respond(login_flow::begin(context, login).await?));
        }
        Access::Open | Access::Silent => return Ok(VisitEnd::Pass(None)),
        Access::SignedIn => {}
    }
    let reply = sign_in(context, need, reason).await?;
    Ok(VisitEnd::Respond(reply))
}

/// The response to a request without a session that needs one, for this reason: a page is sent to sign in, and a script
/// gets an error.
async fn sign_in(
    context: &RequestContext,
    need: Option<PageRequirements>,
    reason: &str,
) -> Result<Reply, Error> {
    if context.has_cookie(context.jar()?.name()) {
        context
            .io
            .log_entry("web.signed_out", format!("the session: {reason}"));
    }
    let ended = context.end_session()?;
    if !context.request.is_navigation() {
        return Ok(signed_out(context)?.with_cookies(ended));
    }
    let recent_logins = RecentLogins::from_cookie(context)?.record_rejected_session(reason)?;
    let recent_logins_cookie = recent_logins
        .map(|recent_logins| recent_logins.cookie(context))
        .transpose()?;
    // If there are several providers, the login page shows the choice.
    let reply = match context.default_provider(need.as_ref()).await? {
        Some(provider) => {
            let login = LoginParameters {
                need,
                ..LoginParameters::login(&provider, context.this_page()?)
            };
            login_flow::begin(context, login).await?
        }
        None => RequestContext::see_other(
            &context.page_path("login", &[("return_to", &context.this_page()?)])?,
            [],
        ),
    };
    Ok(reply.with_cookies(ended).with_cookies(recent_logins_cookie))
}

/// The response to a script that needs a session: 401, because a script could not follow a redirect.
fn signed_out(context: &RequestContext) -> Result<Reply, Error> {
    let login = context.page_path("login", &[])?;
    let error = ValidationFailure::WebSignedOut.into();
    Ok(Reply::problem(&error, Reader::Script, Some(login)))
}

/// Handles an expired access token in the cookie: a page redirects to the provider and back without a prompt, and a
/// script gets an error. `None` if the session is valid without the token: the user is still the same.
async fn replace_expired_token(
    context: &RequestContext,
    access: Access,
    session: &Session,
) -> Result<Option<Reply>, Error> {
    let request = &context.request;
    match (access, request.is_navigation()) {
        (Access::Open, _) | (Access::Silent, false) => return Ok(None),
        (Access::SignedIn, false) => return signed_out(context).map(Some),
        (Access::Silent | Access::SignedIn, true) => {}
    }
    // A redirect would lose a submitted form.
    if request.method != Method::GET {
        return Ok(None);
    }
    let provider = context.provider(&session.identity.provider).await?;
    if access == Access::Silent && context.client_at_once(&provider).await?.is_none() {
        return Ok(None);
    }
    let login = LoginParameters::login(&provider, context.this_page()?);
    let is_checked = context.has_cookie(&context.jar()?.name_of(SILENT_RETRY_COOKIE));
    let kind = match access {
        _ if !is_checked => Kind::Check,
        // A silent check has found no session at the provider.
        Access::SignedIn => Kind::Login,
        _ => return Ok(None),
    };
    let recent_logins = RecentLogins::from_cookie(context)?
        .record_rejected_session("its access token has expired")?;
    let recent_logins_cookie = recent_logins
        .map(|recent_logins| recent_logins.cookie(context))
        .transpose()?;
    let login = LoginParameters {
        kind,
        session: Some(session).filter(|_| kind == Kind::Check),
        ..login
    };
    let reply = login_flow::begin(context, login).await?;
    Ok(Some(reply.with_cookies(recent_logins_cookie)))
}

/// Sends the user of a page to a login that meets its requirements; a script gets an error with the URL of that login.
async fn step_up(
    context: &RequestContext,
    session: &Session,
    need: PageRequirements,
) -> Result<VisitEnd, Error> {
    // A session of another tenant is not accepted: the user signs in with a provider of the required tenant.
    let tenant_matches = need.tenant.is_none() || need.tenant == session.tenant;
    let provider = if tenant_matches {
        Some(context.provider(&session.identity.provider).await?)
    } else {
        context.default_provider(Some(&need)).await?
    };
    if let (true, Some(provider)) = (context.request.is_navigation(), &provider) {
        let login = LoginParameters {
            need: Some(need),
            session: Some(session).filter(|_| tenant_matches),
            ..LoginParameters::login(provider, context.this_page()?)
        };
        return Ok(VisitEnd::Respond(login_flow::begin(context, login).await?));
    }
    let acr = need.acr.join(" ");
    let max_age = need.max_age.map(|age| age.to_string());
    let login_parameters = [
        ("provider", provider.map(|provider| provider.id)),
        ("acr_values", Some(acr).filter(|acr| !acr.is_empty())),
        ("max_age", max_age),
    ];
    let parameters = login_parameters.iter();
    let parameters: Vec<_> = parameters
        .filter_map(|(name, text)| Some((*name, text.as_deref()?)))
        .collect();
    let login = context.page_path("login", &parameters)?;
    let error = ValidationFailure::WebStepUp.into();
    let reply = Reply::problem(&error, context.reader(), Some(login));
    Ok(VisitEnd::Respond(reply))
}

/// Whether a silent check may be made: only if the browser sends `Sec-Fetch-Mode`, because a client without cookies
/// would be redirected each time.
fn may_check_silently(context: &RequestContext) -> Result<bool, Error> {
    let request = &context.request;
    Ok(request.is_navigation()
        && request.method == Method::GET
        && request.header("sec-fetch-mode").is_some()
        && !context.has_cookie(&context.jar()?.name_of(SILENT_RETRY_COOKIE)))
}
