//! A JSON reader with limits: size, depth, number of values, and no member twice (RFC 8259), because a document that
//! two parsers read differently is a security risk. Values borrow from the reply where possible.

mod reader;
pub(crate) mod storage_form;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use crate::error::{Error, ProtocolViolation};
use crate::form::Pairs;

use crate::value::{number, writer};

pub use crate::value::{Map, Members, Value, map_text, value_text};
pub use storage_form::{ByName, JsonForm, from_text, to_text};

/// The deepest nesting of a reply.
pub const MAX_DEPTH: usize = 64;

/// The largest number of values and members of a reply. Two bytes of JSON can take fifty bytes of memory, so a limit in
/// bytes alone would let one reply exhaust the memory of a small machine. No legitimate reply has a tenth as many.
pub const MAX_VALUES: usize = 4096;

/// The largest number of values and members of a key set: enough for 1,000 keys.
pub(crate) const MAX_VALUES_OF_KEYS: usize = 16_384;

/// A JSON value that borrows its text.
#[derive(Clone)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer from 0 to 2^64-1.
    Unsigned(u64),
    /// An integer from -2^63 to -1.
    Negative(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// A JSON object: its members in order, none twice.
#[derive(Clone, Default)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

/// Reads one JSON value.
///
/// # Errors
/// `reply.json`, `reply.nesting`, `reply.too_many_values`, `reply.duplicate_member` (naming it).
pub fn parse(text: &str) -> Result<Json<'_>, Error> {
    reader::read(text, reader::Limits::REPLY).map_err(Error::from)
}

/// Reads a key set, which may contain more values than a reply.
///
/// # Errors
/// The errors of [`parse`].
pub(crate) fn parse_key_set(text: &str) -> Result<Json<'_>, Error> {
    reader::read(text, reader::Limits::KEY_SET).map_err(Error::from)
}

impl<'a> Object<'a> {
    pub(crate) fn from_pairs(pairs: Pairs<'a>) -> Result<Self, Error> {
        let members = pairs
            .into_iter()
            .map(|(name, value)| (name, Json::String(value)));
        let object = Self(members.collect());
        object.check_names().map(|()| object)
    }

    /// A duplicate member name. Runs in O(n log n), because a reply may contain a megabyte of members.
    fn duplicate_name(&self) -> Option<&str> {
        if let [earlier @ .., _] = self.0.as_slice()
            && self.0.len() <= 16
        {
            // Few members, as in every legitimate reply: compare without allocating.
            let repeats = |(at, (name, _)): &(usize, &(Cow<'_, str>, _))| {
                self.0.iter().skip(at + 1).any(|(later, _)| later == name)
            };
            return earlier
                .iter()
                .enumerate()
                .find(repeats)
                .map(|(_, (name, _))| name.as_ref());
        }
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        names.windows(2).find_map(|pair| match pair {
            [first, second] if first == second => Some(*first),
            _ => None,
        })
    }

    /// The member of this name; `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        let member = self
            .0
            .iter()
            .find(|(member_name, _)| member_name == name)
            .map(|(_, value)| value);
        member.filter(|value| !matches!(value, Json::Null))
    }

