//! Ten thousand tokens, verified by this project and by `jsonwebtoken`, which shares only the algorithms with it. If
//! one accepts what the other refuses, the reason has to be listed here.
//!
//! `--nocapture` prints how often each reason occurred.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use oauth_core::crypto::Signer as _;
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::id_token::IdTokenChecks;
use oauth_core::{Client, ClientAuth, ClientId, Exchange, Input, Moment, Secret, Step};
use oauth_crypto::PrivateKey;
use serde_json::{Value, json};

const TOKENS: u32 = 10_000;
const ISSUER: &str = "https://as.example";
const CLIENT: &str = "client1";
const SKEW: u64 = 60;

/// Reasons why we refuse what `jsonwebtoken` accepts: it only checks the configured parts of RFC 7519.
const STRICTER: [(&str, &str); 10] = [
    (
        "jwt.missing_claim",
        "iat and nonce are required of an ID token",
    ),
    (
        "jwt.malformed_claim",
        "optional claims must have their type too, and sub has a maximum length",
    ),
    ("jwt.issued_in_future", "iat is compared with the clock"),
    (
        "jwt.untrusted_audience",
        "every other audience has to be trusted",
    ),
    ("id_token.azp", "azp must be the client"),
    ("id_token.nonce", "the nonce must be that of the flow"),
    ("jwt.typ", "typ shows that it is a different kind of token"),
    (
        "jwt.unexpected_claim",
        "events shows that it is a logout token",
    ),
    ("jws.malformed", "header members must have their type"),
    ("jws.unsupported_crit", "the extension is not supported"),
];

/// A deterministic pseudo-random generator (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).expect("few")].clone()
    }

    /// Whether this one token in `sides` gets a flaw.
    fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }
}

struct Keys {
    ours: Vec<(Alg, PrivateKey, DecodingKey)>,
    set: Value,
}

fn keys() -> Keys {
    let mut ours = Vec::new();
    let mut set = Vec::new();
    for alg in [Alg::Rs256, Alg::Ps256, Alg::Es256, Alg::Es384, Alg::EdDsa] {
        let key = PrivateKey::generate(alg).expect("a key");
        let mut jwk = key.public_jwk().to_value();
        let theirs = serde_json::from_value(jwk.clone()).expect("a JWK");
        let theirs = DecodingKey::from_jwk(&theirs).expect("a key");
        jwk["kid"] = alg.as_str().into();
        set.push(jwk);
        ours.push((alg, key, theirs));
    }
    Keys {
        ours,
        set: json!({ "keys": set }),
    }
}

/// A value of a claim, valid or not.
fn claim(dice: &mut Random, name: &str, now: u64) -> Option<Value> {
    let valid = match name {
        "iss" => json!(ISSUER),
        "sub" => json!("user-1"),
        "aud" => json!(CLIENT),
        "exp" => json!(now + 300),
        "iat" => json!(now),
        "nonce" => json!("n"),
        _ => Value::Null,
    };
    if !dice.one_in(8) {
        return (!valid.is_null()).then_some(valid);
    }
    // Far enough from the limits, since the clock advances during the test.
    let edges = [
        now - SKEW - 3600,
        now - SKEW / 2,
        now,
        now + SKEW / 2,
        now + SKEW + 3600,
    ];
    let odd = [
        json!(null),
        json!(7),
        json!("another"),
        json!([]),
        json!([CLIENT]),
        json!([CLIENT, "another"]),
        json!(true),
        json!({}),
        json!(1.5),
        json!(dice.pick(&edges)),
        json!(-1),
        json!(1e300),
    ];
    let choice = dice.below(odd.len() as u64 + 2);
    odd.get(usize::try_from(choice).expect("few")).cloned()
}

fn token(dice: &mut Random, keys: &Keys, now: u64) -> (Alg, String) {
    let (alg, key, _) = &keys.ours[usize::try_from(dice.below(5)).expect("few")];
    let mut header = json!({ "alg": alg.as_str(), "kid": alg.as_str() });
    if dice.one_in(12) {
        let member = dice.pick(&["typ", "crit", "alg", "cty", "b64", "jwk"]);
        header[member] = dice.pick(&[
            json!("JWT"),
            json!("at+jwt"),
            json!("none"),
            json!("HS256"),
            json!("RS256"),
            json!(["exp"]),
            json!(null),
            json!(7),
            json!(false),
        ]);
    }
    let mut claims = serde_json::Map::new();
    for name in [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nonce",
        "nbf",
        "azp",
        "events",
        "acr",
        "auth_time",
    ] {
        if let Some(value) = claim(dice, name, now) {
            claims.insert(name.to_owned(), value);
        }
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(&header), part(&Value::Object(claims)));
    let signature = key.sign(input.as_bytes()).expect("a signature");
    let mut token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
    if dice.one_in(10) {
        let at = usize::try_from(dice.below(token.len() as u64)).expect("short");
        let with = dice.pick(&["", "A", ".", "=", "-", "é"]);
        token.replace_range(at..=at, with);
    }
    (*alg, token)
}

