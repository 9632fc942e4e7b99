//! A sign-in by the rules of each preset, with replies in the documented form of the provider, and
//! the refused ones.

mod apple;
mod cognito;
mod line;
mod linkedin;
mod microsoft_entra_b2c;
mod paypal;
mod slack_signin;
mod twitch;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oauth_providers::{Provider, provider};
use serde_json::Value;

use crate::party::{CLIENT, SECRET};

fn preset(name: &str, variables: &[(&str, &str)]) -> Provider {
    let bare = provider(name).expect("a preset");
    variables
        .iter()
        .try_fold(bare, |provider, (name, value)| provider.with(name, value))
        .expect("its variables")
}

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims
        .as_object_mut()
        .and_then(|claims| claims.remove(name))
        .expect("it was there");
    claims
}

fn basic() -> String {
    let pair = format!("{CLIENT}:{SECRET}");
    let encoded = STANDARD.encode(pair);
    format!("Basic {encoded}")
}
