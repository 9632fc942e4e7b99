#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use super::*;
use crate::base64;
use crate::client::Client;
use crate::crypto::{Decrypter, DecryptionFailed, DecryptionJob};
use crate::exchange::{Input, Step};
use crate::jose::{Alg, Enc, JweAlg, KeySet, ResponseEncryption};
use crate::server::EndpointKind;
use crate::testing::{NOW, at, client_of, error_code, json, reply, server};

const PLACE: &str = "https://as.example/userinfo";
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256",
    "x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}]}"#;

fn client() -> Client {
    let server = server().with_endpoint(EndpointKind::Userinfo, PLACE);
    let server = server
        .unwrap()
        .with_endpoint(EndpointKind::Jwks, "https://as.example/jwks");
    client_of(server.unwrap())
}

/// A client that is registered for signed responses.
fn signed_client() -> Client {
    let client = client().with_userinfo_algs([Alg::Es256]);
    client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
    client
}

/// The result of a UserInfo response about `ann`.
fn userinfo(status: u16, media: &str, body: &str) -> Result<Claims, Error> {
    userinfo_with(
        &client(),
        "application/json",
        Signature::Good,
        status,
        media,
        body,
    )
}

/// The result of the signature check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signature {
    Good,
    Bad,
}

fn userinfo_with(
    client: &Client,
    accept: &str,
    signature: Signature,
    status: u16,
    media: &str,
    body: &str,
) -> Result<Claims, Error> {
    let mut call = client.userinfo(Arc::new(Tokens::bearer("t0ken")), "ann".to_owned());
    let Step::Send(request) = call.resume(&at(), Input::Begin)? else {
        panic!("a request");
    };
    assert_eq!(
        (
            request.method().as_str(),
            request.uri().to_string().as_str()
        ),
        ("GET", PLACE)
    );
    assert_eq!(request.headers()["authorization"], "Bearer t0ken");
    assert_eq!(request.headers()["accept"], accept);
    assert!(request.body().is_empty() && !request.headers().contains_key("content-type"));
    let mut input = Input::Reply(reply(status, &[("content-type", media)], body));
    loop {
        input = match call.resume(&at(), input)? {
            Step::Done(claims) => return Ok(claims),
            Step::Verify(_) => Input::Verified(signature == Signature::Good),
            Step::Send(_) => Input::Reply(json(200, KEYS)),
            step => panic!("{step:?}"),
        };
    }
}

/// A token with these claims; the test host decides whether its signature is valid.
fn token(header: &str, claims: &str) -> String {
    let input = crate::jose::signing_input(header, claims);
    format!("{input}.{}", base64::url_safe([1; 64]))
}

fn signed_jwt(claims: &str) -> String {
    token(r#"{"alg":"ES256"}"#, claims)
}

const GOOD: &str = r#"{"iss":"https://as.example","aud":"id","sub":"ann","name":"Ann"}"#;
const JWT: &str = "application/jwt";

fn userinfo_from_signed(token: &str) -> Result<Claims, &'static str> {
    error_code(userinfo_with(
        &signed_client(),
        JWT,
        Signature::Good,
        200,
        JWT,
        token,
    ))
}

