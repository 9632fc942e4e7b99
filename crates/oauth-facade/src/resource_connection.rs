//! Connections to APIs that are known only by their URLs, for language bindings. Decisions are made in
//! `flow/resource_connection.rs` of oauth-core.

use oauth_core::client_auth::ClientAuth;
use oauth_core::endpoint::registration::Registration;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::{self, MetadataChallenge, Proofs, Resource};
use oauth_core::flow::resource_connection::{
    ClientCandidates, ConnectRequest, Extension, GrantChoice, MultipleServersPolicy,
};
use oauth_core::issuer::Issuer;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::{ClientId, ClientMetadata, Secret, danger, server};

use crate::api::Api;
use crate::client_auth::Auth;
use crate::op::resource_metadata::signers;
use crate::server::{Transport, parse_issuer};

/// The host's settings for an API and for itself. Empty ones are discovered.
#[derive(Debug, Clone)]
pub struct Connect {
    /// The URL of the API.
    pub url: String,
    /// Whether the API and its server may be plain http on a loopback address.
    pub transport: Transport,
    /// The name by which the client registers itself as a native app, unless there is `client_metadata`.
    pub client_name: Option<String>,
    /// The metadata with which the client registers itself, as JSON (RFC 7591 section 2).
    pub client_metadata: Option<String>,
    /// The initial access token (RFC 7591 section 3).
    pub initial_access_token: Option<Secret<String>>,
    /// The URL of the client's metadata document, which is its id at servers that accept such ids.
    pub client_metadata_url: Option<String>,
    /// The id of a client that was registered manually, at `issuer`.
    pub client_id: Option<String>,
    /// The issuer where that client is registered; with only `issuers`, the first of them.
    pub issuer: Option<String>,
    /// The authorization servers that may be used, whichever others the API names; the first of them that it names is.
    pub issuers: Vec<String>,
    /// What to do if the API names several servers of which none is known: `first` or `error`.
    pub on_several_servers: Option<String>,
    /// The issuers that are trusted to sign the API's metadata (RFC 9728 section 2.2), each with its JWK Set, as JSON.
    pub signers: Option<String>,
    /// `authorization_code`, or `client_credentials` for a client that acts for itself, or
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer` if an identity provider asserts the user's identity.
    pub grant_type: Option<String>,
    /// Whether no `resource` (RFC 8707) is sent to the API's server, because it refuses that parameter.
    pub without_resource: bool,
    /// The value of `resource` for the API's server, if not the API's own identifier.
    pub resource: Option<String>,
    /// Whether tokens are bound to the certificate of the connection (`tls_client_certificate_bound_access_tokens`, RFC
    /// 8705 section 3.4), which a client that registers itself then says too. They also are if the client authenticates
    /// with the certificate and the server's metadata has this member.
    pub tls_client_certificate_bound_access_tokens: bool,
    /// The thumbprint of that certificate, if it is known (`x5t#S256`).
    pub certificate_thumbprint: Option<String>,
    /// The values of `WWW-Authenticate` of a response that was already received.
    pub challenges: Vec<String>,
    /// The maker of DPoP proofs for the API's tokens, which gets its key once the client is connected.
    pub proofs: Proofs,
    /// The challenge of a refused token that names the API's metadata, for the connection.
    pub metadata_challenge: MetadataChallenge,
}

impl Connect {
    /// The grant type of an identity assertion (draft-ietf-oauth-identity-assertion-authz-grant section 4.4).
    pub const IDENTITY_ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

    /// What a user who enters a code agrees to, for the prompt.
    pub fn purpose(&self) -> String {
        match &self.client_name {
            Some(name) => format!("let {name} use {}", self.url),
            None => format!("use {}", self.url),
        }
    }

