//! Who is signed in, as the cookies of a request say, and the store.

use oauth_core::error::Error;

use crate::config::Keep;
use crate::cookie::Untaken;
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
        Keep::Store => match jar.session::<record::Handle>(&turn.cookies) {
            Ok(handle) => match record::load(turn, &handle).await? {
                Some(session) => Ok(session),
                None => Err(Untaken::Unopened("the store has none such".to_owned())),
            },
            Err(untaken) => Err(untaken),
        },
    };
    Ok(match found {
        Ok(session) if session.is_over(now, turn.config().idle) => {
            Found::Nobody("it is over".to_owned())
        }
        Ok(session) => Found::Session(Box::new(session)),
        Err(untaken) => Found::Nobody(untaken.why().to_owned()),
    })
}
