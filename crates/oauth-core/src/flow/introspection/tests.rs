#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use super::*;
use crate::base64;
use crate::client::Client;
use crate::exchange::{Input, Step};
use crate::jose::{
    Alg, Decrypter, DecryptionFailed, DecryptionJob, Enc, JweAlg, KeySet, ResponseEncryption,
};
use crate::json::{Map, Value};
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::testing::{NOW, at, client_of, error_code, json, reply, server};

const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256",
    "x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}]}"#;
const MEDIA: &str = "application/token-introspection+jwt";
const HEADER: &str = r#"{"alg":"ES256","typ":"token-introspection+jwt"}"#;

/// The result of the signature check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signature {
    Good,
    Bad,
}

fn client() -> Client {
    let server = server().with_endpoint(EndpointKind::Jwks, "https://as.example/jwks");
    let client = client_of(server.unwrap());
    client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
    client
}

fn es256() -> SignedResponse {
    SignedResponse {
        algs: vec![Alg::Es256],
        ..SignedResponse::default()
    }
}

/// The result of requesting a signed response and receiving this one.
fn introspect(
    signed: SignedResponse,
    signature: Signature,
    media: &str,
    body: &str,
) -> Result<IntrospectionResponse, &'static str> {
    let mut exchange = client().introspect(Introspection::new("t").signed(signed));
    let Step::Send(request) = error_code(exchange.resume(&at(), Input::Begin))? else {
        panic!("a request");
    };
    assert_eq!(request.headers()["accept"], MEDIA);
    assert_eq!(request.body().as_ref(), b"token=t");
    let mut input = Input::Reply(reply(200, &[("content-type", media)], body));
    loop {
        input = match error_code(exchange.resume(&at(), input))? {
            Step::Done(state) => return Ok(state),
            Step::Verify(_) => Input::Verified(signature == Signature::Good),
            Step::Send(_) => Input::Reply(json(200, KEYS)),
            step => panic!("{step:?}"),
        };
    }
}

fn token(header: &str, claims: &str) -> String {
    let input = crate::jose::signing_input(header, claims);
    format!("{input}.{}", base64::url_safe([1; 64]))
}

/// A response with these members in addition to the required ones.
fn response(members: &str) -> String {
    token(
        HEADER,
        &format!(r#"{{"iss":"https://as.example","aud":"id","iat":{NOW}{members}}}"#),
    )
}

const ACTIVE: &str = r#","token_introspection":{"active":true,"sub":"ann"}"#;

fn verify(body: &str) -> Result<IntrospectionResponse, &'static str> {
    introspect(es256(), Signature::Good, MEDIA, body)
}

