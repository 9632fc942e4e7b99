//! A provider as its preset describes it, and the twin that simulates it, at the provider's own URLs.

use bytes::Bytes;
use http::{Request, Response};
use oauth_core::client_auth::SignedSecret;
use oauth_core::crypto::Signer as _;
use oauth_core::flow::authorization::ResponseMode;
use oauth_core::flow::redeem::Login;
use oauth_core::grant::{Refresh, TokenRequest};
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_core::quirk::{Rules, Strictness};
use oauth_core::token::RefreshToken;
use oauth_core::{Client, ClientAuth, ClientId, Error, Exchange, Input, Moment, Scope, Step};
use oauth_crypto::PrivateKey;
use oauth_providers::{Provider, provider};
use oauth_testkit::Twin;
use serde_json::Value;

use crate::party::{CALLBACK, NOW, authorization_request};

pub(crate) const ID: &str = "twin-client";

/// A client of the preset, and its provider.
pub(crate) struct Scene {
    pub(crate) twin: Twin,
    pub(crate) client: Client,
    now: u64,
    drawn: u8,
}

fn preset(name: &str, options: &[&str]) -> Provider {
    let of = provider(name).expect("a preset");
    let variables: &[(&str, &str)] = match name {
        "microsoft-entra" => &[("tenant", "common")],
        "microsoft-entra-b2c" => &[
            ("host", "contoso.b2clogin.com"),
            ("tenant_id", "775527ff-9a37-4307-8b3d-cc311f58d925"),
            ("policy", "b2c_1_sign_in"),
        ],
        "okta" => &[("host", "example.okta.com")],
        "auth0" => &[("host", "example.eu.auth0.com")],
        "keycloak" => &[("host", "sso.example.com"), ("realm", "staff")],
        "cognito" => &[
            ("region", "eu-central-1"),
            ("user_pool_id", "eu-central-1_EXAMPLE12"),
            ("domain", "acme.auth.eu-central-1.amazoncognito.com"),
        ],
        _ => &[],
    };
    let of = variables
        .iter()
        .try_fold(of, |of, (name, value)| of.with(name, value));
    let of = options
        .iter()
        .try_fold(of.expect("its variables"), |of, name| of.option(name));
    of.expect("its options")
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        Self::with_options(name, &[])
    }

    pub(crate) fn with_options(name: &str, options: &[&str]) -> Self {
        let provider = preset(name, options);
        let server = provider.server().expect("a server");
        let mut metadata = Value::Object(server.metadata().clone());
        metadata["issuer"] = server.issuer().as_str().into();
        for kind in oauth_core::server::EndpointKind::ALL {
            if let Ok(url) = server.endpoint(*kind) {
                metadata[kind.member()] = url.as_str().into();
            }
        }
        let twin = Twin::personality(name, &metadata).expect("a personality");
        let secret = twin.client_secret().to_owned();
        let client = match name {
            "apple" => {
                let auth =
                    ClientAuth::signed_secret(SignedSecret::apple("TEAM123456", "KEY1234567"));
                Client::new(server, ClientId::new(ID), auth)
            }
            _ => provider.client(ClientId::new(ID), Some(secret.into())),
        };
        Self {
            twin,
            client: client.expect("a client"),
            now: NOW,
            drawn: 0,
        }
    }

    /// Without the preset's rules for its provider.
    pub(crate) fn by_the_standards(name: &str) -> Self {
        Self::with_rules(name, Rules::default())
    }

    pub(crate) fn to_the_letter(name: &str) -> Self {
        let strictness = Strictness::Strict;
        let quirks = Scene::new(name).client.server().rules().quirks.clone();
        Self::with_rules(name, Rules { strictness, quirks })
    }

    pub(crate) fn with_rules(name: &str, rules: Rules) -> Self {
        let scene = Self::new(name);
        let server = scene.client.server().clone().with_rules(rules);
        let auth = scene.client.auth().clone();
        let client = Client::new(server, ClientId::new(ID), auth).expect("a client");
        Self { client, ..scene }
    }

    pub(crate) fn moment(&mut self) -> Moment {
        self.drawn += 1;
        Moment::fixed(UnixTime::from_secs(self.now), [self.drawn; 32])
    }

    pub(crate) fn run<E: Exchange>(&mut self, mut exchange: E) -> Result<E::Output, Error> {
        let mut input = Input::Begin;
        loop {
            let moment = self.moment();
            input = match exchange.resume(&moment, input)? {
                Step::Done(output) => return Ok(output),
                Step::Send(request) => Input::Reply(self.twin.answer(&moment, request)),
                Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
                Step::Sign(job) => {
                    let key = PrivateKey::from_jwk(Twin::fapi(CALLBACK).client_key(), Alg::Es256);
                    let signature = key.expect("a key").sign(&job.signing_input);
                    Input::Signed(signature.expect("a signature"))
                }
                Step::Sleep(_) => Input::Elapsed,
            };
        }
    }

    pub(crate) fn get(&mut self, url: &str) -> Response<Bytes> {
        let moment = self.moment();
        let request = Request::get(url).body(Bytes::new()).expect("a URL");
        self.twin.answer(&moment, request)
    }

    /// The authorization response: the callback URL, or the posted form.
    pub(crate) fn authorized(
        &mut self,
        scope: &str,
        mode: ResponseMode,
    ) -> (oauth_core::PendingAuthorization, String) {
        let mut request = authorization_request(scope);
        request.response_mode = mode;
        let moment = self.moment();
        let (url, pending) = self.client.authorize(&moment, request).expect("a URL");
        let reply = self.get(url.as_str());
        let callback = match reply.headers().get("location") {
            Some(url) => url.to_str().expect("a URL").to_owned(),
            None => posted(&String::from_utf8_lossy(reply.body())),
        };
        (pending, callback)
    }

    pub(crate) fn sign_in(
        &mut self,
        scope: &str,
        mode: ResponseMode,
    ) -> Result<Login, &'static str> {
        let (pending, callback) = self.authorized(scope, mode);
        let login = self.client.redeem(pending, &callback);
        let login = login.and_then(|exchange| self.run(exchange));
        login.map_err(|error| error.code())
    }

    pub(crate) fn by_query(&mut self, scope: &str) -> Result<Login, &'static str> {
        self.sign_in(scope, ResponseMode::Query)
    }

    /// The result of a sign-in whose response is in the query.
    pub(crate) fn outcome(&mut self, scope: &str) -> Result<(), &'static str> {
        self.by_query(scope)
            .map(|login| assert!(login.id_token.is_some()))
    }

    /// One second later.
    pub(crate) fn renewed(
        &mut self,
        login: &Login,
        scope: Option<&str>,
    ) -> Result<(), &'static str> {
        self.now += 1;
        let token = login
            .tokens
            .refresh_token
            .as_ref()
            .expect("a refresh token");
        self.renewed_with(token, scope)
    }

    pub(crate) fn renewed_with(
        &mut self,
        token: &RefreshToken,
        scope: Option<&str>,
    ) -> Result<(), &'static str> {
        let request = match scope {
            Some(scope) => TokenRequest::new().scope(Scope::parse(scope).expect("a scope")),
            None => TokenRequest::new(),
        };
        let exchange = self.client.token(Refresh::new(token.clone()), request);
        self.run(exchange).map(drop).map_err(|error| error.code())
    }

    pub(crate) fn userinfo(&mut self, login: Login) -> Result<(), &'static str> {
        let subject = login
            .id_token
            .expect("openid was asked for")
            .subject()
            .to_owned();
        let tokens = std::sync::Arc::new(login.tokens);
        let exchange = self.client.userinfo(tokens, subject);
        self.run(exchange).map(drop).map_err(|error| error.code())
    }

    /// The twin's last request at this path.
    pub(crate) fn last_request(&self, path: &str) -> &oauth_testkit::twin::Entry {
        let entry = self
            .twin
            .log()
            .iter()
            .rfind(|entry| entry.path.ends_with(path));
        entry.unwrap_or_else(|| panic!("{path}"))
    }
}

fn posted(page: &str) -> String {
    let fields = page.split("name=\"").skip(1).map(|rest| {
        let (name, rest) = rest.split_once("\" value=\"").expect("a field");
        (name, rest.split('"').next().unwrap_or_default())
    });
    serde_urlencoded::to_string(fields.collect::<Vec<_>>()).expect("a form")
}
