//! The settings of a site as plain data, from which [`Config`](crate::Config) is built: one table by which language
//! bindings read them, and from which their signatures, types and documentation are generated.

mod provider;
mod table;

use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::url::Url;
use oauth_seal::Keys;
use serde_json::{Map, Value};

use crate::config::{Config, Lookup, SessionStorage, setup};
use crate::provider::Provider;

pub use provider::{IdentitySettings, ProviderSettings};
pub use table::SITE_SETTINGS;

/// A setting of a site.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name, in snake case.
    pub name: &'static str,
    /// The type of its value.
    pub shape: Shape,
    /// The documentation of the setting, as a sentence.
    pub text: &'static str,
    /// Sets it.
    set: fn(&mut Config, Value) -> Result<(), ValueError>,
}

/// The type of a setting, for generators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// A URL, or several.
    Urls,
    /// Several texts.
    Texts,
    /// An integer.
    Whole,
    /// A time span: seconds.
    Span,
    /// One of these words.
    Word(&'static [&'static str]),
    /// APIs by their names, each a URL, or a URL and methods.
    Apis,
    /// A JSON document, or its text.
    Document,
}

impl Shape {
    /// The expected value, for error messages.
    pub fn expected(self) -> String {
        let expected = match self {
            Self::Text => "a string",
            Self::Urls => "a URL, or a list of them",
            Self::Texts => "a list of strings",
            Self::Whole => "an integer",
            Self::Span => "a positive time span",
            Self::Apis => "APIs by their names",
            Self::Document => "a JSON document",
            Self::Word(words) => return format!("one of \"{}\"", words.join("\", \"")),
        };
        expected.to_owned()
    }
}

/// The reason why a value is not accepted.
enum ValueError {
    /// The setting has the wrong type.
    Type,
    /// It is invalid.
    Value(Error),
}

impl From<Error> for ValueError {
    fn from(error: Error) -> Self {
        Self::Value(error)
    }
}

/// The reason why settings are refused.
#[derive(Debug)]
pub enum SettingError {
    /// The setting of this name is of another type, or not one of its words: the host's `TypeError`. Its value is not kept.
    Type {
        /// The setting, in snake case.
        name: String,
        /// The expected value.
        expected: String,
    },
    /// The value of the setting of this name is refused.
    Value(&'static str, Error),
    /// The settings contradict one another.
    Refused(Error),
}

impl SettingError {
    /// The message of a host's `TypeError`, with the setting's name in that language.
    pub fn type_text(name: &str, expected: &str) -> String {
        format!("{name}: expected {expected}")
    }
}

/// Whether sessions are kept in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// There is a store.
    Store,
    /// There is none.
    Cookie,
}

impl Config {
    /// Reads settings: a JSON object of [`SITE_SETTINGS`]. A member that is `null` is as if it were absent.
    ///
    /// # Errors
    /// For a setting that is unknown, of another type or refused, and for `keep` that contradicts the storage.
    pub fn read(
        settings: &str,
        keys: Keys,
        providers: Vec<Provider>,
        storage: Storage,
    ) -> Result<Self, SettingError> {
        let mismatch = |name: &str, expected: &str| SettingError::Type {
            name: name.to_owned(),
            expected: expected.to_owned(),
        };
        let object = serde_json::from_str::<Map<String, Value>>(settings);
        let mut members = object.map_err(|_| mismatch("settings", "a JSON object"))?;
        members.retain(|_, value| !value.is_null());
        let first = |value: Value| urls(value)?.into_iter().next().ok_or(ValueError::Type);
        let base_url = members.get("base_url").cloned().map(first);
        let base_url = base_url.unwrap_or(Err(ValueError::Type));
        let base_url = base_url.map_err(|unfit| setting_error("base_url", Shape::Urls, unfit))?;
        let mut config = Self::without_providers(base_url, keys);
        if storage == Storage::Store {
            config = config.in_store();
        }
        for setting in SITE_SETTINGS {
            if let Some(value) = members.remove(setting.name) {
                let set = (setting.set)(&mut config, value);
                set.map_err(|unfit| setting_error(setting.name, setting.shape, unfit))?;
            }
        }
        if let Some((name, _)) = members.into_iter().next() {
            return Err(mismatch(&name, "the name of a setting"));
        }
        if (config.keep == SessionStorage::Store) != (storage == Storage::Store) {
            let keep_values = "keep: store with a store, and identity or access_token without";
            return Err(SettingError::Refused(setup(keep_values)));
        }
        if providers.is_empty() && config.lookup == Lookup::Fixed {
            return Err(mismatch("providers", "at least one provider"));
        }
        config.providers = providers;
        Ok(config)
    }
}

fn setting_error(name: &'static str, shape: Shape, unfit: ValueError) -> SettingError {
    match unfit {
        ValueError::Type => SettingError::Type {
            name: name.to_owned(),
            expected: shape.expected(),
        },
        ValueError::Value(error) => SettingError::Value(name, error),
    }
}

fn text(value: Value) -> Result<String, ValueError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(ValueError::Type),
    }
}

fn string_list(value: Value) -> Result<Vec<String>, ValueError> {
    match value {
        Value::Array(list) => list.into_iter().map(text).collect(),
        _ => Err(ValueError::Type),
    }
}

fn urls(value: Value) -> Result<Vec<Url>, ValueError> {
    let list = match value {
        url @ Value::String(_) => vec![text(url)?],
        list => string_list(list)?,
    };
    let urls = list.iter().map(|text| Url::parse(text));
    Ok(urls.collect::<Result<_, _>>()?)
}

/// A time span in seconds. A span that is too long for a time never ends.
fn span(value: &Value) -> Result<Duration, ValueError> {
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0);
    let seconds = seconds.ok_or(ValueError::Type)?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Reads one of these words.
fn one_of_words(value: Value, words: &[&'static str]) -> Result<&'static str, ValueError> {
    let text = text(value)?;
    let mut words = words.iter();
    words
        .find(|word| **word == text)
        .copied()
        .ok_or(ValueError::Type)
}

#[cfg(test)]
mod tests;
