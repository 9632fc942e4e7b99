//! The session of a request: found by its cookies, and loaded from the store.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use oauth_core::error::{Error, Kind, Misuse, ValidationFailure};
use oauth_core::{Secret, Tokens};
use serde::{Deserialize, Serialize};

use crate::config::SessionStorage;
use crate::cookie::CookieRejection;
use crate::request_context::RequestContext;
use crate::session::Session;
use crate::session_handle::Handle;
use crate::session_store;

/// The session of a request.
pub(crate) enum CurrentSession {
    Session(Box<Session>),
    /// There is no session, for this reason.
    Absent(String),
}

/// Finds the session of a request.
///
/// # Errors
/// The store's errors.
pub(crate) async fn session(context: &RequestContext) -> Result<CurrentSession, Error> {
    let jar = context.jar()?;
    let now = context.io.now();
    let session = match context.config().keep {
        SessionStorage::Identity => jar.open_session::<Session>(&context.cookies),
        SessionStorage::AccessToken => jar
            .open_session::<CookieSession>(&context.cookies)
            .map(CookieSession::session),
        SessionStorage::Store => match jar.open_session::<Handle>(&context.cookies) {
            Ok(handle) => match Box::pin(session_store::load(context, &handle.key())).await? {
                Some(session) => Ok(session),
                None => {
                    if handle.until > now {
                        warn_about_unknown_session(context);
                    }
                    Err(CookieRejection::Unopened(
                        "the store has none such".to_owned(),
                    ))
                }
            },
            Err(rejected) => Err(rejected),
        },
    };
    let session = match session {
        Ok(session) => match reason_to_reject(context, &session).await? {
            None => Ok(session),
            Some(reason) => Err(CookieRejection::Unopened(reason.to_owned())),
        },
        rejected => rejected,
    };
    Ok(match session {
        Ok(session) if session.has_ended(now, context.config().idle) => {
            // An idle session is still in the store, and so are its tokens.
            if session.key.is_some() {
                Box::pin(end_idle(context, &session)).await?;
            }
            CurrentSession::Absent("it has ended".to_owned())
        }
        Ok(session) => CurrentSession::Session(Box::new(session)),
        Err(rejected) => CurrentSession::Absent(rejected.reason().to_owned()),
    })
}

/// Logs the first session whose cookie is valid, but which the store does not have: processes that serve the site may each
/// have a store of their own. Sessions that were ended elsewhere look the same.
fn warn_about_unknown_session(context: &RequestContext) {
    let is_logged = &context.site.is_unknown_session_logged;
    if !is_logged.swap(true, Ordering::Relaxed) {
        context.io.note_error(&Misuse::WebSessionUnknown.into());
    }
}

/// The reason why a session does not belong to this site. A site with the same keys or store might not have the
/// provider that authenticated the user, and its application might not admit them.
async fn reason_to_reject(
    context: &RequestContext,
    session: &Session,
) -> Result<Option<&'static str>, Error> {
    let id = &session.identity.provider;
    let expected = match context.site.registration(id) {
        Some(registration) => Some(Cow::Borrowed(registration)),
        None => match Box::pin(context.provider(id)).await {
            Ok(provider) => context.registration(&provider).map(Cow::Owned),
            Err(error) if is_unknown_provider(&error) => {
                return Ok(Some("it is of a provider that the site does not have"));
            }
            Err(error) => return Err(error),
        },
    };
    let is_same_registration = match (&session.client, expected) {
        (Some(client), Some(expected)) => *client == expected,
        // Accepted until the client is known; only the provider id is compared.
        (Some(_), None) => true,
        // Only with the testing key, which is public, so that no reachable site uses it.
        (None, _) => context.site.has_testing_key,
    };
    Ok((!is_same_registration).then_some("it is of another issuer or client"))
}

/// Whether the site does not have the provider.
fn is_unknown_provider(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Untrusted(ValidationFailure::WebUnknownProvider)
    )
}

/// Ends an idle session, unless that would have to wait for its provider: it can be ended later.
async fn end_idle(context: &RequestContext, session: &Session) -> Result<(), Error> {
    if let Ok(provider) = context.site.provider(&session.identity.provider)
        && context.client_at_once(provider).await?.is_none()
    {
        return Ok(());
    }
    session_store::end_session(context, session).await;
    Ok(())
}

/// The contents of a cookie that has the access token too.
#[derive(Serialize, Deserialize)]
pub(crate) struct CookieSession {
    #[serde(flatten)]
    session: Session,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<String>,
}

impl CookieSession {
    pub(crate) fn from_session(session: Session) -> Self {
        let tokens = session.tokens.as_ref();
        let tokens = tokens.map(|tokens| tokens.to_json().expose().clone());
        Self { session, tokens }
    }

    fn session(self) -> Session {
        // Malformed tokens count as expired.
        let tokens = self.tokens.map(Secret::new);
        let tokens = tokens.and_then(|text| Tokens::from_json(text.expose()).ok());
        Session {
            tokens: tokens.map(Arc::new),
            ..self.session
        }
    }
}
