//! Issuer discovery by WebFinger: `GET https://{host}/.well-known/webfinger` (OpenID Connect Discovery section 2).

use oauth_core::endpoint::webfinger::UserIdentifier;
use oauth_core::issuer::Issuer;
use oauth_core::url::Transport;
use oauth_core::{ExchangeExt as _, Moment, danger, discover_issuer};

use super::{arguments, outcome};
use crate::arg::Personal;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Finds the issuer that signs a user in, from what the user typed (OpenID Connect Discovery section 2).
    ///
    /// The host in the identifier is asked, by WebFinger. Nothing of the client is sent, and its server is not asked:
    /// it may be any client. A user can type any host: only public addresses are asked unless the client's network says
    /// otherwise, and the issuer's metadata should also be fetched only from public addresses. Create a client of the
    /// issuer only if you accept users who sign in there. `webfinger.identifier` for an identifier that names no host
    /// to ask, `webfinger.no_issuer` if that host names no issuer, `webfinger.issuer` if it is not an https URL,
    /// `webfinger.subject` if the response is about another user, `webfinger.malformed` and `reply.*` if it is not what
    /// the standard describes, `denied.*` if the host refuses, `lost.*` if no reply arrives.
    pub struct DiscoverIssuer {
        /// Something like an e-mail address, a host with or without a port, or an https URL.
        pub identifier: String,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let identifier = match client.core().server().transport() {
            Transport::Https => UserIdentifier::parse(&self.identifier)?,
            Transport::LoopbackHttp => danger::loopback_user_identifier(&self.identifier)?,
        };
        let requested = Personal(identifier.as_str().to_owned());
        let exchange = discover_issuer(identifier).and_then(|_: &Moment, issuer: Issuer| {
            let issuer = issuer.as_str().to_owned();
            Ok(DiscoveredIssuer { issuer, identifier: requested })
        });
        Ok(ErasedExchange::with_record::<_, DiscoveredIssuer>(exchange))
    }
}

outcome! {
    /// The issuer at which a user signs in.
    pub struct DiscoveredIssuer {
        /// The issuer, whose metadata can then be discovered.
        pub issuer: String,
        /// The normalized identifier: an acct or https URI, at most a hint for the login page. It proves nothing: only
        /// the ID token says who signs in.
        pub identifier: Personal,
    }
}