#[test]
fn signed_userinfo_is_verified_and_invalid_claims_are_refused() {
    let claims = userinfo_from_signed(&signed_jwt(GOOD)).unwrap();
    assert_eq!(claims.text("name").unwrap(), Some("Ann"));
    let forged = userinfo_with(
        &signed_client(),
        JWT,
        Signature::Bad,
        200,
        JWT,
        &signed_jwt(GOOD),
    );
    assert_eq!(error_code(forged).map(drop), Err("jws.bad_signature"));
    for (claims, expected) in [
        (r#"{"aud":"id","sub":"ann"}"#, "jwt.missing_claim"),
        (
            r#"{"iss":"https://as.example","sub":"ann"}"#,
            "jwt.missing_claim",
        ),
        (
            r#"{"iss":"https://other.example","aud":"id","sub":"ann"}"#,
            "jwt.issuer",
        ),
        (
            r#"{"iss":"https://as.example","aud":["x"],"sub":"ann"}"#,
            "jwt.audience",
        ),
        (
            r#"{"iss":"https://as.example","aud":[],"sub":"ann"}"#,
            "jwt.audience",
        ),
        (
            r#"{"iss":"https://as.example","aud":1,"sub":"ann"}"#,
            "jwt.malformed_claim",
        ),
        (
            r#"{"iss":"https://as.example","aud":["x","id"],"sub":"bob"}"#,
            "userinfo.subject",
        ),
        (
            r#"{"iss":"https://as.example","aud":"id"}"#,
            "userinfo.malformed",
        ),
        (
            r#"{"iss":"https://as.example","aud":"id","sub":"ann","exp":1}"#,
            "jwt.expired",
        ),
        (
            r#"{"iss":"https://as.example","aud":"id","sub":"ann","iat":9999999999}"#,
            "jwt.issued_in_future",
        ),
        (
            r#"{"iss":"https://as.example","aud":"id","sub":"ann","nbf":9999999999}"#,
            "jwt.not_yet_valid",
        ),
        (
            r#"{"iss":"https://as.example","aud":"id","sub":"ann","events":{}}"#,
            "jwt.unexpected_claim",
        ),
        ("[]", "jwt.malformed"),
    ] {
        assert_eq!(
            userinfo_from_signed(&signed_jwt(claims)).map(drop),
            Err(expected),
            "{claims}"
        );
    }
}

#[test]
fn userinfo_without_the_agreed_type_algorithm_or_signature_is_refused() {
    let access = token(r#"{"alg":"ES256","typ":"at+jwt"}"#, GOOD);
    assert_eq!(userinfo_from_signed(&access).map(drop), Err("jwt.typ"));
    let none = token(r#"{"alg":"none"}"#, GOOD);
    assert_eq!(
        userinfo_from_signed(&none).map(drop),
        Err("jws.alg_not_allowed")
    );
    let other = token(r#"{"alg":"RS256"}"#, GOOD);
    assert_eq!(
        userinfo_from_signed(&other).map(drop),
        Err("jws.alg_not_allowed")
    );
    assert_eq!(
        userinfo_from_signed("a.b.c.d.e").map(drop),
        Err("jwe.unexpected")
    );
    assert_eq!(userinfo_from_signed(GOOD).map(drop), Err("jws.malformed"));

    let json = "application/json";
    for (status, media, body, expected) in [
        (200, json, GOOD, "userinfo.not_signed"),
        (200, "text/html", "<html>", "reply.content_type"),
        (
            401,
            json,
            r#"{"error":"invalid_token"}"#,
            "denied.invalid_token",
        ),
        (500, JWT, "no", "denied.busy"),
    ] {
        let result = userinfo_with(&signed_client(), JWT, Signature::Good, status, media, body);
        assert_eq!(
            error_code(result).map(drop),
            Err(expected),
            "{status} {body}"
        );
    }
}

/// Turns every ciphertext into this text.
struct Known(String);

impl Decrypter for Known {
    fn decrypt(&self, _: &DecryptionJob) -> Result<Secret<Vec<u8>>, DecryptionFailed> {
        Ok(Secret::new(self.0.clone().into_bytes()))
    }
}

fn encrypted_jwt(text: &str) -> (ResponseEncryption, String) {
    let header = base64::url_safe(r#"{"alg":"dir","enc":"A128GCM"}"#);
    let [iv, text_part, tag] = [12, 4, 16].map(|bytes| base64::url_safe(vec![1; bytes]));
    let encryption = ResponseEncryption::new(JweAlg::Dir, Known(text.to_owned()));
    let token = format!("{header}..{iv}.{text_part}.{tag}");
    (encryption.encs([Enc::A128Gcm]), token)
}

#[test]
fn encrypted_userinfo_is_decrypted_and_its_inner_signature_verified() {
    // "The UserInfo Response MAY be encrypted without also being signed."
    let (encryption, jwe) = encrypted_jwt(r#"{"sub":"ann","name":"Ann"}"#);
    let plain = client().with_userinfo_encryption(encryption);
    let claims = userinfo_with(&plain, JWT, Signature::Good, 200, JWT, &jwe).unwrap();
    assert_eq!(claims.text("name").unwrap(), Some("Ann"));
    for (media, body, expected) in [
        ("application/json", r#"{"sub":"ann"}"#, "jwe.not_encrypted"),
        (JWT, signed_jwt(GOOD).as_str(), "jwe.not_encrypted"),
        (JWT, "x", "jwe.malformed"),
    ] {
        let result = userinfo_with(&plain, JWT, Signature::Good, 200, media, body);
        assert_eq!(error_code(result).map(drop), Err(expected), "{body}");
    }

    let (encryption, jwe) = encrypted_jwt(&signed_jwt(GOOD));
    let both = signed_client().with_userinfo_encryption(encryption);
    assert!(userinfo_with(&both, JWT, Signature::Good, 200, JWT, &jwe).is_ok());
    let forged = userinfo_with(&both, JWT, Signature::Bad, 200, JWT, &jwe);
    assert_eq!(error_code(forged).map(drop), Err("jws.bad_signature"));
    let unsigned = userinfo_with(&both, JWT, Signature::Good, 200, JWT, &signed_jwt(GOOD));
    assert_eq!(error_code(unsigned).map(drop), Err("jwe.not_encrypted"));

    // If a signature is agreed, an encrypted but unsigned response is refused.
    let (encryption, jwe) = encrypted_jwt(GOOD);
    let both = signed_client().with_userinfo_encryption(encryption);
    let result = userinfo_with(&both, JWT, Signature::Good, 200, JWT, &jwe);
    assert_eq!(error_code(result).map(drop), Err("jws.malformed"));
    // And vice versa: a signed response is refused if none was registered.
    let (encryption, jwe) = encrypted_jwt(&signed_jwt(GOOD));
    let plain = client().with_userinfo_encryption(encryption);
    let result = userinfo_with(&plain, JWT, Signature::Good, 200, JWT, &jwe);
    assert_eq!(error_code(result).map(drop), Err("jwt.malformed"));
}

#[test]
fn userinfo_of_the_signed_in_user_is_returned_and_hidden_in_debug() {
    let claims = userinfo(
        200,
        "application/json; charset=utf-8",
        r#"{"sub":"ann","name":"Ann"}"#,
    )
    .unwrap();
    assert_eq!(claims.text("name").unwrap(), Some("Ann"));
    // The claims do not appear in logs.
    assert!(!format!("{claims:?}").contains("Ann"));
}

#[test]
fn userinfo_without_the_expected_subject_is_refused() {
    let json = "application/json";
    for (status, media, body, expected) in [
        (200, json, r#"{"sub":"bob"}"#, "userinfo.subject"),
        (200, json, r#"{"sub":"ANN"}"#, "userinfo.subject"),
        (200, json, r#"{"name":"Ann"}"#, "userinfo.malformed"),
        (200, json, r#"{"sub":1}"#, "userinfo.malformed"),
        (200, json, r#"{"sub":null}"#, "userinfo.malformed"),
        (
            200,
            json,
            r#"{"sub":"bob","sub":"ann"}"#,
            "reply.duplicate_member",
        ),
        (200, "text/html", "<html>", "reply.content_type"),
        (200, "application/jwt", "e30.e30.e30", "reply.content_type"),
        (
            401,
            json,
            r#"{"error":"invalid_token"}"#,
            "denied.invalid_token",
        ),
        (403, json, "{}", "denied.http_status"),
    ] {
        assert_eq!(
            error_code(userinfo(status, media, body).map(drop)),
            Err(expected),
            "{body}"
        );
    }
}

#[test]
fn tokens_of_another_server_are_not_sent() {
    let foreign = r#"{"version":1,"issuer":"https://other.example","client_id":"id","access_token":"t",
        "received_at":1,"expires_in":null,"scope":"","refresh_token":null,"refresh_scope":null,"id_token":null}"#;
    let tokens = Tokens::from_json(foreign).unwrap();
    let mut call = client().userinfo(Arc::new(tokens), "ann".to_owned());
    let refused = call.resume(&at(), Input::Begin).map(drop);
    assert_eq!(error_code(refused), Err("stored.issuer"));
}
