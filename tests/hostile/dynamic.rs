//! The modules of OpenID's Config and Dynamic relying-party plans: a client that has only the user's input finds the
//! server, registers there, and hosts its request object.

use oauth_core::client_auth::Credentials;
use oauth_core::endpoint::registration::Registration;
use oauth_core::flow::discovery::{DiscoveryRequest, PreferredDocument};
use oauth_core::jose::Alg;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::request_signing::RequestSigning;
use oauth_core::server::Server;
use oauth_core::url::Url;
use oauth_core::{
    Client, ClientMetadata, Error, Moment, RegisteredClient, danger, discover_issuer,
    discover_with, register,
};
use oauth_crypto::PrivateKey;
use oauth_testkit::{Fault, Twin};
use serde_json::{Value, json};

use crate::{Party, REDIRECT_URI, browse, print_row};

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const WEBFINGER: &str = "/.well-known/webfinger";
/// The URL at which the client hosts its request object.
const REQUEST_URI: &str = "https://app.example/request.jwt";

impl Party {
    /// Discovers a server by OpenID Connect Discovery.
    async fn discover_server(&self, issuer: &str) -> Result<Server, Error> {
        let issuer = danger::loopback_issuer(issuer)?;
        let discovery = DiscoveryRequest::new(issuer).prefer(PreferredDocument::OpenId);
        let found = discover_with(danger::loopback_discovery(discovery));
        self.driver.run(found).await
    }

    /// The issuer for the user's input, by WebFinger.
    async fn webfinger(&self, typed: &str) -> Result<String, &'static str> {
        let identifier = danger::loopback_user_identifier(typed);
        let issuer = match identifier {
            Ok(identifier) => self.driver.run(discover_issuer(identifier)).await,
            Err(error) => Err(error),
        };
        let issuer = issuer.map_err(|error| error.code())?;
        Ok(issuer.as_str().to_owned())
    }

    /// The same program with a registered client.
    async fn registered(
        self,
        server: Server,
        metadata: ClientMetadata,
    ) -> (Self, RegisteredClient) {
        let request = Registration::new(metadata);
        let registration = self.driver.run(register(server.clone(), request)).await;
        let registration = registration.expect("a registration");
        let client = Client::registered(server, &registration, Credentials::default());
        let client = client.expect("a client");
        (Self { client, ..self }, registration)
    }
}

fn metadata() -> ClientMetadata {
    let uri = RedirectUri::parse(REDIRECT_URI).expect("a redirect URI");
    let mut metadata = ClientMetadata::with_redirect_uris([uri]);
    metadata.contacts = vec!["ops@app.example".to_owned()];
    metadata.application_type = Some(oauth_core::client_metadata::ApplicationType::Native);
    metadata
}

/// A client with its own key, which signs its requests.
fn keyed(key: &PrivateKey) -> ClientMetadata {
    let mut metadata = metadata();
    let keys = json!({ "keys": [key.public_jwk().to_value()] });
    metadata.jwks = keys.as_object().cloned();
    let mut extra = serde_json::Map::new();
    extra.insert("request_uris".to_owned(), json!([REQUEST_URI]));
    extra.insert("request_object_signing_alg".to_owned(), json!("RS256"));
    metadata.extra = oauth_core::extra::Extra::from(extra);
    metadata
}

/// oidcc-client-test-discovery-openid-config and -jwks-uri-keys: the endpoints and the `jwks_uri` in the metadata are
/// used.
#[tokio::test]
async fn endpoints_and_jwks_uri_of_the_metadata_are_used() {
    let party = Party::new().await;
    party
        .served
        .with(|twin| twin.move_keys("/keys-of-this-run"));
    let before = (party.requests(OPENID), party.requests(OAUTH));
    let base = party.served.base().to_owned();
    let server = party.discover_server(&base).await.expect("a server");
    assert_eq!(party.requests(OPENID), before.0 + 1);
    assert_eq!(
        party.requests(OAUTH),
        before.1,
        "only the URL of OpenID Connect Discovery is requested"
    );
    let auth = party.client.auth().clone();
    let client = Client::new(server, party.client.client_id().clone(), auth);
    let party = Party {
        client: client.expect("a client"),
        ..party
    };
    let seen = party.sign_in().await.err();
    print_row(
        "oidcc-client-test-discovery-openid-config",
        "none",
        None,
        seen,
    );
    print_row(
        "oidcc-client-test-discovery-jwks-uri-keys",
        "another place",
        None,
        seen,
    );
    assert_eq!(seen, None);
    assert_eq!(party.requests("/keys-of-this-run"), 1);
    assert_eq!(party.requests("/jwks"), 0);
}

