//! `GET {prefix}/session`: the part of the session that a page's script may read; never a token. Requests of other sites are
//! refused (`Request::initiator`).

use http::StatusCode;
use oauth_core::error::{Error, ValidationFailure};
use serde_json::json;

use crate::current_session::{self, CurrentSession};
use crate::reply::Reply;
use crate::request::Initiator;
use crate::request_context::RequestContext;

pub(crate) async fn session(context: &RequestContext) -> Result<Reply, Error> {
    if context.request.initiator(&context.base_url()?.origin) == Initiator::CrossOrigin {
        return Err(ValidationFailure::WebCrossSite.into());
    }
    let (login, logout) = (
        context.page_path("login", &[])?,
        context.page_path("logout", &[])?,
    );
    let value = match current_session::session(context).await? {
        CurrentSession::Session(session) => {
            let mut user = session.identity.claims.clone();
            user.insert("sub".to_owned(), session.identity.subject.clone().into());
            let mut body = json!({
                "signed_in": true,
                "user": user,
                "provider": session.identity.provider,
                "until": session.until.as_secs(),
                "login": login,
                "logout": logout,
            });
            if let Some(tenant) = &session.tenant {
                body["tenant"] = tenant.as_str().into();
            }
            body
        }
        CurrentSession::Absent(_) => json!({"signed_in": false, "login": login, "logout": logout}),
    };
    Ok(Reply::json(StatusCode::OK, &value))
}
