//! Sign-in through the user's own device (CIBA), in place of a browser.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use clap::Args;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use oauth_core::endpoint::backchannel_authentication::{
    BackchannelAuthentication, Hint, TokenDeliveryMode,
};
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::backchannel::AwaitedRequest;
use oauth_core::flow::poll::PollTiming;
use oauth_core::flow::redeem::Login;
use oauth_core::{Client, Scope};
use oauth_reqwest::blocking::Driver;
use tokio::sync::Notify;

use crate::{FlowFailure, Stage};

/// The options of backchannel authentication.
#[derive(Debug, Args)]
pub(crate) struct Ciba {
    /// Authenticate the user with this login hint on their own device, in place of a browser
    #[arg(long, value_name = "HINT")]
    pub(crate) backchannel: Option<String>,
    /// The binding message that both devices show
    #[arg(long, value_name = "TEXT", requires = "backchannel")]
    binding_message: Option<String>,
    /// Wait for a ping at this local address, in place of polling
    #[arg(long, value_name = "ADDRESS:PORT", requires = "backchannel")]
    notified_at: Option<SocketAddr>,
}

impl Ciba {
    /// Authenticates this user, and waits for the answer.
    pub(crate) fn sign_in(
        &self,
        hint: &str,
        driver: &Driver,
        client: &Client,
        scope: Scope,
    ) -> Result<Login, FlowFailure> {
        let failed = Stage::Backchannel.failed();
        let backchannel_request = self.request(hint, scope.clone()).map_err(&failed)?;
        // Listen before the request, so that no notification is missed.
        let door = self.notified_at.map(TcpListener::bind).transpose();
        let door = door.map_err(setup).map_err(&failed)?;
        let request = driver.run(client.authenticate_backchannel(backchannel_request));
        let request = request.map_err(&failed)?;
        let pace = match (door, request.client_notification_token) {
            (Some(door), Some(client_notification_token)) => {
                let awaited = AwaitedRequest {
                    auth_req_id: request.auth_req_id.clone(),
                    client_notification_token,
                    token_request: scope.clone().into(),
                };
                let longest = Duration::from_secs(request.expires_in);
                let pinged = wait(door, awaited, longest).map_err(setup);
                pinged.and_then(|judged| judged).map_err(&failed)?;
                None
            }
            _ => Some(PollTiming {
                interval: request.interval,
                expires_at: request.expires_at,
            }),
        };
        let login = client.poll_backchannel_token(request.auth_req_id, scope, pace);
        driver.run(login).map_err(Stage::Token.failed())
    }

    fn request(&self, hint: &str, scope: Scope) -> Result<BackchannelAuthentication, Error> {
        let backchannel_request =
            BackchannelAuthentication::new(Hint::Login(hint.to_owned()), scope)?;
        let backchannel_request = match &self.binding_message {
            Some(text) => backchannel_request.binding_message(text)?,
            None => backchannel_request,
        };
        Ok(match self.notified_at {
            Some(_) => backchannel_request.token_delivery_mode(TokenDeliveryMode::Ping),
            None => backchannel_request,
        })
    }
}

fn setup(reason: io::Error) -> Error {
    Error::from(Misuse::Setup).about(&reason.to_string())
}

/// Waits for a notification, verifies it, and answers it.
fn wait(
    door: TcpListener,
    awaited: AwaitedRequest,
    longest: Duration,
) -> io::Result<Result<(), Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let judged = Arc::new(Mutex::new(None));
    let came = Arc::new(Notify::new());
    let respond = {
        let (judged, came) = (Arc::clone(&judged), Arc::clone(&came));
        async move |headers: HeaderMap, body: Bytes| {
            let authorization = headers.get(AUTHORIZATION);
            let verdict =
                awaited.pinged(authorization.and_then(|field| field.to_str().ok()), &body);
            let status = match &verdict {
                Ok(()) => 204,
                Err(error) => error.refusal().map_or(400, |refusal| refusal.status),
            };
            *judged.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
            came.notify_one();
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
        }
    };
    door.set_nonblocking(true)?;
    runtime.block_on(async {
        let door = tokio::net::TcpListener::from_std(door)?;
        let served = axum::serve(door, Router::new().fallback(post(respond)));
        let served = served.with_graceful_shutdown(async move { came.notified().await });
        let ended = tokio::time::timeout(longest, served.into_future()).await;
        ended.map_err(|_| io::Error::other("no notification was received"))?
    })?;
    let judged = judged.lock().unwrap_or_else(PoisonError::into_inner).take();
    judged.ok_or_else(|| io::Error::other("no notification was received"))
}
