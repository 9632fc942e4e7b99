//! oauth-core compared with its Rust peers and with a floor, in one process: `cargo xtask bench rust`.
//!
//! Prints one line of JSON for each figure. All sides send to the same stub, which hands each a
//! copy of the reply in the type that side reads; what they sent is compared before anything is
//! measured, and unequal requests end the program with an error.

mod at_hand;
mod dpop;
mod floor;
mod huskarls;
mod id_token;
mod measure;
mod oauth2s;
mod ours;
mod private_key_jwt;
mod sent;

use std::process::ExitCode;

use bytes::Bytes;
use serde_json::json;

use measure::{Costs, Instructions};
use sent::SentRequest;

const ID: &str = "s6BhdRkqt3";
const SECRET: &str = "7Fjfp0ZBr1KtDRbnfVdmIw";
const ISSUER: &str = "https://server.example.com";
const TOKEN_URI: &str = "https://server.example.com/token";
const AUTHORIZE_URI: &str = "https://server.example.com/authorize";
const REDIRECT_URI: &str = "https://client.example.com/cb";
const OURS: &str = "oauth-core";
const FLOOR: &str = "floor";

/// Gets what was read (a token and its lifetime, or a URL and zero) before it is dropped.
type Visit<'a> = &'a mut dyn FnMut(&str, u64);
type Operation = Box<dyn Fn(usize, Visit<'_>)>;

/// One side of one row.
struct Side {
    name: &'static str,
    run: Operation,
}

impl Side {
    fn new(name: &'static str, run: impl Fn(usize, Visit<'_>) + 'static) -> Self {
        let run = Box::new(run);
        Self { name, run }
    }
}

struct Row {
    what: &'static str,
    sides: Vec<Side>,
    /// How many times the faster peer, or the floor, ours may take.
    of_peer: f64,
    of_floor: Option<f64>,
    /// Whether a token is requested, or a URL built.
    is_grant: bool,
}

/// Inputs that change from call to call.
fn scopes() -> Vec<String> {
    (0..16).map(|n| format!("read:{n} write:{n}")).collect()
}

/// A reply for each of the inputs, which grants the requested scope.
fn replies(token: &str) -> Vec<Bytes> {
    let reply = |scope: String| {
        Bytes::from(format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600,"scope":"{scope}","note":"none of the protocol's"}}"#
        ))
    };
    scopes().into_iter().map(reply).collect()
}

fn rows() -> Vec<Row> {
    let grant = |what, token: &str, of_peer, of_floor| {
        let replies = replies(token);
        Row {
            what,
            sides: vec![
                floor::grant(replies.clone()),
                ours::grant(replies.clone()),
                oauth2s::grant(replies.clone()),
                oauth2s::openid_grant(replies.clone()),
                huskarls::grant(replies),
            ],
            of_peer,
            of_floor,
            is_grant: true,
        }
    };
    vec![
        grant(
            "client_credentials, build and read, 140 B reply",
            "2YotnFZFEjr1zCsicMWpAA",
            0.5,
            Some(1.5),
        ),
        grant(
            "client_credentials, build and read, 1.6 kB reply",
            &"eyJhbGciOiJSUzI1NiJ9.".repeat(71),
            0.6,
            None,
        ),
        Row {
            what: "authorization URL with PKCE S256, state and verifier drawn",
            sides: vec![
                floor::url(),
                ours::url(),
                oauth2s::url(),
                oauth2s::openid_url(),
                huskarls::url(),
            ],
            of_peer: 0.7,
            of_floor: None,
            is_grant: false,
        },
    ]
}

