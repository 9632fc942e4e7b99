//! Issuer discovery by WebFinger: `GET https://{host}/.well-known/webfinger` (OpenID Connect Discovery section 2).

use oauth_core::endpoint::webfinger::UserIdentifier;
use oauth_core::issuer::Issuer;
use oauth_core::url::Transport;
use oauth_core::{ExchangeExt as _, Moment, danger, discover_issuer};

use super::{arguments, outcome};
use crate::arg::Personal;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Asks the host of what a person typed for the issuer that signs them in (OpenID Connect Discovery section 2).
    ///
    /// Nothing of the client is sent, and its server is not asked: it may be any client. Anybody can type any host:
    /// public addresses alone are asked unless the client's network says otherwise, and the issuer's metadata should
    /// be as well. Make it a client only if you take whoever signs in there. `webfinger.identifier` for what names no
    /// host to be asked, `webfinger.no_issuer` if that host names no issuer, `webfinger.issuer` if it is no https
    /// URL, `webfinger.subject` if the answer is about somebody else, `webfinger.malformed` and `reply.*` if it is not
    /// what the standard describes, `denied.*` if there is none to be had, `lost.*` if none arrives.
    pub struct DiscoverIssuer {
        /// Something like an e-mail address, a host with or without a port, or an https URL.
        pub identifier: String,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let identifier = match client.core().server().transport() {
            Transport::Https => UserIdentifier::parse(&self.identifier)?,
            Transport::LoopbackHttp => danger::loopback_user_identifier(&self.identifier)?,
        };
        let asked = Personal(identifier.as_str().to_owned());
        let exchange = discover_issuer(identifier).and_then(|_: &Moment, issuer: Issuer| {
            let issuer = issuer.as_str().to_owned();
            Ok(DiscoveredIssuer { issuer, identifier: asked })
        });
        Ok(ErasedExchange::of::<_, DiscoveredIssuer>(exchange))
    }
}

outcome! {
    /// Where a person signs in.
    pub struct DiscoveredIssuer {
        /// The issuer, for its metadata to be discovered.
        pub issuer: String,
        /// What was asked about: an acct or https URI, a hint for the login page at most. It proves nothing: who
        /// signs in is what the ID token says.
        pub identifier: Personal,
    }
}
