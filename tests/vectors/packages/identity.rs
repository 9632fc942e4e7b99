//! The user's identity as a package returns it: `id-token`, `id-token-refresh`, `oidc-token-response`, `userinfo`.

use oauth_core::jose::Alg;
use serde_json::{Value, json};

use super::{NOW, SignIn, check_end, claims, client, record, server, signed, tokens};
use crate::access_token::payload;
use crate::conversation::TurnInput;
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::jws::{key_set, keys};
use crate::lang::Lang;
use crate::runner::{self, Runner};

use super::Calls;

const USED_UP: &str = "conversations test that a flow is redeemed only once";
/// A code and its hash (OpenID Connect Core appendix A.4).
pub(crate) const CODE: &str = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk";
pub(crate) const HASH: &str = "LDktKdoQak3Pk0cnXxCltA";

const NO_CHECK: &str =
    "a sign-in has no options for the age of an ID token, the clock, or a required acr";
const IMPLICIT: &str = "no package requests an access token from the authorization endpoint";
const NO_NONCE: &str = "a sign-in always requests an ID token with a nonce";
const TENANTS: &str = "tenants come with a preset; only Rust can set the rule";

/// The client of a vector, and its sign-in.
pub(crate) fn registered(lang: Lang, expect: &Value) -> Result<SignIn, Failure> {
    let text = |name: &str| expect[name].as_str();
    let issuer = text("issuer").unwrap_or_default();
    let client_config = client(text("client_id").unwrap_or_default(), text("client_secret"));
    let mut sign_in = SignIn::new(issuer, client_config).algs(lang, &expect["allowed_algs"])?;
    if let Some(nonce) = text("nonce") {
        sign_in.nonce = nonce.to_owned();
    }
    sign_in.now = expect["now"].as_u64().ok_or("no time")?;
    sign_in.started_at = expect["request_time"].as_u64().unwrap_or(sign_in.now);
    sign_in.max_age = expect["max_age"].as_u64();
    if let Some(token) = text("access_token") {
        sign_in.access_token = token.to_owned();
    }
    if let Some(names) = expect.get("trusted_audiences") {
        sign_in.register("trusted_audiences", texts(names));
    }
    Ok(sign_in)
}

pub(crate) fn id_token(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    let Some(token) = input["id_token"].as_str() else {
        return issuer(vector, runner);
    };
    let expect = &input["expect"];
    let has = |names: &[&str]| names.iter().any(|name| expect.get(name).is_some());
    if expect["nonce"].is_null() && input.get("original_claims").is_none() {
        return Err(Failure::OutOfReach(NO_NONCE));
    }
    if has(&["flow_state"]) {
        return Err(Failure::OutOfReach(USED_UP));
    }
    let response_type = expect["response_type"].as_str().unwrap_or_default();
    if response_type.split(' ').any(|name| name == "token") {
        return Err(Failure::OutOfReach(IMPLICIT));
    }
    let has_skew = expect["clock_skew"].as_u64().is_some_and(|skew| skew != 60);
    if has_skew || has(&["max_token_age", "acr_essential"]) {
        return Err(Failure::OutOfReach(NO_CHECK));
    }
    let mut sign_in = registered(runner.lang, expect)?;
    if let Some(original) = input.get("original_claims") {
        return renewed(vector, runner, &sign_in, original, token);
    }
    if let Some(alg) = expect["id_token_encrypted_response_alg"].as_str() {
        sign_in.register("id_token_encrypted_response_alg", alg);
        sign_in.register("decryption_keys", vec![keys("enc_rsa").to_string()]);
    }
    if let Some(state) = expect["state"].as_str() {
        sign_in.state = state.to_owned();
    }
    if has(&["response_type"]) {
        sign_in.code = expect["code"].as_str().ok_or("no code")?.to_owned();
        sign_in.front = Some(token.to_owned());
    }
    sign_in.keys = vec![key_set(input.get("jwks").unwrap_or(&Value::Null))];
    let Some(done) = check_end(vector, sign_in.with(token).end(runner)?)? else {
        return Ok(());
    };
    check_equal(
        "the token",
        tokens(done)?.text("id_token")?.as_deref(),
        Some(token),
    )
}

/// Refreshes the tokens of a login whose ID token had these claims.
fn renewed(
    vector: &Vector,
    runner: &mut Runner,
    sign_in: &SignIn,
    original: &Value,
    token: &str,
) -> Verdict {
    let held = runner::stored_tokens(json!({
        "issuer": sign_in.issuer, "client_id": sign_in.client.id, "scope": "openid",
        "id_token": signed("rsa1", Alg::Rs256, None, original)?,
    }));
    let refresh = TurnInput::Refresh {
        scope: String::new(),
        tokens: Some(held),
    };
    let reply = json!({ "access_token": "n", "token_type": "Bearer", "id_token": token, "scope": "openid" });
    let calls = sign_in
        .calls()
        .call(sign_in.now, refresh, vec![Reply::json(&reply)]);
    check_end(vector, calls.end(runner)?).map(drop)
}

