//! Groups about destinations: `redirect-uri`, `return-target`, `bearer-request`.

use std::collections::BTreeMap;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use oauth_core::Secret;
use oauth_core::flow::resource::{self, Redirect, Resource, Verdict as Asking};
use oauth_core::quirk::Rules;
use oauth_core::redirect_uri::check_return_target;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::url::Url;
use serde_json::{Value, json};

use crate::conversation::{AuthorizeInput, ClientConfig, Conversation, TurnInput};
use crate::expect::outcome;
use crate::fields::{Fields, Reply};
use crate::format::{Failure, Vector, Verdict, check, check_equal};
use crate::lang::Lang;
use crate::runner::{Runner, as_example, public, stored_tokens};
use crate::scope::parameter;
use crate::transcript::TurnOutput;

const FOLLOWS_NONE: &str = "a page follows no redirect";
const FOLLOWS: &str = "httpx follows a redirect by itself, without the token";

pub(crate) fn redirect_uri(vector: &Vector, runner: &mut Runner) -> Verdict {
    let uri = vector.required_text("redirect_uri")?;
    let client = ClientConfig {
        redirect_uris: Some(vec![uri.to_owned()]),
        ..public("s6BhdRkqt3")
    };
    let authorize_input = AuthorizeInput {
        redirect_uri: uri.to_owned(),
        ..AuthorizeInput::default()
    };
    let server = as_example(&Rules::default());
    let conversation = Conversation::new(Some(server), Some(client))
        .then(0, TurnInput::Authorize(authorize_input));
    let output = runner.play(&conversation)?.pop();
    let sent = match output {
        Some(TurnOutput::Authorized { url, .. }) => parameter(&url, "redirect_uri")?,
        Some(TurnOutput::Error(refusal)) if refusal.code == "redirect_uri.refused" => None,
        other => return Err(format!("want a URL, or the URI refused, got {other:?}").into()),
    };
    check_equal(
        "accepted",
        Some(sent.is_some()),
        vector.expected["accepted"].as_bool(),
    )?;
    // An accepted URI is sent unchanged.
    check("kept as given", sent.is_none_or(|sent| sent == uri))
}

pub(crate) fn target(vector: &Vector) -> Verdict {
    let origin =
        Url::parse(vector.required_text("own_origin")?).map_err(|error| error.to_string())?;
    let allowed = check_return_target(vector.required_text("target")?, &origin).is_ok();
    check_equal(
        "allowed",
        Some(allowed),
        vector.expected["allowed"].as_bool(),
    )
}

pub(crate) fn request(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    if let Some(chain) = vector.text("redirect") {
        return if runner.is_rust() {
            redirects(vector, chain)
        } else {
            check_redirect_chain(vector, chain, runner)
        };
    }
    if input.get("status").is_some() {
        return challenged(vector, runner);
    }
    let token = vector.text("token").unwrap_or("mF_9.B5f-4.1JqM");
    let url = vector.text("url").unwrap_or("https://api.example/x");
    let is_form = input["header_and_body"] == true || vector.text("method") == Some("body");
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    let attach = TurnInput::Attach {
        url: match vector.text("method") {
            Some("query") => format!("{url}?access_token=t"),
            _ => url.to_owned(),
        },
        headers: is_form
            .then(|| (form_type.0.to_owned(), form_type.1.to_owned()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        body: is_form.then(|| "access_token=t".to_owned()),
        origins: Some(vec![
            "https://api.example".to_owned(),
            "https://a.example".to_owned(),
        ]),
        tokens: Some(stored_tokens(json!({ "access_token": token }))),
    };
    let server = as_example(&Rules::default());
    let conversation = Conversation::new(Some(server), Some(public("s6BhdRkqt3"))).then(0, attach);
    let attached = match runner.play(&conversation)?.pop() {
        Some(TurnOutput::Attached(header)) => Ok(header),
        Some(TurnOutput::Error(refusal)) => Err(refusal),
        other => return Err(format!("want a header, got {other:?}").into()),
    };
    let Some(header) = outcome(&vector.expected, attached)? else {
        return Ok(());
    };
    if runner.is_rust() {
        is_marked(url, token)?;
    }
    check_equal(
        "authorization",
        Some(header.as_str()),
        vector.expected["authorization"].as_str(),
    )
}

/// The `Authorization` header is marked as sensitive, which keeps it out of logs.
fn is_marked(url: &str, token: &str) -> Verdict {
    let text = |error: oauth_core::Error| error.to_string();
    let request = http::Request::builder().uri(url).body(());
    let (mut parts, ()) = request.map_err(|error| error.to_string())?.into_parts();
    let origin = Url::parse(url).map_err(text)?.origin();
    let resource = Resource::new([origin.as_str()]).map_err(text)?;
    resource
        .authorize(&mut parts, None, &Secret::from(token))
        .map_err(text)?;
    let sent = parts.headers.get(AUTHORIZATION);
    let sent = sent.ok_or("no Authorization header")?;
    check("the header is marked sensitive", sent.is_sensitive())
}

/// The URLs of a chain `A -> B -> C`.
fn chain_urls(chain: &str) -> Vec<String> {
    let hops = chain.split(" -> ").map(|hop| match hop {
        hop if hop.contains("//") || hop.starts_with('/') => hop.to_owned(),
        hop => format!("https://{hop}"),
    });
    hops.collect()
}

/// Has a package follow a chain of redirects, and checks which requests carry the token.
fn check_redirect_chain(vector: &Vector, chain: &str, runner: &mut Runner) -> Verdict {
    let expected = vector.expected.as_object().ok_or("nothing is expected")?;
    if runner.lang == Lang::Python && expected.contains_key("followed") {
        return Err(Failure::OutOfReach(FOLLOWS));
    }
    if runner.lang == Lang::Browser && expected.values().any(Value::is_string) {
        return Err(Failure::OutOfReach(FOLLOWS_NONE));
    }
    let hops = chain_urls(chain);
    let (first, rest) = hops.split_first().ok_or("an empty chain")?;
    let redirect = |to: &String| Reply::json(&Value::Null).status(302).with("location", to);
    let mut replies: Vec<_> = rest.iter().map(redirect).collect();
    replies.push(Reply::json(&Value::Null));
    let origin = Url::parse(first)
        .map_err(|error| error.to_string())?
        .origin();
    let call = TurnInput::CallApi {
        method: "GET".to_owned(),
        url: first.clone(),
        body: None,
        streams: false,
        origins: vec![origin],
        tokens: stored_tokens(json!({})),
        replies,
    };
    let server = as_example(&Rules::default());
    let conversation = Conversation::new(Some(server), Some(public("s6BhdRkqt3"))).then(0, call);
    let Some(TurnOutput::Called(called)) = runner.play(&conversation)?.pop() else {
        return Err("want a call".into());
    };
    let sent_first = called.sent.first().ok_or("nothing was sent")?;
    check(
        "the first has it",
        sent_first.header("authorization").is_some(),
    )?;
    for (name, want) in expected {
        let number = if name.ends_with("third_request") {
            2
        } else {
            1
        };
        match want {
            Value::Bool(followed) => check_equal(name, called.sent.len() > 1, *followed)?,
            _ => {
                let header = name.split("_on_").next().unwrap_or_default();
                let sent = called.sent.get(number);
                let carried = sent.and_then(|sent| sent.header(header));
                check_equal(name, carried, want.as_str())?;
            }
        }
    }
    Ok(())
}

/// Walks a chain of redirects by the resource rules, and notes which requests would carry the token.
fn redirects(vector: &Vector, chain: &str) -> Verdict {
    let hops = chain_urls(chain);
    let first = hops.first().ok_or("an empty chain")?;
    let mut from = Url::parse(first).map_err(|error| error.to_string())?;
    let origin = from.origin();
    let resource = Resource::new([origin.as_str()]).map_err(|error| error.to_string())?;
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
            Value::Bool(followed) => check_equal(name, carried.len() > 1, *followed)?,
            Value::Null => check_equal(name, is_carried, false)?,
            Value::String(_) if name.contains("_on_") => check_equal(name, is_carried, true)?,
            _ => {}
        }
    }
    Ok(())
}