    /// Settings for the API at this URL.
    pub fn new(url: impl Into<String>, transport: Transport) -> Self {
        Self {
            url: url.into(),
            transport,
            client_name: None,
            client_metadata: None,
            initial_access_token: None,
            client_metadata_url: None,
            client_id: None,
            issuer: None,
            issuers: Vec::new(),
            on_several_servers: None,
            signers: None,
            grant_type: None,
            without_resource: false,
            resource: None,
            tls_client_certificate_bound_access_tokens: false,
            certificate_thumbprint: None,
            challenges: Vec::new(),
            proofs: Proofs::default(),
            metadata_challenge: MetadataChallenge::default(),
        }
    }

    /// The request as a type of the core.
    ///
    /// # Errors
    /// `resource.syntax`, `url.*`, `issuer.*`, `client_metadata.*`, `resource_metadata.url`; `arguments.inconsistent` for a
    /// `client_id` without its issuer, and a `resource` that is not sent; `form.malformed_parameter` for another
    /// `grant_type`, `on_several_servers` or `signers`; `jwks.malformed` for the keys of a signer.
    pub fn to_core(&self) -> Result<ConnectRequest, Error> {
        let request = match self.transport {
            Transport::Https => ConnectRequest::new(&self.url)?,
            Transport::LoopbackHttp => danger::loopback_connect_request(&self.url)?,
        };
        let request = request.on_several_servers(match self.on_several_servers.as_deref() {
            None | Some("first") => MultipleServersPolicy::First,
            Some("error") => MultipleServersPolicy::Error,
            Some(_) => return Err(Error::from(Misuse::ParameterValue).about("on_several_servers")),
        });
        let mut request = request.grant(self.grant()?).clients(self.candidates()?);
        if let Some(text) = &self.signers {
            for (issuer, keys) in signers(text)? {
                request = request.trust(issuer, keys);
            }
        }
        if let Some(registration) = self.registration()? {
            request = request.register(registration);
        }
        let issuers = self.issuers.iter().map(|issuer| self.read(issuer));
        let issuers = issuers.collect::<Result<Vec<_>, _>>()?;
        if !issuers.is_empty() {
            request = request.allow(issuers);
        }
        if let Some(uri) = &self.resource {
            if self.without_resource {
                let reason = "without_resource sends no resource: name none";
                return Err(Error::from(Misuse::ArgumentsInconsistent).about(reason));
            }
            request = request.resource_value(uri)?;
        }
        if self.without_resource {
            request = request.rules(Rules {
                quirks: vec![Quirk::WithoutResource],
                ..Rules::default()
            });
        }
        if self.tls_client_certificate_bound_access_tokens {
            request = request.certificate_bound_tokens();
        }
        if let Some(thumbprint) = &self.certificate_thumbprint {
            request = request.presented_certificate(thumbprint);
        }
        if self.challenges.is_empty() {
            return Ok(request);
        }
        request.challenge(self.challenges.iter().map(String::as_bytes))
    }

