//! The client modules of OpenID's plans for FAPI 2.0, Security Profile Final and Message Signing Final, over TLS.
//!
//! Each runs in every variant of the plans: `private_key_jwt` or `tls_client_auth`, tokens bound to a DPoP key or to
//! a certificate, with and without OpenID Connect. The server is as strict as the plans: it refuses requests sent in
//! any other way, repeated proofs and assertions, and audiences other than its issuer.

mod aliases;
mod ciba;
mod responses;
mod rotation;

use oauth_core::client_auth::Certificate;
use oauth_core::flow::redeem::Login;
use oauth_core::flow::resource::{Api, Resource};
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, Enc, JweAlg};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::request_encryption::RequestEncryption;
use oauth_core::request_signing::RequestSigning;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Scope, SecurityProfile, Tokens,
    discover,
};
use oauth_crypto::{ClientKeys, DpopKey, PrivateKey, PublicKeyEncrypter};
use oauth_reqwest::Transport;
use oauth_reqwest::blocking::{Authorized, Driver};
use oauth_session::Sources;
use oauth_session::blocking::GrantSource;
use oauth_testkit::twin::{DpopNonces, IdTokenFlaw, Rotation};
use oauth_testkit::{Fault, MutualTls};

use crate::{expected, module, print_row};

const CALLBACK: &str = "https://app.example/callback";

/// The credential with which a client authenticates, or to which tokens are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    Key,
    Certificate,
}

/// A variant of a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant {
    pub(crate) profile: SecurityProfile,
    pub(crate) auth: CredentialKind,
    pub(crate) sender: CredentialKind,
    pub(crate) scope: &'static str,
}

/// Every variant of both plans.
fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for profile in [
        SecurityProfile::Fapi2Security,
        SecurityProfile::Fapi2MessageSigning,
    ] {
        for auth in [CredentialKind::Key, CredentialKind::Certificate] {
            for sender in [CredentialKind::Key, CredentialKind::Certificate] {
                for scope in ["openid read", "read"] {
                    all.push(Variant {
                        profile,
                        auth,
                        sender,
                        scope,
                    });
                }
            }
        }
    }
    all
}

/// The variants of one plan with OpenID Connect: each authentication method with each sender constraint.
fn authentications(profile: SecurityProfile) -> impl Iterator<Item = Variant> {
    let all = variants().into_iter();
    all.filter(move |variant| variant.profile == profile && variant.scope == USUAL.scope)
}

/// The variant for modules that do not depend on it.
pub(crate) const USUAL: Variant = Variant {
    profile: SecurityProfile::Fapi2Security,
    auth: CredentialKind::Key,
    sender: CredentialKind::Key,
    scope: "openid read",
};

/// A bank, and a program that may call it.
pub(crate) struct Bank {
    pub(crate) tls: MutualTls,
    pub(crate) driver: Driver,
    pub(crate) client: Client,
    pub(crate) scope: &'static str,
}

impl Bank {
    pub(crate) fn of(variant: Variant) -> Self {
        let (tls, driver) = Self::start_bank(variant);
        let client = client(&tls, &driver, variant).expect("a client");
        Self {
            tls,
            driver,
            client,
            scope: variant.scope,
        }
    }

    fn start_bank(variant: Variant) -> (MutualTls, Driver) {
        let tls = MutualTls::start().expect("a bank");
        tls.with(|twin| {
            if variant.auth == CredentialKind::Certificate {
                twin.authenticate_by_certificate();
            }
            if variant.sender == CredentialKind::Certificate {
                twin.bind_to_certificates();
            }
            if variant.profile == SecurityProfile::Fapi2MessageSigning {
                twin.require_signed_requests();
            }
        });
        let driver = driver(&tls);
        (tls, driver)
    }

    pub(crate) fn authorization_request(&self) -> AuthorizationRequest {
        let uri = RedirectUri::parse(CALLBACK).expect("a redirect URI");
        AuthorizationRequest::new(uri).scope(Scope::parse(self.scope).expect("a scope"))
    }

    /// Signs in, and calls the API with the tokens.
    pub(crate) fn sign_in(&self) -> Result<Login, Error> {
        let authorization = self.driver.run(
            self.client
                .begin_authorization(self.authorization_request()),
        )?;
        let callback = browse(&self.tls, authorization.url.as_str());
        self.driver
            .run(self.client.redeem(authorization.pending, &callback)?)
    }

