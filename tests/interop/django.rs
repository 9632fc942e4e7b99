//! Starts PyPI's `django-oauth-toolkit` on a loopback port, with the browser of a user who signs in there.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use oauth_core::flow::discovery::{DiscoveryRequest, PreferredDocument};
use oauth_core::flow::redeem::Login;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::Server;
use oauth_core::url::Url;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Moment, Scope, danger, discover_with,
};
use oauth_providers::provider;
use oauth_reqwest::blocking::Driver;
use reqwest::blocking::{Client as Browser, Response};

use crate::browser::browser;
use crate::server_process::ServerProcess;

pub(crate) const CALLBACK: &str = "http://127.0.0.1/callback";

/// A running server; it stops when this is dropped.
pub(crate) struct Django(ServerProcess);

/// The server shared by tests that do not change it. It stops when the test program ends.
pub(crate) fn shared() -> &'static Django {
    static SHARED: LazyLock<Django> = LazyLock::new(Django::start);
    &SHARED
}

impl Django {
    pub(crate) fn start() -> Self {
        let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop/django-oauth-toolkit");
        let mut python = Command::new(place.join(".venv/bin/python"));
        python.args(["-B", "server.py"]).current_dir(place);
        Self(ServerProcess::start(&mut python))
    }

    pub(crate) fn issuer(&self) -> &str {
        self.0.issuer()
    }

    pub(crate) fn client_id(&self, which: &str) -> &str {
        self.0.of_client(which, "client_id")
    }

    pub(crate) fn secret(&self, which: &str) -> &str {
        self.0.of_client(which, "client_secret")
    }

    /// The server's metadata, from the preferred one of its two documents.
    pub(crate) fn discovered(
        &self,
        driver: &Driver,
        prefer: PreferredDocument,
        quirks: &[Quirk],
    ) -> Result<Server, Error> {
        let discovery = DiscoveryRequest::new(danger::loopback_issuer(self.issuer())?);
        let rules = Rules {
            quirks: quirks.to_vec(),
            ..Rules::default()
        };
        let discovery = discovery.prefer(prefer).rules(rules);
        driver.run(discover_with(danger::loopback_discovery(discovery)))
    }

    /// The server with all endpoints, by its preset.
    pub(crate) fn server(&self) -> Result<Server, Error> {
        let base = self.issuer().trim_end_matches("/o");
        let preset = provider("django-oauth-toolkit")?.with("host", "moved.example")?;
        preset.on_loopback(base)?.server()
    }

    /// The client of this name; by Basic, if it has a secret.
    pub(crate) fn client(&self, which: &str) -> Result<Client, Error> {
        self.client_for(self.server()?, which)
    }

    /// The client of this name, for this description of the server.
    pub(crate) fn client_for(&self, server: Server, which: &str) -> Result<Client, Error> {
        let auth = match self.0.info["clients"][which].get("client_secret") {
            None => ClientAuth::none(),
            Some(_) => ClientAuth::basic(self.secret(which)),
        };
        Client::new(server, ClientId::new(self.client_id(which)), auth)
    }

    /// Requests a test-only function of the server.
    pub(crate) fn steer(&self, what: &str) {
        let url = self.issuer().replace("/o", what);
        let done = Browser::new().post(url).send();
        assert!(done.is_ok_and(|reply| reply.status() == 204), "{what}");
    }

    pub(crate) fn person(&self) -> Person {
        let text = |member: &str| self.0.info["person"][member].as_str().expect("a string");
        Person {
            username: text("username").to_owned(),
            password: text("password").to_owned(),
            browser: browser(),
        }
    }
}

/// A user with a browser, who fills in the server's forms and approves.
pub(crate) struct Person {
    username: String,
    password: String,
    browser: Browser,
}

impl Person {
    /// The URL to which the browser leaves the server; or the page, if it has no form.
    pub(crate) fn visit(&self, url: &str) -> Result<String, String> {
        self.visit_with(url, &[])
    }

    /// [`Self::visit`], with more values for the forms.
    pub(crate) fn visit_with(
        &self,
        url: &str,
        form_values: &[(&str, &str)],
    ) -> Result<String, String> {
        let mut reply = self.browser.get(url).send().expect("an answer");
        for _ in 0..5 {
            let status = reply.status();
            if let Some(home) = redirect_target(&reply) {
                return Ok(home);
            }
            let current_url = reply.url().clone();
            let page = reply.text().expect("a page");
            let fields = self.filled_in(&page, form_values);
            if status != 200 || fields.is_empty() {
                return Err(format!("{status}: {page}"));
            }
            let form = serde_urlencoded::to_string(fields).expect("a form");
            let post = self.browser.post(current_url).body(form);
            let post = post.header("content-type", "application/x-www-form-urlencoded");
            reply = post.send().expect("an answer");
        }
        panic!("the forms go round in circles: {url}");
    }

    /// The fields of the form on this page: hidden fields unchanged, including the CSRF token.
    fn filled_in(&self, page: &str, form_values: &[(&str, &str)]) -> Vec<(String, String)> {
        let Some((_, form)) = page.split_once("<form") else {
            return Vec::new();
        };
        let default_values = [
            ("username", self.username.as_str()),
            ("password", self.password.as_str()),
            ("allow", "yes"),
            ("action", "accept"),
        ];
        let form_value = |name: &str| {
            let mut candidates = form_values.iter().chain(&default_values);
            candidates.find(|(known, _)| *known == name)
        };
        let tags = form.split('<').filter_map(|tag| {
            let tag = tag.split('>').next().unwrap_or_default();
            (tag.starts_with("input ") || tag.starts_with("button ")).then_some(tag)
        });
        let mut fields: Vec<(String, String)> = Vec::new();
        for tag in tags {
            let Some(name) = attribute(tag, "name") else {
                continue;
            };
            let value = match form_value(&name) {
                Some((_, value)) => (*value).to_owned(),
                None if attribute(tag, "type").as_deref() == Some("hidden") => {
                    attribute(tag, "value").unwrap_or_default()
                }
                None => continue,
            };
            // If two buttons have one name, the user presses one.
            if fields.iter().all(|(key, _)| *key != name) {
                fields.push((name, value));
            }
        }
        fields
    }

    /// Signs in, with these additional parameters.
    pub(crate) fn sign_in(
        &self,
        driver: &Driver,
        client: &Client,
        scope: &str,
        extra: &[(&str, &str)],
    ) -> Result<Login, Error> {
        let (url, pending) = client.authorize(
            &Moment::system()?,
            extra
                .iter()
                .fold(authorization_request(scope), |ask, (name, value)| {
                    ask.extra(*name, *value)
                }),
        )?;
        let home = self.visit(url.as_str()).expect("a callback");
        driver.run(client.redeem(pending, &home)?)
    }
}

/// A login that returns to the registered redirect URI.
pub(crate) fn authorization_request(scope: &str) -> AuthorizationRequest {
    let home = RedirectUri::parse(CALLBACK).expect("a URI");
    AuthorizationRequest::new(home).scope(Scope::parse(scope).expect("a scope"))
}

/// The target of a redirect that the browser did not follow.
fn redirect_target(reply: &Response) -> Option<String> {
    let location = reply.headers().get("location")?;
    let location = location.to_str().expect("a URL");
    Url::parse(location).expect("an absolute URL");
    Some(location.to_owned())
}

/// An attribute of a tag, with its references replaced.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    let value = value.split('"').next()?;
    let plain = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
    ];
    let value = plain.iter().fold(value.to_owned(), |value, (from, to)| {
        value.replace(from, to)
    });
    Some(value.replace("&amp;", "&"))
}
