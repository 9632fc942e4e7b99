//! One text or several, and never none.

use oauth_core::error::{Error, Misuse};

use super::{Arg, Field, FieldError, Shape};

/// Alternative strings, of which any is acceptable. There is at least one, and none is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMore {
    first: String,
    rest: Vec<String>,
}

impl OneOrMore {
    /// The texts, of which there must be at least one.
    ///
    /// # Errors
    /// `form.malformed_parameter` if there is none, or one is empty.
    pub fn new(texts: Vec<String>) -> Result<Self, Error> {
        let is_empty = texts.iter().any(String::is_empty);
        let mut texts = texts.into_iter();
        match texts.next() {
            Some(first) if !is_empty => Ok(Self {
                first,
                rest: texts.collect(),
            }),
            _ => Err(Misuse::ParameterValue.into()),
        }
    }

    /// The first, and the others.
    pub fn into_parts(self) -> (String, Vec<String>) {
        (self.first, self.rest)
    }
}

impl Field for OneOrMore {
    const SHAPE: Shape = Shape::OneOrMore;
    const WANTED: &'static str = "a string or a list of strings";

    fn read(arg: Arg) -> Result<Self, FieldError> {
        let texts = match arg {
            Arg::Null => return Err(FieldError::Kind(arg.kind())),
            list @ Arg::List(_) => Vec::read(list)?,
            one => vec![String::read(one)?],
        };
        Ok(Self::new(texts)?)
    }

    fn write(self) -> Arg {
        let mut texts = vec![self.first];
        texts.extend(self.rest);
        texts.write()
    }
}
