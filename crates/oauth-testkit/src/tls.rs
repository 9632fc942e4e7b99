//! A twin behind TLS, with its own certificate authority, for tests of certificates and proxies.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::serve::Served;
use crate::twin::Twin;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// The UserTesting twin behind TLS, until this is dropped.
pub struct Tls {
    /// Where anybody may come.
    pub base: String,
    /// Where a client has to show [`certificate`](Self::certificate).
    pub mutual: String,
    /// Who signed all certificates, in PEM.
    pub ca: String,
    /// A client's certificate, in PEM.
    pub certificate: String,
    /// Its key, in PEM.
    pub key: String,
    /// The twin's client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    // Before the twins: nobody comes once they are gone.
    _runtime: Runtime,
    _twins: [Served; 2],
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Starts it on two free ports.
    ///
    /// # Errors
    /// What the system says about sockets.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let authority = authority().map_err(io::Error::other)?;
        let (open, one) = runtime.block_on(front(&authority, None))?;
        let (mutual, other) = runtime.block_on(front(&authority, Some(&authority)))?;
        let (certificate, key) = issue(&authority, "worker").map_err(io::Error::other)?;
        let twin = Twin::usertesting("https://127.0.0.1");
        Ok(Self {
            base: format!("https://{open}"),
            mutual: format!("https://{mutual}"),
            ca: authority.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            client_id: twin.client_id().to_owned(),
            client_secret: twin.client_secret().to_owned(),
            _runtime: runtime,
            _twins: [one, other],
        })
    }
}

fn authority() -> Result<Authority, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn issue(by: &Authority, name: &str) -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(vec![name.to_owned()])?;
    Ok((params.signed_by(&key, by)?, key))
}

/// A front that takes `clients` of this authority only, if one is given.
async fn front(
    authority: &Authority,
    clients: Option<&Authority>,
) -> io::Result<(SocketAddr, Served)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let base = format!("https://{address}");
    let twin = Served::start(move |_| Twin::usertesting(&base))?;
    let behind = twin.base().trim_start_matches("http://").to_owned();
    let acceptor = TlsAcceptor::from(Arc::new(config(authority, clients)?));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                // A client that trusts nobody hangs up.
                if let Ok(mut client) = acceptor.accept(stream).await
                    && let Ok(mut server) = TcpStream::connect(&behind).await
                {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    Ok((address, twin))
}

fn config(authority: &Authority, clients: Option<&Authority>) -> io::Result<ServerConfig> {
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).map_err(io::Error::other)?;
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.map_err(io::Error::other)?)
        }
    };
    let (certificate, key) = issue(authority, "127.0.0.1").map_err(io::Error::other)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = builder.with_single_cert(vec![certificate.der().clone()], key);
    config.map_err(io::Error::other)
}
