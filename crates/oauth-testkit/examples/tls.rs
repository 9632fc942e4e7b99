//! The UserTesting twin behind TLS, with an authority of its own, for tests in other languages.
//!
//! Prints one line of JSON and stops when its standard input closes: `base` is where anybody may
//! come, `mutual` where a client has to show `certificate` and `key`, `ca` who signed all of them.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::sync::Arc;

use oauth_testkit::{Served, Twin};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let authority = authority().map_err(io::Error::other)?;
    // Each front is the whole world of its twin, which tells everybody its own address.
    let (open, _one) = runtime.block_on(front(&authority, None))?;
    let (mutual, _other) = runtime.block_on(front(&authority, Some(&authority)))?;
    let (certificate, key) = issue(&authority, "worker").map_err(io::Error::other)?;
    let known = Twin::usertesting("https://127.0.0.1");
    let said = serde_json::json!({
        "base": format!("https://{open}"),
        "mutual": format!("https://{mutual}"),
        "ca": authority.pem(),
        "certificate": certificate.pem(),
        "key": key.serialize_pem(),
        "client_id": known.client_id(),
        "client_secret": known.client_secret(),
    });
    println!("{said}");
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
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
