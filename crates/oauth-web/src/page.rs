//! Requests to the pages of the site: dispatches each to its file in `page/`.

mod api;
mod callback;
pub(crate) mod client_metadata;
mod login;
mod logout;
mod provider_logout;
mod session;
mod silent_check;
mod testing;
mod userinfo;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::SET_COOKIE;
use http::{HeaderValue, Method};
use oauth_core::error::{Error, Kind, Misuse, ValidationFailure};

use crate::config::Access;
use crate::login_guard::guard;
use crate::reply::Reply;
use crate::request_context::RequestContext;
use crate::routes::Route;
use crate::session::{PageRequirements, Session};
use crate::visit::VisitEnd;

/// The size of a response's header fields from which a warning is logged: many proxies read only 4 KiB, which also
/// contain fields of the server and the application.
const WARN_HEADER_BYTES: usize = 3500;

/// Answers a request, or passes it on.
///
/// # Errors
/// Only mistakes of the host; everything else becomes a response.
pub(crate) async fn respond(
    context: RequestContext,
    access: Access,
    need: Option<PageRequirements>,
) -> Result<VisitEnd, Error> {
    let outcome = match route(&context, access, need).await {
        Err(error) if is_host_misuse(&error) => Err(error),
        Err(error) if context.io.is_unready() => host_not_ready(&context, error),
        Err(error) => Ok(VisitEnd::Respond(error_page(&context, &error, None))),
        outcome => outcome,
    };
    outcome.inspect(|outcome| warn_about_large_response(&context, outcome))
}

/// Logs the first response that a proxy with default buffers would answer with 502 instead. A large session has already
/// been logged, with its largest member.
fn warn_about_large_response(context: &RequestContext, outcome: &VisitEnd) {
    let VisitEnd::Respond(reply) = outcome else {
        return;
    };
    let bytes = reply.header_bytes();
    let site = &context.site;
    if bytes <= WARN_HEADER_BYTES
        || site.is_large_session_logged.load(Ordering::Relaxed)
        || site.is_large_response_logged.swap(true, Ordering::Relaxed)
    {
        return;
    }
    let cookies = reply.headers.get_all(SET_COOKIE).iter();
    let cookies: usize = cookies.map(HeaderValue::len).sum();
    let about = format!("{bytes} bytes, {cookies} of them in cookies");
    context
        .io
        .note_error(&Error::from(Misuse::WebResponseLarge).about(&about));
}

/// Requests a provider's client from the host, unless it is known.
///
/// # Errors
/// `web.unknown_provider`, and the host's errors.
pub(crate) async fn connect(context: RequestContext, provider: String) -> Result<VisitEnd, Error> {
    let provider = context.site.provider(&provider)?;
    context.client(provider).await?;
    Ok(VisitEnd::Pass(None))
}

/// Signs a user in for a test.
///
/// # Errors
/// `web.setup` under another key, `web.unknown_provider`, `web.session_too_large`, and the store's errors.
pub(crate) async fn test(
    context: RequestContext,
    identity: crate::session::Identity,
) -> Result<VisitEnd, Error> {
    testing::sign_in(context, identity).await
}

/// Ends this session, without a request.
///
/// # Errors
/// Only mistakes of the host.
pub(crate) async fn end_session(
    context: RequestContext,
    session: Arc<Session>,
) -> Result<VisitEnd, Error> {
    Ok(api::end_for_application(&context, &session).await)
}

/// Ends a session whose grant has ended.
///
/// # Errors
/// Only mistakes of the host.
pub(crate) async fn grant_ended(context: RequestContext) -> Result<VisitEnd, Error> {
    let outcome = match api::grant_ended(&context).await {
        Err(error) if is_host_misuse(&error) => Err(error),
        Err(error) => {
            let cookies = context.end_session().unwrap_or_default();
            Ok(VisitEnd::Respond(
                error_page(&context, &error, None).with_cookies(cookies),
            ))
        }
        outcome => outcome,
    };
    outcome.inspect(|outcome| warn_about_large_response(&context, outcome))
}

/// The response that the host is not ready, and how to try again.
///
/// # Errors
/// `web.not_found` for another site's host.
fn host_not_ready(context: &RequestContext, error: Error) -> Result<VisitEnd, Error> {
    context.io.note_error(&error);
    let is_own_page = match context.base_url() {
        Ok(base_url) => context.site.route(base_url, &context.request) != Route::Application,
        Err(error) => return Ok(VisitEnd::Respond(error_page(context, &error, None))),
    };
    // After signing in, the user returns to the requested page.
    let return_to = if is_own_page {
        context.return_to(context.request.parameter("return_to").as_deref())
    } else {
        context.this_page()
    };
    let login = context.page_path("login", &[("return_to", &return_to?)])?;
    Ok(VisitEnd::Respond(Reply::unready(
        &error,
        context.reader(),
        login,
    )))
}

