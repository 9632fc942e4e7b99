//! Certificates and proxies: which servers are trusted, which servers are shown a certificate, and where
//! requests go first.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use oauth_core::error::Error;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Scope, Tokens};
use oauth_reqwest::transport::Settings;
use oauth_reqwest::{Driver, Transport};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

const REPLY: &str = r#"{"access_token":"abc","token_type":"Bearer","expires_in":60}"#;

/// A certificate authority for this test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }
}

/// A token endpoint over TLS, that may ask for a certificate of this authority.
async fn serve(authority: &Authority, clients: Option<&Authority>) -> SocketAddr {
    let shown = authority.issue("127.0.0.1");
    serve_as(shown, clients, Arc::default()).await
}

/// Serves with this certificate, and records the requests.
async fn serve_as(
    (certificate, key): (rcgen::Certificate, KeyPair),
    clients: Option<&Authority>,
    requested: Arc<Mutex<Vec<String>>>,
) -> SocketAddr {
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = builder.with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, requested) = (acceptor.clone(), Arc::clone(&requested));
            tokio::spawn(async move {
                // A client that does not trust the certificate closes the connection here.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut seen = [0; 4096];
                let size = stream.read(&mut seen).await.unwrap_or_default();
                if size == 0 {
                    return;
                }
                let head = String::from_utf8_lossy(&seen[..size]).into_owned();
                requested.lock().unwrap().push(head);
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    REPLY.len()
                );
                stream.write_all((head + REPLY).as_bytes()).await.unwrap();
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

async fn token(driver: &Driver, base: &str) -> Result<Tokens, Error> {
    let issuer = oauth_core::issuer::Issuer::parse(base).unwrap();
    let server = Server::new(issuer)
        .with_endpoint(EndpointKind::Token, &format!("{base}/token"))
        .unwrap();
    let client = Client::new(server, ClientId::new("id"), ClientAuth::post("S3CR3T")).unwrap();
    driver.run(client.client_credentials(Scope::none())).await
}

fn code(result: Result<Tokens, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "a token")
}

#[tokio::test]
async fn a_private_ca_is_trusted_if_configured() {
    let authority = Authority::new();
    let base = format!("https://{}", serve(&authority, None).await);
    let direct = Transport::default().without_proxy();
    let with = async |transport: &Transport| code(token(&transport.driver().unwrap(), &base).await);
    assert_eq!(with(&direct).await, "lost.tls");
    assert_eq!(
        with(&direct.clone().trust_also(authority.pem())).await,
        "a token"
    );
    assert_eq!(
        with(&direct.clone().trust_only(authority.pem())).await,
        "a token"
    );
    let other = direct.trust_only(Authority::new().pem());
    assert_eq!(with(&other).await, "lost.tls");

    // The blocking driver builds another client of the same record.
    let blocking = other.trust_only(authority.pem());
    let base = base.clone();
    let got = tokio::task::spawn_blocking(move || {
        let issuer = oauth_core::issuer::Issuer::parse(&base).unwrap();
        let server = Server::new(issuer)
            .with_endpoint(EndpointKind::Token, &format!("{base}/token"))
            .unwrap();
        let client = Client::new(server, ClientId::new("id"), ClientAuth::post("s")).unwrap();
        let driver = blocking.blocking_driver().unwrap();
        driver.run(client.client_credentials(Scope::none())).is_ok()
    });
    assert!(got.await.unwrap());
}

#[tokio::test]
async fn the_client_certificate_is_presented_to_a_server_that_requests_it() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let base = format!("https://{}", serve(&servers, Some(&clients)).await);
    let plain = Transport::default()
        .without_proxy()
        .trust_only(servers.pem());
    let without = token(&plain.driver().unwrap(), &base).await;
    assert!(code(without).starts_with("lost"));
    let (certificate, key) = clients.issue("worker");
    let identity = format!("{}{}", certificate.pem(), key.serialize_pem());
    let shown = plain.client_certificate(identity);
    assert_eq!(
        code(token(&shown.driver().unwrap(), &base).await),
        "a token"
    );
    assert!(!format!("{shown:?}").contains("PRIVATE KEY"));
}

