//! Signatures and encryption through a package's sign-in: `jws-published`, `jws-negative`, `jwk-thumbprint`,
//! `hash-claims`, `jwe`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::jose::{Alg, Enc};
use serde_json::{Value, json};

use super::identity::registered;
use super::{SignIn, check_end, claims, client, signed, tokens};
use crate::format::{Failure, Vector, Verdict, check, check_equal};
use crate::jws::{key_set, keys, private_key};
use crate::runner::Runner;

const BYTES: &str = "a client secret is text, and the keys of these vectors are not";
/// The largest input, in bytes, that fits into a response (limit: 1 MiB).
const BYTES_READ: u64 = 1 << 19;

const MACS: &str = "these tokens are signed with keys of the server, not with a client secret";

const ENDS: &str = "a package neither computes thumbprints of keys nor lists the keys of a set";

/// A sign-in with this token is refused for its signature if the vector says so, otherwise at most for its claims.
pub(crate) fn signature(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    if input["jwk"]["kty"] == "oct" {
        return Err(Failure::OutOfReach(BYTES));
    }
    let token = match input["repeat_to_bytes"].as_u64() {
        // A larger response is not read at all.
        Some(bytes) => {
            let bytes = bytes.min(BYTES_READ) as usize;
            vector.required_text("compact")?.repeat(bytes)[..bytes].to_owned()
        }
        None => vector.required_text("compact")?.to_owned(),
    };
    let client_config = client("client1", vector.text("client_secret"));
    let sign_in =
        SignIn::new("https://as.example", client_config).algs(runner.lang, &input["allowed_algs"]);
    let mut sign_in = sign_in?;
    sign_in.keys = match input.get("jwk") {
        Some(jwk) => vec![json!({ "keys": [jwk] })],
        None => vec![key_set(&input["jwks"])],
    };
    let mut calls = sign_in.calls();
    if input.get("jwks_before").is_some() {
        // An earlier sign-in took place when the server had different keys.
        let before = key_set(&input["jwks_before"]);
        let first = signed("rsa1", Alg::Rs256, None, &claims())?;
        sign_in.keys = vec![before];
        calls = sign_in.again(calls, &first);
        sign_in.keys = vec![key_set(&input["jwks_after"])];
        sign_in.now += 3600;
    }
    match sign_in.again(calls, &token).end(runner)? {
        // Text that is not a token is refused when the server returns it; an empty text counts as no token.
        Err(refusal)
            if ["token_response.malformed", "id_token.missing"]
                .contains(&refusal.code.as_str()) =>
        {
            check_equal(
                "class",
                vector.expected["error"].as_str(),
                Some("malformed_jws"),
            )?;
        }
        Err(refusal) if is_about_claims(&refusal.code) => {
            check("is valid", vector.expected["valid"] == true)?;
        }
        end => {
            check_end(vector, end)?;
        }
    }
    if vector.expected["valid"] != true {
        return Ok(());
    }
    // Only the signature makes the difference.
    let end = sign_in.with(&with_other_signature(&token)).end(runner)?;
    let code = end.err().map(|refusal| refusal.code);
    check_equal("altered", code.as_deref(), Some("jws.bad_signature"))
}

fn is_about_claims(code: &str) -> bool {
    code.starts_with("jwt.") || code.starts_with("id_token.") && code != "id_token.missing"
}

/// The token with a different signature of the same size.
fn with_other_signature(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap_or_default();
    let (first, rest) = signature.split_at(1.min(signature.len()));
    let other = if first == "A" { "B" } else { "A" };
    format!("{input}.{other}{rest}")
}

pub(crate) fn key_sets(vector: &Vector, runner: &mut Runner) -> Verdict {
    let Some(set) = vector.input.get("jwks") else {
        return Err(Failure::OutOfReach(ENDS));
    };
    if vector.expected.get("error").is_none() {
        return Err(Failure::OutOfReach(ENDS));
    }
    let mut sign_in = SignIn::new("https://as.example", client("client1", None));
    sign_in.keys = vec![set.clone()];
    let token = signed("rsa1", Alg::Rs256, None, &claims())?;
    check_end(vector, sign_in.with(&token).end(runner)?).map(drop)
}

