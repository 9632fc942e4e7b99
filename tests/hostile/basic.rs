//! The modules of OpenID's Basic, Form Post and full relying-party plans without a flaw of the server: the client's
//! requests, and how it reads responses.

use oauth_core::flow::authorization::{ResponseMode, ResponseType};
use oauth_core::jose::Alg;
use oauth_core::token::standard_claims::ClaimsPlace;
use oauth_core::{Error, Moment};
use oauth_testkit::twin::IdTokenFlaw;
use oauth_testkit::{Fault, Twin};
use serde_json::json;

use crate::{Party, REDIRECT_URI, browse, print_row};

/// The checks common to all modules: scope, redirect URI, PKCE, client authentication, and use of the token.
#[tokio::test]
async fn a_complete_sign_in_passes_the_common_checks() {
    let party = Party::new().await;
    let login = party
        .login(party.authorization_request("openid read"))
        .await;
    let login = login.expect("a login");
    let subject = login
        .id_token
        .expect("openid was asked for")
        .subject()
        .to_owned();
    let tokens = std::sync::Arc::new(login.tokens);
    let user_claims = party
        .driver
        .run(party.client.userinfo(tokens, subject))
        .await;
    let seen = user_claims.err().map(|error| error.code());
    for module in [
        "oidcc-client-test",
        "oidcc-client-test-idtoken-sig-rs256",
        "oidcc-client-test-client-secret-basic",
        "oidcc-client-test-userinfo-bearer-header",
    ] {
        print_row(module, "none", None, seen);
    }
    assert_eq!(seen, None);
    party.served.with(|twin| {
        let id = twin.client_id().to_owned();
        let at = |path: &str| {
            let entry = twin.log().iter().find(|entry| entry.path == path);
            entry.unwrap_or_else(|| panic!("{path}"))
        };
        let authorization_requests = at("/authorize");
        assert_eq!(authorization_requests.query("response_type"), Some("code"));
        assert_eq!(authorization_requests.query("scope"), Some("openid read"));
        assert_eq!(
            authorization_requests.query("redirect_uri"),
            Some(REDIRECT_URI)
        );
        assert_eq!(
            authorization_requests.query("code_challenge_method"),
            Some("S256")
        );
        assert!(
            authorization_requests
                .query("nonce")
                .is_some_and(|nonce| nonce.len() >= 22)
        );
        let token = at("/token");
        assert_eq!(token.form("redirect_uri"), Some(REDIRECT_URI));
        assert!(token.form("code_verifier").is_some() && token.form("client_secret").is_none());
        assert!(token.form("client_id").is_none_or(|named| named == id));
        assert!(token.header("authorization").is_some());
        let userinfo = at("/userinfo");
        assert_eq!((userinfo.method.as_str(), userinfo.query.len()), ("GET", 0));
        assert!(userinfo.header("authorization").is_some());
    });
    assert_eq!(party.requests("/token"), 1);
    assert_eq!(party.requests("/userinfo"), 1);
}

/// oidcc-client-test-scope-userinfo-claims
#[tokio::test]
async fn claims_of_all_standard_scopes_are_read() {
    let party = Party::new().await;
    let login = party
        .login(party.authorization_request("openid profile email address phone"))
        .await;
    let login = login.expect("a login");
    let subject = login
        .id_token
        .expect("openid was asked for")
        .subject()
        .to_owned();
    let tokens = std::sync::Arc::new(login.tokens);
    let userinfo = party
        .driver
        .run(party.client.userinfo(tokens, subject))
        .await;
    print_row(
        "oidcc-client-test-scope-userinfo-claims",
        "none",
        None,
        userinfo.as_ref().err().map(Error::code),
    );
    let userinfo = userinfo.expect("claims");
    let claims = userinfo.standard();
    assert_eq!(claims.name, Some("Alice Liddell"));
    assert_eq!(claims.email, Some("alice@twin.example"));
    assert_eq!(claims.email_verified, Some(true));
    assert_eq!(claims.phone_number, Some("+1 202 555 0134"));
    assert_eq!(
        claims.address.and_then(|address| address.country),
        Some("GB")
    );
}

/// oidcc-client-test-nonce-unless-code-flow: a nonce is also sent in the code flow, a new one each time.
#[tokio::test]
async fn a_nonce_is_sent_in_every_flow() {
    let party = Party::new().await;
    let mut nonces = Vec::new();
    for kind in [
        ResponseType::Code,
        ResponseType::CodeIdToken,
        ResponseType::Code,
    ] {
        let at = Moment::system().expect("a clock");
        let request = party.authorization_request("openid").response_type(kind);
        let (url, _) = party.client.authorize(&at, request).expect("a URL");
        let (_, query) = url.as_str().split_once('?').expect("a query");
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).expect("a query");
        let nonce = pairs.into_iter().find(|(name, _)| name == "nonce");
        nonces.push(nonce.expect("a nonce").1);
    }
    print_row(
        "oidcc-client-test-nonce-unless-code-flow",
        "none",
        None,
        None,
    );
    nonces.sort_unstable();
    assert!(
        nonces.windows(2).all(|pair| pair[0] != pair[1]),
        "{nonces:?}"
    );
}

