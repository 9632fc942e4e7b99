//! Converts requests and replies between actix, which uses the types of `http` 0.2, and oauth-web.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyDataStream;
use oauth_web::Reply;

/// Converts an actix request into an `oauth_web::Request`.
pub(crate) fn to_site_request(request: &HttpRequest) -> oauth_web::Request {
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    }
    let host = headers.get(http::header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let host = host.or_else(|| Some(request.uri().authority()?.as_str()));
    let target = request.uri().path_and_query();
    oauth_web::Request {
        // A method that cannot be converted is not allowed anywhere.
        method: http::Method::from_bytes(request.method().as_str().as_bytes())
            .unwrap_or(http::Method::TRACE),
        host: host.unwrap_or_default().to_owned(),
        target: target.map_or("/", |target| target.as_str()).to_owned(),
        headers,
        form: None,
    }
}

/// Reads a body of at most this many bytes; otherwise returns the response to send.
pub(crate) async fn read(body: web::Payload, most: usize) -> Result<Bytes, HttpResponse> {
    match body.to_bytes_limited(most).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(plain(StatusCode::BAD_REQUEST)),
        Err(_) => Err(plain(StatusCode::PAYLOAD_TOO_LARGE)),
    }
}

pub(crate) fn plain(status: StatusCode) -> HttpResponse {
    HttpResponse::new(status)
}

/// Converts a reply of the site into an actix response.
pub(crate) fn response(reply: Reply) -> HttpResponse {
    head(reply.status, &reply.headers).body(reply.body)
}

/// The response of an API, streamed.
pub(crate) fn streamed<B>(response: http::Response<B>) -> HttpResponse
where
    B: http_body_util::BodyExt<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error>>,
{
    let (parts, body) = response.into_parts();
    let stream = BodyDataStream::new(body);
    head(parts.status, &parts.headers)
        .streaming(stream)
        .map_into_boxed_body()
}

fn head(status: http::StatusCode, headers: &HeaderMap) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::build(status);
    for (name, value) in headers {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    response
}

/// An error that makes actix send this response instead of the application's.
pub(crate) fn refusal(response: HttpResponse<BoxBody>) -> actix_web::Error {
    actix_web::error::InternalError::from_response("not signed in", response).into()
}