/// Logs an error in full, and returns a response with its code and one sentence.
pub(crate) fn error_page(
    context: &RequestContext,
    error: &Error,
    return_to: Option<&str>,
) -> Reply {
    context.io.note_error(error);
    let is_request_fault = matches!(
        error.kind(),
        Kind::Untrusted(
            ValidationFailure::WebNotFound
                | ValidationFailure::WebMethod
                | ValidationFailure::WebCrossSite
        )
    );
    let parameters = return_to.map(|return_to| ("return_to", return_to));
    let login = context.page_path("login", parameters.as_slice());
    let sign_in = login.ok().filter(|_| !is_request_fault);
    Reply::problem(error, context.reader(), sign_in)
}

async fn route(
    context: &RequestContext,
    access: Access,
    need: Option<PageRequirements>,
) -> Result<VisitEnd, Error> {
    let base_url = context.base_url()?;
    match context.site.route(base_url, &context.request) {
        Route::Application => guard(context, access, need).await,
        // Boxed: every request would reserve and move the state of all these pages, eleven kilobytes.
        page => Box::pin(own_page(context, page)).await,
    }
}

/// Answers a request for one of the site's own pages.
async fn own_page(context: &RequestContext, page: Route) -> Result<VisitEnd, Error> {
    if context.request.is_too_large() {
        return Err(oauth_core::error::ProtocolViolation::CallbackTooLarge.into());
    }
    let allowed_methods: &[Method] = match &page {
        Route::Api(name) => return api::api(context, name).await,
        Route::ClientMetadata => return Ok(VisitEnd::Respond(client_metadata::document(context))),
        Route::Unknown | Route::Application => return Err(ValidationFailure::WebNotFound.into()),
        Route::Login | Route::Logout | Route::Callback => &[Method::GET, Method::POST],
        // Any request that is not valid is a 400 (OpenID Connect Back-Channel Logout section 2.8).
        Route::BackChannel(id) => {
            let reply = provider_logout::back_channel(context, id.clone()).await;
            return reply.map(VisitEnd::Respond);
        }
        Route::Check | Route::LoggedOut | Route::Session | Route::FrontChannel(_) => &[Method::GET],
    };
    if context.request.method == Method::HEAD && allowed_methods.contains(&Method::GET) {
        // A HEAD request comes from a link preview or a prefetch.
        return Ok(VisitEnd::Respond(RequestContext::empty_prefetch_reply()));
    }
    if !allowed_methods.contains(&context.request.method) {
        return Ok(VisitEnd::Respond(method_not_allowed(
            context,
            allowed_methods,
        )));
    }
    let reply = match page {
        Route::Login => login::login(context).await,
        Route::Callback => callback::callback(context).await,
        Route::Check => silent_check::check(context).await,
        Route::Logout => logout::logout(context).await,
        Route::LoggedOut => logout::return_from_provider(context),
        Route::Session => session::session(context).await,
        Route::FrontChannel(provider) => provider_logout::front_channel(context, provider).await,
        Route::Api(_)
        | Route::BackChannel(_)
        | Route::ClientMetadata
        | Route::Unknown
        | Route::Application => Err(ValidationFailure::WebNotFound.into()),
    };
    reply.map(VisitEnd::Respond)
}

fn method_not_allowed(context: &RequestContext, allowed_methods: &[Method]) -> Reply {
    let mut reply = error_page(context, &ValidationFailure::WebMethod.into(), None);
    let allowed_methods: Vec<_> = allowed_methods.iter().map(Method::as_str).collect();
    if let Ok(allowed_methods) = HeaderValue::from_str(&allowed_methods.join(", ")) {
        reply.headers.insert(http::header::ALLOW, allowed_methods);
    }
    reply
}

/// Whether a login was refused because a different user is signed in at the provider.
fn is_user_changed(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Untrusted(ValidationFailure::WebAnotherPerson)
    )
}

/// Whether the host has used the machine wrongly: such an error is returned to it, and is not a response.
pub(crate) fn is_host_misuse(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Misuse(Misuse::OutOfOrder | Misuse::Over | Misuse::NoRandomness)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of the future that a function returns.
    const fn future_bytes<A, B, C, F>(_: &impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn every_request_moves_only_what_passing_it_on_needs() {
        // With the states of all pages inside, it was 11 kB, which each request moved into a new allocation.
        let bytes = future_bytes(&respond);
        assert!(bytes < 3 << 10, "{bytes} bytes");
    }
}
