//! Known attacks on tokens and JOSE, with a test named after each. The comment describes the vulnerability and
//! where it was found.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use oauth_core::crypto::Signer as _;
use oauth_core::exchange::{VerificationJob, VerificationKey};
use oauth_core::flow::access_token::AccessTokenVerifier;
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, Enc, JweAlg, PublicJwk, ResponseEncryption};
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::id_token::{IdToken, IdTokenChecks};
use oauth_core::{Client, ClientAuth, ClientId, Error, Exchange, Input, Moment, Secret, Step};
use oauth_crypto::{DecryptionKey, PrivateKey};
use serde_json::{Value, json};

const ISSUER: &str = "https://as.example";
const CLIENT: &str = "client1";
const NOW: u64 = 1_750_000_000;

struct Fixture {
    key: PrivateKey,
    client: Client,
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "ann", "aud": CLIENT, "iat": NOW, "exp": NOW + 60 })
}

fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

impl Fixture {
    fn new(alg: Alg) -> Self {
        let server = Server::new(Issuer::parse(ISSUER).expect("an issuer"))
            .with_endpoint(EndpointKind::Jwks, "https://as.example/jwks")
            .expect("an endpoint");
        let auth = ClientAuth::basic("a secret of more than thirty-two bytes");
        let client = Client::new(server, ClientId::new(CLIENT), auth).expect("a client");
        Self {
            key: PrivateKey::generate(alg).expect("a key"),
            client: client.with_id_token_algs([alg]),
        }
    }

    fn header(&self) -> Value {
        json!({ "alg": self.key.alg().as_str(), "kid": "k" })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let input = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(input.as_bytes()).expect("a signature");
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn valid_token(&self) -> String {
        self.sign(&self.header(), &claims())
    }

    fn jwks(&self) -> Value {
        let mut key = self.key.public_jwk().to_value();
        key["kid"] = "k".into();
        json!({ "keys": [key] })
    }

    fn verify(&self, token: &str) -> Result<IdToken, &'static str> {
        let checks = IdTokenChecks::default();
        let exchange = self.client.verify_id_token(Secret::from(token), checks);
        run(exchange, &self.jwks()).map_err(|error| error.code())
    }

    /// The error code for a refused token.
    fn refusal(&self, token: &str) -> &'static str {
        self.verify(token).map(drop).expect_err("it is refused")
    }

    fn claims_refusal(&self, claims: &Value) -> &'static str {
        self.refusal(&self.sign(&self.header(), claims))
    }
}

fn run<E: Exchange>(mut exchange: E, keys: &Value) -> Result<E::Output, Error> {
    let at = Moment::without_randomness(UnixTime::from_secs(NOW));
    let mut input = Input::Begin;
    loop {
        input = match exchange.resume(&at, input)? {
            Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
            Step::Send(_) => {
                let reply = Response::builder().header("content-type", "application/json");
                Input::Reply(reply.body(Bytes::from(keys.to_string())).expect("a reply"))
            }
            Step::Done(output) => return Ok(output),
            Step::Sleep(_) | Step::Sign(_) => Input::Elapsed,
        };
    }
}

fn is_valid(alg: Alg, key: &PublicJwk, input: &str, signature: &[u8]) -> bool {
    oauth_crypto::verify(&VerificationJob::Signature {
        alg: alg.as_str(),
        key: VerificationKey::Public(Arc::new(key.clone())),
        signing_input: Bytes::copy_from_slice(input.as_bytes()),
        signature: Bytes::copy_from_slice(signature),
    })
}

/// CVE-2015-9235, CVE-2022-23540: the algorithm was read from the token.
#[test]
fn b1_alg_none_is_refused() {
    let party = Fixture::new(Alg::Es256);
    for name in ["none", "None", "NONE", "nOnE"] {
        assert!(Alg::from_name(name).is_none());
        let header = json!({ "alg": name });
        let unsigned = format!("{}.{}.", part(&header), part(&claims()));
        assert_eq!(party.refusal(&unsigned), "jws.alg_not_allowed", "{name}");
        let signed = party.sign(&header, &claims());
        assert_eq!(party.refusal(&signed), "jws.alg_not_allowed", "{name}");
    }
}

/// CVE-2017-11424, CVE-2024-37568: a public key was accepted as an HMAC secret.
#[test]
fn b2_a_public_key_is_not_used_as_an_hmac_secret() {
    let party = Fixture::new(Alg::Rs256);
    let header = json!({ "alg": "HS256", "kid": "k" });
    let input = format!("{}.{}", part(&header), part(&claims()));
    for secret in [party.key.public_jwk().to_json(), party.jwks().to_string()] {
        let tag = oauth_crypto::mac(Alg::Hs256, secret.as_bytes(), input.as_bytes());
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag.expect("a tag")));
        assert_eq!(party.refusal(&token), "jws.alg_not_allowed");
        let tag = URL_SAFE_NO_PAD
            .decode(token.rsplit('.').next().expect("a tag"))
            .expect("base64");
        assert!(!is_valid(Alg::Hs256, party.key.public_jwk(), &input, &tag));
    }
}

