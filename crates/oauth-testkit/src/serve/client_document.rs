//! Fetches client ID metadata documents, for a twin that accepts URLs as client ids.
//!
//! Anyone can use any URL as a client id, so only plain http from loopback addresses, where tests run, is fetched. A
//! production server would have to refuse exactly those addresses
//! (draft-ietf-oauth-client-id-metadata-document, section on SSRF).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The time limit of a fetch.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The largest document accepted, in bytes.
const MAX_DOCUMENT_BYTES: usize = 16 << 10;

/// Fetches this URL without following redirects.
///
/// # Errors
/// If the URL is not a loopback address, or nothing answers in time.
pub(super) async fn fetch_from_loopback(url: &str) -> Result<Response<Bytes>, Failure> {
    let url: Uri = url.parse()?;
    let address = loopback(&url).ok_or("documents are only fetched from this machine")?;
    tokio::time::timeout(MAX_WAIT, fetch(&url, address)).await?
}

fn loopback(url: &Uri) -> Option<SocketAddr> {
    if url.scheme_str() != Some("http") {
        return None;
    }
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = host.parse().ok()?;
    let port = url.port_u16().unwrap_or(80);
    address
        .is_loopback()
        .then(|| SocketAddr::new(address, port))
}

async fn fetch(url: &Uri, address: SocketAddr) -> Result<Response<Bytes>, Failure> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header("host", url.authority().map_or("", |host| host.as_str()))
        .header("accept", "application/json")
        .body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_DOCUMENT_BYTES)
        .collect()
        .await?
        .to_bytes();
    Ok(Response::from_parts(head, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_documents_are_fetched_from_loopback_only() {
        let is_fetched = |url: &str| loopback(&url.parse().expect("a URL")).is_some();
        assert!(is_fetched("http://127.0.0.1:8000/c.json"));
        assert!(is_fetched("http://[::1]:8000/c.json"));
        for url in [
            "https://127.0.0.1/c.json",
            "http://10.0.0.1/c.json",
            "http://169.254.169.254/latest",
            "http://app.example/c.json",
            "http://127.0.0.1.app.example/c.json",
        ] {
            assert!(!is_fetched(url), "{url}");
        }
    }
}
