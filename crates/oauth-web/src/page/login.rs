//! `GET {prefix}/login`: sends a person to a provider; with several and no choice, shows them. It is also where
//! somebody else may begin a sign-in (OpenID Connect Core section 4).

use http::StatusCode;
use oauth_core::error::{Error, ValidationFailure};

use crate::config::Provider;
use crate::flow::{self, Wanted};
use crate::html;
use crate::reply::{Reader, Reply};
use crate::session::Need;
use crate::tries::Tries;
use crate::turn::Turn;
use crate::visit::Ask;
use crate::who::{self, Found};

/// The longest hint that is passed on, in bytes.
const MAX_HINT: usize = 256;

pub(crate) async fn login(turn: &Turn) -> Result<Reply, Error> {
    let request = &turn.request;
    if request.is_prefetch() {
        return Ok(Turn::ahead());
    }
    if !request.is_navigation() {
        let login = turn.page("login", &[])?;
        let error = ValidationFailure::WebSignedOut.into();
        return Ok(Reply::problem(&error, Reader::Script, Some(login)));
    }
    match request.query("again").as_deref() {
        Some("1") => return again(turn).await,
        Some("2") if !Tries::of(turn)?.is_restarted() => {
            let cookies = "the browser sends no cookies back";
            return Ok(nobody_waits(turn, cookies));
        }
        _ => {}
    }
    let wanted = request.parameter("return_to");
    let wanted = wanted.or_else(|| request.parameter("target_link_uri"));
    let return_to = turn.return_to(wanted.as_deref())?;
    let hint = request.parameter("login_hint");
    let hint = hint.filter(|hint| hint.len() <= MAX_HINT);
    let prompt = request.parameter("prompt").filter(|prompt| {
        // `none` is the check's.
        ["login", "consent", "select_account", "create"].contains(&prompt.as_str())
    });
    let Some(provider) = chosen(turn, &return_to).await? else {
        let kept = [
            ("return_to", Some(return_to)),
            ("login_hint", hint),
            ("prompt", prompt),
        ];
        let kept: Vec<_> = kept
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let page = turn.page("login", &[])?;
        let form = html::chooser(&turn.config().providers, &page, &kept);
        return Ok(Reply::page(StatusCode::OK, "Sign in", &form));
    };
    let wanted = Wanted {
        need: need(turn),
        login_hint: hint,
        prompt,
        ..Wanted::login(&provider, return_to)
    };
    flow::begin(turn, wanted).await
}

/// Whom the person signs in with, if that is settled.
async fn chosen(turn: &Turn, return_to: &str) -> Result<Option<Provider>, Error> {
    if let Some(id) = turn.request.parameter("provider") {
        return turn.provider(&id).await.map(Some);
    }
    if let Some(issuer) = turn.request.parameter("iss") {
        let issuer = Some(issuer).filter(|issuer| issuer.len() <= MAX_HINT);
        let ask = Ask {
            issuer: Some(issuer.ok_or(ValidationFailure::WebUnknownProvider)?),
            ..Ask::default()
        };
        let named = turn.find(ask).await?;
        let named = named.ok_or(ValidationFailure::WebUnknownProvider)?;
        return Ok(Some(named));
    }
    // The page that the person wants says more than this one.
    let path = return_to.split(['?', '#']).next().unwrap_or_default();
    let path = Some(path).filter(|path| path.starts_with('/'));
    let ask = Ask {
        path: path.unwrap_or_default().to_owned(),
        ..Ask::default()
    };
    turn.find(ask).await
}

/// What a page that fetches was told to ask for. Anybody may ask for more; nobody gets less by it.
fn need(turn: &Turn) -> Option<Need> {
    let acr = turn.request.parameter("acr_values");
    let acr = acr.filter(|acr| acr.len() <= MAX_HINT).unwrap_or_default();
    let max_age = turn.request.parameter("max_age");
    let need = Need {
        acr: acr.split_whitespace().take(8).map(str::to_owned).collect(),
        max_age: max_age.and_then(|age| age.parse().ok()),
        ..Need::default()
    };
    (need != Need::default()).then_some(need)
}

/// A callback came that nobody waited for. Once, the person signs in anew; a cookie that comes back, or does not,
/// tells whether that can work.
async fn again(turn: &Turn) -> Result<Reply, Error> {
    if let Found::Session(_) = who::session(turn).await? {
        return Ok(Turn::go(&turn.home()?, []));
    }
    let tries = Tries::of(turn)?;
    if tries.is_restarted() {
        return Ok(nobody_waits(turn, "a sign-in was begun anew just now"));
    }
    let tried = tries.restarted(turn.desk.now()).cookie(turn)?;
    Ok(Turn::go(&turn.page("login", &[("again", "2")])?, [tried]))
}

fn nobody_waits(turn: &Turn, why: &str) -> Reply {
    let error = Error::from(ValidationFailure::WebCallbackUnknown).about(why);
    super::failed(turn, &error, None)
}
