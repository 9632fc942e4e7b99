//! An axum application to which users sign in, and which calls an API for them: `cargo run -p oauth-web-tower --example
//! hello_axum`, with the environment variables of [`Host::from_env`], `PORT`, and the API's URL in `HELLO_API`.

mod hello;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use hello::{Calls, Failure};
use oauth_web::PageRequirements;
use oauth_web_tower::{HandlerRequirement, Rejection, SignIn, StepUp, User};

async fn index(user: Option<User>) -> String {
    let subject = user.map(|user| user.identity.subject.clone());
    format!("Hello, {}", subject.as_deref().unwrap_or("stranger"))
}

async fn me(user: User) -> String {
    user.identity.subject.clone()
}

struct Mfa;

impl HandlerRequirement for Mfa {
    fn need() -> PageRequirements {
        PageRequirements::acr(["mfa"])
    }
}

async fn pay(user: StepUp<Mfa>) -> String {
    format!(
        "paid by {}",
        user.identity.acr.as_deref().unwrap_or_default()
    )
}

async fn fetch(State(calls): State<Calls>, user: User) -> Result<String, Rejection> {
    Ok(calls.with(user.source().await?).await?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let pages = Router::new()
        .route("/", get(index))
        .route("/me", get(me))
        .route("/pay", get(pay))
        .route("/fetch", get(fetch))
        .with_state(Calls::from_env()?);
    // Below the path of the base URL, if it has one: the layer is around all of it.
    let pages = match std::env::var("HELLO_ROOT") {
        Ok(root) => Router::new().nest(&root, pages),
        Err(_) => pages,
    };
    let app = pages.layer(SignIn::new(hello::host().await?));
    Ok(axum::serve(tokio::net::TcpListener::bind(hello::address()?).await?, app).await?)
}
