//! An actix application on a real socket, with a provider on another, and a browser between them.

#[path = "../../oauth-web-tower/tests/shop/mod.rs"]
mod shop;

use std::sync::Arc;

use actix_web::web::{self, get, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError};
use oauth_session::TokenSource as _;
use oauth_session::store::MemoryStore;
use oauth_web::{Access, PageRequirements, Site};
use oauth_web_actix::{Host, Rejection, User, sign_in};

use shop::{Shop, UnavailableProvider, browser};

fn listener() -> (std::net::TcpListener, Shop) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    (listener, Shop::at(base))
}

async fn shop(access: Access) -> Shop {
    let (listener, shop) = listener();
    let site = Site::new(shop.stored(Some(shop.client().await))).unwrap();
    let host = Host::with_store(site, shop.driver.clone(), Arc::new(MemoryStore::new()));
    serve(listener, host, access);
    shop
}

fn serve(listener: std::net::TcpListener, host: Host, access: Access) {
    let app = move || {
        App::new()
            .wrap(sign_in(host.clone(), access))
            .route("/", get().to(index))
            .route("/me", get().to(me))
            .route("/cart", post().to(cart))
            .route("/pay", get().to(pay))
            .route("/call", get().to(call))
            .service(web::scope("/deep").route("/me", get().to(me)))
    };
    let server = HttpServer::new(app).workers(1).listen(listener).unwrap();
    // It stops with the runtime of the test.
    actix_web::rt::spawn(server.disable_signals().run());
}

async fn index(user: Option<User>) -> String {
    match user {
        Some(user) => format!("Hello, {}", user.identity.text("name").unwrap_or_default()),
        None => "Hello, stranger".to_owned(),
    }
}

async fn me(user: User) -> String {
    user.identity.subject.clone()
}

async fn cart(user: User, body: String) -> String {
    format!("{}: {body}", user.identity.subject)
}

async fn pay(request: HttpRequest) -> Result<String, actix_web::Error> {
    let user = User::having(&request, PageRequirements::acr(["mfa"])).await?;
    Ok(user.identity.acr.clone().unwrap_or_default())
}

/// An error type of an application, which passes on the response of a rejection.
#[derive(Debug)]
struct ShopError(Rejection);

impl std::fmt::Display for ShopError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for ShopError {
    fn error_response(&self) -> HttpResponse {
        self.0.error_response()
    }
}

async fn call(user: User) -> Result<String, ShopError> {
    called(user).await.map_err(ShopError)
}

async fn called(user: User) -> Result<String, Rejection> {
    let source = user.source().await?;
    let first = source.token(None).await?;
    // As if an API had refused it.
    source.token(Some(&first)).await?;
    Ok("called".to_owned())
}

const ANN: &str = "user-248289761001";

#[actix_web::test]
async fn users_sign_in_see_their_page_and_sign_out() {
    let shop = shop(Access::Open).await;
    let ann = browser();
    let stranger = (200, "Hello, stranger".to_owned());
    assert_eq!(shop.open(&ann, "/").await, stranger);
    // Redirects to the provider, back, and to the page.
    assert_eq!(shop.open(&ann, "/deep/me").await, (200, ANN.to_owned()));
    assert_eq!(shop.open(&ann, "/").await, (200, "Hello, Ann".to_owned()));
    let form = ann.post(format!("{}/cart", shop.base)).body("a book");
    let reply = form.header("origin", &shop.base).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), format!("{ANN}: a book"));
    let out = ann
        .post(format!("{}/auth/logout?return_to=/", shop.base))
        .header("origin", &shop.base);
    let reply = out.send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), stranger.1);
    assert_eq!(shop.twin.with(|twin| twin.counters().revocations), 1);
}

#[actix_web::test]
async fn scripts_get_401_and_cross_site_forms_are_refused() {
    let shop = shop(Access::SignedIn).await;
    let script = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = script.get(format!("{}/", shop.base)).send().await.unwrap();
    assert_eq!(reply.status(), 401);
    assert_eq!(reply.headers()["content-type"], "application/problem+json");
    let ann = browser();
    shop.open(&ann, "/me").await;
    let foreign = ann.post(format!("{}/cart", shop.base)).body("a book");
    let reply = foreign.header("origin", "https://evil.example").send();
    assert_eq!(reply.await.unwrap().status(), 403);
}

#[actix_web::test]
async fn a_page_can_require_a_step_up() {
    let shop = shop(Access::Open).await;
    let ann = browser();
    shop.open(&ann, "/me").await;
    let (status, page) = shop.open(&ann, "/pay").await;
    assert!(
        status == 403 && page.contains("web.step_up_failed"),
        "{page}"
    );
    shop.twin.with(|twin| twin.set_claim("acr", "mfa"));
    assert_eq!(shop.open(&ann, "/pay").await, (200, "mfa".to_owned()));
}

#[actix_web::test]
async fn pages_call_an_api_until_the_grant_ends() {
    shop::check_calls(&shop(Access::Open).await).await;
}

#[actix_web::test]
async fn the_client_id_metadata_document_is_served() {
    let (listener, shop) = listener();
    let site = Site::new(shop.by_document().await).unwrap();
    let host = Host::new(site, shop.driver.clone()).unwrap();
    serve(listener, host, Access::Open);
    shop::check_client_document(&shop).await;
}

#[actix_web::test]
async fn a_user_whose_grant_has_ended_is_redirected_to_sign_in() {
    shop::check_grant_over(&shop(Access::Open).await).await;
}

#[actix_web::test]
async fn the_application_is_notified_of_sessions_signed_out_of_a_tenant() {
    let (listener, shop) = listener();
    let (host, notifications) = shop::with_tenant(&shop).await;
    serve(listener, host, Access::Open);
    shop::check_signed_out(&shop, &notifications).await;
}

#[actix_web::test]
async fn the_application_runs_while_its_provider_is_unavailable() {
    let (listener, shop) = listener();
    let away = Arc::new(UnavailableProvider::default());
    serve(listener, away.host(&shop).await, Access::Open);
    away.check(&shop).await;
}

#[actix_web::test]
async fn an_oversized_body_is_refused_and_a_missing_layer_reported() {
    let shop = shop(Access::Open).await;
    let large = browser()
        .post(format!("{}/auth/callback", shop.base))
        .body(vec![b'a'; 70_000]);
    assert_eq!(large.send().await.unwrap().status(), 413);
    let bare = actix_web::test::init_service(App::new().route("/me", get().to(me))).await;
    let request = actix_web::test::TestRequest::get().uri("/me").to_request();
    let reply = actix_web::test::call_service(&bare, request).await;
    assert_eq!(reply.status().as_u16(), 500);
}
