//! Sign-ins at a server with a flaw, over sockets: the modules of OpenID's Basic and Config relying-party
//! plans about ID tokens and keys, and similar flaws.
//!
//! After a faulty response the client sends nothing more: no request to the API, no second token request.
//! `--nocapture` prints the table.

mod attacks;
mod basic;
mod dynamic;
mod fapi;
mod hybrid;
mod lifecycle;
mod lists;
mod logout;
mod over_sockets;
mod resources;
mod site;

use oauth_core::flow::redeem::Login;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Moment, PendingAuthorization, Scope, danger,
};
use oauth_reqwest::{Driver, reqwest};
use oauth_testkit::twin::IdTokenFlaw;
use oauth_testkit::{Fault, Served, Twin};

const REDIRECT_URI: &str = "http://127.0.0.1/callback";

/// The module of OpenID's plans with this flaw, or its source.
fn module(flaw: IdTokenFlaw) -> &'static str {
    match flaw {
        IdTokenFlaw::WrongIssuer => "oidcc-client-test-invalid-iss",
        IdTokenFlaw::MissingIssuer => "fapi2-...-test-invalid-missing-iss",
        IdTokenFlaw::MissingSubject => "oidcc-client-test-missing-sub",
        IdTokenFlaw::WrongAudience => "oidcc-client-test-invalid-aud",
        IdTokenFlaw::MissingAudience => "oidcc-client-test-missing-aud",
        IdTokenFlaw::ForeignAudience => "fapi2-...-test-invalid-secondary-aud",
        IdTokenFlaw::ListedAudience => "fapi2-...-test-valid-aud-as-array",
        IdTokenFlaw::OtherAlgorithm => "fapi2-...-test-invalid-alternate-alg",
        IdTokenFlaw::MissingIssuedAt => "oidcc-client-test-missing-iat",
        IdTokenFlaw::MissingExpiry => "fapi2-...-test-invalid-missing-exp",
        IdTokenFlaw::Expired => "fapi2-...-test-invalid-expired-exp",
        IdTokenFlaw::IssuedLongAgo => "fapi-ciba-id1-client-iat-is-week-in-past-test",
        IdTokenFlaw::WrongNonce => "oidcc-client-test-nonce-invalid",
        IdTokenFlaw::MissingNonce => "fapi2-...-test-invalid-missing-nonce",
        IdTokenFlaw::WrongAccessTokenHash => "oidcc-client-test-invalid-athash",
        IdTokenFlaw::WrongCodeHash => "oidcc-client-test-invalid-chash",
        IdTokenFlaw::MissingCodeHash => "oidcc-client-test-missing-chash",
        IdTokenFlaw::NoKeyId => "oidcc-client-test-kid-absent-single-jwks",
        IdTokenFlaw::Unsigned => "oidcc-client-test-idtoken-sig-none",
        IdTokenFlaw::BrokenSignature => "oidcc-client-test-invalid-sig-rs256",
        IdTokenFlaw::PublicKeyAsSecret => "oidcc-client-test-invalid-sig-hs256",
        IdTokenFlaw::Missing => "OpenID Connect Core 3.1.3.3",
        IdTokenFlaw::OtherSubject => "OpenID Connect Core 2",
        IdTokenFlaw::ForeignType => "RFC 8725 3.11",
        IdTokenFlaw::MissingAuthTime | IdTokenFlaw::OldAuthTime => "OpenID Connect Core 3.1.2.1",
        _ => "a flaw that has no row here",
    }
}

/// Prints a line of the table.
fn print_row(module: &str, flaw: &str, expected: Option<&str>, seen: Option<&str>) {
    lists::check_row(&module.replace("fapi2-...", "fapi2-security-profile-final-client"));
    let code_or_accepted = |code: Option<&str>| code.unwrap_or("accepted").to_owned();
    println!(
        "{module:<48} {flaw:<22} {:<26} {}",
        code_or_accepted(expected),
        code_or_accepted(seen)
    );
}

