//! MCP servers made with the SDKs' server sides, with authorization enabled, tested over plain HTTP; the other suites
//! use this project's clients.

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
    the_challenge_of_a_call_without_a_token_names_the_metadata,
    a_registered_client_logs_in_and_calls_a_tool,
    a_code_is_redeemed_once_with_its_verifier,
    expired_tokens_are_refused_and_renewed,
    a_refresh_token_is_accepted_once,
    the_lifetime_of_tokens_can_be_set,
    a_forgotten_client_is_refused_and_can_register_again,
    the_secret_tool_requires_more_scope,
    a_required_scope_that_no_token_has_is_refused,
    a_token_for_another_resource_is_refused,
    the_server_stops_when_its_standard_input_closes,
];

of_each_sdk![
    rmcp_client in rmcp_at_python, rmcp_at_typescript, rmcp_at_rust:
    the_first_call_registers_and_signs_in,
    an_expired_token_causes_one_refresh,
    a_forgotten_client_registers_again_once,
    additional_scope_for_a_tool_is_requested_from_the_user_once,
    the_next_run_reuses_the_registration,
    tokens_are_sent_only_beneath_the_url,
    a_revoked_token_of_another_source_is_reported,
    a_message_steps_up_once,
    the_example_of_the_guide_works,
];
