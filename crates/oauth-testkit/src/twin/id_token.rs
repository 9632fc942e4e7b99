//! ID tokens of the twin, and the key set that they are verified with.
//!
//! OpenID Connect Core sections 2 and 3.1.3.6, RFC 7517 section 5

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::crypto::Signer as _;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_crypto::PrivateKey;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Twin;
use super::authority::{Authority, Grant};
use super::fapi;
use super::jwt::Jwt;
use super::personality;
use super::sender_constrained;
use super::wire::{self, ReceivedRequest, Reply};

/// The lifetime of an ID token, in seconds.
const ID_TOKEN_SECONDS: u64 = 300;
/// The email address of the user who signs in.
pub(super) const EMAIL: &str = "alice@twin.example";
/// The `kid` of the key, until keys are rotated.
pub(super) const KEY_ID: &str = "twin-1";

/// The private key published in RFC 7515 appendix A.2: never trust a token of a twin.
const PRIVATE_KEY: &str = include_str!("id_token_key.json");

/// The private key of RFC 7515 appendix A.3.
const ELLIPTIC_KEY: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

/// The key for this algorithm.
fn key(alg: Alg) -> Option<&'static PrivateKey> {
    static RS256: OnceLock<Option<PrivateKey>> = OnceLock::new();
    static PS256: OnceLock<Option<PrivateKey>> = OnceLock::new();
    static ES256: OnceLock<Option<PrivateKey>> = OnceLock::new();
    let (held, jwk) = match alg {
        Alg::Es256 => (&ES256, ELLIPTIC_KEY),
        Alg::Ps256 => (&PS256, PRIVATE_KEY),
        _ => (&RS256, PRIVATE_KEY),
    };
    held.get_or_init(|| PrivateKey::from_jwk(jwk, alg).ok())
        .as_ref()
}

/// The algorithm of the key in the key set: ES256 if the client secret signs, which has no public key.
fn published(alg: Alg) -> Alg {
    match alg {
        Alg::Hs256 => Alg::Es256,
        alg => alg,
    }
}

/// The public keys of RFC 7517 appendix A.1, which are not used for signing.
pub(super) fn unused_public_keys() -> Vec<Value> {
    vec![
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        }),
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "e": "AQAB",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        }),
    ]
}

/// The key set, in which the signing key comes after the others.
pub(super) fn keys(authority: &Authority) -> Value {
    let mut keys = authority.other_keys.clone();
    let alg = published(authority.rules.alg);
    if let Some(key) = key(alg) {
        let mut jwk = key.public_jwk().to_value();
        jwk["kid"] = authority.key_id.as_str().into();
        jwk["use"] = "sig".into();
        jwk["alg"] = alg.as_str().into();
        if let Some(template) = personality::key_issuer(authority) {
            jwk["issuer"] = template.into();
        }
        keys.push(jwk);
    }
    if authority.rules.fapi.is_some() {
        // A `kid` may be ambiguous: these have that of the signing key.
        let decoys = unused_public_keys().into_iter().map(|mut jwk| {
            jwk["kid"] = authority.key_id.as_str().into();
            jwk
        });
        keys.splice(0..0, decoys);
        keys.push(fapi::encryption_jwk());
    }
    json!({ "keys": keys })
}

/// The claims of an ID token about this grant.
pub(super) fn claims(issuer: &str, at: UnixTime, grant: &Grant) -> Value {
    let mut claims = json!({
        "iss": issuer,
        "sub": grant.subject,
        "aud": grant.client_id,
        "iat": at.as_secs(),
        "exp": at.as_secs().saturating_add(ID_TOKEN_SECONDS),
    });
    if let Some(nonce) = &grant.nonce {
        claims["nonce"] = nonce.as_str().into();
    }
    if let Some(auth_time) = grant.auth_time {
        claims["auth_time"] = auth_time.as_secs().into();
    }
    if let Some(acr) = &grant.login.acr {
        claims["acr"] = acr.as_str().into();
    }
    claims
}

