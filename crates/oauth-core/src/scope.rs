//! Scope: a set of case-sensitive names (RFC 6749 section 3.3). The scope of a response is compared with the requested
//! one in `endpoint/token.rs`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Misuse};
use crate::json::{Json, JsonForm};

/// A set of scope names, in the order given, none twice. May be empty.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(String);

impl Scope {
    /// The empty set.
    pub const fn none() -> Self {
        Self(String::new())
    }

    /// Reads names separated by spaces; several spaces count as one.
    ///
    /// # Errors
    /// `scope.syntax` for a character outside `%x21 / %x23-5B / %x5D-7E`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_delimited(text, ' ')
    }

    /// Reads names separated by `delimiter`, for servers that use a delimiter other than space.
    pub(crate) fn parse_delimited(text: &str, delimiter: char) -> Result<Self, Error> {
        if delimiter == ' ' && Self::is_plain(text) {
            return Ok(Self(text.to_owned()));
        }
        let is_valid = |name: &str| name.split(delimiter).all(Self::is_name);
        if !is_valid(text) {
            return Err(Misuse::ScopeSyntax.into());
        }
        Ok(Self::collect(text.split(delimiter)))
    }

    /// Fast path: whether the text is at most eight valid, distinct names separated by single spaces, as nearly every
    /// scope is. Checked in one pass, without allocating.
    fn is_plain(text: &str) -> bool {
        let mut names = [""; 8];
        for (count, name) in words(text).enumerate() {
            let Some(slot) = names.get_mut(count) else {
                return false;
            };
            *slot = name;
            let is_first_occurrence = !names
                .iter()
                .take(count)
                .any(|earlier_name| *earlier_name == name);
            if name.is_empty() || !is_first_occurrence || !Self::is_name(name) {
                return false;
            }
        }
        true
    }

    /// Whether a name, which may be empty, holds only characters of RFC 6749 section 3.3.
    pub(crate) fn is_name(name: &str) -> bool {
        name.bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    }

    /// Collects valid names, each once. A reply may contain a hundred thousand names, so names beyond the first sixteen
    /// are compared with a set.
    pub(crate) fn collect<'a>(mut names: impl Iterator<Item = &'a str>) -> Self {
        Self::collect_names(&mut names)
    }

    /// Takes a trait object so that it is compiled once.
    fn collect_names(names: &mut dyn Iterator<Item = &str>) -> Self {
        let (mut scope, mut count, mut more_names) = (Self::none(), 0, BTreeSet::new());
        let mut first_names = [""; 16];
        for name in names.filter(|name| !name.is_empty()) {
            if first_names
                .iter()
                .take(count)
                .any(|earlier_name| *earlier_name == name)
                || more_names.contains(name)
            {
                continue;
            }
            match first_names.get_mut(count) {
                Some(slot) => *slot = name,
                None => {
                    more_names.insert(name);
                }
            }
            count += 1;
            if !scope.0.is_empty() {
                scope.0.push(' ');
            }
            scope.0.push_str(name);
        }
        scope
    }

    /// Whether `text` is written exactly as RFC 6749 appendix A.4 requires: one space between names.
    pub(crate) fn is_strict(text: &str) -> bool {
        text.is_empty() || text.split(' ').all(|name| !name.is_empty())
    }

    /// A scope of these names. Each must be a single scope-token: `read admin` is refused.
    ///
    /// # Errors
    /// `scope.syntax`, including for an empty name.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let names: Vec<_> = names.into_iter().collect();
        if !names
            .iter()
            .all(|name| !name.is_empty() && Self::is_name(name))
        {
            return Err(Misuse::ScopeSyntax.into());
        }
        Ok(Self::collect(names.into_iter()))
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        words(&self.0)
    }

    /// Whether the set contains this name.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|scope_name| scope_name == name)
    }

    /// Whether the set contains every name of `other`.
    pub fn covers(&self, other: &Self) -> bool {
        if self.0 == other.0 {
            return true;
        }
        if self.0.len() <= 256 {
            return other.iter().all(|name| self.contains(name));
        }
        let mut names: Vec<_> = self.iter().collect();
        names.sort_unstable();
        other.iter().all(|name| names.binary_search(&name).is_ok())
    }

    /// The names of both scopes, for a step-up that must not lose the scope granted before.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::collect(self.iter().chain(other.iter()))
    }

    /// The scope to request for a resource if the caller chose none: that of the resource's challenge, else all of
    /// `scopes_supported` in its metadata, else none.
    pub fn choose(challenge: Option<&Self>, supported: Option<&Self>) -> Option<Self> {
        challenge.or(supported).cloned()
    }

    /// Whether the set is empty.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names separated by single spaces, as they are sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The words between the spaces; none for an empty text. Checks byte by byte, because names are short and a search
