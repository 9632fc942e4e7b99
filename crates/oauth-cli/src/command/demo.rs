//! `oauth demo`: every documented flow of the four systems, over real sockets.
//!
//! Each system's server is a twin on this machine, each flow gets a fresh one, and everything
//! between the two is the library as it is used in practice: preset, client, blocking driver, token
//! source, loopback listener. The report shows the messages as recorded on the wire between them.

mod demo_env;
mod report;
mod socios;
mod usertesting;
mod usertesting_apps;
mod uservoice;
mod wire_recorder;

use std::time::Instant;

use clap::{Args, ValueEnum};
use oauth_reqwest::blocking::Driver;
use serde_json::json;

use crate::output::{self, Failure, Output};
use demo_env::{DemoEnv, Flow, System};
use report::Outcome;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth demo
  oauth demo --system socios
  oauth demo --json | jq '.systems[].flows[] | select(.ok | not)'

The exit code is 0 only if every flow behaves as its provider documents.";

/// Runs every documented flow.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Run only the flows of this system
    #[arg(long, value_enum, value_name = "NAME")]
    system: Option<Name>,
}

/// The systems, as they are named everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// UserVoice
    Uservoice,
    /// UserTesting, with an account's credentials
    Usertesting,
    /// UserTesting, with a portal app's credentials
    UsertestingApps,
    /// Socios.com
    Socios,
}

impl Name {
    const fn system(self) -> &'static System {
        match self {
            Self::Uservoice => &uservoice::SYSTEM,
            Self::Usertesting => &usertesting::SYSTEM,
            Self::UsertestingApps => &usertesting_apps::SYSTEM,
            Self::Socios => &socios::SYSTEM,
        }
    }
}

impl Demo {
    pub(super) fn run(self, output: Output) -> Result<(), Failure> {
        let driver = demo_env::driver()?;
        let is_wanted = |name: &&Name| self.system.is_none_or(|selected| selected == **name);
        let mut record = Vec::new();
        let mut tally = Vec::new();
        if !output.json {
            output::print(report::LEGEND)?;
        }
        for name in Name::value_variants().iter().filter(is_wanted) {
            let system = name.system();
            if !output.json {
                output::print(report::heading(system))?;
            }
            let mut flows = Vec::new();
            for flow in system.flows {
                let outcome = run(system, flow, &driver);
                if !output.json {
                    output::print(&outcome)?;
                }
                flows.push(outcome);
            }
            record.push(report::to_json(system, &flows));
            tally.push((system.name, flows));
        }
        output.result(report::summary(&tally), &json!({ "systems": record }))?;
        let failed = tally.iter().flat_map(|(_, flows)| flows);
        match failed.filter(|flow| flow.failed.is_some()).count() {
            0 => Ok(()),
            count => Err(Failure::refused(
                "demo.failed",
                format_args!("{count} flows did not behave as documented"),
                "the report shows what was expected",
            )),
        }
    }
}

fn run(system: &System, flow: &'static Flow, driver: &Driver) -> Outcome {
    let start = Instant::now();
    let mut outcome = Outcome::new(flow);
    match DemoEnv::new(system, driver.clone()) {
        Ok(env) => {
            outcome.failed = (flow.run)(&env).err();
            outcome.hops = env.hops.all();
            outcome.checks = env.into_checks();
        }
        Err(failed) => outcome.failed = Some(failed),
    }
    outcome.milliseconds = start.elapsed().as_millis();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use oauth_testkit::Twin;

    /// The checks must be able to fail: every flow that contacts its server detects another one.
    #[test]
    fn flows_fail_against_another_server() {
        let driver = &demo_env::driver().unwrap();
        let judge = |system: &System, flow: &'static Flow| {
            let outcome = run(system, flow, driver);
            let sent = outcome.hops.len();
            assert_eq!(outcome.failed.is_some(), sent > 0, "{}", flow.name);
            assert_eq!(
                outcome.to_string().contains("failed"),
                sent > 0,
                "{outcome}"
            );
        };
        std::thread::scope(|scope| {
            for name in Name::value_variants() {
                let flows = name.system().flows;
                for flow in flows {
                    scope.spawn(move || {
                        let other = System {
                            twin: Twin::generic,
                            ..*name.system()
                        };
                        judge(&other, flow);
                    });
                }
            }
        });
    }

    #[test]
    fn flow_names_are_unique_per_system() {
        for name in Name::value_variants() {
            let mut names: Vec<&str> = name.system().flows.iter().map(|flow| flow.name).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