/// The form that a page submits.
fn posted(page: &str) -> String {
    let fields = page.split("name=\"").skip(1).map(|rest| {
        let (name, rest) = rest.split_once("\" value=\"").expect("a field");
        (name, rest.split('"').next().unwrap_or_default())
    });
    serde_urlencoded::to_string(fields.collect::<Vec<_>>()).expect("a form")
}

/// The form post plans, and oidcc-client-test-form-post-error.
#[tokio::test]
async fn a_form_post_response_is_read() {
    let party = Party::new().await;
    for (module, is_denied, expected) in [
        ("oidcc-client-formpost", false, None),
        (
            "oidcc-client-test-form-post-error",
            true,
            Some("denied.access_denied"),
        ),
    ] {
        let before = party.requests("/token");
        if is_denied {
            party.served.with(Twin::deny_next);
        }
        let at = Moment::system().expect("a clock");
        let request = party
            .authorization_request("openid")
            .response_mode(ResponseMode::FormPost);
        let (url, pending) = party.client.authorize(&at, request).expect("a URL");
        let page = browse(url.as_str()).await;
        let seen = party.redeem(pending, &posted(&page)).await.map(drop).err();
        print_row(module, "form_post", expected, seen);
        assert_eq!(seen, expected);
        assert_eq!(party.requests("/token"), before + usize::from(!is_denied));
    }
}

/// oidcc-client-test-invalid-sig-es256 and -hs256, and their valid counterparts: the registered algorithm is accepted,
/// and its signature verified.
#[tokio::test]
async fn signatures_of_every_registered_algorithm_are_verified() {
    for (module, alg) in [
        ("oidcc-client-test-invalid-sig-rs256", Alg::Rs256),
        ("oidcc-client-test-invalid-sig-es256", Alg::Es256),
        ("oidcc-client-test-invalid-sig-hs256", Alg::Hs256),
    ] {
        let mut party = Party::with_secret("a secret of more than thirty-two bytes").await;
        party.served.with(|twin| twin.sign_id_tokens_by(alg));
        assert_eq!(
            party.sign_in().await.err(),
            (alg != Alg::Rs256).then_some("jws.alg_not_allowed")
        );
        party.client = party.client.with_id_token_algs([alg]);
        assert!(party.sign_in().await.is_ok(), "{alg:?}");
        let flaw = IdTokenFlaw::BrokenSignature;
        party
            .served
            .with(|twin| twin.inject(Fault::IdToken { flaw }));
        let seen = party.sign_in().await.err();
        print_row(module, "BrokenSignature", Some("jws.bad_signature"), seen);
        assert_eq!(seen, Some("jws.bad_signature"), "{alg:?}");
    }
}

/// oidcc-client-test-aggregated-claims and -distributed-claims: they are available separately, and not mixed with the
/// server's own claims.
#[tokio::test]
async fn aggregated_and_distributed_claims_are_kept_separate() {
    let party = Party::new().await;
    party.served.with(|twin| {
        twin.set_claim(
            "_claim_names",
            json!({ "address": "src1", "credit_score": "src2" }),
        );
        let sources = json!({
            "src1": { "JWT": "header.claims.signature" },
            "src2": { "endpoint": "https://credit.example/claims", "access_token": "ksj3n283dke" },
        });
        twin.set_claim("_claim_sources", sources);
    });
    let login = party.login(party.authorization_request("openid")).await;
    let id_token = login
        .expect("a login")
        .id_token
        .expect("openid was asked for");
    let sources = id_token.claims().sources().expect("sources");
    let source_of_claim =
        |claim: &str| sources.iter().find(|source| source.claims.contains(&claim));
    let is_aggregated = matches!(
        &source_of_claim("address").expect("a source").location,
        ClaimsPlace::Aggregated(_)
    );
    let is_distributed = matches!(
        &source_of_claim("credit_score").expect("a source").location,
        ClaimsPlace::Distributed {
            endpoint: "https://credit.example/claims",
            access_token: Some(_)
        }
    );
    print_row("oidcc-client-test-aggregated-claims", "none", None, None);
    print_row("oidcc-client-test-distributed-claims", "none", None, None);
    assert!(is_aggregated && is_distributed);
    // The sources of claims are not called automatically.
    assert!(id_token.claims().standard().address.is_none());
}