/// optimized for long texts is slower.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = (!text.is_empty()).then_some(text);
    std::iter::from_fn(move || {
        let now = rest?;
        let end = now.bytes().position(|b| b == b' ');
        let (word, after) = match end {
            Some(end) => (now.get(..end)?, now.get(end + 1..)),
            None => (now, None),
        };
        rest = after;
        Some(word)
    })
}

impl PartialEq for Scope {
    /// Compares as sets: order does not matter.
    fn eq(&self, other: &Self) -> bool {
        self.covers(other) && other.covers(self)
    }
}

impl Eq for Scope {}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl AsRef<str> for Scope {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl TryFrom<String> for Scope {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

impl JsonForm for Scope {
    fn read(value: Json<'_>) -> Option<Self> {
        Self::parse(value.as_str()?).ok()
    }

    fn write(&self, out: &mut String) {
        self.0.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_scope_names_are_removed() {
        let many: String = (0..50).map(|n| format!("s{} ", n % 30)).collect();
        let scope = Scope::parse(&many);
        let names: Vec<_> = (0..30).map(|n| format!("s{n}")).collect();
        assert_eq!(scope.map(|scope| scope.0).ok(), Some(names.join(" ")));
    }

    #[test]
    fn from_names_refuses_invalid_scope_names() {
        let names_of = |names: &[&str]| {
            Scope::from_names(names.iter().copied())
                .map(|scope| scope.0)
                .ok()
        };
        assert_eq!(
            names_of(&["read", "write", "read"]).as_deref(),
            Some("read write")
        );
        assert_eq!(names_of(&[]).as_deref(), Some(""));
        for bad in [
            &["read admin"][..],
            &["read", ""],
            &["a\"b"],
            &["a\\b"],
            &["\u{e9}"],
            &["a\tb"],
        ] {
            assert_eq!(names_of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn large_scope_covers_exactly_its_own_names() {
        let names = |range: std::ops::Range<u32>| {
            let names: Vec<_> = range.map(|n| format!("name-{n}")).collect();
            Scope::parse(&names.join(" ")).unwrap_or_default()
        };
        let large = names(0..40);
        assert!(large.as_str().len() > 256);
        assert!(large.covers(&names(0..40)) && large.covers(&names(39..40)));
        assert!(!large.covers(&names(0..41)) && !large.covers(&names(40..41)));
        assert!(names(0..2).covers(&Scope::none()));
        assert!(!Scope::none().covers(&names(0..1)));
        assert!(large == names(0..40) && large != names(0..41) && large != names(1..40));
    }

    #[test]
    fn challenge_scope_takes_precedence_over_metadata_scope() {
        let one = |name: &str| Scope::parse(name).unwrap_or_default();
        let (a, b) = (one("a"), one("b"));
        let choose = |first, second| Scope::choose(first, second).map(|scope| scope.0);
        assert_eq!(choose(Some(&a), Some(&b)).as_deref(), Some("a"));
        assert_eq!(choose(None, Some(&b)).as_deref(), Some("b"));
        assert_eq!(choose(None, None), None);
    }
}
