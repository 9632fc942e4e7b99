//! Logout tokens of the twin, which a server posts to clients when a user signs out.
//!
//! OpenID Connect Back-Channel Logout section 2.4

use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Twin;
use super::id_token::{other_alg, signed, unsigned};

/// The lifetime of a logout token, in seconds.
const LOGOUT_TOKEN_SECONDS: u64 = 120;
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A flaw of a logout token. The signature is valid unless the variant says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogoutTokenFlaw {
    /// `alg` is `none`, and there is no signature.
    Unsigned,
    /// It is signed with an algorithm that the server's metadata does not list.
    OtherAlgorithm,
    /// There are no `events`.
    MissingEvent,
    /// `events` has only a different member.
    OtherEvent,
    /// It has a `nonce`, like an ID token.
    Nonce,
    /// `iss` has a `1` at its end.
    WrongIssuer,
    /// `aud` has a `1` at its end.
    WrongAudience,
    /// There is neither `sub` nor `sid`.
    Nobody,
    /// There is no `jti`.
    MissingId,
    /// `exp` is ten minutes in the past.
    Expired,
    /// There is no `exp`, as in tokens of older servers.
    MissingExpiry,
}

impl LogoutTokenFlaw {
    /// All flaws.
    pub const ALL: &[Self] = &[
        Self::Unsigned,
        Self::OtherAlgorithm,
        Self::MissingEvent,
        Self::OtherEvent,
        Self::Nonce,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::Nobody,
        Self::MissingId,
        Self::Expired,
        Self::MissingExpiry,
    ];

    fn apply_to(self, claims: &mut Value) {
        let longer = |value: &Value| format!("{}1", value.as_str().unwrap_or_default()).into();
        let Some(members) = claims.as_object_mut() else {
            return;
        };
        match self {
            Self::Unsigned | Self::OtherAlgorithm => {}
            Self::MissingEvent => drop(members.remove("events")),
            Self::OtherEvent => {
                let other = json!({ "https://schemas.example/event/other": {} });
                members.insert("events".to_owned(), other);
            }
            Self::Nonce => drop(members.insert("nonce".to_owned(), "n-0S6".into())),
            Self::WrongIssuer => claims["iss"] = longer(&claims["iss"]),
            Self::WrongAudience => claims["aud"] = longer(&claims["aud"]),
            Self::Nobody => {
                members.remove("sub");
                members.remove("sid");
            }
            Self::MissingId => drop(members.remove("jti")),
            Self::MissingExpiry => drop(members.remove("exp")),
            Self::Expired => {
                let issued = claims["iat"].as_u64().unwrap_or_default();
                claims["iat"] = issued.saturating_sub(900).into();
                claims["exp"] = issued.saturating_sub(600).into();
            }
        }
    }
}

impl Twin {
    /// A logout token for the confidential client, about the user who approves every authorization.
    /// [`set_claim`](Self::set_claim) of `sub` and `sid` changes the user and names a session. `None` if the system
    /// has no ID tokens.
    pub fn logout_token(&mut self, at: UnixTime, flaw: Option<LogoutTokenFlaw>) -> Option<String> {
        let authority = &mut self.authority;
        if !authority.rules.reply.id_token {
            return None;
        }
        let mut claims = json!({
            "iss": authority.rules.issuer,
            "aud": authority.rules.client_id,
            "iat": at.as_secs(),
            "exp": at.as_secs().saturating_add(LOGOUT_TOKEN_SECONDS),
            "jti": authority.new_value(at, "logout"),
            "sub": authority.person.subject(None),
            "events": { EVENT: {} },
        });
        for name in ["sub", "sid"] {
            if let Some(value) = authority.person.claim(name) {
                claims[name] = value.clone();
            }
        }
        if let Some(flaw) = flaw {
            flaw.apply_to(&mut claims);
        }
        match flaw {
            Some(LogoutTokenFlaw::Unsigned) => unsigned(&claims, &authority.key_id),
            Some(LogoutTokenFlaw::OtherAlgorithm) => {
                other_alg(&claims, &authority.key_id, Alg::Rs512)
            }
            _ => signed(&claims, &authority.key_id, authority.rules.alg),
        }
    }
}
