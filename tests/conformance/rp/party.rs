//! The relying party: a client with the discovered metadata of its server.

use std::ops::ControlFlow;
use std::sync::Arc;

use oauth_core::client_auth::Credentials;
use oauth_core::endpoint::jwks::Jwks;
use oauth_core::endpoint::metadata::WellKnown;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::authorization::{ResponseMode, ResponseType};
use oauth_core::flow::discovery::DiscoveryRequest;
use oauth_core::flow::redeem::Login;
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, Claims, Unverified};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::Server;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Scope, Secret, Tokens, danger,
    discover_with,
};
use oauth_reqwest::blocking::Driver;
use oauth_session::blocking::GrantSource;
use reqwest::blocking::ClientBuilder;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::fapi;
use crate::{Cli, FlowFailure, Method, Mode, Stage, Type};

/// A client of a discovered server.
pub(crate) struct Party {
    driver: Driver,
    client: Client,
    browser: Browser,
}

impl Party {
    /// Fetches the metadata from the URL of OpenID Connect Discovery section 4, and no other.
    pub(crate) fn discover(cli: &Cli) -> Result<Self, FlowFailure> {
        let failed = Stage::Discovery.failed();
        let shown = cli.fapi.network(network(cli)).map_err(&failed)?;
        let driver = Driver::new(shown).map_err(&failed)?;
        let discovery_request = discovery(cli).map_err(&failed)?;
        let server = driver
            .run(discover_with(discovery_request))
            .map_err(&failed)?;
        let browser = Browser::new(network(cli)).map_err(|error| Stage::Discovery.lost(error))?;
        let client = client(cli, server).map_err(&failed)?;
        Ok(Self {
            driver,
            client,
            browser,
        })
    }

    pub(crate) fn server(&self) -> Value {
        let metadata = self.client.server().metadata();
        json!({ "stage": Stage::Discovery.as_str(), "metadata": metadata, "error": null })
    }

    /// Fetches the server's keys.
    pub(crate) fn keys(&self) -> Result<Value, FlowFailure> {
        let fetched = self.driver.run(self.client.call(Jwks));
        let keys = fetched.map_err(Stage::Keys.failed())?.keys;
        let ids: Vec<_> = keys.ids().collect();
        Ok(json!({
            "stage": Stage::Keys.as_str(), "keys": { "usable": keys.len(), "ids": ids },
            "error": null,
        }))
    }

    /// Signs a user in.
    pub(crate) fn log_in(&self, cli: &Cli) -> Result<Value, FlowFailure> {
        if cli.fapi.client_credentials {
            return self.act_for_itself(cli);
        }
        let login = match &cli.ciba.backchannel {
            Some(hint) => {
                let scope = Scope::parse(&cli.scope).map_err(Stage::Backchannel.failed())?;
                let sign_in = cli.ciba.sign_in(hint, &self.driver, &self.client, scope);
                ControlFlow::Continue(sign_in?)
            }
            None => self.by_browser(cli)?,
        };
        match login {
            ControlFlow::Continue(login) => self.use_tokens(cli, login),
            ControlFlow::Break(record) => Ok(record),
        }
    }

    /// Signs a user in through a browser, unless an earlier stage is the last one.
    fn by_browser(&self, cli: &Cli) -> Result<ControlFlow<Value, Login>, FlowFailure> {
        let failed = Stage::Authorization.failed();
        let authorization_request = request(cli).map_err(&failed)?;
        let authorization = self
            .driver
            .run(self.client.begin_authorization(authorization_request));
        let authorization = authorization.map_err(&failed)?;
        let visited = self
            .browser
            .visit(authorization.url.as_str(), redirect_uri(cli));
        let callback = visited.map_err(|error| Stage::Authorization.lost(error))?;
        if cli.stop_after == Some(Stage::Authorization) {
            let is_recognized = authorization.pending.recognizes(&callback);
            return Ok(ControlFlow::Break(json!({
                "stage": Stage::Authorization.as_str(), "recognised": is_recognized, "error": null,
            })));
        }
        // Errors in the callback are found before anything is sent.
        let redeem = self.client.redeem(authorization.pending, &callback);
        let redeem = redeem.map_err(&failed)?;
        let login = self.driver.run(redeem).map_err(Stage::Token.failed())?;
        Ok(ControlFlow::Continue(login))
    }

    /// Gets a token for the client itself, and calls the API with it.
    fn act_for_itself(&self, cli: &Cli) -> Result<Value, FlowFailure> {
        let failed = Stage::Token.failed();
        let scope = Scope::parse(&cli.scope).map_err(&failed)?;
        let session = GrantSource::client_credentials(self.driver.clone(), &self.client, scope);
        session.token().map_err(&failed)?;
        let called = cli.fapi.call_by(&self.driver, &self.client, session);
        let status = called.map_err(Stage::Resource.failed())?;
        let stage = status.map_or(Stage::Token, |_| Stage::Resource);
        let resource = status.map(|status| json!({ "status": status }));
        Ok(json!({ "stage": stage.as_str(), "resource": resource, "error": null }))
    }

