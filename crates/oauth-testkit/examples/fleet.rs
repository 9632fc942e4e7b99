//! Runs histories of simulated fleets: `fleet --seeds N` from seed 0 or from `--from`, `fleet --seed S` for
//! one, with a transcript if it breaks a rule.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use oauth_testkit::fleet::{Flaw, Fleet, Report, Sessions, Setup, Web, WebFlaw, WebReport};
use oauth_testkit::twin::DpopNonces;

/// The time for which two keys or certificates of a client coexist.
const MIN_KEY_OVERLAP: Duration = Duration::from_secs(120);

/// Runs histories of fleets.
#[derive(Parser)]
struct Options {
    /// The number of seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run only this seed.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// The hosts that run the keepers.
    #[arg(long, value_enum, default_value = "model")]
    host: Host,
    /// A flaw of the model's or the web servers' hosts; an unknown name prints the list of all.
    #[arg(long)]
    flaw: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Host {
    /// A model host, divided into single steps.
    Model,
    /// The real sessions of oauth-session.
    Real,
    /// Web servers, and users with browsers.
    Web,
}

impl Host {
    const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Real => "real",
            Self::Web => "web",
        }
    }

    /// The hosts, with this flaw.
    fn with(self, flaw: Option<&str>) -> Result<Hosts, String> {
        match (self, flaw) {
            (Self::Model, flaw) => {
                let flaw = flaw.map(|name| flaw_from_name(&Flaw::ALL, name));
                Ok(Hosts::Model(flaw.transpose()?))
            }
            (Self::Real, None) => Ok(Hosts::Real),
            (Self::Real, Some(_)) => Err("the real sessions have no flaws".to_owned()),
            (Self::Web, flaw) => {
                let flaw = flaw.map(|name| flaw_from_name(&WebFlaw::ALL, name));
                Ok(Hosts::Web(flaw.transpose()?))
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Hosts {
    Model(Option<Flaw>),
    Real,
    Web(Option<WebFlaw>),
}

/// The summed reports of histories.
#[derive(Debug, Default)]
struct TotalReport {
    fleets: Report,
    web: WebReport,
}

impl Hosts {
    /// Runs a history and counts it.
    fn run(self, seed: u64, sum: &Mutex<TotalReport>) -> Result<(), String> {
        let setup = setup(seed);
        let report = match self {
            Self::Model(flaw) => {
                let setup = flaw.map_or(setup.clone(), |flaw| setup.with_flaw(flaw));
                Fleet::new(seed, setup)
                    .run()
                    .map_err(|broken| broken.to_string())?
            }
            Self::Real => Sessions::new(seed, setup)
                .run()
                .map_err(|broken| broken.to_string())?,
            Self::Web(flaw) => {
                let web = Web::new(seed);
                let web = flaw.map_or(web, |flaw| web.with_flaw(flaw));
                let report = web.run().map_err(|broken| broken.to_string())?;
                if let Ok(mut sum) = sum.lock() {
                    sum.web.add(&report);
                }
                return Ok(());
            }
        };
        if let Ok(mut sum) = sum.lock() {
            sum.fleets.add(&report);
        }
        Ok(())
    }
}

/// The flaw with this name.
fn flaw_from_name<F: Copy>(all: &[(&str, F)], name: &str) -> Result<F, String> {
    let found = all.iter().find(|(key, _)| *key == name);
    found.map(|(_, flaw)| *flaw).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(key, _)| *key).collect();
        format!("no such flaw; there are: {}", names.join(", "))
    })
}

/// The fleet of a seed. In some, keys and certificates are replaced; few have DPoP proofs, whose signatures take twenty
/// times as long as everything else.
fn setup(seed: u64) -> Setup {
    let setup = Setup::random(seed);
    match seed % 20 {
        _ if seed % 200 == 9 => setup.with_dpop(DpopNonces::Kept),
        3 | 13 => setup.with_certificates(MIN_KEY_OVERLAP),
        6 => setup.with_client_keys(MIN_KEY_OVERLAP),
        16 => setup
            .with_client_keys(MIN_KEY_OVERLAP)
            .with_certificates(MIN_KEY_OVERLAP),
        _ => setup,
    }
}

/// The state shared by all threads.
#[derive(Default)]
struct Shared {
    next: AtomicU64,
    /// The end of the seeds to run.
    end: AtomicU64,
    done: AtomicU64,
    sum: Mutex<TotalReport>,
    /// The seed of the first history that broke a rule, and its report.
    first: Mutex<Option<(u64, String)>>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let hosts = match options.host.with(options.flaw.as_deref()) {
        Ok(hosts) => hosts,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    let shared = Shared::default();
    let (from, to) = match options.seed {
        Some(seed) => (seed, seed.saturating_add(1)),
        None => (options.from, options.from.saturating_add(options.seeds)),
    };
    shared.next.store(from, Ordering::Relaxed);
    shared.end.store(to, Ordering::Relaxed);
    let start = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| work(&shared, hosts)))
            .collect();
        let mut shown = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(20));
            let is_seen = std::io::stderr().is_terminal();
            if shown.elapsed() > Duration::from_secs(if is_seen { 1 } else { 20 }) {
                shown = Instant::now();
                progress(&shared, to - from, start, is_seen);
            }
        }
    });
    let done = shared.done.load(Ordering::Relaxed);
    let first = shared.first.lock().map_or(None, |mut first| first.take());
    let seconds = start.elapsed().as_secs_f64();
    let counted = shared.sum.lock().map_or(String::new(), |sum| match hosts {
        Hosts::Web(_) => format!("{:?}", sum.web),
        Hosts::Model(_) | Hosts::Real => format!("{:?}", sum.fleets),
    });
    println!(
        "{done} histories in {seconds:.1} s, {:.0} a second; {counted}",
        done as f64 / seconds,
    );
    match first {
        Some((seed, expected)) => {
            println!("{expected}");
            println!(
                "run again: cargo xtask test fleet --host {} --seed {seed}",
                options.host.name(),
            );
            println!("{} passed, 1 failed", seed - from);
            ExitCode::FAILURE
        }
        None => {
            println!("{done} passed, 0 failed");
            ExitCode::SUCCESS
        }
    }
}

fn work(shared: &Shared, hosts: Hosts) {
    loop {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= shared.end.load(Ordering::Relaxed) {
            return;
        }
        let result = hosts.run(seed, &shared.sum);
        shared.done.fetch_add(1, Ordering::Relaxed);
        if let Err(expected) = result {
            // The lowest failing seed is reported: the other threads finish theirs.
            shared.end.fetch_min(seed, Ordering::Relaxed);
            if let Ok(mut first) = shared.first.lock()
                && first.as_ref().is_none_or(|(first, _)| seed < *first)
            {
                *first = Some((seed, expected));
            }
        }
    }
}

fn progress(shared: &Shared, all: u64, start: Instant, is_seen: bool) {
    let done = shared.done.load(Ordering::Relaxed);
    let rate = done as f64 / start.elapsed().as_secs_f64();
    let mut out = std::io::stderr();
    let line = format!("{done} of {all} histories, {rate:.0} a second");
    // A failure to print is harmless.
    let _ = if is_seen {
        write!(out, "\r{line}  ")
    } else {
        writeln!(out, "{line}")
    };
}
