//! Suites over the whole workspace. This crate is never published; it exists so that the
//! published ones need no dev-dependency on one another.
