//! The host's tokens.

use std::sync::Arc;

use oauth_core::Tokens;

use super::{Arg, Field, FieldError, Shape};

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
