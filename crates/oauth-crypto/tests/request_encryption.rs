//! Authorization requests that are signed and encrypted, opened by whoever holds the server's private key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use oauth_core::exchange::{Exchange, Input, Step};
use oauth_core::flow::authorization::Authorization;
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, Enc, JweAlg, ResponseEncryption};
use oauth_core::moment::{Moment, UnixTime};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::request_encryption::RequestEncryption;
use oauth_core::request_signing::RequestSigning;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{AuthorizationRequest, Client, ClientAuth, ClientId, Error};
use oauth_crypto::{DecryptionKey, PrivateKey, PublicKeyEncrypter};
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn server(more: &Value) -> Result<Server, Error> {
    let metadata = more.as_object().cloned().unwrap_or_default();
    Server::new(Issuer::parse("https://as.example")?)
        .with_endpoint(EndpointKind::Authorization, "https://as.example/authorize")?
        .with_endpoint(EndpointKind::Jwks, "https://as.example/jwks")
        .map(|server| server.with_metadata(metadata))
}

fn client(more: &Value, encryption: RequestEncryption) -> Result<Client, Error> {
    let client = Client::new(server(more)?, ClientId::new("c1"), ClientAuth::none())?;
    let key = PrivateKey::generate(Alg::Es256)?.signing_key("k1");
    let client = client.with_request_signing(RequestSigning::new(key));
    Ok(client.with_request_encryption(encryption))
}

/// The authorization and the number of key requests.
fn begun(client: &Client, keys: &Value) -> Result<(Authorization, usize), Error> {
    let authorization_request =
        AuthorizationRequest::new(RedirectUri::parse("https://app.example/cb")?);
    let mut exchange =
        client.begin_authorization(authorization_request.resource("https://api.example/")?);
    let at = Moment::fixed(UnixTime::from_secs(1_750_000_000), [7; 32]);
    let (mut input, mut fetches) = (Input::Begin, 0);
    loop {
        match exchange.resume(&at, input)? {
            Step::Done(authorization) => return Ok((authorization, fetches)),
            Step::Send(request) => {
                assert_eq!(request.uri(), "https://as.example/jwks");
                fetches += 1;
                let mut reply = http(keys.to_string());
                let kind = "application/json".parse().expect("a header");
                reply.headers_mut().insert("content-type", kind);
                input = Input::Reply(reply);
            }
            step => panic!("{step:?}"),
        }
    }
}

fn http(body: String) -> oauth_core::http::Response<Bytes> {
    oauth_core::http::Response::new(body.into())
}

fn parameter(authorization: &Authorization) -> String {
    let query = authorization.url.query().expect("a query");
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs
        .find(|(name, _)| *name == "request")
        .expect("a request");
    value.to_owned()
}

