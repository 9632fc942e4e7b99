//! Properties that hold for every input, not only for chosen ones.

mod jwe;
mod machines;
mod parsers;
mod registration;
mod secrets;
mod urls;
