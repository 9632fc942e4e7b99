//! Twins behind TLS, with their own certificate authority, for tests of certificates and proxies.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::serve::Served;
use crate::twin::Twin;
use crate::twin::wire::ClientCertificate;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// The UserTesting twin behind TLS, until this is dropped.
pub struct Tls {
    /// The base URL without client certificates.
    pub base: String,
    /// The base URL at which a client has to present [`certificate`](Self::certificate).
    pub mutual: String,
    /// The certificate authority, in PEM.
    pub ca: String,
    /// The client's certificate, in PEM.
    pub certificate: String,
    /// The key of the client's certificate, in PEM.
    pub key: String,
    /// The id of the twin's client.
    pub client_id: String,
    /// The secret of the twin's client.
    pub client_secret: String,
    // Dropped before the twins, which it serves.
    _runtime: Runtime,
    _twins: [Arc<Served>; 2],
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Starts the twin on two free ports.
    ///
    /// # Errors
    /// If the ports cannot be bound.
    pub fn start() -> io::Result<Self> {
        let runtime = runtime()?;
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
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_common_name(&mut params, "oauth-testkit");
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn issue(by: &Authority, name: &str) -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.use_authority_key_identifier_extension = true;
    set_common_name(&mut params, name);
    Ok((params.signed_by(&key, by)?, key))
}

/// Sets a unique name: OpenSSL treats a certificate as self-signed if its subject equals its issuer.
fn set_common_name(params: &mut CertificateParams, name: &str) {
    let names = &mut params.distinguished_name;
    names.push(DnType::CommonName, name);
}

/// The [FAPI twin](Twin::fapi) behind TLS, until this is dropped. Its clients may present certificates, to which it
/// binds their tokens.
///
/// The metadata is at [`base`](Self::base), and lists aliases at [`mutual`](Self::mutual), where a client has to
/// present a certificate (RFC 8705 section 5). A certificate from [`issue`](Self::issue) identifies the client.
pub struct MutualTls {
    /// The base URL without client certificates.
    pub base: String,
    /// The base URL at which a client has to present a certificate.
    pub mutual: String,
    /// The certificate authority, in PEM.
    pub ca: String,
    authority: Authority,
    // Dropped before the twin, which it serves.
    _runtime: Runtime,
    twin: Arc<Served>,
}

impl std::fmt::Debug for MutualTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MutualTls")
            .field("base", &self.base)
            .field("mutual", &self.mutual)
            .finish_non_exhaustive()
    }
}

impl MutualTls {
    /// Starts the twin on two free ports.
    ///
    /// # Errors
    /// If the ports cannot be bound.
    pub fn start() -> io::Result<Self> {
        let runtime = runtime()?;
        let authority = authority().map_err(io::Error::other)?;
        let listen = || runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let (open, mutual) = (listen()?, listen()?);
        let base = format!("https://{}", open.local_addr()?);
        let alias = format!("https://{}", mutual.local_addr()?);
        let twin = Arc::new(Served::start(|_| Twin::fapi(&base))?);
        twin.with(|twin| twin.set_mutual_tls(&alias));
        let fronts = [(open, None), (mutual, Some(&authority))];
        for (listener, clients) in fronts {
            let config = config(&authority, clients)?;
            runtime.spawn(accept(listener, config, Arc::clone(&twin)));
        }
        Ok(Self {
            base,
            mutual: alias,
            ca: authority.pem(),
            authority,
            _runtime: runtime,
            twin,
        })
    }

    /// A new certificate for the client, with its key, in PEM.
    ///
    /// # Errors
    /// If the certificate cannot be created.
    pub fn issue(&self) -> io::Result<String> {
        let (certificate, key) = issue(&self.authority, "client").map_err(io::Error::other)?;
        Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
    }

    /// A new X.509-SVID for this SPIFFE ID, with its key, in PEM. The client authenticates with it from now on
    /// (`spiffe_x509`).
    ///
    /// # Errors
    /// If the certificate cannot be created.
    pub fn issue_svid(&self, spiffe_id: &str) -> io::Result<String> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::default();
        params.use_authority_key_identifier_extension = true;
        let uri = spiffe_id.try_into().map_err(io::Error::other)?;
        // An SVID has one URI, and needs no subject (X509-SVID section 4.1).
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.distinguished_name = DistinguishedName::new();
        let certificate = params.signed_by(&key, &self.authority);
        let certificate = certificate.map_err(io::Error::other)?;
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(certificate.der()));
        self.with(|twin| twin.register_svid(thumbprint, spiffe_id));
        Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
    }

    /// Inspects or changes the twin while it serves. Requests wait until `f` returns.
    pub fn with<T>(&self, f: impl FnOnce(&mut Twin) -> T) -> T {
        self.twin.with(f)
    }

    /// Advances the twin's clock relative to the system's.
    pub fn advance(&self, by: Duration) {
        self.twin.advance(by);
    }
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}

/// A twin behind a TLS front, which only accepts clients with a certificate of `clients`, if given.
async fn front(
    authority: &Authority,
    clients: Option<&Authority>,
) -> io::Result<(SocketAddr, Arc<Served>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let base = format!("https://{address}");
    let twin = Arc::new(Served::start(move |_| Twin::usertesting(&base))?);
    let config = config(authority, clients)?;
    tokio::spawn(accept(listener, config, Arc::clone(&twin)));
    Ok((address, twin))
}

/// Accepts connections for a twin, which gets their client certificates.
async fn accept(listener: TcpListener, config: ServerConfig, twin: Arc<Served>) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, twin) = (acceptor.clone(), Arc::clone(&twin));
        tokio::spawn(async move {
            // A client that does not trust the authority hangs up.
            if let Ok(stream) = acceptor.accept(stream).await {
                let (_, state) = stream.get_ref();
                let shown = state.peer_certificates().and_then(|chain| chain.first());
                let thumbprint = |der| URL_SAFE_NO_PAD.encode(Sha256::digest(der));
                let shown = shown.map(|der| ClientCertificate(thumbprint(der.as_ref())));
                let outcome = twin.connection(stream, shown);
                drop(twin);
                outcome.await;
            }
        });
    }
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
