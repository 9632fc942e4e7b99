#![allow(clippy::unwrap_used)] // tests may panic

use serde_json::{Map, Value, json};

use super::*;
use crate::jose::signing_input;
use crate::testing::NOW;

const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
/// The hash of the token (RFC 9449 section 7.1).
const ATH: &str = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
/// The key of the examples of RFC 9449, and its thumbprint (section 6.1).
const JWK: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#;
const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const NONCE_KEY: [u8; 32] = [7; 32];

/// A proof for `GET https://api.example/orders` whose members can be changed.
#[derive(Clone)]
struct Proof {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Proof {
    fn new() -> Self {
        let jwk: Value = serde_json::from_str(JWK).unwrap();
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        let claims = json!({ "jti": "1", "htm": "GET", "htu": "https://api.example/orders",
            "iat": NOW, "ath": ATH });
        Self {
            header: header.as_object().unwrap().clone(),
            claims: claims.as_object().unwrap().clone(),
        }
    }

    fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.header.remove(name);
        self.claims.remove(name);
        self
    }

    fn text(&self) -> String {
        let (header, claims) = (
            Value::from(self.header.clone()),
            Value::from(self.claims.clone()),
        );
        let input = signing_input(&header.to_string(), &claims.to_string());
        format!("{input}.{}", "A".repeat(86))
    }
}

fn check_proof(
    checks: &ProofChecks,
    fields: &[String],
    url: &str,
    now: u64,
) -> Result<VerifiedDpopProof, Error> {
    let token = TOKEN.into();
    let request = ProvenRequest {
        method: "GET",
        url,
        token: &token,
    };
    let validity = Validity {
        now: UnixTime::from_secs(now),
        clock_skew: Duration::from_secs(60),
    };
    let algs = [Alg::Es256, Alg::Ps256];
    let proof = checks.check(fields, &request, &algs, &validity);
    proof.map(UnverifiedProof::verified)
}

fn verify_proof(proof: &Proof) -> Result<VerifiedDpopProof, Error> {
    let (checks, url) = (
        ProofChecks::default(),
        "https://api.example/orders?page=2#top",
    );
    check_proof(&checks, &[proof.text()], url, NOW)
}

/// The code and detail of a refusal, which contain neither the token nor the proof.
fn refusal_of(proof: &Proof) -> (&'static str, String) {
    let error = verify_proof(proof).unwrap_err();
    let (text, proof) = (format!("{error} {error:?}"), proof.text());
    assert!(!text.contains(TOKEN) && !text.contains(ATH), "{text}");
    assert!(!text.contains(&proof) && !text.contains('\n'), "{text}");
    (error.code(), error.detail().unwrap_or_default().to_owned())
}

fn assert_refused(proof: Proof, code: &str, detail: &str) {
    assert_eq!(refusal_of(&proof), (error_code(code), detail.to_owned()));
}

/// The same code as a static string.
fn error_code(code: &str) -> &'static str {
    let all = ValidationFailure::ALL.iter().map(|row| row.code());
    all.into_iter().find(|known| *known == code).unwrap()
}

#[test]
fn valid_proof_yields_its_key_thumbprint_and_replay_data() {
    let proof = verify_proof(&Proof::new()).unwrap();
    assert_eq!(proof.jkt(), JKT);
    assert_eq!(proof.replay_key().len(), 43);
    // A second after the last moment at which it is accepted.
    assert_eq!(proof.forget_at(), UnixTime::from_secs(NOW + 121));
    assert_eq!(proof.next_nonce(), None);
    // "application/" may be left out, and letter case is ignored (RFC 7515 section 4.1.9).
    assert!(verify_proof(&Proof::new().header("typ", "application/DPoP+jwt")).is_ok());
    // Unknown members.
    assert!(
        verify_proof(
            &Proof::new()
                .header("kid", "1")
                .claim("x", 1)
                .claim("nonce", "n")
        )
        .is_ok()
    );
}

#[test]
fn exactly_one_dpop_header_field_is_required() {
    let valid = Proof::new().text();
    let url = "https://api.example/orders";
    let judged = |fields: &[String]| {
        let proof = check_proof(&ProofChecks::default(), fields, url, NOW);
        proof.map(drop).map_err(|error| error.code())
    };
    assert_eq!(judged(&[format!(" {valid}\t")]), Ok(()));
    assert_eq!(judged(&[]), Err("dpop_proof.missing"));
    let twice = [valid.clone(), valid.clone()];
    assert_eq!(judged(&twice), Err("dpop_proof.duplicate"));
    // Fields joined with a comma, as some servers do.
    assert_eq!(judged(&[twice.join(", ")]), Err("dpop_proof.duplicate"));
    assert_eq!(judged(&[format!("{valid},")]), Err("dpop_proof.duplicate"));
}