fn main() -> ExitCode {
    let rows = rows();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Under a profiler: `--only ROW SIDE CALLS`.
    if let [only, row, side, calls] = arguments.as_slice()
        && only == "--only"
    {
        let found = row.parse().ok().and_then(|row: usize| rows.get(row));
        let found = found.and_then(|row| row.sides.iter().find(|one| one.name == side));
        return match (found, calls.parse()) {
            (Some(side), Ok(calls)) => {
                (0..calls).for_each(|n| measure::call(&side.run, n));
                ExitCode::SUCCESS
            }
            _ => ExitCode::FAILURE,
        };
    }
    if arguments == ["--dpop"] {
        dpop::figures();
        return ExitCode::SUCCESS;
    }
    if arguments == ["--private-key-jwt"] {
        private_key_jwt::figures();
        return ExitCode::SUCCESS;
    }
    if arguments == ["--id-tokens"] {
        id_token::figures();
        return ExitCode::SUCCESS;
    }
    let mut is_equal = true;
    for (number, row) in rows.iter().enumerate() {
        is_equal &= check(row);
        figures(number, row);
    }
    at_hand::figures();
    id_token::figures();
    dpop::figures();
    private_key_jwt::figures();
    if is_equal {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Whether all sides sent and read the same, regardless of the order of parameters and headers.
fn check(row: &Row) -> bool {
    let watched = |n| {
        row.sides
            .iter()
            .map(move |side| (side.name, sent::watch(&side.run, n, row.is_grant)))
    };
    let mut is_equal = true;
    for n in [3, 4] {
        let all: Vec<(&str, SentRequest)> = watched(n).collect();
        let Some((_, wanted)) = all.iter().find(|(name, _)| *name == OURS) else {
            return false;
        };
        for (name, seen) in &all {
            let (like, set_aside) = sent::comparable(name, seen, row.is_grant);
            if like.sorted() != wanted.sorted() {
                let shown = |seen: &SentRequest| {
                    format!("{:?}", seen.sorted())
                        .chars()
                        .take(600)
                        .collect::<String>()
                };
                println!(
                    "{}: {name} differs:\n  {}\n  {}",
                    row.what,
                    shown(&like),
                    shown(wanted)
                );
                is_equal = false;
            } else if n == 3 {
                if let Some(what) = set_aside {
                    println!("{}: {name} {what}, which is set aside", row.what);
                }
                if like.in_order() != wanted.in_order() {
                    println!("{}: {name} sends its parameters in another order", row.what);
                }
            }
        }
    }
    is_equal
}

fn figures(number: usize, row: &Row) {
    let costs = measure::interleaved(&row.sides);
    let of = |value: fn(&Costs) -> f64| -> Vec<(&str, f64)> {
        row.sides
            .iter()
            .map(|side| side.name)
            .zip(costs.iter().map(value))
            .collect()
    };
    let nanoseconds = of(|costs| costs.nanoseconds);
    let peers = nanoseconds
        .iter()
        .filter(|(name, _)| ![OURS, FLOOR].contains(name));
    let fastest = peers.map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    print_figure(
        &format!("{}; budget: {} of the faster peer", row.what, row.of_peer),
        "ns",
        &nanoseconds,
        Some(fastest * row.of_peer),
    );
    let floor = nanoseconds.first().map_or(0.0, |(_, value)| *value);
    if let Some(times) = row.of_floor {
        let two: Vec<_> = nanoseconds.iter().copied().take(2).collect();
        let what = format!("the same; budget: {times} of the floor");
        print_figure(&what, "ns", &two, Some(floor * times));
    }
    let allocations = of(|costs| costs.allocations);
    if row.is_grant && allocations.first().is_none_or(|(_, count)| *count > 12.0) {
        panic!("the floor is no floor: {allocations:?}");
    }
    print_figure("the same", "allocations", &allocations, None);
    print_figure(
        "the same",
        "bytes allocated",
        &of(|costs| costs.bytes),
        None,
    );
    if let Some(Instructions(counts)) = Instructions::of(number, &row.sides) {
        let unit = "instructions outside the kernel (callgrind)";
        print_figure("the same", unit, &counts, None);
    }
}

fn print_figure(what: &str, unit: &str, sides: &[(&str, f64)], budget: Option<f64>) {
    println!(
        "{}",
        json!({"what": what, "unit": unit, "sides": sides, "budget": budget})
    );
}
