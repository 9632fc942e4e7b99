//! Header fields, replies and stored values, which conversation files write in a shorter form than players get.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Header fields: `{"name": "value", "twice": ["one", "two"]}` in a file, pairs for a player.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

/// An HTTP response. In a file its body is `json` (which sets the content type), `body` (text), or
/// a number of `spaces`; for a player it is UTF-8 text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "WrittenReply")]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Fields,
    pub(crate) body: String,
}

/// A stored flow or stored tokens: an object in a file, its JSON text for a player.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Text(pub(crate) String);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenReply {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: Fields,
    json: Option<Value>,
    body: Option<String>,
    spaces: Option<usize>,
}

const fn ok() -> u16 {
    200
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, OneOrMore>::deserialize(deserializer)?;
        let pairs = map.into_iter().flat_map(|(name, values)| {
            let values = match values {
                OneOrMore::One(value) => vec![value],
                OneOrMore::More(values) => values,
            };
            values.into_iter().map(move |value| (name.clone(), value))
        });
        Ok(Self(pairs.collect()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        }))
    }
}

impl TryFrom<WrittenReply> for Reply {
    type Error = &'static str;

    fn try_from(written: WrittenReply) -> Result<Self, &'static str> {
        let mut headers = written.headers;
        let body = match (written.json, written.body, written.spaces) {
            (Some(json), None, None) => {
                let is_named = |(name, _): &(String, String)| name == "content-type";
                if !headers.0.iter().any(is_named) {
                    headers.0.push(pair("content-type", "application/json"));
                }
                json.to_string()
            }
            (None, Some(text), None) => text,
            (None, None, Some(count)) => " ".repeat(count),
            (None, None, None) => String::new(),
            _ => return Err("a reply has one of json, body and spaces"),
        };
        Ok(Self {
            status: written.status,
            headers,
            body,
        })
    }
}

impl Reply {
    /// A reply with these header fields.
    pub(crate) fn new(status: u16, fields: &[(&str, &str)], body: impl Into<String>) -> Self {
        let fields = fields.iter().map(|(name, value)| pair(name, value));
        Self {
            status,
            headers: Fields(fields.collect()),
            body: body.into(),
        }
    }

    /// 200 with this JSON.
    pub(crate) fn json(value: &Value) -> Self {
        Self::new(
            200,
            &[("content-type", "application/json")],
            value.to_string(),
        )
    }

    /// This reply with a different status.
    #[must_use]
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// This reply with one more header field.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.0.push(pair(name, value));
        self
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
