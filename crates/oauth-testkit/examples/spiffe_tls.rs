//! Serves [`MutualTls`] for tests in other languages: clients are workloads that authenticate with X.509-SVIDs
//! (`spiffe_x509`).
//!
//! Prints one line of JSON, its fields with an SVID for each of two workloads, and stops when its standard input closes.

use std::io::{self, Read as _};

use oauth_testkit::{MutualTls, Twin};

const WORKER: &str = "spiffe://example.org/worker";
const OTHER: &str = "spiffe://example.org/other";

fn main() -> io::Result<()> {
    let tls = MutualTls::start()?;
    tls.with(Twin::bind_to_certificates);
    let body = serde_json::json!({
        "base": tls.base,
        "ca": tls.ca,
        "spiffe_id": WORKER,
        "svid": tls.issue_svid(WORKER)?,
        "other_svid": tls.issue_svid(OTHER)?,
    });
    println!("{body}");
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
