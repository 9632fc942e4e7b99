//! An access token of which its server says itself what it is: a text that tells an API nothing.
//!
//! RFC 7662 <https://www.rfc-editor.org/rfc/rfc7662#section-2.2>

use super::profile::{foreign, not_foreign};
use super::{AccessToken, Checks, ProvenKeys};
use crate::endpoint::introspection::ActiveToken;
use crate::error::{Error, ProtocolViolation};
use crate::jose::claims::malformed;
use crate::jose::{Claims, Validity};
use crate::json::{Map, Value};
use crate::moment::UnixTime;
use crate::server::Server;
use crate::token::id_token;

/// What servers call an access token in `token_type`: its type (RFC 6749 section 5.1), or what it is.
const TYPES: [&str; 4] = ["bearer", "dpop", "n_a", "access_token"];

impl Checks {
    /// Checks what `server` says of a token that is active, by the rules for access tokens as far as
    /// introspection has them. What it does not say it vouches for: "If the token can be used only at
    /// certain resource servers, the authorization server MUST determine whether or not the token can be used
    /// at the resource server making the introspection call" (section 4). `until` is the end of a token
    /// whose end it does not say.
    ///
    /// # Errors
    /// `jwt.*`, `access_token.*`; `introspection.malformed` for an answer of which a part is missing here.
    pub(crate) fn check_told(
        &self,
        server: &Server,
        told: &ActiveToken,
        proven: &ProvenKeys,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<AccessToken, Error> {
        // What was left out may say that the token is bound to a key, or no access token.
        if told.is_cut {
            return Err(Error::from(ProtocolViolation::IntrospectionShape).about("too large"));
        }
        let claims = claims(server, told);
        not_foreign(&claims)?;
        let typ = told.token_type.as_deref().unwrap_or("bearer");
        if !TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ)) {
            return Err(foreign("token_type"));
        }
        id_token::issuer(server, &claims)?;
        let client_id = Claims::required("client_id", told.client_id.clone())?;
        // A client that acts for itself is its own subject (RFC 9068 section 2.2).
        let subject = told.subject.clone().unwrap_or_else(|| client_id.clone());
        for (name, text) in [("client_id", &client_id), ("sub", &subject)] {
            if text.is_empty() {
                return Err(malformed(name));
            }
        }
        if claims.as_map().contains_key("aud") {
            self.audience(claims.audience()?)?;
        }
        let validity = Validity {
            now,
            clock_skew: self.clock_skew,
        };
        validity.check_present(&claims)?;
        let scope = told.scope.clone().unwrap_or_default();
        self.of_request(&claims, &scope, &validity, proven)?;
        Ok(AccessToken {
            subject,
            client_id,
            scope,
            expires_at: told.expires_at.unwrap_or(until),
            claims,
        })
    }
}

/// As the token itself would say it.
fn claims(server: &Server, told: &ActiveToken) -> Claims {
    let mut all: Map<String, Value> = told.extra.as_map().clone();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let time = |time: Option<UnixTime>| time.map(|time| Value::from(time.as_secs()));
    let issuer = told.issuer.as_deref();
    let issuer = issuer.unwrap_or_else(|| server.issuer().as_str());
    add("iss", Some(issuer.into()));
    add("sub", text(&told.subject));
    add("client_id", text(&told.client_id));
    add("username", text(&told.username));
    add("token_type", text(&told.token_type));
    let scope = told.scope.as_ref().map(|scope| scope.as_str().into());
    add("scope", scope);
    add("exp", time(told.expires_at));
    add("iat", time(told.issued_at));
    add("nbf", time(told.not_before));
    let audience = told.audience.iter().map(|name| name.as_str().into());
    let audience = Value::Array(audience.collect());
    add("aud", Some(audience).filter(|_| !told.audience.is_empty()));
    Claims::of_map(all)
}
