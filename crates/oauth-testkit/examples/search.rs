//! Tries every order of events of two workers that share a grant: `search --depth N`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use oauth_core::flow::keeper::Reuse;
use oauth_testkit::fleet::Search;

/// Tries every order of events of two workers that share a grant.
#[derive(Parser)]
struct Options {
    /// How many steps.
    #[arg(long, default_value_t = 12)]
    depth: usize,
    /// How many troubles a history may have: of a login, a logout, a death, a lost reply, a failure of
    /// the store and a stand-still.
    #[arg(long, default_value_t = 6)]
    troubles: u32,
}

const RULES: &str = "one flight, the newest, kept, answered, saved first, own grant, one record, \
    the last login, no login where nothing was lost";

fn main() -> ExitCode {
    let options = Options::parse();
    for reuse in [Reuse::Unknown, Reuse::Revokes] {
        let start = Instant::now();
        let search = Search::new(reuse, options.depth).with_troubles(options.troubles);
        match search.run() {
            Ok(found) => {
                let end = match found.is_complete {
                    true => "every history is at its end",
                    false => "longer ones are not tried",
                };
                println!(
                    "{reuse:?}: {} states, each carried on to rest; {} ways to a known one; depth {}, \
                     {end}; at most {} troubles; {:.1} s",
                    found.states,
                    found.repeated,
                    found.depth,
                    options.troubles.min(6),
                    start.elapsed().as_secs_f64(),
                );
            }
            Err(violation) => {
                println!("{violation}");
                println!("0 passed, 1 failed");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("rules: {RULES}");
    println!("2 passed, 0 failed");
    ExitCode::SUCCESS
}
