//! Every state machine, with any input: it never panics, sends no second request for one exchange, and does nothing after it has
//! ended.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use oauth_core::client_auth::SignedSecret;
use oauth_core::crypto::SigningKey;
use oauth_core::dpop::DpopKey;
use oauth_core::endpoint::introspection::Introspection;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::{Cause, Error};
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    Client, ClientAuth, ClientId, Exchange, ExchangeExt, Input, Moment, Scope, Secret, Step,
    discover,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum MachineInput {
    Begin,
    Reply(u16, String),
    LostUnsent,
    LostUnknown,
    TooLarge,
    Elapsed,
    Signed(usize),
}

impl MachineInput {
    fn input(&self) -> Input {
        match self {
            Self::Begin => Input::Begin,
            Self::Reply(status, body) => {
                let mut reply = Response::new(Bytes::from(body.clone()));
                *reply.status_mut() = StatusCode::from_u16(*status).expect("a status");
                if body.contains("use_dpop_nonce") {
                    let nonce = HeaderValue::from_static("n");
                    reply.headers_mut().insert("dpop-nonce", nonce);
                }
                Input::Reply(reply)
            }
            Self::LostUnsent => Input::Lost(Cause::unsent("no route")),
            Self::LostUnknown => Input::Lost(Cause::unknown("cut off")),
            Self::TooLarge => Input::Lost(Cause::too_large()),
            Self::Elapsed => Input::Elapsed,
            Self::Signed(length) => Input::Signed(vec![0; *length].into()),
        }
    }
}

fn any_input() -> impl Strategy<Value = MachineInput> {
    let status = prop::sample::select(vec![200u16, 204, 302, 400, 401, 404, 429, 500, 503]);
    let body = prop::sample::select(vec![
        "",
        "{}",
        "[]",
        "null",
        r#"{"access_token":"a","token_type":"Bearer"}"#,
        r#"{"error":"slow_down"}"#,
        r#"{"error":"use_dpop_nonce"}"#,
        r#"{"active":true}"#,
        r#"{"issuer":"https://as.example"}"#,
        "<html>",
    ]);
    prop_oneof![
        3 => Just(MachineInput::Begin),
        4 => (status, body).prop_map(|(status, body)| MachineInput::Reply(status, body.to_owned())),
        1 => Just(MachineInput::LostUnsent),
        1 => Just(MachineInput::LostUnknown),
        1 => Just(MachineInput::TooLarge),
        1 => Just(MachineInput::Elapsed),
        1 => prop::sample::select(vec![0usize, 63, 64, 64, 65]).prop_map(MachineInput::Signed),
    ]
}

const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#;

/// A machine by name, with the number of requests it may send at most.
fn machines() -> Vec<(&'static str, oauth_core::exchange::Boxed<()>, usize)> {
    let build = || -> Result<Vec<_>, Error> {
        let server = Server::new(Issuer::parse("https://as.example")?)
            .with_endpoint(EndpointKind::Token, "https://as.example/token")?
            .with_endpoint(EndpointKind::Revocation, "https://as.example/revoke")?
            .with_endpoint(EndpointKind::Introspection, "https://as.example/introspect")?;
        let client = Client::new(
            server.clone(),
            ClientId::new("id"),
            ClientAuth::post("secret"),
        )?;
        let apple = SignedSecret::apple("team", "key");
        let signing = Client::new(
            server,
            ClientId::new("id"),
            ClientAuth::signed_secret(apple),
        )?;
        let key = SigningKey::host("ours", Alg::Es256);
        let bound = signing
            .clone()
            .with_dpop(DpopKey::new(key, PublicJwk::parse(JWK)?)?);
        let token = || Secret::from("token");
        let second = client.clone();
        Ok(vec![
            (
                "token",
                client
                    .client_credentials(Scope::none())
                    .and_then(|_, _| Ok(()))
                    .boxed(),
                1,
            ),
            (
                "signed",
                signing
                    .client_credentials(Scope::none())
                    .and_then(|_, _| Ok(()))
                    .boxed(),
                1,
            ),
            (
                "bound",
                bound
                    .client_credentials(Scope::none())
                    .and_then(|_, _| Ok(()))
                    .boxed(),
                2,
            ),
            (
                "revocation",
                client.revoke(Revocation::new(token())).boxed(),
                1,
            ),
            (
                "introspection",
                client
                    .introspect(Introspection::new(token()))
                    .and_then(|_, _| Ok(()))
                    .boxed(),
                1,
            ),
            (
                "discovery",
                discover(Issuer::parse("https://as.example/t")?)
                    .and_then(|_, _| Ok(()))
                    .boxed(),
                4,
            ),
            (
                "then",
                client
                    .client_credentials(Scope::none())
                    .then(move |_, tokens| Ok(second.revoke(Revocation::new(tokens.access_token))))
                    .boxed(),
                2,
            ),
        ])
    };
    build().expect("machines")
}

proptest! {
    #![proptest_config(oauth_tests::cases(3_000))]

    #[test]
    fn any_sequence_of_inputs_ends_once_and_sends_a_limited_number_of_requests(inputs in vec(any_input(), 0..8)) {
        for (name, mut exchange, at_most) in machines() {
            let (mut sent, mut over) = (0, false);
            for (second, input) in inputs.iter().enumerate() {
                let at = Moment::fixed(UnixTime::from_secs(second as u64), [second as u8; 32]);
                match exchange.resume(&at, input.input()) {
                    Ok(_) if over => prop_assert!(false, "{name} went on after its end"),
                    Ok(Step::Send(_)) => sent += 1,
                    Ok(Step::Done(())) => over = true,
                    Ok(Step::Sleep(_) | Step::Sign(_) | Step::Verify(_)) => {}
                    Err(error) => {
                        if over {
                            prop_assert_eq!(error.code(), "misuse.already_finished", "{}", name);
                        }
                        over = true;
                    }
                }
            }
            prop_assert!(sent <= at_most, "{name} sent {sent} requests");
        }
    }

    /// Equal state, moment and input give an equal step.
    #[test]
    fn steps_are_pure(inputs in vec(any_input(), 0..5), seed in any::<[u8; 32]>()) {
        let run = || -> Vec<String> {
            machines().into_iter().flat_map(|(_, mut exchange, _)| {
                inputs.iter().map(|input| {
                    let at = Moment::fixed(UnixTime::from_secs(7), seed);
                    match exchange.resume(&at, input.input()) {
                        Ok(Step::Send(request)) => format!("{} {:?} {:?}", request.uri(), request.headers(), request.body()),
                        Ok(Step::Sign(job)) => format!("{job:?}"),
                        Ok(step) => format!("{step:?}"),
                        Err(error) => error.to_string(),
                    }
                }).collect::<Vec<_>>()
            }).collect()
        };
        prop_assert_eq!(run(), run());
    }
}
