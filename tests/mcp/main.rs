//! MCP servers that are made with the SDKs' server sides, their authorization switched on: what the other suites
//! reach with this project's clients is seen here by plain HTTP.

mod checks;
mod deviations;
#[path = "../../crates/oauth-reqwest/tests/it/obliging.rs"]
mod obliging;
mod plain_client;
mod rmcp_client;
mod rmcp_elsewhere;
#[path = "../interop/server_process.rs"]
#[allow(dead_code, reason = "shared with the interoperability tests")]
mod server_process;
mod servers;
mod session;

/// A test of each check, for the server of each SDK.
macro_rules! of_each_sdk {
    ($checks:ident in $python:ident, $typescript:ident, $rust:ident: $($check:ident),* $(,)?) => {
        of_each_sdk!(@ $checks, $python, Python, $($check),*);
        of_each_sdk!(@ $checks, $typescript, TypeScript, $($check),*);
        of_each_sdk!(@ $checks, $rust, Rust, $($check),*);
    };
    (@ $checks:ident, $name:ident, $sdk:ident, $($check:ident),*) => {
        mod $name {
            $(
                #[test]
                fn $check() {
                    crate::$checks::$check(crate::servers::Server::start(crate::servers::Sdk::$sdk));
                }
            )*
        }
    };
}

of_each_sdk![
    checks in python, typescript, rust:
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

of_each_sdk![
    rmcp_client in rmcp_at_python, rmcp_at_typescript, rmcp_at_rust:
    the_first_call_registers_and_signs_in,
    a_token_that_has_ended_costs_one_refresh,
    a_client_that_is_forgotten_registers_anew_once,
    what_a_tool_wants_more_is_asked_of_the_person_once,
    the_next_run_registers_nobody,
    tokens_go_beneath_the_url_alone,
    a_revoked_token_of_another_source_is_told,
    a_message_asks_for_more_once,
    the_guides_lines_are_run,
];
