//! Grants of a connection without a browser: device codes, identity assertions and client credentials; and the lifetime
//! of a login.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oauth_core::endpoint::device_authorization::DeviceAuthorizationResponse;
use oauth_core::error::Misuse;
use oauth_core::flow::resource_connection::{
    ClientCandidates, ConnectRequest, GrantChoice, OfflineAccess,
};
use oauth_core::moment::UnixTime;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, ClientMetadata, Error, Scope, Tokens,
    danger,
};
use oauth_reqwest::loopback::Listener;
use oauth_reqwest::oauth_session::store::{Answer, MemoryStore};
use oauth_reqwest::oauth_session::{FixedToken, GrantSource, Token, TokenSource};
use oauth_reqwest::{DeviceLogin, ResourceConnection, reqwest};
use oauth_testkit::Served;

use crate::support::{
    TEST_TIMEOUT, browse, confidential, counters, discover_server, driver, start_twin,
};

fn api(served: &Served) -> String {
    format!("{}/api/echo", served.base())
}

fn request(served: &Served) -> ConnectRequest {
    danger::loopback_connect_request(&api(served)).unwrap()
}

/// A request by the client that is preregistered at the twin.
fn request_as_preregistered(served: &Served, grant: GrantChoice) -> ConnectRequest {
    let issuer = danger::loopback_issuer(served.base()).unwrap();
    let id = served.with(|twin| ClientId::new(twin.client_id()));
    let identities = ClientCandidates::preregistered(issuer, id);
    request(served).clients(identities).grant(grant)
}

fn auth(served: &Served) -> ClientAuth {
    served.with(|twin| ClientAuth::basic(twin.client_secret()))
}

fn unexpected_page(url: &oauth_core::url::Url) -> Result<(), Error> {
    panic!("unexpected page: {}", url.as_str());
}

async fn status(connection: &ResourceConnection, served: &Served) -> u16 {
    let reply = connection.authorized().get(&api(served)).send().await;
    reply.unwrap().status().as_u16()
}

/// A user who enters a code at once, on another device.
fn enter_code_at_once(
    times: Arc<AtomicUsize>,
) -> impl Fn(&DeviceAuthorizationResponse) -> Result<(), Error> + Send + Sync {
    move |code| {
        times.fetch_add(1, Ordering::SeqCst);
        let page = code.verification_uri_complete.clone().unwrap();
        tokio::spawn(async move { oauth_reqwest::reqwest::get(page.as_str()).await.unwrap() });
        Ok(())
    }
}

#[tokio::test]
async fn a_code_entered_on_another_device_connects_the_api() {
    let (served, times) = (start_twin(), Arc::<AtomicUsize>::default());
    served.with(|twin| twin.set_polling_interval(1));
    let request = request(&served).register(ClientMetadata::of_native_app("Notes"));
    let connection = ResourceConnection::new(driver(), request)
        .open(unexpected_page)
        .device(DeviceLogin::Always, enter_code_at_once(Arc::clone(&times)));
    assert_eq!(status(&connection, &served).await, 200);
    assert_eq!(times.load(Ordering::SeqCst), 1);
    // The client was registered for device codes, and its tokens are renewed as usual.
    served.with(|twin| twin.expire_access_tokens());
    assert_eq!(status(&connection, &served).await, 200);
    assert_eq!(times.load(Ordering::SeqCst), 1);
}

