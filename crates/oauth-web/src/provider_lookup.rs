//! Provider lookup: which provider a request concerns, and its client. A provider comes from the settings, or from the
//! host if the settings say so ([`Lookup::Asked`]).

use oauth_core::Client;
use oauth_core::error::{Error, ValidationFailure};

use crate::config::Lookup;
use crate::page;
use crate::provider::Provider;
use crate::request_context::RequestContext;
use crate::session::{self, PageRequirements};
use crate::site_state;
use crate::visit::ProviderQuery;

impl RequestContext {
    /// The provider of this id.
    ///
    /// # Errors
    /// `web.unknown_provider`, and the host's errors.
    pub(crate) async fn provider(&self, id: &str) -> Result<Provider, Error> {
        let id = Some(id.to_owned());
        let provider = self
            .find_provider(ProviderQuery {
                id,
                ..ProviderQuery::default()
            })
            .await?;
        provider.ok_or_else(|| ValidationFailure::WebUnknownProvider.into())
    }

    /// The provider of the settings whose callback this request is.
    pub(crate) fn provider_of_callback(&self) -> Result<Option<&Provider>, Error> {
        let (config, root) = (self.config(), &self.base_url()?.root);
        let path = self.request.path().strip_prefix(root.as_str());
        let mut providers = config.providers.iter();
        Ok(providers.find(|provider| Some(config.callback(provider).as_str()) == path))
    }

    /// The provider whose callback this request is, in the settings or by a lookup of the host.
    ///
    /// # Errors
    /// The errors of a host that resumes with a wrong event. A provider that is not found is only logged.
    pub(crate) async fn known_at_callback(&self) -> Result<Option<Provider>, Error> {
        if let Some(provider) = self.provider_of_callback()? {
            return Ok(Some(provider.clone()));
        }
        let id = self.request.path().rsplit('/').next().unwrap_or_default();
        match self.provider(id).await {
            Ok(provider) => Ok(Some(provider)),
            Err(error) if page::is_host_misuse(&error) => Err(error),
            Err(error) => {
                self.io.note_error(&error);
                Ok(None)
            }
        }
    }

    /// The client of a provider, as soon as it is known.
    ///
    /// # Errors
    /// The error with which the host failed to connect. The response then says that the site is not ready.
    pub(crate) async fn client(&self, provider: &Provider) -> Result<Client, Error> {
        if let Some(client) = &provider.client {
            return Ok(client.clone());
        }
        let client = self.site.connections.wait(&self.io, &provider.id).await;
        client.inspect_err(|_| self.io.set_unready())
    }

    /// The client of the provider of this id.
    ///
    /// # Errors
    /// The errors of [`provider`](Self::provider) and [`client`](Self::client).
    pub(crate) async fn client_of(&self, id: &str) -> Result<Client, Error> {
        self.client(&self.provider(id).await?).await
    }

    /// The client of a provider, if it is known.
    pub(crate) fn known_client(&self, provider: &Provider) -> Option<Client> {
        let client = provider.client.clone();
        client.or_else(|| self.site.connections.client(&provider.id))
    }

    /// The registration that sessions and sign-ins of a provider must belong to, see [`session::registration`]; `None`
    /// until the client of the provider is known.
    pub(crate) fn registration(&self, provider: &Provider) -> Option<String> {
        if let Some(registration) = site_state::fixed_registration(provider) {
            return Some(registration);
        }
        let client = self.site.connections.client(&provider.id)?;
        let (issuer, client_id) = (client.server().issuer(), client.client_id());
        Some(session::registration(issuer.as_str(), client_id.as_str()))
    }

    /// The client of a provider if it is known, for work that can be done later: the request does not wait.
    ///
    /// # Errors
    /// The errors of a host that resumes with a wrong event.
    pub(crate) async fn client_at_once(
        &self,
        provider: &Provider,
    ) -> Result<Option<Client>, Error> {
        match &provider.client {
            Some(client) => Ok(Some(client.clone())),
            None => {
                self.site
                    .connections
                    .known_or_connect(&self.io, &provider.id)
                    .await
            }
        }
    }