    /// Uses the tokens of a login for the requested stages.
    fn use_tokens(&self, cli: &Cli, login: Login) -> Result<Value, FlowFailure> {
        let mut record = json!({
            "stage": Stage::Token.as_str(), "claims": null, "refreshed": null, "userinfo": null,
            "error": null,
        });
        let mut tokens = login.tokens;
        if let Some(id_token) = &login.id_token {
            record["claims"] = Value::Object(id_token.claims().as_map().clone());
        }
        if cli.refresh {
            tokens = self.refresh(&tokens).map_err(Stage::Refresh.failed())?;
            record["stage"] = Stage::Refresh.as_str().into();
            record["refreshed"] = refreshed(&tokens);
        }
        let called = cli.fapi.call(&self.driver, &self.client, &tokens);
        if let Some(status) = called.map_err(Stage::Resource.failed())? {
            record["stage"] = Stage::Resource.as_str().into();
            record["resource"] = json!({ "status": status });
        }
        if let Some(id_token) = login.id_token.filter(|_| cli.userinfo) {
            let tokens = Arc::new(tokens);
            let exchange = self.client.userinfo(tokens, id_token.subject().to_owned());
            let user_claims = self
                .driver
                .run(exchange)
                .map_err(Stage::Userinfo.failed())?;
            record["stage"] = Stage::Userinfo.as_str().into();
            record["userinfo"] = Value::Object(user_claims.as_map().clone());
        }
        Ok(record)
    }

    fn refresh(&self, tokens: &Tokens) -> Result<Tokens, Error> {
        let token = tokens.refresh_token.as_ref();
        let token = token.ok_or_else(|| Error::from(Misuse::NoRefreshToken))?;
        self.driver.run(self.client.refresh(token))
    }
}

/// The verified claims of the refresh's ID token, or those of the login if it has none.
fn refreshed(tokens: &Tokens) -> Value {
    let token = tokens.id_token.as_ref();
    let shown = token.and_then(|token| Unverified::parse(token.expose()).ok());
    let claims = shown.as_ref().and_then(Unverified::claims);
    json!({ "claims": claims.map(Claims::as_map) })
}

fn discovery(cli: &Cli) -> Result<DiscoveryRequest, Error> {
    let issuer = if cli.loopback_http {
        danger::loopback_issuer(&cli.issuer)?
    } else {
        Issuer::parse(&cli.issuer)?
    };
    let place = issuer.well_known(WellKnown::OpenIdAppended);
    let discovery_request = DiscoveryRequest::new(issuer).document(place);
    Ok(if cli.loopback_http {
        danger::loopback_discovery(discovery_request)
    } else {
        discovery_request
    })
}

fn client(cli: &Cli, server: Server) -> Result<Client, Error> {
    let secret = std::env::var(&cli.client_secret_env).ok();
    let secret = secret.filter(|secret| !secret.is_empty()).map(Secret::new);
    let auth = match (cli.client_auth, secret) {
        (None, None) => cli.fapi.auth(&server)?.unwrap_or_else(ClientAuth::none),
        (None, Some(secret)) => ClientAuth::negotiate(Credentials::secret(secret), &server)?,
        (Some(Method::Basic), Some(secret)) => ClientAuth::basic(secret),
        (Some(Method::Post), Some(secret)) => ClientAuth::post(secret),
        (Some(_), None) => return Err(Misuse::SecretMissing.into()),
    };
    let client = Client::new(server, ClientId::new(&*cli.client_id), auth)?;
    let client = cli.fapi.apply(client)?;
    let client = match &cli.ciba.backchannel {
        Some(_) => fapi::signing_requests(client),
        None => client,
    };
    if cli.id_token_algs.is_empty() {
        return Ok(client);
    }
    let algs = cli.id_token_algs.iter().map(|name| {
        Alg::from_name(name).ok_or_else(|| Error::from(Misuse::KeyAlgorithm).about(name))
    });
    Ok(client.with_id_token_algs(algs.collect::<Result<Vec<_>, _>>()?))
}

/// The redirect URI, which is only missing for backchannel authentication.
fn redirect_uri(cli: &Cli) -> &str {
    cli.redirect_uri.as_deref().unwrap_or_default()
}

fn request(cli: &Cli) -> Result<AuthorizationRequest, Error> {
    let redirect_uri = RedirectUri::parse(redirect_uri(cli))?;
    let mut authorization_request =
        AuthorizationRequest::new(redirect_uri).scope(Scope::parse(&cli.scope)?);
    authorization_request.extra.clone_from(&cli.parameters);
    let authorization_request = authorization_request.response_type(match cli.response_type {
        Type::Code => ResponseType::Code,
        Type::CodeIdToken => ResponseType::CodeIdToken,
    });
    Ok(match cli.response_mode {
        None => authorization_request,
        Some(Mode::Query) => authorization_request.response_mode(ResponseMode::Query),
        Some(Mode::Fragment) => authorization_request.response_mode(ResponseMode::Fragment),
        Some(Mode::FormPost) => authorization_request.response_mode(ResponseMode::FormPost),
    })
}

/// The HTTP client. Requests to this machine do not use a proxy.
fn network(cli: &Cli) -> ClientBuilder {
    let builder = reqwest::blocking::Client::builder();
    if cli.loopback_http {
        builder.no_proxy()
    } else {
        builder
    }
}