    /// A client of the API that renews its tokens.
    pub(crate) fn api(&self, tokens: Tokens) -> Result<Authorized, Error> {
        let session = GrantSource::refreshing(self.driver.clone(), &self.client, tokens)?;
        api(&self.tls, &self.driver, &self.client, session)
    }

    fn call(&self, api: &Authorized) -> Result<u16, String> {
        let reply = api.get(&format!("{}/api/echo", self.tls.mutual)).send();
        let reply = reply.map_err(|error| format!("{} {error}", error.code()))?;
        Ok(reply.status().as_u16())
    }

    /// Has the API refuse every token from now on; refresh tokens are rotated.
    pub(crate) fn refuse_every_token(&self) {
        self.tls.with(|twin| {
            twin.set_rotation(Rotation::Strict);
            // Without nonces, each call of the API is one request.
            twin.set_dpop_nonces(DpopNonces::Unasked);
            twin.refuse_access_tokens();
        });
    }

    /// Calls such an API twice: each call refreshes the token and is repeated once, and ends with the refusal.
    pub(crate) fn check_one_refresh_per_call(&self, tokens: Tokens, what: &str) {
        let api = self.api(tokens).expect("an API");
        for calls in 1..=2 {
            assert_eq!(self.call(&api), Ok(401), "{what}");
            assert_eq!(self.requests("/api/echo"), 2 * calls, "{what}");
            assert_eq!(self.refresh_tokens().len(), calls, "{what}");
        }
        let sent = self.refresh_tokens();
        assert_ne!(sent[0], sent[1], "{what}");
        // Neither was refused: the second refresh used the token of the first, since the twin accepts no other.
        let counted = self.tls.with(|twin| twin.counters().refreshes);
        assert_eq!(counted, 2, "{what}");
    }

    /// The refresh tokens received by the token endpoint.
    fn refresh_tokens(&self) -> Vec<String> {
        self.tls.with(|twin| {
            let log = twin.log().iter();
            let refreshes = log.filter_map(|entry| entry.form("refresh_token"));
            refreshes.map(str::to_owned).collect()
        })
    }

    pub(crate) fn requests(&self, path: &str) -> usize {
        let at = |twin: &mut oauth_testkit::Twin| {
            let log = twin.log().iter();
            log.filter(|entry| entry.path == path).count()
        };
        self.tls.with(at)
    }
}

fn driver(tls: &MutualTls) -> Driver {
    let transport = Transport::default()
        .trust_only(tls.ca.clone())
        .without_proxy()
        .client_certificate(tls.issue().expect("a certificate"));
    transport.blocking_driver().expect("a driver")
}

fn client(tls: &MutualTls, driver: &Driver, variant: Variant) -> Result<Client, Error> {
    let server = driver.run(discover(Issuer::parse(&tls.base)?))?;
    let (id, key) = tls.with(|twin| (twin.client_id().to_owned(), twin.client_key()));
    let keys = ClientKeys::read([key])?;
    let assertion = keys.client_assertion(&server, Some(Alg::Es256))?;
    let signing = PrivateKey::from_jwk(key, Alg::Es256)?.signing_key("twin-client-1");
    let auth = match variant.auth {
        CredentialKind::Key => ClientAuth::assertion(assertion),
        CredentialKind::Certificate => ClientAuth::tls(Certificate::Pki),
    };
    let mut client = Client::new(server, ClientId::new(id), auth)?;
    client = match variant.sender {
        CredentialKind::Key => client.with_dpop(DpopKey::generate(Alg::Es256)?.to_core()?),
        CredentialKind::Certificate => client.with_certificate_bound_tokens(),
    };
    if variant.profile == SecurityProfile::Fapi2MessageSigning {
        client = client
            .with_request_signing(RequestSigning::new(signing))
            .with_authorization_algs([Alg::Ps256]);
    }
    let client = client.with_id_token_algs([Alg::Ps256]);
    Ok(client.with_profile(variant.profile))
}

/// The API, at which a client proves possession of its token's key or certificate.
fn api(
    tls: &MutualTls,
    driver: &Driver,
    client: &Client,
    session: GrantSource,
) -> Result<Authorized, Error> {
    let api = Api::new(Resource::new([tls.mutual.as_str()])?);
    let api = match client.dpop_key() {
        Some(_) => api.with_dpop(client)?,
        None => api,
    };
    Authorized::with_sources(driver.clone(), Sources::one(session), api)
}

