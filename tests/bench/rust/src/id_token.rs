//! An ID token verified with a known key, compared with the bare verification of its signature by the crypto
//! library, and with the peers.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use oauth_core::crypto::Signer as _;
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, KeySet, PublicJwk};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::id_token::IdTokenChecks;
use oauth_core::{Client, ClientAuth, ClientId, Exchange, Input, Moment, Secret, Step};
use oauth_crypto::PrivateKey;
use openidconnect::core::{
    CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm,
};
use openidconnect::{IssuerUrl, Nonce};
use serde_json::{Value, json};

use crate::measure;
use crate::{FLOOR, ID, ISSUER, OURS, Side, print_figure};

/// How many times the bare verification the whole may take.
const BUDGET: f64 = 1.15;

struct BenchCase {
    alg: Alg,
    token: String,
    key: PublicJwk,
    set: Value,
}

fn bench_case(alg: Alg, keys: usize) -> BenchCase {
    let key = PrivateKey::generate(alg).expect("a key");
    let now = Moment::system().expect("a clock").now().as_secs();
    let header = json!({ "alg": alg.as_str(), "kid": "k", "typ": "JWT" });
    let claims = json!({
        "iss": ISSUER, "sub": "248289761001", "aud": ID, "nonce": "n-0S6_WzA2Mj",
        "exp": now + 36_000, "iat": now, "auth_time": now, "email": "ann@example.com",
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(&header), part(&claims));
    let signature = key.sign(input.as_bytes()).expect("a signature");
    let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
    let mut all: Vec<Value> = (1..keys)
        .map(|number| {
            let other = PrivateKey::generate(Alg::Es256).expect("a key");
            let mut jwk = other.public_jwk().to_value();
            jwk["kid"] = format!("other {number}").into();
            jwk
        })
        .collect();
    let mut jwk = key.public_jwk().to_value();
    jwk["kid"] = "k".into();
    jwk["use"] = "sig".into();
    all.push(jwk);
    BenchCase {
        alg,
        token,
        key: key.public_jwk().clone(),
        set: json!({ "keys": all }),
    }
}

/// The bare verification, of existing bytes.
fn floor(given: &BenchCase) -> Side {
    let (input, signature) = given.token.rsplit_once('.').expect("three parts");
    let input = input.to_owned();
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    let bytes = |name: &str| given.key.bytes(name).unwrap_or_default();
    let (x, y, n, e) = (bytes("x"), bytes("y"), bytes("n"), bytes("e"));
    let alg = given.alg;
    Side::new(FLOOR, move |_, visit| {
        let verified = match alg {
            Alg::Rs256 => RsaPublicKeyComponents { n: &n, e: &e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                input.as_bytes(),
                &signature,
            ),
            Alg::Es256 => {
                let point = [&[4][..], &x, &y].concat();
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                key.verify(input.as_bytes(), &signature)
            }
            _ => UnparsedPublicKey::new(&ED25519, &x).verify(input.as_bytes(), &signature),
        };
        verified.expect("a good signature");
        visit("", 0);
    })
}

fn ours(given: &BenchCase) -> Side {
    let server = Server::new(Issuer::parse(ISSUER).expect("an issuer"))
        .with_endpoint(EndpointKind::Jwks, "https://server.example.com/jwks")
        .expect("an endpoint");
    let client = Client::new(server, ClientId::new(ID), ClientAuth::none()).expect("a client");
    let client = client.with_id_token_algs([given.alg]);
    let set = KeySet::parse(&given.set.to_string()).expect("keys");
    client.keep_keys(Moment::system().expect("a clock").now(), set);
    let token = given.token.clone();
    Side::new(OURS, move |_, visit| {
        let mut checks = IdTokenChecks::default();
        checks.nonce = Some(Secret::from("n-0S6_WzA2Mj"));
        let mut exchange = client.verify_id_token(Secret::from(token.as_str()), checks);
        let at = Moment::system().expect("a clock");
        let mut input = Input::Begin;
        let verified = loop {
            input = match exchange.resume(&at, input).expect("a good token") {
                Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
                Step::Done(verified) => break verified,
                _ => unreachable!("the keys are known"),
            };
        };
        visit(verified.subject(), 0);
    })
}

fn openidconnect(given: &BenchCase) -> Side {
    let set: CoreJsonWebKeySet = serde_json::from_value(given.set.clone()).expect("keys");
    let alg = match given.alg {
        Alg::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        Alg::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        _ => CoreJwsSigningAlgorithm::EdDsa,
    };
    let issuer = IssuerUrl::new(ISSUER.to_owned()).expect("a URL");
    let id = openidconnect::ClientId::new(ID.to_owned());
    let verifier = CoreIdTokenVerifier::new_public_client(id, issuer, set).set_allowed_algs([alg]);
    let nonce = Nonce::new("n-0S6_WzA2Mj".to_owned());
    let token = given.token.clone();
    Side::new("openidconnect", move |_, visit| {
        let token: CoreIdToken = token.parse().expect("a token");
        let claims = token.claims(&verifier, &nonce).expect("a good token");
        visit(claims.subject(), 0);
    })
}

fn jsonwebtoken(given: &BenchCase) -> Side {
    let key = serde_json::from_str(&given.key.to_json()).expect("a JWK");
    let key = DecodingKey::from_jwk(&key).expect("a key");
    let mut validation = Validation::new(match given.alg {
        Alg::Rs256 => Algorithm::RS256,
        Alg::Es256 => Algorithm::ES256,
        _ => Algorithm::EdDSA,
    });
    validation.set_audience(&[ID]);
    validation.set_issuer(&[ISSUER]);
    let token = given.token.clone();
    Side::new("jsonwebtoken", move |_, visit| {
        let decoded = jsonwebtoken::decode::<Value>(&token, &key, &validation);
        let claims = decoded.expect("a good token").claims;
        visit(claims["sub"].as_str().unwrap_or_default(), 0);
    })
}

pub(crate) fn figures() {
    for alg in [Alg::Rs256, Alg::Es256, Alg::EdDsa] {
        let given = bench_case(alg, 1);
        let sides = [
            floor(&given),
            ours(&given),
            openidconnect(&given),
            jsonwebtoken(&given),
        ];
        let costs = measure::interleaved(&sides);
        let of = |value: fn(&measure::Costs) -> f64| -> Vec<(&str, f64)> {
            let values = costs.iter().map(value);
            sides.iter().map(|side| side.name).zip(values).collect()
        };
        let times = of(|costs| costs.nanoseconds);
        let floor = times.first().map_or(0.0, |(_, value)| *value);
        let what = format!(
            "an ID token verified, {}; budget: {BUDGET} of the bare signature",
            alg.as_str()
        );
        print_figure(&what, "ns", &times, Some(floor * BUDGET));
        print_figure(
            "the same",
            "allocations",
            &of(|costs| costs.allocations),
            None,
        );
    }
    let sets = [10, 1000].map(|keys| ours(&bench_case(Alg::Es256, keys)));
    let costs = measure::interleaved(&sets);
    let times: Vec<_> = ["10 keys", "1,000 keys"]
        .into_iter()
        .zip(costs.iter().map(|costs| costs.nanoseconds))
        .collect();
    print_figure("a known kid, in sets of", "ns", &times, None);
}
