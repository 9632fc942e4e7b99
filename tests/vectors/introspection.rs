//! Group `signed-introspection`: introspection responses as signed JWTs (RFC 9701).

use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse, SignedResponse};
use oauth_core::moment::UnixTime;
use oauth_core::server::EndpointKind;
use oauth_core::{Exchange, Input, Moment, Step};
use serde_json::Value;

use crate::format::{Vector, Verdict, check, check_equal};
use crate::id_token::userinfo_response;
use crate::jws::{algs, client_with, key_set, refused, run_from};

const MEDIA: &str = "application/token-introspection+jwt";
/// The time of vectors that have none, in Unix seconds.
const NOW: u64 = 1_700_000_000;

pub(crate) fn signed(vector: &Vector) -> Verdict {
    let expect = &vector.input["expect"];
    let issuer = expect["issuer"].as_str().unwrap_or("https://as.example");
    let place = format!("{issuer}/introspect");
    let client = client_with(issuer, "client1", &[(EndpointKind::Introspection, &place)]);
    let mut signed = SignedResponse::default();
    if expect.get("allowed_algs").is_some() {
        signed.algs = algs(&expect["allowed_algs"]);
    }
    signed.audience = expect["audience"].as_str().map(str::to_owned);
    let token = vector.text("token").unwrap_or("t0ken");
    let request = Introspection::new(token).signed(signed);
    let mut exchange = client
        .map_err(|error| error.to_string())?
        .introspect(request);
    let now = expect["now"].as_u64().unwrap_or(NOW);
    let at = Moment::without_randomness(UnixTime::from_secs(now));
    let Ok(Step::Send(sent)) = exchange.resume(&at, Input::Begin) else {
        return Err("no request".into());
    };
    if vector.text("build").is_some() {
        return request_is(&sent, &vector.expected);
    }
    let reply = userinfo_response(vector, MEDIA)?;
    let keys = key_set(&Value::Null);
    match run_from(&mut exchange, Input::Reply(reply), now, &[keys]).result {
        Ok(state) => {
            let active = matches!(state, IntrospectionResponse::Active(_));
            check_equal(
                "active",
                Some(active),
                vector.expected["ok"]["active"].as_bool(),
            )
        }
        Err(error) => refused(&error, vector),
    }
}

fn request_is(sent: &http::Request<bytes::Bytes>, expected: &Value) -> Verdict {
    check_equal(
        "method",
        Some(sent.method().as_str()),
        expected["method"].as_str(),
    )?;
    let headers = expected["headers"].as_object().ok_or("no headers")?;
    for (name, expected) in headers {
        let header = sent
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok());
        check_equal(name, header, expected.as_str())?;
    }
    let form: Vec<(String, String)> =
        serde_urlencoded::from_bytes(sent.body()).map_err(|error| error.to_string())?;
    let expected_value: Vec<(String, String)> =
        serde_json::from_value(expected["params"].clone()).map_err(|error| error.to_string())?;
    check("sends these parameters", form == expected_value)
}
