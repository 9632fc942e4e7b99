//! The JSON form of stored values: an object for a struct, a string for an enum.

use std::borrow::Cow;

use super::reader::{self, Limits};
use super::{Json, Map, Object, Value, writer};
use crate::secret::Secret;

/// A value with a stored form in JSON.
pub trait JsonForm: Sized {
    /// Reads the value; `None` if it is of another form.
    fn read(value: Json<'_>) -> Option<Self>;

    /// Appends the value to a string.
    fn write(&self, out: &mut String);

    /// The value of a missing member, if it may be left out.
    fn absent() -> Option<Self> {
        None
    }

    /// Whether a member may be left out for this value.
    fn is_absent(&self) -> bool {
        false
    }
}

/// Reads a stored value; `None` if the text is of another form.
pub fn from_text<T: JsonForm>(text: &str) -> Option<T> {
    T::read(reader::read(text, Limits::STORED).ok()?)
}

/// The stored value as a string.
pub fn to_text<T: JsonForm>(value: &T) -> String {
    let mut out = String::with_capacity(256);
    value.write(&mut out);
    out
}

impl Object<'_> {
    /// Takes the member of this name out and reads it; `null` counts as absent.
    pub fn form<T: JsonForm>(&mut self, name: &str) -> Option<T> {
        match self.take(name) {
            Some(value) => T::read(value),
            None => T::absent(),
        }
    }

    /// Takes the member of this name out and reads it, or returns the default value if it is missing.
    pub fn form_or_default<T: JsonForm + Default>(&mut self, name: &str) -> Option<T> {
        match self.take(name) {
            Some(value) => T::read(value),
            None => Some(T::default()),
        }
    }
}

/// Implements the stored form of a struct: an object with a member for each field, in this order. A field that may be
/// missing is marked `default`; one that is also left out if it is empty, `skip`, followed by its former name, if any;
/// and one that is like this but always empty in builds for pages, `native`.
#[macro_export]
macro_rules! json_form {
    ($name:ident { $($field:ident $(: $how:ident $(($old:literal))?)?),* $(,)? }) => {
        impl $crate::json::JsonForm for $name {
            fn read(value: $crate::json::Json<'_>) -> Option<Self> {
                let $crate::json::Json::Object(mut object) = value else { return None };
                Some(Self {
                    $($field: $crate::json_form!(@read object, $field $(, $how $(, $old)?)?)?,)*
                })
            }

            fn write(&self, out: &mut String) {
                let mut members = $crate::json::Members::begin(out);
                $($crate::json_form!(@write self, members, $field $(, $how)?);)*
                members.end();
            }
        }
    };
    (@read $object:ident, $field:ident) => { $object.form(stringify!($field)) };
    (@read $object:ident, $field:ident, $how:ident, $old:literal) => {
        match $object.form($old) {
            Some(Some(old)) => Some(Some(old)),
            _ => $object.form(stringify!($field)),
        }
    };
    (@read $object:ident, $field:ident, native) => {
        if $crate::browser_build::IS_BROWSER_BUILD {
            Some(Default::default())
        } else {
            $crate::json_form!(@read $object, $field, skip)
        }
    };
    (@read $object:ident, $field:ident, $how:ident) => {
        $object.form_or_default(stringify!($field))
    };
    (@write $this:ident, $members:ident, $field:ident, skip) => {
        if !$crate::json::JsonForm::is_absent(&$this.$field) {
            $crate::json_form!(@write $this, $members, $field)
        }
    };
    (@write $this:ident, $members:ident, $field:ident, native) => {
        if !$crate::browser_build::IS_BROWSER_BUILD {
            $crate::json_form!(@write $this, $members, $field, skip)
        }
    };
    (@write $this:ident, $members:ident, $field:ident $(, default)?) => {
        $crate::json::JsonForm::write(&$this.$field, $members.next(stringify!($field)))
    };
}

/// Implements the stored form of an enum: the name of a variant as a string, or as the single member of an object if
/// the variant holds values.
macro_rules! json_words {
    ($name:ident { $($word:literal = $variant:ident $(($($inside:ident),+))?),* $(,)? }) => {
        impl $crate::json::JsonForm for $name {
            fn read(value: $crate::json::Json<'_>) -> Option<Self> {
                let (word, _inside) = $crate::json::storage_form::variant_name(value)?;
                match &*word {
                    $($word => {
                        $(let ($($inside,)+) = $crate::json::storage_form::variant_value(_inside?)?;)?
                        Some(Self::$variant $(($($inside),+))?)
                    })*
                    _ => None,
                }
            }

            fn write(&self, out: &mut String) {
                match self {
                    $(Self::$variant $(($($inside),+))? => {
                        $crate::json::storage_form::write_word($word, &[$($(&|out| $inside.write(out)),+)?], out);
                    })*
                }
            }
        }
    };
}
pub(crate) use json_words;

