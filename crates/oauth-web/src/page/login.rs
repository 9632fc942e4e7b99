//! `GET {prefix}/login`: sends the user to a provider, or shows a choice of several. Another site may begin a sign-in
//! here as well (OpenID Connect Core section 4). Where the user returns to is checked in `return_target.rs`.

use http::StatusCode;
use oauth_core::error::{Error, ValidationFailure};

use crate::current_session::{self, CurrentSession};
use crate::hop;
use crate::html;
use crate::login_flow::{self, LoginParameters};
use crate::login_loop::RecentLogins;
use crate::login_stage::LoginStage;
use crate::provider::Provider;
use crate::reply::{Reader, Reply};
use crate::request_context::RequestContext;
use crate::session::PageRequirements;
use crate::visit::ProviderQuery;

/// The longest hint that is passed on, in bytes.
const MAX_HINT: usize = 256;

pub(crate) async fn login(context: &RequestContext) -> Result<Reply, Error> {
    let request = &context.request;
    if request.is_prefetch() {
        return Ok(RequestContext::empty_prefetch_reply());
    }
    if !request.is_navigation() {
        let login = context.page_path("login", &[])?;
        let error = ValidationFailure::WebSignedOut.into();
        return Ok(Reply::problem(&error, Reader::Script, Some(login)));
    }
    let stage = request.query("stage");
    let stage = stage.and_then(|name| LoginStage::from_name(&name));
    match stage {
        Some(LoginStage::CallbackError) => return show_callback_error(context).await,
        Some(LoginStage::Restart) => return restart_login(context).await,
        Some(LoginStage::Restarted) if !RecentLogins::from_cookie(context)?.is_restarted() => {
            let cookies = "the browser sends no cookies back";
            return Ok(unknown_callback_page(context, cookies));
        }
        _ => {}
    }
    let requested_target = request.parameter("return_to");
    let requested_target = requested_target.or_else(|| request.parameter("target_link_uri"));
    let return_to = context.return_to(requested_target.as_deref())?;
    if let Some(reply) = hop(context, stage, &return_to).await? {
        return Ok(reply);
    }
    let hint = request.parameter("login_hint");
    let hint = hint.filter(|hint| hint.len() <= MAX_HINT);
    let prompt = request
        .parameter("prompt")
        .filter(|prompt| is_prompt(prompt));
    let Some(provider) = determined_provider(context, &return_to).await? else {
        let kept_parameters = [
            ("return_to", Some(return_to)),
            ("login_hint", hint),
            ("prompt", prompt),
        ];
        let kept_parameters: Vec<_> = kept_parameters
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let page = context.page_path("login", &[])?;
        let form = html::chooser(&context.config().providers, &page, &kept_parameters);
        return Ok(Reply::page(StatusCode::OK, "Sign in", &form));
    };
    let need = requested_step_up(context);
    // A step-up that a script requests is about its own session; with a prompt, the user may choose another account.
    let session = match (&need, &prompt) {
        (Some(_), None) => current_session::session(context).await?,
        _ => CurrentSession::Absent(String::new()),
    };
    let session = match &session {
        CurrentSession::Session(session) if session.identity.provider == provider.id => {
            Some(&**session)
        }
        _ => None,
    };
    let login = LoginParameters {
        need,
        session,
        login_hint: hint,
        prompt,
        ..LoginParameters::login(&provider, return_to)
    };
    login_flow::begin(context, login).await
}

/// The hop under `SameSite=Strict`, for a page of the application and for the login itself. A page that can only
/// redirect, such as a Server Component, sends everyone without the session's cookie here, although the browser may
/// only have withheld it. A request with parameters other than `return_to` asks for a login, and starts one.
async fn hop(
    context: &RequestContext,
    stage: Option<LoginStage>,
    return_to: &str,
) -> Result<Option<Reply>, Error> {
    match stage {
        Some(LoginStage::ToApplication) => {
            return Ok(Some(hop::redirect_or_hop(context, return_to)));
        }
        Some(LoginStage::FindSession) => {
            let current = current_session::session(context).await?;
            let has_session = matches!(current, CurrentSession::Session(_));
            return Ok(has_session.then(|| RequestContext::see_other(return_to, [])));
        }
        _ => {}
    }
    let asks_only_to_return = context.request.has_only_query("return_to");
    if !asks_only_to_return || !hop::is_needed(context)? {
        return Ok(None);
    }
    let login = context.page_path(
        "login",
        &[
            ("stage", LoginStage::FindSession.name()),
            ("return_to", return_to),
        ],
    )?;
    Ok(Some(hop::hop_page(&login)))
}

