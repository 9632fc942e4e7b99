//! `oauth demo`, and the servers behind it.

use crate::common::oauth;
use serde_json::Value;

const SYSTEMS: [&str; 4] = ["uservoice", "usertesting", "usertesting-apps", "socios"];

#[test]
fn every_flow_of_every_system_succeeds() {
    let done = oauth(&["demo", "--json"]).run();
    let record: Value = serde_json::from_str(&done.stdout).unwrap();
    let systems = record["systems"].as_array().unwrap();
    let names: Vec<&str> = systems
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, SYSTEMS);
    for flow in systems
        .iter()
        .flat_map(|system| system["flows"].as_array().unwrap())
    {
        assert_eq!(flow["ok"], true, "{}: {}", flow["name"], flow["reason"]);
        assert!(flow["name"].is_string() && flow["what"].is_string());
        assert!(!flow["checks"].as_array().unwrap().is_empty());
        assert_eq!(flow["error_code"], Value::Null);
        assert!(flow["milliseconds"].is_u64());
        for step in flow["steps"].as_array().unwrap() {
            assert!(
                step["sent"]["path"].is_string() && step["received"]["status"].is_u64(),
                "{step}"
            );
        }
    }
    assert_eq!(done.code, 0);
}

#[test]
fn the_report_contains_no_secret() {
    for arguments in [&["demo"][..], &["demo", "--json"]] {
        let done = oauth(arguments).run();
        assert!(!done.stdout.is_empty());
        for secret in ["s3cr", "c0nsumer", "eyJ"] {
            assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret));
        }
        assert!(
            !done.stdout.contains('\u{1b}'),
            "no colours outside of a terminal"
        );
    }
}

#[test]
fn demo_can_run_a_single_system() {
    let report = oauth(&["demo", "--system", "socios"]).run().ok();
    assert!(report.contains("✓ reuse_detection"), "{report}");
    assert!(!report.contains("uservoice"), "{report}");
    assert_eq!(oauth(&["demo", "--system", "none"]).run().code, 2);
}
