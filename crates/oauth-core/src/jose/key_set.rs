//! Key sets (RFC 7517 section 5): selects the keys that may have signed a token, and the key to encrypt to. Their cache
//! is in `key_cache.rs`.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Alg, JweAlg, PublicJwk};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Error, ProtocolViolation};
use crate::json::{self, Json, JsonForm, Map, Object, Value};

/// The largest number of keys that are tried for one token: without a `kid` there may be several candidates.
const MAX_CANDIDATES: usize = 8;

/// The public keys of a server. Keys that are unknown, too weak, or secret are left out:
/// "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" (key type) values that are not
/// understood" (RFC 7517 section 5).
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Entry>,
    /// The indices of the keys with a `kid`, sorted by it, because a set may have a thousand keys.
    by_id: Vec<usize>,
    /// The keys for encryption. A key without `use` is in both lists.
    for_encryption: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: Arc<PublicJwk>,
    id: Option<String>,
    /// `alg`, if the key is for one algorithm only.
    alg: Option<String>,
    issuer: KeyIssuer,
    purpose: Purpose,
}

/// The issuer whose tokens a key signs, or the template of several (Microsoft Entra). No page reads it.
#[derive(Debug, Clone)]
struct KeyIssuer {
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    issuer: Option<String>,
}

/// The purpose of a key, by its `use` and its `key_ops` (RFC 7517 sections 4.2 and 4.3), and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Any,
    Signature,
    Encryption,
}

