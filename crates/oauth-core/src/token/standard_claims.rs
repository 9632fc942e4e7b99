//! The standard claims about a user, from an ID token or UserInfo (OpenID Connect Core section 5.1).
//!
//! OpenID Connect Core <https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims>

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use crate::error::Error;
use crate::jose::Claims;
use crate::jose::claims::{malformed_claim, numeric_date};
use crate::json::{Map, Value};
use crate::moment::UnixTime;
use crate::secret::Secret;

macro_rules! texts {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])+ $field:ident,)* } $(and { $($(#[$more_doc:meta])+ $more:ident: $kind:ty = $read:expr,)* })?) => {
        $(#[$about])*
        #[derive(Clone, Copy, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name<'a> {
            $($(#[$doc])+ pub $field: Option<&'a str>,)*
            $($($(#[$more_doc])+ pub $more: $kind,)*)?
        }

        impl<'a> $name<'a> {
            fn from_members(members: &'a Map<String, Value>) -> Self {
                let _text = |name: &str| members.get(name).and_then(Value::as_str);
                Self {
                    $($field: _text(stringify!($field)),)*
                    $($($more: $read(members.get(stringify!($more))),)*)?
                }
            }
        }
    };
}

texts! {
    /// The claims of OpenID Connect Core section 5.1. A claim without the type that the standard defines is absent: a
    /// string is not a boolean, and `"false"` must never pass for `true`. [`Claims::get`] returns it unchanged, and
    /// [`Claims::as_map`] all others, including those in certain languages (`name#ja`).
    ///
    /// None of these claims identifies a user: only [`IdToken::subject`](super::id_token::IdToken::subject) does,
    /// together with the issuer (section 5.7).
    StandardClaims {
        /// The full name, for display.
        name,
        /// The given or first name.
        given_name,
        /// The family name.
        family_name,
        /// The middle name.
        middle_name,
        /// The casual name of the user.
        nickname,
        /// The user name to display; it may change, and may later belong to another user.
        preferred_username,
        /// The URL of the profile page. This crate does not fetch it.
        profile,
        /// The URL of a picture. This crate does not fetch it.
        picture,
        /// The URL of the user's own page.
        website,
        /// The e-mail address; `email_verified` says whether it is known to be the user's.
        email,
        /// `female`, `male`, or another.
        gender,
        /// `YYYY-MM-DD`, `0000-MM-DD` without the year, or `YYYY` alone.
        birthdate,
        /// A time zone, such as `Europe/Paris`.
        zoneinfo,
        /// A language, such as `en-US`.
        locale,
        /// The phone number in E.164 format, such as `+1 (425) 555-1212`.
        phone_number,
    } and {
        /// Whether the server has verified that the address is the user's.
        email_verified: Option<bool> = |value: Option<&Value>| value.and_then(Value::as_bool),
        /// Whether the server has verified that the number is the user's.
        phone_number_verified: Option<bool> = |value: Option<&Value>| value.and_then(Value::as_bool),
        /// The user's postal address.
        address: Option<Address<'a>> = |value: Option<&'a Value>| value.and_then(Value::as_object).map(Address::from_members),
        /// When the claims last changed.
        updated_at: Option<UnixTime> = |value: Option<&Value>| value.and_then(numeric_date),
    }
}

texts! {
    /// A postal address (OpenID Connect Core section 5.1.1).
    Address {
        /// The full address, for a label; its lines are separated by newlines.
        formatted,
        /// Street, number, post office box; its lines are separated by newlines.
        street_address,
        /// The city.
        locality,
        /// The state, province or prefecture.
        region,
        /// The postal code.
        postal_code,
        /// The country.
        country,
    }
}

impl fmt::Debug for StandardClaims<'_> {
    /// Shows no values, because they are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandardClaims").finish_non_exhaustive()
    }
}

impl fmt::Debug for Address<'_> {
    /// Shows no values, because they are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

/// Aggregated or distributed claims, asserted by another party (OpenID Connect Core section 5.6.2). The claims are
/// neither verified nor fetched, because the party is another issuer with its own keys.
#[derive(Debug)]
#[non_exhaustive]
pub struct ClaimsSource<'a> {
    /// The source's name in this token.
    pub name: &'a str,
    /// The claims that the source has.
    pub claims: Vec<&'a str>,
    /// Where the claims are.
    pub location: ClaimsPlace<'a>,
}

/// The location of another party's claims.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClaimsPlace<'a> {
    /// In this JWT, which the other party has signed.
    Aggregated(Secret<String>),
    /// At this endpoint, as a JWT that the other party signs. The token names this URL: fetch it only if you know the
    /// party.
    Distributed {
        /// The URL of the endpoint.
        endpoint: &'a str,
        /// The token to send there; without one, the client needs its own credentials.
        access_token: Option<Secret<String>>,
    },
}

impl Claims {
    /// The standard claims about the user.
    pub fn standard(&self) -> StandardClaims<'_> {
        StandardClaims::from_members(self.as_map())
    }

    /// The aggregated and distributed claims of other parties, by source.
    ///
    /// # Errors
    /// `jwt.malformed_claim` if `_claim_names` and `_claim_sources` are not what section 5.6.2 describes, or
    /// do not match.
    pub fn sources(&self) -> Result<Vec<ClaimsSource<'_>>, Error> {
        let (names, sources) = ("_claim_names", "_claim_sources");
        let object = |name| match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_object()
                .map(Some)
                .ok_or_else(|| malformed_claim(name)),
        };
        let (Some(named), Some(listed)) = (object(names)?, object(sources)?) else {
            return match [names, sources]
                .into_iter()
                .find(|name| self.get(name).is_some())
            {
                Some(unpaired) => Err(malformed_claim(unpaired)),
                None => Ok(Vec::new()),
            };
        };
        let mut claims_of = BTreeMap::<&str, Vec<&str>>::new();
        for (claim, source) in named.iter() {
            let source = source
                .as_str()
                .filter(|source| listed.contains_key(*source));
            let source = source.ok_or_else(|| malformed_claim(names))?;
            claims_of.entry(source).or_default().push(claim);
        }
        listed
            .iter()
            .map(|(name, source)| {
                Ok(ClaimsSource {
                    name,
                    claims: claims_of.remove(name.as_str()).unwrap_or_default(),
                    location: claims_place(source).ok_or_else(|| malformed_claim(sources))?,
                })
            })
            .collect()
    }
}

fn claims_place(source: &Value) -> Option<ClaimsPlace<'_>> {
    let source = source.as_object()?;
    let text = |name: &str| source.get(name).map(Value::as_str);
    match (text("JWT"), text("endpoint"), text("access_token")) {
        (Some(jwt), None, None) => jwt.map(|jwt| ClaimsPlace::Aggregated(Secret::from(jwt))),
        (None, Some(endpoint), token) => Some(ClaimsPlace::Distributed {
            endpoint: endpoint?,
            access_token: match token {
                None => None,
                Some(token) => Some(Secret::from(token?)),
            },
        }),
        _ => None,
    }
}