#[test]
fn malformed_jwt_is_refused() {
    let url = "https://api.example/orders";
    let judged = |field: &str| {
        let proof = check_proof(&ProofChecks::default(), &[field.to_owned()], url, NOW);
        proof.map(drop).map_err(|error| error.code())
    };
    let valid = Proof::new().text();
    let (header, rest) = valid.split_once('.').unwrap();
    let encoded = base64::url_safe;
    let texts = [
        String::new(),
        "proof".to_owned(),
        "a.b".to_owned(),
        format!("{valid}.AAAA"),
        format!("{valid}="),
        format!("{}.{rest}", encoded("[]")),
        format!("{}.{rest}", encoded(r#"{"alg":"ES256","alg":"ES256"}"#)),
        format!("{header}.{}.AAAA", encoded("[]")),
        format!("{header}.{}.AAAA", encoded(r#"{"jti":"1","jti":"2"}"#)),
        Proof::new().claim("x", "A".repeat(MAX_PROOF)).text(),
        Proof::new().header("crit", json!(["exp"])).text(),
    ];
    for text in texts {
        assert_eq!(judged(&text), Err("dpop_proof.malformed"), "{text}");
    }
    assert_refused(
        Proof::new().claim("iat", "now"),
        "dpop_proof.malformed",
        "jwt.malformed_claim: iat",
    );
    assert_refused(Proof::new().claim("jti", ""), "dpop_proof.malformed", "jti");
    assert_refused(
        Proof::new().claim("jti", 1),
        "dpop_proof.malformed",
        "jwt.malformed_claim: jti",
    );
}

#[test]
fn typ_other_than_dpop_jwt_is_refused() {
    for typ in ["JWT", "at+jwt", "dpop", ""] {
        let detail = format!("it is {typ}, expected dpop+jwt");
        assert_refused(Proof::new().header("typ", typ), "dpop_proof.typ", &detail);
    }
    assert_refused(
        Proof::new().without("typ"),
        "dpop_proof.typ",
        "it is none, expected dpop+jwt",
    );
}

#[test]
fn missing_required_claim_is_refused() {
    for name in ["jti", "htm", "htu", "iat"] {
        assert_refused(Proof::new().without(name), "dpop_proof.missing_claim", name);
    }
}

#[test]
fn algorithm_that_is_not_allowed_is_refused() {
    for alg in ["none", "HS256", "RS256", "ES384", "es256"] {
        let detail = format!("{alg}, allowed: ES256 PS256");
        assert_refused(Proof::new().header("alg", alg), "dpop_proof.alg", &detail);
    }
}

#[test]
fn jwk_must_be_public_and_match_the_algorithm() {
    assert_refused(
        Proof::new().without("jwk"),
        "dpop_proof.jwk",
        "the header has no jwk object",
    );
    assert_refused(
        Proof::new().header("jwk", "key"),
        "dpop_proof.jwk",
        "the header has no jwk object",
    );
    let jwk: Map<String, Value> = serde_json::from_str(JWK).unwrap();
    let with = |name: &str, value: &str| {
        let mut jwk = jwk.clone();
        jwk.insert(name.to_owned(), value.into());
        Proof::new().header("jwk", Value::from(jwk))
    };
    for private in ["d", "p", "k", "oth"] {
        let detail = format!("{private}: only the public half belongs here");
        assert_refused(with(private, "AAAA"), "dpop_proof.jwk", &detail);
    }
    assert_refused(with("x", "AAAA"), "dpop_proof.jwk", "x");
    assert_refused(with("kty", "oct"), "dpop_proof.jwk", "oct P-256");
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let detail = "it does not fit ES256, the proof's alg";
    assert_refused(Proof::new().header("jwk", ed), "dpop_proof.jwk", detail);
}

#[test]
fn htm_must_match_the_request_method() {
    assert_refused(
        Proof::new().claim("htm", "POST"),
        "dpop_proof.htm",
        "it is POST, expected GET",
    );
    // Methods are case-sensitive (RFC 9110 section 9.1).
    assert_refused(
        Proof::new().claim("htm", "get"),
        "dpop_proof.htm",
        "it is get, expected GET",
    );
}

#[test]
fn htu_must_match_the_request_url() {
    for same in [
        "HTTPS://API.example:443/orders",
        "https://api.example/./a/../%6Frders?other=query#fragment",
    ] {
        assert!(
            verify_proof(&Proof::new().claim("htu", same)).is_ok(),
            "{same}"
        );
    }
    for other in [
        "http://api.example/orders",
        "https://api.example/orders/",
        "https://api.example:8443/orders",
        "https://other.example/orders",
    ] {
        let detail = format!("it is {other}, expected https://api.example/orders");
        assert_refused(Proof::new().claim("htu", other), "dpop_proof.htu", &detail);
    }
    let detail = "it is not an absolute http or https URI, expected https://api.example/orders";
    assert_refused(
        Proof::new().claim("htu", "/orders"),
        "dpop_proof.htu",
        detail,
    );
    let fields = [Proof::new().text()];
    let relative = check_proof(&ProofChecks::default(), &fields, "/orders", NOW).map(drop);
    assert_eq!(relative.map_err(|error| error.code()), Err("url.syntax"));
}

#[test]
fn ath_must_be_the_hash_of_the_access_token() {
    assert_refused(
        Proof::new().without("ath"),
        "dpop_proof.ath",
        "there is none",
    );
    let other = base64::url_safe(hash(&"other".into()));
    assert_refused(
        Proof::new().claim("ath", other),
        "dpop_proof.ath",
        "it is the hash of a different text",
    );
}

#[test]
fn proof_outside_its_time_window_is_refused() {
    let detail = |iat| format!("iat is {iat}, expected {} to {}", NOW - 120, NOW + 60);
    for iat in [NOW - 120, NOW - 60, NOW, NOW + 60] {
        assert!(
            verify_proof(&Proof::new().claim("iat", iat)).is_ok(),
            "{iat}"
        );
    }
    for iat in [0, NOW - 121, NOW + 61] {
        assert_refused(
            Proof::new().claim("iat", iat),
            "dpop_proof.iat",
            &detail(iat),
        );
    }
    assert_refused(
        Proof::new().claim("exp", NOW - 60),
        "dpop_proof.iat",
        "by exp or nbf",
    );
    assert_refused(
        Proof::new().claim("nbf", NOW + 61),
        "dpop_proof.iat",
        "by exp or nbf",
    );
    assert!(verify_proof(&Proof::new().claim("exp", NOW).claim("nbf", NOW)).is_ok());

    let mut checks = ProofChecks::default();
    let (fields, url) = ([Proof::new().text()], "https://api.example/orders");
    for (age, accepted) in [(0, 60), (10, 70), (300, 360), (9_999, 360)] {
        checks.set_max_age(Duration::from_secs(age));
        assert!(
            check_proof(&checks, &fields, url, NOW + accepted).is_ok(),
            "{age}"
        );
        assert!(
            check_proof(&checks, &fields, url, NOW + accepted + 1).is_err(),
            "{age}"
        );
    }
}

/// The sender is not authenticated, and the error may be logged.
#[test]
fn error_detail_truncates_a_long_claim() {
    let long = "x".repeat(5_000);
    let url = format!("https://api.example/{long}");
    for (proof, code) in [
        (Proof::new().header("typ", long.as_str()), "dpop_proof.typ"),
        (Proof::new().claim("htm", long.as_str()), "dpop_proof.htm"),
        (Proof::new().claim("htu", url), "dpop_proof.htu"),
    ] {
        let (refused_by, detail) = refusal_of(&proof);
        assert_eq!(refused_by, code);
        assert!(detail.len() < 300, "{code}: {} bytes", detail.len());
    }
}

#[test]
fn nonce_must_be_issued_by_this_api_if_required() {
    let key = DpopNonceKey::new(NONCE_KEY);
    let checks = ProofChecks {
        nonce_key: Some(key.clone()),
        ..ProofChecks::default()
    };
    let judged = |proof: Proof| {
        let url = "https://api.example/orders";
        check_proof(&checks, &[proof.text()], url, NOW)
    };
    let issued = |ago: u64| key.nonce(UnixTime::from_secs(NOW - ago));
    let recent = judged(Proof::new().claim("nonce", issued(149))).unwrap();
    assert_eq!(recent.next_nonce(), None);
    let old = judged(Proof::new().claim("nonce", issued(150))).unwrap();
    assert_eq!(old.next_nonce(), Some(issued(0).as_str()));
    for (proof, detail) in [
        (Proof::new(), "there is none"),
        (
            Proof::new().claim("nonce", issued(300)),
            "it is unknown or has expired",
        ),
        (
            Proof::new().claim("nonce", "other"),
            "it is unknown or has expired",
        ),
    ] {
        let error = judged(proof).unwrap_err();
        assert_eq!(
            (error.code(), error.detail()),
            ("dpop_proof.nonce", Some(detail))
        );
    }
}

#[test]
fn replay_key_depends_on_the_key_target_and_jti() {
    let key = |proof: Proof, url: &str| {
        let proof = check_proof(&ProofChecks::default(), &[proof.text()], url, NOW).unwrap();
        proof.replay_key().to_owned()
    };
    let (orders_url, root_url) = ("https://api.example/orders", "https://api.example/");
    let first = key(Proof::new(), orders_url);
    assert_eq!(
        first,
        key(
            Proof::new().claim("iat", NOW - 1),
            "https://API.example:443/orders?x"
        )
    );
    assert_ne!(first, key(Proof::new().claim("jti", "2"), orders_url));
    assert_ne!(first, key(Proof::new().claim("htu", root_url), root_url));
    // Swapped coordinates: only a different key is needed here; the host checks its validity.
    let jwk: Map<String, Value> = serde_json::from_str(JWK).unwrap();
    let mut other = jwk.clone();
    other.insert("x".to_owned(), jwk.get("y").unwrap().clone());
    assert_ne!(
        first,
        key(Proof::new().header("jwk", Value::from(other)), orders_url)
    );
}