/// An ID token with this hash of the access token is accepted, and one with a different hash refused.
pub(crate) fn hash_claim(vector: &Vector, runner: &mut Runner) -> Verdict {
    let (name, value) = (vector.required_text("alg")?, vector.required_text("value")?);
    if name.starts_with("HS") {
        return Err(Failure::OutOfReach(MACS));
    }
    let lang = runner.lang;
    let of = |name: &str| {
        let sign_in = SignIn::new("https://as.example", client("client1", None));
        let mut sign_in = sign_in.algs(lang, &json!([name]))?;
        sign_in.access_token = value.to_owned();
        Ok::<_, Failure>(sign_in)
    };
    let Some(alg) = Alg::from_name(name) else {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": name, "kid": "rsa1" }).to_string());
        let token = signed("rsa1", Alg::Rs256, None, &claims())?;
        let token = token.split_once('.').map(|(_, rest)| rest);
        let token = format!("{header}.{}", token.unwrap_or_default());
        let code = of("RS256")?.with(&token).end(runner)?.err().map(|e| e.code);
        return check_equal("code", code.as_deref(), Some("jws.alg_not_allowed"));
    };
    let kid = match name {
        "ES256" => "ec1",
        "ES384" => "ec384",
        "ES512" => "ec521",
        "EdDSA" | "Ed25519" => "ed1",
        _ => "rsa1",
    };
    let mut sign_in = of(name)?;
    sign_in.keys = vec![json!({ "keys": [public(kid)] })];
    let hash = ["at_hash", "c_hash", "s_hash"]
        .iter()
        .find_map(|name| vector.expected[*name].as_str());
    let with = |hash: &str| {
        let mut claims = claims();
        claims["at_hash"] = hash.into();
        signed(kid, alg, None, &claims)
    };
    if let Some(claimed_hash) = vector.text("at_hash") {
        let end = sign_in.with(&with(claimed_hash)?).end(runner)?;
        return check_end(vector, end).map(drop);
    }
    let Some(hash) = hash else {
        let end = sign_in.with(&with("77QmUPtjPfzWtF2AnpK9RQ")?).end(runner)?;
        // Such a token is refused when it is issued.
        let code = end.err().map(|refusal| refusal.code);
        return check_equal("code", code.as_deref(), Some("token_response.malformed"));
    };
    if let Err(refusal) = sign_in.with(&with(hash)?).end(runner)? {
        return Err(refusal.message.into());
    }
    let other = hash.replace(hash.get(..1).unwrap_or("x"), "_");
    let end = sign_in.with(&with(&other)?).end(runner)?;
    let code = end.err().map(|refusal| refusal.code);
    check_equal("another hash", code.as_deref(), Some("id_token.at_hash"))
}

/// A key of the server, for any algorithm of its kind.
fn public(kid: &str) -> Value {
    let mut key = private_key(kid);
    if let Some(members) = key.as_object_mut() {
        members.retain(|name, _| ["kty", "n", "e", "crv", "x", "y"].contains(&name.as_str()));
    }
    key["kid"] = kid.into();
    key
}

/// A client that is registered for encrypted ID tokens.
pub(crate) fn encrypted(vector: &Vector, runner: &mut Runner) -> Verdict {
    let expect = &vector.input["expect"];
    let token = vector.required_text("token")?;
    let mut sign_in = registered(runner.lang, expect)?;
    sign_in.keys = vec![key_set(&expect["jwks"])];
    let alg = match expect.get("id_token_encrypted_response_alg") {
        Some(Value::Null) => None,
        Some(name) => name.as_str(),
        None => Some("RSA-OAEP-256"),
    };
    if let Some(alg) = alg {
        // By default the algorithm in the token.
        let named = expect["id_token_encrypted_response_enc"].as_str();
        let enc = named.map_or_else(|| read_enc(token), str::to_owned);
        sign_in.register("id_token_encrypted_response_alg", alg);
        sign_in.register("id_token_encrypted_response_enc", enc);
        // The keys of other algorithms are derived from the client secret.
        if alg.starts_with("RSA") || alg.starts_with("ECDH") {
            let keys = ["enc_rsa", "enc_ec"].map(|name| keys(name).to_string());
            sign_in.register("decryption_keys", keys.to_vec());
        }
    }
    if let Some(done) = check_end(vector, sign_in.with(token).end(runner)?)? {
        let text = tokens(done)?.text("id_token")?.unwrap_or_default();
        check("is the signed token", text.split('.').count() == 3)?;
    }
    Ok(())
}

fn read_enc(token: &str) -> String {
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    let enc = header["enc"].as_str();
    let enc = enc.filter(|name| Enc::from_name(name).is_some());
    enc.unwrap_or("A256GCM").to_owned()
}
