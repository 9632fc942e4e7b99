//! The postal address of a user, within the other claims about them.

use oauth_core::token::standard_claims;

use super::outcome;
use crate::arg::{Arg, Field, FieldError, Personal, Shape};

outcome! {
    /// A postal address (OpenID Connect Core section 5.1.1).
    ///
    /// A member that is not a string is absent.
    pub struct Address {
        /// The full address, for a label; its lines are separated by newlines.
        pub formatted: Option<Personal>,
        /// Street, number, post office box; its lines are separated by newlines.
        pub street_address: Option<Personal>,
        /// The city.
        pub locality: Option<Personal>,
        /// The state, province or prefecture.
        pub region: Option<Personal>,
        /// The postal code.
        pub postal_code: Option<Personal>,
        /// The country.
        pub country: Option<Personal>,
    }
}

impl From<standard_claims::Address<'_>> for Address {
    fn from(address: standard_claims::Address<'_>) -> Self {
        let personal = |text: Option<&str>| text.map(|text| Personal(text.to_owned()));
        Self {
            formatted: personal(address.formatted),
            street_address: personal(address.street_address),
            locality: personal(address.locality),
            region: personal(address.region),
            postal_code: personal(address.postal_code),
            country: personal(address.country),
        }
    }
}

impl Field for Address {
    const SHAPE: Shape = Shape::Record(Self::DESCRIPTION);
    const WANTED: &'static str = "an address";

    fn read(arg: Arg) -> Result<Self, FieldError> {
        // Only responses have one; it is never an argument.
        Err(FieldError::Kind(arg.kind()))
    }

    fn write(self) -> Arg {
        Arg::List(vec![
            self.formatted.write(),
            self.street_address.write(),
            self.locality.write(),
            self.region.write(),
            self.postal_code.write(),
            self.country.write(),
        ])
    }
}
