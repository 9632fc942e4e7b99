//! Whole sign-ins, as every language plays them: `tests/vectors/web/sign_ins.json`.

use std::collections::BTreeMap;

use http::Method;
use http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use oauth_web::{Access, Config, Keep, Reply, Storage};
use serde_json::{Map, Value, json};

use crate::world::{Browser, Ended, From, SHOP, TWIN, World, put};

const VECTORS: &str = include_str!("../../../../tests/vectors/web/sign_ins.json");

/// A cookie by its kind, and what becomes of it.
fn shape(field: &str, name: &str) -> String {
    let (pair, attributes) = field.split_once("; ").expect("attributes");
    let attributes: Vec<_> = attributes.split("; ").collect();
    for wanted in ["Secure", "HttpOnly", "Path=/"] {
        assert!(attributes.contains(&wanted), "{field}");
    }
    let has_domain = attributes.iter().any(|one| one.starts_with("Domain"));
    assert!(!has_domain, "{field}");
    let kind = pair.split('=').next().unwrap_or_default();
    let kind = kind
        .strip_prefix(&format!("__Host-Http-{name}"))
        .expect("a cookie of the site");
    let kind = match kind.split('-').nth(1) {
        None => "session",
        Some(kind) => kind,
    };
    let same_site = attributes
        .iter()
        .find_map(|one| one.strip_prefix("SameSite="));
    match attributes.contains(&"Max-Age=0") {
        true => format!("{kind} ended"),
        false => format!("{kind} {}", same_site.expect("SameSite")),
    }
}

/// What a response is, without what chance has made.
fn told(reply: &Reply, name: &str) -> Value {
    let mut told = json!({ "status": reply.status.as_u16() });
    if let Some(location) = reply.headers.get(LOCATION) {
        let location = location.to_str().unwrap();
        let there = location.strip_prefix(TWIN).map(|rest| {
            let path = rest.split('?').next().unwrap_or_default();
            format!("provider {path}")
        });
        let here = || location.strip_prefix(SHOP).unwrap_or(location).to_owned();
        told["location"] = there.unwrap_or_else(here).into();
    }
    let kind = reply
        .headers
        .get(CONTENT_TYPE)
        .map(|kind| kind.to_str().unwrap());
    if kind == Some("application/problem+json") {
        let problem: Value = serde_json::from_str(&reply.body).unwrap();
        told["code"] = problem["code"].clone();
    }
    let set = reply.headers.get_all(SET_COOKIE).iter();
    let mut cookies: Vec<_> = set
        .map(|field| shape(field.to_str().unwrap(), name))
        .collect();
    cookies.sort();
    if !cookies.is_empty() {
        told["cookies"] = cookies.into();
    }
    told
}

fn world(sign_in: &Value) -> World {
    World::with(|config| {
        let storage = match sign_in["stored"].as_bool() {
            Some(true) => Storage::Store,
            _ => Storage::Cookie,
        };
        let mut settings = sign_in["site"].as_object().cloned().unwrap_or_default();
        settings.insert("base_url".to_owned(), SHOP.into());
        let settings = Value::Object(settings).to_string();
        let made = Config::read(&settings, config.keys, config.providers, storage).unwrap();
        assert_eq!(made.keep == Keep::Store, storage == Storage::Store);
        made
    })
}

fn play(sign_in: &Value, subject: &str) {
    let mut world = world(sign_in);
    let callback = format!("{SHOP}{}/callback", world.config.prefix);
    world.provider.twin().register_redirect_uri(&callback);
    let cookies = world.config.name.clone();
    let mut browsers: BTreeMap<String, Browser> = BTreeMap::new();
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for step in sign_in["steps"].as_array().unwrap() {
        let of = |name: &str| step[name].as_str();
        if let Some(place) = of("provider") {
            let target = Browser::provider(&mut world, &last);
            places.insert(format!("{{{place}}}"), target);
            continue;
        }
        if let Some(other) = of("copy") {
            let copy = browsers["ann"].clone();
            browsers.insert(other.to_owned(), copy);
            continue;
        }
        let (verb, target) = ["get", "post", "fetch"]
            .iter()
            .find_map(|verb| Some((*verb, of(verb)?)))
            .expect("a request");
        let target = places.get(target).map_or(target, String::as_str);
        let from = match (of("from"), verb) {
            (Some("elsewhere"), _) => From::Elsewhere,
            (Some("own"), _) | (None, "fetch") => From::Own,
            (None, _) => From::Typed,
            other => panic!("{other:?}"),
        };
        let method = match verb {
            "post" => Method::POST,
            _ => Method::GET,
        };
        let browser = browsers
            .entry(of("as").unwrap_or("ann").to_owned())
            .or_default();
        let mut request = browser.request(&world, method, target, from);
        if verb == "fetch" {
            put(&mut request.headers, "sec-fetch-mode", "cors");
            put(&mut request.headers, "sec-fetch-dest", "empty");
            put(&mut request.headers, "accept", "application/json");
        }
        if verb == "post" {
            put(&mut request.headers, "accept", "application/json");
            put(&mut request.headers, "sec-fetch-mode", "cors");
            put(&mut request.headers, "sec-fetch-dest", "empty");
        }
        if let Some(purpose) = of("purpose") {
            put(&mut request.headers, "sec-purpose", purpose);
        }
        let access = match of("access") {
            Some("open") => Access::Open,
            _ => Access::SignedIn,
        };
        let told = match browser.send(&mut world, request, access) {
            Ended::Reply(reply) => {
                if let Some(location) = reply.headers.get(LOCATION) {
                    location.to_str().unwrap().clone_into(&mut last);
                }
                told(&reply, &cookies)
            }
            Ended::Passed(None) => json!({ "user": false }),
            Ended::Passed(Some(session)) => {
                assert_eq!(session.identity.subject, subject);
                json!({ "user": true })
            }
            Ended::Forwarded(_) => json!({ "forwarded": true }),
        };
        assert_eq!(told, step["then"], "{}: {step}", sign_in["name"]);
    }
}

#[test]
fn whole_sign_ins_are_as_in_every_language() {
    let vectors: Map<String, Value> = serde_json::from_str(VECTORS).unwrap();
    let sign_ins = vectors["sign_ins"].as_array().unwrap();
    assert!(sign_ins.len() >= 11, "{}", sign_ins.len());
    for sign_in in sign_ins {
        play(sign_in, vectors["subject"].as_str().unwrap());
    }
}
