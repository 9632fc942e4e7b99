//! Test suites over the whole workspace. This crate is never published; it exists so that the
//! published crates need no dev-dependencies on each other.

use proptest::test_runner::Config;

/// The configuration of a property test: `usual` cases, times `PROPTEST_FACTOR` from the environment.
pub fn cases(usual: u32) -> Config {
    let factor = std::env::var("PROPTEST_FACTOR")
        .ok()
        .and_then(|factor| factor.parse().ok());
    Config::with_cases(usual.saturating_mul(factor.unwrap_or(1)))
}