/// The callback URL to which a browser is redirected, or the page if there is none.
pub(crate) fn browse(tls: &MutualTls, url: &str) -> String {
    let root = reqwest::Certificate::from_pem(tls.ca.as_bytes()).expect("a certificate");
    let browser = reqwest::blocking::Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .redirect(reqwest::redirect::Policy::none());
    let reply = browser.build().expect("a browser").get(url).send();
    let reply = reply.expect("a reply");
    match reply.headers().get("location") {
        Some(home) => home.to_str().expect("a URL").to_owned(),
        None => panic!("{}", reply.text().expect("a page")),
    }
}

/// `test-happy-path` and `test-happy-path-no-dpop-nonce`, and the rules that the plans check in passing.
#[test]
fn every_variant_signs_in_and_calls_the_api() {
    for variant in variants() {
        for nonces in [DpopNonces::Unasked, DpopNonces::Kept, DpopNonces::Once] {
            let bank = Bank::of(variant);
            bank.tls.with(|twin| twin.set_dpop_nonces(nonces));
            let login = bank.sign_in();
            let login = login.unwrap_or_else(|error| panic!("{variant:?} {nonces:?}: {error}"));
            assert_eq!(login.id_token.is_some(), variant.scope.contains("openid"));
            let api = bank.api(login.tokens).expect("an API");
            assert_eq!(bank.call(&api), Ok(200), "{variant:?} {nonces:?}");
            assert_eq!(bank.call(&api), Ok(200), "{variant:?} {nonces:?}");
            check_only_request_uri_in_browser(&bank);
        }
    }
    print_row("fapi2-...-test-happy-path", "none", None, None);
}

fn check_only_request_uri_in_browser(bank: &Bank) {
    bank.tls.with(|twin| {
        let logged_request = twin.log().iter().find(|entry| entry.path == "/authorize");
        let names = logged_request.expect("a request").query.iter();
        let names: Vec<_> = names.map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["client_id", "request_uri"]);
    });
}

/// Signed requests may be encrypted, to the only key in the server's set that is for encryption.
#[test]
fn a_request_object_can_be_encrypted() {
    let profile = SecurityProfile::Fapi2MessageSigning;
    let mut bank = Bank::of(Variant { profile, ..USUAL });
    let encryption = RequestEncryption::new(JweAlg::EcdhEs, PublicKeyEncrypter);
    let encryption = encryption.expect("an algorithm").enc(Enc::A256Gcm);
    bank.client = bank.client.with_request_encryption(encryption);
    assert!(bank.sign_in().is_ok());
    bank.tls.with(|twin| {
        let mut log = twin.log().iter();
        let pushed = log.find(|entry| entry.path == "/par").expect("a request");
        let request = pushed.form("request").expect("a request object");
        assert_eq!(request.split('.').count(), 5);
    });
}

/// The client credentials grant of the plans, in every variant.
#[test]
fn every_variant_gets_a_client_token() {
    for variant in variants() {
        let bank = Bank::of(variant);
        let read = Scope::parse("read").expect("a scope");
        let session = GrantSource::client_credentials(bank.driver.clone(), &bank.client, read);
        let api = api(&bank.tls, &bank.driver, &bank.client, session).expect("an API");
        assert_eq!(bank.call(&api), Ok(200), "{variant:?}");
    }
}

/// `test-invalid-...` of the ID token: no request to the API follows, and no second one for tokens.
#[test]
fn every_id_token_flaw_is_detected() {
    for profile in [
        SecurityProfile::Fapi2Security,
        SecurityProfile::Fapi2MessageSigning,
    ] {
        for variant in authentications(profile) {
            for flaw in IdTokenFlaw::ALL {
                let bank = Bank::of(variant);
                bank.tls
                    .with(|twin| twin.set_dpop_nonces(DpopNonces::Unasked));
                bank.tls
                    .with(|twin| twin.inject(Fault::IdToken { flaw: *flaw }));
                let seen = bank.sign_in().err().map(|error| error.code());
                let expected_code = expected(*flaw);
                print_row(module(*flaw), &format!("{flaw:?}"), expected_code, seen);
                assert_eq!(seen, expected_code, "{variant:?} {flaw:?}");
                assert_eq!(bank.requests("/token"), 1, "{variant:?} {flaw:?}");
                assert_eq!(bank.requests("/api/echo"), 0, "{variant:?} {flaw:?}");
            }
        }
    }
}

