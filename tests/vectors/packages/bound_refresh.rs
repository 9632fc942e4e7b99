//! Refresh tokens that are bound to a DPoP key.

use serde_json::{Value, json};

use super::possession::{first, proof, redemption};
use super::protected::ISSUER;
use super::{Calls, server, tokens};
use crate::classes;
use crate::conversation::{ClientConfig, TurnInput};
use crate::expect::wanted_classes;
use crate::fields::{Reply, Text};
use crate::format::{Vector, Verdict, check_equal};
use crate::runner::{self, Runner};

/// A public client can refresh only with the key that its tokens are bound to.
pub(super) fn refreshed(vector: &Vector, runner: &mut Runner) -> Verdict {
    let client_config = || ClientConfig {
        dpop: Some("ES256".to_owned()),
        ..runner::public("client1")
    };
    let token_body = json!({ "access_token": "t", "token_type": "DPoP", "refresh_token": "r" });
    let refresh = |tokens| TurnInput::Refresh {
        scope: String::new(),
        tokens,
    };
    let calls = Calls::new(server(ISSUER, &Value::Null), client_config())
        .call(1, redemption(), vec![Reply::json(&token_body)])
        .call(2, refresh(None), Vec::new());
    let mut came = calls.play(runner)?.into_iter();
    let login = came.next().ok_or("no login")?;
    let (first_key, _) = proof(login.sent.first().ok_or("no request")?)?;
    let (second_key, _) = proof(&first(came.next().ok_or("no refresh")?)?)?;
    check_equal("the key", &second_key["jwk"], &first_key["jwk"])?;
    let held = tokens(
        login
            .end
            .ok_or("no end")?
            .map_err(|refusal| refusal.message)?,
    )?;
    let stored = held.text("stored")?.ok_or("nothing is stored")?;
    // A new conversation has a new key.
    let calls = Calls::new(server(ISSUER, &Value::Null), client_config());
    let calls = calls.call(2, refresh(Some(Text(stored))), Vec::new());
    let Err(refusal) = calls.end(runner)? else {
        return Err("the request was sent".into());
    };
    classes::check(
        &refusal,
        &wanted_classes(&vector.expected["with_other_key"]),
    )
}
