//! TLS for the connections to PostgreSQL.

use oauth_core::error::Error;

#[cfg(not(feature = "postgres-tls"))]
pub(super) type Tls = tokio_postgres::NoTls;

#[cfg(feature = "postgres-tls")]
pub(super) type Tls = tokio_postgres_rustls::MakeRustlsConnect;

#[cfg(not(feature = "postgres-tls"))]
#[allow(clippy::unnecessary_wraps, reason = "as its twin")]
pub(super) const fn connector() -> Result<Tls, Error> {
    Ok(tokio_postgres::NoTls)
}

#[cfg(feature = "postgres-tls")]
pub(super) fn connector() -> Result<Tls, Error> {
    use rustls::{ClientConfig, RootCertStore};
    let mut roots = RootCertStore::empty();
    // A certificate that cannot be read is not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| super::setup("no version of TLS"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls::new(client))
}