/// `test-discovery-issuer-mismatch`
#[test]
fn metadata_with_another_issuer_is_refused() {
    let (tls, driver) = Bank::start_bank(USUAL);
    // At both URLs that a client may request.
    for _ in 0..2 {
        tls.with(|twin| twin.inject(Fault::WrongIssuerInMetadata));
    }
    let seen = client(&tls, &driver, USUAL).err().map(|error| error.code());
    let expected = Some("metadata.issuer");
    print_row(
        "fapi2-...-test-discovery-issuer-mismatch",
        "issuer",
        expected,
        seen,
    );
    assert_eq!(seen, expected);
}

/// `test-token-endpoint-response-without-expires_in`, `test-token-type-case-insensitivity`,
/// `test-rs-dpop-auth-scheme-case-insensitivity`
#[test]
fn permitted_deviations_are_accepted() {
    let bank = Bank::of(USUAL);
    bank.tls.with(|twin| twin.hide_access_token_lifetime());
    assert!(bank.sign_in().is_ok());

    let bank = Bank::of(USUAL);
    bank.tls.with(|twin| twin.inject(Fault::TokenTypeCase));
    let login = bank.sign_in().expect("a login");
    bank.tls.with(|twin| twin.inject(Fault::ChallengeCase));
    let api = bank.api(login.tokens).expect("an API");
    assert_eq!(bank.call(&api), Ok(200));
    assert_eq!(bank.requests("/api/echo"), 2, "the first lacked its nonce");
    bank.tls.with(|twin| {
        let log = twin.log().iter();
        let faults: Vec<_> = log.filter_map(|entry| entry.fault).collect();
        assert_eq!(faults, ["token_type_case", "challenge_case"]);
    });
}

/// A token response with `token_type` Bearer in place of a bound token is refused.
#[test]
fn an_unbound_token_is_refused() {
    let bank = Bank::of(USUAL);
    bank.tls.with(|twin| twin.inject(Fault::BearerTokenType));
    let seen = bank.sign_in().err().map(|error| error.code());
    print_row(
        "RFC 9449 5",
        "BearerTokenType",
        Some("token.not_sender_constrained"),
        seen,
    );
    assert_eq!(seen, Some("token.not_sender_constrained"));
    assert_eq!(bank.requests("/api/echo"), 0);
}

/// An expired token is renewed, each time it expires.
#[test]
fn an_expired_token_is_renewed() {
    for variant in variants() {
        let bank = Bank::of(variant);
        let login = bank.sign_in().expect("a login");
        let api = bank.api(login.tokens).expect("an API");
        assert_eq!(bank.call(&api), Ok(200), "{variant:?}");
        for refreshes in 1..=2 {
            bank.tls.with(|twin| twin.expire_access_tokens());
            assert_eq!(bank.call(&api), Ok(200), "{variant:?}");
            let counted = bank.tls.with(|twin| twin.counters().refreshes);
            assert_eq!(counted, refreshes, "{variant:?}");
        }
    }
}

/// `refresh-token-test`: the API answers every token with 401, and each refresh replaces the refresh token.
#[test]
fn an_api_that_refuses_every_token_causes_one_refresh_per_call() {
    for variant in variants() {
        let bank = Bank::of(variant);
        bank.refuse_every_token();
        let login = bank.sign_in().expect("a login");
        bank.check_one_refresh_per_call(login.tokens, &format!("{variant:?}"));
    }
    print_row("fapi2-...-refresh-token-test", "401", None, None);
}

/// A thief has the token, but neither the key nor the certificate that it is bound to.
#[test]
fn a_stolen_token_is_useless_without_its_key_or_certificate() {
    for sender in [CredentialKind::Key, CredentialKind::Certificate] {
        let variant = Variant { sender, ..USUAL };
        let bank = Bank::of(variant);
        let tokens = bank.sign_in().expect("a login").tokens;
        let before = bank.tls.with(|twin| twin.counters());
        // Another machine of the same client can authenticate, and so gets its own token.
        let other = driver(&bank.tls);
        let second = client(&bank.tls, &other, variant).expect("a client");
        let session = GrantSource::refreshing(other.clone(), &second, tokens);
        let api = session.and_then(|session| api(&bank.tls, &other, &second, session));
        assert_eq!(bank.call(&api.expect("an API")), Ok(200));
        let after = bank.tls.with(|twin| twin.counters());
        assert_eq!(after.refreshes, before.refreshes + 1, "{sender:?}");
        let challenged = after.api_401 - before.api_401;
        let with_nonce = usize::from(sender == CredentialKind::Key);
        assert_eq!(challenged as usize, 1 + with_nonce, "{sender:?}");
    }
}