/// The client's error for each flaw; `None` if it accepts the token.
fn expected(flaw: IdTokenFlaw) -> Option<&'static str> {
    Some(match flaw {
        IdTokenFlaw::Missing => "id_token.missing",
        IdTokenFlaw::WrongIssuer => "jwt.issuer",
        IdTokenFlaw::MissingIssuer
        | IdTokenFlaw::MissingSubject
        | IdTokenFlaw::MissingAudience
        | IdTokenFlaw::MissingIssuedAt
        | IdTokenFlaw::MissingExpiry
        | IdTokenFlaw::MissingNonce => "jwt.missing_claim",
        IdTokenFlaw::WrongAudience => "jwt.audience",
        IdTokenFlaw::ForeignAudience => "jwt.untrusted_audience",
        IdTokenFlaw::Expired => "jwt.expired",
        IdTokenFlaw::WrongNonce => "id_token.nonce",
        IdTokenFlaw::WrongAccessTokenHash => "id_token.at_hash",
        IdTokenFlaw::Unsigned | IdTokenFlaw::PublicKeyAsSecret | IdTokenFlaw::OtherAlgorithm => {
            "jws.alg_not_allowed"
        }
        IdTokenFlaw::BrokenSignature => "jws.bad_signature",
        IdTokenFlaw::ForeignType => "jwt.typ",
        // One key in the set, and a token without `kid` (oidcc-client-test-kid-absent-single-jwks).
        IdTokenFlaw::NoKeyId => return None,
        // An array with one audience is equivalent.
        IdTokenFlaw::ListedAudience => return None,
        // There is no code beside it.
        IdTokenFlaw::WrongCodeHash | IdTokenFlaw::MissingCodeHash => return None,
        // The request had no `max_age`.
        IdTokenFlaw::MissingAuthTime | IdTokenFlaw::OldAuthTime => return None,
        // The nonce shows that it belongs to this login.
        IdTokenFlaw::IssuedLongAgo => return None,
        // There is no earlier subject to compare with.
        IdTokenFlaw::OtherSubject => return None,
        _ => "a flaw that has no row here",
    })
}

struct Party {
    served: Served,
    driver: Driver,
    client: Client,
}

impl Party {
    async fn new() -> Self {
        Self::of(Served::start(Twin::generic).expect("a twin")).await
    }

    /// A party whose client has this secret.
    async fn with_secret(secret: &'static str) -> Self {
        let served = Served::start(Twin::generic).expect("a twin");
        served.with(|twin| twin.set_client_secret(secret));
        Self::of(served).await
    }

    async fn of(served: Served) -> Self {
        let driver = Driver::new(reqwest::Client::builder().no_proxy()).expect("a driver");
        let issuer = danger::loopback_issuer(served.base()).expect("an issuer");
        let found = danger::discover_on_loopback(issuer, oauth_core::quirk::Rules::default());
        let server = driver.run(found).await.expect("a server");
        let id = served.with(|twin| twin.client_id().to_owned());
        let secret = served.with(|twin| twin.client_secret().to_owned());
        let client =
            Client::new(server, ClientId::new(id), ClientAuth::basic(secret)).expect("a client");
        Self {
            served,
            driver,
            client,
        }
    }

    /// Signs in; returns the subject, or the error's code.
    async fn sign_in(&self) -> Result<String, &'static str> {
        let login = self
            .login(self.authorization_request("openid read"))
            .await?;
        Ok(login
            .id_token
            .expect("openid was asked for")
            .subject()
            .to_owned())
    }

    fn authorization_request(&self, scope: &str) -> AuthorizationRequest {
        let uri = RedirectUri::parse(REDIRECT_URI).expect("a redirect URI");
        AuthorizationRequest::new(uri).scope(Scope::parse(scope).expect("a scope"))
    }

    async fn login(&self, request: AuthorizationRequest) -> Result<Login, &'static str> {
        let at = Moment::system().expect("a clock");
        let (url, pending) = self.client.authorize(&at, request).expect("a URL");
        let callback = browse(url.as_str()).await;
        self.redeem(pending, &callback).await
    }

    async fn redeem(
        &self,
        pending: PendingAuthorization,
        callback: &str,
    ) -> Result<Login, &'static str> {
        let exchange = self.client.redeem(pending, callback);
        let exchange = exchange.map_err(|error| error.code())?;
        let login = self.driver.run(exchange).await;
        login.map_err(|error| error.code())
    }

    fn requests(&self, path: &str) -> usize {
        self.served
            .with(|twin| twin.log().iter().filter(|entry| entry.path == path).count())
    }
}

