//! The languages under test, and what the public API of each does not offer.

use serde_json::Value;

use crate::conversation::{ClientConfig, Conversation, TurnInput};
use crate::script::{DoneWant, ExpectedOutput};

/// A language whose package is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lang {
    Rust,
    Python,
    Node,
    Browser,
}

const NO_RULES: &str = "strictness and quirks come with a preset, and cannot be set directly";
const NO_SECRET: &str = "a page holds no client secret";
const NO_CALL: &str = "a page signs users in, refreshes and revokes; it has no such call";
const NO_OPTION: &str = "the page's package has no such option";

const NO_REACH: &str = "a page never learns whether a lost request was sent";

const NO_URI: &str = "only Rust exposes error_uri and the scheme of a challenge";
const NO_WARNINGS: &str = "a page's tokens expose neither their type nor warnings";
const NO_SOURCE: &str =
    "an assertion source is a file, which is not replaced between two reads in one step";
const NO_NAME: &str = "a source acts on an API's challenge, and reports only that it renews";

impl Lang {
    pub(crate) const ALL: [Self; 4] = [Self::Rust, Self::Python, Self::Node, Self::Browser];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Node => "node",
            Self::Browser => "browser",
        }
    }

    /// Why this conversation cannot be played in this language, if it cannot.
    pub(crate) fn lacks(self, conversation: &Conversation) -> Option<&'static str> {
        let server = conversation.server.as_ref();
        let has_rules = server.is_some_and(|server| server.rules.is_some());
        match self {
            Self::Rust => None,
            Self::Python => has_rules.then_some(NO_RULES),
            Self::Node => {
                let mut turns = conversation.turns.iter();
                let many = |input: &TurnInput| matches!(input, TurnInput::Source(tokens) if tokens.len() > 1);
                let is_replaced = turns.any(|turn| many(&turn.input));
                let replaced = is_replaced.then_some(NO_SOURCE);
                has_rules.then_some(NO_RULES).or(replaced)
            }
            Self::Browser => {
                let client = conversation.client.as_ref();
                if client.is_some_and(|client| client.secret.is_some()) {
                    return Some(NO_SECRET);
                }
                let has_options = |client: &ClientConfig| {
                    !client.headers.is_empty() || !client.registration.is_empty()
                };
                if client.is_some_and(has_options) {
                    return Some(NO_OPTION);
                }
                let mut turns = conversation.turns.iter();
                turns.find_map(|turn| not_in_a_page(&turn.input))
            }
        }
    }

    /// Which part of a vector's expectation this language does not expose, if any.
    pub(crate) fn unexposed_expectation(self, expected: &Value) -> Option<&'static str> {
        let has = |names: &[&str]| {
            let members = expected.as_object().into_iter();
            members
                .flatten()
                .any(|(name, _)| names.contains(&name.as_str()))
        };
        match self {
            Self::Rust => None,
            _ if has(&["uri", "scheme", "uri_is_http_url"]) => Some(NO_URI),
            Self::Node => has(&["action"]).then_some(NO_NAME),
            Self::Browser => {
                let is_typed = expected["ok"].get("token_type").is_some();
                let is_odd = is_typed || has(&["warning", "widened"]);
                let is_named = has(&["action"]).then_some(NO_NAME);
                is_odd.then_some(NO_WARNINGS).or(is_named)
            }
            Self::Python => None,
        }
    }

    /// Which part of a conversation's expected results this language does not expose, if any.
    pub(crate) fn leaves_out(self, want: &ExpectedOutput) -> Option<&'static str> {
        let is_odd = match &want.done {
            Some(DoneWant::Tokens(tokens)) => !tokens.warnings.is_empty(),
            _ => false,
        };
        let is_named = want.verdict.as_deref().is_some_and(|name| name != "renew");
        match self {
            Self::Node => is_named.then_some(NO_NAME),
            Self::Browser => is_odd
                .then_some(NO_WARNINGS)
                .or(is_named.then_some(NO_NAME)),
            Self::Rust | Self::Python => None,
        }
    }
}

fn not_in_a_page(input: &TurnInput) -> Option<&'static str> {
    match input {
        TurnInput::ClientCredentials { .. }
        | TurnInput::Password { .. }
        | TurnInput::Introspect(_)
        | TurnInput::Operation(_)
        | TurnInput::VerifyAccessToken(_)
        | TurnInput::VerifyLogoutToken(_)
        | TurnInput::Source(_)
        | TurnInput::Signed(_) => Some(NO_CALL),
        TurnInput::Revoke(token_input) => token_input.token.is_some().then_some(NO_OPTION),
        TurnInput::Refresh { scope, .. } => (!scope.is_empty()).then_some(NO_OPTION),
        TurnInput::Authorize(authorize_input) => {
            // A form posted by the server does not reach a script in the page.
            let mode = authorize_input.response_mode.as_deref();
            let is_posted = mode.is_some_and(|mode| mode.starts_with("form_post"));
            let is_more = authorize_input.request_uri.is_some()
                || authorize_input.context.is_some()
                || authorize_input.user.is_some();
            (is_more || is_posted).then_some(NO_OPTION)
        }
        TurnInput::RedeemAt { .. } => Some(NO_OPTION),
        TurnInput::Lost(reach) => (reach == "unsent").then_some(NO_REACH),
        _ => None,
    }
}
