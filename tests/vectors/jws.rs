//! Groups about signatures and keys: `jws-published`, `jws-negative`, `jwk-thumbprint`, `hash-claims`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use oauth_core::exchange::{VerificationJob, VerificationKey};
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, KeySet, PublicJwk, symmetric_thumbprint};
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Error, Exchange, Input, Moment, Secret, Step};
use oauth_crypto::PrivateKey;
use serde_json::{Value, json};

use crate::expect::wanted_classes;
use crate::format::{Vector, Verdict, check, check_equal};
use crate::transcript::Refusal;

/// The file with the public keys of the vectors' server, called `as_jwks` in vectors.
const KEYS: &str = include_str!("vectors.json");

/// The result of a verification, and the number of key fetches.
pub(crate) struct Verified<T> {
    pub(crate) result: Result<T, Error>,
    pub(crate) fetches: usize,
}

/// The key set that a vector names or contains.
pub(crate) fn key_set(named: &Value) -> Value {
    match named {
        Value::Object(_) => named.clone(),
        _ => keys("as_jwks"),
    }
}

/// A private key of the vectors' server.
pub(crate) fn private_key(id: &str) -> Value {
    let all: Value = serde_json::from_str(KEYS).unwrap_or_default();
    all["keys"]["as_private"][id].clone()
}

/// The keys with this name in the vectors' file.
pub(crate) fn keys(name: &str) -> Value {
    let all: Value = serde_json::from_str(KEYS).unwrap_or_default();
    all["keys"][name].clone()
}

/// A client of the vectors' server.
pub(crate) fn client(issuer: &str, client_id: &str, secret: Option<&str>) -> Result<Client, Error> {
    let server = Server::new(Issuer::parse(issuer)?)
        .with_endpoint(EndpointKind::Jwks, &format!("{issuer}/jwks"))?;
    let auth = secret.map_or(ClientAuth::none(), ClientAuth::post);
    Client::new(server, ClientId::new(client_id), auth)
}

/// A client of a server with these additional endpoints. It authenticates if it has a secret.
pub(crate) fn client_with(
    issuer: &str,
    client_id: &str,
    endpoints: &[(EndpointKind, &str)],
) -> Result<Client, Error> {
    let server = Server::new(Issuer::parse(issuer)?)
        .with_endpoint(EndpointKind::Jwks, &format!("{issuer}/jwks"))?;
    let server = endpoints.iter().try_fold(server, |server, (kind, url)| {
        server.with_endpoint(*kind, url)
    })?;
    Client::new(
        server,
        ClientId::new(client_id),
        ClientAuth::basic("s3cr3t"),
    )
}

/// The algorithms that a vector allows, without `none`, which the type cannot express.
pub(crate) fn algs(list: &Value) -> Vec<Alg> {
    let names = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    names.filter_map(Alg::from_name).collect()
}

/// Runs a verification, serving these key sets in order and then the last one repeatedly.
pub(crate) fn run<E: Exchange>(mut exchange: E, now: u64, sets: &[Value]) -> Verified<E::Output> {
    run_from(&mut exchange, Input::Begin, now, sets)
}

/// [`run`] for an exchange that has already begun, from this input.
pub(crate) fn run_from<E: Exchange>(
    exchange: &mut E,
    mut input: Input,
    now: u64,
    sets: &[Value],
) -> Verified<E::Output> {
    let at = Moment::without_randomness(UnixTime::from_secs(now));
    let mut fetches = 0;
    let result = loop {
        input = match exchange.resume(&at, input) {
            Ok(Step::Verify(job)) => Input::Verified(oauth_crypto::verify(&job)),
            Ok(Step::Send(_)) => {
                let set = sets
                    .get(fetches)
                    .or(sets.last())
                    .cloned()
                    .unwrap_or_default();
                fetches += 1;
                let reply = Response::builder().header("content-type", "application/json");
                Input::Reply(reply.body(Bytes::from(set.to_string())).unwrap_or_default())
            }
            Ok(Step::Done(output)) => break Ok(output),
            Ok(_) => Input::Elapsed,
            Err(error) => break Err(error),
        };
    };
    Verified { result, fetches }
}

/// Compares an error with the classes that a vector expects.
pub(crate) fn refused(error: &Error, vector: &Vector) -> Verdict {
    crate::classes::check(
        &Refusal::from(error.clone()),
        &wanted_classes(&vector.expected),
    )
    .map(|_| ())
}

pub(crate) fn signature(vector: &Vector) -> Verdict {
    let input = &vector.input;
    let token = match input["repeat_to_bytes"].as_u64() {
        Some(bytes) => {
            vector.required_text("compact")?.repeat(bytes as usize)[..bytes as usize].to_owned()
        }
        None => vector.required_text("compact")?.to_owned(),
    };
    if input["jwk"]["kty"] == "oct" {
        return symmetric(vector, &token);
    }
    let sets = match input.get("jwk") {
        Some(jwk) => vec![json!({ "keys": [jwk] })],
        None => vec![key_set(&input["jwks"])],
    };
    let secret = vector.text("client_secret");
    let client =
        client("https://as.example", "client1", secret).map_err(|error| error.to_string())?;
    let mut served = sets;
    let mut keys = None;
    if input.get("jwks_before").is_some() {
        keys = Some(key_set(&input["jwks_before"]));
        served = vec![key_set(&input["jwks_after"])];
    } else if vector.expected.get("jwks_refetch").is_some() {
        keys = served.first().cloned();
    }
    if let Some(keys) = keys {
        let keys = KeySet::parse(&keys.to_string()).map_err(|error| error.to_string())?;
        client.keep_keys(UnixTime::from_secs(1_700_000_000), keys);
    }
    let exchange = client.verify_signature(Secret::from(token), algs(&input["allowed_algs"]));
    let Verified { result, fetches } = run(exchange, 1_700_000_000, &served);
    match result {
        Err(error) => {
            if vector.expected.get("jwks_refetch").is_some() {
                check_equal("fetches", fetches, 1)?;
            }
            refused(&error, vector)
        }
        Ok(payload) => {
            check("is valid", vector.expected["valid"] == true)?;
            if let Some(expected_value) = vector.expected["jwks_fetches"].as_u64() {
                check_equal("fetches", fetches as u64, expected_value)?;
            }
            payload_is(&payload, &vector.expected)
        }
    }
}

