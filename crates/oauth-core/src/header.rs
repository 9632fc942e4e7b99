//! Header values that hold secrets.

use crate::error::{Error, Misuse};
use crate::http::HeaderValue;
use crate::secret;

/// A header value that is marked sensitive, so that it is never printed; its memory is overwritten after it is sent.
pub(crate) fn header_value(text: String) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_maybe_shared(secret::zeroizing_bytes(text));
    let mut value = value.map_err(|_| Error::from(Misuse::HeaderValue))?;
    value.set_sensitive(true);
    Ok(value)
}
