//! The callback: judged, redeemed, verified; then there is a session.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::Method;
use oauth_core::error::{Error, ProtocolViolation, ValidationFailure};
use oauth_core::flow::redeem::Login;
use oauth_core::token::TokenType;
use oauth_core::{Client, Secret, Tokens};
use serde_json::Map;

use crate::config::{Keep, Provider, setup};
use crate::cookie::{Jar, Sent};
use crate::flow::{self, Flow, Kept, Kind};
use crate::person::Asked;
use crate::record;
use crate::reply::Reply;
use crate::session::{Identity, Session};
use crate::tries::Tries;
use crate::turn::Turn;
use crate::visit::{Admission, Fruit, mixed_up};
use crate::who::{self, Carried, Found};

/// For how long nobody is looked for again at a provider where nobody is signed in, in seconds.
const QUIET: u64 = 5 * 60;

pub(crate) async fn callback(turn: &Turn) -> Result<Reply, Error> {
    let arrived = arrived(turn)?;
    // Whether a flow is this one's its client says.
    if let Some(provider) = turn.provider_of_callback()? {
        turn.client(provider).await?;
    }
    let Kept {
        name,
        flow,
        pending,
        provider,
        client,
    } = match flow::find(turn, &arrived).await? {
        Ok(kept) => kept,
        Err(why) => return unknown(turn, &why).await,
    };
    // Whatever comes of it, it is used up.
    let ended = flow::end(turn, &name)?;
    let login = match client.redeem(pending, &arrived) {
        Ok(redeemed) => {
            let landed = turn
                .desk
                .run(redeemed, |login| Fruit::Login(Box::new(login)));
            match landed.await {
                Ok(Fruit::Login(login)) => Ok(*login),
                Ok(_) => return Err(mixed_up()),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    let reply = match login {
        Ok(login) => signed_in(turn, (&provider, &client), &flow, login).await,
        Err(error) => Err(error),
    };
    let reply = match reply {
        Err(error) if super::is_hosts(&error) => return Err(error),
        // Nobody asked for it, so nobody is told.
        Err(error) if flow.kind == Kind::Check => {
            turn.desk.note_error(&error);
            let jar = turn.jar()?;
            let quiet = jar.set(&jar.named("quiet"), "1", QUIET, Sent::Lax);
            Turn::go(&flow.return_to, [quiet])
        }
        Err(error) => super::failed(turn, &error, Some(&flow.return_to)),
        Ok(reply) => reply,
    };
    Ok(reply.cookies([ended]))
}

/// The whole URL, or the posted form.
fn arrived(turn: &Turn) -> Result<String, Error> {
    if turn.request.method == Method::POST {
        let form = turn.request.form_text();
        let form = form.ok_or(ProtocolViolation::CallbackEncoding)?;
        return Ok(form.to_owned());
    }
    Ok(format!("{}{}", turn.place()?.origin, turn.request.target))
}

/// Somebody signed in at the provider: the application lets them in, or does not.
async fn signed_in(
    turn: &Turn,
    (provider, client): (&Provider, &Client),
    flow: &Flow,
    login: Login,
) -> Result<Reply, Error> {
    let identity = identity(turn, (provider, client), &login).await?;
    let scope = login.tokens.scope.as_str().to_owned();
    let now = turn.desk.now();
    let (need, tenant) = (flow.need.as_ref(), provider.tenant.as_deref());
    if need.is_some_and(|need| !need.is_met(&identity, tenant, &scope, now)) {
        return Err(ValidationFailure::WebStepUpFailed.into());
    }
    let id_token = login.id_token.as_ref();
    let text = id_token.map(|id_token| id_token.text().expose().clone());
    let local = match turn.desk.admit(identity.clone()).await? {
        Admission::In(local) => local,
        Admission::Refused(reason) => {
            let error = Error::from(ValidationFailure::WebNotAdmitted);
            if flow.kind == Kind::Check {
                return Err(error);
            }
            let reply = super::failed(turn, &error, Some(&flow.return_to));
            return Ok(reply.detailed(&reason, turn.reader()));
        }
    };
    let session = Session {
        identity: kept(turn, identity),
        local,
        started_at: now,
        until: now.after(turn.config().lifetime),
        scope,
        key: None,
        seen_at: None,
        id_token: None,
        tenant: provider.tenant.clone(),
        tokens: None,
    };
    let old = who::session(turn).await;
    let cookies = match turn.config().keep {
        Keep::Identity => sealed(turn, session, text)?,
        Keep::AccessToken => {
            let tokens = Some(Arc::new(carried(login.tokens)?));
            sealed(turn, Session { tokens, ..session }, text)?
        }
        Keep::Store => {
            record::begin(
                turn,
                (&provider.id, Some(client)),
                session,
                Some(login.tokens),
            )
            .await?
        }
    };
    // Another person may have been signed in at this browser; and a session that somebody planted is gone.
    if let Ok(Found::Session(old)) = old {
        record::end(turn, &old).await;
    }
    let tried = Tries::of(turn)?.signed_in(now).cookie(turn)?;
    Ok(Turn::go(&flow.return_to, cookies).cookies([tried]))
}

/// Whom the provider vouches for: by a verified ID token, or by its own endpoint where that is agreed on.
async fn identity(
    turn: &Turn,
    (provider, client): (&Provider, &Client),
    login: &Login,
) -> Result<Identity, Error> {
    let Some(endpoint) = &provider.identity else {
        let id_token = login.id_token.as_ref();
        let id_token = id_token.ok_or(ProtocolViolation::IdTokenMissing)?;
        return Ok(Identity::of(&provider.id, id_token));
    };
    let asked = client.call(Asked {
        endpoint: endpoint.clone(),
        tokens: Arc::new(login.tokens.clone()),
        provider: provider.id.clone(),
        issuer: client.server().issuer().as_str().to_owned(),
    });
    let told = turn.desk.run(asked, |told| Fruit::Identity(Box::new(told)));
    match told.await? {
        Fruit::Identity(identity) => Ok(*identity),
        _ => Err(mixed_up()),
    }
}

/// What a cookie keeps of the tokens: no refresh token, for requests that come at once would each spend it, and
/// nothing that no API is shown.
fn carried(tokens: Tokens) -> Result<Tokens, Error> {
    if tokens.token_type != TokenType::Bearer {
        return Err(setup("keep: a token that is bound to a key needs a store"));
    }
    let mut tokens = tokens;
    (tokens.refresh_token, tokens.id_token) = (None, None);
    Ok(tokens)
}

/// With the claims that a session keeps.
fn kept(turn: &Turn, identity: Identity) -> Identity {
    let wanted = &turn.config().claims;
    let claims = identity.claims.into_iter();
    let claims: Map<_, _> = claims.filter(|(name, _)| wanted.contains(name)).collect();
    Identity { claims, ..identity }
}

/// A session in cookies; with the ID token for the logout at the provider, where there is room for it.
pub(crate) fn sealed(
    turn: &Turn,
    session: Session,
    id_token: Option<String>,
) -> Result<Vec<String>, Error> {
    let jar = turn.jar()?;
    let keep = turn.config().keep;
    let plain = |session: &Session| {
        let written = match keep {
            Keep::AccessToken => serde_json::to_vec(&Carried::of(session.clone())),
            Keep::Identity | Keep::Store => serde_json::to_vec(session),
        };
        Secret::new(written.unwrap_or_default())
    };
    let without = plain(&session);
    let with = plain(&Session {
        id_token,
        ..session
    });
    let chosen = match jar.fits_one(with.expose().len()) {
        true => with,
        false => without,
    };
    if let Err(large) = Jar::is_small(chosen.expose())
        && !turn.site.is_large_known.swap(true, Ordering::Relaxed)
    {
        turn.desk.note_error(&large);
    }
    let seconds = turn.config().lifetime.as_secs();
    let (at, sent) = (turn.desk.at(), turn.sent());
    jar.set_session(&at, &turn.cookies, chosen.expose(), seconds, sent)
}

/// A callback that nobody waits for: the back button, a bookmark, a cookie that is gone, another's link. Which part
/// is missing stands in the log alone.
async fn unknown(turn: &Turn, why: &[String]) -> Result<Reply, Error> {
    let error = Error::from(ValidationFailure::WebCallbackUnknown).about(&why.join("; "));
    if let Found::Session(_) = who::session(turn).await? {
        turn.desk.note_error(&error);
        return Ok(Turn::go(&turn.home()?, []));
    }
    let has_error = turn.request.parameter("error").is_some();
    if has_error || turn.request.method == Method::GET && !turn.request.is_navigation() {
        return Ok(super::failed(turn, &error, None));
    }
    turn.desk.note_error(&error);
    Ok(Turn::go(&turn.page("login", &[("again", "1")])?, []))
}
