//! `{prefix}/api/{name}/{rest}`: a page calls an API with the user's token, which it cannot read (RFC 10017 section
//! 6.1). Calls are checked against CSRF by the protection header, `Sec-Fetch-Site` and `Origin`; the rule for the other
//! pages is `require_same_origin` in `request_context.rs`.

use oauth_core::error::{Error, ValidationFailure};
use oauth_core::url::Url;

use crate::config::{SessionStorage, Upstream};
use crate::current_session::{self, CurrentSession};
use crate::forward::{self, Forward};
use crate::login_loop::RecentLogins;
use crate::reply::{Reader, Reply};
use crate::request::Initiator;
use crate::request_context::RequestContext;
use crate::routes::Route;
use crate::session::Session;
use crate::visit::VisitEnd;

pub(crate) async fn api(context: &RequestContext, name: &str) -> Result<VisitEnd, Error> {
    let request = &context.request;
    // Checked for every method, because a GET may have side effects.
    let is_same_origin = request.has_protection_header()
        && request.initiator(&context.base_url()?.origin) != Initiator::CrossOrigin;
    if !is_same_origin {
        return Err(ValidationFailure::WebCrossSite.into());
    }
    let mut upstreams = context.config().api.iter();
    let upstream = upstreams.find(|upstream| upstream.name == name);
    let upstream = upstream.ok_or(ValidationFailure::WebNotFound)?;
    if !upstream.methods.contains(&request.method) {
        return Err(ValidationFailure::WebMethod.into());
    }
    let prefix = context.page_path(&format!("api/{name}"), &[])?;
    let path = request.target.strip_prefix(&prefix).unwrap_or_default();
    let url = url(upstream, path)?;
    let session = match current_session::session(context).await? {
        CurrentSession::Session(session) => session,
        CurrentSession::Absent(_) => return signed_out(context),
    };
    if context.config().keep == SessionStorage::AccessToken && session.is_stale(context.io.now()) {
        // Only the token has expired: the session stays.
        return Ok(VisitEnd::Respond(signed_out_problem(context)?));
    }
    let provider = context.provider(&session.identity.provider).await?;
    Ok(VisitEnd::Forward(Box::new(Forward {
        method: request.method.clone(),
        url,
        headers: forward::forwarded_request_fields(&request.headers),
        resource: upstream.url.clone(),
        client: context.client(&provider).await?,
        session: (*session).into(),
    })))
}

/// Ends the session because the application asks for it.
pub(crate) async fn end_for_application(context: &RequestContext, session: &Session) -> VisitEnd {
    crate::session_store::end_session(context, session).await;
    VisitEnd::Pass(None)
}

/// Ends a session whose grant has ended (RFC 10017 section 6.1.2.2).
pub(crate) async fn grant_ended(context: &RequestContext) -> Result<VisitEnd, Error> {
    if let CurrentSession::Session(session) = current_session::session(context).await? {
        crate::session_store::end_session(context, &session).await;
    }
    let page = context.site.route(context.base_url()?, &context.request);
    if page != Route::Application || !context.request.is_navigation() {
        return signed_out(context);
    }
    // The user returns to the page after signing in. The login loop check stops this if the API refuses the new tokens
    // too.
    let recent_logins =
        RecentLogins::from_cookie(context)?.record_rejected_session("its tokens are over")?;
    let recent_logins_cookie = recent_logins
        .map(|recent_logins| recent_logins.cookie(context))
        .transpose()?;
    let login = context.page_path("login", &[("return_to", &context.this_page()?)])?;
    let reply = RequestContext::see_other(&login, context.end_session()?);
    Ok(VisitEnd::Respond(reply.with_cookies(recent_logins_cookie)))
}

fn signed_out(context: &RequestContext) -> Result<VisitEnd, Error> {
    Ok(VisitEnd::Respond(
        signed_out_problem(context)?.with_cookies(context.end_session()?),
    ))
}

/// The response if no user is signed in, or the session has ended.
fn signed_out_problem(context: &RequestContext) -> Result<Reply, Error> {
    let error = ValidationFailure::WebSignedOut.into();
    let login = context.page_path("login", &[])?;
    Ok(Reply::problem(&error, Reader::Script, Some(login)))
}

/// The URL of a request: below the URL of the API, and unambiguous for every server.
fn url(upstream: &Upstream, rest: &str) -> Result<Url, Error> {
    let refused = || Error::from(ValidationFailure::WebPath);
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let lower = path.to_ascii_lowercase();
    let is_ambiguous = [
        "//", "\\", "@", ";", "%2f", "%5c", "%2e", "%25", "%00", "%3b",
    ]
    .iter()
    .any(|part| lower.contains(part))
        || path
            .split('/')
            .any(|segment| segment == "." || segment == "..")
        || !rest.bytes().all(|byte| byte.is_ascii_graphic());
    if is_ambiguous || !path.is_empty() && !path.starts_with('/') {
        return Err(refused());
    }
    let base = upstream.url.as_str().trim_end_matches('/');
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let url = Url::parse(&format!("{base}{path}{query}")).map_err(|_| refused())?;
    let is_below_base = url.same_origin(&upstream.url)
        && url
            .path()
            .starts_with(upstream.url.path().trim_end_matches('/'));
    is_below_base.then_some(url).ok_or_else(refused)
}
