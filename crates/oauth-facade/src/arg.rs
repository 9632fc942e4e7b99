//! Plain values: the arguments that a host passes to an operation, and the results it gets.
//!
//! They cross in one list, in the order of the description, so that a binding has one reader and one writer regardless
//! of the operations. Types and values are checked here, once for all hosts.

mod camel_case;
mod field_values;
mod one_or_more;
mod words;

use std::fmt;
use std::sync::Arc;

pub use camel_case::camel;
pub use field_values::FieldValues;
use oauth_core::error::{Error, Misuse};
use oauth_core::extra::Extra;
use oauth_core::json::Value;
use oauth_core::moment::UnixTime;
use oauth_core::{Scope, Secret, Tokens};
pub use one_or_more::OneOrMore;

use crate::op::Description;

/// The largest integer up to which a double represents every integer (2^53 - 1).
const SAFE: f64 = 9_007_199_254_740_991.0;

/// One value. Every text is treated as a secret, so it is overwritten when it is dropped.
#[derive(Clone)]
pub enum Arg {
    /// Absent.
    Null,
    /// A flag.
    Bool(bool),
    /// A number; one above 2^53 must be a string.
    Number(f64),
    /// A string.
    Text(Secret<String>),
    /// Names of scopes, only from this crate: hosts pass a string or a list.
    Names(Scope),
    /// Several values.
    List(Vec<Self>),
    /// Names with values.
    Pairs(Vec<(String, Self)>),
    /// A time.
    Time(UnixTime),
    /// Members without a defined type, as JSON.
    Json(Value),
    /// The host's tokens.
    Tokens(Arc<Tokens>),
    /// Any other type; only used to report the error.
    Other,
}

impl Arg {
    /// The kind of value, for people; never the value.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Names(_) => "scope names",
            Self::List(_) => "a list",
            Self::Pairs(_) => "an object",
            Self::Time(_) => "a time",
            Self::Json(_) => "JSON",
            Self::Tokens(_) => "Tokens",
            Self::Other => "something else",
        }
    }

    fn text(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Debug for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// The arguments of one operation, in the order of its description.
#[derive(Debug)]
pub struct Args(std::vec::IntoIter<Arg>);

impl Args {
    /// Reads the next argument.
    ///
    /// # Errors
    /// Why the argument is refused.
    pub fn take<F: Field>(&mut self, name: &'static str) -> Result<F, StartError> {
        F::read(self.0.next().unwrap_or(Arg::Null)).map_err(|unfit| match unfit {
            FieldError::Kind(actual) => StartError::Argument(TypeMismatch {
                name,
                expected: F::WANTED,
                actual,
            }),
            FieldError::Value(error) if error.detail().is_none() => {
                StartError::Call(error.about(name))
            }
            FieldError::Value(error) => StartError::Call(error),
        })
    }
}

impl From<Vec<Arg>> for Args {
    fn from(list: Vec<Arg>) -> Self {
        Self(list.into_iter())
    }
}

/// Why an operation did not begin.
#[derive(Debug)]
pub enum StartError {
    /// An argument is of another type: the host's `TypeError`.
    Argument(TypeMismatch),
    /// The value of an argument is invalid, or the call is not possible.
    Call(Error),
}

impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

/// An argument of the wrong type. It names the kind of value that was given, never the value.
#[derive(Debug, Clone, Copy)]
pub struct TypeMismatch {
    /// The argument's name, in snake case.
    pub name: &'static str,
    /// The expected kind of value.
    pub expected: &'static str,
    /// The given kind of value.
    pub actual: &'static str,
}

impl TypeMismatch {
    /// The message for languages whose names are in camel case.
    pub fn in_camel_case(&self) -> String {
        self.message_for(&camel(self.name))
    }

    fn message_for(&self, name: &str) -> String {
        format!(
            "argument '{name}': expected {}, not {}",
            self.expected, self.actual
        )
    }
}

impl fmt::Display for TypeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message_for(self.name))
    }
}

