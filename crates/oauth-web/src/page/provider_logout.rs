//! Logout announced by the provider: by a token that it posts (OpenID Connect Back-Channel Logout), or by a frame that
//! it loads in the browser (Front-Channel Logout). Only sessions in a store can be ended this way.
//! How each request is read and checked: `flow/logout.rs` in oauth-core.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{Method, StatusCode};
use oauth_core::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use oauth_core::flow::logout::{FrontChannelLogout, Session as Ended};
use oauth_core::token::logout_token::{LogoutTokenChecks, ReplayProtection};
use oauth_core::{Secret, form};

use crate::config::SessionStorage;
use crate::log_entry::LogEntry;
use crate::provider::Provider;
use crate::reply::{Reader, Reply};
use crate::request_context::RequestContext;
use crate::session::{Identity, Session};
use crate::session_store::{self, UnstoredSessions};
use crate::visit::{ExchangeOutput, RecordTimes, wrong_output};

pub(crate) async fn back_channel(
    context: &RequestContext,
    id: Option<String>,
) -> Result<Reply, Error> {
    // If the store fails after some sessions have ended, the application is still told: the provider may send the token
    // again, but these sessions are no longer found then.
    let mut signed_out = None;
    let mut reply = match backchannel_logout(context, id, &mut signed_out).await {
        Ok(()) => Reply::empty(StatusCode::OK),
        Err(error) if super::is_host_misuse(&error) => return Err(error),
        Err(error) => {
            context.io.log(LogEntry::from_error_of_message(&error));
            Reply::problem(&error, Reader::Script, None)
        }
    };
    reply.signed_out = signed_out.map(Box::new);
    Ok(reply)
}

async fn backchannel_logout(
    context: &RequestContext,
    id: Option<String>,
    signed_out: &mut Option<Identity>,
) -> Result<(), Error> {
    let token = posted_token(context)?;
    let provider = provider(context, id).await?;
    let mut checks = LogoutTokenChecks::default();
    checks.replay = ReplayProtection::Caller;
    checks.max_age_without_expiry = provider.logout_max_age_without_expiry;
    let client = context.client(&provider).await?;
    let verified = client.verify_logout_token(token, checks);
    let verified = context
        .io
        .run(verified, |token| ExchangeOutput::LoggedOut(Box::new(token)));
    let ExchangeOutput::LoggedOut(token) = verified.await? else {
        return Err(wrong_output());
    };
    let replay_key = oauth_seal::digest("oauth-web jti 1", [token.issuer(), token.jti()]);
    if context.io.load(&replay_key).await?.is_some() {
        return Err(ValidationFailure::LogoutTokenReplayed.into());
    }
    // A session whose login had no `sid` may be the one to end.
    let unstored_of_user = match token.sid() {
        Some(_) => UnstoredSessions::Excluded,
        None => UnstoredSessions::Included,
    };
    let indexes = [
        ("sid", token.sid(), UnstoredSessions::Included),
        ("sub", token.subject(), unstored_of_user),
    ];
    for (kind, value, unstored) in indexes {
        let Some(value) = value else { continue };
        let is_ended = |session: &Session| token.ends(&ended_session(session));
        let sessions = (kind, value, unstored);
        let ended = session_store::end_all(context, &client, sessions, is_ended, signed_out);
        ended.await?;
    }
    // Last: if the store failed before, the provider may send the token again. Two concurrent ones end the same
    // sessions.
    let until = token.forget_at();
    let record = Secret::new(format!("{{\"until\":{}}}", until.as_secs()));
    context
        .io
        .save(&replay_key, record, 0, RecordTimes::until(until))
        .await?;
    Ok(())
}

/// The logout token of the form: exactly one, and never from the URL (OpenID Connect Back-Channel Logout section 2.5).
fn posted_token(context: &RequestContext) -> Result<Secret<String>, Error> {
    let malformed = || Error::from(ProtocolViolation::LogoutShape).about("logout_token");
    let form = context.request.form_text();
    let form = form.filter(|_| context.request.method == Method::POST);
    let pairs = form::parse(form.ok_or_else(malformed)?).map_err(|_| malformed())?;
    let mut tokens = pairs.iter().filter(|(name, _)| name == "logout_token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => Ok(Secret::new(token.to_string())),
        _ => Err(malformed()),
    }
}

pub(crate) async fn front_channel(
    context: &RequestContext,
    id: Option<String>,
) -> Result<Reply, Error> {
    let mut signed_out = None;
    let mut reply = match frontchannel_logout(context, id, &mut signed_out).await {
        // As in the back channel: the application is informed of the sessions that ended before the store failed.
        Err(error) if signed_out.is_some() && !super::is_host_misuse(&error) => {
            super::error_page(context, &error, None)
        }
        result => result?,
    };
    reply.signed_out = signed_out.map(Box::new);
    Ok(reply)
}

async fn frontchannel_logout(
    context: &RequestContext,
    id: Option<String>,
    signed_out: &mut Option<Identity>,
) -> Result<Reply, Error> {
    let provider = provider(context, id).await?;
    let client = context.client(&provider).await?;
    let server = client.server();
    let request = FrontChannelLogout::parse(&context.request.target)?;
    if let (Some(named), Some(sid)) = (context.request.query("iss"), context.request.query("sid")) {
        // As in ID tokens, a server that has an issuer for each tenant may name one of those.
        if !server.issuer().matches(&named, server.rules()) {
            return Err(ValidationFailure::JwtIssuer.into());
        }
        let is_ended = |session: &Session| request.ends(&ended_session(session));
        let sessions = ("sid", sid.as_str(), UnstoredSessions::Included);
        session_store::end_all(context, &client, sessions, is_ended, signed_out).await?;
    }
    let mut reply = Reply::empty(StatusCode::OK);
    reply.set_header(CONTENT_TYPE, "text/html; charset=utf-8");
    let policy = format!(
        "default-src 'none'; frame-ancestors {}",
        server.issuer().url().origin()
    );
    reply.set_header(CONTENT_SECURITY_POLICY, &policy);
    Ok(reply)
}

async fn provider(context: &RequestContext, id: Option<String>) -> Result<Provider, Error> {
    if context.config().keep != SessionStorage::Store {
        let reason = "sessions without a store cannot be ended from elsewhere";
        return Err(Error::from(Misuse::WebSetup).about(reason));
    }
    let provider = match id {
        Some(id) => return context.provider(&id).await,
        None => context.default_provider(None).await?,
    };
    provider.ok_or_else(|| ValidationFailure::WebUnknownProvider.into())
}

fn ended_session(session: &Session) -> Ended {
    let identity = &session.identity;
    Ended::new(
        &identity.issuer,
        identity.subject.clone(),
        identity.sid.clone(),
    )
}