/// The hash of an access token for `at_hash`, or of a code for `c_hash` (OpenID Connect Core section 3.3.2.11).
pub(super) fn half_hash(value: &str) -> String {
    let digest = Sha256::digest(value);
    let (left_half, _) = digest.split_at(digest.len() / 2);
    URL_SAFE_NO_PAD.encode(left_half)
}

/// A token with these claims; `None` if there is no key for the algorithm.
pub(super) fn signed(claims: &Value, key_id: &str, alg: Alg) -> Option<String> {
    sign(&json!({ "alg": alg.as_str(), "kid": key_id }), claims)
}

/// An ID token with these claims and this server's deviations.
pub(super) fn sign_with_deviations(authority: &Authority, mut claims: Value) -> Option<String> {
    personality::deviate_id_token_claims(authority, &mut claims);
    let rules = &authority.rules;
    if rules.alg != Alg::Hs256 {
        return signed(&claims, &authority.key_id, rules.alg);
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "typ": "JWT", "alg": "HS256" });
    let input = format!("{}.{}", encode(&header), encode(&claims));
    let tag = oauth_crypto::mac(rules.alg, rules.client_secret.as_bytes(), input.as_bytes())?;
    Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

/// Parses a token that this twin has issued: verifies its signature, but not its expiry.
pub(super) fn parse_own_token(authority: &Authority, token: &str) -> Result<Jwt, &'static str> {
    let alg = authority.rules.alg;
    let key = key(alg).ok_or("the key cannot be read")?;
    let jwt = Jwt::verified(token, key.public_jwk(), &[alg])?;
    if jwt.text("iss") == Some(&authority.rules.issuer) {
        Ok(jwt)
    } else {
        Err("the ID token was issued by a different server")
    }
}

/// The claims under `alg: none`.
pub(super) fn unsigned(claims: &Value, key_id: &str) -> Option<String> {
    let signed = sign(&json!({ "alg": "none", "kid": key_id }), claims)?;
    signed
        .rsplit_once('.')
        .map(|(input, _)| format!("{input}."))
}

/// The claims, signed with the same key and a different RSA algorithm.
pub(super) fn other_alg(claims: &Value, key_id: &str, alg: Alg) -> Option<String> {
    let key = PrivateKey::from_jwk(PRIVATE_KEY, alg).ok()?;
    sign_with(&key, &json!({ "alg": alg.as_str(), "kid": key_id }), claims)
}

/// The claims under this header.
pub(super) fn sign(header: &Value, claims: &Value) -> Option<String> {
    let alg = header["alg"].as_str().and_then(Alg::from_name);
    let alg = alg.filter(|alg| [Alg::Ps256, Alg::Es256].contains(alg));
    let alg = alg.unwrap_or(Alg::Rs256);
    sign_with(key(alg)?, header, claims)
}

fn sign_with(key: &PrivateKey, header: &Value, claims: &Value) -> Option<String> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = key.sign(input.as_bytes()).ok()?;
    Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

impl Twin {
    /// Moves the key set to another path, and `jwks_uri` in the metadata with it.
    pub fn move_keys(&mut self, path: &str) {
        let rules = &mut self.authority.rules;
        rules.metadata.1["jwks_uri"] = format!("{}{path}", self.base).into();
        rules.paths.keys = path.to_owned();
    }

    /// Signs ID tokens with this algorithm from now on, even if the metadata lists others: `RS256`, `PS256`, `ES256`,
    /// or `HS256` with the client's secret.
    pub fn sign_id_tokens_by(&mut self, alg: Alg) {
        self.authority.rules.alg = alg;
    }

    /// Sets the secret of the confidential client.
    pub fn set_client_secret(&mut self, secret: &'static str) {
        self.authority.rules.client_secret = secret;
    }
}

