//! `oidc-provider` behind TLS that asks for the client's certificate (RFC 8705).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::client_auth::Certificate;
use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse};
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::flow::redeem::Login;
use oauth_core::issuer::Issuer;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Scope, Tokens, discover,
};
use oauth_reqwest::Transport;
use oauth_reqwest::blocking::Driver;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::browser::{CALLBACK, redirect_target};
use crate::oidc_provider::OidcProvider;

struct Certificates {
    ca: String,
    /// The client's, with its key.
    client: String,
    /// `x5t#S256` of the client's.
    thumbprint: String,
    /// A certificate of the same authority, with its key, that belongs to someone else.
    stranger: String,
    server: OidcProvider,
}

fn certificates() -> Certificates {
    let mut of_ca = CertificateParams::new(Vec::new()).expect("no names");
    of_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(of_ca, key).expect("an authority");
    let issue = |name: &str, address: &str| {
        let mut params = CertificateParams::new(vec![address.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        (certificate, key.serialize_pem())
    };
    let (server, server_key) = issue("server", "127.0.0.1");
    let (client, client_key) = issue("client", "client");
    let (stranger, stranger_key) = issue("stranger", "stranger");
    let tls = json!({
        "key": server_key,
        "cert": server.pem(),
        "ca": authority.pem(),
        "client": client.pem(),
    });
    Certificates {
        ca: authority.pem(),
        client: format!("{}{client_key}", client.pem()),
        stranger: format!("{}{stranger_key}", stranger.pem()),
        thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(client.der())),
        server: OidcProvider::start_with(&[("TLS", &tls.to_string())]),
    }
}

fn client(of: &Certificates, driver: &Driver, id: &str, certificate: Certificate) -> Client {
    let issuer = Issuer::parse(of.server.issuer()).expect("an issuer");
    let server = driver.run(discover(issuer)).expect("metadata over TLS");
    Client::new(server, ClientId::new(id), ClientAuth::tls(certificate)).expect("a client")
}

#[test]
fn a_certificate_authenticates_and_tokens_are_bound_to_it() {
    let of = certificates();
    let transport = Transport::default()
        .trust_only(of.ca.clone())
        .without_proxy();
    let with = transport.clone().client_certificate(of.client.clone());
    let (with, without) = (with.blocking_driver(), transport.blocking_driver());
    let (with, without) = (with.expect("a driver"), without.expect("a driver"));
    for (id, certificate) in [
        ("tls-pki", Certificate::Pki),
        ("tls-self-signed", Certificate::SelfSigned),
    ] {
        let client = client(&of, &with, id, certificate);
        let read = Scope::parse("read").expect("a scope");
        let tokens = with.run(client.client_credentials(read)).expect(id);
        let introspection = Introspection::new(tokens.access_token.clone());
        let IntrospectionResponse::Active(state) =
            with.run(client.introspect(introspection)).expect(id)
        else {
            panic!("{id}: not active")
        };
        let bound = state.extra.get("cnf").map(|cnf| cnf["x5t#S256"].clone());
        assert_eq!(bound, Some(of.thumbprint.as_str().into()), "{id}");
        let revocation = Revocation::new(tokens.access_token.clone());
        with.run(client.revoke(revocation)).expect(id);
        // A client without the certificate gets no token: the alias requires it.
        let refused = without
            .run(client.client_credentials(Scope::none()))
            .map(drop);
        let code = refused.as_ref().map_err(Error::code);
        // The connection is closed at once, or when it is first used.
        assert!(
            code.is_err_and(|code| code.starts_with("lost.")),
            "{id}: {code:?}"
        );
    }
}

/// A login through a user's browser, which presents no certificate.
fn sign_in(of: &Certificates, driver: &Driver, client: &Client) -> Login {
    let root = reqwest::Certificate::from_pem(of.ca.as_bytes()).expect("a certificate");
    let browser = crate::browser::builder().tls_certs_only([root]);
    let uri = RedirectUri::parse(CALLBACK).expect("a URI");
    let request = AuthorizationRequest::new(uri).scope(Scope::parse("openid").expect("a scope"));
    let authorization = driver
        .run(client.begin_authorization(request))
        .expect("a flow");
    let came = browser
        .build()
        .expect("a browser")
        .get(authorization.url.as_str());
    let came = came.send().expect("an answer");
    let redeem = client
        .redeem(authorization.pending, redirect_target(&came))
        .expect("a code");
    driver.run(redeem).expect("tokens")
}

/// RFC 8705 section 3: UserInfo accepts the token only over a connection that presents the certificate.
#[test]
fn a_bound_token_is_accepted_only_with_its_certificate() {
    let of = certificates();
    let transport = Transport::default()
        .trust_only(of.ca.clone())
        .without_proxy();
    let with = |certificate: &String| {
        let shows = transport.clone().client_certificate(certificate.clone());
        shows.blocking_driver().expect("a driver")
    };
    let (ours, theirs) = (with(&of.client), with(&of.stranger));
    let by_certificate = client(&of, &ours, "tls-pki", Certificate::Pki);
    let server = by_certificate.server().clone();
    let secret = ClientAuth::basic(of.server.secret("tls-bound"));
    let by_secret = Client::new(server, ClientId::new("tls-bound"), secret).expect("a client");
    for client in [by_certificate, by_secret] {
        let client = client.with_certificate_bound_tokens();
        let id = client.client_id().clone();
        let login = sign_in(&of, &ours, &client);
        let refresh = login.tokens.refresh_token.clone().expect("a refresh token");
        let renewed = ours.run(client.refresh(&refresh)).expect("a renewal");
        assert_ne!(
            renewed.access_token.expose(),
            login.tokens.access_token.expose()
        );
        for tokens in [login.tokens, renewed].map(Arc::new) {
            let userinfo = || client.userinfo(Arc::clone(&tokens), "somebody".to_owned());
            let user_claims = ours.run(userinfo()).expect("claims");
            assert_eq!(
                user_claims.text("sub").expect("a string"),
                Some("somebody"),
                "{id}"
            );
            let refused = theirs.run(userinfo()).map(drop);
            let code = refused.as_ref().map_err(Error::code);
            assert_eq!(code, Err("denied.invalid_token"), "{id}");
            // Without a request for a client certificate, none is presented.
            assert_eq!(status_without(&of, &tokens), 401, "{id}");
        }
    }
}

/// The status of a UserInfo request over a connection without a certificate.
fn status_without(of: &Certificates, tokens: &Tokens) -> u16 {
    let root = reqwest::Certificate::from_pem(of.ca.as_bytes()).expect("a certificate");
    let plain = crate::browser::builder().tls_certs_only([root]);
    let http_client = plain.build().expect("a client");
    let request = http_client.get(format!("{}/me", of.server.issuer()));
    let reply = request.bearer_auth(tokens.access_token.expose()).send();
    reply.expect("a reply").status().as_u16()
}