impl KeySet {
    /// Reads a key set.
    ///
    /// # Errors
    /// `jwks.malformed`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match json::parse_key_set(text) {
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
            let Some(entry) = Entry::read(member) else {
                continue;
            };
            if entry.purpose != Purpose::Signature {
                set.for_encryption.push(entry.clone());
            }
            if entry.purpose != Purpose::Encryption {
                set.keys.push(entry);
            }
        }
        let has_kid = |index: &usize| set.keys.get(*index).is_some_and(|entry| entry.id.is_some());
        let mut by_id: Vec<_> = (0..set.keys.len()).filter(has_kid).collect();
        by_id.sort_by(|a, b| set.id(*a).cmp(&set.id(*b)));
        set.by_id = by_id;
        Ok(set)
    }

    fn id(&self, at: usize) -> Option<&str> {
        self.keys.get(at)?.id.as_deref()
    }

    /// The indices of the keys with this `kid` (RFC 7517 section 4.5).
    fn indices_of(&self, kid: &str) -> &[usize] {
        let from = self
            .by_id
            .partition_point(|index| self.id(*index) < Some(kid));
        let end = self
            .by_id
            .partition_point(|index| self.id(*index) <= Some(kid));
        self.by_id.get(from..end).unwrap_or_default()
    }

    /// The candidate keys for a signature by this algorithm: those with this `kid`. Without a `kid`, all keys; if no
    /// key has it, the keys without a `kid`.
    pub(crate) fn candidates(&self, alg: Alg, kid: Option<&str>) -> Vec<Arc<PublicJwk>> {
        self.candidates_where(kid, |entry| entry.fits(alg))
    }

    /// The [`candidates`](Self::candidates) that are for this algorithm alone.
    pub(crate) fn bound_candidates(&self, alg: Alg, kid: Option<&str>) -> Vec<Arc<PublicJwk>> {
        self.candidates_where(kid, |entry| entry.is_bound_to(alg))
    }

    fn candidates_where(
        &self,
        kid: Option<&str>,
        fits: impl Fn(&Entry) -> bool,
    ) -> Vec<Arc<PublicJwk>> {
        let fits = |entry: &&Entry| fits(entry);
        let with_kid = kid.map_or(&[][..], |kid| self.indices_of(kid));
        let keys: Vec<_> = match kid {
            Some(_) if !with_kid.is_empty() => {
                let keys = with_kid.iter().filter_map(|index| self.keys.get(*index));
                keys.filter(fits).collect()
            }
            Some(_) => {
                let keys_without_id = self.keys.iter().filter(|entry| entry.id.is_none());
                keys_without_id.filter(fits).collect()
            }
            None => self.keys.iter().filter(fits).collect(),
        };
        let keys = keys.into_iter().take(MAX_CANDIDATES);
        keys.map(|entry| Arc::clone(&entry.key)).collect()
    }

    /// The reason why [`candidates`](Self::candidates) is empty, for an error message. A `kid` comes last, because it may be
    /// long.
    pub(crate) fn no_candidate_reason(&self, key_alg: Alg, kid: Option<&str>) -> String {
        if !IS_BROWSER_BUILD {
            return self.what_there_is_instead(key_alg, kid);
        }
        // A page must be small.
        let (alg, count) = (key_alg.as_str(), self.len());
        match kid {
            None => format!("none of {count} keys is for {alg}"),
            Some(kid) if self.indices_of(kid).is_empty() => {
                format!("none of {count} keys has the kid {kid}")
            }
            Some(kid) => format!("not for {alg}: the key with the kid {kid}"),
        }
    }

    /// What was looked for, and what there is instead.
    fn what_there_is_instead(&self, key_alg: Alg, kid: Option<&str>) -> String {
        let keys = |count| match count {
            1 => "1 key".to_owned(),
            count => format!("{count} keys"),
        };
        let (alg, all) = (key_alg.as_str(), keys(self.len()));
        let Some(kid) = kid else {
            return format!("among {all} none is for {alg}");
        };
        let named = self.indices_of(kid).iter();
        let named: Vec<_> = named.filter_map(|at| self.keys.get(*at)).collect();
        if named.is_empty() {
            return match self.keys.iter().filter(|entry| entry.id.is_none()).count() {
                0 => format!("among {all} none has the kid {kid}"),
                nameless => format!(
                    "among {} without a kid none is for {alg}, and among {all} none has the kid {kid}",
                    keys(nameless)
                ),
            };
        }
        let mut fitting = named.iter().filter(|entry| entry.fits(key_alg));
        if let Some(issuer) = fitting.find_map(|entry| entry.issuer.as_str()) {
            return format!("only for {issuer}: the key with the kid {kid}");
        }
        let fits_a_named = |alg: &&Alg| named.iter().any(|entry| entry.fits(**alg));
        let algs = Alg::ALL.iter().filter(fits_a_named);
        match algs.map(|alg| alg.as_str()).collect::<Vec<_>>().as_slice() {
            [] => format!("not for {alg} nor any known algorithm: the key with the kid {kid}"),
            algs => format!(
                "for {}, not for {alg}: the key with the kid {kid}",
                algs.join(", ")
            ),
        }
    }

    /// The issuer whose tokens a key of this set signs, or the template of several, if its JWK names one.
    pub(crate) fn issuer_of_key(&self, key: &Arc<PublicJwk>) -> Option<&str> {
        let mut keys = self.keys.iter();
        let entry = keys.find(|entry| Arc::ptr_eq(&entry.key, key))?;
        entry.issuer.as_str()
    }

    /// The first key that is intended for encryption by this algorithm, or else one that may be used for it; and its
    /// name.
    pub(crate) fn encryption_key(&self, alg: JweAlg) -> Option<(&PublicJwk, Option<&str>)> {
        let fits = |entry: &&Entry| {
            let is_for_alg = entry
                .alg
                .as_deref()
                .is_none_or(|key_alg| key_alg == alg.as_str());
            is_for_alg && entry.key.fits_encryption(alg)
        };
        let usable_entries = || self.for_encryption.iter().filter(fits);
        let dedicated = usable_entries().find(|entry| entry.purpose == Purpose::Encryption);
        let entry = dedicated.or_else(|| usable_entries().next())?;
        Some((&entry.key, entry.id.as_deref()))
    }

    /// The `kid` of each verification key that has one, unless its `alg` is unknown or does not fit the key.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let verifies = |entry: &&Entry| Alg::ALL.iter().any(|alg| entry.fits(*alg));
        let keys = self.keys.iter().filter(verifies);
        keys.filter_map(|entry| entry.id.as_deref())
    }

    /// The number of verification keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no verification key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that can be used, as JSON to store.
    pub fn to_json(&self) -> String {
        let is_for_encryption_only = |entry: &&Entry| entry.purpose == Purpose::Encryption;
        let encryption_only_entries = self.for_encryption.iter().filter(is_for_encryption_only);
        let keys = self.keys.iter().chain(encryption_only_entries);
        let keys = keys.map(Entry::to_value).collect();
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
    /// Reads a key; `None` if its type is unknown or it has no use.
    fn read(object: &Object<'_>) -> Option<Self> {
        let text = |name: &str| {
            object
                .get(name)
                .map(|value| value.as_str().map(str::to_owned))
        };
        let key = Arc::new(PublicJwk::read_any(object).ok()?);
        // A member of the wrong type makes the key unusable.
        let (id, alg, purpose) = (text("kid"), text("alg"), text("use"));
        let is_readable = [&id, &alg, &purpose]
            .iter()
            .all(|member| **member != Some(None));
        let stated_use = purpose.flatten();
        let operations = match object.get("key_ops") {
            None => None,
            Some(operations) => Some(operations.as_texts()?),
        };
        let is_allowed = |purpose: &str, purpose_operations: &[&str]| {
            let is_stated_use = stated_use
                .as_deref()
                .is_none_or(|stated_use| stated_use == purpose);
            let mut names = operations.iter().flatten();
            is_stated_use
                && (operations.is_none() || names.any(|name| purpose_operations.contains(name)))
        };
        let verifies = is_allowed("sig", &["verify"]) && key.can_sign();
        let encryption_operations = ["encrypt", "wrapKey", "deriveKey", "deriveBits"];
        let encrypts = is_allowed("enc", &encryption_operations) && key.can_encrypt();
        let purpose = match (verifies, encrypts) {
            (true, true) => Purpose::Any,
            (true, false) => Purpose::Signature,
            (false, true) => Purpose::Encryption,
            (false, false) => return None,
        };
        is_readable.then(|| Self {
            key,
            id: id.flatten(),
            alg: alg.flatten(),
            issuer: KeyIssuer::read(object),
            purpose,
        })
    }

    fn fits(&self, alg: Alg) -> bool {
        let is_for_alg = self.alg.as_deref().is_none_or(|key_alg| {
            key_alg == alg.as_str()
                || matches!(alg, Alg::EdDsa | Alg::Ed25519)
                    && ["EdDSA", "Ed25519"].contains(&key_alg)
        });
        is_for_alg && self.key.fits(alg)
    }

    /// Whether the key is for this algorithm alone: by its `alg`, or because a curve has one algorithm (RFC 7518
    /// section 3.4, RFC 8037 section 3.1). An RSA key without `alg` may be for any of six.
    fn is_bound_to(&self, alg: Alg) -> bool {
        self.fits(alg) && (self.alg.is_some() || !self.key.is_rsa())
    }

    fn to_value(&self) -> Value {
        let mut members = match self.key.to_value() {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        let purpose = match self.purpose {
            Purpose::Any => None,
            Purpose::Signature => Some("sig"),
            Purpose::Encryption => Some("enc"),
        };
        let texts = [
            ("kid", self.id.as_deref()),
            ("alg", self.alg.as_deref()),
            ("use", purpose),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                members.insert(name.to_owned(), text.into());
            }
        }
        if let Some(issuer) = self.issuer.as_str() {
            members.insert("issuer".to_owned(), issuer.into());
        }
        Value::Object(members)
    }
}

impl KeyIssuer {
    /// A value that is not a string has no meaning, because the member is not registered.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    fn read(object: &Object<'_>) -> Self {
        let issuer = object.get("issuer").and_then(Json::as_str);
        Self {
            issuer: issuer.map(str::to_owned),
        }
    }

    #[cfg(all(feature = "js", target_family = "wasm"))]
    const fn read(_: &Object<'_>) -> Self {
        Self {}
    }

    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    fn as_str(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    #[cfg(all(feature = "js", target_family = "wasm"))]
    const fn as_str(&self) -> Option<&str> {
        None
    }
}