/// `GET {userinfo_endpoint}` (OpenID Connect Core section 5.3).
pub(super) fn userinfo(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
) -> Reply {
    let (grant, _) =
        match sender_constrained::authorize_api_request(authority, at, request, "openid") {
            Ok(holder) => holder,
            Err(challenge) => return *challenge,
        };
    if let Some(reply) = personality::deviating_userinfo(authority, request) {
        return reply;
    }
    let has = |name: &str| grant.scope.split(' ').any(|granted| granted == name);
    let mut claims = json!({ "sub": grant.subject });
    if has("profile") {
        claims["name"] = "Alice Liddell".into();
    }
    if has("email") {
        claims["email"] = EMAIL.into();
        claims["email_verified"] = true.into();
    }
    if has("phone") {
        claims["phone_number"] = "+1 202 555 0134".into();
    }
    if has("address") {
        claims["address"] = json!({ "locality": "Oxford", "country": "GB" });
    }
    let subject = grant.subject.as_deref();
    authority
        .person
        .add_claims(subject, &grant.scope, &mut claims);
    if authority
        .registrations
        .wants_signed_userinfo(&grant.client_id)
    {
        claims["iss"] = authority.rules.issuer.as_str().into();
        claims["aud"] = grant.client_id.as_str().into();
        let signed = signed(&claims, &authority.key_id, authority.rules.alg);
        return wire::plain(200, "application/jwt", signed.unwrap_or_default());
    }
    wire::json(200, &claims)
}

/// A flaw of an ID token. The signature is valid unless the variant says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IdTokenFlaw {
    /// There is no ID token.
    Missing,
    /// `iss` has a `1` at its end.
    WrongIssuer,
    /// There is no `iss`.
    MissingIssuer,
    /// There is no `sub`.
    MissingSubject,
    /// `sub` has a `1` at its end: a different user. A fault only in the response to a refresh.
    OtherSubject,
    /// `aud` has a `1` at its end.
    WrongAudience,
    /// There is no `aud`.
    MissingAudience,
    /// A second audience that the client does not trust.
    ForeignAudience,
    /// The audience is an array with one element, which is allowed.
    ListedAudience,
    /// There is no `iat`.
    MissingIssuedAt,
    /// There is no `exp`.
    MissingExpiry,
    /// `exp` is ten minutes in the past.
    Expired,
    /// `iat` is a week in the past. A fault only without a nonce, which would bind the token to a recent request.
    IssuedLongAgo,
    /// The nonce of another flow.
    WrongNonce,
    /// There is no nonce.
    MissingNonce,
    /// `at_hash` belongs to a different access token.
    WrongAccessTokenHash,
    /// `c_hash` belongs to a different code. A fault only in a token that comes with the code.
    WrongCodeHash,
    /// There is no `c_hash`. A fault only in a token that comes with the code.
    MissingCodeHash,
    /// There is no `kid`, which is allowed with one key in the set.
    NoKeyId,
    /// `alg` is `none`, and there is no signature.
    Unsigned,
    /// It is signed with the right key, but not with the registered algorithm.
    OtherAlgorithm,
    /// One bit of the signature is flipped.
    BrokenSignature,
    /// `alg` is `HS256`, computed with the public key as the secret.
    PublicKeyAsSecret,
    /// `typ` is that of a different kind of token.
    ForeignType,
    /// There is no `auth_time`. A fault only if the request had `max_age`.
    MissingAuthTime,
    /// `auth_time` is an hour in the past.
    OldAuthTime,
}

impl IdTokenFlaw {
    /// All flaws.
    pub const ALL: &[Self] = &[
        Self::Missing,
        Self::WrongIssuer,
        Self::MissingIssuer,
        Self::MissingSubject,
        Self::OtherSubject,
        Self::WrongAudience,
        Self::MissingAudience,
        Self::ForeignAudience,
        Self::ListedAudience,
        Self::MissingIssuedAt,
        Self::MissingExpiry,
        Self::Expired,
        Self::IssuedLongAgo,
        Self::WrongNonce,
        Self::MissingNonce,
        Self::WrongAccessTokenHash,
        Self::WrongCodeHash,
        Self::MissingCodeHash,
        Self::NoKeyId,
        Self::Unsigned,
        Self::OtherAlgorithm,
        Self::BrokenSignature,
        Self::PublicKeyAsSecret,
        Self::ForeignType,
        Self::MissingAuthTime,
        Self::OldAuthTime,
    ];