/// oidcc-client-test-discovery-issuer-mismatch: no user is sent to such a server.
#[tokio::test]
async fn metadata_with_another_issuer_is_refused() {
    let party = Party::new().await;
    party.served.with(|twin| {
        twin.inject(Fault::WrongIssuerInMetadata);
        twin.inject(Fault::WrongIssuerInMetadata);
    });
    let base = party.served.base().to_owned();
    let seen = party
        .discover_server(&base)
        .await
        .err()
        .map(|error| error.code());
    let expected = Some("metadata.issuer");
    print_row(
        "oidcc-client-test-discovery-issuer-mismatch",
        "WrongIssuer",
        expected,
        seen,
    );
    assert_eq!(seen, expected);
    assert_eq!(party.requests("/authorize") + party.requests("/token"), 0);
}

/// oidcc-client-test-signing-key-rotation-just-before-signing: the client has fetched the previous keys.
#[tokio::test]
async fn keys_rotated_before_signing_are_fetched_again() {
    let party = Party::new().await;
    party.sign_in().await.expect("a login");
    let at = Moment::system().expect("a clock");
    let authorization = party
        .client
        .authorize(&at, party.authorization_request("openid"));
    let (url, pending) = authorization.expect("a URL");
    let callback = browse(url.as_str()).await;
    party.served.with(Twin::rotate_keys);
    let seen = party.redeem(pending, &callback).await.map(drop).err();
    print_row(
        "oidcc-client-test-signing-key-rotation-just-before-signing",
        "new keys",
        None,
        seen,
    );
    assert_eq!(seen, None);
    assert_eq!(party.requests("/jwks"), 2);
}

/// oidcc-client-test-discovery-webfinger-acct and -url: from the user's input to their sign-in.
#[tokio::test]
async fn an_issuer_is_found_by_webfinger() {
    let party = Party::new().await;
    let base = party.served.base().to_owned();
    let host = base.replace("http://", "");
    for (module, typed) in [
        (
            "oidcc-client-test-discovery-webfinger-acct",
            format!("acct:alice@{host}"),
        ),
        (
            "oidcc-client-test-discovery-webfinger-url",
            format!("{base}/alice"),
        ),
    ] {
        let seen = party.webfinger(&typed).await;
        print_row(module, "none", None, seen.as_ref().err().copied());
        assert_eq!(seen.as_deref(), Ok(base.as_str()), "{typed}");
        let found = seen.expect("an issuer");
        assert!(party.discover_server(&found).await.is_ok(), "{typed}");
    }
}

/// After an invalid WebFinger response no metadata is requested.
#[tokio::test]
async fn an_invalid_webfinger_response_is_followed_by_no_request() {
    let party = Party::new().await;
    let base = party.served.base().to_owned();
    let host = base.replace("http://", "");
    let before = party.requests(OPENID) + party.requests(OAUTH);
    let links = Fault::WithoutMember {
        member: "links".to_owned(),
    };
    for (person, fault, expected) in [
        ("bob", None, "webfinger.subject"),
        ("carol", None, "denied.http_status"),
        ("alice", Some(links), "webfinger.no_issuer"),
        ("alice", Fault::parse("redirect_to"), "reply.redirect"),
        ("alice", Fault::parse("html"), "reply.content_type"),
        (
            "alice",
            Some(Fault::DuplicateMember),
            "reply.duplicate_member",
        ),
        ("alice", Fault::parse("oversized_json"), "reply.too_large"),
    ] {
        let name = fault.as_ref().map_or("none", Fault::name);
        if let Some(fault) = fault.clone() {
            party.served.with(|twin| twin.inject(fault));
        }
        let request_count = party.requests(WEBFINGER);
        let seen = party
            .webfinger(&format!("acct:{person}@{host}"))
            .await
            .err();
        print_row("OpenID Connect Discovery 2", name, Some(expected), seen);
        assert_eq!(seen, Some(expected), "{person} {name}");
        assert_eq!(
            party.requests(WEBFINGER),
            request_count + 1,
            "{person} {name}"
        );
    }
    assert_eq!(party.requests(OPENID) + party.requests(OAUTH), before);
}

/// oidcc-client-test-dynamic-registration: the registered metadata is valid, and the server's response is used.
#[tokio::test]
async fn a_client_registers_and_signs_users_in() {
    let party = Party::new().await;
    let base = party.served.base().to_owned();
    let server = party.discover_server(&base).await.expect("a server");
    // Metadata with two key sets is refused before anything is sent.
    let key = PrivateKey::generate(Alg::Es256).expect("a key");
    let mut both = keyed(&key);
    both.jwks_uri = Some("https://app.example/jwks".to_owned());
    let refused = party
        .driver
        .run(register(server.clone(), Registration::new(both)))
        .await;
    assert_eq!(
        refused.err().map(|error| error.code()),
        Some("client_metadata.inconsistent")
    );
    assert_eq!(party.requests("/register"), 0);

    let (party, registration) = party.registered(server, metadata()).await;
    assert_eq!(registration.metadata.contacts, ["ops@app.example"]);
    let id = registration.client_id.as_str().to_owned();
    party
        .served
        .with(|twin| assert_eq!(twin.registered_clients(), [id.as_str()]));
    let seen = party.sign_in().await.err();
    print_row("oidcc-client-test-dynamic-registration", "none", None, seen);
    assert_eq!(seen, None);
    party.served.with(|twin| {
        let logged_request = twin.log().iter().rfind(|entry| entry.path == "/authorize");
        let logged_request = logged_request.expect("a request");
        assert_eq!(logged_request.query("client_id"), Some(id.as_str()));
        assert_eq!(logged_request.query("redirect_uri"), Some(REDIRECT_URI));
    });
    // A client that the server has forgotten gets an error, and signs no user in.
    party.served.with(|twin| twin.forget_client(&id));
    let at = Moment::system().expect("a clock");
    let (url, _) = party
        .client
        .authorize(&at, party.authorization_request("openid"))
        .expect("a URL");
    assert!(browse(url.as_str()).await.contains("Unknown client"));
}

