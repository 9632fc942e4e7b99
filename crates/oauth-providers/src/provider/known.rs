//! The statements of a provider file about its provider, unchanged.

use oauth_core::error::Misuse;
use oauth_core::flow::resource::Routes;
use oauth_core::{Error, Scope};

use super::Provider;
use crate::facts::{Discovery, Documented, RateLimit, Source, TokenOwner};
use crate::file::InBrowser;
use crate::variable::Variable;

impl Provider {
    /// The name by which [`crate::provider`] finds it.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// The provider's name, for display.
    pub fn title(&self) -> &str {
        &self.file.title
    }

    /// Links to the provider's own documentation.
    pub fn documentation(&self) -> &[String] {
        &self.file.documentation
    }

    /// The source of each fact, and whether it was checked there.
    pub fn sources(&self) -> &[Source] {
        &self.file.sources
    }

    /// The variables of the provider's URLs, by name.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.file.variables.values()
    }

    /// Where the provider publishes metadata; empty if it publishes none.
    pub fn discovery(&self) -> &[Discovery] {
        &self.file.discovery
    }

    /// The documented options, each with a description of its effect.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        let options = self.file.options.iter();
        options.map(|(name, switch)| (name.as_str(), switch.description.as_str()))
    }

    /// The scope to request by default; an empty one leaves it to the server.
    pub fn default_scope(&self) -> Scope {
        self.file.default_scope.clone()
    }

    /// The documented scopes, by name. Others may exist.
    pub fn scopes(&self) -> &[Documented] {
        &self.scopes
    }

    /// The grant types that the provider offers, by their names on the wire.
    pub fn grants(&self) -> &[String] {
        &self.file.grants
    }

    /// The documented lifetime of an access token in seconds; a lifetime in a response takes precedence.
    pub fn access_token_lifetime(&self) -> Option<u64> {
        self.file.tokens.access_token_lifetime
    }

    /// The documented lifetime of a refresh token in seconds.
    pub fn refresh_token_lifetime(&self) -> Option<u64> {
        self.file.tokens.refresh_token_lifetime
    }

    /// Whether a refresh is documented to return a new refresh token and invalidate the old one.
    pub fn rotates_refresh_token(&self) -> bool {
        self.file.tokens.rotates_refresh_token
    }

    /// The documented token response, a JSON object, for documentation.
    pub fn example_response(&self) -> Option<&str> {
        self.file.tokens.example_response.as_deref()
    }

    /// Whether the provider supports OpenID Connect: its scope `openid` is documented.
    pub fn is_openid(&self) -> bool {
        self.file.is_openid()
    }

    /// The rate limit of the API.
    pub fn rate_limit(&self) -> Option<&RateLimit> {
        self.file.rate_limit.as_ref()
    }

    /// Whether the caller must set the registered redirect URIs, see [`Self::client`].
    pub fn requires_registered_redirect_uris(&self) -> bool {
        self.file.callback.requires_registered_redirect_uris
    }

    /// The documented proprietary authorization parameters, each with its meaning.
    pub fn authorization_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let parameters = self.file.authorization_parameters.iter();
        parameters.map(|(name, meaning)| (name.as_str(), meaning.as_str()))
    }

    /// The documented parameters of token requests besides those of RFC 6749, each with its meaning.
    pub fn token_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let parameters = self.file.token_parameters.iter();
        parameters.map(|(name, meaning)| (name.as_str(), meaning.as_str()))
    }

    /// Checks that the provider documents this extra parameter of the authorization URL.
    ///
    /// # Errors
    /// `form.unlisted_parameter`, naming it.
    pub fn authorization_parameter(&self, name: &str) -> Result<(), Error> {
        if self.file.authorization_parameters.contains_key(name) {
            Ok(())
        } else {
            Err(Error::from(Misuse::ParameterUnlisted).about(name))
        }
    }

    /// Which routes of the API need the user's token.
    pub fn routes(&self) -> Routes {
        Routes::user_segments(self.file.token_route.user_segments.iter().cloned())
    }

    /// The owner of the token that the API requires for this path or URL.
    ///
    /// # Errors
    /// `resource.route_ambiguous`, see [`Routes::token_for`].
    pub fn token_for(&self, path: &str) -> Result<TokenOwner, Error> {
        self.routes().token_for(path)
    }

    /// Checks that a page in a browser may hold a client secret.
    ///
    /// # Errors
    /// `client_auth.secret_not_allowed` with the reason. Also returned if the provider file does not specify it.
    pub fn check_secret_in_browser(&self) -> Result<(), Error> {
        match self.file.browser.client_secret {
            InBrowser::Allowed => Ok(()),
            InBrowser::Refused => {
                Err(Error::from(Misuse::SecretNotAllowed).about(&self.file.browser.reason))
            }
        }
    }
}
