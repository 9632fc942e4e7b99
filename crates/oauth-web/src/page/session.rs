//! `GET {prefix}/session`: what a page may know of who is signed in. Never a token.

use http::StatusCode;
use oauth_core::error::{Error, ValidationFailure};
use serde_json::json;

use crate::reply::Reply;
use crate::request::Origin;
use crate::turn::Turn;
use crate::who::{self, Found};

pub(crate) async fn session(turn: &Turn) -> Result<Reply, Error> {
    if turn.request.origin(&turn.place()?.origin) == Origin::Foreign {
        return Err(ValidationFailure::WebCrossSite.into());
    }
    let (login, logout) = (turn.page("login", &[])?, turn.page("logout", &[])?);
    let value = match who::session(turn).await? {
        Found::Session(session) => {
            let mut user = session.identity.claims.clone();
            user.insert("sub".to_owned(), session.identity.subject.clone().into());
            json!({
                "signed_in": true,
                "user": user,
                "provider": session.identity.provider,
                "until": session.until.as_secs(),
                "login": login,
                "logout": logout,
            })
        }
        Found::Nobody(_) => json!({"signed_in": false, "login": login, "logout": logout}),
    };
    Ok(Reply::json(StatusCode::OK, &value))
}