    /// The token with this flaw; `None` for [`Missing`](Self::Missing), or if it cannot be made.
    pub(super) fn flawed_token(self, token: &str) -> Option<String> {
        let mut parts = token.split('.').map(|part| {
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            serde_json::from_slice::<Value>(&bytes).unwrap_or_default()
        });
        let (mut header, mut claims) = (parts.next()?, parts.next()?);
        let longer = |value: &Value| format!("{}1", value.as_str().unwrap_or_default()).into();
        let earlier = |time: &Value, seconds| {
            let time = time.as_u64().unwrap_or_default();
            time.saturating_sub(seconds).into()
        };
        let remove = |claims: &mut Value, name: &str| {
            claims
                .as_object_mut()
                .and_then(|members| members.remove(name));
        };
        match self {
            Self::Missing => return None,
            Self::WrongIssuer => claims["iss"] = longer(&claims["iss"]),
            Self::MissingIssuer => remove(&mut claims, "iss"),
            Self::MissingSubject => remove(&mut claims, "sub"),
            Self::OtherSubject => claims["sub"] = longer(&claims["sub"]),
            Self::WrongAudience => claims["aud"] = longer(&claims["aud"]),
            Self::MissingAudience => remove(&mut claims, "aud"),
            Self::ForeignAudience => claims["aud"] = json!([claims["aud"], "another"]),
            Self::ListedAudience => claims["aud"] = json!([claims["aud"]]),
            Self::MissingIssuedAt => remove(&mut claims, "iat"),
            Self::MissingExpiry => remove(&mut claims, "exp"),
            Self::Expired => claims["exp"] = earlier(&claims["iat"], 600),
            Self::IssuedLongAgo => claims["iat"] = earlier(&claims["iat"], 7 * 86_400),
            Self::WrongNonce => claims["nonce"] = "another".into(),
            Self::MissingNonce => remove(&mut claims, "nonce"),
            Self::WrongAccessTokenHash => claims["at_hash"] = "X6ipxQXY1JKDUUzqjvn72w".into(),
            Self::WrongCodeHash => claims["c_hash"] = "X6ipxQXY1JKDUUzqjvn72w".into(),
            Self::MissingCodeHash => remove(&mut claims, "c_hash"),
            Self::NoKeyId => remove(&mut header, "kid"),
            Self::ForeignType => header["typ"] = "at+jwt".into(),
            Self::MissingAuthTime => remove(&mut claims, "auth_time"),
            Self::OldAuthTime => claims["auth_time"] = earlier(&claims["iat"], 3600),
            Self::Unsigned => return unsigned(&claims, header["kid"].as_str()?),
            Self::OtherAlgorithm => {
                let other = if header["alg"] == "PS256" {
                    Alg::Rs256
                } else {
                    Alg::Rs512
                };
                return other_alg(&claims, header["kid"].as_str()?, other);
            }
            Self::BrokenSignature => {
                let (input, signature) = token.rsplit_once('.')?;
                let mut signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
                *signature.last_mut()? ^= 1;
                return Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)));
            }
            Self::PublicKeyAsSecret => {
                header["alg"] = "HS256".into();
                let signed = sign(&header, &claims)?;
                let (input, _) = signed.rsplit_once('.')?;
                let secret = key(Alg::Rs256)?.public_jwk().to_value().to_string();
                let tag = oauth_crypto::mac(Alg::Hs256, secret.as_bytes(), input.as_bytes())?;
                return Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag)));
            }
        }
        sign(&header, &claims)
    }

    /// Puts the flaw into a token response; `None` if it has no ID token.
    pub(super) fn apply_to(self, body: &[u8]) -> Option<Vec<u8>> {
        let mut reply: Value = serde_json::from_slice(body).ok()?;
        let token = reply.get("id_token")?.as_str()?.to_owned();
        match self.flawed_token(&token) {
            Some(flawed) => reply["id_token"] = flawed.into(),
            None => {
                reply.as_object_mut()?.remove("id_token");
            }
        }
        Some(reply.to_string().into_bytes())
    }
}