    /// The provider to sign in with, if it is determined by the tenant of the page, or is the only one.
    pub(crate) async fn default_provider(
        &self,
        need: Option<&PageRequirements>,
    ) -> Result<Option<Provider>, Error> {
        let tenant = need.and_then(|need| need.tenant.clone());
        self.find_provider(ProviderQuery {
            tenant,
            ..ProviderQuery::default()
        })
        .await
    }

    /// The first provider, which is used unless the user chooses another.
    pub(crate) async fn first_provider(&self) -> Result<Provider, Error> {
        match self.config().providers.first() {
            Some(provider) => Ok(provider.clone()),
            None => {
                let provider = self.default_provider(None).await?;
                provider.ok_or_else(|| ValidationFailure::WebUnknownProvider.into())
            }
        }
    }

    /// Finds the provider of a query, in the settings or by a lookup of the host.
    pub(crate) async fn find_provider(
        &self,
        query: ProviderQuery,
    ) -> Result<Option<Provider>, Error> {
        let config = self.config();
        let mut configured = Vec::new();
        for provider in &config.providers {
            if self.matches_query(provider, &query).await? {
                configured.push(provider);
            }
        }
        // The provider of one tenant, before one for all tenants.
        configured.sort_by_key(|provider| !self.is_exact(provider, &query));
        let mut configured = configured.into_iter();
        let (first_match, second_match) = (configured.next(), configured.next());
        let is_named = query.id.is_some() || query.issuer.is_some();
        match (first_match, second_match, config.lookup) {
            (Some(first_match), _, lookup)
                if is_named && (lookup == Lookup::Fixed || self.is_exact(first_match, &query)) =>
            {
                return Ok(Some(first_match.clone()));
            }
            (Some(first_match), None, Lookup::Fixed) => return Ok(Some(first_match.clone())),
            (_, _, Lookup::Fixed) => return Ok(None),
            (_, _, Lookup::Asked) => {}
        }
        let path = if query.path.is_empty() {
            self.request.path().to_owned()
        } else {
            query.path.clone()
        };
        let host = self.request.host.clone();
        let host_query = ProviderQuery {
            host,
            path,
            ..query.clone()
        };
        let Some(provider_of_host) = self.io.provider(host_query).await? else {
            return Ok(first_match.filter(|_| is_named).cloned());
        };
        // A provider that does not match the query would open another tenant's session.
        let is_fixed = config
            .providers
            .iter()
            .any(|configured| configured.id == provider_of_host.id);
        let is_valid_provider =
            provider_of_host.client.is_some() && provider_of_host.callback.is_none();
        if is_fixed || !is_valid_provider || !self.matches_query(&provider_of_host, &query).await? {
            let reason = "the host gave another provider than the one it was asked for";
            return Err(Error::from(ValidationFailure::WebUnknownProvider).about(reason));
        }
        config.check_provider(&provider_of_host)?;
        Ok(Some(provider_of_host))
    }

    /// Whether a provider matches a query.
    async fn matches_query(
        &self,
        provider: &Provider,
        query: &ProviderQuery,
    ) -> Result<bool, Error> {
        let is_named = query.id.as_ref().is_none_or(|id| *id == provider.id)
            && (query.tenant.is_none() || query.tenant == provider.tenant);
        Ok(match &query.issuer {
            Some(issuer) if is_named => {
                let client = self.client(provider).await?;
                let server = client.server();
                server.issuer().matches(issuer, server.rules())
            }
            _ => is_named,
        })
    }

    /// Whether the issuer of a query is the provider's own, not that of one of its tenants.
    fn is_exact(&self, provider: &Provider, query: &ProviderQuery) -> bool {
        let client = self.known_client(provider);
        let issuer = client
            .as_ref()
            .map(|client| client.server().issuer().as_str());
        query.issuer.is_none() || query.issuer.as_deref() == issuer
    }
}
