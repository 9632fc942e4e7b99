//! Complete sign-ins that every language runs: the files of `tests/vectors/web`.

use std::collections::BTreeMap;

use http::Method;
use http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use oauth_core::form;
use oauth_web::{Access, Config, PageRequirements, ProviderSettings, Reply, Storage};
use serde_json::{Value, json};

use crate::callbacks::{pairs, posted};
use crate::world::{Browser, Ended, From, SHOP, TWIN, World, form as put_form, put};

/// The files with sign-ins.
const FILES: [&str; 5] = ["sign_ins", "pages", "cookies", "security", "complaints"];

pub(crate) fn read(name: &str) -> Value {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/web");
    let text = std::fs::read_to_string(format!("{root}/{name}.json"));
    let text = text.unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn sign_ins() -> Vec<Value> {
    let files = FILES.iter();
    files
        .flat_map(|name| read(name)["sign_ins"].as_array().unwrap().clone())
        .collect()
}

/// The kind of a cookie of the site, by its name.
fn kind(cookie: &str, name: &str) -> String {
    let rest = cookie.strip_prefix(&format!("__Host-Http-{name}"));
    let rest = rest.unwrap_or_else(|| panic!("{cookie} is no cookie of the site"));
    rest.split('-').nth(1).unwrap_or("session").to_owned()
}

/// A cookie by its kind, whether it is set or deleted, and its lifetime.
fn describe_cookie(field: &str, name: &str) -> (String, String) {
    let (pair, attributes) = field.split_once("; ").expect("attributes");
    let attributes: Vec<_> = attributes.split("; ").collect();
    for expected in ["Secure", "HttpOnly", "Path=/"] {
        assert!(attributes.contains(&expected), "{field}");
    }
    let has_domain = attributes.iter().any(|one| one.starts_with("Domain"));
    assert!(!has_domain, "{field}");
    let kind = kind(pair.split('=').next().unwrap_or_default(), name);
    let attribute = |name: &str| attributes.iter().find_map(|one| one.strip_prefix(name));
    let seconds = attribute("Max-Age=").expect("Max-Age");
    let description = match seconds {
        "0" => format!("{kind} ended"),
        _ => format!("{kind} {}", attribute("SameSite=").expect("SameSite")),
    };
    (description, format!("{kind} {seconds}"))
}

/// The target of a response, in the notation of the vectors.
fn describe_target(location: &str) -> String {
    match location.strip_prefix(TWIN) {
        Some(rest) => format!("provider {}", rest.split('?').next().unwrap_or_default()),
        None => location.strip_prefix(SHOP).unwrap_or(location).to_owned(),
    }
}

/// Whether a parameter is as expected: of this value, present (`true`), or absent (`null`).
fn is_sent(expected: &Value, sent: Option<&str>) -> bool {
    match expected {
        Value::Null => sent.is_none(),
        Value::Bool(_) => sent.is_some_and(|sent| !sent.is_empty()),
        expected => sent == expected.as_str(),
    }
}

/// A response without its random parts, and only the members that the vector checks.
fn describe_reply(reply: &Reply, name: &str, then: &Value) -> Value {
    let mut description = json!({ "status": reply.status.as_u16() });
    let location = reply.headers.get(LOCATION);
    let location = location.map(|location| location.to_str().unwrap());
    if let Some(location) = location {
        description["location"] = describe_target(location).into();
    }
    let content = reply.headers.get(CONTENT_TYPE);
    let content = content.map(|content| content.to_str().unwrap());
    if content == Some("application/problem+json") {
        let problem: Value = serde_json::from_str(&reply.body).unwrap();
        description["code"] = problem["code"].clone();
    }
    let cookies_set = reply.headers.get_all(SET_COOKIE).iter();
    let cookies_set = cookies_set.map(|field| describe_cookie(field.to_str().unwrap(), name));
    let (mut cookies, mut lives): (Vec<_>, Vec<_>) = cookies_set.unzip();
    cookies.sort();
    lives.sort();
    if !cookies.is_empty() {
        description["cookies"] = cookies.into();
    }
    if then.get("lives").is_some() {
        description["lives"] = lives.into();
    }
    if let Some(shows) = then["shows"]
        .as_str()
        .filter(|text| reply.body.contains(text))
    {
        description["shows"] = shows.into();
    }
    if let Some(fields) = then["fields"].as_object() {
        let header_value = |name: &String| reply.headers.get(name)?.to_str().ok();
        let fields = fields.keys().map(|name| {
            let value = header_value(name).map(|value| value.replace(TWIN, "provider"));
            (name.clone(), Value::from(value))
        });
        description["fields"] = Value::Object(fields.collect());
    }
    if then.get("json").is_some() {
        let mut body: Value = serde_json::from_str(&reply.body).unwrap();
        body.as_object_mut().unwrap().remove("until");
        description["json"] = body;
    }
    if let Some(sends) = then["sends"].as_object() {
        let query = location.and_then(|location| location.split_once('?'));
        let query = form::parse(query.expect("a query").1).unwrap();
        let sent = |name: &str| query.iter().find(|(known, _)| known == name);
        let matching = sends.iter().filter(|(name, expected)| {
            is_sent(expected, sent(name).map(|(_, value)| value.as_ref()))
        });
        let matching = matching.map(|(name, expected)| (name.clone(), expected.clone()));
        description["sends"] = Value::Object(matching.collect());
    }
    description
}

fn world(sign_in: &Value) -> World {
    let mut world = World::with(|config| {
        let storage = match sign_in["stored"].as_bool() {
            Some(true) => Storage::Store,
            _ => Storage::Cookie,
        };
        let mut settings = sign_in["site"].as_object().cloned().unwrap_or_default();
        settings.insert("base_url".to_owned(), SHOP.into());
        let settings = Value::Object(settings).to_string();
        let settings = settings.replace("{provider}", TWIN);
        let one = config.providers[0].clone();
        let providers = sign_in["providers"].as_array().cloned().unwrap_or_default();
        let providers = providers.into_iter().map(|given| {
            let text_setting = |name: &str| given[name].as_str().map(str::to_owned);
            let given = ProviderSettings {
                id: text_setting("id").unwrap(),
                scope: text_setting("scope").or_else(|| Some(one.scope.as_str().to_owned())),
                response_mode: text_setting("response_mode"),
                tenant: text_setting("tenant"),
                userinfo: text_setting("userinfo"),
                logout_max_age_without_expiry: given["logout_max_age_without_expiry"].as_f64(),
                ..ProviderSettings::default()
            };
            given.provider(one.client.clone()).unwrap()
        });
        let mut providers: Vec<_> = providers.collect();
        if providers.is_empty() {
            providers = config.providers.clone();
        }
        Config::read(&settings, config.keys, providers, storage).unwrap()
    });
    let callback = format!("{SHOP}{}/callback", world.config.prefix);
    let ids: Vec<_> = world
        .config
        .providers
        .iter()
        .map(|one| one.id.clone())
        .collect();
    let twin = world.provider.twin();
    twin.register_redirect_uri(&callback);
    for id in ids {
        twin.register_redirect_uri(&format!("{callback}/{id}"));
    }
    world
}

/// A string with the values of earlier steps filled in.
fn fill_template(text: &str, places: &BTreeMap<String, String>) -> String {
    let mut filled = text.to_owned();
    for (name, value) in places {
        filled = filled.replace(name, value);
    }
    filled
}

struct Play<'a> {
    world: World,
    name: String,
    subject: &'a str,
    browsers: BTreeMap<String, Browser>,
    /// The values of the placeholders: of `{name}` a target, of `{name?}` its query.
    placeholders: BTreeMap<String, String>,
    last: String,
}

