//! Serves the twins on loopback ports for tests in other languages, with a second generic one as identity provider.
//!
//! Prints one line of JSON, `{"uservoice":"http://127.0.0.1:1234",...}`, and stops when its
//! standard input closes.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use oauth_testkit::{Served, Twin};

type Make = fn(&str) -> Twin;

const TWINS: [(&str, Make); 7] = [
    ("generic", Twin::generic),
    ("identity-provider", Twin::generic),
    ("uservoice", Twin::uservoice),
    ("usertesting", Twin::usertesting),
    ("usertesting-apps", Twin::usertesting_apps),
    ("socios", Twin::socios),
    ("fapi", Twin::fapi),
];

fn main() -> io::Result<()> {
    let mut served = BTreeMap::new();
    for (name, make) in TWINS {
        served.insert(name, Served::start(make)?);
    }
    let bases: BTreeMap<_, _> = served
        .iter()
        .map(|(name, twin)| (name, twin.base()))
        .collect();
    println!("{}", serde_json::to_string(&bases)?);
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