/// The URL to which a browser is redirected, or the page that it is shown.
async fn browse(url: &str) -> String {
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    let reply = browser.build().expect("a browser").get(url).send().await;
    let reply = reply.expect("a reply");
    match reply.headers().get("location") {
        Some(place) => place.to_str().expect("a URL").to_owned(),
        None => reply.text().await.expect("a page"),
    }
}

#[tokio::test]
async fn every_id_token_flaw_is_detected_and_no_request_follows() {
    println!("{:<48} {:<22} {:<26} seen", "module", "flaw", "expected");
    for flaw in IdTokenFlaw::ALL {
        let party = Party::new().await;
        party
            .served
            .with(|twin| twin.inject(Fault::IdToken { flaw: *flaw }));
        let seen = party.sign_in().await;
        let expected_code = expected(*flaw);
        let error_code = seen.as_ref().err().copied();
        print_row(
            module(*flaw),
            &format!("{flaw:?}"),
            expected_code,
            error_code,
        );
        assert_eq!(error_code, expected_code, "{flaw:?}");
        assert_eq!(party.requests("/token"), 1, "{flaw:?}");
        assert_eq!(party.requests("/api/echo"), 0, "{flaw:?}");
        // An invalid signature may be by a new key: the keys are fetched again.
        let fetches = if *flaw == IdTokenFlaw::BrokenSignature {
            2
        } else {
            1
        };
        assert!(party.requests("/jwks") <= fetches, "{flaw:?}");
        // The next sign-in succeeds.
        assert!(party.sign_in().await.is_ok(), "{flaw:?}");
    }
}

#[tokio::test]
async fn userinfo_must_be_about_the_signed_in_user() {
    let party = Party::new().await;
    let login = party
        .login(party.authorization_request("openid profile"))
        .await
        .expect("a login");
    let subject = login
        .id_token
        .expect("openid was asked for")
        .subject()
        .to_owned();
    let tokens = std::sync::Arc::new(login.tokens);
    let about = |subject: String| {
        party
            .driver
            .run(party.client.userinfo(tokens.clone(), subject))
    };
    let claims = about(subject.clone()).await.expect("claims");
    assert_eq!(claims.text("name").ok().flatten(), Some("Alice Liddell"));
    print_row(
        "oidcc-client-test-scope-userinfo-claims",
        "none",
        None,
        None,
    );
    let other = about(format!("{subject}1")).await.map(drop);
    let seen = other.err().map(|error| error.code());
    let expected = Some("userinfo.subject");
    print_row(
        "oidcc-client-test-userinfo-invalid-sub",
        "another sub",
        expected,
        seen,
    );
    assert_eq!(seen, expected);
    assert_eq!(party.requests("/userinfo"), 2);
}

/// OpenID Connect Core section 12.2 (oidcc-client-test-refresh-token and similar modules).
#[tokio::test]
async fn a_refreshed_id_token_must_be_for_the_same_user() {
    let party = Party::new().await;
    for (flaw, expected) in [
        (None, None),
        (Some(IdTokenFlaw::WrongIssuer), Some("jwt.issuer")),
        (
            Some(IdTokenFlaw::OtherSubject),
            Some("id_token.subject_changed"),
        ),
        (
            Some(IdTokenFlaw::MissingSubject),
            Some("id_token.subject_changed"),
        ),
        (
            Some(IdTokenFlaw::WrongAudience),
            Some("id_token.audience_changed"),
        ),
        (Some(IdTokenFlaw::Expired), Some("jwt.expired")),
        (Some(IdTokenFlaw::WrongNonce), Some("id_token.nonce")),
        (
            Some(IdTokenFlaw::OldAuthTime),
            Some("id_token.auth_time_changed"),
        ),
        (Some(IdTokenFlaw::Unsigned), Some("jws.alg_not_allowed")),
        (Some(IdTokenFlaw::MissingNonce), None),
        (Some(IdTokenFlaw::Missing), None),
    ] {
        let login = party
            .login(party.authorization_request("openid read"))
            .await;
        let tokens = login.expect("a login").tokens;
        if let Some(flaw) = flaw {
            party
                .served
                .with(|twin| twin.inject(Fault::IdToken { flaw }));
        }
        let token = tokens.refresh_token.as_ref().expect("a refresh token");
        let before = party.requests("/token");
        let seen = party.driver.run(party.client.refresh(token)).await;
        let module = match flaw {
            None => "oidcc-client-test-refresh-token",
            Some(IdTokenFlaw::WrongIssuer) => "oidcc-client-test-refresh-token-invalid-issuer",
            Some(IdTokenFlaw::OtherSubject) => "oidcc-client-test-refresh-token-invalid-sub",
            Some(_) => "OpenID Connect Core 12.2",
        };
        let code = seen.as_ref().err().map(|error| error.code());
        print_row(
            module,
            &flaw.map_or("none".to_owned(), |flaw| format!("{flaw:?}")),
            expected,
            code,
        );
        assert_eq!(
            seen.as_ref().err().map(|error| error.code()),
            expected,
            "{flaw:?}"
        );
        assert_eq!(party.requests("/token"), before + 1, "{flaw:?}");
        if let Ok(renewed) = seen {
            assert!(renewed.id_token.is_some(), "{flaw:?}");
        }
    }
}

