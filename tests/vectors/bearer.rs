//! Groups about where things may go: `redirect-uri`, `return-target`, `bearer-request`.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use oauth_core::Secret;
use oauth_core::error::Error;
use oauth_core::flow::resource::{self, Redirect, Resource, Verdict as Asks};
use oauth_core::issuer::{RedirectUri, return_target};
use oauth_core::url::Url;
use serde_json::Value;

use crate::format::{Vector, Verdict, holds, outcome, same};

pub(crate) fn redirect_uri(vector: &Vector) -> Verdict {
    let accepted = RedirectUri::parse(vector.must("redirect_uri")?);
    let text = accepted.as_ref().ok().map(|uri| uri.as_str().to_owned());
    same(
        "accepted",
        Some(accepted.is_ok()),
        vector.expected["accepted"].as_bool(),
    )?;
    // What is accepted is kept to the letter.
    holds(
        "kept as given",
        text.is_none_or(|text| Some(text.as_str()) == vector.text("redirect_uri")),
    )
}

pub(crate) fn target(vector: &Vector) -> Verdict {
    let origin = Url::parse(vector.must("own_origin")?).map_err(|error| error.to_string())?;
    let allowed = return_target(vector.must("target")?, &origin).is_ok();
    same(
        "allowed",
        Some(allowed),
        vector.expected["allowed"].as_bool(),
    )
}

pub(crate) fn request(vector: &Vector) -> Verdict {
    let input = &vector.input;
    if let Some(chain) = vector.text("redirect") {
        return redirects(vector, chain);
    }
    if input.get("status").is_some() {
        return challenged(vector);
    }
    let expected = &vector.expected;
    let token = Secret::from(vector.text("token").unwrap_or("mF_9.B5f-4.1JqM"));
    let url = vector.text("url").unwrap_or("https://api.example/x");
    let both = input["header_and_body"] == true;
    let (uri, body, media) = match vector.text("method") {
        Some("query") => (format!("{url}?access_token=t"), None, None),
        Some("body") => (
            url.to_owned(),
            Some("access_token=t"),
            Some("application/x-www-form-urlencoded"),
        ),
        _ if both => (
            url.to_owned(),
            Some("access_token=t"),
            Some("application/x-www-form-urlencoded"),
        ),
        _ => (url.to_owned(), None, None),
    };
    let attached = attach(&uri, body, media, &token);
    let Some(headers) = outcome(expected, attached)? else {
        return Ok(());
    };
    let sent = headers
        .get(AUTHORIZATION)
        .ok_or("no Authorization header")?;
    holds("the header is marked sensitive", sent.is_sensitive())?;
    same(
        "authorization",
        sent.to_str().ok(),
        expected["authorization"].as_str(),
    )
}

fn attach(
    uri: &str,
    body: Option<&str>,
    media: Option<&'static str>,
    token: &Secret<String>,
) -> Result<HeaderMap, Error> {
    let resource = Resource::new(["https://api.example", "https://a.example"])?;
    let request = Request::builder().uri(uri).body(Bytes::new());
    let (mut parts, _) = request
        .map_err(|_| Error::from(oauth_core::error::Misuse::UrlSyntax))?
        .into_parts();
    if let Some(media) = media {
        parts
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(media));
    }
    resource.before(&mut parts, body.map(str::as_bytes), token)?;
    Ok(parts.headers)
}

/// Walks a chain `A -> B -> C` of redirects, as the resource rules allow, and notes with what each
/// request would go out.
fn redirects(vector: &Vector, chain: &str) -> Verdict {
    let hops: Vec<String> = chain
        .split(" -> ")
        .map(|hop| match hop {
            hop if hop.contains("//") || hop.starts_with('/') => hop.to_owned(),
            hop => format!("https://{hop}"),
        })
        .collect();
    let first = hops.first().ok_or("an empty chain")?;
    let resource = Resource::new([first.as_str()]).map_err(|error| error.to_string())?;
    let mut from = Url::parse(first).map_err(|error| error.to_string())?;
    // A request that is never made carries nothing.
    let mut carried = vec![true];
    for hop in &hops[1..] {
        match resource.redirect(&from, hop) {
            Redirect::Follow(url) => {
                carried.push(true);
                from = url;
            }
            Redirect::Refuse => break,
        }
    }
    for (name, want) in vector.expected.as_object().into_iter().flatten() {
        let number = if name.ends_with("third_request") {
            2
        } else {
            1
        };
        let is_carried = carried.get(number).copied().unwrap_or(false);
        match want {
            Value::Bool(followed) => same(name, carried.len() > 1, *followed)?,
            Value::Null => same(name, is_carried, false)?,
            Value::String(_) if name.contains("_on_") => same(name, is_carried, true)?,
            _ => {}
        }
    }
    Ok(())
}

fn challenged(vector: &Vector) -> Verdict {
    let status = vector.input["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    let status = status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or("no such status")?;
    let mut headers = HeaderMap::new();
    if let Some(field) = vector.text("www_authenticate") {
        let field = HeaderValue::from_str(field).map_err(|error| error.to_string())?;
        headers.insert(WWW_AUTHENTICATE, field);
    }
    let asks = resource::after(status, &headers);
    let action = vector.expected["action"].as_str().unwrap_or_default();
    let fits = match &asks {
        Asks::Renew => action.contains("retry once"),
        Asks::Refused | Asks::Pass => action.contains("surface"),
        Asks::StepUp {
            acr_values,
            max_age,
        } => {
            let acr = acr_values
                .as_ref()
                .is_none_or(|acr| action.contains(&format!("acr_values=\"{acr}\"")));
            let age = max_age.is_none_or(|age| action.contains(&format!("max_age={age}")));
            action.starts_with("new authorization") && acr && age
        }
        Asks::WidenScope(scope) => {
            action.contains("scope")
                && scope.as_ref().is_none_or(|scope| {
                    scope.iter().all(|name| action.contains(name)) || !action.contains('"')
                })
        }
        _ => false,
    };
    holds(&format!("{asks:?} is {action:?}"), fits)
}
