//! `GET {prefix}/check`: signs in a person who has a session at the provider, without any prompt.

use oauth_core::error::Error;

use crate::current_session::{self, Found};
use crate::login_flow::{self, Kind, LoginParameters};
use crate::reply::Reply;
use crate::request_context::RequestContext;

pub(crate) async fn check(context: &RequestContext) -> Result<Reply, Error> {
    let request = &context.request;
    if !request.is_navigation() {
        return Ok(RequestContext::empty_prefetch_reply());
    }
    let return_to = context.return_to(request.query("return_to").as_deref())?;
    if context.has_cookie(&context.jar()?.name_of("quiet")) {
        return Ok(RequestContext::go(&return_to, []));
    }
    let provider = match (
        request.query("provider"),
        current_session::session(context).await?,
    ) {
        (Some(id), _) => context.provider(&id).await?,
        (None, Found::Session(session)) => context.provider(&session.identity.provider).await?,
        (None, Found::Nobody(_)) => context.first_provider().await?,
    };
    let login = LoginParameters {
        kind: Kind::Check,
        ..LoginParameters::login(&provider, return_to)
    };
    login_flow::begin(context, login).await
}
