//! Key sets (RFC 7517 section 5), and which of their keys a token may have been signed with.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Alg, PublicJwk};
use crate::error::{Error, ProtocolViolation};
use crate::json::{self, Json, JsonForm, Map, Object, Value};

/// The most keys that are tried for one token: several may be meant where it names none.
const MAX_CANDIDATES: usize = 8;

/// The public keys of a server. Those that are not understood, too weak, or secret are left out:
/// "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" (key type) values that are not
/// understood" (RFC 7517 section 5).
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Entry>,
    /// Places in `keys`, of those with a name, by name: a set may have a thousand keys.
    by_id: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: Arc<PublicJwk>,
    id: Option<String>,
    /// `alg`, where the key is good for one only.
    alg: Option<String>,
}

impl KeySet {
    /// Reads a key set.
    ///
    /// # Errors
    /// `jwks.malformed`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match json::parse(text) {
            Ok(Json::Object(object)) => Self::read(&object),
            _ => Err(ProtocolViolation::JwksShape.into()),
        }
    }

    pub(crate) fn read(object: &Object<'_>) -> Result<Self, Error> {
        let Some(Json::Array(list)) = object.get("keys") else {
            return Err(Error::from(ProtocolViolation::JwksShape).about("keys"));
        };
        let mut set = Self::default();
        for member in list {
            let Json::Object(member) = member else {
                return Err(Error::from(ProtocolViolation::JwksShape).about("keys"));
            };
            if let Some(entry) = Entry::read(member) {
                set.keys.push(entry);
            }
        }
        let named = |at: &usize| set.keys.get(*at).is_some_and(|entry| entry.id.is_some());
        let mut by_id: Vec<_> = (0..set.keys.len()).filter(named).collect();
        by_id.sort_by(|a, b| set.id(*a).cmp(&set.id(*b)));
        set.by_id = by_id;
        Ok(set)
    }

    fn id(&self, at: usize) -> Option<&str> {
        self.keys.get(at)?.id.as_deref()
    }

    /// The places of the keys with this name.
    fn named(&self, kid: &str) -> &[usize] {
        let from = self.by_id.partition_point(|at| self.id(*at) < Some(kid));
        let to = self.by_id.partition_point(|at| self.id(*at) <= Some(kid));
        self.by_id.get(from..to).unwrap_or_default()
    }

    /// The keys that may have made a signature by this algorithm: those of that `kid`; where the token
    /// names none, or no key has that name but some have no name, the others.
    pub(crate) fn candidates(&self, alg: Alg, kid: Option<&str>) -> Vec<Arc<PublicJwk>> {
        let fits = |entry: &&Entry| entry.fits(alg);
        let named = kid.map_or(&[][..], |kid| self.named(kid));
        let keys: Vec<_> = match kid {
            Some(_) if !named.is_empty() => {
                let keys = named.iter().filter_map(|at| self.keys.get(*at));
                keys.filter(fits).collect()
            }
            Some(_) => {
                let nameless = self.keys.iter().filter(|entry| entry.id.is_none());
                nameless.filter(fits).collect()
            }
            None => self.keys.iter().filter(fits).collect(),
        };
        let keys = keys.into_iter().take(MAX_CANDIDATES);
        keys.map(|entry| Arc::clone(&entry.key)).collect()
    }

    /// The `kid` of each key that has one.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|entry| entry.id.as_deref())
    }

    /// How many keys of it can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has no key that can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that can be used, as JSON to store.
    pub fn to_json(&self) -> String {
        let keys = self.keys.iter().map(Entry::to_value).collect();
        let mut set = Map::new();
        set.insert("keys".to_owned(), Value::Array(keys));
        json::map_text(&set)
    }
}

impl JsonForm for KeySet {
    fn read(value: Json<'_>) -> Option<Self> {
        match value {
            Json::Object(object) => Self::read(&object).ok(),
            _ => None,
        }
    }

    fn write(&self, out: &mut String) {
        out.push_str(&self.to_json());
    }
}

impl Entry {
    fn read(object: &Object<'_>) -> Option<Self> {
        let text = |name: &str| {
            object
                .get(name)
                .map(|value| value.as_str().map(str::to_owned))
        };
        let key = Arc::new(PublicJwk::read(object).ok()?);
        // A member of the wrong type makes the key one that is not understood.
        let (id, alg, purpose) = (text("kid"), text("alg"), text("use"));
        let is_readable = [&id, &alg, &purpose]
            .iter()
            .all(|member| **member != Some(None));
        let signs = purpose.flatten().is_none_or(|purpose| purpose == "sig");
        let verifies = match object.get("key_ops") {
            None => true,
            Some(operations) => operations.as_texts()?.contains(&"verify"),
        };
        (is_readable && signs && verifies).then(|| Self {
            key,
            id: id.flatten(),
            alg: alg.flatten(),
        })
    }

    fn fits(&self, alg: Alg) -> bool {
        let is_meant = self.alg.as_deref().is_none_or(|named| {
            named == alg.as_str()
                || matches!(alg, Alg::EdDsa | Alg::Ed25519) && ["EdDSA", "Ed25519"].contains(&named)
        });
        is_meant && self.key.fits(alg)
    }

    fn to_value(&self) -> Value {
        let mut members = match self.key.to_value() {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        for (name, text) in [("kid", &self.id), ("alg", &self.alg)] {
            if let Some(text) = text {
                members.insert(name.to_owned(), text.as_str().into());
            }
        }
        Value::Object(members)
    }
}