fn challenged(vector: &Vector, runner: &mut Runner) -> Verdict {
    let status = vector.input["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok())
        .ok_or("no such status")?;
    let field = vector.text("www_authenticate");
    let fields = field.map(|field| ("www-authenticate".to_owned(), field.to_owned()));
    let headers = Fields(fields.into_iter().collect());
    let server = as_example(&Rules::default());
    let conversation = Conversation::new(Some(server), Some(public("s6BhdRkqt3")))
        .then(0, TurnInput::Verdict { status, headers });
    let Some(TurnOutput::Verdict(verdict)) = runner.play(&conversation)?.pop() else {
        return Err("want a verdict".into());
    };
    let action = vector.expected["action"].as_str().unwrap_or_default();
    check_equal("renews", verdict.renews, action.contains("retry once"))?;
    if let Some(name) = verdict.name {
        let fits = match name.as_str() {
            "renew" => action.contains("retry once"),
            "refused" | "pass" => action.contains("surface"),
            "step_up" => action.starts_with("new authorization"),
            "widen_scope" => action.contains("scope"),
            _ => false,
        };
        check(&format!("{name} is {action:?}"), fits)?;
    }
    if runner.is_rust() {
        of_the_core(status, field, action)
    } else {
        Ok(())
    }
}

/// The core's verdict on a reply, including the details of a step-up, which only Rust exposes.
fn of_the_core(status: u16, field: Option<&str>, action: &str) -> Verdict {
    let status = StatusCode::from_u16(status).map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    if let Some(field) = field {
        let field = HeaderValue::from_str(field).map_err(|error| error.to_string())?;
        headers.insert(WWW_AUTHENTICATE, field);
    }
    let asking = resource::verdict(status, &headers);
    let fits = match &asking {
        Asking::Renew => action.contains("retry once"),
        Asking::Refused | Asking::Pass => action.contains("surface"),
        Asking::StepUp(StepUp {
            acr_values,
            max_age,
            ..
        }) => {
            let holds_parameter = |name: &str, value: Option<String>| match value {
                Some(value) => action.contains(&format!("{name}={value}")),
                None => !action.contains(name),
            };
            let acr = (!acr_values.is_empty()).then(|| format!("\"{}\"", acr_values.join(" ")));
            let age = max_age.map(|age| age.to_string());
            action.starts_with("new authorization")
                && holds_parameter("acr_values", acr)
                && holds_parameter("max_age", age)
        }
        Asking::WidenScope(scope) => {
            action.contains("scope")
                && match scope {
                    Some(scope) => {
                        scope.iter().all(|name| action.contains(name)) || !action.contains('"')
                    }
                    None => !action.contains("scope="),
                }
        }
        _ => false,
    };
    check(&format!("{asking:?} is {action:?}"), fits)
}
