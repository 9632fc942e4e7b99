//! The presets, for a package that reads no TOML.

use std::error::Error;

use oauth_facade::Preset;
use serde_json::{Map, Value};

use crate::HEADER;

/// A module with the names of the presets, so that listing them does not load them.
pub(crate) fn names(_: &str) -> Result<String, Box<dyn Error>> {
    let mut text = format!(
        "// {HEADER}\n// The source is crates/oauth-providers.\n\
         /** The names of the presets. */\n\
         export const providers = /* @__PURE__ */ Object.freeze([\n"
    );
    for name in oauth_providers::names() {
        text.push_str(&format!("  {},\n", Value::from(name)));
    }
    text.push_str("])\n");
    Ok(text)
}

/// A module whose one export maps names to presets, each on a line of its own.
pub(crate) fn file(_: &str) -> Result<String, Box<dyn Error>> {
    let mut presets = Map::new();
    for name in oauth_providers::names() {
        let preset = Preset::from_provider(&oauth_providers::provider(name)?)?;
        presets.insert(name.to_owned(), serde_json::from_str(&preset.to_json())?);
    }
    let mut text = format!(
        "// {HEADER}\n// The source is crates/oauth-providers.\nexport const presets = {{\n"
    );
    for (name, preset) in presets {
        text.push_str(&format!("  {}: {preset},\n", Value::from(name)));
    }
    text.push_str("}\n");
    Ok(text)
}
