//! Responses that `oidc-provider` encrypts for a client, and that it signs in addition to ID tokens.

use std::sync::Arc;

use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse, SignedResponse};
use oauth_core::flow::redeem::Login;
use oauth_core::jose::{Alg, Claims, Enc, JweAlg, ResponseEncryption};
use oauth_core::{Client, ClientAuth, ClientId, Error, Scope};
use oauth_crypto::DecryptionKey;
use oauth_reqwest::blocking::Driver;

use crate::browser::{browser, sign_in as signed_in};
use crate::library::sign_in;
use crate::oidc_provider::{OidcProvider, driver};

/// The encryption of responses for this client.
pub(crate) fn encryption(
    server: &OidcProvider,
    which: &str,
    alg: JweAlg,
    enc: Enc,
) -> ResponseEncryption {
    let key = match server.decryption_key(which) {
        Some(jwk) => DecryptionKey::from_jwk(&jwk, alg),
        None => DecryptionKey::from_client_secret(server.secret(which), alg, enc),
    };
    ResponseEncryption::new(alg, key.expect("a key")).encs([enc])
}

fn userinfo(driver: &Driver, client: &Client, login: &Login) -> Result<Claims, Error> {
    let id_token = login.id_token.as_ref().expect("openid was asked for");
    let subject = id_token.subject().to_owned();
    driver.run(client.userinfo(Arc::new(login.tokens.clone()), subject))
}

// A plain one would be refused: see the next test.
#[test]
fn id_tokens_in_every_encryption_are_decrypted() {
    let (server, driver) = (OidcProvider::start(), driver());
    let found = server.discovered(&driver).expect("metadata");
    let browser = browser();
    for alg in JweAlg::ALL.iter().copied() {
        for enc in Enc::ALL.iter().copied() {
            let which = format!("id-token-{}-{}", alg.as_str(), enc.as_str());
            let auth = ClientAuth::basic(server.secret(&which));
            let client = Client::new(found.clone(), ClientId::new(&*which), auth);
            let client = client.expect("a client");
            let agreed = encryption(&server, &which, alg, enc);
            let client = client.with_id_token_encryption(agreed);
            let login = signed_in(&browser, &driver, &client, None);
            let login = login.unwrap_or_else(|error| panic!("{which}: {error}"));
            let id_token = login.id_token.expect("openid was asked for");
            assert_eq!(id_token.subject(), "somebody", "{which}");
        }
    }
}

#[test]
fn an_id_token_not_encrypted_as_registered_is_refused() {
    let (server, driver) = (OidcProvider::start(), driver());
    let agreed = |enc| encryption(&server, "id-token-ECDH-ES-A128GCM", JweAlg::EcdhEs, enc);
    let sign_in_error = |client: Client| {
        let refused = sign_in(&driver, &client, "openid").map(drop);
        refused.expect_err("a refusal").code()
    };
    let client = |which| server.client(&driver, which).expect("a client");
    // With no registered encryption, a different content encryption, and a different algorithm.
    let which = "id-token-ECDH-ES-A128GCM";
    assert_eq!(sign_in_error(client(which)), "jwe.unexpected");
    let other = client(which).with_id_token_encryption(agreed(Enc::A256Gcm));
    assert_eq!(sign_in_error(other), "jwe.alg_not_allowed");
    let other = client("id-token-dir-A128GCM").with_id_token_encryption(agreed(Enc::A128Gcm));
    assert_eq!(sign_in_error(other), "jwe.alg_not_allowed");
    // The server does not encrypt.
    let plain = client("basic").with_id_token_encryption(agreed(Enc::A128Gcm));
    assert_eq!(sign_in_error(plain), "jwe.not_encrypted");
}

#[test]
fn userinfo_must_be_signed_or_encrypted_as_registered() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = |which| server.client(&driver, which).expect("a client");
    let subject = |client: &Client| {
        let login = sign_in(&driver, client, "openid")?;
        let claims = userinfo(&driver, client, &login)?;
        Ok::<_, Error>(claims.text("sub")?.map(str::to_owned))
    };
    let somebody = Some("somebody".to_owned());
    assert_eq!(subject(&client("basic")).expect("plain"), somebody);
    let signed = client("userinfo-signed").with_userinfo_algs([Alg::Es256]);
    assert_eq!(subject(&signed).expect("signed"), somebody);
    let agreed = || encryption(&server, "userinfo-both", JweAlg::EcdhEs, Enc::A256Gcm);
    let both = client("userinfo-both").with_userinfo_algs([Alg::Ps256]);
    let both = both.with_userinfo_encryption(agreed());
    assert_eq!(subject(&both).expect("encrypted"), somebody);

    let code = |client: Client| subject(&client).expect_err("a refusal").code();
    let other = client("userinfo-signed").with_userinfo_algs([Alg::Rs256]);
    assert_eq!(code(other), "jws.alg_not_allowed");
    let plain = client("basic").with_userinfo_algs([Alg::Es256]);
    assert_eq!(code(plain), "userinfo.not_signed");
    let signed = client("userinfo-signed").with_userinfo_algs([Alg::Es256]);
    assert_eq!(
        code(signed.with_userinfo_encryption(agreed())),
        "jwe.not_encrypted"
    );
}

