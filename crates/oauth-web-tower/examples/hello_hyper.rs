//! An application without a framework, a tower service served by hyper, to which users sign in: `cargo run -p
//! oauth-web-tower --example hello_hyper`, with the environment variables of [`Host::from_env`](oauth_web_tower::Host::from_env),
//! `PORT`, and the API's URL in `HELLO_API`.

mod hello;

use std::convert::Infallible;

use bytes::Bytes;
use hello::{Calls, Failure};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use oauth_core::error::Advice;
use oauth_web::{PageRequirements, Reply};
use oauth_web_tower::{GrantEnded, Rejection, RequestSession, SignIn, User};
use tower_layer::Layer as _;

type Page = Response<Full<Bytes>>;

fn text(status: StatusCode, text: String) -> Page {
    let mut page = Response::new(text.into());
    *page.status_mut() = status;
    page
}

fn answered(reply: Reply) -> Page {
    let mut page = text(reply.status, reply.body);
    *page.headers_mut() = reply.headers;
    page
}

#[derive(Clone)]
struct Shop(Calls);

/// The pages for signed-in users.
async fn own(user: User, path: &str, shop: &Shop) -> Page {
    let identity = &user.identity;
    match path {
        "/me" => text(StatusCode::OK, identity.subject.clone()),
        "/pay" => text(
            StatusCode::OK,
            format!("paid by {}", identity.acr.as_deref().unwrap_or_default()),
        ),
        _ => {
            let called = match user.source().await {
                Ok(tokens) => shop.0.with(tokens).await,
                Err(error) => Err(error),
            };
            match called {
                Ok(status) => text(StatusCode::OK, status),
                Err(error) => {
                    let mut page = text(StatusCode::BAD_GATEWAY, error.code().to_owned());
                    if error.advice() == Advice::Reauthorize {
                        page.extensions_mut().insert(GrantEnded);
                    }
                    page
                }
            }
        }
    }
}

async fn pages(request: Request<Incoming>, shop: Shop) -> Result<Page, Infallible> {
    let (parts, _) = request.into_parts();
    let (Some(visited), path) = (parts.extensions.get::<RequestSession>(), parts.uri.path()) else {
        return Ok(text(StatusCode::INTERNAL_SERVER_ERROR, String::new()));
    };
    if path == "/" {
        let subject = visited
            .session
            .as_ref()
            .map(|session| session.identity.subject.as_str());
        return Ok(text(
            StatusCode::OK,
            format!("Hello, {}", subject.unwrap_or("stranger")),
        ));
    }
    let need = (path == "/pay").then(|| PageRequirements::acr(["mfa"]));
    Ok(match visited.require(&parts, need).await {
        Ok(user) => own(user, path, &shop).await,
        Err(Rejection::Reply(reply)) => answered(*reply),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, String::new()),
    })
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (host, calls) = (hello::host().await?, Calls::from_env()?);
    let (sign_in, shop) = (SignIn::new(host), Shop(calls));
    let listener = tokio::net::TcpListener::bind(hello::address()?).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let shop = shop.clone();
        let app = tower::service_fn(move |request| pages(request, shop.clone()));
        let service = TowerToHyperService::new(sign_in.layer(app));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
