//! A plain HTTP client without code of this project, which shows the servers' actual behaviour.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::blocking::{Client as Http, RequestBuilder, Response};
use reqwest::header::{LOCATION, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::servers::Server;
use crate::session::Session;

pub(crate) const VERIFIER: &str = "a-code-verifier-of-forty-three-characters--";
const CALLBACK: &str = "http://127.0.0.1/callback";

/// A status, and the body as JSON; null where it is none.
pub(crate) type Said = (u16, Value);

/// A status, and the parameters of the challenge beside it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) params: BTreeMap<String, String>,
}

impl Refused {
    pub(crate) fn read(reply: &Response) -> Self {
        let challenge = reply.headers().get(WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|value| value.to_str().ok());
        let params = challenge.and_then(|text| text.strip_prefix("Bearer "));
        // None of these servers has a comma or a quote within a value.
        let param = |text: &str| {
            let (name, value) = text.trim().split_once('=')?;
            Some((name.to_owned(), value.trim_matches('"').to_owned()))
        };
        let params = params.unwrap_or_default().split(',').filter_map(param);
        Self {
            status: reply.status().as_u16(),
            params: params.collect(),
        }
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// The names of its scope, sorted.
    pub(crate) fn scope(&self) -> Vec<&str> {
        let scope = self.param("scope").unwrap_or_default();
        let mut names: Vec<_> = scope.split_whitespace().collect();
        names.sort_unstable();
        names
    }
}

/// A member of an object that is a string.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    let member = object[name].as_str();
    member.unwrap_or_else(|| panic!("no {name} in {object}"))
}

pub(crate) fn http() -> Http {
    let builder = Http::builder().redirect(Policy::none()).no_proxy();
    builder.build().expect("a client")
}

fn send(request: RequestBuilder) -> Said {
    let reply = request.send().expect("a reply");
    let status = reply.status().as_u16();
    let body = reply.text().expect("a string");
    (status, serde_json::from_str(&body).unwrap_or_default())
}

fn read(url: &str) -> Value {
    let (status, document) = send(http().get(url));
    assert_eq!(status, 200, "{url}");
    document
}

/// A registered client, and the metadata of its servers.
pub(crate) struct Client<'a> {
    server: &'a Server,
    /// Protected resource metadata (RFC 9728).
    pub(crate) resource: Value,
    /// Authorization server metadata (RFC 8414).
    pub(crate) metadata: Value,
    pub(crate) id: String,
    pub(crate) callback: String,
}

impl<'a> Client<'a> {
    /// Fetches the metadata after a refused call, and registers.
    pub(crate) fn register(server: &'a Server) -> Self {
        Self::register_as(server, json!({ "token_endpoint_auth_method": "none" })).0
    }

    /// [`Self::register`] with this additional metadata; also returns the response.
    pub(crate) fn register_as(server: &'a Server, more: Value) -> (Self, Value) {
        let refused = Session::begin(server, None).expect_err("a refusal");
        let place = refused.param("resource_metadata").expect("a place");
        let resource = read(place);
        let issuer = resource["authorization_servers"][0].as_str();
        let issuer = issuer.expect("an issuer").trim_end_matches('/');
        let metadata = read(&format!("{issuer}/.well-known/oauth-authorization-server"));
        let mut body = json!({
            "client_name": "A test",
            "redirect_uris": [CALLBACK],
            "application_type": "native",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let request = http().post(text(&metadata, "registration_endpoint"));
        let request = request.header("content-type", "application/json");
        let (status, registered) = send(request.body(body.to_string()));
        assert_eq!(status, 201, "{registered}");
        let client = Self {
            server,
            resource,
            metadata,
            id: text(&registered, "client_id").to_owned(),
            callback: CALLBACK.to_owned(),
        };
        (client, registered)
    }

    /// The response of the authorization endpoint.
    pub(crate) fn authorize(&self, scope: Option<&str>, resource: &str) -> Response {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", &self.callback),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", "a-state"),
            ("resource", resource),
        ];
        query.extend(scope.map(|scope| ("scope", scope)));
        let place = text(&self.metadata, "authorization_endpoint");
        let url = Url::parse_with_params(place, query).expect("a URL");
        http().get(url).send().expect("a reply")
    }

    /// The code in the callback, whose state and issuer are checked.
    pub(crate) fn code(&self, scope: Option<&str>, resource: &str) -> String {
        let reply = self.authorize(scope, resource);
        assert_eq!(reply.status(), 302);
        let home = reply.headers()[LOCATION].to_str().expect("a URL");
        assert!(home.starts_with(&format!("{CALLBACK}?")), "{home}");
        let home = Url::parse(home).expect("a URL");
        let query: BTreeMap<_, _> = home.query_pairs().into_owned().collect();
        assert_eq!(query["state"], "a-state");
        assert_eq!(query["iss"], text(&self.metadata, "issuer"));
        query["code"].clone()
    }

    /// The response of the token endpoint.
    fn token(&self, more: &[(&str, &str)]) -> Said {
        let mut form = vec![("client_id", self.id.as_str())];
        form.extend(more);
        self.post("token_endpoint", &form)
    }

    /// Posts a form to an endpoint.
    pub(crate) fn post(&self, endpoint: &str, form: &[(&str, &str)]) -> Said {
        let form = serde_urlencoded::to_string(form).expect("a form");
        send(self.posting(endpoint).body(form))
    }

    fn posting(&self, endpoint: &str) -> RequestBuilder {
        let request = http().post(text(&self.metadata, endpoint));
        request.header("content-type", "application/x-www-form-urlencoded")
    }

    fn redemption<'b>(&'b self, code: &'b str, verifier: &'b str) -> [(&'b str, &'b str); 5] {
        [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", &self.callback),
            ("resource", self.server.url()),
        ]
    }

    pub(crate) fn redeem(&self, code: &str, verifier: &str) -> Said {
        self.token(&self.redemption(code, verifier))
    }

    /// With the client's name and secret in the header alone (RFC 6749 section 2.3.1): the status, and whether the
    /// answer has a challenge.
    pub(crate) fn redeem_by_basic(&self, code: &str, verifier: &str, secret: &str) -> (u16, bool) {
        let form = serde_urlencoded::to_string(self.redemption(code, verifier)).expect("a form");
        // Neither contains a character that needs encoding.
        let request = self.posting("token_endpoint").body(form);
        let reply = request
            .basic_auth(&self.id, Some(secret))
            .send()
            .expect("a reply");
        let has_challenge = reply.headers().contains_key(WWW_AUTHENTICATE);
        (reply.status().as_u16(), has_challenge)
    }

    pub(crate) fn refresh(&self, tokens: &Value) -> Said {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", text(tokens, "refresh_token")),
            ("resource", self.server.url()),
        ])
    }

    /// The tokens of a user, who always approves.
    pub(crate) fn login(&self, scope: Option<&str>) -> Value {
        let code = self.code(scope, self.server.url());
        let (status, tokens) = self.redeem(&code, VERIFIER);
        assert_eq!(status, 200, "{tokens}");
        tokens
    }
}
