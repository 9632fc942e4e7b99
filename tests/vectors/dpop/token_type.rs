//! The `token_type` of a response to a request with or without a proof (RFC 9449 section 5).

use oauth_core::grant::{ClientCredentials, TokenRequest};
use oauth_core::jose::Alg;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::{Client, ClientAuth, ClientId, Error, Exchange, Input, Step};
use serde_json::{Value, json};

use super::{bound, key, moment, reply, server, text};
use crate::expect;
use crate::format::{Vector, Verdict, check_equal};

/// A client of a server that is known not to bind tokens.
fn unbound() -> Result<Client, Error> {
    let rules = Rules {
        quirks: vec![Quirk::UnboundTokens],
        ..Rules::default()
    };
    let server = server(&Value::Null)?.with_rules(rules);
    let client = Client::new(server, ClientId::new("id"), ClientAuth::basic("hunter22"))?;
    Ok(client.with_dpop(key(Alg::Es256)?))
}

pub(super) fn judge(vector: &Vector) -> Verdict {
    let client = match vector.input["sent_dpop_proof"] == true {
        true if vector
            .text("policy")
            .is_some_and(|policy| policy != "require") =>
        {
            unbound()
        }
        true => bound(),
        false => server(&Value::Null).and_then(|server| {
            Client::new(server, ClientId::new("id"), ClientAuth::basic("hunter22"))
        }),
    };
    let client = client.map_err(text)?;
    let mut response_body = json!({ "access_token": "t" });
    if let Some(kind) = vector.text("token_type") {
        response_body["token_type"] = kind.into();
    }
    let mut exchange = client.token(ClientCredentials, TokenRequest::new());
    let _ = exchange.resume(&moment(1), Input::Begin).map_err(text)?;
    let outcome = exchange.resume(&moment(2), reply(200, &[], &response_body.to_string()));
    match expect::outcome(&vector.expected, outcome)? {
        None => Ok(()),
        Some(Step::Done(tokens)) => {
            let token_type = tokens.token_type.as_str().to_owned();
            check_equal(
                "type",
                Some(token_type.as_str()),
                vector.expected["ok"].as_str(),
            )
        }
        Some(step) => Err(format!("{step:?}").into()),
    }
}
