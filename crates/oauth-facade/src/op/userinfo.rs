//! UserInfo: `GET {userinfo_endpoint}` (OpenID Connect Core section 5.3).

use std::sync::Arc;

use oauth_core::Tokens;
use oauth_core::error::{Error, ValidationFailure};
use oauth_core::extra::Extra;
use oauth_core::jose::Claims;
use oauth_core::moment::UnixTime;

use super::{Address, arguments, outcome};
use crate::arg::Personal;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Fetches the claims of the user who signed in (OpenID Connect Core section 5.3).
    ///
    /// `userinfo.subject` if the response is about another user: then nothing in it may be used. `endpoint.missing`
    /// if the server does not offer it, `userinfo.malformed` if its reply is malformed,
    /// `denied.*` if it refuses, `lost.*` if no reply arrives. If the client is registered for signed or encrypted
    /// responses, `userinfo.not_signed` and `jwe.not_encrypted` for plain ones, `jwe.*`, `jws.*` and `jwt.*` for
    /// invalid ones.
    pub struct Userinfo {
        /// The tokens of the sign-in.
        pub tokens: Arc<Tokens>,
        /// The `sub` of the verified ID token: the response must be about the same user.
        pub subject: String,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let Self { tokens, subject } = self;
        let userinfo = client.core().userinfo(tokens, subject);
        #[cfg(all(feature = "js", target_family = "wasm"))]
        return Ok(ErasedExchange::with_record::<_, PageClaims>(userinfo));
        #[cfg(not(all(feature = "js", target_family = "wasm")))]
        Ok(ErasedExchange::with_record::<_, UserClaims>(userinfo))
    }
}

outcome! {
    /// The claims about a user (OpenID Connect Core section 5.1).
    ///
    /// A standard claim without the type that the standard defines is absent: the string "false" is not a boolean, and
    /// must not pass for true. The unchanged claim is in `claims`.
    pub struct UserClaims {
        /// The subject, which with the issuer identifies the user: the `sub` of the ID token. No other claim identifies
        /// the user.
        pub subject: String,
        /// All claims: `sub`, the claims below, and others.
        pub claims: Extra,
        /// The full name, for display.
        pub name: Option<Personal>,
        /// The given or first name.
        pub given_name: Option<Personal>,
        /// The family name.
        pub family_name: Option<Personal>,
        /// The middle name.
        pub middle_name: Option<Personal>,
        /// The casual name of the user.
        pub nickname: Option<Personal>,
        /// The user name to display; it may change, and may later belong to another user.
        pub preferred_username: Option<Personal>,
        /// The URL of the profile page.
        pub profile: Option<Personal>,
        /// The URL of a picture.
        pub picture: Option<Personal>,
        /// The URL of the user's web page.
        pub website: Option<Personal>,
        /// The e-mail address; `email_verified` says whether it is known to be the user's.
        pub email: Option<Personal>,
        /// Whether the server has verified that the address is the user's.
        pub email_verified: Option<bool>,
        /// `female`, `male`, or another.
        pub gender: Option<Personal>,
        /// `YYYY-MM-DD`, `0000-MM-DD` without the year, or `YYYY` alone.
        pub birthdate: Option<Personal>,
        /// A time zone, such as `Europe/Paris`.
        pub zoneinfo: Option<Personal>,
        /// A language, such as `en-US`.
        pub locale: Option<Personal>,
        /// The phone number in E.164 format, such as `+1 (425) 555-1212`.
        pub phone_number: Option<Personal>,
        /// Whether the server has verified that the number is the user's.
        pub phone_number_verified: Option<bool>,
        /// The user's postal address (section 5.1.1).
        pub address: Option<Address>,
        /// When the claims last changed.
        pub updated_at: Option<UnixTime>,
    }
}

/// The standard claims among these claims, a JSON object, with their types: an ID token may have all of them, and its
/// record has the few that most have.
///
/// # Errors
/// `jwt.missing_claim` without a `sub`, `jwt.malformed_claim` if it is not a string, `jwt.malformed` for no JSON object.
pub fn user_claims(claims: &str) -> Result<UserClaims, Error> {
    let claims = Claims::from_json(claims)?;
    match claims.text("sub")? {
        Some(_) => Ok(claims.into()),
        None => Err(Error::from(ValidationFailure::JwtClaimMissing).about("sub")),
    }
}

impl From<Claims> for UserClaims {
    fn from(claims: Claims) -> Self {
        let personal = |text: Option<&str>| text.map(|text| Personal(text.to_owned()));
        let user = claims.standard();
        Self {
            subject: claims
                .text("sub")
                .ok()
                .flatten()
                .unwrap_or_default()
                .to_owned(),
            name: personal(user.name),
            given_name: personal(user.given_name),
            family_name: personal(user.family_name),
            middle_name: personal(user.middle_name),
            nickname: personal(user.nickname),
            preferred_username: personal(user.preferred_username),
            profile: personal(user.profile),
            picture: personal(user.picture),
            website: personal(user.website),
            email: personal(user.email),
            email_verified: user.email_verified,
            gender: personal(user.gender),
            birthdate: personal(user.birthdate),
            zoneinfo: personal(user.zoneinfo),
            locale: personal(user.locale),
            phone_number: personal(user.phone_number),
            phone_number_verified: user.phone_number_verified,
            address: user.address.map(Address::from),
            updated_at: user.updated_at,
            claims: Extra::from(claims.as_map().clone()),
        }
    }
}

/// The part of [`UserClaims`] that a web page gets: only `claims`.
#[cfg(all(feature = "js", target_family = "wasm"))]
struct PageClaims(Claims);

#[cfg(all(feature = "js", target_family = "wasm"))]
impl From<Claims> for PageClaims {
    fn from(claims: Claims) -> Self {
        Self(claims)
    }
}

#[cfg(all(feature = "js", target_family = "wasm"))]
impl From<PageClaims> for crate::output::Record {
    fn from(claims: PageClaims) -> Self {
        let claims = crate::arg::Field::write(Extra::from(claims.0.as_map().clone()));
        Self::Plain("UserClaims", vec![claims])
    }
}