/// Vectors with an issuer but no token: the issuer is put into a token.
fn issuer(vector: &Vector, runner: &mut Runner) -> Verdict {
    let mut token_claims = claims();
    token_claims["iss"] = vector.required_text("id_token_iss")?.into();
    if let Some(tenant) = vector.text("tid") {
        token_claims["tid"] = tenant.into();
    }
    let template = vector.text("metadata_issuer");
    let issuer = match template {
        Some(template) => template.replace("{tenantid}", "common"),
        None => vector.required_text("issuer")?.to_owned(),
    };
    let sign_in = SignIn::new(&issuer, client("client1", None));
    let token = signed("rsa1", Alg::Rs256, None, &token_claims)?;
    let end = sign_in.with(&token).end(runner)?;
    let code = end.err().map(|refusal| refusal.code);
    if template.is_some() {
        runner.left_out.insert(TENANTS);
    }
    check_equal("code", code.as_deref(), Some("jwt.issuer"))
}

pub(crate) fn token_response(vector: &Vector, runner: &mut Runner) -> Verdict {
    if let (Some(front), Some(back)) = (vector.input.get("front"), vector.input.get("back")) {
        return hybrid(vector, runner, front, back);
    }
    let sign_in = SignIn::new("https://as.example", client("client1", None));
    if let Some(back) = vector.input.get("back") {
        let end = sign_in.with(&id_token_with(back)?).end(runner)?;
        return check_end(vector, end).map(drop);
    }
    let redemption = sign_in.redemption(vector.text("scope").unwrap_or_default());
    let replies = vec![Reply::json(&vector.input["response"])];
    let calls = sign_in.calls().call(NOW, redemption, replies);
    check_end(vector, calls.end(runner)?).map(drop)
}

/// An ID token with these claims, for the code of [`hybrid`].
fn id_token_with(claim_overrides: &Value) -> Result<String, Failure> {
    let mut claims = claims();
    claims["c_hash"] = HASH.into();
    for (name, value) in claim_overrides.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    signed("rsa1", Alg::Rs256, None, &claims)
}

/// An ID token beside the code, and one from the token endpoint, with different claims.
fn hybrid(vector: &Vector, runner: &mut Runner, front: &Value, back: &Value) -> Verdict {
    let mut sign_in = SignIn::new("https://as.example", client("client1", None));
    sign_in.code = CODE.to_owned();
    sign_in.front = Some(id_token_with(front)?);
    check_end(vector, sign_in.with(&id_token_with(back)?).end(runner)?)?;
    // Only the difference is refused.
    match sign_in.with(&id_token_with(front)?).end(runner)? {
        Ok(done) => tokens(done).map(drop),
        Err(refusal) => Err(refusal.message.into()),
    }
}

pub(crate) fn userinfo(vector: &Vector, runner: &mut Runner) -> Verdict {
    let mut of = client("client1", None);
    let is_signed = vector.expected["ctx"] == "userinfo_signed_response_alg registered";
    let alg = vector.text("userinfo_signed_response_alg");
    if let Some(alg) = alg.or(is_signed.then_some("RS256")) {
        let name = "userinfo_signed_response_alg".to_owned();
        of.registration.insert(name, alg.into());
    }
    let held =
        json!({ "issuer": "https://as.example", "client_id": "client1", "access_token": "t0ken" });
    let turn_input = TurnInput::Userinfo {
        subject: vector.text("id_token_sub").unwrap_or("user-1").to_owned(),
        tokens: Some(runner::stored_tokens(held)),
    };
    let replies = vec![
        userinfo_reply(vector, "application/json"),
        Reply::json(&key_set(&Value::Null)),
    ];
    let calls =
        Calls::new(server("https://as.example", &Value::Null), of).call(NOW, turn_input, replies);
    if vector.text("build").is_some() {
        let came = calls.play(runner)?.pop().ok_or("no call")?;
        let sent = came.sent.first().ok_or("no request")?;
        check_equal("header", sent.header("authorization"), Some("Bearer t0ken"))?;
        return check(
            "GET without a query",
            sent.method == "GET" && !sent.url.contains('?'),
        );
    }
    let Some(done) = check_end(vector, calls.end(runner)?)? else {
        return Ok(());
    };
    let verified = record(done)?;
    check_equal(
        "sub",
        verified["subject"].as_str(),
        vector.text("id_token_sub"),
    )?;
    // The claim is returned as received: a string, which is not a boolean.
    let claims = &verified["claims"];
    let body = vector.required_text("body")?;
    let sent = serde_json::from_str(body).unwrap_or_else(|_| payload(body));
    check_equal("claims", claims, &sent)
}

/// The response in a vector.
pub(crate) fn userinfo_reply(vector: &Vector, media: &str) -> Reply {
    let status = vector.input["status"].as_u64();
    let status = status.and_then(|status| u16::try_from(status).ok());
    let media = vector.text("content_type").unwrap_or(media);
    Reply::new(
        status.unwrap_or(200),
        &[("content-type", media)],
        vector.text("body").unwrap_or_default(),
    )
}