/// A proxy that opens every tunnel, and records the targets.
async fn tunnel(requested: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let requested = Arc::clone(&requested);
            tokio::spawn(async move {
                let mut seen = vec![0; 4096];
                let size = stream.read(&mut seen).await.unwrap();
                let head = String::from_utf8_lossy(&seen[..size]).into_owned();
                let target = head.split(' ').nth(1).unwrap().to_owned();
                requested.lock().unwrap().push(head);
                let mut upstream = TcpStream::connect(target).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn https_requests_go_through_a_tunnel_of_the_proxy() {
    let authority = Authority::new();
    let base = format!("https://{}", serve(&authority, None).await);
    let requested = Arc::new(Mutex::new(Vec::new()));
    let proxy = tunnel(Arc::clone(&requested)).await;
    let transport = Transport::default()
        .trust_only(authority.pem())
        .proxy(format!("http://ann:PASSW0RD@{proxy}"));
    assert_eq!(
        code(token(&transport.driver().unwrap(), &base).await),
        "a token"
    );
    let requested = requested.lock().unwrap();
    assert!(
        requested[0].starts_with("CONNECT 127.0.0.1:"),
        "{}",
        requested[0]
    );
    assert!(
        requested[0]
            .to_ascii_lowercase()
            .contains("proxy-authorization: basic")
    );
    assert!(!format!("{transport:?}").contains("PASSW0RD"));
}

#[test]
fn unreadable_settings_are_reported_without_their_text() {
    let bad = [
        Transport::default().trust_also("no PEM"),
        Transport::default().trust_also(UNREADABLE),
        Transport::default().trust_only(UNREADABLE),
        Transport::default().client_certificate("S3CR3T"),
        Transport::default().proxy("ftp://S3CR3T"),
    ];
    for transport in bad {
        let error = transport.driver().unwrap_err();
        assert_eq!(error.code(), "transport.setup");
        assert!(
            !format!("{error} {error:?}").contains("S3CR3T"),
            "{error:?}"
        );
        assert!(transport.blocking_driver().is_err());
    }
}

#[tokio::test]
async fn settings_accept_pem_text_or_a_file_path() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let base = format!("https://{}", serve(&servers, Some(&clients)).await);
    let (certificate, key) = clients.issue("worker");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut settings = Settings::default();
    settings.proxy = Some("direct".into());
    settings.client_certificate = Some(certificate.pem().into());
    settings.client_key = Some(file("key.pem", key.serialize_pem()).into());
    for ca in [servers.pem(), file("ca.pem", servers.pem())] {
        settings.only_ca = Some(ca);
        let driver = settings.read().unwrap().driver().unwrap();
        assert_eq!(code(token(&driver, &base).await), "a token");
    }
    let shown = format!("{settings:?}");
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
}

/// PEM whose content is not a certificate.
const UNREADABLE: &str = "-----BEGIN CERTIFICATE-----\nS3CR3T\n-----END CERTIFICATE-----\n";

#[test]
fn invalid_settings_are_reported_when_they_are_read() {
    type Change = fn(&mut Settings);
    let cases: [(Change, &str); 11] = [
        (
            |s| s.ca = Some("no/such/file.pem".into()),
            "ca: no/such/file.pem",
        ),
        (|s| s.ca = Some("no\nPEM".into()), "ca: neither PEM"),
        (|s| s.ca = Some(UNREADABLE.into()), "ca: the certificates"),
        (
            |s| s.only_ca = Some(UNREADABLE.into()),
            "only_ca: the certificates",
        ),
        (
            |s| (s.ca, s.only_ca) = (Some("a".into()), Some("b".into())),
            "only_ca",
        ),
        (
            |s| s.client_key = Some("S3CR3T".into()),
            "client_certificate",
        ),
        (
            |s| s.client_certificate = Some("S3CR3T\n".into()),
            "client_certificate: neither PEM",
        ),
        (|s| s.connect_timeout = Some(0.0), "connect_timeout"),
        (|s| s.timeout = Some(f64::NAN), "timeout"),
        (|s| s.proxy = Some("gopher://S3CR3T".into()), "proxy"),
        (|s| s.user_agent = Some("a\nb".into()), "user_agent"),
    ];
    for (change, word) in cases {
        let mut settings = Settings::default();
        change(&mut settings);
        let error = settings.read().unwrap_err();
        assert_eq!(error.code(), "transport.setup");
        let text = format!("{error} {error:?}");
        assert!(text.contains(word), "{text}");
        assert!(!text.contains("S3CR3T"), "{text}");
    }
}

/// A key that has lost its PEM lines is taken for the name of a file, and must not be shown as one.
#[test]
fn a_key_without_its_pem_lines_is_never_shown() {
    let pem = KeyPair::generate().unwrap().serialize_pem();
    let base64: String = pem.lines().filter(|line| !line.contains("--")).collect();
    let joined = format!("----BEGIN PRIVATE KEY-----{base64}/x.pem");
    let quoted = format!(r#"{{"kty":"OKP","kid":"a.b","d":"{base64}"}}"#);
    let at_root = format!("/{base64}");
    for key in [&base64, &joined, &quoted, &at_root] {
        for change in [
            |s: &mut Settings, key: &str| s.ca = Some(key.to_owned()),
            |s: &mut Settings, key: &str| s.client_certificate = Some(key.to_owned().into()),
            |s: &mut Settings, key: &str| {
                s.client_certificate = Some("-----BEGIN ".into());
                s.client_key = Some(key.to_owned().into());
            },
        ] {
            let mut settings = Settings::default();
            change(&mut settings, key);
            for settings in [settings.clone(), settings.relative_to("/home/a.b".as_ref())] {
                let error = settings.read().unwrap_err();
                assert_eq!(error.code(), "transport.setup");
                let text = format!("{error} {error:?}");
                assert!(text.contains("neither PEM"), "{text}");
                assert!(!text.contains(&base64[..20]), "{text}");
            }
        }
    }
}

/// Invalid certificates are refused: a self-signed one, one of another host, and an expired one. There is no
/// switch, and roots that cannot be read are an error.
#[tokio::test]
async fn c6_a_server_with_an_invalid_certificate_receives_no_request() {
    let authority = Authority::new();
    let requested = Arc::new(Mutex::new(Vec::new()));
    let served = async |certificate| {
        serve_as(certificate, None, Arc::clone(&requested))
            .await
            .port()
    };
    let issued = |name: &str, until: i32| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        (params.signed_by(&key, &authority.0).unwrap(), key)
    };
    let own_key = KeyPair::generate().unwrap();
    let certificate_params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let self_signed = (certificate_params.self_signed(&own_key).unwrap(), own_key);
    let transport = Transport::default()
        .without_proxy()
        .trust_only(authority.pem());
    let driver = transport.driver().unwrap();
    let port_with_valid_certificate = served(issued("127.0.0.1", 2090)).await;
    for (reason, port, seen) in [
        ("good", port_with_valid_certificate, "a token"),
        ("self-signed", served(self_signed).await, "lost.tls"),
        (
            "of another host",
            served(issued("as.example", 2090)).await,
            "lost.tls",
        ),
        ("over", served(issued("127.0.0.1", 2021)).await, "lost.tls"),
    ] {
        let base = format!("https://127.0.0.1:{port}");
        assert_eq!(code(token(&driver, &base).await), seen, "{reason}");
    }
    assert_eq!(requested.lock().unwrap().len(), 1, "no secret left");
    // Without the caller's roots, the same server is not trusted.
    let plain = Transport::default().without_proxy().driver().unwrap();
    assert_eq!(
        code(
            token(
                &plain,
                &format!("https://127.0.0.1:{port_with_valid_certificate}")
            )
            .await
        ),
        "lost.tls"
    );
    for pem in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(
            Transport::default().trust_only(pem).driver().is_err(),
            "{pem:?}"
        );
    }
}

/// Proxy leaks: the proxy's password is for the proxy, the client's for the server, and a refusing proxy is not
/// bypassed.
#[tokio::test]
async fn c7_a_proxy_and_a_server_receive_only_their_own_secrets() {
    let authority = Authority::new();
    let (at_server, at_proxy) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(Mutex::new(Vec::new())),
    );
    let server = serve_as(authority.issue("127.0.0.1"), None, Arc::clone(&at_server)).await;
    let base = format!("https://{server}");
    let proxy = tunnel(Arc::clone(&at_proxy)).await;
    let through = |proxy: String| {
        let transport = Transport::default().trust_only(authority.pem());
        transport
            .proxy(format!("http://ann:PASSW0RD@{proxy}"))
            .driver()
            .unwrap()
    };
    assert_eq!(
        code(token(&through(proxy.to_string()), &base).await),
        "a token"
    );
    let seen = at_server.lock().unwrap().join("\n").to_ascii_lowercase();
    assert!(
        seen.contains("s3cr3t") && !seen.contains("proxy-authorization"),
        "{seen}"
    );
    let requested = at_proxy.lock().unwrap().join("\n");
    assert!(
        requested.starts_with("CONNECT ") && !requested.contains("S3CR3T"),
        "{requested}"
    );

    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = refusing.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = refusing.accept().await {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream
                .write_all(b"HTTP/1.1 407 -\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    let before = at_server.lock().unwrap().len();
    assert!(code(token(&through(place), &base).await).starts_with("lost"));
    assert_eq!(at_server.lock().unwrap().len(), before);
}
