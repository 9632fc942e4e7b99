//! A login without a browser continues with a device code (RFC 8628).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oauth_core::endpoint::device_authorization::DeviceAuthorizationResponse;
use oauth_core::error::Misuse;
use oauth_core::{AuthorizationRequest, Client, ClientAuth, ClientId, Error, Scope, Tokens};
use oauth_reqwest::DeviceLogin;
use oauth_reqwest::device_login::{DeviceLoginTiming, PageOpener};
use oauth_reqwest::loopback::Listener;
use oauth_testkit::Served;

use crate::support::{TEST_TIMEOUT, discover_server, driver, server, start_twin};

/// A client of the twin, whose metadata announces device codes.
async fn client(served: &Served) -> Client {
    served.with(|twin| twin.set_polling_interval(1));
    let server = discover_server(&driver(), served).await;
    let (id, secret) =
        served.with(|twin| (twin.client_id().to_owned(), twin.client_secret().to_owned()));
    Client::new(server, ClientId::new(id), ClientAuth::basic(secret)).unwrap()
}

/// A user who enters each code immediately, and counts the codes.
fn user_entering_codes(
    codes: &Arc<AtomicUsize>,
) -> impl Fn(&DeviceAuthorizationResponse) -> Result<(), Error> + Send + Sync + 'static {
    let codes = Arc::clone(codes);
    move |code| {
        codes.fetch_add(1, Ordering::SeqCst);
        let page = code.verification_uri_complete.clone().unwrap();
        std::thread::spawn(move || {
            let visit = async move { oauth_reqwest::reqwest::get(page.as_str()).await.unwrap() };
            let runtime = tokio::runtime::Runtime::new().unwrap();
            assert_eq!(runtime.block_on(visit).status(), 200);
        });
        Ok(())
    }
}

/// A function that fails as on a machine without a browser.
fn nothing_opens(_: &oauth_core::url::Url) -> Result<(), Error> {
    Err(Error::from(Misuse::Setup).about("cannot start anything"))
}

fn request_for(listener: &Listener) -> AuthorizationRequest {
    let request = AuthorizationRequest::new(listener.redirect_uri().clone());
    request.scope(Scope::parse("read").unwrap())
}

