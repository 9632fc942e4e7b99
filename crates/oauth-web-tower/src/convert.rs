//! Converts requests and responses between tower and oauth-web.

use bytes::Bytes;
use http::header::HOST;
use http::{Response, StatusCode, Uri, request};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use oauth_web::Reply;

/// The body of a response: the application's, an API's, or the site's own.
pub type GuardedBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Converts a request, with its original URI: routers remove the matched part from it.
pub(crate) fn to_site_request(parts: &request::Parts, uri: &Uri) -> oauth_web::Request {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    oauth_web::Request {
        method: parts.method.clone(),
        host: host.unwrap_or_default().to_owned(),
        target: target.to_owned(),
        headers: parts.headers.clone(),
        form: None,
    }
}

/// Converts a reply of the site into a response.
pub(crate) fn response(reply: Reply) -> Response<GuardedBody> {
    let mut response = Response::new(boxed(Full::from(reply.body)));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

/// A response without a body.
pub(crate) fn plain(status: StatusCode) -> Response<GuardedBody> {
    let mut response = Response::new(boxed(Full::from(String::new())));
    *response.status_mut() = status;
    response
}

/// A body of no more bytes than this.
pub(crate) async fn read<B>(body: B, most: usize) -> Option<Bytes>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let read = Limited::new(body, most).collect().await;
    read.ok().map(Collected::to_bytes)
}

/// A body of any kind.
pub(crate) fn boxed<R>(body: R) -> GuardedBody
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body.map_err(Into::into).boxed_unsync()
}
