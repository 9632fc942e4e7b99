//! The report of a demo flow, for people and for programs.

use std::fmt;

use serde_json::{Value, json};

use super::demo_env::{Discrepancy, Flow, System};
use super::wire_recorder::RecordedRequest;
use crate::output::{BOLD, DIM, GREEN, RED};
use crate::trace::{Item, relevant_headers};

/// Printed above the report.
pub(super) const LEGEND: &str = "\
Every flow runs over real sockets, against its own server on this machine.
→ request, ← response, · check. Values that could be secret are shown as …";

/// The width at which lines are wrapped.
const LINE_WIDTH: usize = 100;

/// The outcome of one flow.
pub(super) struct Outcome {
    flow: &'static Flow,
    pub(super) hops: Vec<RecordedRequest>,
    pub(super) checks: Vec<String>,
    pub(super) failed: Option<Discrepancy>,
    pub(super) milliseconds: u128,
}

impl Outcome {
    pub(super) const fn new(flow: &'static Flow) -> Self {
        Self {
            flow,
            hops: Vec::new(),
            checks: Vec::new(),
            failed: None,
            milliseconds: 0,
        }
    }

    fn to_json(&self) -> Value {
        let steps = self.hops.iter().map(|hop| {
            let sender = if hop.is_browser { "browser" } else { "client" };
            json!({ "by": sender, "sent": hop.sent, "received": hop.received })
        });
        json!({
            "name": self.flow.name,
            "ok": self.failed.is_none(),
            "what": self.flow.description,
            "checks": self.checks,
            "error_code": self.failed.as_ref().and_then(|failed| failed.code),
            "reason": self.failed.as_ref().map(|failed| &failed.reason),
            "milliseconds": u64::try_from(self.milliseconds).unwrap_or(u64::MAX),
            "steps": steps.collect::<Vec<_>>(),
        })
    }
}

pub(super) fn to_json(system: &System, flows: &[Outcome]) -> Value {
    let flows: Vec<Value> = flows.iter().map(Outcome::to_json).collect();
    json!({ "name": system.name, "flows": flows })
}

/// Printed above the flows of a system.
pub(super) fn heading(system: &System) -> String {
    format!("\n{BOLD}{}{BOLD:#}", system.name)
}

/// A line for each system with its passed flows and its time, followed by those that failed.
pub(super) fn summary(tally: &[(&str, Vec<Outcome>)]) -> String {
    let mut lines = vec![String::new()];
    for (name, flows) in tally {
        let passed = flows.iter().filter(|flow| flow.failed.is_none()).count();
        let time: u128 = flows.iter().map(|flow| flow.milliseconds).sum();
        let color = if passed == flows.len() { GREEN } else { RED };
        let count = format!("{passed} of {} ok", flows.len());
        lines.push(format!("{name:18}{color}{count:>12}{color:#}{time:>8} ms"));
        for flow in flows.iter().filter(|flow| flow.failed.is_some()) {
            lines.push(format!("  {RED}✗{RED:#} {}", flow.flow.name));
        }
    }
    lines.join("\n")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flow {
            name, description, ..
        } = self.flow;
        let (sign, color) = match self.failed {
            None => ('✓', GREEN),
            Some(_) => ('✗', RED),
        };
        let time = self.milliseconds;
        write!(
            f,
            "{color}{sign}{color:#} {BOLD}{name}{BOLD:#}  {description} {DIM}{time} ms{DIM:#}"
        )?;
        for (hop, times) in runs(&self.hops) {
            write_hop(f, hop, times)?;
        }
        for check in &self.checks {
            marked_line(f, '·', check.split(' ').map(str::to_owned))?;
        }
        match &self.failed {
            Some(failed) => write!(f, "\n    {RED}failed{RED:#}: {}", failed.reason),
            None => Ok(()),
        }
    }
}

/// Equal neighbours, counted.
fn runs(hops: &[RecordedRequest]) -> Vec<(&RecordedRequest, usize)> {
    let mut runs: Vec<(&RecordedRequest, usize)> = Vec::new();
    for hop in hops {
        match runs.last_mut() {
            Some((last, times)) if *last == hop => *times += 1,
            _ => runs.push((hop, 1)),
        }
    }
    runs
}

fn write_hop(f: &mut fmt::Formatter<'_>, hop: &RecordedRequest, times: usize) -> fmt::Result {
    let (sent, prefix) = (&hop.sent, if hop.is_browser { "browser " } else { "" });
    let head = format!("{prefix}{} {}{}", sent.method, sent.origin, sent.path);
    let query = sent.query.iter().enumerate().map(|(at, item)| {
        let separator = if at == 0 { '?' } else { '&' };
        format!("{separator}{item}")
    });
    let mut parts = vec![head];
    parts.extend(query);
    parts.extend(relevant_headers(&sent.headers));
    parts.extend(sent.body.iter().map(ToString::to_string));
    marked_line(f, '→', parts)?;
    let Some(received) = &hop.received else {
        return marked_line(f, '←', ["no response".to_owned()]);
    };
    let mut parts = vec![received.status.to_string()];
    parts.extend(relevant_headers(&received.headers));
    parts.extend(members(&received.body));
    if times > 1 {
        parts.push(format!("({times} times)"));
    }
    marked_line(f, '←', parts)
}

/// The members of a JSON body, in its braces.
fn members(body: &[Item]) -> Vec<String> {
    let last = body.len().saturating_sub(1);
    let member = |(at, item)| {
        let open = if at == 0 { "{" } else { "" };
        let close = if at == last { "}" } else { "," };
        format!("{open}{item}{close}")
    };
    body.iter().enumerate().map(member).collect()
}

/// A line of text after a marker, wrapped at the width.
fn marked_line(
    f: &mut fmt::Formatter<'_>,
    sign: char,
    words: impl IntoIterator<Item = String>,
) -> fmt::Result {
    write!(f, "\n    {DIM}{sign}{DIM:#}")?;
    let mut column = 5;
    for word in words {
        let width = word.chars().count() + 1;
        if column > 5 && column + width > LINE_WIDTH {
            write!(f, "\n       ")?;
            column = 7;
        }
        write!(f, " {word}")?;
        column += width;
    }
    Ok(())
}