/// OpenID Connect Core section 3.1.3.7, rule 13.
#[tokio::test]
async fn auth_time_satisfies_the_requested_max_age() {
    let party = Party::new().await;
    for (max_age, flaw, expected) in [
        ("60", None, None),
        (
            "60",
            Some(IdTokenFlaw::OldAuthTime),
            Some("id_token.auth_too_old"),
        ),
        (
            "0",
            Some(IdTokenFlaw::OldAuthTime),
            Some("id_token.auth_too_old"),
        ),
        ("86400", Some(IdTokenFlaw::OldAuthTime), None),
        (
            "86400",
            Some(IdTokenFlaw::MissingAuthTime),
            Some("id_token.auth_time_missing"),
        ),
    ] {
        if let Some(flaw) = flaw {
            party
                .served
                .with(|twin| twin.inject(Fault::IdToken { flaw }));
        }
        let request = party
            .authorization_request("openid")
            .extra("max_age", max_age);
        let seen = party.login(request).await.err();
        assert_eq!(seen, expected, "{max_age} {flaw:?}");
    }
}

#[tokio::test]
async fn keys_are_cached_and_fetched_again_after_rotation() {
    let party = Party::new().await;
    let first = party.sign_in().await.expect("a login");
    assert_eq!(party.sign_in().await.as_deref(), Ok(first.as_str()));
    assert_eq!(
        party.requests("/jwks"),
        1,
        "clones and logins share the cached keys"
    );
    party.served.with(Twin::rotate_keys);
    let second = party.sign_in().await;
    let seen = second.as_ref().err().copied();
    print_row(
        "oidcc-client-test-signing-key-rotation",
        "new keys",
        None,
        seen,
    );
    assert_eq!(second.as_deref(), Ok(first.as_str()));
    assert_eq!(party.requests("/jwks"), 2);
}

/// Without `kid`, all keys of the right type are tried.
#[tokio::test]
async fn a_token_without_kid_is_tried_with_every_key_of_its_type() {
    let party = Party::new().await;
    party.served.with(|twin| {
        twin.publish_other_keys();
        let flaw = IdTokenFlaw::NoKeyId;
        twin.inject(Fault::IdToken { flaw });
    });
    let seen = party.sign_in().await.map(drop).err();
    print_row(
        "oidcc-client-test-kid-absent-multiple-jwks",
        "NoKeyId",
        None,
        seen,
    );
    assert_eq!(seen, None);
    assert_eq!(party.requests("/jwks"), 1);
    // The signature is verified even so.
    let flaw = IdTokenFlaw::BrokenSignature;
    party
        .served
        .with(|twin| twin.inject(Fault::IdToken { flaw }));
    assert_eq!(party.sign_in().await, Err("jws.bad_signature"));
}

#[tokio::test]
async fn forged_tokens_cannot_trigger_unlimited_key_requests() {
    let party = Party::new().await;
    assert!(party.sign_in().await.is_ok());
    for _ in 0..5 {
        let flaw = IdTokenFlaw::BrokenSignature;
        party
            .served
            .with(|twin| twin.inject(Fault::IdToken { flaw }));
        assert_eq!(party.sign_in().await, Err("jws.bad_signature"));
    }
    assert_eq!(party.requests("/jwks"), 2, "once for the first of them");
}
