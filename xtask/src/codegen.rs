//! Files generated from tables: error classes, codes, operations and their documentation, the browser's
//! presets, Python's stub.

use crate::shell::{Outcome, cargo, step};

/// Writes every generated file, or with `is_check` only compares and names those that are stale.
pub(crate) fn run(is_check: bool) -> Outcome {
    let mut helper = cargo();
    helper.args(["run", "--quiet", "--bin", "xtask-codegen", "--"]);
    if is_check {
        step("codegen --check", helper.arg("--check"))
    } else {
        step("codegen", &mut helper)
    }
}