/// Runs itself in a separate process without a browser.
#[tokio::test]
async fn without_a_browser_the_code_is_printed_unless_the_caller_opens_pages() {
    const NAME: &str =
        "connection_ways::without_a_browser_the_code_is_printed_unless_the_caller_opens_pages";
    const OWN_PROCESS: &str = "OAUTH_TEST_WITHOUT_BROWSER";
    if std::env::var_os(OWN_PROCESS).is_some() {
        return print_the_code_without_a_browser().await;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", NAME])
        .env(OWN_PROCESS, "1")
        .env("BROWSER", "none")
        .env("PATH", "")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut prompts = 0;
    let mut output = String::new();
    for line in stderr.lines().map(Result::unwrap) {
        if line.starts_with("To use http://127.0.0.1:") {
            prompts += 1;
            let mut words = line.split(' ').skip_while(|word| *word != "open").skip(1);
            let page = words.next().unwrap().to_owned();
            let code = words.skip_while(|word| *word != "code").nth(1).unwrap();
            let page = format!("{page}?user_code={}", code.trim_end_matches('.'));
            assert_eq!(reqwest::get(page).await.unwrap().status(), 200);
        }
        output.push_str(&line);
        output.push('\n');
    }
    assert!(child.wait().unwrap().success(), "{output}");
    assert_eq!(prompts, 1, "{output}");
}

async fn print_the_code_without_a_browser() {
    let served = start_twin();
    served.with(|twin| twin.set_polling_interval(1));
    let request = || request(&served).register(ClientMetadata::of_native_app("Notes"));
    let connection = ResourceConnection::new(driver(), request());
    assert_eq!(status(&connection, &served).await, 200);
    // The application opens pages itself.
    let client_connection =
        ResourceConnection::new(driver(), request()).open(|_| Err(Misuse::Setup.into()));
    assert_eq!(
        client_connection.token().await.unwrap_err().code(),
        "misuse.setup"
    );
    let never = ResourceConnection::new(driver(), request());
    let never = never.device(DeviceLogin::Never, |_| panic!("a code"));
    assert_eq!(
        never.token().await.unwrap_err().code(),
        "browser.unavailable"
    );
}

/// A sign-in at the identity provider.
pub(crate) async fn signed_in(idp: &Served) -> (Client, Tokens) {
    let server = discover_server(&driver(), idp).await;
    let known = confidential(idp);
    let client = Client::new(server, known.client_id().clone(), known.auth().clone()).unwrap();
    let listener = Listener::bind().await.unwrap();
    let request = AuthorizationRequest::new(listener.redirect_uri().clone());
    let request = request.scope(Scope::parse("openid offline_access").unwrap());
    let open = |url: &oauth_core::url::Url| {
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    };
    let driver = driver();
    let login = listener.login(&driver, &client, request, open, TEST_TIMEOUT);
    let tokens = login.await.unwrap().tokens;
    (client, tokens)
}

/// An API's twin that trusts the identity provider.
pub(crate) async fn trusting(idp: &Served) -> Served {
    let served = start_twin();
    let keys = oauth_reqwest::reqwest::get(format!("{}/jwks", idp.base())).await;
    let keys = keys.unwrap().text().await.unwrap();
    let keys = serde_json::from_str(&keys).unwrap();
    let client_id = served.with(|twin| {
        twin.trust_identity_provider(idp.base(), &keys).unwrap();
        twin.client_id().to_owned()
    });
    let base = served.base().to_owned();
    idp.with(|twin| twin.vouch_to(&base, &client_id));
    served
}

/// An expired ID token: {"alg":"RS256"}, {"exp":1,"aud":"twin-client"} and a signature that is not verified.
const ENDED: &str = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjEsImF1ZCI6InR3aW4tY2xpZW50In0.c2ln";

/// A sign-in whose ID token has expired, and the number of its renewals.
pub(crate) struct SignIn {
    ended: Tokens,
    valid_tokens: Tokens,
    renewed: Arc<AtomicUsize>,
}

impl SignIn {
    pub(crate) fn new(valid_tokens: Tokens, renewed: &Arc<AtomicUsize>) -> Self {
        let mut ended = valid_tokens.clone();
        ended.id_token = Some(ENDED.to_owned().into());
        ended.received_at = UnixTime::from_secs(0);
        Self {
            ended,
            valid_tokens,
            renewed: Arc::clone(renewed),
        }
    }
}

impl TokenSource for SignIn {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        let tokens = match refused {
            None => &self.ended,
            Some(_) => {
                self.renewed.fetch_add(1, Ordering::SeqCst);
                &self.valid_tokens
            }
        };
        let tokens = Arc::new(tokens.clone());
        Box::pin(async move { Ok(Token::from(tokens)) })
    }

    fn refuse(&self, _: &Tokens) {}
}

