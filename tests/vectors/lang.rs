//! The languages, and what each one's public door does not offer.

use crate::conversation::{Conversation, In};

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
            Self::Python | Self::Node => has_rules.then_some(NO_RULES),
            Self::Browser => {
                let client = conversation.client.as_ref();
                if client.is_some_and(|client| client.secret.is_some()) {
                    return Some(NO_SECRET);
                }
                if client.is_some_and(|client| !client.headers.is_empty()) {
                    return Some(NO_OPTION);
                }
                let mut turns = conversation.talk.iter();
                turns.find_map(|turn| not_in_a_page(&turn.input))
            }
        }
    }
}

fn not_in_a_page(input: &In) -> Option<&'static str> {
    match input {
        In::ClientCredentials { .. } | In::Password { .. } | In::Introspect(_) | In::Signed(_) => {
            Some(NO_CALL)
        }
        In::Revoke(asked) => asked.token.is_some().then_some(NO_OPTION),
        In::Refresh { scope, .. } => (!scope.is_empty()).then_some(NO_OPTION),
        In::Authorize(ask) => {
            let mode = ask.response_mode.as_deref();
            (!matches!(mode, None | Some("query"))).then_some(NO_OPTION)
        }
        In::Attach { body, .. } => body.is_some().then_some(NO_OPTION),
        _ => None,
    }
}
