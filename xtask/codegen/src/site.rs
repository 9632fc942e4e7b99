//! The settings of a site: their signature in Python, their names and types in JavaScript.

use std::error::Error;
use std::fmt::Write as _;

use oauth_web::{SITE_SETTINGS, Setting, Shape};

use crate::ops::node::comment;
use crate::ops::{camel, wrapped};
use crate::{HEADER, region};

/// Where they are defined.
const SOURCE: &str = "crates/oauth-web/src/settings/table.rs";

/// The longest line of Python.
const PYTHON_LINE_WIDTH: usize = 120;

/// The exception in JavaScript: a function that looks providers up is an option there.
fn in_javascript() -> impl Iterator<Item = &'static Setting> {
    SITE_SETTINGS
        .iter()
        .filter(|setting| setting.name != "lookup")
}

/// The class of Python that has the constructor of a site.
pub(crate) fn python(_: &str) -> Result<String, Box<dyn Error>> {
    let site_options: Vec<_> = SITE_SETTINGS
        .iter()
        .filter(|setting| setting.name != "base_url")
        .collect();
    let mut module = format!(
        "# {HEADER}\n\"\"\"The settings of a site. The source is {SOURCE}.\"\"\"\n\n\
         from __future__ import annotations\n\n\
         from typing import TYPE_CHECKING, Any, Literal, Mapping, Sequence, Union\n\n\
         from .._keywords import name_keywords\n\
         from ._values import settings_json\n\n\
         if TYPE_CHECKING:\n    from typing_extensions import TypeAlias\n\n    \
         from .._native import Network, Provider\n    from ..stores import SealingKey, Store\n\n\
         Upstream: TypeAlias = \"Union[str, tuple[str, Sequence[str]]]\"\n\n\n\
         @name_keywords\n\
         class SiteSettings:\n    \"\"\"What a site is made with.\"\"\"\n\n    \
         if TYPE_CHECKING:\n\n        def _assemble(\n            self, settings: str, providers: Sequence[Provider], key: str | bytes | SealingKey,\n            \
         old_keys: Sequence[str | bytes | SealingKey], store: Store | None, network: Network | None,\n        ) -> None: ...\n\n    \
         def __init__(\n        self,\n        *,\n        providers: Sequence[Provider],\n        \
         base_url: str | Sequence[str],\n        key: str | bytes | SealingKey,\n        \
         old_keys: Sequence[str | bytes | SealingKey] = (),\n        store: Store | None = None,\n        \
         network: Network | None = None,\n"
    );
    for setting in &site_options {
        let _ = writeln!(
            module,
            "        {}: {} | None = None,",
            setting.name,
            annotation(setting.shape)
        );
    }
    module += "    ) -> None:\n        \"\"\"``web.setup`` for settings that contradict one another, ``url.insecure``.\n\n        Args:\n";
    let objects = [
        (
            "providers",
            "Those people sign in with; at least one, unless they are looked up.",
        ),
        (
            "key",
            "Seals the cookies: a ``stores.SealingKey``, 32 bytes, or their text as ``oauth key`` prints it.",
        ),
        ("old_keys", "Open what they sealed."),
        (
            "store",
            "Sessions live in there, with fresh tokens, and end everywhere at once. Without, a session is in a sealed cookie.",
        ),
        (
            "network",
            "That of the first provider's client unless it is given.",
        ),
    ];
    let documented = SITE_SETTINGS.iter().map(|setting| {
        let unit = match setting.shape {
            Shape::Span => " In seconds.",
            Shape::Apis => " Each is a URL, or a URL and the methods.",
            _ => "",
        };
        let text = setting.text.replace('`', "``");
        (setting.name, format!("{text}{unit}"))
    });
    let objects = objects
        .iter()
        .map(|(name, text)| (*name, (*text).to_owned()));
    for (name, text) in objects.chain(documented) {
        let indent = " ".repeat(16);
        let line = wrapped(&format!("{name}: {text}"), PYTHON_LINE_WIDTH, &indent);
        let _ = writeln!(module, "            {line}");
    }
    module +=
        "        \"\"\"\n        given: dict[str, Any] = {\n            \"base_url\": base_url,\n";
    for setting in &site_options {
        let _ = writeln!(
            module,
            "            \"{}\": {},",
            setting.name, setting.name
        );
    }
    module += "        }\n        self._assemble(settings_json(given, SHAPES), providers, key, old_keys, store, network)\n\n\n";
    module += "# The conversions of values for the native half; other values are passed unchanged.\nSHAPES: Mapping[str, str] = {\n";
    for setting in SITE_SETTINGS {
        if let Some(shape) = crossing(setting.shape) {
            let _ = writeln!(module, "    \"{}\": \"{shape}\",", setting.name);
        }
    }
    Ok(module + "}\n")
}

