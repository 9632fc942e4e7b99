//! `GET {prefix}/check`: signs whoever is signed in at the provider in here, without asking anybody anything.

use oauth_core::error::Error;

use crate::flow::{self, Kind, Wanted};
use crate::reply::Reply;
use crate::turn::Turn;
use crate::who::{self, Found};

pub(crate) async fn check(turn: &Turn) -> Result<Reply, Error> {
    let request = &turn.request;
    if !request.is_navigation() {
        return Ok(Turn::ahead());
    }
    let return_to = turn.return_to(request.query("return_to").as_deref())?;
    if turn.has_cookie(&turn.jar()?.named("quiet")) {
        return Ok(Turn::go(&return_to, []));
    }
    let provider = match (request.query("provider"), who::session(turn).await?) {
        (Some(id), _) => turn.provider(&id).await?,
        (None, Found::Session(session)) => turn.provider(&session.identity.provider).await?,
        (None, Found::Nobody(_)) => turn.first_provider().await?,
    };
    let wanted = Wanted {
        kind: Kind::Check,
        ..Wanted::login(&provider, return_to)
    };
    flow::begin(turn, wanted).await
}
