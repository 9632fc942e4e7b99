//! The languages, and what each one's public door does not offer.

use serde_json::Value;

use crate::conversation::{ClientConfig, Conversation, In};
use crate::script::{DoneWant, Out};

/// A language whose package is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lang {
    Rust,
    Python,
    Node,
    Browser,
}

const NO_RULES: &str = "strictness and quirks come with a preset, and are not set by hand";
const NO_SECRET: &str = "a page holds no client secret";
const NO_CALL: &str = "a page signs people in, refreshes and revokes; it makes no such call";
const NO_OPTION: &str = "the page's package has no such option";

const NO_REACH: &str = "a page never learns how far a request came";

const NO_URI: &str = "error_uri and the scheme of a challenge are told to Rust alone";
const NO_WARNINGS: &str = "a page's tokens show neither their type nor what was odd";
const NO_SOURCE: &str =
    "a source of assertions is a file, which nothing replaces between two readings of one step";
const NO_NAME: &str =
    "a source acts on what an API asks for, and tells no more than that it renews";

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

    /// Why this conversation cannot be had in this language, if it cannot.
    pub(crate) fn lacks(self, conversation: &Conversation) -> Option<&'static str> {
        let server = conversation.server.as_ref();
        let has_rules = server.is_some_and(|server| server.rules.is_some());
        match self {
            Self::Rust => None,
            Self::Python => has_rules.then_some(NO_RULES),
            Self::Node => {
                let mut turns = conversation.talk.iter();
                let many = |input: &In| matches!(input, In::Source(tokens) if tokens.len() > 1);
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
                let mut turns = conversation.talk.iter();
                turns.find_map(|turn| not_in_a_page(&turn.input))
            }
        }
    }

    /// What of a vector's expectation this language has no member for, if there is something.
    pub(crate) fn untold(self, expected: &Value) -> Option<&'static str> {
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

    /// The same of what a conversation wants.
    pub(crate) fn leaves_out(self, want: &Out) -> Option<&'static str> {
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

fn not_in_a_page(input: &In) -> Option<&'static str> {
    match input {
        In::ClientCredentials { .. }
        | In::Password { .. }
        | In::Introspect(_)
        | In::Operation(_)
        | In::VerifyAccessToken(_)
        | In::VerifyLogoutToken(_)
        | In::Source(_)
        | In::Signed(_) => Some(NO_CALL),
        In::Revoke(asked) => asked.token.is_some().then_some(NO_OPTION),
        In::Refresh { scope, .. } => (!scope.is_empty()).then_some(NO_OPTION),
        In::Authorize(ask) => {
            // A form that a server posts reaches no script.
            let mode = ask.response_mode.as_deref();
            let is_posted = mode.is_some_and(|mode| mode.starts_with("form_post"));
            let is_more = ask.request_uri.is_some() || ask.context.is_some() || ask.user.is_some();
            (is_more || is_posted).then_some(NO_OPTION)
        }
        In::RedeemAt { .. } => Some(NO_OPTION),
        In::Lost(reach) => (reach == "unsent").then_some(NO_REACH),
        _ => None,
    }
}