#[test]
fn signed_response_is_verified_and_outer_claims_are_ignored() {
    let Ok(IntrospectionResponse::Active(token)) = verify(&response(ACTIVE)) else {
        panic!("an active token");
    };
    assert_eq!(token.subject.as_deref(), Some("ann"));
    // Its members are read as those of a plain response.
    let empty = r#","token_introspection":{"active":true,"exp":"","iat":"","nbf":""}"#;
    let Ok(IntrospectionResponse::Active(token)) = verify(&response(empty)) else {
        panic!("an active token");
    };
    assert_eq!(
        (token.expires_at, token.issued_at, token.not_before),
        (None, None, None)
    );
    let forged = introspect(es256(), Signature::Bad, MEDIA, &response(ACTIVE));
    assert_eq!(forged.map(drop), Err("jws.bad_signature"));
    // Claims outside `token_introspection` do not describe the token.
    let beside = response(r#","active":true,"token_introspection":{"active":false,"sub":"ann"}"#);
    assert!(matches!(
        verify(&beside),
        Ok(IntrospectionResponse::Inactive)
    ));
}

#[test]
fn signed_response_with_missing_or_malformed_claims_is_refused() {
    let token_with = |claims: &str| token(HEADER, claims);
    let object = r#""token_introspection":{"active":true}"#;
    let iss = r#""iss":"https://as.example""#;
    for (body, expected) in [
        (response(""), "jwt.missing_claim"),
        (
            response(r#","token_introspection":null"#),
            "jwt.missing_claim",
        ),
        (
            response(r#","token_introspection":[]"#),
            "jwt.malformed_claim",
        ),
        (response(r#","active":true"#), "jwt.missing_claim"),
        (
            response(r#","token_introspection":{"active":"true"}"#),
            "introspection.malformed",
        ),
        (
            response(r#","token_introspection":{}"#),
            "introspection.malformed",
        ),
        (
            token_with(&format!(r#"{{"aud":"id","iat":1,{object}}}"#)),
            "jwt.missing_claim",
        ),
        (
            token_with(&format!(r#"{{{iss},"iat":1,{object}}}"#)),
            "jwt.missing_claim",
        ),
        (
            token_with(&format!(r#"{{{iss},"aud":"id",{object}}}"#)),
            "jwt.missing_claim",
        ),
        (
            token_with(&format!(
                r#"{{"iss":"https://x.example","aud":"id","iat":1,{object}}}"#
            )),
            "jwt.issuer",
        ),
        (
            token_with(&format!(r#"{{{iss},"aud":"other","iat":1,{object}}}"#)),
            "jwt.audience",
        ),
        (
            token_with(&format!(
                r#"{{{iss},"aud":"id","iat":9999999999,{object}}}"#
            )),
            "jwt.issued_in_future",
        ),
        (
            token_with(&format!(r#"{{{iss},"aud":"id","iat":1,"exp":2,{object}}}"#)),
            "jwt.expired",
        ),
        (
            token_with(&format!(r#"{{{iss},{iss},"aud":"id","iat":1,{object}}}"#)),
            "jwt.duplicate_member",
        ),
        (token_with("[]"), "jwt.malformed"),
    ] {
        assert_eq!(verify(&body).map(drop), Err(expected), "{body}");
    }
    for header in [
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","typ":"JWT"}"#,
        r#"{"alg":"ES256","typ":"at+jwt"}"#,
    ] {
        let claims = format!(r#"{{{iss},"aud":"id","iat":1,{object}}}"#);
        assert_eq!(
            verify(&token(header, &claims)).map(drop),
            Err("jwt.typ"),
            "{header}"
        );
    }
    // A client is registered for RS256 by default.
    let refused = introspect(
        SignedResponse::default(),
        Signature::Good,
        MEDIA,
        &response(ACTIVE),
    );
    assert_eq!(refused.map(drop), Err("jws.alg_not_allowed"));
}

#[test]
fn configured_resource_server_audience_replaces_the_client_id() {
    let body = token(
        HEADER,
        r#"{"iss":"https://as.example","aud":["https://rs.example"],"iat":1,"token_introspection":{"active":true}}"#,
    );
    let signed = SignedResponse {
        audience: Some("https://rs.example".to_owned()),
        ..es256()
    };
    assert!(introspect(signed.clone(), Signature::Good, MEDIA, &body).is_ok());
    let refused = introspect(signed, Signature::Good, MEDIA, &response(ACTIVE));
    assert_eq!(refused.map(drop), Err("jwt.audience"));
}

#[test]
fn unsigned_response_is_refused_where_a_signed_one_was_requested() {
    let json = "application/json";
    for (media, body, expected) in [
        (json, r#"{"active":true}"#, "introspection.not_signed"),
        (json, r#"{"active":false}"#, "introspection.not_signed"),
        (
            json,
            r#"{"error":"invalid_client"}"#,
            "denied.invalid_client",
        ),
        ("application/jwt", "x", "reply.content_type"),
        (MEDIA, r#"{"active":true}"#, "jws.malformed"),
    ] {
        let result = introspect(es256(), Signature::Good, media, body);
        assert_eq!(result.map(drop), Err(expected), "{body}");
    }
}

/// Turns every ciphertext into this text.
struct Known(String);

impl Decrypter for Known {
    fn decrypt(&self, _: &DecryptionJob) -> Result<Secret<Vec<u8>>, DecryptionFailed> {
        Ok(Secret::new(self.0.clone().into_bytes()))
    }
}

#[test]
fn encrypted_response_is_decrypted_and_verified() {
    let header = base64::url_safe(r#"{"alg":"dir","enc":"A128GCM"}"#);
    let [iv, text, tag] = [12, 4, 16].map(|bytes| base64::url_safe(vec![1; bytes]));
    let jwe = format!("{header}..{iv}.{text}.{tag}");
    let encryption = ResponseEncryption::new(JweAlg::Dir, Known(response(ACTIVE)));
    let signed = SignedResponse {
        encryption: Some(encryption.encs([Enc::A128Gcm])),
        ..es256()
    };
    assert!(introspect(signed.clone(), Signature::Good, MEDIA, &jwe).is_ok());
    let forged = introspect(signed.clone(), Signature::Bad, MEDIA, &jwe);
    assert_eq!(forged.map(drop), Err("jws.bad_signature"));
    let plain = introspect(signed, Signature::Good, MEDIA, &response(ACTIVE));
    assert_eq!(plain.map(drop), Err("jwe.not_encrypted"));
    assert_eq!(verify(&jwe).map(drop), Err("jwe.unexpected"));
}

/// Unsupported algorithms are reported before anything is sent.
#[test]
fn algorithm_not_offered_by_the_server_is_refused_before_sending() {
    let begin = |member: &str, values: &[&str], signed: SignedResponse| {
        let values = values.iter().map(|value| Value::from(*value)).collect();
        let member = format!("introspection_{member}_values_supported");
        let server = server().with_metadata(Map::from_iter([(member, Value::Array(values))]));
        let mut exchange = client_of(server).introspect(Introspection::new("t").signed(signed));
        error_code(exchange.resume(&at(), Input::Begin)).map(drop)
    };
    let refused = Err("introspection.alg_not_supported");
    let algs = ["RS256", "PS256"];
    let plain = SignedResponse::default();
    assert_eq!(begin("signing_alg", &algs, plain.clone()), Ok(()));
    assert_eq!(begin("signing_alg", &algs, es256()), refused);
    let encryption = ResponseEncryption::new(JweAlg::Dir, Known(String::new()));
    let encrypted = SignedResponse {
        encryption: Some(encryption),
        ..plain.clone()
    };
    assert_eq!(begin("encryption_alg", &["RSA-OAEP"], plain), Ok(()));
    for (member, value, expected) in [
        ("signing_alg", "RS256", Ok(())),
        ("encryption_alg", "dir", Ok(())),
        ("encryption_alg", "RSA-OAEP", refused),
        ("encryption_enc", "A128CBC-HS256", Ok(())),
        ("encryption_enc", "A128GCM", refused),
    ] {
        assert_eq!(
            begin(member, &[value], encrypted.clone()),
            expected,
            "{value}"
        );
    }
}
