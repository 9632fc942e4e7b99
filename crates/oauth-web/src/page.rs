//! The site's own pages.

mod api;
mod callback;
mod check;
mod login;
mod logout;
mod session;
mod signed_out;
mod testing;

use std::sync::Arc;

use http::{HeaderValue, Method};
use oauth_core::error::{Error, ValidationFailure};

use crate::config::Access;
use crate::guard::guard;
use crate::place::Page;
use crate::reply::Reply;
use crate::session::{Need, Session};
use crate::turn::Turn;
use crate::visit::End;

/// Answers a request, or passes it on.
///
/// # Errors
/// What only a host does wrong; everything else is an answer.
pub(crate) async fn answer(turn: Turn, access: Access, need: Option<Need>) -> Result<End, Error> {
    match route(&turn, access, need).await {
        Err(error) if is_hosts(&error) => Err(error),
        Err(error) if turn.desk.is_unready() => unready(turn, error),
        Err(error) => Ok(End::Respond(failed(&turn, &error, None))),
        end => end,
    }
}

/// Has a provider's client made, unless it is known.
///
/// # Errors
/// `web.unknown_provider`, and what the host fails with.
pub(crate) async fn connect(turn: Turn, provider: String) -> Result<End, Error> {
    let provider = turn.site.provider(&provider)?;
    turn.client(provider).await?;
    Ok(End::Pass(None))
}

/// Signs somebody in for a test.
///
/// # Errors
/// `web.setup` under another key, `web.unknown_provider`, `web.session_too_large`, and what the store fails with.
pub(crate) async fn test(turn: Turn, identity: crate::session::Identity) -> Result<End, Error> {
    testing::sign_in(turn, identity).await
}

/// Ends this session, without a request.
///
/// # Errors
/// What only a host does wrong.
pub(crate) async fn end(turn: Turn, session: Arc<Session>) -> Result<End, Error> {
    Ok(api::end(&turn, &session).await)
}

/// Ends a session whose tokens are over.
///
/// # Errors
/// What only a host does wrong.
pub(crate) async fn over(turn: Turn) -> Result<End, Error> {
    match api::over(&turn).await {
        Err(error) if is_hosts(&error) => Err(error),
        Err(error) => Ok(End::Respond(failed(&turn, &error, None))),
        end => end,
    }
}

/// Tells whoever sent a request that the host is not ready, and how to try again.
///
/// # Errors
/// `web.not_found` for another site's host.
fn unready(turn: Turn, error: Error) -> Result<End, Error> {
    turn.desk.note_error(&error);
    let is_own = match turn.place() {
        Ok(place) => turn.site.page(place, &turn.request) != Page::Application,
        Err(error) => return Ok(End::Respond(failed(&turn, &error, None))),
    };
    // Whoever asked for a page comes back to it.
    let return_to = match is_own {
        true => turn.return_to(turn.request.parameter("return_to").as_deref()),
        false => turn.this_page(),
    };
    let login = turn.page("login", &[("return_to", &return_to?)])?;
    Ok(End::Respond(Reply::unready(&error, turn.reader(), login)))
}

/// What is said of an error: the whole of it to the log, and its code and a sentence to whoever sent the request.
pub(crate) fn failed(turn: &Turn, error: &Error, return_to: Option<&str>) -> Reply {
    turn.desk.note_error(error);
    let is_over = ["web.not_found", "web.method", "web.cross_site"].contains(&error.code());
    let parameters = return_to.map(|return_to| ("return_to", return_to));
    let login = turn.page("login", parameters.as_slice());
    let sign_in = login.ok().filter(|_| !is_over);
    Reply::problem(error, turn.reader(), sign_in)
}

async fn route(turn: &Turn, access: Access, need: Option<Need>) -> Result<End, Error> {
    let place = turn.place()?;
    let page = turn.site.page(place, &turn.request);
    if page != Page::Application && turn.request.is_too_large() {
        return Err(oauth_core::error::ProtocolViolation::CallbackTooLarge.into());
    }
    let allowed: &[Method] = match &page {
        Page::Application => return guard(turn, access, need).await,
        Page::Api(name) => return api::api(turn, name).await,
        Page::Unknown => return Err(ValidationFailure::WebNotFound.into()),
        Page::Login | Page::Logout | Page::Callback => &[Method::GET, Method::POST],
        Page::BackChannel(_) => &[Method::POST],
        Page::Check | Page::LoggedOut | Page::Session | Page::FrontChannel(_) => &[Method::GET],
    };
    if turn.request.method == Method::HEAD && allowed.contains(&Method::GET) {
        // Whoever asks so looks ahead: links are previewed like that.
        return Ok(End::Respond(Turn::ahead()));
    }
    if !allowed.contains(&turn.request.method) {
        let mut reply = failed(turn, &ValidationFailure::WebMethod.into(), None);
        let allowed: Vec<_> = allowed.iter().map(Method::as_str).collect();
        if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
            reply.headers.insert(http::header::ALLOW, allowed);
        }
        return Ok(End::Respond(reply));
    }
    let reply = match page {
        Page::Login => login::login(turn).await,
        Page::Callback => callback::callback(turn).await,
        Page::Check => check::check(turn).await,
        Page::Logout => logout::logout(turn).await,
        Page::LoggedOut => logout::done(turn),
        Page::Session => session::session(turn).await,
        Page::BackChannel(provider) => signed_out::back_channel(turn, provider).await,
        Page::FrontChannel(provider) => signed_out::front_channel(turn, provider).await,
        Page::Api(_) | Page::Unknown | Page::Application => {
            Err(ValidationFailure::WebNotFound.into())
        }
    };
    reply.map(End::Respond)
}

fn is_hosts(error: &Error) -> bool {
    let hosts = ["misuse.out_of_order", "misuse.over", "misuse.no_randomness"];
    hosts.contains(&error.code())
}
