//! `GET {prefix}/check`: signs in a user who has a session at the provider, without any prompt.

use oauth_core::error::Error;

use crate::current_session::{self, CurrentSession};
use crate::hop;
use crate::login_flow::{self, Kind, LoginParameters, SILENT_RETRY_COOKIE};
use crate::reply::Reply;
use crate::request_context::RequestContext;

pub(crate) async fn check(context: &RequestContext) -> Result<Reply, Error> {
    let request = &context.request;
    if !request.is_navigation() {
        return Ok(RequestContext::empty_prefetch_reply());
    }
    let return_to = context.return_to(request.query("return_to").as_deref())?;
    if context.has_cookie(&context.jar()?.name_of(SILENT_RETRY_COOKIE)) {
        return Ok(RequestContext::see_other(&return_to, []));
    }
    if hop::is_needed(context)? {
        let id = request.query("provider");
        let provider = id.as_deref().map(|id| ("provider", id));
        let parameters: Vec<_> = provider
            .into_iter()
            .chain([("return_to", &*return_to)])
            .collect();
        return Ok(hop::hop_page(&context.page_path("check", &parameters)?));
    }
    let session = match current_session::session(context).await? {
        CurrentSession::Session(session) => Some(session),
        CurrentSession::Absent(_) => None,
    };
    let provider = match (request.query("provider"), &session) {
        // A user must not be signed in at another provider without noticing.
        (Some(id), Some(session)) if id != session.identity.provider => {
            return Ok(RequestContext::see_other(&return_to, []));
        }
        (_, Some(session)) => context.provider(&session.identity.provider).await?,
        (Some(id), None) => context.provider(&id).await?,
        (None, None) => context.first_provider().await?,
    };
    let login = LoginParameters {
        kind: Kind::Check,
        session: session.as_deref(),
        ..LoginParameters::login(&provider, return_to)
    };
    login_flow::begin(context, login).await
}