impl Play<'_> {
    fn browser(&mut self, step: &Value) -> &mut Browser {
        let browser_name = step["as"].as_str().unwrap_or("ann").to_owned();
        self.browsers.entry(browser_name).or_default()
    }

    fn set_placeholder(&mut self, name: &str, target: &str) {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        self.placeholders
            .insert(format!("{{{name}?}}"), format!("?{query}"));
        self.placeholders
            .insert(format!("{{{name}}}"), target.to_owned());
    }

    /// Runs a step that happens outside the site's pages; returns whether it was one.
    fn run_outside_site(&mut self, step: &Value) -> bool {
        let text_member = |name: &str| step[name].as_str();
        if let Some(place) = text_member("provider") {
            let posts = self.last.contains("response_mode=form_post");
            let target = if posts {
                let fields = posted(&mut self.world, &self.last);
                let mut form = form::Form::new();
                for (name, value) in pairs(&fields) {
                    form.push(name, value);
                }
                form.as_str().to_owned()
            } else {
                Browser::provider(&mut self.world, &self.last)
            };
            self.set_placeholder(place, &target);
        } else if let Some(other) = text_member("copy") {
            let copy = self.browsers["ann"].clone();
            self.browsers.insert(other.to_owned(), copy);
        } else if let Some(claim) = text_member("claim") {
            let value = match (step["length"].as_u64(), step["value"].as_str()) {
                (Some(length), Some(text)) => text.repeat(usize::try_from(length).unwrap()).into(),
                _ => step["value"].clone(),
            };
            self.world.provider.twin().set_claim(claim, value);
        } else if step["deny"] == true {
            self.world.provider.twin().deny_next();
        } else if let Some(place) = text_member("logout_token") {
            let now = self.world.provider.now();
            let flaw = serde_json::from_value(step["flaw"].clone()).unwrap();
            let token = self.world.provider.twin().logout_token(now, flaw).unwrap();
            self.set_placeholder(place, &token);
        } else if let Some(dropped) = text_member("drop") {
            self.browser(step)
                .cookies
                .retain(|cookie| cookie.name != dropped);
        } else if let Some(from) = text_member("rename") {
            let mut cookies = self.browser(step).cookies.iter_mut();
            let cookie = cookies.find(|cookie| {
                if from.ends_with('-') {
                    cookie.name.starts_with(from)
                } else {
                    cookie.name == from
                }
            });
            let cookie = cookie.expect("the cookie to rename");
            text_member("to").unwrap().clone_into(&mut cookie.name);
            cookie.value = format!(
                "{}{}",
                text_member("before").unwrap_or_default(),
                cookie.value
            );
        } else if let Some(jar) = step["jar"].as_array() {
            let name = self.name.clone();
            let cookies = self.browser(step).cookies.iter();
            let mut held: Vec<_> = cookies.map(|cookie| kind(&cookie.name, &name)).collect();
            held.sort();
            assert_eq!(Value::from(held), Value::from(jar.clone()), "{step}");
        } else {
            return false;
        }
        true
    }

    fn request(&mut self, step: &Value, verb: &str) -> oauth_web::Request {
        let target = fill_template(step[verb].as_str().unwrap(), &self.placeholders);
        let from = match step["from"].as_str() {
            Some("elsewhere") => From::Elsewhere,
            Some("own" | "sibling") => From::Own,
            None if verb == "fetch" => From::Own,
            None => From::Typed,
            other => panic!("{other:?}"),
        };
        let is_safe = verb == "get" || verb == "fetch" && step.get("method").is_none();
        // A `Lax` cookie is sent from other sites only with top-level navigations.
        let like = match (is_safe, verb, from) {
            (false, ..) | (_, "fetch", From::Elsewhere) => Method::POST,
            _ => Method::GET,
        };
        let (world, browser) = (
            &self.world,
            self.browsers
                .entry(step["as"].as_str().unwrap_or("ann").to_owned())
                .or_default(),
        );
        let mut request = browser.request(world, like, &target, from);
        request.method = match (step["method"].as_str(), verb) {
            (Some(method), _) => Method::from_bytes(method.as_bytes()).unwrap(),
            (None, "post" | "submit") => Method::POST,
            _ => Method::GET,
        };
        if is_safe {
            request.headers.remove("origin");
        }
        if verb == "fetch" || verb == "post" {
            put(&mut request.headers, "accept", "application/json");
            put(&mut request.headers, "sec-fetch-mode", "cors");
            put(&mut request.headers, "sec-fetch-dest", "empty");
        }
        if step["from"] == "sibling" {
            put(&mut request.headers, "sec-fetch-site", "same-site");
            if !is_safe {
                put(&mut request.headers, "origin", "https://evil.shop.example");
            }
        }
        if let Some(purpose) = step["purpose"].as_str() {
            put(&mut request.headers, "sec-purpose", purpose);
        }
        for (name, value) in step["headers"].as_object().into_iter().flatten() {
            match value.as_str() {
                Some(value) => put(&mut request.headers, name, value),
                None => drop(request.headers.remove(name)),
            }
        }
        if let Some(first) = step["also"].as_str() {
            let jar = request
                .headers
                .get("cookie")
                .map(|jar| jar.to_str().unwrap());
            let line = jar.map_or_else(|| first.to_owned(), |jar| format!("{first}; {jar}"));
            put(&mut request.headers, "cookie", &line);
        }
        if let Some(host) = step["host"].as_str() {
            host.clone_into(&mut request.host);
        }
        if let Some(given) = step.get("form") {
            put(
                &mut request.headers,
                "content-type",
                "application/x-www-form-urlencoded",
            );
            let text = fill_template(given.as_str().unwrap(), &self.placeholders);
            let fields = form::parse(&text).unwrap();
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name.as_ref(), value.as_ref()))
                .collect();
            put_form(&mut request, &fields);
        }
        request
    }

    fn step(&mut self, step: &Value) -> Value {
        let verbs = ["get", "post", "fetch", "submit"];
        let verb = verbs.iter().find(|verb| step.get(**verb).is_some());
        let request = self.request(step, verb.expect("a request"));
        let access = match step["access"].as_str() {
            Some("open") => Access::Open,
            Some("silent") => Access::Silent,
            _ => Access::SignedIn,
        };
        let need = step.get("need").map(|need| {
            let mut expected = PageRequirements::default();
            let acr = need["acr"].as_array().into_iter().flatten();
            expected.acr = acr.map(|acr| acr.as_str().unwrap().to_owned()).collect();
            expected.max_age = need["max_age"].as_u64();
            expected
        });
        let mut browser = std::mem::take(self.browser(step));
        let ended = browser.send_needing(&mut self.world, request, access, need);
        *self.browser(step) = browser;
        match ended {
            Ended::Reply(reply) => {
                if let Some(location) = reply.headers.get(LOCATION) {
                    location.to_str().unwrap().clone_into(&mut self.last);
                }
                describe_reply(&reply, &self.name, &step["then"])
            }
            Ended::Passed(None) => json!({ "user": false }),
            Ended::Passed(Some(session)) => {
                assert_eq!(session.identity.subject, self.subject);
                json!({ "user": true })
            }
            Ended::Forwarded(forward) => {
                let names = forward.headers.keys();
                assert!(
                    !names
                        .into_iter()
                        .any(|name| name == "cookie" || name == "authorization")
                );
                let url = forward.url.as_str();
                json!({ "forwarded": url.strip_prefix(TWIN).expect("the API") })
            }
        }
    }
}

/// Runs one vector; returns the differences.
fn play(sign_in: &Value, subject: &str) -> Option<String> {
    let world = world(sign_in);
    let mut issuer = String::new();
    form::encode(TWIN, &mut issuer);
    let mut play = Play {
        name: world.config.name.clone(),
        world,
        subject,
        browsers: BTreeMap::new(),
        placeholders: BTreeMap::from([("{issuer}".to_owned(), issuer)]),
        last: String::new(),
    };
    for step in sign_in["steps"].as_array().unwrap() {
        if play.run_outside_site(step) {
            continue;
        }
        let actual = play.step(step);
        if actual != step["then"] {
            return Some(format!("{}: {step}: {actual}", sign_in["name"]));
        }
    }
    None
}

#[test]
fn sign_in_vectors_give_the_same_result_as_in_every_language() {
    let subject = read("sign_ins")["subject"].clone();
    let sign_ins = sign_ins();
    assert!(sign_ins.len() >= 44, "{}", sign_ins.len());
    let played = sign_ins.iter();
    let wrong: Vec<_> = played
        .filter_map(|sign_in| play(sign_in, subject.as_str().unwrap()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
