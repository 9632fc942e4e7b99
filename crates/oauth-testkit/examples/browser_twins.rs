//! Serves the twins with public clients to pages of one origin: `browser_twins ORIGIN`. The tokens of `bank` are bound to
//! keys.
//!
//! Prints one line of JSON, `{"generic": "http://127.0.0.1:PORT", "uservoice": .., "bank": ..}`, and stops when
//! its standard input closes.

use std::io::{self, Read as _};

use oauth_testkit::{Served, Twin};
use serde_json::json;

fn main() -> io::Result<()> {
    let usage = || io::Error::other("usage: browser_twins ORIGIN");
    let origin = std::env::args().nth(1).ok_or_else(usage)?;
    let serve = |make: fn(&str) -> Twin| {
        Served::start(|base| {
            let mut twin = make(base);
            twin.cors_origin(&origin);
            twin
        })
    };
    let (generic, uservoice) = (serve(Twin::generic)?, serve(Twin::uservoice)?);
    let bank = serve(|base| {
        let mut twin = Twin::generic(base);
        twin.require_dpop();
        twin
    })?;
    println!(
        "{}",
        json!({ "generic": generic.base(), "uservoice": uservoice.base(), "bank": bank.base() })
    );
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
