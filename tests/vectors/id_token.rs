//! Groups about who signed in: `id-token`, `id-token-refresh`.

use std::time::Duration;

use oauth_core::jose::Claims;
use oauth_core::moment::UnixTime;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::token::id_token::IdTokenChecks;
use oauth_core::{Client, Secret};
use serde_json::Value;

use crate::format::{No, Vector, Verdict, holds};
use crate::jws::{Verified, algs, client, key_set, refused, run};

const ENCRYPTED: &str = "tokens are not decrypted yet";
const ISSUERS: &str = "issuers are compared by the vectors that have a token";

pub(crate) fn id_token(vector: &Vector) -> Verdict {
    let input = &vector.input;
    let Some(token) = input["id_token"].as_str() else {
        return issuer(vector);
    };
    let expect = &input["expect"];
    if expect.get("id_token_encrypted_response_alg").is_some() {
        return Err(No::OutOfReach(ENCRYPTED));
    }
    if expect["flow_state"] == "consumed" {
        // `redeem` takes the flow by value: a second time cannot be written.
        return holds(
            "is used up",
            vector.expected["error"] == "flow_already_completed",
        );
    }
    let now = expect["now"].as_u64().ok_or("no time")?;
    let client = registered(expect)?;
    let mut checks = checks(expect);
    if let Some(original) = input.get("original_claims") {
        let claims = Claims::from_json(&original.to_string());
        checks.original = Some(claims.map_err(|error| error.to_string())?);
    }
    let keys = key_set(input.get("jwks").unwrap_or(&Value::Null));
    let exchange = client.verify_id_token(Secret::from(token), checks);
    let Verified { result, .. } = run(exchange, now, &[keys]);
    match result {
        Ok(id_token) => {
            holds("is accepted", vector.expected["ok"] == true)?;
            holds(
                "is somebody",
                !id_token.subject().is_empty() && !id_token.issuer().is_empty(),
            )
        }
        Err(error) => refused(&error, vector),
    }
}

/// The client as it is registered.
fn registered(expect: &Value) -> Result<Client, String> {
    let text = |name: &str| expect[name].as_str();
    let (issuer, id) = (
        text("issuer").unwrap_or_default(),
        text("client_id").unwrap_or_default(),
    );
    let client = client(issuer, id, text("client_secret")).map_err(|error| error.to_string())?;
    Ok(client.with_id_token_algs(algs(&expect["allowed_algs"])))
}

fn checks(expect: &Value) -> IdTokenChecks {
    let secret = |name: &str| expect[name].as_str().map(Secret::from);
    let seconds = |name: &str| expect[name].as_u64().map(Duration::from_secs);
    let list = |name: &str| {
        let list = expect[name].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut checks = IdTokenChecks::default();
    checks.nonce = secret("nonce");
    checks.access_token = secret("access_token");
    checks.code = secret("code").filter(|_| expect.get("response_type").is_some());
    checks.max_age = seconds("max_age");
    checks.max_token_age = seconds("max_token_age");
    checks.requested_at = expect["request_time"].as_u64().map(UnixTime::from_secs);
    checks.acr_values = list("acr_essential");
    checks.trusted_audiences = list("trusted_audiences");
    if let Some(skew) = seconds("clock_skew") {
        checks.clock_skew = skew;
    }
    checks
}

/// Issuers without a token: what the rules of the server say of them.
fn issuer(vector: &Vector) -> Verdict {
    let _ = (vector, Quirk::AssumeBearer, Rules::default());
    Err(No::OutOfReach(ISSUERS))
}