/// CVE-2018-0114: a key in the token was trusted.
#[test]
fn b3_keys_in_the_header_are_not_trusted() {
    let (party, thief) = (Fixture::new(Alg::Es256), Fixture::new(Alg::Es256));
    let jwk = thief.key.public_jwk().to_value();
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = thief.header();
        header[name] = value;
        let token = thief.sign(&header, &claims());
        assert_eq!(party.refusal(&token), "jws.bad_signature", "{name}");
        header["kid"] = "of the thief".into();
        let token = thief.sign(&header, &claims());
        assert_eq!(party.refusal(&token), "jws.no_matching_key", "{name}");
    }
}

/// CVE-2026-45363: an unknown key was treated as an empty one.
#[test]
fn b4_a_secret_shorter_than_its_hash_is_refused() {
    let server = || Server::new(Issuer::parse(ISSUER).expect("an issuer"));
    for secret in ["", "short", "thirty-one bytes are too few ...."] {
        let secret = secret.get(..31).unwrap_or(secret);
        let auth = ClientAuth::post(secret);
        let client = Client::new(server(), ClientId::new(CLIENT), auth).expect("a client");
        let client = client.with_id_token_algs([Alg::Hs256]);
        let input = format!("{}.{}", part(&json!({ "alg": "HS256" })), part(&claims()));
        let tag = oauth_crypto::mac(Alg::Hs256, secret.as_bytes(), input.as_bytes());
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag.expect("a tag")));
        let exchange = client.verify_id_token(Secret::new(token), IdTokenChecks::default());
        let refused = run(exchange, &Value::Null)
            .map(drop)
            .expect_err("too short");
        assert_eq!(refused.code(), "jws.key_too_small");
        assert!(oauth_crypto::client_secret_jwt(secret, Alg::Hs256).is_err());
    }
}

/// CVE-2020-15240: a flow did not verify the signature. The type `Unverified` cannot become an [`IdToken`] otherwise.
#[test]
fn b5_claims_require_a_valid_signature() {
    let party = Fixture::new(Alg::Es256);
    let valid = party.valid_token();
    assert_eq!(party.verify(&valid).expect("a good token").subject(), "ann");
    let (input, signature) = valid.rsplit_once('.').expect("three parts");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    for at in 0..bytes.len() {
        bytes[at] ^= 1;
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(&bytes));
        assert_eq!(party.refusal(&token), "jws.bad_signature", "{at}");
        bytes[at] ^= 1;
    }
    assert_eq!(party.refusal(&format!("{input}.")), "jws.bad_signature");
}

/// CVE-2025-59420: critical header parameters were ignored.
#[test]
fn b6_a_critical_extension_is_refused() {
    let party = Fixture::new(Alg::Es256);
    for crit in [json!(["b64"]), json!(["x"]), json!(["x", "x"])] {
        let mut header = party.header();
        header["crit"] = crit;
        header["x"] = true.into();
        let token = party.sign(&header, &claims());
        assert_eq!(party.refusal(&token), "jws.unsupported_crit");
    }
    for crit in ["[]", r#""x""#, r#"["alg"]"#, "{}", "[7]", "null"] {
        let mut header = party.header();
        header["crit"] = crit.parse().expect("JSON");
        assert_eq!(
            party.refusal(&party.sign(&header, &claims())),
            "jws.malformed"
        );
    }
}

/// CVE-2026-25537: a claim of the wrong type was treated as absent.
#[test]
fn b7_a_claim_of_the_wrong_type_is_malformed() {
    let party = Fixture::new(Alg::Es256);
    for name in ["exp", "iat", "nbf", "auth_time"] {
        for value in [
            json!("1750000060"),
            json!(true),
            json!([]),
            json!({}),
            json!(null),
        ] {
            let refused = party.claims_refusal(&claims_with(name, value));
            assert_eq!(refused, "jwt.malformed_claim", "{name}");
        }
    }
}

/// CVE-2020-26160, CVE-2024-53861: arrays and substrings were accepted, or checks skipped.
#[test]
fn b8_issuer_and_audience_are_compared_exactly() {
    let party = Fixture::new(Alg::Es256);
    for issuer in [
        "https://as.example/",
        "https://as.exampl",
        "https://as.example.evil",
        "",
        "HTTPS://as.example",
    ] {
        let refused = party.claims_refusal(&claims_with("iss", json!(issuer)));
        assert_eq!(refused, "jwt.issuer", "{issuer}");
    }
    for audience in [
        json!("client"),
        json!("client11"),
        json!(["client"]),
        json!([]),
        json!(""),
    ] {
        let refused = party.claims_refusal(&claims_with("aud", audience));
        assert_eq!(refused, "jwt.audience");
    }
    for name in ["iss", "aud"] {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove(name);
        assert_eq!(party.claims_refusal(&claims), "jwt.missing_claim", "{name}");
    }
    let several = claims_with("aud", json!([CLIENT, "another"]));
    assert_eq!(party.claims_refusal(&several), "jwt.untrusted_audience");
}

