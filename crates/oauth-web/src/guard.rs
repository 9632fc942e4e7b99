//! The application's own pages: passed on, or sent to sign in.

use http::{Method, StatusCode};
use oauth_core::error::{Error, ValidationFailure};

use crate::config::{Access, SameSite};
use crate::flow::{self, Kind, Wanted};
use crate::html;
use crate::reply::{Reader, Reply};
use crate::request::Origin;
use crate::session::Need;
use crate::tries::Tries;
use crate::turn::Turn;
use crate::visit::End;
use crate::who::{self, Found};

/// Passes a request on, or does not, in this order: another site's form is refused; whoever is signed in is
/// passed on; a page for everybody is; whoever opens a page signs in first; everything else is told so.
pub(crate) async fn guard(turn: &Turn, access: Access, need: Option<Need>) -> Result<End, Error> {
    turn.require_own()?;
    let why = match who::session(turn).await? {
        Found::Session(session) => {
            return match need.filter(|need| !session.suffices(need, turn.desk.now())) {
                None => Ok(End::Pass(Some((*session).into()))),
                Some(need) => step_up(turn, &session.identity.provider, need).await,
            };
        }
        Found::Nobody(why) => why,
    };
    if let Some(hop) = hop(turn)? {
        return Ok(End::Respond(hop));
    }
    match access {
        Access::Quiet if is_looked_at_once(turn)? => {
            let wanted = Wanted {
                kind: Kind::Check,
                ..Wanted::login(turn.first_provider()?, turn.this_page()?)
            };
            return Ok(End::Respond(flow::begin(turn, wanted).await?));
        }
        Access::Open | Access::Quiet => return Ok(End::Pass(None)),
        Access::SignedIn => {}
    }
    if turn.has_cookie(turn.jar()?.name()) {
        turn.desk
            .note("web.signed_out", format!("the session: {why}"));
    }
    let ended = turn.end_session()?;
    if !turn.request.is_navigation() {
        return Ok(End::Respond(signed_out(turn)?.cookies(ended)));
    }
    let again = Tries::of(turn)?.again(&why)?;
    let tried = again.map(|tries| tries.cookie(turn)).transpose()?;
    // With a choice to make, the login page shows it.
    let reply = match turn.only_provider() {
        Some(provider) => {
            let wanted = Wanted {
                need,
                ..Wanted::login(provider, turn.this_page()?)
            };
            flow::begin(turn, wanted).await?
        }
        None => Turn::go(
            &turn.page("login", &[("return_to", &turn.this_page()?)])?,
            [],
        ),
    };
    Ok(End::Respond(reply.cookies(ended).cookies(tried)))
}

/// 401, and never a redirect: a script could not follow it, and its target is no page.
fn signed_out(turn: &Turn) -> Result<Reply, Error> {
    let login = turn.page("login", &[])?;
    let error = ValidationFailure::WebSignedOut.into();
    Ok(Reply::problem(&error, Reader::Script, Some(login)))
}

async fn step_up(turn: &Turn, provider: &str, need: Need) -> Result<End, Error> {
    if turn.request.is_navigation() {
        let wanted = Wanted {
            need: Some(need),
            ..Wanted::login(turn.site.provider(provider)?, turn.this_page()?)
        };
        return Ok(End::Respond(flow::begin(turn, wanted).await?));
    }
    let acr = need.acr.join(" ");
    let max_age = need.max_age.map(|age| age.to_string());
    let mut parameters = vec![("provider", provider)];
    if !acr.is_empty() {
        parameters.push(("acr_values", &acr));
    }
    if let Some(max_age) = &max_age {
        parameters.push(("max_age", max_age));
    }
    let login = turn.page("login", &parameters)?;
    let error = ValidationFailure::WebStepUp.into();
    Ok(End::Respond(Reply::problem(
        &error,
        Reader::Script,
        Some(login),
    )))
}

/// A link from another site comes without a `SameSite=Strict` cookie: the page asks for itself once, and then comes
/// from this site, whoever is signed in or not.
fn hop(turn: &Turn) -> Result<Option<Reply>, Error> {
    let request = &turn.request;
    let is_cross = turn.config().same_site == SameSite::Strict
        && request.method == Method::GET
        && request.is_navigation()
        && request.header("sec-fetch-site").is_some()
        && request.origin(&turn.place()?.origin) == Origin::Foreign
        && !turn.has_cookie(turn.jar()?.name());
    if !is_cross {
        return Ok(None);
    }
    // Never the target as it came: `//elsewhere` would be read as another host.
    let hop = html::hop(&turn.this_page()?);
    Ok(Some(Reply::page(StatusCode::OK, "One moment", &hop)))
}

/// Only where browsers say what they are about: whoever keeps no cookies would be sent there each time.
fn is_looked_at_once(turn: &Turn) -> Result<bool, Error> {
    let request = &turn.request;
    Ok(request.is_navigation()
        && request.method == Method::GET
        && request.header("sec-fetch-mode").is_some()
        && !turn.has_cookie(&turn.jar()?.named("quiet")))
}
