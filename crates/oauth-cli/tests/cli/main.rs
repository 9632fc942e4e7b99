//! The command as its users meet it: arguments, profiles, exit codes, and no secret anywhere.

mod commands;
mod common;
mod demo;
mod login;
mod profile;
mod store;
mod tokens;
