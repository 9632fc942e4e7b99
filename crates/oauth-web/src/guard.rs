//! The application's own pages: passed on, or sent to sign in.

use http::{Method, StatusCode};
use oauth_core::error::{Error, ValidationFailure};

use crate::config::{Access, Keep, SameSite};
use crate::flow::{self, Kind, Wanted};
use crate::html;
use crate::reply::{Reader, Reply};
use crate::request::Origin;
use crate::session::{Need, Session};
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
            let is_kept = turn.config().keep == Keep::AccessToken;
            if is_kept
                && session.is_stale(turn.desk.now())
                && let Some(reply) = renewed(turn, access, &session).await?
            {
                return Ok(End::Respond(reply));
            }
            return match need.filter(|need| !session.suffices(need, turn.desk.now())) {
                None => Ok(End::Pass(Some((*session).into()))),
                Some(need) => step_up(turn, &session, need).await,
            };
        }
        Found::Nobody(why) => why,
    };
    if let Some(hop) = hop(turn)? {
        return Ok(End::Respond(hop));
    }
    match access {
        Access::Quiet if is_looked_at_once(turn)? => {
            let provider = turn.first_provider().await?;
            if turn.client_at_once(&provider).await?.is_none() {
                // The page is not held up: who is there is looked up once that can be asked.
                return Ok(End::Pass(None));
            }
            let wanted = Wanted {
                kind: Kind::Check,
                ..Wanted::login(&provider, turn.this_page()?)
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
    let reply = match turn.chosen(need.as_ref()).await? {
        Some(provider) => {
            let wanted = Wanted {
                need,
                ..Wanted::login(&provider, turn.this_page()?)
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

/// The access token in the cookie is over. A page leads to the provider and back, and nobody is asked; a script is
/// told. Nothing where the session is good enough as it is: who it is of has not changed.
async fn renewed(turn: &Turn, access: Access, session: &Session) -> Result<Option<Reply>, Error> {
    let request = &turn.request;
    match (access, request.is_navigation()) {
        (Access::Open, _) | (Access::Quiet, false) => return Ok(None),
        (Access::SignedIn, false) => return signed_out(turn).map(Some),
        (Access::Quiet | Access::SignedIn, true) => {}
    }
    // A form that a person has filled in is not lost for it.
    if request.method != Method::GET {
        return Ok(None);
    }
    let provider = turn.provider(&session.identity.provider).await?;
    if access == Access::Quiet && turn.client_at_once(&provider).await?.is_none() {
        return Ok(None);
    }
    let wanted = Wanted::login(&provider, turn.this_page()?);
    let kind = match turn.has_cookie(&turn.jar()?.named("quiet")) {
        false => Kind::Check,
        // Nobody is signed in there any more.
        true if access == Access::SignedIn => Kind::Login,
        true => return Ok(None),
    };
    let again = Tries::of(turn)?.again("its access token is over")?;
    let tried = again.map(|tries| tries.cookie(turn)).transpose()?;
    let reply = flow::begin(turn, Wanted { kind, ..wanted }).await?;
    Ok(Some(reply.cookies(tried)))
}

async fn step_up(turn: &Turn, session: &Session, need: Need) -> Result<End, Error> {
    // Somebody of another tenant signs in there, and with no provider of this one.
    let is_tenants = need.tenant.is_none() || need.tenant == session.tenant;
    let provider = match is_tenants {
        true => Some(turn.provider(&session.identity.provider).await?),
        false => turn.chosen(Some(&need)).await?,
    };
    if let (true, Some(provider)) = (turn.request.is_navigation(), &provider) {
        let wanted = Wanted {
            need: Some(need),
            ..Wanted::login(provider, turn.this_page()?)
        };
        return Ok(End::Respond(flow::begin(turn, wanted).await?));
    }
    let acr = need.acr.join(" ");
    let max_age = need.max_age.map(|age| age.to_string());
    let texts = [
        ("provider", provider.map(|provider| provider.id)),
        ("acr_values", Some(acr).filter(|acr| !acr.is_empty())),
        ("max_age", max_age),
    ];
    let parameters = texts.iter();
    let parameters: Vec<_> = parameters
        .filter_map(|(name, text)| Some((*name, text.as_deref()?)))
        .collect();
    let login = turn.page("login", &parameters)?;
    let error = ValidationFailure::WebStepUp.into();
    let reply = Reply::problem(&error, turn.reader(), Some(login));
    Ok(End::Respond(reply))
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