/// CVE-2026-28498: with an unknown algorithm every hash was accepted.
#[test]
fn b9_a_hash_of_an_unknown_algorithm_is_refused() {
    let job = |hash: &'static str, half: &str| VerificationJob::HalfHash {
        hash,
        value: Secret::from("token"),
        half: half.to_owned(),
    };
    for half in ["", "PEaenWx2aTVIhnQlSnsz-A"] {
        assert!(!oauth_crypto::verify(&job("SHA-1", half)));
        assert!(!oauth_crypto::verify(&job("", half)));
    }
    assert!(!oauth_crypto::verify(&job("SHA-256", "")));
}

fn encrypted_token(party: &Fixture, header: &Value, ciphertext: &str) -> (String, Fixture) {
    let jwk = r#"{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;
    let key = DecryptionKey::from_jwk(jwk, JweAlg::Dir).expect("a key");
    let encryption = ResponseEncryption::new(JweAlg::Dir, key).encs([Enc::A128CbcHs256]);
    let token = format!(
        "{}..{}.{ciphertext}.{}",
        part(header),
        "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA"
    );
    let client = party.client.clone().with_id_token_encryption(encryption);
    let party = Fixture {
        key: party.key.clone(),
        client,
    };
    (token, party)
}

/// CVE-2026-29000, CVE-2018-1000539: the encrypted token was unsigned, or its tag truncated.
#[test]
fn b10_an_encrypted_token_must_be_signed_and_complete() {
    let party = Fixture::new(Alg::Es256);
    let header = json!({ "alg": "dir", "enc": "A128CBC-HS256" });
    let (token, recipient) = encrypted_token(&party, &header, "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(recipient.refusal(&token), "jwe.decryption");
    let truncated = token.rsplit_once('.').expect("five parts").0.to_owned() + ".AAAA";
    assert_eq!(recipient.refusal(&truncated), "jwe.decryption");
    assert_eq!(party.refusal(&token), "jwe.unexpected");
    assert_eq!(recipient.refusal(&party.valid_token()), "jwe.not_encrypted");
}

/// CVE-2021-29444, CVE-2026-28490: decryption failures could be distinguished.
#[test]
fn b11_decryption_failures_are_indistinguishable_and_rsa1_5_is_unsupported() {
    assert!(JweAlg::from_name("RSA1_5").is_none());
    let party = Fixture::new(Alg::Es256);
    let header = json!({ "alg": "dir", "enc": "A128CBC-HS256" });
    for inside in [
        "AAAAAAAAAAAAAAAAAAAAAA",
        "_____________________w",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        let (token, recipient) = encrypted_token(&party, &header, inside);
        assert_eq!(recipient.refusal(&token), "jwe.decryption");
    }
}

/// CVE-2024-28176, CVE-2023-52428: unbounded decompression and iterations.
#[test]
fn b12_compression_and_pbes2_are_refused() {
    assert!(
        ["PBES2-HS256+A128KW", "PBES2-HS512+A256KW"]
            .iter()
            .all(|name| JweAlg::from_name(name).is_none())
    );
    let party = Fixture::new(Alg::Es256);
    let zipped = json!({ "alg": "dir", "enc": "A128CBC-HS256", "zip": "DEF" });
    let (token, recipient) = encrypted_token(&party, &zipped, "AAAA");
    assert_eq!(recipient.refusal(&token), "jwe.compression");
    // Refused for its size, before anything of it is decoded.
    for size in [1 << 20, 100 << 20] {
        let large = format!("{}.{}.c2ln", part(&party.header()), "A".repeat(size));
        assert_eq!(party.refusal(&large), "jws.malformed");
    }
}

/// CVE-2025-22868, CVE-2025-53864: unbounded numbers of dots and nesting.
#[test]
fn b13_dots_and_depth_are_bounded() {
    let party = Fixture::new(Alg::Es256);
    for dots in [200_000, 100 << 20] {
        assert_eq!(party.refusal(&".".repeat(dots)), "jws.malformed");
    }
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","x":{nested}}}"#));
    assert_eq!(
        party.refusal(&format!("{header}.e30.c2ln")),
        "jws.malformed"
    );
}

/// CVE-2022-21449: a signature of zeros was always accepted.
#[test]
fn b14_a_signature_of_zeros_is_refused() {
    for alg in [Alg::Es256, Alg::Es384, Alg::Es512, Alg::EdDsa] {
        let key = PrivateKey::generate(alg).expect("a key");
        let bytes = alg.signature_bytes().expect("a length");
        for byte in [0, 0xff] {
            assert!(!is_valid(alg, key.public_jwk(), "a.b", &vec![byte; bytes]));
        }
        assert!(!is_valid(alg, key.public_jwk(), "a.b", &[]));
    }
}

/// CVE-2016-9122: with several signatures, the caller could not tell which was valid.
#[test]
fn b15_a_token_has_one_signature() {
    let party = Fixture::new(Alg::Es256);
    let valid = party.valid_token();
    let parts: Vec<_> = valid.split('.').collect();
    let json = json!({ "payload": parts[1], "signatures": [{ "protected": parts[0], "signature": parts[2] }] });
    assert_eq!(party.refusal(&json.to_string()), "jws.malformed");
    assert_eq!(
        party.refusal(&format!("{valid}.{}", parts[2])),
        "jws.malformed"
    );
}

/// One key signs tokens of several kinds.
#[test]
fn b16_a_token_of_one_kind_is_not_accepted_as_another() {
    let party = Fixture::new(Alg::Es256);
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "logout+jwt",
        "token-introspection+jwt",
        "dpop+jwt",
    ] {
        let mut header = party.header();
        header["typ"] = typ.into();
        assert_eq!(
            party.refusal(&party.sign(&header, &claims())),
            "jwt.typ",
            "{typ}"
        );
    }
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    assert_eq!(
        party.claims_refusal(&claims_with("events", event)),
        "jwt.unexpected_claim"
    );
    let server = party.client.server().clone();
    let verifier = AccessTokenVerifier::new(server, CLIENT);
    let verified = run(verifier.verify(&party.valid_token()), &party.jwks()).map(drop);
    assert_eq!(verified.expect_err("an ID token").code(), "jwt.typ");
}

