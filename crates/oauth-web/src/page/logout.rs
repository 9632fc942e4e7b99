//! The end of a session: here first, then the tokens, then at the provider (OpenID Connect RP-Initiated Logout).

use http::{Method, StatusCode};
use oauth_core::error::Error;
use oauth_core::flow::logout::{LogoutRequest, check_return};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::EndpointKind;
use oauth_core::{Client, Secret};
use serde::{Deserialize, Serialize};

use crate::config::Keep;
use crate::cookie::{Purpose, Sent};
use crate::html;
use crate::record;
use crate::reply::Reply;
use crate::request::Origin;
use crate::session::Identity;
use crate::turn::Turn;
use crate::who::{self, Found};

/// For how long a person may be away at the provider, in seconds.
const AWAY: u64 = 10 * 60;

/// What is kept of a logout until the person is back.
#[derive(Serialize, Deserialize)]
struct Leaving {
    state: String,
    return_to: String,
}

pub(crate) async fn logout(turn: &Turn) -> Result<Reply, Error> {
    let mut left = None;
    let mut reply = leave(turn, &mut left).await?;
    reply.signed_out = left.map(Box::new);
    Ok(reply)
}

async fn leave(turn: &Turn, left: &mut Option<Identity>) -> Result<Reply, Error> {
    let request = &turn.request;
    turn.require_own()?;
    if request.is_prefetch() {
        return Ok(Turn::ahead());
    }
    let return_to = turn.return_to(request.parameter("return_to").as_deref())?;
    let is_clicked =
        request.origin(&turn.place()?.origin) == Origin::Own && request.is_navigation();
    if request.method == Method::GET && !is_clicked {
        // A link from elsewhere signs nobody out, nor does a picture that somebody put into a page of ours.
        let page = turn.page("logout", &[("return_to", &return_to)])?;
        let button = html::button(&page, "Sign out");
        return Ok(Reply::page(StatusCode::OK, "Sign out?", &button));
    }
    // Whatever the store or the provider do: this browser has no session any more.
    let ended = turn.end_session()?;
    let session = match who::session(turn).await {
        Ok(Found::Session(session)) => Some(session),
        Ok(Found::Nobody(_)) => {
            if turn.config().keep == Keep::Store
                && let Err(error) = record::forget_left(turn).await
            {
                turn.desk.note_error(&error);
            }
            None
        }
        Err(error) if super::is_hosts(&error) => return Err(error),
        Err(error) => {
            turn.desk.note_error(&error);
            None
        }
    };
    let mut id_token = None;
    let provider = match &session {
        Some(session) => {
            *left = Some(session.identity.clone());
            id_token = record::end(turn, session).await;
            turn.provider(&session.identity.provider).await.map(Some)
        }
        None => turn.chosen(None).await,
    };
    let provider = match provider {
        Err(error) if super::is_hosts(&error) => return Err(error),
        Err(error) => {
            turn.desk.note_error(&error);
            None
        }
        Ok(provider) => provider,
    };
    let client = match &provider {
        Some(provider) => turn.client(provider).await,
        None => return Ok(Turn::go(&return_to, ended)),
    };
    let away = client.and_then(|client| away(turn, &client, id_token, &return_to));
    let (url, leaving) = match away {
        Ok(Some(away)) => away,
        Ok(None) => return Ok(Turn::go(&return_to, ended)),
        Err(error) if super::is_hosts(&error) => return Err(error),
        Err(error) => {
            turn.desk.note_error(&error);
            return Ok(Turn::go(&return_to, ended));
        }
    };
    Ok(Turn::go(&url, ended).cookies([leaving]))
}

/// Where a person signs out at the provider, and the cookie to come back with; nothing where the provider has no
/// such page.
fn away(
    turn: &Turn,
    client: &Client,
    id_token: Option<Secret<String>>,
    return_to: &str,
) -> Result<Option<(String, String)>, Error> {
    let server = client.server();
    if server.endpoint(EndpointKind::EndSession).is_err() {
        return Ok(None);
    }
    let at = turn.desk.at();
    let place = turn.place()?;
    let done = format!(
        "{}{}",
        place.origin,
        place.page(turn.config(), "logout/done")
    );
    let mut request = LogoutRequest::returning_to(RedirectUri::parse(&done)?, &at)?;
    request.id_token_hint = id_token;
    let url = client.end_session_url(&request)?;
    let state = request.state.as_ref();
    let leaving = Leaving {
        state: state
            .map(|state| state.expose().clone())
            .unwrap_or_default(),
        return_to: return_to.to_owned(),
    };
    let jar = turn.jar()?;
    let name = jar.named("out");
    let plain = serde_json::to_vec(&leaving).unwrap_or_default();
    let value = jar.seal(&at, Purpose::Logout, &name, &plain)?;
    let cookie = jar.set(&name, &value, AWAY, Sent::Lax);
    Ok(Some((url.as_str().to_owned(), cookie)))
}

/// `GET {prefix}/logout/done`: back from the provider. Whoever comes without the state may have been sent by
/// anybody, and sees a page.
pub(crate) fn done(turn: &Turn) -> Result<Reply, Error> {
    let jar = turn.jar()?;
    let name = jar.named("out");
    let leaving = jar.read::<Leaving>(&turn.cookies, Purpose::Logout, &name);
    if let Ok(leaving) = leaving {
        match check_return(&turn.request.target, &Secret::new(leaving.state)) {
            Ok(()) => {
                return Ok(Turn::go(&leaving.return_to, [jar.end(&name, Sent::Lax)]));
            }
            Err(error) => turn.desk.note_error(&error),
        }
    }
    let home = html::escape(&turn.home()?);
    let link = format!("<p><a href=\"{home}\">Go on</a>");
    Ok(Reply::page(StatusCode::OK, "You are signed out", &link))
}
