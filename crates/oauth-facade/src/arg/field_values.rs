//! The values of a header field that may occur several times, and may be absent.

use oauth_core::Secret;

use super::{Arg, Field, FieldError, OneOrMore, Shape};

/// The values of one header field of a request that a host has received: none, one or several.
#[derive(Debug, Clone, Default)]
pub struct FieldValues(pub Vec<Secret<String>>);

impl Field for FieldValues {
    const SHAPE: Shape = Shape::Maybe(&OneOrMore::SHAPE);
    const WANTED: &'static str = OneOrMore::WANTED;
    const OPTIONAL: bool = true;

    fn read(arg: Arg) -> Result<Self, FieldError> {
        let one = |arg| Secret::read(arg).map_err(|_| FieldError::Kind("a list of other things"));
        match arg {
            Arg::Null => Ok(Self::default()),
            Arg::List(list) => list
                .into_iter()
                .map(one)
                .collect::<Result<_, _>>()
                .map(Self),
            text => Ok(Self(vec![Secret::read(text)?])),
        }
    }

    fn write(self) -> Arg {
        Arg::List(self.0.into_iter().map(Secret::write).collect())
    }
}