/// Whether this is a list of known prompts (OpenID Connect Core section 3.1.2.1), each once. `none` is for the silent
/// check.
fn is_prompt(text: &str) -> bool {
    let mut unused_values = vec!["login", "consent", "select_account", "create"];
    text.split(' ').all(|word| {
        let position = unused_values.iter().position(|value| *value == word);
        position.map(|at| unused_values.swap_remove(at)).is_some()
    })
}

/// The provider to sign in with, if there is no choice.
async fn determined_provider(
    context: &RequestContext,
    return_to: &str,
) -> Result<Option<Provider>, Error> {
    if let Some(id) = context.request.parameter("provider") {
        return context.provider(&id).await.map(Some);
    }
    if let Some(issuer) = context.request.parameter("iss") {
        let issuer = Some(issuer).filter(|issuer| issuer.len() <= MAX_HINT);
        let query = ProviderQuery {
            issuer: Some(issuer.ok_or(ValidationFailure::WebUnknownProvider)?),
            ..ProviderQuery::default()
        };
        let provider = context.find_provider(query).await?;
        let provider = provider.ok_or(ValidationFailure::WebUnknownProvider)?;
        return Ok(Some(provider));
    }
    // The provider is determined by the requested page, not by the login page.
    let path = return_to.split(['?', '#']).next().unwrap_or_default();
    let path = Some(path).filter(|path| path.starts_with('/'));
    let query = ProviderQuery {
        path: path.unwrap_or_default().to_owned(),
        ..ProviderQuery::default()
    };
    context.find_provider(query).await
}

/// The step-up in the query, from a problem response to a script. Requesting more is harmless, and does not lower a
/// requirement.
fn requested_step_up(context: &RequestContext) -> Option<PageRequirements> {
    let acr = context.request.parameter("acr_values");
    let acr = acr.filter(|acr| acr.len() <= MAX_HINT).unwrap_or_default();
    let max_age = context.request.parameter("max_age");
    let need = PageRequirements {
        acr: acr.split_whitespace().take(8).map(str::to_owned).collect(),
        max_age: max_age.and_then(|age| age.parse().ok()),
        ..PageRequirements::default()
    };
    (need != PageRequirements::default()).then_some(need)
}

/// Shows the error of a callback without a flow, after the hop, unless there is a session.
async fn show_callback_error(context: &RequestContext) -> Result<Reply, Error> {
    match current_session::session(context).await? {
        CurrentSession::Session(_) => Ok(RequestContext::see_other(&context.home_path()?, [])),
        CurrentSession::Absent(_) => Ok(unknown_callback_page(context, "it had an error")),
    }
}

/// Restarts a login after a callback without a flow, once: a cookie that comes back shows that the browser keeps
/// cookies.
async fn restart_login(context: &RequestContext) -> Result<Reply, Error> {
    if let CurrentSession::Session(_) = current_session::session(context).await? {
        return Ok(RequestContext::see_other(&context.home_path()?, []));
    }
    let recent_logins = RecentLogins::from_cookie(context)?;
    if recent_logins.is_restarted() {
        return Ok(unknown_callback_page(
            context,
            "the sign-in was already restarted a moment ago",
        ));
    }
    let recent_logins_cookie = recent_logins
        .record_restart(context.io.now())
        .cookie(context)?;
    Ok(RequestContext::see_other(
        &context.page_path("login", &[("stage", LoginStage::Restarted.name())])?,
        [recent_logins_cookie],
    ))
}

fn unknown_callback_page(context: &RequestContext, reason: &str) -> Reply {
    let error = Error::from(ValidationFailure::WebCallbackUnknown).about(reason);
    super::error_page(context, &error, None)
}
