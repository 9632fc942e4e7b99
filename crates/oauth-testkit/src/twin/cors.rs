//! CORS: the responses that a page of a different origin may read (Fetch standard, section 3.3).

use http::Method;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};

use super::wire::{self, Ask, Reply};
use super::{Route, Twin};

impl Twin {
    /// The answer to a preflight of the allowed origin.
    pub(super) fn preflight(&self, place: Route, ask: &Ask) -> Option<Reply> {
        let is_preflight = ask.method == Method::OPTIONS
            && ask.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && self.allowed(place, ask).is_some();
        is_preflight.then(|| {
            let reply = wire::plain(204, "text/plain", "");
            let reply = wire::with(reply, ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
            let headers = "authorization, content-type, dpop";
            wire::with(reply, ACCESS_CONTROL_ALLOW_HEADERS, headers)
        })
    }

    /// Marks a reply as readable for the allowed origin.
    pub(super) fn allow_origin(&self, place: Route, ask: &Ask, reply: &mut Reply) {
        if let Some(origin) = self.allowed(place, ask) {
            let open = std::mem::take(reply);
            let open = wire::with(open, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let open = wire::with(open, VARY, "origin");
            let exposed = "www-authenticate, retry-after, x-ratelimit-reset, dpop-nonce";
            *reply = wire::with(open, ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    fn allowed(&self, place: Route, ask: &Ask) -> Option<&str> {
        let is_page = matches!(
            place,
            Route::Authorize | Route::DevicePage | Route::BackchannelPage | Route::Logout
        );
        let origin = self.cors.as_deref().filter(|_| !is_page)?;
        (ask.header(ORIGIN) == Some(origin)).then_some(origin)
    }
}