fn annotation(shape: Shape) -> String {
    match shape {
        Shape::Text => "str".to_owned(),
        Shape::Urls => "str | Sequence[str]".to_owned(),
        Shape::Texts => "Sequence[str]".to_owned(),
        Shape::Whole => "int".to_owned(),
        Shape::Span => "float".to_owned(),
        Shape::Apis => "Mapping[str, Upstream]".to_owned(),
        Shape::Document => "Mapping[str, Any] | str".to_owned(),
        Shape::Word(variants) => format!("Literal[\"{}\"]", variants.join("\", \"")),
    }
}

/// The name of a shape that a binding turns into JSON.
const fn crossing(shape: Shape) -> Option<&'static str> {
    match shape {
        Shape::Urls => Some("urls"),
        Shape::Texts => Some("texts"),
        Shape::Span => Some("span"),
        Shape::Apis => Some("apis"),
        Shape::Document => Some("document"),
        Shape::Text | Shape::Whole | Shape::Word(_) => None,
    }
}

/// The name of a setting in JavaScript, with the unit of a duration.
fn named(setting: &Setting) -> String {
    match setting.shape {
        Shape::Span => format!("{}Ms", camel(setting.name)),
        _ => camel(setting.name),
    }
}

/// The names in JavaScript, with those that the native half reads.
pub(crate) fn javascript(_: &str) -> Result<String, Box<dyn Error>> {
    let mut module = format!(
        "'use strict'\n\n// {HEADER}\n// The source is {SOURCE}.\n\n\
         /** The settings of a site that are plain data: their names for users and for the native half, and how each value is converted. */\n\
         const SITE_SETTINGS = [\n"
    );
    for setting in in_javascript() {
        let shape = crossing(setting.shape).unwrap_or("plain");
        let _ = writeln!(
            module,
            "  {{ name: '{}', wire: '{}', shape: '{shape}' }},",
            named(setting),
            setting.name
        );
    }
    Ok(module + "]\n\nmodule.exports = { SITE_SETTINGS }\n")
}

/// Their types in JavaScript.
pub(crate) fn types(now: &str) -> Result<String, Box<dyn Error>> {
    let mut body = "export interface PlainSiteSettings {\n".to_owned();
    for setting in in_javascript().filter(|setting| setting.name != "base_url") {
        let kind = match setting.shape {
            Shape::Text => "string".to_owned(),
            Shape::Urls => "string | URL | readonly (string | URL)[]".to_owned(),
            Shape::Texts => "Iterable<string | URL>".to_owned(),
            Shape::Whole | Shape::Span => "number".to_owned(),
            Shape::Apis => "Readonly<Record<string, string | URL | { url: string | URL; methods?: Iterable<string> | undefined }>>".to_owned(),
            Shape::Document => "string | Readonly<Record<string, unknown>>".to_owned(),
            Shape::Word(variants) => format!("'{}'", variants.join("' | '")),
        };
        body += &comment(&[setting.text.to_owned()], "  ");
        let _ = writeln!(body, "  {}?: {kind} | undefined", named(setting));
    }
    region(now, "//", &(body + "}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_exists_in_every_language() {
        let (python, javascript) = (
            python("").expect("a module"),
            javascript("").expect("a module"),
        );
        let begin = format!("// {HEADER}\n// {}\n", crate::END);
        let types = types(&begin).expect("types");
        for setting in SITE_SETTINGS {
            let name = named(setting);
            assert!(
                python.contains(&format!("\"{0}\": {0},", setting.name)),
                "{name}"
            );
            assert!(
                python.contains(&format!("            {}: ", setting.name)),
                "{name}"
            );
            let is_elsewhere = setting.name == "lookup";
            assert_ne!(
                javascript.contains(&format!("'{name}'")),
                is_elsewhere,
                "{name}"
            );
            let is_typed = types.contains(&format!("  {name}?: "));
            assert_eq!(
                is_typed,
                !is_elsewhere && setting.name != "base_url",
                "{name}"
            );
        }
        assert!(
            javascript.contains("name: 'flowLifetimeMs', wire: 'flow_lifetime', shape: 'span'")
        );
    }
}