/// The reason why a field rejects a value.
#[derive(Debug)]
pub enum FieldError {
    /// The value is of this other kind.
    Kind(&'static str),
    /// The type is right, but the value is invalid.
    Value(Error),
}

impl From<Error> for FieldError {
    fn from(error: Error) -> Self {
        Self::Value(error)
    }
}

/// The type of a value, for generators.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A string.
    Text,
    /// A string that must not be shown.
    Secret,
    /// Personal data about a user, which is shown only when it is asked for by name.
    Personal,
    /// A flag.
    Flag,
    /// A non-negative integer.
    Whole,
    /// One of these words, and the name of their type.
    Word(&'static str, &'static [&'static str]),
    /// Names of scopes.
    Names,
    /// Several texts.
    Texts,
    /// A string, or several strings of which any one is acceptable.
    OneOrMore,
    /// Names with one string each, or several.
    Pairs,
    /// A time.
    Time,
    /// Members without a defined type, as JSON.
    Json,
    /// A list or an object of the host, which is passed as JSON.
    JsonText,
    /// Tokens.
    Tokens,
    /// This shape, or nothing.
    Maybe(&'static Self),
    /// A record within a record: the list of its members, in their order.
    Record(&'static Description),
}

/// A type that can cross the language boundary.
pub trait Field: Sized {
    /// The shape of the type, for generators.
    const SHAPE: Shape;
    /// The expected type, for error messages: "a string".
    const WANTED: &'static str;
    /// Whether the value may be left out.
    const OPTIONAL: bool = false;

    /// Converts from a value.
    ///
    /// # Errors
    /// Why the value is not accepted.
    fn read(arg: Arg) -> Result<Self, FieldError>;

    /// Converts into a value.
    fn write(self) -> Arg;
}

/// The documentation of one argument or member, for code generators.
#[derive(Debug, Clone, Copy)]
pub struct FieldDoc {
    /// The name, in snake case.
    pub name: &'static str,
    /// The description, line by line.
    pub text: &'static [&'static str],
    /// The type.
    pub shape: Shape,
    /// Whether the value may be left out.
    pub is_optional: bool,
}

impl Field for Secret<String> {
    const SHAPE: Shape = Shape::Secret;
    const WANTED: &'static str = "a string";

    fn read(arg: Arg) -> Result<Self, FieldError> {
        match arg {
            Arg::Text(text) => Ok(text),
            other => Err(FieldError::Kind(other.kind())),
        }
    }

    fn write(self) -> Arg {
        Arg::Text(self)
    }
}

impl Field for String {
    const SHAPE: Shape = Shape::Text;
    const WANTED: &'static str = "a string";

    fn read(arg: Arg) -> Result<Self, FieldError> {
        Secret::read(arg).map(|text| text.expose().clone())
    }

    fn write(self) -> Arg {
        Arg::Text(self.into())
    }
}

/// A list or an object of the host, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(pub String);

impl Field for JsonText {
    const SHAPE: Shape = Shape::JsonText;
    const WANTED: &'static str = "a JSON value";

    fn read(arg: Arg) -> Result<Self, FieldError> {
        String::read(arg).map(Self)
    }

    fn write(self) -> Arg {
        self.0.write()
    }
}

/// Personal data about a user. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Personal(pub String);

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

impl Field for Personal {
    const SHAPE: Shape = Shape::Personal;
    const WANTED: &'static str = "a string";

    fn read(arg: Arg) -> Result<Self, FieldError> {
        String::read(arg).map(Self)
    }

    fn write(self) -> Arg {
        self.0.write()
    }
}

impl Field for bool {
    const SHAPE: Shape = Shape::Flag;
    const WANTED: &'static str = "a boolean";

    fn read(arg: Arg) -> Result<Self, FieldError> {
        match arg {
            Arg::Bool(flag) => Ok(flag),
            other => Err(FieldError::Kind(other.kind())),
        }
    }

    fn write(self) -> Arg {
        Arg::Bool(self)
    }
}

impl Field for u64 {
    const SHAPE: Shape = Shape::Whole;
    const WANTED: &'static str = "an integer";

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, not below zero, and no larger than a double holds exactly"
    )]
    fn read(arg: Arg) -> Result<Self, FieldError> {
        match arg {
            Arg::Number(number) if number.fract() == 0.0 && (0.0..=SAFE).contains(&number) => {
                Ok(number as Self)
            }
            Arg::Number(_) => Err(FieldError::Kind("another number")),
            other => Err(FieldError::Kind(other.kind())),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "more than 2^53 has no meaning")]
    fn write(self) -> Arg {
        Arg::Number(self as f64)
    }
}

impl Field for UnixTime {
    const SHAPE: Shape = Shape::Time;
    const WANTED: &'static str = "a time";