/// An HMAC key that is not text, unlike a client secret; the algorithm is tested directly.
fn symmetric(vector: &Vector, token: &str) -> Verdict {
    let decode = |text: &str| {
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| error.to_string())
    };
    let secret = decode(vector.input["jwk"]["k"].as_str().unwrap_or_default())?;
    let (input, signature) = token.rsplit_once('.').ok_or("no signature")?;
    let named = vector.input["allowed_algs"][0].as_str();
    let named = named.and_then(Alg::from_name).ok_or("no such algorithm")?;
    let is_valid = oauth_crypto::verify(&VerificationJob::Signature {
        alg: named.as_str(),
        key: VerificationKey::Secret(Secret::new(secret)),
        signing_input: Bytes::copy_from_slice(input.as_bytes()),
        signature: decode(signature)?.into(),
    });
    check_equal("valid", Some(is_valid), vector.expected["valid"].as_bool())?;
    payload_is(
        &decode(input.split('.').nth(1).unwrap_or_default())?,
        &vector.expected,
    )
}

fn payload_is(payload: &[u8], expected: &Value) -> Verdict {
    let text = String::from_utf8_lossy(payload);
    if let Some(expected_value) = expected["payload_utf8"].as_str() {
        return check_equal("payload", text.as_ref(), expected_value);
    }
    match expected.get("claims") {
        Some(expected_value) => {
            let claims: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let members = expected_value.as_object().into_iter().flatten();
            for (name, value) in members {
                check_equal(name, &claims[name], value)?;
            }
            Ok(())
        }
        None => Ok(()),
    }
}

pub(crate) fn hash_claim(vector: &Vector) -> Verdict {
    let (name, value) = (vector.required_text("alg")?, vector.required_text("value")?);
    let Some(alg) = Alg::from_name(name) else {
        return check_equal(
            "class",
            vector.expected["error"].as_str(),
            Some("unsupported_alg"),
        );
    };
    if !value.is_ascii() {
        // Such a token is refused when it is issued.
        return check_equal(
            "class",
            vector.expected["error"].as_str(),
            Some("token_not_ascii"),
        );
    }
    let named = |of: &Value| {
        let mut names = ["at_hash", "c_hash", "s_hash"].iter();
        names.find_map(|name| of[*name].as_str().map(str::to_owned))
    };
    let job = |half: &str| VerificationJob::HalfHash {
        hash: alg.hash().as_str(),
        value: Secret::from(value),
        half: half.to_owned(),
    };
    if let Some(claimed) = named(&vector.input) {
        // The claim of a token, which fits or does not.
        let fits = oauth_crypto::verify(&job(&claimed));
        return check_equal("fits", fits, vector.expected["ok"] == true);
    }
    let half = named(&vector.expected).ok_or("no hash is wanted")?;
    let half = half.as_str();
    check("the hash is accepted", oauth_crypto::verify(&job(half)))?;
    check(
        "a different hash is refused",
        !oauth_crypto::verify(&job(&half.replace(half.get(..1).unwrap_or("x"), "_"))),
    )
}

pub(crate) fn key(vector: &Vector) -> Verdict {
    if let Some(set) = vector.input.get("jwks") {
        return match KeySet::parse(&set.to_string()) {
            Ok(keys) => {
                let expected_value = vector
                    .expected
                    .get("usable_kids")
                    .or(vector.expected.get("ok"));
                let ids: Vec<_> = keys.ids().map(Value::from).collect();
                check_equal("keys", Some(&Value::from(ids)), expected_value)
            }
            Err(error) => refused(&error, vector),
        };
    }
    let jwk = &vector.input["jwk"];
    if jwk["kty"] == "oct" {
        let expected_value = vector.expected["sha256"].as_str();
        return match symmetric_thumbprint(&Secret::new(jwk.to_string())) {
            Ok(thumbprint) => check_equal(
                "thumbprint",
                Some(thumbprint.expose().as_str()),
                expected_value,
            ),
            Err(error) => refused(&error, vector),
        };
    }
    match public(jwk) {
        Ok(key) => {
            let thumbprint = key.thumbprint();
            check_equal(
                "thumbprint",
                Some(thumbprint.as_str()),
                vector.expected["sha256"].as_str(),
            )?;
            match vector.expected["thumbprint_uri"].as_str() {
                Some(uri) => check_equal("URI", key.thumbprint_uri().as_str(), uri),
                None => Ok(()),
            }
        }
        Err(error) => refused(&error, vector),
    }
}

/// A public key, or the result of reading a private key as one.
fn public(jwk: &Value) -> Result<PublicJwk, Error> {
    let text = jwk.to_string();
    if jwk.get("d").is_none() {
        let key = PublicJwk::parse(&text)?;
        oauth_crypto::check_public_key(&key)?;
        return Ok(key);
    }
    let alg = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
        (Some("EC"), Some("P-256")) => Alg::Es256,
        (Some("EC"), Some("P-521")) => Alg::Es512,
        (Some("OKP"), _) => Alg::EdDsa,
        _ => Alg::Rs256,
    };
    Ok(PrivateKey::from_jwk(&text, alg)?.public_jwk().clone())
}
