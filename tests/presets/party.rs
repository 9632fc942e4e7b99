//! A client of a preset, with prepared replies in place of its provider. No socket is opened: the
//! URLs are the provider's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use oauth_core::crypto::Signer as _;
use oauth_core::flow::authorization::PendingAuthorization;
use oauth_core::flow::redeem::Login;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::EndpointKind;
use oauth_core::{
    AuthorizationRequest, Client, ClientId, Error, Exchange, Input, Moment, Scope, Secret, Step,
};
use oauth_crypto::PrivateKey;
use oauth_providers::Provider;
use serde_json::{Value, json};

pub(crate) const NOW: u64 = 1_750_000_000;
pub(crate) const CLIENT: &str = "client-1";
/// As long as LINE's channel secrets are: HS256 requires 32 bytes.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const CALLBACK: &str = "https://app.example/callback";

pub(crate) fn now() -> Moment {
    Moment::fixed(UnixTime::from_secs(NOW), [7; 32])
}

pub(crate) fn authorization_request(scope: &str) -> AuthorizationRequest {
    let redirect_uri = RedirectUri::parse(CALLBACK).expect("a redirect URI");
    AuthorizationRequest::new(redirect_uri).scope(Scope::parse(scope).expect("a scope"))
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn pairs(form: &str) -> Vec<(String, String)> {
    serde_urlencoded::from_str(form).expect("a form")
}

/// The value of a parameter in a form or a query.
pub(crate) fn parameter(form: &str, name: &str) -> Option<String> {
    let found = pairs(form).into_iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value)
}

/// The client, and the key that the provider signs with.
pub(crate) struct Party {
    pub(crate) client: Client,
    pub(crate) key: PrivateKey,
}

/// A started authorization: the request, and the pending flow.
pub(crate) struct StartedAuthorization {
    pub(crate) query: String,
    pub(crate) pending: PendingAuthorization,
}

impl StartedAuthorization {
    pub(crate) fn query_parameter(&self, name: &str) -> Option<String> {
        parameter(&self.query, name)
    }

    /// The URL to which the user returns.
    pub(crate) fn callback(&self) -> String {
        let state = self.query_parameter("state").expect("a state");
        format!("{CALLBACK}?code=c0de&state={state}")
    }
}

impl Party {
    /// A client with a secret, where the provider signs with this algorithm.
    pub(crate) fn new(provider: &Provider, alg: Alg) -> Self {
        let client = provider.client(ClientId::new(CLIENT), Some(Secret::from(SECRET)));
        Self::of(client.expect("a client"), alg)
    }

    pub(crate) fn of(client: Client, alg: Alg) -> Self {
        let key = PrivateKey::generate(alg).expect("a key");
        Self { client, key }
    }

    pub(crate) fn begin(&self, request: AuthorizationRequest) -> StartedAuthorization {
        let (url, pending) = self.client.authorize(&now(), request).expect("a URL");
        let endpoint = self.client.server().endpoint(EndpointKind::Authorization);
        let endpoint = endpoint.expect("an endpoint").as_str();
        let query = url
            .as_str()
            .strip_prefix(&format!("{endpoint}?"))
            .expect("it is asked there")
            .to_owned();
        StartedAuthorization { query, pending }
    }

    /// The claims of an ID token of this login, by the standard.
    pub(crate) fn claims(&self, authorization: &StartedAuthorization) -> Value {
        json!({
            "iss": self.client.server().issuer().as_str(), "sub": "person-1", "aud": CLIENT,
            "iat": NOW, "exp": NOW + 600, "nonce": authorization.query_parameter("nonce"),
        })
    }

    /// These claims, signed with the provider's key.
    pub(crate) fn signed(&self, claims: &Value) -> String {
        self.signed_as(
            &json!({ "typ": "JWT", "alg": self.key.alg().as_str(), "kid": "k" }),
            claims,
        )
    }

    pub(crate) fn signed_as(&self, header: &Value, claims: &Value) -> String {
        let input = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(input.as_bytes()).expect("a signature");
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Redeems the code, with this response of the token endpoint.
    pub(crate) fn redeem(&self, authorization: StartedAuthorization, reply: &Value) -> Outcome {
        let callback = authorization.callback();
        self.redeem_at(authorization, &callback, reply)
    }

    pub(crate) fn redeem_at(
        &self,
        authorization: StartedAuthorization,
        callback: &str,
        reply: &Value,
    ) -> Outcome {
        let exchange = self.client.redeem(authorization.pending, callback);
        self.run(exchange.expect("a callback of this flow"), reply)
    }

    /// Runs an exchange that gets the keys at the preset's URL, and this reply to all other requests.
    pub(crate) fn run<E: Exchange>(&self, mut exchange: E, reply: &Value) -> Outcome<E::Output> {
        let keys = self.client.server().endpoint(EndpointKind::Jwks);
        let keys = keys.expect("an endpoint").as_str().to_owned();
        let (mut sent, mut input) = (Vec::new(), Input::Begin);
        let result = loop {
            match exchange.resume(&now(), input) {
                Err(error) => break Err(error),
                Ok(Step::Done(output)) => break Ok(output),
                Ok(Step::Send(request)) if request.uri() == keys.as_str() => {
                    let mut key = self.key.public_jwk().to_value();
                    key["kid"] = "k".into();
                    input = Input::Reply(json_response(&json!({ "keys": [key] })));
                }
                Ok(Step::Send(request)) => {
                    sent.push(request);
                    input = Input::Reply(json_response(reply));
                }
                Ok(Step::Verify(job)) => input = Input::Verified(oauth_crypto::verify(&job)),
                // Apple's secret is signed by the client's own key; here it is the party's only one.
                Ok(Step::Sign(job)) => {
                    let signature = self.key.sign(&job.signing_input).expect("a signature");
                    input = Input::Signed(signature);
                }
                Ok(Step::Sleep(_)) => input = Input::Elapsed,
            }
        };
        Outcome { result, sent }
    }
}

fn json_response(body: &Value) -> Response<Bytes> {
    let reply = Response::builder().header("content-type", "application/json");
    reply.body(Bytes::from(body.to_string())).expect("a reply")
}

/// The result of an exchange, and its requests except those for keys.
pub(crate) struct Outcome<T = Login> {
    pub(crate) result: Result<T, Error>,
    pub(crate) sent: Vec<Request<Bytes>>,
}

impl<T> Outcome<T> {
    /// The URL, the `Authorization` header and the form of the only request.
    pub(crate) fn request(&self) -> (String, Option<String>, String) {
        let [request] = self.sent.as_slice() else {
            panic!("{} requests", self.sent.len());
        };
        let header = request.headers().get("authorization");
        let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = String::from_utf8_lossy(request.body()).into_owned();
        (request.uri().to_string(), header, body)
    }

    pub(crate) fn code(&self) -> Option<&'static str> {
        self.result.as_ref().err().map(Error::code)
    }

    pub(crate) fn unwrap(self) -> T {
        self.result.expect("it is accepted")
    }
}
