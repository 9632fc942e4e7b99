//! What FAPI 2.0 wants of a client: keys, certificates, bound tokens, and calls to an API.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use oauth_core::client_auth::Certificate;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::{Api, Resource};
use oauth_core::jose::Alg;
use oauth_core::request_signing::RequestSigning;
use oauth_core::server::Server;
use oauth_core::{Client, ClientAuth, SecurityProfile, Tokens};
use oauth_crypto::{ClientKeys, DpopKey};
use oauth_reqwest::blocking::{Authorized, Driver};
use oauth_session::Sources;
use oauth_session::blocking::GrantSource;
use reqwest::blocking::ClientBuilder;

/// What a client of FAPI 2.0 has.
#[derive(Debug, Args)]
pub(crate) struct Fapi {
    /// The private key that authenticates, and signs requests: PEM or a JWK
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What the key signs with
    #[arg(long, value_name = "ALG", default_value = "PS256", value_parser = alg)]
    key_alg: Alg,
    /// The certificate to show, with its key, in PEM; without a key it authenticates
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// With a key and a certificate: the certificate authenticates, and the key only signs requests
    #[arg(long, requires_all = ["key", "client_cert"])]
    key_only_signs: bool,
    /// Get a token for the client itself, and call the API with it; nobody signs in
    #[arg(long)]
    pub(crate) client_credentials: bool,
    /// What tokens are bound to
    #[arg(long, value_enum)]
    bind: Option<Binding>,
    /// The profile to keep to
    #[arg(long, value_enum)]
    profile: Option<Plan>,
    /// The algorithm of signed authorization responses
    #[arg(long, value_name = "ALG", value_parser = alg)]
    response_alg: Option<Alg>,
    /// Call this API after the login, renewing the token as often as it is refused
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// How often to call it, one call after the other; each makes up to one refresh
    #[arg(long, default_value_t = 1, requires = "resource", value_parser = clap::value_parser!(u8).range(1..=20))]
    calls: u8,
}

/// What tokens are bound to.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Binding {
    /// A DPoP key, made for this run
    Dpop,
    /// The certificate
    Certificate,
}

/// A profile.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Plan {
    /// FAPI 2.0 Security Profile
    Security,
    /// FAPI 2.0 Message Signing
    MessageSigning,
}

fn alg(name: &str) -> Result<Alg, String> {
    Alg::named(name).ok_or_else(|| "there is no such algorithm".to_owned())
}

fn read(path: &Path) -> Result<String, Error> {
    let read = std::fs::read_to_string(path);
    read.map_err(|why| Error::from(Misuse::Setup).about(&format!("{}: {why}", path.display())))
}

/// The client signs its requests, if it has a key.
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
    /// How the client authenticates, if it has no secret.
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

    /// The client signs its requests by the key that does nothing else, or by the one that authenticates.
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

    /// The client with its keys and rules.
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

    /// The connections that show the certificate.
    pub(crate) fn network(&self, builder: ClientBuilder) -> Result<ClientBuilder, Error> {
        let Some(path) = &self.client_cert else {
            return Ok(builder);
        };
        let identity = reqwest::Identity::from_pem(read(path)?.as_bytes());
        let identity = identity.map_err(|why| Error::from(Misuse::Setup).about(&why.to_string()));
        Ok(builder.identity(identity?))
    }

    /// Calls the API, if one is named: the status of its last answer.
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

    /// The same with the tokens of this session.
    pub(crate) fn call_by(
        &self,
        driver: &Driver,
        client: &Client,
        session: GrantSource,
    ) -> Result<Option<u16>, Error> {
        let Some(url) = &self.resource else {
            return Ok(None);
        };
        let api = Api::new(Resource::new([url.as_str()])?);
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
