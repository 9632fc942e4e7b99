//! CORS: the responses that a page of a different origin may read (Fetch standard, section 3.3).

use http::Method;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};

use super::wire::{self, ReceivedRequest, Reply};
use super::{Route, Twin};

impl Twin {
    /// The answer to a preflight of the allowed origin.
    pub(super) fn preflight(&self, route: Route, request: &ReceivedRequest) -> Option<Reply> {
        let is_preflight = request.method == Method::OPTIONS
            && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && self.allowed_origin(route, request).is_some();
        is_preflight.then(|| {
            let reply = wire::plain(204, "text/plain", "");
            let reply = wire::with(reply, ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
            let headers = "authorization, content-type, dpop";
            wire::with(reply, ACCESS_CONTROL_ALLOW_HEADERS, headers)
        })
    }

    /// Marks a reply as readable for the allowed origin.
    pub(super) fn allow_origin(&self, route: Route, request: &ReceivedRequest, reply: &mut Reply) {
        if let Some(origin) = self.allowed_origin(route, request) {
            let open = std::mem::take(reply);
            let open = wire::with(open, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let open = wire::with(open, VARY, "origin");
            let exposed = "www-authenticate, retry-after, x-ratelimit-reset, dpop-nonce";
            *reply = wire::with(open, ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    fn allowed_origin(&self, route: Route, request: &ReceivedRequest) -> Option<&str> {
        let is_page = matches!(
            route,
            Route::Authorize | Route::DevicePage | Route::BackchannelPage | Route::Logout
        );
        let origin = self.cors.as_deref().filter(|_| !is_page)?;
        (request.header(ORIGIN) == Some(origin)).then_some(origin)
    }
}
