//! Serves [`Tls`] for tests in other languages.
//!
//! Prints one line of JSON, its fields, and stops when its standard input closes.

use std::io::{self, Read as _};

use oauth_testkit::Tls;

fn main() -> io::Result<()> {
    let tls = Tls::start()?;
    let body = serde_json::json!({
        "base": tls.base,
        "mutual": tls.mutual,
        "ca": tls.ca,
        "certificate": tls.certificate,
        "key": tls.key,
        "client_id": tls.client_id,
        "client_secret": tls.client_secret,
    });
    println!("{body}");
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
