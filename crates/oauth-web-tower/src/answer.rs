//! Responses in place of the application's.

use http::{Response, StatusCode};
use oauth_reqwest::reqwest;
use oauth_web::Reply;

/// A response in place of the application's: of the site, or of an API, whose body is a stream.
pub type Answer = Response<reqwest::Body>;

/// A reply of the site as a response.
pub(crate) fn answer(reply: Reply) -> Answer {
    let mut response = Response::new(reply.body.into());
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(reqwest::Body::default());
    *response.status_mut() = status;
    response
}