/// oidcc-client-test-request-uri-signed-rs256: the server fetches the request object from the client's URL, and the
/// parameters beside `request_uri` are those in it.
#[tokio::test]
async fn a_signed_request_object_is_fetched_by_the_server() {
    let party = Party::new().await;
    let base = party.served.base().to_owned();
    let server = party.discover_server(&base).await.expect("a server");
    let key = PrivateKey::generate(Alg::Rs256).expect("a key");
    let (mut party, _) = party.registered(server, keyed(&key)).await;
    party.client = party
        .client
        .with_request_signing(RequestSigning::new(key.signing_key("")));
    let uri = || Url::parse(REQUEST_URI).expect("a URL");
    let request = party
        .authorization_request("openid read")
        .request_uri(uri());
    let authorization = party
        .driver
        .run(party.client.begin_authorization(request))
        .await;
    let authorization = authorization.expect("a flow");
    let object = authorization.request_object.expect("a request object");
    let inside = decode_claims(object.expose());
    party
        .served
        .with(|twin| twin.host_request_object(REQUEST_URI, object.expose()));
    let (_, query) = authorization.url.as_str().split_once('?').expect("a query");
    let outside: Vec<(String, String)> = serde_urlencoded::from_str(query).expect("a query");
    let names: Vec<_> = outside.iter().map(|(name, _)| name.as_str()).collect();
    for needed in ["client_id", "response_type", "scope", "request_uri"] {
        assert!(names.contains(&needed), "{names:?}");
    }
    for (name, value) in outside.iter().filter(|(name, _)| name != "request_uri") {
        assert_eq!(inside[name], value.as_str(), "{name}");
    }
    assert!(inside.get("code_verifier").is_none() && inside["code_challenge"].is_string());
    let callback = browse(authorization.url.as_str()).await;
    let login = party.redeem(authorization.pending, &callback).await;
    let seen = login.map(drop).err();
    print_row(
        "oidcc-client-test-request-uri-signed-rs256",
        "RS256",
        None,
        seen,
    );
    assert_eq!(seen, None);
}

/// oidcc-client-test-request-uri-signed-none: "the Request Object MUST be signed" (RFC 9101 section 4), so the client
/// creates no unsigned ones.
#[tokio::test]
async fn an_unsigned_request_object_is_refused_for_request_uri() {
    let party = Party::new().await;
    let request = party
        .authorization_request("openid")
        .request_uri(Url::parse(REQUEST_URI).expect("a URL"));
    let authorization = party
        .driver
        .run(party.client.begin_authorization(request))
        .await;
    let seen = authorization.err().map(|error| error.code());
    let expected = Some("key.missing");
    print_row(
        "oidcc-client-test-request-uri-signed-none",
        "no key",
        expected,
        seen,
    );
    assert_eq!(seen, expected);
    assert_eq!(party.requests("/authorize"), 0);
}

/// oidcc-client-test-userinfo-signed
#[tokio::test]
async fn userinfo_must_be_signed_if_registered() {
    let party = Party::new().await;
    let base = party.served.base().to_owned();
    let server = party.discover_server(&base).await.expect("a server");
    let mut signed = metadata();
    let mut extra = serde_json::Map::new();
    extra.insert("userinfo_signed_response_alg".to_owned(), json!("RS256"));
    signed.extra = oauth_core::extra::Extra::from(extra);
    for (metadata, flaw, expected) in [
        (signed, "none", None),
        (metadata(), "plain", Some("userinfo.not_signed")),
    ] {
        let (mut party, _) = Party::new()
            .await
            .registered(server.clone(), metadata)
            .await;
        party.client = party.client.with_userinfo_algs([Alg::Rs256]);
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
        let userinfo = party
            .driver
            .run(party.client.userinfo(tokens, subject))
            .await;
        let seen = userinfo.as_ref().err().map(Error::code);
        print_row("oidcc-client-test-userinfo-signed", flaw, expected, seen);
        assert_eq!(seen, expected, "{flaw}");
        if let Ok(claims) = userinfo {
            assert_eq!(claims.text("name").ok().flatten(), Some("Alice Liddell"));
        }
    }
}

fn decode_claims(jwt: &str) -> Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = jwt.split('.').nth(1).expect("claims");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON")
}
