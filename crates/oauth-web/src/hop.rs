//! The hop under `SameSite=Strict`. Browsers withhold the session cookie on navigations started by another site,
//! including their redirects. An intermediate page that navigates on its own starts a same-site navigation, so the
//! cookie is sent.

use http::header::CONTENT_SECURITY_POLICY;
use http::{Method, StatusCode};
use oauth_core::error::Error;

use crate::config::SameSite;
use crate::html;
use crate::login_stage::LoginStage;
use crate::reply::Reply;
use crate::request::Initiator;
use crate::request_context::RequestContext;

/// The page that navigates to this path.
pub(crate) fn hop_page(path: &str) -> Reply {
    let mut reply = Reply::page(StatusCode::OK, "One moment", &html::refresh_page(path));
    reply.set_header(CONTENT_SECURITY_POLICY, html::HOP_POLICY);
    reply
}

/// Requests a page of the application again, by way of one of the site's own pages: the pages of some frameworks can
/// only respond with a redirect.
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

/// Whether a page has to be requested again before it is known whether there is a session.
pub(crate) fn is_needed(context: &RequestContext) -> Result<bool, Error> {
    Ok(context.request.method == Method::GET && is_cookie_missing(context)?)
}

/// Whether the session's cookie may be missing only because another site led here.
pub(crate) fn is_cookie_missing(context: &RequestContext) -> Result<bool, Error> {
    let request = &context.request;
    Ok(is_useful(context)
        && request.header("sec-fetch-site").is_some()
        && request.initiator(&context.base_url()?.origin) == Initiator::CrossOrigin
        && !context.has_session()?)
}

/// Redirects after a request that another site may have started, by the hop where the session's cookie would otherwise
/// be missing. Without the hop, a user whose browser does not send `Sec-Fetch-Site` would have to sign in twice.
pub(crate) fn redirect_or_hop(context: &RequestContext, target: &str) -> Reply {
    let origin = context.base_url().map(|base| base.origin.as_str());
    let own_path = origin.ok().and_then(|origin| target.strip_prefix(origin));
    if is_useful(context) && own_path.unwrap_or(target).starts_with('/') {
        hop_page(target)
    } else {
        Reply::see_other(target)
    }
}

fn is_useful(context: &RequestContext) -> bool {
    context.config().session_same_site() == SameSite::Strict && context.request.is_navigation()
}