fn ours(client: &Client, keys: &Keys, token: &str, now: u64) -> Result<(), &'static str> {
    let mut checks = IdTokenChecks::default();
    checks.nonce = Some(Secret::from("n"));
    let mut exchange = client.verify_id_token(Secret::from(token), checks);
    let at = Moment::without_randomness(UnixTime::from_secs(now));
    let mut input = Input::Begin;
    loop {
        input = match exchange.resume(&at, input) {
            Ok(Step::Verify(job)) => Input::Verified(oauth_crypto::verify(&job)),
            Ok(Step::Send(_)) => {
                let reply = Response::builder().header("content-type", "application/json");
                let body = Bytes::from(keys.set.to_string());
                Input::Reply(reply.body(body).expect("a reply"))
            }
            Ok(Step::Done(_)) => return Ok(()),
            Ok(_) => Input::Elapsed,
            Err(error) => return Err(error.code()),
        };
    }
}

/// The reason why we accept what `jsonwebtoken` refuses.
fn looser(token: &str) -> Option<&'static str> {
    let part = |number: usize| {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(number)?).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    let (header, claims) = (part(0)?, part(1)?);
    // A key in the token is never used, so its form does not matter.
    if header.get("jwk").is_some() {
        return Some("jwk in the header is ignored");
    }
    // The payload's type is determined by parsing it.
    if header.get("cty").is_some_and(|cty| !cty.is_string()) {
        return Some("cty in the header is ignored");
    }
    // A negative time is in the past.
    if claims["nbf"].as_f64().is_some_and(|begin| begin < 0.0) {
        return Some("nbf may lie before 1970");
    }
    // RFC 7519 sets no limit: a time beyond the clock's range is in the future.
    if claims["exp"]
        .as_f64()
        .is_some_and(|end| end > u64::MAX as f64)
    {
        return Some("exp may be beyond the range of clocks");
    }
    None
}

fn is_accepted_by_jsonwebtoken(keys: &Keys, alg: Alg, token: &str) -> bool {
    let algorithm = match alg {
        Alg::Rs256 => Algorithm::RS256,
        Alg::Ps256 => Algorithm::PS256,
        Alg::Es256 => Algorithm::ES256,
        Alg::Es384 => Algorithm::ES384,
        _ => Algorithm::EdDSA,
    };
    let mut validation = Validation::new(algorithm);
    validation.leeway = SKEW;
    validation.validate_nbf = true;
    validation.set_audience(&[CLIENT]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let (_, _, key) = keys
        .ours
        .iter()
        .find(|(key, ..)| *key == alg)
        .expect("a key");
    decode::<Value>(token, key, &validation).is_ok()
}

#[test]
fn id_token_verdicts_match_jsonwebtoken_or_have_a_documented_reason() {
    let server = Server::new(Issuer::parse(ISSUER).expect("an issuer"))
        .with_endpoint(EndpointKind::Jwks, &format!("{ISSUER}/jwks"))
        .expect("an endpoint");
    let keys = keys();
    let client = Client::new(server, ClientId::new(CLIENT), ClientAuth::none()).expect("a client");
    let client = client.with_id_token_algs(keys.ours.iter().map(|(alg, ..)| *alg));
    // `jsonwebtoken` reads the system clock, so ours gets the same time.
    let now = UnixTime::system().expect("a clock").as_secs();
    let mut dice = Random(0x9e37_79b9_7f4a_7c15);
    let (mut both, mut neither) = (0, 0);
    let mut stricter: BTreeMap<&str, u32> = BTreeMap::new();
    let mut by_us: BTreeMap<&str, u32> = BTreeMap::new();
    for number in 0..TOKENS {
        let (alg, token) = token(&mut dice, &keys, now);
        match (
            ours(&client, &keys, &token, now),
            is_accepted_by_jsonwebtoken(&keys, alg, &token),
        ) {
            (Ok(()), true) => both += 1,
            (Err(_), false) => neither += 1,
            (Err(code), true) => {
                let is_known = STRICTER.iter().any(|(key, _)| *key == code);
                assert!(
                    is_known,
                    "token {number} is refused only by us, {code}: {token}"
                );
                *stricter.entry(code).or_default() += 1;
            }
            (Ok(()), false) => {
                let reason = looser(&token);
                let reason = reason.unwrap_or_else(|| panic!("token {number}: {token}"));
                *by_us.entry(reason).or_default() += 1;
            }
        }
    }
    println!("accepted by both {both}, refused by both {neither}; refused only by us:");
    for (code, times) in &stricter {
        let reason = STRICTER.iter().find(|(key, _)| key == code);
        println!(
            "{times:6} {code}: {}",
            reason.map_or("", |(_, reason)| reason)
        );
    }
    println!("accepted only by us:");
    for (reason, times) in &by_us {
        println!("{times:6} {reason}");
    }
    assert!(
        both > 1000 && neither > 1000,
        "too few tokens are valid or invalid"
    );
}
