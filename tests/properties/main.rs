//! What must hold for every input, not only for those someone thought of.

mod jwe;
mod machines;
mod parsers;
mod registration;
mod secrets;
mod urls;
