//! An application that requires a second factor for one page: `cargo run -p oauth-web-actix --example step_up` prints
//! the response to a browser without one.

use actix_web::web::get;
use actix_web::{App, HttpRequest, test};
use oauth_core::issuer::Issuer;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, ClientId};
use oauth_reqwest::Driver;
use oauth_web::{Config, PageRequirements, Provider, Site};
use oauth_web_actix::{Access, Host, User, sign_in};

type Failure = Box<dyn std::error::Error>;

async fn pay(request: HttpRequest) -> Result<String, actix_web::Error> {
    let user = User::having(&request, PageRequirements::acr(["mfa"])).await?;
    Ok(format!("paid by {}", user.identity.subject))
}

fn host() -> Result<Host, Failure> {
    let issuer = Issuer::parse("https://login.example")?;
    let server = Server::new(issuer)
        .with_endpoint(
            EndpointKind::Authorization,
            "https://login.example/authorize",
        )?
        .with_endpoint(EndpointKind::Token, "https://login.example/token")?
        .with_endpoint(EndpointKind::Jwks, "https://login.example/keys")?;
    let client = Client::new(server, ClientId::new("shop"), ClientAuth::none())?;
    let base = Url::parse("https://shop.example")?;
    let keys = oauth_seal::Keys::new([7; 32]);
    let site = Site::new(Config::new(base, keys, Provider::new("login", client)?))?;
    Ok(Host::new(site, Driver::new(reqwest::Client::builder())?)?)
}

/// The URL to which a browser that requests the page is redirected.
async fn sent_to() -> Result<String, Failure> {
    let app = App::new().wrap(sign_in(host()?, Access::Open));
    let app = test::init_service(app.route("/pay", get().to(pay))).await;
    let request = test::TestRequest::get().uri("/pay");
    let request = request
        .insert_header(("host", "shop.example"))
        .insert_header(("accept", "text/html"));
    let reply = test::call_service(&app, request.to_request()).await;
    let location = reply.headers().get("location").ok_or("no redirect")?;
    Ok(location.to_str()?.to_owned())
}

#[actix_web::main]
async fn main() -> Result<(), Failure> {
    println!("{}", sent_to().await?);
    Ok(())
}

#[actix_web::test]
async fn a_second_factor_is_requested_with_acr_values() -> Result<(), Failure> {
    let url = sent_to().await?;
    assert!(url.starts_with("https://login.example/authorize?"), "{url}");
    assert!(url.contains("acr_values=mfa"), "{url}");
    Ok(())
}
