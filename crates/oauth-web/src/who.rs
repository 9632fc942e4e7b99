//! Who is signed in, as the cookies of a request say, and the store.

use std::sync::Arc;

use oauth_core::error::Error;
use oauth_core::{Secret, Tokens};
use serde::{Deserialize, Serialize};

use crate::config::Keep;
use crate::cookie::Untaken;
use crate::handle::Handle;
use crate::record;
use crate::session::Session;
use crate::turn::Turn;

/// The session of a request.
pub(crate) enum Found {
    Session(Box<Session>),
    /// Why there is none.
    Nobody(String),
}

/// Who is signed in.
///
/// # Errors
/// What the store fails with.
pub(crate) async fn session(turn: &Turn) -> Result<Found, Error> {
    let jar = turn.jar()?;
    let now = turn.desk.now();
    let found = match turn.config().keep {
        Keep::Identity => jar.session::<Session>(&turn.cookies),
        Keep::AccessToken => jar.session::<Carried>(&turn.cookies).map(Carried::session),
        Keep::Store => match jar.session::<Handle>(&turn.cookies) {
            Ok(handle) => match record::load(turn, &handle).await? {
                Some(session) => Ok(session),
                None => Err(Untaken::Unopened("the store has none such".to_owned())),
            },
            Err(untaken) => Err(untaken),
        },
    };
    Ok(match found {
        Ok(session) if session.is_over(now, turn.config().idle) => {
            // One that lay unused is still there, and so are its tokens.
            if session.key.is_some() {
                end_unused(turn, &session).await?;
            }
            Found::Nobody("it is over".to_owned())
        }
        Ok(session) => Found::Session(Box::new(session)),
        Err(untaken) => Found::Nobody(untaken.why().to_owned()),
    })
}

/// Ends a session that lay unused, unless its provider would have to be waited for: it can be ended another time.
async fn end_unused(turn: &Turn, session: &Session) -> Result<(), Error> {
    if let Ok(provider) = turn.site.provider(&session.identity.provider)
        && turn.client_at_once(provider).await?.is_none()
    {
        return Ok(());
    }
    record::end(turn, session).await;
    Ok(())
}

/// What a cookie holds where it has the access token too.
#[derive(Serialize, Deserialize)]
pub(crate) struct Carried {
    #[serde(flatten)]
    session: Session,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<String>,
}

impl Carried {
    pub(crate) fn of(session: Session) -> Self {
        let tokens = session.tokens.as_ref();
        let tokens = tokens.map(|tokens| tokens.to_json().expose().clone());
        Self { session, tokens }
    }

    fn session(self) -> Session {
        // What does not read is over.
        let tokens = self.tokens.map(Secret::new);
        let tokens = tokens.and_then(|text| Tokens::from_json(text.expose()).ok());
        Session {
            tokens: tokens.map(Arc::new),
            ..self.session
        }
    }
}
