//! Integration tests of the command: arguments, profiles, exit codes, and that no output contains a secret.

mod advice;
#[path = "../../../oauth-session/tests/it/bus.rs"]
#[allow(dead_code, reason = "shared with the tests of the stores")]
mod bus;
mod commands;
mod common;
mod conflicts;
mod connect;
mod credential;
mod credential_helper;
mod damaged_record;
mod database;
mod demo;
mod device;
mod dpop;
mod ending;
mod exchange;
mod extension_grant;
mod fixed;
mod help;
mod identity;
mod inspect;
mod key;
mod keyring;
mod login;
mod logout;
mod messages;
mod native;
mod network;
mod opener;
mod profile;
mod profile_file;
mod profile_rules;
mod register;
mod renewals;
mod store;
mod test_session;
mod tiny;
mod token_request;
mod tokens;
mod userinfo;