/// The name of a variant, and its value if it has one.
pub(crate) fn variant_name(value: Json<'_>) -> Option<(Cow<'_, str>, Option<Json<'_>>)> {
    match value {
        Json::String(word) => Some((word, None)),
        Json::Object(Object(members)) => {
            let mut members = members.into_iter();
            let (word, inside) = members.next()?;
            members.next().is_none().then_some((word, Some(inside)))
        }
        _ => None,
    }
}

/// The value of a variant: one value directly, several in a list.
pub(crate) fn variant_value<T: StoredAs>(value: Json<'_>) -> Option<T> {
    T::from_value(value)
}

pub(crate) trait StoredAs: Sized {
    fn from_value(value: Json<'_>) -> Option<Self>;
}

impl<A: JsonForm> StoredAs for (A,) {
    fn from_value(value: Json<'_>) -> Option<Self> {
        A::read(value).map(|only| (only,))
    }
}

impl<A: JsonForm, B: JsonForm> StoredAs for (A, B) {
    fn from_value(value: Json<'_>) -> Option<Self> {
        Self::read(value)
    }
}

pub(crate) fn write_word(word: &str, inside: &[&dyn Fn(&mut String)], out: &mut String) {
    match inside {
        [] => writer::string(word, out),
        [only] => {
            let mut members = writer::Members::begin(out);
            only(members.next(word));
            members.end();
        }
        several => {
            let mut members = writer::Members::begin(out);
            writer::list(several, members.next(word), |write, out| write(out));
            members.end();
        }
    }
}

impl JsonForm for String {
    fn read(value: Json<'_>) -> Option<Self> {
        match value {
            Json::String(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    fn write(&self, out: &mut String) {
        writer::string(self, out);
    }
}

impl JsonForm for Secret<String> {
    fn read(value: Json<'_>) -> Option<Self> {
        String::read(value).map(Self::new)
    }

    fn write(&self, out: &mut String) {
        self.expose().write(out);
    }
}

impl JsonForm for char {
    fn read(value: Json<'_>) -> Option<Self> {
        let mut chars = value.as_str()?.chars();
        chars.next().filter(|_| chars.next().is_none())
    }

    fn write(&self, out: &mut String) {
        writer::string(self.encode_utf8(&mut [0; 4]), out);
    }
}

impl JsonForm for bool {
    fn read(value: Json<'_>) -> Option<Self> {
        value.as_bool()
    }

    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }

    fn is_absent(&self) -> bool {
        !self
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl JsonForm for $type {
            fn read(value: Json<'_>) -> Option<Self> {
                match value {
                    Json::Unsigned(number) => number.try_into().ok(),
                    _ => None,
                }
            }

            fn write(&self, out: &mut String) {
                out.push_str(&self.to_string());
            }
        }
    )*};
}
whole_numbers!(u16, u32, u64);

impl<T: JsonForm> JsonForm for Option<T> {
    fn read(value: Json<'_>) -> Option<Self> {
        match value {
            Json::Null => Some(None),
            value => T::read(value).map(Some),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: JsonForm> JsonForm for Box<T> {
    fn read(value: Json<'_>) -> Option<Self> {
        T::read(value).map(Self::new)
    }

    fn write(&self, out: &mut String) {
        (**self).write(out);
    }
}

impl<T: JsonForm> JsonForm for Vec<T> {
    fn read(value: Json<'_>) -> Option<Self> {
        match value {
            Json::Array(items) => items.into_iter().map(T::read).collect(),
            _ => None,
        }
    }

    fn write(&self, out: &mut String) {
        writer::list(self, out, T::write);
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl<A: JsonForm, B: JsonForm> JsonForm for (A, B) {
    fn read(value: Json<'_>) -> Option<Self> {
        let Json::Array(items) = value else {
            return None;
        };
        let [first, second] = <[_; 2]>::try_from(items).ok()?;
        Some((A::read(first)?, B::read(second)?))
    }

    fn write(&self, out: &mut String) {
        out.push('[');
        self.0.write(out);
        out.push(',');
        self.1.write(out);
        out.push(']');
    }
}

/// Values by name, in order: an object.
#[derive(Debug, Clone, Default)]
pub struct ByName<T>(pub Vec<(String, T)>);

impl<T> ByName<T> {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        let member = self.0.iter().find(|(member_name, _)| member_name == name);
        member.map(|(_, value)| value)
    }
}

impl<T: JsonForm> JsonForm for ByName<T> {
    fn read(value: Json<'_>) -> Option<Self> {
        match value {
            Json::Object(Object(members)) => {
                let members = members.into_iter();
                let member = |(name, value)| Some((Cow::into_owned(name), T::read(value)?));
                members.map(member).collect::<Option<_>>().map(Self)
            }
            _ => None,
        }
    }

    fn write(&self, out: &mut String) {
        let mut members = writer::Members::begin(out);
        for (name, value) in &self.0 {
            value.write(members.next(name));
        }
        members.end();
    }
}

impl JsonForm for Map<String, Value> {
    fn read(value: Json<'_>) -> Option<Self> {
        match value {
            Json::Object(object) => Some(object.to_map()),
            _ => None,
        }
    }

    fn write(&self, out: &mut String) {
        writer::object(self, out);
    }
}
