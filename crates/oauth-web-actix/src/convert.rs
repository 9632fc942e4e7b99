//! Converts requests and responses between actix, which uses the types of `http` 0.2, and oauth-web.

use actix_web::http::StatusCode as ActixStatus;
use actix_web::{HttpRequest, HttpResponse, Result, web};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::BodyDataStream;
use oauth_web_tower::Answer;

/// Converts a request. A method that cannot be converted becomes one that is not allowed anywhere.
pub(crate) fn site_request(request: &HttpRequest) -> oauth_web::Request {
    let method = Method::from_bytes(request.method().as_str().as_bytes());
    let uri = request.uri().to_string().parse().unwrap_or_default();
    let fields = request.headers().iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    });
    oauth_web::Request::new(method.unwrap_or(Method::TRACE), &uri, fields.collect())
}

/// Reads a body of at most this many bytes.
pub(crate) async fn read(
    body: impl Future<Output = Result<web::Payload>>,
    most: usize,
) -> Result<Bytes, StatusCode> {
    let body = body.await.map_err(|_| StatusCode::BAD_REQUEST)?;
    match body.to_bytes_limited(most).await {
        Ok(body) => body.map_err(|_| StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::PAYLOAD_TOO_LARGE),
    }
}

/// Converts a response; that of an API is streamed.
pub(crate) fn response(answer: Answer) -> HttpResponse {
    let (parts, body) = answer.into_parts();
    let status = ActixStatus::from_u16(parts.status.as_u16());
    let mut response = HttpResponse::build(status.unwrap_or(ActixStatus::BAD_GATEWAY));
    for (name, value) in &parts.headers {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    match body.as_bytes() {
        Some(whole) => response.body(Bytes::copy_from_slice(whole)),
        None => response.streaming(BodyDataStream::new(body)),
    }
}
