//! No secret in any `Debug`, `Display` or error chain, regardless of what the server writes back.

use std::error::Error as _;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use oauth_core::error::{Cause, Error};
use oauth_core::grant::Extension;
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Exchange, Input, Moment,
    PendingAuthorization, Scope, Step, Tokens,
};
use proptest::prelude::*;

fn everything_shown(error: &Error) -> String {
    let mut text = format!(
        "{error} {error:?} {}",
        serde_json::to_string(error).expect("JSON")
    );
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}

fn client(auth: ClientAuth) -> Client {
    Server::new(Issuer::parse("https://as.example").expect("an issuer"))
        .with_endpoint(EndpointKind::Token, "https://as.example/token")
        .and_then(|server| {
            server.with_endpoint(EndpointKind::Authorization, "https://as.example/authorize")
        })
        .and_then(|server| Client::new(server, ClientId::new("id"), auth))
        .expect("a client")
}

fn moment() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_750_000_000), [5; 32])
}

proptest! {
    #![proptest_config(oauth_tests::cases(2_000))]

    #[test]
    fn an_echoed_secret_is_never_shown_in_errors(
        secret in "Zq[A-Za-z0-9+/%:~\"\\\\]{8,24}|Zq[a-z]{1500}",
        template in prop::sample::select(vec![
            r#"{"error":"invalid_client","error_description":"bad %"}"#, r#"{"error":"%"}"#,
            r#"{"error":"x","error_uri":"https://as.example/%","hint":"%","deep":{"a":["%"],"%":1}}"#,
            r#"{"error":"x","error_description":"long @ %"}"#, r#"{"error":"x","authed_user":{"access_token":"%"}}"#,
            r#"{"access_token":"%","token_type":"%"}"#, r#"{"%":1,"%":2}"#, r#"{"message":"%"}"#, "%", "<html>%</html>",
            r#"{"access_token":"%"}"#, r#"{"access_token":"%","token_type":"Bearer","scope":7}"#,
        ]),
        status in prop::sample::select(vec![200u16, 302, 400, 401, 500]),
        basic in any::<bool>(),
    ) {
        let auth = if basic { ClientAuth::basic(secret.as_str()) } else { ClientAuth::post(secret.as_str()) };
        let client = client(auth);
        let mut texts = vec![format!("{client:?} {client:#?}")];
        let quoted = serde_json::to_string(&secret).expect("JSON");
        let escaped = quoted.trim_start_matches('"').strip_suffix('"').expect("quotes");
        for name in ["refresh_token", "password", "assertion", "pin"] {
            let grant = Extension::new("urn:x").and_then(|grant| grant.parameter(name, secret.as_str())).expect("a grant");
            let mut exchange = client.token(grant, Scope::none());
            if let Ok(step) = exchange.resume(&moment(), Input::Begin) {
                texts.push(format!("{step:?}"));
                if let Step::Send(request) = step {
                    texts.push(format!("{:?} {}", request.headers(), request.uri()));
                }
            }
            let body = template.replace('%', escaped).replace('@', &"x".repeat(700));
            let mut reply = Response::new(Bytes::from(body));
            *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
            reply.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            reply.headers_mut().insert("location", HeaderValue::from_str(&format!("https://evil.example/?{secret}")).expect("ASCII"));
            match exchange.resume(&moment(), Input::Reply(reply)) {
                Err(error) => texts.push(everything_shown(&error)),
                Ok(step) => texts.push(format!("{step:?}")),
            }
        }
        for text in texts {
            let is_shown = text.contains(&secret) || text.contains(escaped);
            prop_assert!(!is_shown, "{} shows {}", text, secret);
            if secret.len() > 1000 {
                prop_assert!(!text.contains(&secret[..16]), "{} shows a part of {}", text, secret);
            }
        }
    }

    #[test]
    fn flows_and_tokens_show_no_secrets(seed in any::<[u8; 32]>(), token in "Zq[A-Za-z0-9]{8,24}") {
        let at = Moment::fixed(UnixTime::from_secs(0), seed);
        let uri = RedirectUri::parse("https://app.example/cb").expect("a URI");
        let request = AuthorizationRequest::new(uri).scope(Scope::parse("openid").expect("a scope"));
        let (url, pending) = client(ClientAuth::none()).authorize(&at, request).expect("a URL");
        let stored: serde_json::Value = serde_json::from_str(pending.to_json().expose()).expect("JSON");
        let secrets: Vec<_> = ["state", "nonce", "code_verifier"].iter().filter_map(|name| stored[*name].as_str()).collect();
        prop_assert_eq!(secrets.len(), 3);
        let text = format!("{at:?} {url:?} {pending:?} {:?}", pending.to_json());
        for secret in &secrets {
            prop_assert!(!text.contains(secret), "{}", text);
        }
        prop_assert!(!url.as_str().contains(secrets[2]), "the verifier never enters a URL");
        let again = PendingAuthorization::from_json(pending.to_json().expose()).expect("a flow");
        prop_assert!(again.to_json().matches(pending.to_json().expose()));
        let callback = format!("https://app.example/cb?code={token}&state={token}");
        let refused = client(ClientAuth::none()).redeem(pending, &callback).err().expect("a refusal");
        prop_assert!(!everything_shown(&refused).contains(&token));
        let stored = serde_json::json!({
            "version": 1, "issuer": "https://as.example", "client_id": "id", "access_token": token,
            "received_at": 0, "expires_in": 60, "scope": "a b", "refresh_token": token, "refresh_scope": null,
            "id_token": token, "extra": { "user": token },
        });
        let tokens = Tokens::from_json(&stored.to_string()).expect("tokens");
        let text = format!("{tokens:?} {:?}", tokens.to_json());
        prop_assert!(!text.contains(&token));
        let again = Tokens::from_json(tokens.to_json().expose()).expect("tokens");
        prop_assert!(again.to_json().matches(tokens.to_json().expose()));
        let broken = Tokens::from_json(&format!("{{\"access_token\":\"{token}\"")).expect_err("a refusal");
        prop_assert!(!everything_shown(&broken).contains(&token));
        let lost = Error::lost(Cause::unknown("cut off"));
        prop_assert!(everything_shown(&lost).contains("cut off"));
    }

    /// Whatever the caller adds to the URL, the protocol's own parameters stay what they are.
    #[test]
    fn extra_parameters_never_override_protocol_parameters(name in "[a-z_]{0,14}|client_id|state|redirect_uri|client_secret|scope", value in "[ -~]{0,12}") {
        let uri = || AuthorizationRequest::new(RedirectUri::parse("https://app.example/cb").expect("a URI"));
        let plain = client(ClientAuth::basic("S3CR3T-value")).authorize(&moment(), uri()).expect("a URL").0;
        let Ok((url, _)) = client(ClientAuth::basic("S3CR3T-value")).authorize(&moment(), uri().extra(&name, &value)) else {
            return Ok(());
        };
        let read = |url: &oauth_core::url::Url| -> Vec<(String, String)> {
            serde_urlencoded::from_str(url.query().unwrap_or_default()).expect("a query")
        };
        let (mut with, without) = (read(&url), read(&plain));
        prop_assert_eq!(with.pop(), Some((name.clone(), value.clone())));
        prop_assert_eq!(&with, &without);
        prop_assert!(with.iter().all(|(key, _)| *key != name));
        prop_assert!(!url.as_str().contains("S3CR3T-value"));
    }
}
