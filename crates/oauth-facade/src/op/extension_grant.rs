//! A grant that has no operation of its own (RFC 6749 section 4.5).

use oauth_core::Secret;

use super::arguments;
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;

arguments! {
    /// Requests tokens with an extension grant (RFC 6749 section 4.5).
    ///
    /// `grant.not_an_extension` for a grant type that is neither a URI nor described by the server's preset,
    /// `form.reserved_parameter` for a parameter name that the protocol uses, `form.*` for parameters that do not fit
    /// the description, `denied.unsupported_grant_type` and other `denied.*` if the server refuses, `lost.*` if no
    /// reply arrives.
    pub struct ExtensionGrant {
        /// The grant type: an absolute URI, or the name of one that the server's preset describes.
        pub grant_type: String,
        /// The parameters of the grant. A name may occur several times.
        pub parameters: Vec<(String, Secret<String>)>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let grant = client.core().extension(&self.grant_type)?;
        let mut parameters = self.parameters.into_iter();
        let grant = parameters.try_fold(grant, |grant, (name, value)| grant.parameter(&name, value))?;
        client.token(grant, &self.request)
    }
}
