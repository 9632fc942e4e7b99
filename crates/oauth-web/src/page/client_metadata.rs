//! The client ID metadata document of the site, at the URL that is its client id
//! (draft-ietf-oauth-client-id-metadata-document). Authorization servers fetch it, without a session.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, StatusCode};
use oauth_core::error::{Error, Misuse};

use super::method_not_allowed;
use crate::reply::Reply;
use crate::request_context::RequestContext;
use crate::routes::Route;
use crate::site_state::SiteState;

/// How long servers may cache the document: a mistake in it is corrected after five minutes.
const CACHING: &str = "public, max-age=300";

/// Checks the client ID metadata document that the site serves, if it serves one.
///
/// # Errors
/// `web.setup` for a document that the site cannot serve, or that lacks the callback of a provider that knows the site
/// by it.
pub(crate) fn check(site: &SiteState) -> Result<(), Error> {
    let Some(document) = &site.config.client_metadata else {
        return Ok(());
    };
    let mut base_urls = site.base_urls.iter();
    let document_base =
        base_urls.find_map(|base_url| Some((base_url, base_url.client_metadata.as_ref()?)));
    let Some((base_url, url)) = document_base else {
        return Err(setup("its client_id is below no base URL"));
    };
    let below = url.path().strip_prefix(base_url.root.as_str());
    let is_below = below.is_some_and(|path| path.starts_with('/'));
    let is_free = matches!(
        site.page_at(base_url, url.path()),
        Route::Unknown | Route::Application
    );
    if !is_below || !is_free || url.query().is_some() {
        return Err(setup("its client_id is no free path of the site"));
    }
    for provider in &site.config.providers {
        let id = match (&provider.client, &provider.registered) {
            (Some(client), _) => client.client_id().as_str(),
            (None, Some((_, id))) => id,
            (None, None) => continue,
        };
        let callback = base_url.redirect_uri(&site.config, provider)?;
        let mut redirect_uris = document.metadata().redirect_uris.iter();
        if id == document.url().as_str()
            && redirect_uris.all(|uri| uri.as_str() != callback.as_str())
        {
            let reason = format!("its redirect_uris lack {}", callback.as_str());
            return Err(setup(&reason));
        }
    }
    Ok(())
}

/// `GET` of the document: 200, JSON, no redirect, for every request.
pub(crate) fn document(context: &RequestContext) -> Reply {
    let is_head = context.request.method == Method::HEAD;
    if context.request.method != Method::GET && !is_head {
        return method_not_allowed(context, &[Method::GET, Method::HEAD]);
    }
    let document = context.config().client_metadata.as_ref();
    let mut reply = Reply::empty(StatusCode::OK);
    reply.set_header(CONTENT_TYPE, "application/json");
    reply.set_header(CACHE_CONTROL, CACHING);
    if let (Some(document), false) = (document, is_head) {
        reply.body = document.to_json();
    }
    reply
}

fn setup(reason: &str) -> Error {
    Error::from(Misuse::WebSetup).about(&format!("client_metadata: {reason}"))
}