    fn read(arg: Arg) -> Result<Self, FieldError> {
        match arg {
            Arg::Time(time) => Ok(time),
            // Host clocks have fractions of a second, which are cut off.
            Arg::Number(seconds) => u64::read(Arg::Number(seconds.floor())).map(Self::from_secs),
            other => Err(FieldError::Kind(other.kind())),
        }
    }

    fn write(self) -> Arg {
        Arg::Time(self)
    }
}

impl<T: Field> Field for Option<T> {
    const SHAPE: Shape = Shape::Maybe(&T::SHAPE);
    const WANTED: &'static str = T::WANTED;
    const OPTIONAL: bool = true;

    fn read(arg: Arg) -> Result<Self, FieldError> {
        match arg {
            Arg::Null => Ok(None),
            arg => T::read(arg).map(Some),
        }
    }

    fn write(self) -> Arg {
        self.map_or(Arg::Null, T::write)
    }
}

impl Field for Scope {
    const SHAPE: Shape = Shape::Names;
    const WANTED: &'static str = "a string or a list of strings";
    const OPTIONAL: bool = true;

    fn read(arg: Arg) -> Result<Self, FieldError> {
        match arg {
            Arg::Null => Ok(Self::none()),
            Arg::Names(names) => Ok(names),
            Arg::Text(text) => Ok(Self::parse(text.expose())?),
            list @ Arg::List(_) => {
                let names = Vec::<String>::read(list)?;
                for (index, name) in names.iter().enumerate() {
                    // "read write" as one item would be two names on the wire.
                    Self::from_names([name.as_str()]).map_err(|_| {
                        let text = format!("item {index} is not one scope-token");
                        Error::from(Misuse::ScopeSyntax).about(&text)
                    })?;
                }
                Ok(Self::from_names(names.iter().map(String::as_str))?)
            }
            other => Err(FieldError::Kind(other.kind())),
        }
    }

    fn write(self) -> Arg {
        Arg::Names(self)
    }
}

impl Field for Vec<String> {
    const SHAPE: Shape = Shape::Texts;
    const WANTED: &'static str = "a list of strings";
    const OPTIONAL: bool = true;

    fn read(arg: Arg) -> Result<Self, FieldError> {
        let one = |arg| String::read(arg).map_err(|_| FieldError::Kind("a list of other things"));
        match arg {
            Arg::Null => Ok(Self::new()),
            Arg::List(list) => list.into_iter().map(one).collect(),
            other => Err(FieldError::Kind(other.kind())),
        }
    }

    fn write(self) -> Arg {
        Arg::List(self.into_iter().map(String::write).collect())
    }
}

impl Field for Vec<(String, Secret<String>)> {
    const SHAPE: Shape = Shape::Pairs;
    const WANTED: &'static str = "an object of strings or lists of strings";
    const OPTIONAL: bool = true;

    fn read(arg: Arg) -> Result<Self, FieldError> {
        let pairs = match arg {
            Arg::Null => Vec::new(),
            Arg::Pairs(pairs) => pairs,
            other => return Err(FieldError::Kind(other.kind())),
        };
        let mut read = Self::new();
        for (name, value) in pairs {
            let values = match value {
                Arg::List(values) => values,
                one => vec![one],
            };
            for value in values {
                let value = Secret::read(value);
                let value = value.map_err(|_| FieldError::Kind("an object of other things"))?;
                read.push((name.clone(), value));
            }
        }
        Ok(read)
    }

    fn write(self) -> Arg {
        let pairs = self.into_iter();
        Arg::Pairs(
            pairs
                .map(|(name, value)| (name, Arg::Text(value)))
                .collect(),
        )
    }
}

impl Field for Extra {
    const SHAPE: Shape = Shape::Json;
    const WANTED: &'static str = "an object";

    fn read(arg: Arg) -> Result<Self, FieldError> {
        // Only responses have extra members; they are never an argument.
        Err(FieldError::Kind(arg.kind()))
    }

    fn write(self) -> Arg {
        Arg::Json(Value::Object(self.into()))
    }
}

impl Field for Arc<Tokens> {
    const SHAPE: Shape = Shape::Tokens;
    const WANTED: &'static str = "Tokens";

    fn read(arg: Arg) -> Result<Self, FieldError> {
        match arg {
            Arg::Tokens(tokens) => Ok(tokens),
            other => Err(FieldError::Kind(other.kind())),
        }
    }

    fn write(self) -> Arg {
        Arg::Tokens(self)
    }
}
