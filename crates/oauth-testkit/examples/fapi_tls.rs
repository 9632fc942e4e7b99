//! Serves [`MutualTls`] for tests in other languages: a client authenticates by its certificate, and tokens are bound to
//! it.
//!
//! Prints one line of JSON, its fields with two certificates for the client, and stops when its standard input closes.

use std::io::{self, Read as _};

use oauth_testkit::MutualTls;

fn main() -> io::Result<()> {
    let tls = MutualTls::start()?;
    let client_id = tls.with(|twin| {
        twin.authenticate_by_certificate();
        twin.bind_to_certificates();
        twin.client_id().to_owned()
    });
    let body = serde_json::json!({
        "base": tls.base,
        "mutual": tls.mutual,
        "ca": tls.ca,
        "certificates": [tls.issue()?, tls.issue()?],
        "client_id": client_id,
    });
    println!("{body}");
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
