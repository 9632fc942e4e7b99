//! huskarl, over our own HTTP client, which responds at once.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use huskarl::cache::{GrantTokenSource, InMemoryRefreshTokenStore, InMemoryTokenCache};
use huskarl::core::Error;
use huskarl::core::client_auth::ClientSecret;
use huskarl::core::http::{HttpClient, HttpResponse, Idempotency};
use huskarl::core::platform::MaybeSendBoxFuture;
use huskarl::core::secrets::{ProvidedSecret, SecretString};
use huskarl::grant::authorization_code::{AuthorizationCodeGrant, StartInput};
use huskarl::grant::client_credentials::{
    ClientCredentialsGrant, ClientCredentialsGrantParameters,
};
use huskarl::prelude::*;

use crate::{AUTHORIZE_URI, ID, REDIRECT_URI, SECRET, Side, TOKEN_URI, floor, scopes, sent};

struct Stub {
    replies: Vec<Bytes>,
    /// The index of the next one.
    next: Arc<AtomicUsize>,
}

impl HttpClient for Stub {
    fn execute(
        &self,
        request: Request<Bytes>,
        _: Idempotency,
    ) -> MaybeSendBoxFuture<'_, Result<HttpResponse, Error>> {
        sent::take(black_box(&request));
        let (head, body) = floor::response(&self.replies[self.next.load(Relaxed)]).into_parts();
        let (status, headers) = (head.status, head.headers);
        Box::pin(std::future::ready(Ok(HttpResponse {
            status,
            headers,
            body,
        })))
    }
}

/// Nothing here waits, so polling once is enough.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

fn secret() -> ClientSecret {
    let secret = ProvidedSecret::new(SecretString::new(SECRET));
    ClientSecret::builder()
        .client_secret(secret)
        .prefer_basic_auth(true)
        .build()
}

fn credentials(replies: Vec<Bytes>, next: Arc<AtomicUsize>) -> ClientCredentialsGrant {
    ClientCredentialsGrant::builder()
        .client_id(ID)
        .client_auth(secret())
        .http_client(Stub { replies, next })
        .token_endpoint(TOKEN_URI.parse().expect("a URL"))
        .token_endpoint_auth_methods_supported(vec!["client_secret_basic".to_owned()])
        .build()
}

fn parameters(scope: &str) -> ClientCredentialsGrantParameters {
    ClientCredentialsGrantParameters::builder()
        .scope(words(scope))
        .build()
}

fn words(scope: &str) -> Vec<String> {
    scope.split(' ').map(str::to_owned).collect()
}

pub(crate) fn grant(replies: Vec<Bytes>) -> Side {
    let next = Arc::<AtomicUsize>::default();
    let grant = credentials(replies, Arc::clone(&next));
    let scopes = scopes();
    Side::new("huskarl", move |n, visit| {
        next.store(n % 16, Relaxed);
        let tokens = now(grant.exchange(parameters(&scopes[n % 16]))).expect("tokens");
        let token = tokens.access_token();
        let expires_in = token.effective_lifetime(Duration::ZERO);
        visit(token.token().expose_secret(), expires_in.as_secs());
    })
}

pub(crate) fn url() -> Side {
    let grant = AuthorizationCodeGrant::builder()
        .client_id(ID)
        .client_auth(secret())
        .http_client(Stub {
            replies: Vec::new(),
            next: Arc::default(),
        })
        .authorization_endpoint(AUTHORIZE_URI.parse().expect("a URL"))
        .token_endpoint(TOKEN_URI.parse().expect("a URL"))
        .redirect_uri(REDIRECT_URI)
        .build();
    let grant = now(grant).expect("a grant");
    let scopes = scopes();
    Side::new("huskarl", move |n, visit| {
        let started = now(grant.start(StartInput::scope(words(&scopes[n % 16])))).expect("a URL");
        black_box(&started);
        // Its URL is not text yet; the conversion is not measured.
        if sent::is_watching() {
            visit(&started.authorization_url.to_string(), 0);
        }
    })
}

/// A cached token.
pub(crate) fn at_hand(replies: Vec<Bytes>) -> impl Fn() + Sync {
    let source = GrantTokenSource::builder()
        .grant(credentials(replies, Arc::default()))
        .grant_parameters(parameters("read"))
        .refresh_store(InMemoryRefreshTokenStore::default())
        .build();
    let cache = InMemoryTokenCache::builder().source(source).build();
    move || {
        black_box(now(cache.token()).expect("a token"));
    }
}