    /// The key of the extension of the Model Context Protocol that a client with these tokens declares when it
    /// initializes.
    ///
    /// # Errors
    /// `form.malformed_parameter` for a `grant_type` that there is not.
    pub fn extension(&self) -> Result<Option<&'static str>, Error> {
        Ok(self.grant()?.extension().map(Extension::capability))
    }

    /// The API below the URL, and nothing else on its origin. If a reply requires a step-up, the user is asked.
    ///
    /// # Errors
    /// The errors of [`Self::to_core`].
    pub fn api(&self) -> Result<Api, Error> {
        let request = self.to_core()?;
        let api = resource::Api::new(Resource::beneath(request.resource()));
        let api = api
            .with_proofs(self.proofs.clone())
            .with_metadata_challenge(self.metadata_challenge.clone());
        Ok(match request.chosen_grant() {
            GrantChoice::ClientCredentials => api.into(),
            _ => Api::from(api).with_step_up_requests(),
        })
    }

    fn grant(&self) -> Result<GrantChoice, Error> {
        match self.grant_type.as_deref() {
            None | Some("authorization_code") => Ok(GrantChoice::AuthorizationCode),
            Some("client_credentials") => Ok(GrantChoice::ClientCredentials),
            Some(Self::IDENTITY_ASSERTION) => Ok(GrantChoice::IdentityAssertion),
            Some(_) => Err(Error::from(Misuse::ParameterValue).about("grant_type")),
        }
    }

    fn candidates(&self) -> Result<ClientCandidates, Error> {
        let mut candidates = match &self.client_id {
            Some(id) => {
                let issuer = self.issuer.as_ref().or(self.issuers.first());
                let issuer = issuer.ok_or_else(|| {
                    Error::from(Misuse::ArgumentsInconsistent)
                        .about("a client_id is that of one issuer: name it")
                })?;
                ClientCandidates::preregistered(self.read(issuer)?, ClientId::new(id.as_str()))
            }
            None => ClientCandidates::default(),
        };
        candidates.metadata_document = self.client_metadata_url.as_deref().map(ClientId::new);
        Ok(candidates)
    }

    fn registration(&self) -> Result<Option<Registration>, Error> {
        let metadata = match (&self.client_metadata, &self.client_name) {
            (Some(metadata), name) => {
                let mut metadata = ClientMetadata::from_json(metadata)?;
                if name.is_some() {
                    metadata.client_name.clone_from(name);
                }
                metadata
            }
            (None, Some(name)) => ClientMetadata::of_native_app(name.as_str()),
            (None, None) => return Ok(None),
        };
        let token = self.initial_access_token.clone();
        Ok(Some(
            Registration::new(metadata).initial_access_token(token),
        ))
    }

    fn read(&self, issuer: &str) -> Result<Issuer, Error> {
        parse_issuer(issuer, self.transport)
    }
}

impl Auth {
    /// How the client authenticates at a server that is not known yet.
    ///
    /// # Errors
    /// The returned function's: `client_auth.*`, `key.*`.
    pub fn at_any(
        self,
    ) -> impl Fn(&server::Server) -> Result<ClientAuth, Error> + Send + Sync + 'static {
        move |server| self.clone().at(server)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use super::*;

    fn refused(connect: &Connect) -> &'static str {
        connect.to_core().unwrap_err().code()
    }

    #[test]
    fn inconsistent_connect_settings_are_refused_before_sending() {
        type Case = (fn(&mut Connect), &'static str);
        let new = || Connect::new("https://mcp.example/mcp", Transport::Https);
        assert!(new().to_core().is_ok());
        let cases: [Case; 10] = [
            (
                |c| c.client_id = Some("id".into()),
                "arguments.inconsistent",
            ),
            (
                |c| c.grant_type = Some("password".into()),
                "form.malformed_parameter",
            ),
            (
                |c| (c.resource, c.without_resource) = (Some("api://notes".into()), true),
                "arguments.inconsistent",
            ),
            (
                |c| c.on_several_servers = Some("ask".into()),
                "form.malformed_parameter",
            ),
            (
                |c| c.signers = Some("[]".into()),
                "form.malformed_parameter",
            ),
            (
                |c| c.signers = Some(r#"{"https://trust.example":[]}"#.into()),
                "jwks.malformed",
            ),
            (|c| c.resource = Some("notes".into()), "resource.syntax"),
            (|c| c.url = "http://mcp.example/".into(), "url.insecure"),
            (
                |c| c.client_metadata = Some("[]".into()),
                "client_metadata.malformed",
            ),
            (
                |c| c.challenges = vec![r#"Bearer resource_metadata="https://e.example""#.into()],
                "resource_metadata.url",
            ),
        ];
        for (spoil, code) in cases {
            let mut connect = new();
            spoil(&mut connect);
            assert_eq!(refused(&connect), code);
        }
    }

    #[test]
    fn preregistered_client_belongs_to_the_first_issuer() {
        let mut connect = Connect::new("https://mcp.example/mcp", Transport::Https);
        connect.client_id = Some("id".into());
        connect.issuers = vec!["https://as.example".into()];
        let candidates = connect.candidates().unwrap();
        let client = candidates.preregistered.unwrap();
        assert_eq!(client.issuer.as_str(), "https://as.example");
    }
}