#[tokio::test]
async fn an_identity_assertion_connects_without_a_browser() {
    let idp = start_twin();
    let served = trusting(&idp).await;
    let (client, login) = signed_in(&idp).await;
    let session = GrantSource::refreshing(driver(), &client, login.clone());
    let store = Arc::new(MemoryStore::new());
    let connection = |sign_in: Arc<dyn TokenSource>| {
        ResourceConnection::new(
            driver(),
            request_as_preregistered(&served, GrantChoice::default()),
        )
        .client_auth(auth(&served))
        .open(unexpected_page)
        .store(store.clone())
        .identity(client.clone(), sign_in)
    };
    let first = connection(Arc::new(session.unwrap()));
    assert_eq!(status(&first, &served).await, 200);
    // The next run has the tokens of this one.
    let before = counters(&served).token_requests;
    assert_eq!(
        status(&connection(Arc::new(FixedToken::new("x"))), &served).await,
        200
    );
    assert_eq!(counters(&served).token_requests, before);
    // An expired token is replaced with a new assertion.
    served.with(|twin| twin.expire_access_tokens());
    assert_eq!(status(&first, &served).await, 200);
    assert_eq!(counters(&served).token_requests, before + 1);

    // An expired ID token is renewed by the sign-in, and sent nowhere.
    let renewed = Arc::default();
    served.with(|twin| twin.expire_access_tokens());
    let second = connection(Arc::new(SignIn::new(login, &renewed)));
    assert_eq!(status(&second, &served).await, 200);
    assert_eq!(renewed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_identity_assertion_requires_an_id_token() {
    let idp = start_twin();
    let served = trusting(&idp).await;
    let (client, mut login) = signed_in(&idp).await;
    login.id_token = None;
    let connection_for = |sign_in: Arc<dyn TokenSource>| {
        ResourceConnection::new(
            driver(),
            request_as_preregistered(&served, GrantChoice::default()),
        )
        .client_auth(auth(&served))
        .open(unexpected_page)
        .identity(client.clone(), sign_in)
    };
    let plain = GrantSource::refreshing(driver(), &client, login.clone());
    let refused = connection_for(Arc::new(plain.unwrap()))
        .token()
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "identity_assertion.no_id_token");
    // An expired one that a renewal does not replace counts as missing.
    let ended = |login| {
        let mut ended = SignIn::new(login, &Arc::default());
        ended.valid_tokens = ended.ended.clone();
        connection_for(Arc::new(ended))
    };
    let mut alone = login.clone();
    alone.refresh_token = None;
    let refused = ended(alone).token().await.unwrap_err();
    assert_eq!(refused.code(), "identity_assertion.no_id_token");
    // Its refresh token serves the same purpose.
    assert_eq!(status(&ended(login.clone()), &served).await, 200);
    // One whose renewal has already failed is not renewed again.
    let renewed = Arc::default();
    let mut already_failed = SignIn::new(login.clone(), &renewed);
    already_failed.ended.received_at = login.received_at;
    assert_eq!(
        status(&connection_for(Arc::new(already_failed)), &served).await,
        200
    );
    assert_eq!(renewed.load(Ordering::SeqCst), 0);
    let exchanged = idp.with(|twin| {
        let mut log = twin.log().iter().rev();
        let entry = log.find(|entry| entry.path == "/token").unwrap();
        entry.form("subject_token").unwrap().to_owned()
    });
    let refresh_token = login.refresh_token.unwrap();
    assert_eq!(exchanged, *refresh_token.secret().expose());
    let nobody = ResourceConnection::new(
        driver(),
        request_as_preregistered(&served, GrantChoice::IdentityAssertion),
    );
    let refused = nobody.client_auth(auth(&served)).token().await.unwrap_err();
    assert_eq!(refused.code(), "arguments.inconsistent");
}

#[tokio::test]
async fn a_connection_uses_client_credentials() {
    let served = start_twin();
    let connection = ResourceConnection::new(
        driver(),
        request_as_preregistered(&served, GrantChoice::ClientCredentials),
    )
    .client_auth(auth(&served))
    .open(unexpected_page);
    assert_eq!(status(&connection, &served).await, 200);
    served.with(|twin| twin.expire_access_tokens());
    assert_eq!(status(&connection, &served).await, 200);
}

/// Without a refresh token, which many servers issue only for `offline_access`, the user signs in every hour (B83).
#[tokio::test]
async fn offline_access_is_requested_if_listed_unless_configured_otherwise() {
    let served = start_twin();
    let granted = async |request: ConnectRequest| {
        let request = request.register(ClientMetadata::of_native_app("Notes"));
        let connection = ResourceConnection::new(driver(), request)
            .sign_in_timeout(TEST_TIMEOUT)
            .open(|url| {
                tokio::spawn(browse(url.as_str().to_owned()));
                Ok(())
            });
        let token = connection.token().await.unwrap();
        token.scope.contains("offline_access")
    };
    assert!(granted(request(&served)).await);
    let as_given = request(&served).offline(OfflineAccess::AsGiven);
    assert!(!granted(as_given).await);
}
