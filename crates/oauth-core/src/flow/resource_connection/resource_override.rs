//! The `resource` of token requests (RFC 8707), if the server identifies the API by a name other than its URL. What a
//! `resource` must look like is in `grant/resource_indicator.rs`.

use super::{ConnectRequest, Connection};
use crate::error::Error;
use crate::grant::TokenRequest;

impl ConnectRequest {
    /// Sends this URI as `resource` (RFC 8707), instead of the identifier of the API: for a server that knows the API by
    /// another, and refuses its own (`denied.invalid_target`). A server that refuses every `resource` has the quirk
    /// [`WithoutResource`](crate::quirk::Quirk::WithoutResource).
    ///
    /// # Errors
    /// `resource.syntax`.
    pub fn resource_value(mut self, uri: &str) -> Result<Self, Error> {
        TokenRequest::new().resource(uri)?;
        self.resource_value = Some(uri.to_owned());
        Ok(self)
    }

    /// The URI that is sent as `resource`, if it is not the identifier of the API. A connection that was kept has that of
    /// the request that found it ([`Connection::resource_value`]): connect again if they differ.
    pub fn chosen_resource_value(&self) -> Option<&str> {
        self.resource_value.as_deref()
    }
}

impl Connection {
    /// The `resource` of every token request.
    pub fn requested_resource(&self) -> &str {
        let value = self.resource_value.as_deref();
        value.unwrap_or(self.resource.resource.as_str())
    }
}
