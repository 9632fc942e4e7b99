//! Creates a client from settings, and fetches the server's metadata if necessary.

use oauth_core::crypto::SigningKey;
use oauth_core::error::{Error, Misuse};
use oauth_core::exchange::Boxed;
use oauth_core::flow::discovery::DiscoveryRequest;
use oauth_core::server::Server;
use oauth_core::url::Transport;
use oauth_core::{Client, Exchange, ExchangeExt as _, Input, Moment, Step, danger, discover_with};

use super::{ClientSettings, KeyText, ServerSettings};

impl ClientSettings {
    /// The client of these settings; if only the issuer of the server is known, its metadata is fetched. `read_key` is
    /// that of [`Self::client`].
    ///
    /// # Errors
    /// The errors of [`Self::server`] and [`Self::client`], here or from the steps; those of [`oauth_core::discover`].
    pub fn connect(
        self,
        transport: Transport,
        read_key: impl Fn(&Server, KeyText<'_>) -> Result<SigningKey, Error> + Send + 'static,
    ) -> Result<Boxed<Client>, Error> {
        let server = match self.server(transport)? {
            ServerSettings::Issuer(issuer) => {
                let request = DiscoveryRequest::new(issuer);
                let request = match transport {
                    Transport::Https => request,
                    Transport::LoopbackHttp => danger::loopback_discovery(request),
                };
                let client =
                    discover_with(request).and_then(move |_, server| self.client(server, read_key));
                return Ok(client.boxed());
            }
            ServerSettings::Provider(provider) => provider.server()?,
            ServerSettings::Known(server) => *server,
        };
        Ok(Ready(Some(self.client(server, read_key)?)).boxed())
    }
}

/// Nothing has to be fetched.
struct Ready(Option<Client>);

impl Exchange for Ready {
    type Output = Client;

    fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<Client>, Error> {
        match (input, self.0.take()) {
            (Input::Begin, Some(client)) => Ok(Step::Done(client)),
            (_, None) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}
