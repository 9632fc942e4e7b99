//! An application without a framework, a tower service served by hyper, to which users sign in: `cargo run -p
//! oauth-web-tower --example hello_hyper`, with the environment variables of [`Host::from_env`](oauth_web_tower::Host::from_env),
//! `PORT`, and the API's URL in `HELLO_API`.

mod hello;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use hello::{Calls, Failure};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use oauth_core::error::Advice;
use oauth_web::{PageRequirements, Reply, Session};
use oauth_web_tower::{GrantEnded, Host, Outcome, RequestSession, SignIn};
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
struct Shop {
    host: Host,
    calls: Calls,
}

/// The pages for signed-in users.
async fn application_page(session: Arc<Session>, path: &str, shop: &Shop) -> Page {
    let identity = &session.identity;
    match path {
        "/me" => text(StatusCode::OK, identity.subject.clone()),
        "/pay" => text(
            StatusCode::OK,
            format!("paid by {}", identity.acr.as_deref().unwrap_or_default()),
        ),
        _ => {
            let called = match shop.host.source(Arc::clone(&session)).await {
                Ok(tokens) => shop.calls.with(tokens).await,
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
        Ok(Outcome::Pass(Some(session))) => application_page(session, path, &shop).await,
        Ok(Outcome::Respond(reply)) => answered(reply),
        Ok(Outcome::Pass(None) | Outcome::Forward(_)) | Err(_) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    })
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (host, calls) = (hello::host().await?, Calls::from_env()?);
    let (sign_in, shop) = (SignIn::new(host.clone()), Shop { host, calls });
    let listener = tokio::net::TcpListener::bind(hello::address()?).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let shop = shop.clone();
        let app = tower::service_fn(move |request| pages(request, shop.clone()));
        let service = TowerToHyperService::new(sign_in.layer(app));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
