//! Somebody is signed in for a test, without a provider.

use std::sync::Arc;

use http::StatusCode;
use oauth_core::Tokens;
use oauth_core::error::Error;

use super::callback;
use crate::config::{Keep, setup};
use crate::reply::Reply;
use crate::session::{Identity, Session};
use crate::testing;
use crate::turn::Turn;
use crate::visit::End;

pub(crate) async fn sign_in(turn: Turn, identity: Identity) -> Result<End, Error> {
    if !testing::is_key(turn.config().keys.current()) {
        return Err(setup(
            "keys: nobody is signed in for a test under another than the testing key",
        ));
    }
    let provider = turn.provider(&identity.provider).await?;
    let now = turn.desk.now();
    let session = Session {
        identity,
        local: serde_json::Map::new(),
        started_at: now,
        until: now.after(turn.config().lifetime),
        scope: provider.scope.as_str().to_owned(),
        key: None,
        seen_at: None,
        id_token: None,
        tenant: provider.tenant.clone(),
        // It opens nothing, and does not end.
        tokens: (turn.config().keep == Keep::AccessToken)
            .then(|| Arc::new(Tokens::bearer("a token of a test"))),
    };
    let cookies = match turn.config().keep {
        Keep::Identity | Keep::AccessToken => callback::sealed(&turn, session, None)?,
        Keep::Store => {
            // No provider is asked for it: of one that is not known nobody is signed out from there.
            let client = turn.known(&provider);
            crate::record::begin(&turn, (&provider.id, client.as_ref()), session, None).await?
        }
    };
    let reply = Reply::empty(StatusCode::NO_CONTENT).cookies(cookies);
    Ok(End::Respond(reply))
}
