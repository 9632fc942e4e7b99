//! A small run of the benchmark of many grants, with checks of its counts.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_small_benchmark_run_prints_correct_figures() {
    let run = Command::new(env!("CARGO_BIN_EXE_grants"))
        .args(["--known", "2000", "--active", "200", "--callers", "100"])
        // Fewer than the driver's own limit.
        .args(["--per-second", "50"])
        .output()
        .expect("it runs");
    let stdout = String::from_utf8_lossy(&run.stdout);
    let reason = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{stdout}{reason}");
    assert!(
        stdout.contains("at the token endpoint: 100 requests"),
        "{stdout}"
    );
    let figures: Vec<Value> = stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let figures_named = |what: &str| {
        let names = |figure: &&Value| {
            figure["what"]
                .as_str()
                .is_some_and(|all| all.ends_with(what))
        };
        let figure = figures.iter().find(names);
        let figure = figure.unwrap_or_else(|| panic!("no figure {what}: {stdout}"));
        figure["sides"][0][1].as_f64().expect("a number")
    };
    // 200 access tokens and refresh tokens of 128 bytes.
    let bytes = figures_named("their tokens' own bytes") * f64::from(1 << 20);
    assert!((bytes - 51_200.0).abs() < 1.0, "{bytes}");
    assert!(figures_named("resident beyond their tokens") > 0.0);
}
