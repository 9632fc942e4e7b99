//! The hop under `SameSite=Strict`. A browser keeps the session's cookie back where another site led to a page, also in
//! every redirect that follows. A page of the site that navigates by itself begins a navigation of the site's own, which
//! has the cookie.

use http::header::CONTENT_SECURITY_POLICY;
use http::{Method, StatusCode};
use oauth_core::error::Error;

use crate::config::SameSite;
use crate::html;
use crate::login_stage::LoginStage;
use crate::reply::Reply;
use crate::request::Origin;
use crate::request_context::RequestContext;

/// The page that navigates to this path.
pub(crate) fn to(path: &str) -> Reply {
    let mut reply = Reply::page(StatusCode::OK, "One moment", &html::hop(path));
    reply.set_header(CONTENT_SECURITY_POLICY, html::HOP_POLICY);
    reply
}

/// Leads to a page of the application once more. The page between is one of the site's own, as some frameworks' pages can
/// respond with a redirect alone.
pub(crate) fn to_application(context: &RequestContext) -> Result<Reply, Error> {
    // Never the target as it was received: `//elsewhere` would be read as another host.
    let page = context.this_page()?;
    let login = context.page_path(
        "login",
        &[
            ("stage", LoginStage::ToApplication.name()),
            ("return_to", &page),
        ],
    )?;
    Ok(Reply::see_other(&login))
}

/// Whether a page has to be requested once more before it is known who is there.
pub(crate) fn is_needed(context: &RequestContext) -> Result<bool, Error> {
    Ok(context.request.method == Method::GET && is_cookie_missing(context)?)
}

/// Whether the session's cookie may be missing only because another site led here.
pub(crate) fn is_cookie_missing(context: &RequestContext) -> Result<bool, Error> {
    let request = &context.request;
    Ok(is_useful(context)
        && request.header("sec-fetch-site").is_some()
        && request.origin(&context.base_url()?.origin) == Origin::Foreign
        && !context.has_session()?)
}

/// Leads on from a request that another site may have caused: after a redirect the session's cookie would be missing.
/// Without the hop, a browser that does not send `Sec-Fetch-Site` would have to sign in twice.
pub(crate) fn go(context: &RequestContext, target: &str) -> Reply {
    let origin = context.base_url().map(|base| base.origin.as_str());
    let path = origin.ok().and_then(|origin| target.strip_prefix(origin));
    match is_useful(context) && path.unwrap_or(target).starts_with('/') {
        true => to(target),
        false => Reply::see_other(target),
    }
}

fn is_useful(context: &RequestContext) -> bool {
    context.config().session_same_site() == SameSite::Strict && context.request.is_navigation()
}
