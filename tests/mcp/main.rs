//! MCP servers that are made with the SDKs' server sides, their authorization switched on: what the other suites
//! reach with this project's clients is seen here by plain HTTP.

mod checks;
mod deviations;
mod plain_client;
#[path = "../interop/server_process.rs"]
#[allow(dead_code, reason = "shared with the interoperability tests")]
mod server_process;
mod servers;
mod session;

/// A test of each check, for the server of each SDK.
macro_rules! of_each_sdk {
    ($($check:ident),* $(,)?) => {
        of_each_sdk!(@ python, Python, $($check),*);
        of_each_sdk!(@ typescript, TypeScript, $($check),*);
        of_each_sdk!(@ rust, Rust, $($check),*);
    };
    (@ $name:ident, $sdk:ident, $($check:ident),*) => {
        mod $name {
            $(
                #[test]
                fn $check() {
                    crate::checks::$check(crate::servers::Server::start(crate::servers::Sdk::$sdk));
                }
            )*
        }
    };
}

of_each_sdk![
    a_call_without_a_token_is_told_where_to_ask,
    from_a_registration_to_a_tool,
    a_code_works_once_for_its_verifier,
    ended_tokens_are_refused_and_renewed,
    a_refresh_token_works_once,
    tokens_live_as_long_as_is_said,
    a_forgotten_client_is_refused,
    the_secret_tool_wants_more_scope,
    a_scope_that_nobody_has_is_never_enough,
    a_token_for_another_resource_is_refused,
    it_stops_with_its_standard_input,
];