    /// Whether there is a member of this name, even if it is `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(member_name, _)| member_name == name)
    }

    /// Removes and returns the member of this name; `null` counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Json<'a>> {
        let index = self
            .0
            .iter()
            .position(|(member_name, _)| member_name == name)?;
        Some(self.0.swap_remove(index).1).filter(|value| !matches!(value, Json::Null))
    }

    /// Moves the members of these names out of the object inside `member`, replacing its own. Nothing is moved unless
    /// the first of them is there.
    pub(crate) fn lift_members(&mut self, member: &str, names: &[&'static str]) {
        let inside = self
            .0
            .iter_mut()
            .find(|(member_name, _)| member_name == member);
        let Some((_, Json::Object(inside))) = inside else {
            return;
        };
        if names
            .first()
            .is_none_or(|first| inside.get(first).is_none())
        {
            return;
        }
        let moved_members: Vec<_> = names
            .iter()
            .filter_map(|&name| Some((name, inside.take(name)?)))
            .collect();
        for (name, value) in moved_members {
            self.take(name);
            self.0.push((Cow::Borrowed(name), value));
        }
    }

    /// Adds the members of `other` whose names are missing or empty here.
    pub(crate) fn fill_missing(&mut self, other: Self) {
        for (name, value) in other.0 {
            if self.get(&name).is_none() {
                self.take(&name);
                self.0.push((name, value));
            }
        }
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Renames members; two that end up with the same name are a duplicate.
    pub(crate) fn rename_members(
        &mut self,
        rename: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<(), Error> {
        for (name, _) in &mut self.0 {
            if let Some(new_name) = rename(name) {
                *name = Cow::Borrowed(new_name);
            }
        }
        self.check_names()
    }

    fn check_names(&self) -> Result<(), Error> {
        match self.duplicate_name() {
            Some(name) => Err(Error::from(ProtocolViolation::ReplyDuplicate).about(name)),
            None => Ok(()),
        }
    }

    /// An owned copy for callers.
    pub fn to_map(&self) -> Map<String, Value> {
        self.iter()
            .map(|(name, value)| (name.to_owned(), value.to_value()))
            .collect()
    }

    /// An owned copy of the members that together take at most about `limit` bytes of memory, and whether these are all
    /// members.
    pub(crate) fn to_map_within(&self, limit: usize) -> (Map<String, Value>, bool) {
        let (mut map, mut remaining, mut is_complete) = (Map::new(), limit, true);
        for (name, value) in self.iter() {
            match remaining.checked_sub(MEMBER_BYTES + name.len() + value.memory_size()) {
                Some(rest) => {
                    remaining = rest;
                    map.insert(name.to_owned(), value.to_value());
                }
                None => is_complete = false,
            }
        }
        (map, is_complete)
    }
}

/// The memory that a member of an owned map takes besides its strings: a name, a value, its part of a node.
const MEMBER_BYTES: usize = 128;

/// The memory that the smallest node of an owned map takes.
const NODE_BYTES: usize = 768;

impl<'a> Json<'a> {
    /// The string, if the value is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A string, number or boolean as it would be written in a form.
    pub(crate) fn as_text(&self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(value.to_string()),
            Self::Unsigned(number) => Some(number.to_string()),
            Self::Negative(number) => Some(number.to_string()),
            Self::String(text) => Some(text.clone().into_owned()),
            Self::Null | Self::Float(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// The boolean, if the value is one.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A boolean that some servers write as text (Apple's `email_verified`). Anything else is `None`, never `true`.
    pub fn as_bool_or_text(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::String(text) if text == "true" => Some(true),
            Self::String(text) if text == "false" => Some(false),
            _ => None,
        }
    }

    /// A time in whole seconds since the epoch, if the value is a number that can be one.
    pub fn as_seconds(&self) -> Option<u64> {
        match self {
            Self::Unsigned(seconds) => Some(*seconds),
            // `as` saturates, and JSON has no NaN.
            Self::Float(seconds) if *seconds >= 0.0 => Some(*seconds as u64),
            _ => None,
        }
    }

    /// The strings, if the value is a list of strings.
    pub fn as_texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Array(items) => items.iter().map(Self::as_str).collect(),
            _ => None,
        }
    }

    /// An owned copy for callers.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::from(*value),
            Self::Unsigned(number) => Value::from(*number),
            Self::Negative(number) => Value::from(*number),
            Self::Float(number) => Value::from(*number),
            Self::String(text) => Value::from(text.as_ref()),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(object) => Value::Object(object.to_map()),
        }
    }
}

impl Json<'_> {
    /// Approximately the memory that an owned copy takes, besides the value itself.
    pub(crate) fn memory_size(&self) -> usize {
        match self {
            Self::String(text) => text.len(),
            Self::Array(items) => items
                .iter()
                .map(|item| size_of::<Value>() + item.memory_size())
                .sum(),
            Self::Object(Object(members)) if members.is_empty() => 0,
            Self::Object(object) => object.iter().fold(NODE_BYTES, |sum, (name, value)| {
                sum + MEMBER_BYTES + name.len() + value.memory_size()
            }),
            _ => 0,
        }
    }
}

impl fmt::Debug for Json<'_> {
    /// Shows only the kind of value, because replies hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Unsigned(_) | Self::Negative(_) | Self::Float(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        })
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