/// The introspection of a client token, in a response signed like this.
fn introspected(driver: &Driver, client: &Client, signed: SignedResponse) -> Option<String> {
    let read = Scope::parse("read").expect("a scope");
    let tokens = driver.run(client.client_credentials(read)).expect("tokens");
    let introspection_request = Introspection::new(tokens.access_token).signed(signed);
    match driver
        .run(client.introspect(introspection_request))
        .expect("an answer")
    {
        IntrospectionResponse::Active(token) => token.client_id,
        _ => None,
    }
}

#[test]
fn signatures_of_userinfo_and_introspection_are_verified_for_every_algorithm() {
    let (server, driver) = (OidcProvider::start(), driver());
    for (at, alg) in Alg::ALL.iter().copied().enumerate() {
        let which = format!("signed-{}", alg.as_str());
        let client = server.client(&driver, &which).expect("a client");
        let client = client.with_id_token_algs([alg]);
        let login = sign_in(&driver, &client, "openid");
        let login = login.unwrap_or_else(|error| panic!("{which}: {error}"));
        let agreed = client.clone().with_userinfo_algs([alg]);
        let claims = userinfo(&driver, &agreed, &login);
        let claims = claims.unwrap_or_else(|error| panic!("{which}: {error}"));
        assert_eq!(
            claims.text("sub").expect("a string"),
            Some("somebody"),
            "{which}"
        );
        let mut signed = SignedResponse::default();
        signed.algs = vec![alg];
        let named = introspected(&driver, &client, signed);
        assert_eq!(named.as_deref(), Some(&*which));

        // An algorithm other than the registered one is refused.
        let other = Alg::ALL[(at + 1) % Alg::ALL.len()];
        let refused = userinfo(&driver, &client.with_userinfo_algs([other]), &login);
        let code = refused.map(drop).expect_err("a refusal").code();
        assert_eq!(code, "jws.alg_not_allowed", "{which}");
    }
}

#[test]
fn userinfo_and_introspection_in_every_encryption_are_decrypted() {
    let (server, driver) = (OidcProvider::start(), driver());
    let found = server.discovered(&driver).expect("metadata");
    let browser = browser();
    for alg in JweAlg::ALL.iter().copied() {
        for enc in Enc::ALL.iter().copied() {
            let which = format!("id-token-{}-{}", alg.as_str(), enc.as_str());
            let auth = ClientAuth::basic(server.secret(&which));
            let client = Client::new(found.clone(), ClientId::new(&*which), auth);
            let agreed = || encryption(&server, &which, alg, enc);
            let client = client.expect("a client").with_id_token_encryption(agreed());
            let client = client.with_userinfo_algs([Alg::Es256]);
            let client = client.with_userinfo_encryption(agreed());
            let login = signed_in(&browser, &driver, &client, None);
            let login = login.unwrap_or_else(|error| panic!("{which}: {error}"));
            let claims = userinfo(&driver, &client, &login);
            let claims = claims.unwrap_or_else(|error| panic!("{which}: {error}"));
            assert_eq!(
                claims.text("sub").expect("a string"),
                Some("somebody"),
                "{which}"
            );
            let mut signed = SignedResponse::default();
            signed.algs = vec![Alg::Es256];
            signed.encryption = Some(agreed());
            let named = introspected(&driver, &client, signed);
            assert_eq!(named.as_deref(), Some(&*which));
        }
    }
}

#[test]
fn an_introspection_response_is_signed_if_requested() {
    let (server, driver) = (OidcProvider::start(), driver());
    let introspect_as = |which: &str, signed: SignedResponse| {
        let client = server.client(&driver, which)?;
        let read = Scope::parse("read").expect("a scope");
        let tokens = driver.run(client.client_credentials(read))?;
        let introspect = |token| {
            let introspection_request = Introspection::new(token).signed(signed.clone());
            driver.run(client.introspect(introspection_request))
        };
        let dead = introspect("never-issued".into())?;
        assert!(matches!(dead, IntrospectionResponse::Inactive), "{which}");
        introspect(tokens.access_token)
    };
    let signed = |alg| {
        let mut signed = SignedResponse::default();
        signed.algs = vec![alg];
        signed
    };
    let mut both = signed(Alg::EdDsa);
    let which = "introspection-both";
    both.encryption = Some(encryption(&server, which, JweAlg::EcdhEs, Enc::A256Gcm));
    for (which, signed) in [("introspection-signed", signed(Alg::Es256)), (which, both)] {
        let introspection =
            introspect_as(which, signed).unwrap_or_else(|error| panic!("{which}: {error}"));
        let IntrospectionResponse::Active(token) = introspection else {
            panic!("{which}: not active")
        };
        assert_eq!(token.client_id.as_deref(), Some(which));
        assert_eq!(token.scope, Some(Scope::parse("read").expect("a scope")));
    }
    let code = |which, signed| introspect_as(which, signed).expect_err("a refusal").code();
    let other = code("introspection-signed", signed(Alg::Rs256));
    assert_eq!(other, "jws.alg_not_allowed");
    let open = code("introspection-both", signed(Alg::EdDsa));
    assert_eq!(open, "jwe.unexpected");
    // RS256 is the default of registrations (RFC 9701 section 6).
    let introspection =
        introspect_as("basic", SignedResponse::default()).expect("signed by default");
    assert!(matches!(introspection, IntrospectionResponse::Active(_)));
}
