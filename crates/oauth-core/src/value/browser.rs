//! A small replacement for serde_json's values, under the same names, for web pages. Objects are sorted vectors: they
//! have few members. Unlike in serde_json, [`Number::as_f64`] does not convert integers.

/// Any JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// An object.
    Object(Map<String, Value>),
}

/// A number, an integer if it was written as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(Repr);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Repr {
    Unsigned(u64),
    Negative(i64),
    Float(f64),
}

impl Number {
    /// The number, if it is a non-negative integer.
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Repr::Unsigned(number) => Some(number),
            _ => None,
        }
    }

    /// The number, if it is an integer within the range of `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Repr::Unsigned(number) => number.try_into().ok(),
            Repr::Negative(number) => Some(number),
            Repr::Float(_) => None,
        }
    }

    /// The number, if it was not written as an integer. serde_json would convert integers as well.
    pub fn as_f64(&self) -> Option<f64> {
        match self.0 {
            Repr::Float(number) => Some(number),
            _ => None,
        }
    }
}

impl Value {
    /// The string, if the value is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, if the value is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The object, if the value is one.
    pub fn as_object(&self) -> Option<&Map<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The list, if the value is one.
    pub fn as_array(&self) -> Option<&Vec<Self>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($type:ty: $given:ident => $value:expr),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from($given: $type) -> Self {
                $value
            }
        }
    )*};
}
from! {
    bool: flag => Self::Bool(flag),
    u64: number => Self::Number(Number(Repr::Unsigned(number))),
    i64: number => match u64::try_from(number) {
        Ok(number) => number.into(),
        Err(_) => Self::Number(Number(Repr::Negative(number))),
    },
    f64: number => Self::Number(Number(Repr::Float(number))),
    &str: text => Self::String(text.to_owned()),
    String: text => Self::String(text),
}

impl FromIterator<Self> for Value {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        Self::Array(items.into_iter().collect())
    }
}

/// An object: its members in the order of their names.
#[derive(Debug, Clone, PartialEq)]
pub struct Map<K = String, V = Value>(Vec<(K, V)>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl Map<String, Value> {
    /// An object without members.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(member_name, _)| member_name.as_str().cmp(name))
    }

    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let index = self.position(name).ok()?;
        self.0.get(index).map(|(_, value)| value)
    }

    /// Whether there is a member of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.position(name).is_ok()
    }

    /// Sets a member, and returns its previous value.
    pub fn insert(&mut self, name: String, value: Value) -> Option<Value> {
        match self.position(&name) {
            Ok(index) => {
                let member = self.0.get_mut(index);
                member.map(|(_, member)| std::mem::replace(member, value))
            }
            Err(index) => {
                self.0.insert(index, (name, value));
                None
            }
        }
    }

    /// Removes a member, and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.position(name).ok()?;
        Some(self.0.remove(index).1)
    }

    /// Keeps the members for which `keep` returns true.
    pub fn retain(&mut self, mut keep: impl FnMut(&String, &mut Value) -> bool) {
        self.0.retain_mut(|(name, value)| keep(name, value));
    }

    /// Removes all members.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether there are no members.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The names in order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }
}

impl IntoIterator for Map<String, Value> {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, Value)> for Map<String, Value> {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        let mut map = Self::new();
        for (name, value) in members {
            map.insert(name, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {

        #[test]
        fn map_behaves_like_serde_jsons_map(names in prop::collection::vec("[a-d]{0,2}", 0..12), removed_name in "[a-d]{0,2}") {
            let (mut ours, mut theirs) = (Map::new(), serde_json::Map::new());
            for (at, name) in names.iter().enumerate() {
                let replaced = ours.insert(name.clone(), Value::from(at as u64)).is_some();
                prop_assert_eq!(replaced, theirs.insert(name.clone(), at.into()).is_some());
            }
            prop_assert_eq!(ours.remove(&removed_name).is_some(), theirs.remove(&removed_name).is_some());
            for name in &names {
                let number = |value: &Value| match value {
                    Value::Number(number) => number.as_u64(),
                    _ => None,
                };
                prop_assert_eq!(ours.get(name).and_then(number), theirs.get(name).and_then(serde_json::Value::as_u64));
            }
            prop_assert!(ours.keys().eq(theirs.keys()));
        }
    }

    #[test]
    fn integers_are_kept_exactly() {
        let number = |value: Value| match value {
            Value::Number(number) => (number.as_u64(), number.as_i64(), number.as_f64()),
            _ => (None, None, None),
        };
        assert_eq!(number(u64::MAX.into()), (Some(u64::MAX), None, None));
        assert_eq!(number(7i64.into()), (Some(7), Some(7), None));
        assert_eq!(number((-7i64).into()), (None, Some(-7), None));
        assert_eq!(number(0.5.into()), (None, None, Some(0.5)));
    }
}
