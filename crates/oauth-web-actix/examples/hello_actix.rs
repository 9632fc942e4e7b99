//! An actix application to which users sign in, and which calls an API for them: `cargo run -p oauth-web-actix --example
//! hello_actix`, with the environment variables of [`Host::from_env`], `PORT`, and the API's URL in `HELLO_API`.

#[path = "../../oauth-web-tower/examples/hello/mod.rs"]
mod hello;

use actix_web::web::{Data, get};
use actix_web::{App, HttpRequest, HttpServer};
use hello::{Calls, Failure};
use oauth_web::PageRequirements;
use oauth_web_actix::{Rejection, SignIn, User};

async fn index(user: Option<User>) -> String {
    let subject = user.map(|user| user.identity.subject.clone());
    format!("Hello, {}", subject.as_deref().unwrap_or("stranger"))
}

async fn me(user: User) -> String {
    user.identity.subject.clone()
}

async fn pay(request: HttpRequest) -> Result<String, actix_web::Error> {
    let user = User::having(&request, PageRequirements::acr(["mfa"])).await?;
    Ok(format!(
        "paid by {}",
        user.identity.acr.as_deref().unwrap_or_default()
    ))
}

async fn fetch(user: User, calls: Data<Calls>) -> Result<String, Rejection> {
    Ok(calls.with(user.source().await?).await?)
}

#[actix_web::main]
async fn main() -> Result<(), Failure> {
    let (host, calls) = (hello::host().await?, Data::new(Calls::from_env()?));
    let app = move || {
        App::new()
            .wrap(SignIn::new(host.clone()))
            .app_data(calls.clone())
            .route("/", get().to(index))
            .route("/me", get().to(me))
            .route("/pay", get().to(pay))
            .route("/fetch", get().to(fetch))
    };
    Ok(HttpServer::new(app)
        .workers(2)
        .bind(hello::address()?)?
        .run()
        .await?)
}
