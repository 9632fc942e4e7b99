//! Tries every order of events of two workers that share a grant: `search --depth N`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use oauth_core::flow::keeper::Reuse;
use oauth_testkit::fleet::Search;

/// Tries every order of events of two workers that share a grant.
#[derive(Parser)]
struct Options {
    /// The number of steps; by default, what takes half a minute: long histories with one trouble,
    /// shorter ones with two, short ones with all six.
    #[arg(long)]
    depth: Option<usize>,
    /// The maximum number of troubles in a history: a login, a logout, a death, a lost reply, a failure of
    /// the store and a suspension.
    #[arg(long, default_value_t = 2)]
    troubles: u32,
}

const PLAN: [(usize, u32); 3] = [(36, 1), (15, 2), (9, 6)];

const RULES: &str = "one flight, the newest, kept, answered, saved first, own grant, one record, \
    the last login, no login where nothing was lost";

fn main() -> ExitCode {
    let options = Options::parse();
    let plan = match options.depth {
        Some(depth) => vec![(depth, options.troubles)],
        None => PLAN.to_vec(),
    };
    println!("rules: {RULES}");
    let mut passed = 0;
    for (depth, troubles) in plan {
        for reuse in [Reuse::Unknown, Reuse::Revokes] {
            let start = Instant::now();
            match Search::new(reuse, depth).with_troubles(troubles).run() {
                Ok(found) => {
                    let end = if found.is_complete {
                        ", all histories completed"
                    } else {
                        ""
                    };
                    passed += 1;
                    println!(
                        "{reuse:?}, at most {troubles} troubles: depth {}{end}; {} states, each \
                         carried on to rest, and {} other ways to one of them; {:.1} s",
                        found.depth,
                        found.states,
                        found.repeated,
                        start.elapsed().as_secs_f64(),
                    );
                }
                Err(violation) => {
                    println!("{violation}");
                    println!("{passed} passed, 1 failed");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!("{passed} passed, 0 failed");
    ExitCode::SUCCESS
}
