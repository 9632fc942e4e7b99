//! Signs a user in for a test, without a provider.

use std::sync::Arc;

use http::StatusCode;
use oauth_core::Tokens;
use oauth_core::error::{Error, ValidationFailure};

use super::callback;
use crate::config::{SessionStorage, setup};
use crate::reply::Reply;
use crate::request_context::RequestContext;
use crate::session::{Identity, Session};
use crate::visit::{Admission, VisitEnd};

pub(crate) async fn sign_in(
    context: RequestContext,
    identity: Identity,
) -> Result<VisitEnd, Error> {
    if !context.site.has_testing_key {
        return Err(setup(
            "keys: a user is signed in for a test only if the site uses the testing key",
        ));
    }
    let provider = context.provider(&identity.provider).await?;
    // As at a real sign-in: the application decides whom it admits, and only the claims that it has chosen are kept.
    let local = match context.io.admit(identity.clone()).await? {
        Admission::Admitted(local) => local,
        Admission::Refused(reason) => {
            return Err(Error::from(ValidationFailure::WebNotAdmitted).about(&reason));
        }
    };
    let now = context.io.now();
    let session = Session {
        identity: callback::with_stored_claims(&context, identity),
        local,
        started_at: now,
        until: now.after(context.config().lifetime),
        scope: provider.scope.as_str().to_owned(),
        key: None,
        seen_at: None,
        id_token: None,
        tenant: provider.tenant.clone(),
        client: None,
        // It is never used, and does not expire.
        tokens: (context.config().keep == SessionStorage::AccessToken)
            .then(|| Arc::new(Tokens::bearer("a token of a test"))),
    };
    let cookies = match context.config().keep {
        SessionStorage::Identity | SessionStorage::AccessToken => {
            callback::seal_session(&context, session, None, "")?
        }
        SessionStorage::Store => {
            // The client is not requested for this: without one, the logout does not continue at the provider.
            let client = context.known_client(&provider);
            crate::session_store::begin(&context, (&provider.id, client.as_ref()), session, None)
                .await?
        }
    };
    let reply = Reply::empty(StatusCode::NO_CONTENT).with_cookies(cookies);
    Ok(VisitEnd::Respond(reply))
}