/// CVE-2016-7036: secrets were compared byte by byte.
#[test]
fn b17_secrets_have_no_equality_operator() {
    trait Ambiguous<A> {
        fn of() {}
    }
    impl<T> Ambiguous<()> for T {}
    struct HasPartialEq;
    impl<T: PartialEq> Ambiguous<HasPartialEq> for T {}
    // Compiles only as long as a secret has no `==`.
    let _ = <Secret<String> as Ambiguous<_>>::of;
    assert!(Secret::from("a secret").matches("a secret"));
    assert!(!Secret::from("a secret").matches("a secreu"));
}

/// CVE-2024-21632, CVE-2026-55076: users were identified by an email address that anyone can claim.
#[test]
fn b18_users_are_identified_by_issuer_and_subject() {
    let party = Fixture::new(Alg::Es256);
    let mut claims = claims_with("email", json!("ann@example.com"));
    claims["email_verified"] = json!("true");
    let token = party
        .verify(&party.sign(&party.header(), &claims))
        .expect("a good token");
    assert_eq!((token.issuer(), token.subject()), (ISSUER, "ann"));
    let verified = token.claims().get("email_verified");
    assert_eq!(verified.and_then(Value::as_bool), None, "no boolean");
}

/// Clock differences, and times beyond the range of clocks.
#[test]
fn b19_times_are_checked_with_tolerance_and_without_overflow() {
    let party = Fixture::new(Alg::Es256);
    for (name, value, expected_code) in [
        ("exp", json!(NOW - 60), Some("jwt.expired")),
        ("exp", json!(NOW - 59), None),
        ("exp", json!(0), Some("jwt.expired")),
        ("exp", json!(-1), Some("jwt.expired")),
        ("exp", json!(u64::MAX), None),
        ("iat", json!(NOW + 61), Some("jwt.issued_in_future")),
        ("iat", json!(NOW + 60), None),
        ("iat", json!(u64::MAX), Some("jwt.issued_in_future")),
        ("nbf", json!(NOW + 61), Some("jwt.not_yet_valid")),
    ] {
        let token = party.sign(&party.header(), &claims_with(name, value.clone()));
        assert_eq!(party.verify(&token).err(), expected_code, "{name} {value}");
    }
}

/// CVE-2024-51744: the claims were returned together with an error.
#[test]
fn b20_an_error_contains_no_claims() {
    let party = Fixture::new(Alg::Es256);
    let expired = party.sign(&party.header(), &claims_with("exp", json!(1)));
    let checks = IdTokenChecks::default();
    let exchange = party
        .client
        .verify_id_token(Secret::from(expired.as_str()), checks);
    let refused = run(exchange, &party.jwks()).expect_err("it has expired");
    let shown = format!("{refused} {refused:?}");
    assert!(
        !shown.contains("ann") && !shown.contains(&expired),
        "{shown}"
    );
}
