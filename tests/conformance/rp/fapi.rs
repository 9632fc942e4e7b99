//! The FAPI 2.0 options of the program: keys, certificates, sender-constrained tokens, and calls to an API.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use oauth_core::client_auth::Certificate;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::{Api, Resource};
use oauth_core::jose::Alg;
use oauth_core::request_signing::RequestSigning;
use oauth_core::server::Server;
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, SecurityProfile, Tokens};
use oauth_crypto::{ClientKeys, DpopKey};
use oauth_reqwest::blocking::{Authorized, Driver};
use oauth_session::Sources;
use oauth_session::blocking::GrantSource;
use reqwest::blocking::ClientBuilder;

/// The options of a FAPI 2.0 client.
#[derive(Debug, Args)]
pub(crate) struct Fapi {
    /// The private key for client authentication and signed requests: PEM or a JWK
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The key's algorithm
    #[arg(long, value_name = "ALG", default_value = "PS256", value_parser = alg)]
    key_alg: Alg,
    /// The client certificate with its key, in PEM; without --key it authenticates the client
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// With a key and a certificate: authenticate by the certificate, and only sign requests with the key
    #[arg(long, requires_all = ["key", "client_cert"])]
    key_only_signs: bool,
    /// Get a token for the client itself, without a sign-in, and call the API with it
    #[arg(long)]
    pub(crate) client_credentials: bool,
    /// The sender constraint of tokens
    #[arg(long, value_enum)]
    bind: Option<Binding>,
    /// The profile to follow
    #[arg(long, value_enum)]
    profile: Option<Plan>,
    /// The algorithm of signed authorization responses
    #[arg(long, value_name = "ALG", value_parser = alg)]
    response_alg: Option<Alg>,
    /// Call this API after the login, renewing the token each time it is refused
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// The number of consecutive calls; each refreshes at most once
    #[arg(long, default_value_t = 1, requires = "resource", value_parser = clap::value_parser!(u8).range(1..=20))]
    calls: u8,
}

/// The sender constraint of tokens.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Binding {
    /// A DPoP key generated for this run
    Dpop,
    /// The certificate
    Certificate,
}

/// A FAPI 2.0 profile.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Plan {
    /// FAPI 2.0 Security Profile
    Security,
    /// FAPI 2.0 Message Signing
    MessageSigning,
}

fn alg(name: &str) -> Result<Alg, String> {
    Alg::from_name(name).ok_or_else(|| "unknown algorithm".to_owned())
}

fn read(path: &Path) -> Result<String, Error> {
    let read = std::fs::read_to_string(path);
    read.map_err(|error| Error::from(Misuse::Setup).about(&format!("{}: {error}", path.display())))
}

/// Has the client sign its requests, if it has a key.
pub(crate) fn signing_requests(client: Client) -> Client {
    match client.auth().signing_key().cloned() {
        Some(key) => client.with_request_signing(RequestSigning::new(key)),
        None => client,
    }
}

fn session(driver: &Driver, client: &Client, tokens: &Tokens) -> Result<GrantSource, Error> {
    GrantSource::refreshing(driver.clone(), client, tokens.clone())
}

impl Fapi {
    /// The authentication method of a client without a secret.
    pub(crate) fn auth(&self, server: &Server) -> Result<Option<ClientAuth>, Error> {
        match (&self.key, &self.client_cert) {
            (Some(path), _) if !self.key_only_signs => self.by_key(path, server).map(Some),
            (_, Some(_)) => Ok(Some(ClientAuth::tls(Certificate::Pki))),
            _ => Ok(None),
        }
    }

    fn by_key(&self, path: &Path, server: &Server) -> Result<ClientAuth, Error> {
        let text = read(path)?;
        let keys = ClientKeys::read([text.as_str()])?;
        let assertion = keys.client_assertion(server, Some(self.key_alg))?;
        Ok(ClientAuth::assertion(assertion))
    }

    /// Has the client sign its requests with the key for that purpose, or the one that authenticates it.
    fn signing(&self, client: Client) -> Result<Client, Error> {
        let Some(path) = self.key.as_ref().filter(|_| self.key_only_signs) else {
            return Ok(signing_requests(client));
        };
        let auth = self.by_key(path, client.server())?;
        Ok(match auth.signing_key().cloned() {
            Some(key) => client.with_request_signing(RequestSigning::new(key)),
            None => client,
        })
    }

    /// Adds the keys and rules to the client.
    pub(crate) fn apply(&self, mut client: Client) -> Result<Client, Error> {
        client = match self.bind {
            Some(Binding::Dpop) => client.with_dpop(DpopKey::generate(Alg::Es256)?.to_core()?),
            Some(Binding::Certificate) => client.with_certificate_bound_tokens(),
            None => client,
        };
        if let Some(alg) = self.response_alg {
            client = client.with_authorization_algs([alg]);
        }
        let Some(plan) = self.profile else {
            return Ok(client);
        };
        Ok(match plan {
            Plan::Security => client.with_profile(SecurityProfile::Fapi2Security),
            Plan::MessageSigning => self
                .signing(client)?
                .with_profile(SecurityProfile::Fapi2MessageSigning),
        })
    }

    /// Configures the connections to present the certificate.
    pub(crate) fn network(&self, builder: ClientBuilder) -> Result<ClientBuilder, Error> {
        let Some(path) = &self.client_cert else {
            return Ok(builder);
        };
        let identity = reqwest::Identity::from_pem(read(path)?.as_bytes());
        let identity =
            identity.map_err(|error| Error::from(Misuse::Setup).about(&error.to_string()));
        Ok(builder.identity(identity?))
    }

    /// Calls the API, if there is one; returns the status of the last response.
    pub(crate) fn call(
        &self,
        driver: &Driver,
        client: &Client,
        tokens: &Tokens,
    ) -> Result<Option<u16>, Error> {
        match self.resource {
            Some(_) => self.call_by(driver, client, session(driver, client, tokens)?),
            None => Ok(None),
        }
    }

    /// Calls the API with the tokens of this session.
    pub(crate) fn call_by(
        &self,
        driver: &Driver,
        client: &Client,
        session: GrantSource,
    ) -> Result<Option<u16>, Error> {
        let Some(url) = &self.resource else {
            return Ok(None);
        };
        let origin = Url::parse(url)?.origin();
        let api = Api::new(Resource::new([origin.as_str()])?);
        let api = match client.dpop_key() {
            Some(_) => api.with_dpop(client)?,
            None => api,
        };
        let api = Authorized::with_sources(driver.clone(), Sources::one(session), api)?;
        let mut status = None;
        for _ in 0..self.calls {
            status = Some(api.get(url).send()?.status().as_u16());
        }
        Ok(status)
    }
}
