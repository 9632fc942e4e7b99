//! A request to an API with a DPoP-bound token (RFC 9449) up to sending, compared with the bare signature
//! of the crypto library. The cost of the key is the difference to a request with a bearer token.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use oauth_core::flow::resource::{Api, Clock, Event, Resource, ResourceRequest, Step};
use oauth_core::http::Method;
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::server::Server;
use oauth_core::token::TokenType;
use oauth_core::{Client, ClientAuth, ClientId, Moment, Tokens};
use oauth_crypto::{DpopKey, PrivateKey};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::measure;
use crate::{FLOOR, ID, ISSUER, OURS, Side, print_figure};

/// How many times the bare signature the whole may take.
const BUDGET: f64 = 1.15;
const BEARER: &str = "with a bearer token";
const URL: &str = "https://server.example.com/things?page=2";
const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

pub(crate) fn der(key: &PrivateKey) -> Vec<u8> {
    let pem = key.to_pem().expect("PEM");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD
        .decode(body)
        .expect("base64")
}

/// The bare signature, of existing bytes, as many as ours signs.
fn floor(key: &PrivateKey) -> Side {
    let (der, input) = (der(key), vec![b'x'; 520]);
    match key.alg() {
        Alg::Es256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
            let (pair, random) = (pair.expect("a key"), SystemRandom::new());
            Side::new(FLOOR, move |_, visit| {
                let signature = pair.sign(&random, &input).expect("a signature");
                visit("", signature.as_ref().len() as u64);
            })
        }
        _ => {
            let pair = Ed25519KeyPair::from_pkcs8(&der).expect("a key");
            Side::new(FLOOR, move |_, visit| {
                visit("", pair.sign(&input).as_ref().len() as u64)
            })
        }
    }
}

fn stored(key: &PrivateKey) -> DpopKey {
    DpopKey::read(&key.to_pem().expect("PEM"), Some(key.alg())).expect("a key")
}

fn request(name: &'static str, key: &PrivateKey, token_type: TokenType) -> Side {
    let server = Server::new(Issuer::parse(ISSUER).expect("an issuer"));
    let client = Client::new(server, ClientId::new(ID), ClientAuth::none()).expect("a client");
    let client = client.with_dpop(stored(key).to_core().expect("a key"));
    let api = Api::new(Resource::new([ISSUER]).expect("an origin"));
    let api = api.with_dpop(&client).expect("a key");
    let mut tokens = Tokens::bearer(TOKEN);
    let is_bound = token_type == TokenType::Dpop;
    tokens.token_type = token_type;
    Side::new(name, move |_, visit| {
        let at = Clock {
            moment: Moment::system().expect("a clock"),
            elapsed: Duration::ZERO,
        };
        let mut request = ResourceRequest::new(&api, Method::GET, URL);
        let step = request.resume(&at, Event::Begin);
        assert!(matches!(step, Ok(Step::Token(_))), "{step:?}");
        let step = request.resume(&at, Event::Token(&tokens));
        let Ok(Step::Send { dpop, .. }) = step else {
            panic!("no request: {step:?}")
        };
        assert_eq!(dpop.is_some(), is_bound);
        visit("", dpop.map_or(0, |proof| proof.len() as u64));
    })
}

/// The proof alone, as its documentation shows how to make a JWS.
fn jsonwebtoken(key: &PrivateKey) -> Side {
    let (alg, encoding) = match key.alg() {
        Alg::Es256 => (Algorithm::ES256, EncodingKey::from_ec_der(&der(key))),
        _ => (Algorithm::EdDSA, EncodingKey::from_ed_der(&der(key))),
    };
    let mut header = Header::new(alg);
    header.typ = Some("dpop+jwt".to_owned());
    let jwk = key.public_jwk().to_json();
    header.jwk = Some(serde_json::from_str(&jwk).expect("a JWK"));
    Side::new("jsonwebtoken", move |_, visit| {
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("chance");
        let claims = json!({
            "jti": URL_SAFE_NO_PAD.encode(id),
            "htm": "GET",
            "htu": "https://server.example.com/things",
            "iat": Moment::system().expect("a clock").now().as_secs(),
            "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(TOKEN)),
        });
        let proof = jsonwebtoken::encode(&header, &claims, &encoding).expect("a proof");
        visit("", proof.len() as u64);
    })
}

pub(crate) fn figures() {
    for alg in [Alg::Es256, Alg::EdDsa] {
        let key = PrivateKey::generate(alg).expect("a key");
        let sides = [
            floor(&key),
            request(OURS, &key, TokenType::Dpop),
            request(BEARER, &key, TokenType::Bearer),
            jsonwebtoken(&key),
        ];
        let costs = measure::interleaved(&sides);
        let of = |value: fn(&measure::Costs) -> f64| -> Vec<(&str, f64)> {
            let values = costs.iter().map(value);
            sides.iter().map(|side| side.name).zip(values).collect()
        };
        let [floor, bound, bearer, peer] = [0, 1, 2, 3].map(|side| costs[side].nanoseconds);
        let made = [
            (FLOOR, floor),
            (OURS, bound - bearer),
            ("jsonwebtoken", peer),
        ];
        let budget = (alg == Alg::Es256).then_some(floor * BUDGET);
        let what = match budget {
            Some(_) => format!(
                "DPoP proof {} made; budget: {BUDGET} of the bare signature",
                alg.as_str()
            ),
            None => format!("DPoP proof {} made", alg.as_str()),
        };
        print_figure(&what, "ns", &made, budget);
        let times = of(|costs| costs.nanoseconds);
        print_figure("the whole request to an API", "ns", &times, None);
        let allocations = of(|costs| costs.allocations);
        print_figure("the same", "allocations", &allocations, None);
    }
}