fn part(text: &str, at: usize) -> Value {
    let part = text.split('.').nth(at).expect("a part");
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// The public half of a private JWK, with these additional members.
fn public(private: &Value, more: &Value) -> Value {
    let mut jwk = private.clone();
    let members = jwk.as_object_mut().expect("a JWK");
    members.retain(|name, _| ["kty", "crv", "x", "y", "n", "e"].contains(&name.as_str()));
    members.extend(more.as_object().cloned().unwrap_or_default());
    jwk
}

/// Every public-key algorithm, every curve, every `enc`. The decrypter used here also decrypts tokens of another
/// implementation.
#[test]
fn request_object_is_encrypted_to_the_servers_encryption_key() -> Outcome {
    let cases: Vec<Value> = serde_json::from_str(include_str!("jwe.json"))?;
    let mut count = 0;
    for case in &cases {
        let alg = case["alg"]
            .as_str()
            .and_then(JweAlg::from_name)
            .ok_or("alg")?;
        let Ok(encryption) = RequestEncryption::new(alg, PublicKeyEncrypter) else {
            assert_eq!(case["key"]["kty"], "oct", "{alg:?}");
            continue;
        };
        for enc in Enc::ALL {
            let keys = json!({ "keys": [
                public(&case["key"], &json!({ "kid": "theirs", "use": "sig" })),
                public(&case["key"], &json!({ "kid": "for-them", "use": "enc" })),
            ]});
            let client = client(&json!({}), encryption.clone().enc(*enc))?;
            let (authorization, _) = begun(&client, &keys)?;
            let request = parameter(&authorization);
            let header = part(&request, 0);
            assert_eq!(header["alg"], alg.as_str());
            assert_eq!(header["enc"], enc.as_str());
            assert_eq!(
                (&header["kid"], &header["cty"]),
                (&"for-them".into(), &"JWT".into())
            );
            let key = DecryptionKey::from_jwk(&case["key"].to_string(), alg)?;
            let opened = ResponseEncryption::new(alg, key)
                .encs([*enc])
                .decrypt(&request)?;
            let claims = part(opened.expose(), 1);
            assert_eq!(claims["iss"], "c1");
            assert_eq!(claims["resource"], "https://api.example/");
            assert_eq!(part(opened.expose(), 0)["typ"], "oauth-authz-req+jwt");
            count += 1;
        }
    }
    assert_eq!(count, 18 * Enc::ALL.len());
    Ok(())
}

const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"}"#;

fn ecdh_es() -> Result<RequestEncryption, Error> {
    RequestEncryption::new(JweAlg::EcdhEs, PublicKeyEncrypter)
}

#[test]
fn server_keys_are_fetched_once_and_cached() -> Outcome {
    let jwk: Value = serde_json::from_str(EC)?;
    let keys = json!({ "keys": [public(&jwk, &json!({ "use": "enc" }))] });
    let client = client(&json!({}), ecdh_es()?)?;
    let (first, fetches) = begun(&client, &keys)?;
    assert_eq!(fetches, 1);
    let (second, fetches) = begun(&client, &keys)?;
    assert_eq!(fetches, 0);
    // Each request uses a fresh ephemeral key.
    assert_ne!(
        part(&parameter(&first), 0)["epk"],
        part(&parameter(&second), 0)["epk"]
    );
    // Exported keys suffice after a restart.
    let restarted = self::client(&json!({}), ecdh_es()?)?;
    restarted.import_keys(&client.export_keys().ok_or("keys")?)?;
    let (_, fetches) = begun(&restarted, &keys)?;
    assert_eq!(fetches, 0);
    Ok(())
}

#[test]
fn encryption_key_must_match_use_alg_key_ops_and_type() -> Outcome {
    let jwk: Value = serde_json::from_str(EC)?;
    let refused = |more: Value| -> Result<Option<&'static str>, Error> {
        let client = client(&json!({}), ecdh_es()?)?;
        let begun = begun(&client, &json!({ "keys": [public(&jwk, &more)] }));
        Ok(begun.err().map(|error| error.code()))
    };
    for fit in [
        json!({}),
        json!({ "use": "enc" }),
        json!({ "use": "enc", "alg": "ECDH-ES" }),
        json!({ "key_ops": ["deriveBits"] }),
    ] {
        assert_eq!(refused(fit.clone())?, None, "{fit}");
    }
    for unfit in [
        json!({ "use": "sig" }),
        json!({ "use": "other" }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "ECDH-ES+A256KW" }),
        json!({ "key_ops": ["verify"] }),
        json!({ "kty": "RSA" }),
        json!({ "kid": 7 }),
    ] {
        assert_eq!(
            refused(unfit.clone())?,
            Some("jwe.no_matching_key"),
            "{unfit}"
        );
    }
    Ok(())
}

/// A key that was added after the key set was fetched is found, without repeated requests.
#[test]
fn missing_encryption_key_is_fetched_again_with_the_next_request() -> Outcome {
    let jwk: Value = serde_json::from_str(EC)?;
    let client = client(&json!({}), ecdh_es()?)?;
    let none = json!({ "keys": [] });
    let code = |keys: &Value| {
        begun(&client, keys)
            .map(|(_, fetches)| fetches)
            .map_err(|e| e.code())
    };
    assert_eq!(code(&none), Err("jwe.no_matching_key"));
    let keys = json!({ "keys": [public(&jwk, &json!({ "use": "enc" }))] });
    assert_eq!(code(&keys), Ok(1));
    assert_eq!(code(&keys), Ok(0));
    Ok(())
}

#[test]
fn unsupported_or_unsigned_encryption_is_refused_before_sending() -> Outcome {
    let none = json!({ "keys": [] });
    for more in [
        json!({ "request_object_encryption_alg_values_supported": ["RSA-OAEP-256"] }),
        json!({ "request_object_encryption_enc_values_supported": ["A256GCM"] }),
    ] {
        let client = client(&more, ecdh_es()?)?;
        let refused = begun(&client, &none)
            .map(drop)
            .map_err(|error| error.code());
        assert_eq!(refused, Err("key.algorithm"), "{more}");
    }
    // Encryption requires a signature.
    let plain = Client::new(server(&json!({}))?, ClientId::new("c1"), ClientAuth::none())?;
    let plain = plain.with_request_encryption(ecdh_es()?);
    let refused = begun(&plain, &none).map(drop).map_err(|error| error.code());
    assert_eq!(refused, Err("misuse.setup"));
    Ok(())
}
