//! A token request authenticated by a key (`private_key_jwt`, RFC 7523 section 2.2) up to sending, compared with the
//! bare signature of the crypto library. The cost of the assertion is the difference to a request with a secret.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use oauth_core::exchange::{Exchange as _, Input, Step};
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Moment, Scope};
use oauth_crypto::{ClientKeys, PrivateKey};
use serde_json::json;
use url::form_urlencoded;

use crate::dpop::der;
use crate::measure;
use crate::{FLOOR, ID, ISSUER, OURS, Side, print_figure};

/// How many times the bare signature an assertion may take.
const BUDGET: f64 = 1.15;
const SECRET: &str = "with a secret";
/// The system's random bytes for `jti` cost a call of the kernel, unless the C library knows its vDSO (glibc since 2.41).
const GIVEN: &str = "with given random bytes";

/// What ours signs, of one request.
fn signing_input(key: &PrivateKey) -> Vec<u8> {
    let auth = client_assertion(key);
    let client = Client::new(server(), ClientId::new(ID), auth).expect("a client");
    let at = Moment::system().expect("a clock");
    let mut exchange = client.client_credentials(Scope::none());
    let Ok(Step::Send(request)) = exchange.resume(&at, Input::Begin) else {
        panic!("no request")
    };
    let mut parameters = form_urlencoded::parse(request.body());
    let jwt = parameters.find(|(name, _)| name == "client_assertion");
    let (_, jwt) = jwt.expect("an assertion");
    let (input, _) = jwt.rsplit_once('.').expect("a signature");
    input.as_bytes().to_vec()
}

/// The bare signature of the same bytes: with one block of the hash more or less, EdDSA takes 2 % more or less.
fn floor(key: &PrivateKey) -> Side {
    let (der, input) = (der(key), signing_input(key));
    let random = SystemRandom::new();
    match key.alg() {
        Alg::Rs256 => {
            let pair = RsaKeyPair::from_pkcs8(&der).expect("a key");
            Side::new(FLOOR, move |_, visit| {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, &input, &mut signature)
                    .expect("a signature");
                visit("", signature.len() as u64);
            })
        }
        Alg::Es256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
            let pair = pair.expect("a key");
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

fn server() -> Server {
    let server = Server::new(Issuer::parse(ISSUER).expect("an issuer"));
    let server = server.with_endpoint(EndpointKind::Token, &format!("{ISSUER}/token"));
    server.expect("a URL")
}

fn client_assertion(key: &PrivateKey) -> ClientAuth {
    let pem = key.to_pem().expect("PEM");
    let keys = ClientKeys::read([pem.as_str()]).expect("a key");
    let assertion = keys.client_assertion(&server(), Some(key.alg()));
    ClientAuth::assertion(assertion.expect("a key"))
}

/// The whole request, with its form.
fn request(name: &'static str, auth: ClientAuth, moment: fn() -> Moment) -> Side {
    let client = Client::new(server(), ClientId::new(ID), auth).expect("a client");
    Side::new(name, move |_, visit| {
        let at = moment();
        let mut exchange = client.client_credentials(Scope::none());
        let step = exchange
            .resume(&at, Input::Begin)
            .map_err(|error| error.code());
        let Ok(Step::Send(request)) = step else {
            panic!("no request")
        };
        visit("", request.body().len() as u64);
    })
}

fn system() -> Moment {
    Moment::system().expect("a clock")
}

fn given() -> Moment {
    Moment::fixed(system().now(), [7; 32])
}

/// The assertion alone, as its documentation shows how to make a JWS.
fn jsonwebtoken(key: &PrivateKey) -> Side {
    let (alg, encoding) = match key.alg() {
        // It reads PKCS#1, which follows 26 bytes of PKCS#8.
        Alg::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_der(&der(key)[26..])),
        Alg::Es256 => (Algorithm::ES256, EncodingKey::from_ec_der(&der(key))),
        _ => (Algorithm::EdDSA, EncodingKey::from_ed_der(&der(key))),
    };
    let mut header = Header::new(alg);
    header.typ = Some("client-authentication+jwt".to_owned());
    header.kid = Some(key.public_jwk().thumbprint());
    Side::new("jsonwebtoken", move |_, visit| {
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("chance");
        let now = Moment::system().expect("a clock").now().as_secs();
        let claims = json!({
            "iss": ID,
            "sub": ID,
            "aud": ISSUER,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": now,
            "exp": now + 60,
        });
        let jwt = jsonwebtoken::encode(&header, &claims, &encoding).expect("an assertion");
        visit("", jwt.len() as u64);
    })
}

pub(crate) fn figures() {
    for alg in [Alg::Rs256, Alg::Es256, Alg::EdDsa] {
        let key = PrivateKey::generate(alg).expect("a key");
        let sides = [
            floor(&key),
            request(OURS, client_assertion(&key), system),
            request(GIVEN, client_assertion(&key), given),
            request(SECRET, ClientAuth::post("s".repeat(32)), system),
            jsonwebtoken(&key),
        ];
        let costs = measure::interleaved(&sides);
        let of = |value: fn(&measure::Costs) -> f64| -> Vec<(&str, f64)> {
            let values = costs.iter().map(value);
            sides.iter().map(|side| side.name).zip(values).collect()
        };
        let costs_of = [0, 1, 2, 3, 4].map(|side| costs[side].nanoseconds);
        let [floor, whole, given, secret, peer] = costs_of;
        let made = [
            (FLOOR, floor),
            (OURS, whole - secret),
            (GIVEN, given - secret),
            ("jsonwebtoken", peer),
        ];
        let what = format!(
            "private_key_jwt {} made; budget: {BUDGET} of the bare signature",
            alg.as_str()
        );
        print_figure(&what, "ns", &made, Some(floor * BUDGET));
        let times = of(|costs| costs.nanoseconds);
        print_figure("the whole request", "ns", &times, None);
        let allocations = of(|costs| costs.allocations);
        print_figure("the same", "allocations", &allocations, None);
    }
}
