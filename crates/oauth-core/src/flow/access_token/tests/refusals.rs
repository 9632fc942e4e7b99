//! The responses of an API that refuses a token.

use super::*;

fn refused(verifier: &AccessTokenVerifier, scheme: Scheme, more: &str) -> ApiRefusal {
    let token = token(AT_JWT, &claims(more));
    let error = verify(verifier, &token, ProvenKeys::none()).unwrap_err();
    let refusal = verifier.refuse(scheme, &error);
    if scheme == Scheme::Bearer {
        assert_eq!(error.refusal(), Some(&refusal));
    }
    refusal
}

fn assert_refusal(refusal: &ApiRefusal, status: u16, challenge: &str) {
    assert_eq!(refusal.status, status, "{challenge}");
    assert_eq!(refusal.challenge.as_deref(), Some(challenge));
}

#[test]
fn challenge_states_the_requirements_of_the_api() {
    let verifier = verifier()
        .require_scope(Scope::parse("read write").unwrap())
        .require_max_age(Duration::from_secs(60))
        .require_acr(["gold", "silver"])
        .unwrap();
    assert_refusal(
        &verifier.refuse_missing(),
        401,
        r#"Bearer scope="read write""#,
    );
    let bearer = Scheme::Bearer;
    let expired = refused(&verifier, bearer, r#""exp":1"#);
    assert_refusal(&expired, 401, r#"Bearer error="invalid_token""#);
    let unmet = r#"Bearer error="insufficient_user_authentication", acr_values="gold silver", max_age="60""#;
    assert_refusal(&refused(&verifier, bearer, ""), 401, unmet);
    let met = format!(r#""acr":"gold","auth_time":{NOW},"scope":"read""#);
    let needed = r#"Bearer error="insufficient_scope", scope="read write""#;
    assert_refusal(&refused(&verifier, bearer, &met), 403, needed);
}

#[test]
fn challenge_has_realm_metadata_and_one_entry_per_scheme() {
    let verifier = verifier().with_realm(r#"a "b" \"#).unwrap();
    let verifier =
        verifier.with_resource_metadata("https://api.example/.well-known/x".parse().unwrap());
    let common = r#"realm="a \"b\" \\""#;
    let metadata = r#"resource_metadata="https://api.example/.well-known/x""#;
    let bound = r#""cnf":{"jkt":"k"}"#;
    let only = format!(r#"Bearer {common}, error="invalid_token", {metadata}"#);
    assert_refusal(&refused(&verifier, Scheme::Bearer, bound), 401, &only);
    let verifier = verifier.with_dpop_algs([Alg::Es256, Alg::EdDsa]).unwrap();
    let algs = r#"algs="ES256 EdDSA""#;
    let both = format!("{only}, DPoP {common}, {algs}, {metadata}");
    assert_refusal(&refused(&verifier, Scheme::Bearer, bound), 401, &both);
    let dpop = format!(
        r#"DPoP {common}, error="invalid_token", {algs}, {metadata}, Bearer {common}, {metadata}"#
    );
    assert_refusal(&refused(&verifier, Scheme::Dpop, bound), 401, &dpop);
    let read = challenge::parse([dpop.as_str()]).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(
        read.iter()
            .map(|one| one.param("realm"))
            .collect::<Vec<_>>(),
        [Some(r#"a "b" \"#); 2]
    );
    assert_eq!(
        error_code(self::verifier().with_realm("a\r\nb").map(drop)),
        Err("form.malformed_parameter")
    );
    for acr in ["", "a b", "ä"] {
        let wrong = self::verifier().require_acr([acr]).map(drop);
        assert_eq!(error_code(wrong), Err("form.malformed_parameter"));
    }
}

#[test]
fn refusal_with_a_proof_uses_the_dpop_scheme() {
    let token = token(AT_JWT, &claims(""));
    let error = verify(&verifier(), &token, ProvenKeys::dpop("k")).unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_refusal(refusal, 401, r#"DPoP error="invalid_token", Bearer"#);
    assert_eq!(Error::lost(Cause::unsent("no network")).refusal(), None);
}

#[test]
fn clients_verifier_uses_its_cached_keys_but_not_its_hmac_algorithm() {
    let client = testing::client_of(testing::server()).with_id_token_algs([Alg::Hs256]);
    client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
    let verifier = client.access_token_verifier("https://api.example");
    assert_eq!(*verifier.algs, [Alg::Rs256]);
    assert_eq!(
        verify_claims(&verifier.with_algs([Alg::Es256]).unwrap(), AT_JWT, ""),
        Ok(())
    );
}