async fn log_in(
    client: &Client,
    device: DeviceLogin,
    change: impl FnOnce(AuthorizationRequest) -> AuthorizationRequest,
) -> (Result<Tokens, Error>, usize) {
    let codes = Arc::<AtomicUsize>::default();
    let listener = Listener::bind().await.unwrap();
    let listener = listener.device(device, user_entering_codes(&codes));
    let request = change(request_for(&listener));
    let driver = driver();
    let login = listener.login(&driver, client, request, nothing_opens, TEST_TIMEOUT);
    let tokens = login.await.map(|login| login.tokens);
    (tokens, codes.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_login_without_a_browser_continues_with_a_device_code() {
    let served = start_twin();
    let client = client(&served).await;
    let (tokens, codes) = log_in(&client, DeviceLogin::WhereNoBrowser, |request| request).await;
    assert_eq!((tokens.unwrap().scope.as_str(), codes), ("read", 1));
    let (tokens, codes) = log_in(&client, DeviceLogin::Always, |request| request).await;
    assert_eq!((tokens.unwrap().scope.as_str(), codes), ("read", 1));
}

#[tokio::test]
async fn a_login_that_a_device_code_cannot_replace_stays_in_the_browser() {
    let served = start_twin();
    let client = client(&served).await;
    let assert_browser_error = |(tokens, codes): (Result<Tokens, Error>, usize)| {
        assert_eq!((tokens.unwrap_err().code(), codes), ("misuse.setup", 0));
    };
    assert_browser_error(log_in(&client, DeviceLogin::Never, |request| request).await);
    // A device code request cannot express how the user has to authenticate.
    let acr = |request: AuthorizationRequest| request.extra("acr_values", "gold");
    assert_browser_error(log_in(&client, DeviceLogin::WhereNoBrowser, acr).await);
    assert_eq!(count_device_requests(&served), 0);
    // A hint may be omitted.
    let hint = |request: AuthorizationRequest| request.extra("login_hint", "alice");
    let (tokens, codes) = log_in(&client, DeviceLogin::WhereNoBrowser, hint).await;
    assert!(tokens.is_ok() && codes == 1);
    // The server issues no device codes to this client.
    let unknown_client = Client::new(
        client.server().clone(),
        ClientId::new("nobody"),
        ClientAuth::basic("x"),
    );
    let unknown_client = unknown_client.unwrap();
    assert_browser_error(
        log_in(&unknown_client, DeviceLogin::WhereNoBrowser, |request| {
            request
        })
        .await,
    );
    let (refused, codes) = log_in(&unknown_client, DeviceLogin::Always, |request| request).await;
    assert_eq!(
        (refused.unwrap_err().code(), codes),
        ("denied.invalid_client", 0)
    );
}

fn count_device_requests(served: &Served) -> usize {
    let is_device_request = |path: &str| path.contains("device");
    served.with(|twin| {
        twin.log()
            .iter()
            .filter(|entry| is_device_request(&entry.path))
            .count()
    })
}

#[tokio::test]
async fn a_login_without_a_device_endpoint_reports_the_browser_error() {
    let served = start_twin();
    let client = Client::new(
        server(served.base()),
        ClientId::new("id"),
        ClientAuth::none(),
    );
    let (refused, codes) = log_in(&client.unwrap(), DeviceLogin::WhereNoBrowser, |request| {
        request
    })
    .await;
    assert_eq!((refused.unwrap_err().code(), codes), ("misuse.setup", 0));
}

#[tokio::test]
async fn the_timing_of_device_login_depends_on_opener_and_server() {
    let with_device_endpoint = discover_server(&driver(), &start_twin()).await;
    let without_device_endpoint = server("http://127.0.0.1:9");
    let where_no_browser = DeviceLogin::WhereNoBrowser;
    // A caller with its own function for opening pages has a browser.
    assert_eq!(
        where_no_browser.timing(PageOpener::Callers, &with_device_endpoint),
        DeviceLoginTiming::Never
    );
    assert_eq!(
        where_no_browser.timing(PageOpener::System, &without_device_endpoint),
        DeviceLoginTiming::Never
    );
    assert_eq!(
        DeviceLogin::Always.timing(PageOpener::Callers, &without_device_endpoint),
        DeviceLoginTiming::Only
    );
    assert_eq!(
        DeviceLogin::Never.timing(PageOpener::System, &with_device_endpoint),
        DeviceLoginTiming::Never
    );
    let expected = if oauth_reqwest::browser::is_there() {
        DeviceLoginTiming::IfNotOpened
    } else {
        DeviceLoginTiming::First
    };
    assert_eq!(
        where_no_browser.timing(PageOpener::System, &with_device_endpoint),
        expected
    );
    let prompted = where_no_browser.with_parameters(["scope", "prompt"]);
    assert_eq!(prompted, DeviceLogin::Never);
    assert_eq!(
        DeviceLogin::Always.with_parameters(["prompt"]),
        DeviceLogin::Always
    );
}

#[cfg(feature = "blocking")]
#[test]
fn a_blocking_login_falls_back_to_a_device_code() {
    let served = start_twin();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(client(&served));
    let driver = oauth_reqwest::blocking::Driver::new(
        oauth_reqwest::reqwest::blocking::Client::builder().no_proxy(),
    );
    let driver = driver.unwrap();
    let log_in = |device| {
        let codes = Arc::<AtomicUsize>::default();
        let listener = oauth_reqwest::blocking::Listener::bind().unwrap();
        let listener = listener.device(device, user_entering_codes(&codes));
        let request = AuthorizationRequest::new(listener.redirect_uri().clone());
        let login = listener.login(&driver, &client, request, nothing_opens, TEST_TIMEOUT);
        (
            login.map_err(|error| error.code()).map(drop),
            codes.load(Ordering::SeqCst),
        )
    };
    assert_eq!(log_in(DeviceLogin::WhereNoBrowser), (Ok(()), 1));
    assert_eq!(log_in(DeviceLogin::Always), (Ok(()), 1));
    assert_eq!(log_in(DeviceLogin::Never), (Err("misuse.setup"), 0));
}

/// A terminal's image for a QR reader: each character is two modules, one above the other, four pixels wide.
#[cfg(feature = "qr-code")]
fn read_by_camera(drawn: &str) -> String {
    const PIXELS: usize = 4;
    let lines: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
    let (width, height) = (lines[0].len() * PIXELS, lines.len() * 2 * PIXELS);
    let mut seen = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        let row = y / PIXELS;
        match (lines[row / 2][x / PIXELS], row % 2) {
            ('█', _) | ('▀', 0) | ('▄', 1) => 255,
            (' ' | '▀' | '▄', _) => 0,
            (other, _) => unreachable!("{other}"),
        }
    });
    let grids = seen.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

#[cfg(feature = "qr-code")]
#[tokio::test]
async fn the_qr_code_contains_the_complete_verification_uri() {
    use oauth_core::endpoint::device_authorization::DeviceAuthorization;
    use oauth_reqwest::device_login::qr_code;

    let served = start_twin();
    let client = client(&served).await;
    let request = DeviceAuthorization::new(Scope::parse("read").unwrap());
    let mut code = driver().run(client.call(request)).await.unwrap();
    let page = code.verification_uri_complete.clone().unwrap();
    assert!(page.as_str().contains(&code.user_code));
    assert_eq!(read_by_camera(&qr_code(&code).unwrap()), page.as_str());
    let long = format!("{}&x={}", page.as_str(), "x".repeat(3_000));
    code.verification_uri_complete = Some(oauth_core::url::Url::parse(&long).unwrap());
    assert_eq!(qr_code(&code), None);
    code.verification_uri_complete = None;
    assert_eq!(qr_code(&code), None);
}
