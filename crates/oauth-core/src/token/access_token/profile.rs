//! Profiles of access tokens: how the tokens of some servers differ from RFC 9068, as data. Security profiles such as
//! FAPI 2.0 are in `security_profile.rs` of the crate.

use crate::error::{Error, ValidationFailure};
use crate::jose::claims::malformed_claim;
use crate::jose::{Claims, Jws};
use crate::json::Value;
use crate::scope::Scope;

/// The form of the access tokens that are verified. Except for [`Self::Jwt`], which distinguishes some ID tokens only
/// by their audience, none mistakes an ID token or a logout token of the same server for an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum AccessTokenProfile {
    /// Exactly RFC 9068: `typ` is `at+jwt`, and all required claims of section 2.2 are present.
    #[default]
    Rfc9068,
    /// Keycloak 25 or newer: the claim `typ` is `Bearer` or `DPoP`, the client is `azp`. Older versions, and
    /// the mapper "Nonce backwards compatible", copy the login's `nonce` into access tokens: those are refused, because
    /// their header does not say that they are access tokens.
    Keycloak,
    /// Microsoft Entra ID, v1 and v2: the client is `azp` or `appid`, the scope `scp`; no `jti`. The `iss` of
    /// v1 is `https://sts.windows.net/{tenantid}/`: the server must have that issuer.
    Entra,
    /// Auth0 with its own profile (that of RFC 9068 is another setting of the API): the client is `azp`.
    Auth0,
    /// Okta's custom authorization servers: the client is `cid`, the scope a list, `scp`.
    Okta,
    /// Amazon Cognito: `token_use` is `access`. There is an `aud` only if a resource was requested; without
    /// one, the expected audience is that of the app client, `client_id`.
    Cognito,
    /// A plain JWT of a server that sets neither `typ` `at+jwt` nor a claim for the kind of token, such as Spring
    /// Authorization Server, Duende IdentityServer with its older setting, or a custom server: `typ` is `at+jwt`, `JWT`
    /// or absent, and the claims `iss`, `sub`, `aud`, `iat` and `exp` are required. The client is `client_id` or `azp`,
    /// if present, and the scope `scope` or `scp`, with spaces or as a list.
    ///
    /// Only its audience distinguishes such a token from an ID token of the same server (RFC 8725 section 3.12): it
    /// must be an API's, never a client's id. Claims of ID tokens are refused, and so is a token whose `azp` is the
    /// audience itself; an ID token without any of them, for a client that has the API's audience as its id, is not
    /// detected. A required scope helps, because ID tokens have none. Prefer another profile if one fits.
    Jwt,
}

impl AccessTokenProfile {
    /// Every profile.
    pub const ALL: &'static [Self] = &[
        Self::Rfc9068,
        Self::Keycloak,
        Self::Entra,
        Self::Auth0,
        Self::Okta,
        Self::Cognito,
        Self::Jwt,
    ];

    /// The profile's name: `rfc9068`, `keycloak`, `entra`, `auth0`, `okta`, `cognito` or `jwt`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rfc9068 => "rfc9068",
            Self::Keycloak => "keycloak",
            Self::Entra => "entra",
            Self::Auth0 => "auth0",
            Self::Okta => "okta",
            Self::Cognito => "cognito",
            Self::Jwt => "jwt",
        }
    }

    pub(super) const fn rules(self) -> &'static Rules {
        match self {
            Self::Rfc9068 => &RFC9068,
            Self::Keycloak => &KEYCLOAK,
            Self::Entra => &ENTRA,
            Self::Auth0 => &AUTH0,
            Self::Okta => &OKTA,
            Self::Cognito => &COGNITO,
            Self::Jwt => &JWT,
        }
    }
}

/// What a profile requires.
pub(super) struct Rules {
    typ: Typ,
    /// The claim for the kind of token, and its values for access tokens.
    kind: Option<(&'static str, &'static [&'static str])>,
    audience: Audience,
    scope: ScopeClaim,
    /// The claim that names the client: the first of these that is present.
    client: &'static [&'static str],
    naming: ClientNaming,
    jti: Jti,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientNaming {
    Required,
    /// Optional. If it equals the audience, the token is an ID token for that client.
    Optional,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Typ {
    /// `at+jwt`
    AtJwt,
    /// `at+jwt`, `JWT`, or none at all.
    Any,
}

enum Audience {
    /// `aud`
    Aud,
    /// `aud`, or, if there is none, the claim of this name.
    AudOr(&'static str),
}

enum ScopeClaim {
    /// `scope`, with spaces (RFC 8693 section 4.2).
    Scope,
    /// `scp`, with spaces or as a list.
    Scp,
    /// `scope`, or else `scp`, with spaces or as a list.
    Either,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Jti {
    Required,
    Optional,
}

const RFC9068: Rules = Rules {
    typ: Typ::AtJwt,
    kind: None,
    audience: Audience::Aud,
    scope: ScopeClaim::Scope,
    client: &["client_id"],
    naming: ClientNaming::Required,
    jti: Jti::Required,
};

const KEYCLOAK: Rules = Rules {
    typ: Typ::Any,
    kind: Some(("typ", &["Bearer", "DPoP"])),
    client: &["azp"],
    ..RFC9068
};

const ENTRA: Rules = Rules {
    typ: Typ::Any,
    scope: ScopeClaim::Scp,
    client: &["azp", "appid"],
    jti: Jti::Optional,
    ..RFC9068
};

const AUTH0: Rules = Rules {
    typ: Typ::Any,
    client: &["azp"],
    jti: Jti::Optional,
    ..RFC9068
};

const OKTA: Rules = Rules {
    typ: Typ::Any,
    scope: ScopeClaim::Scp,
    client: &["cid"],
    ..RFC9068
};

const COGNITO: Rules = Rules {
    typ: Typ::Any,
    kind: Some(("token_use", &["access"])),
    audience: Audience::AudOr("client_id"),
    ..RFC9068
};

const JWT: Rules = Rules {
    typ: Typ::Any,
    scope: ScopeClaim::Either,
    client: &["client_id", "azp"],
    naming: ClientNaming::Optional,
    jti: Jti::Optional,
    ..RFC9068
};

/// Claims of ID tokens (OpenID Connect Core section 3.3.2.11, FAPI) and of logout tokens: no access token of any issuer
/// has them.
const OTHER_TOKEN_CLAIMS: [&str; 4] = ["at_hash", "c_hash", "s_hash", "events"];
/// A claim of ID tokens (OpenID Connect Core section 2) that some servers copy into access tokens, which nothing
/// forbids. The claim distinguishes the two where `typ` does not.
const ID_TOKEN_CLAIM: &str = "nonce";
/// The type of access tokens (RFC 9068 section 2.1).
const AT_JWT: &str = "at+jwt";

/// Claims that mark tokens of other kinds.
const OTHER_TOKEN_KINDS: [(&str, &[&str]); 2] = [
    ("token_use", &["id", "id_token", "refresh", "refresh_token"]),
    ("typ", &["ID", "Logout", "Refresh", "Offline"]),
];

/// Refuses claims that no access token has.
///
/// # Errors
/// `jwt.unexpected_claim`
pub(super) fn refuse_other_token_claims(claims: &Claims) -> Result<(), Error> {
    let mut names = OTHER_TOKEN_CLAIMS.iter();
    if let Some(name) = names.find(|name| claims.as_map().contains_key(**name)) {
        return Err(unexpected_claim(name));
    }
    claims.refuse_kinds(&OTHER_TOKEN_KINDS)
}

/// Refuses the nonce of an ID token.
///
/// # Errors
/// `jwt.unexpected_claim`
pub(super) fn refuse_nonce(claims: &Claims) -> Result<(), Error> {
    if claims.as_map().contains_key(ID_TOKEN_CLAIM) {
        Err(unexpected_claim(ID_TOKEN_CLAIM))
    } else {
        Ok(())
    }
}

pub(super) fn unexpected_claim(name: &str) -> Error {
    Error::from(ValidationFailure::JwtUnexpectedClaim).about(name)
}

/// Whether the token's header says that it is an access token.
fn is_typed(jws: &Jws) -> bool {
    jws.typ.is_some() && jws.has_type(&[AT_JWT])
}

impl Rules {
    /// Checks the type in the header.
    ///
    /// # Errors
    /// `jwt.typ`
    pub(super) fn header(&self, jws: &Jws) -> Result<(), Error> {
        let is_expected_type = match self.typ {
            Typ::AtJwt => is_typed(jws),
            Typ::Any => jws.has_type(&[AT_JWT, "jwt"]),
        };
        if is_expected_type {
            return Ok(());
        }
        let typ = jws.typ.as_deref().unwrap_or("none");
        Err(Error::from(ValidationFailure::JwtType).about(typ))
    }

    /// Checks that the token is an access token.
    ///
    /// # Errors
    /// `jwt.unexpected_claim`, `jwt.missing_claim`, `jwt.malformed_claim`.
    pub(super) fn check_token_use(&self, jws: &Jws, claims: &Claims) -> Result<(), Error> {
        refuse_other_token_claims(claims)?;
        if !is_typed(jws) {
            refuse_nonce(claims)?;
        }
        if let Some((name, kinds)) = self.kind
            && !kinds.contains(&Claims::require_claim(name, claims.text(name)?)?)
        {
            return Err(unexpected_claim(name));
        }
        let jti = claims.text("jti")?;
        match self.jti {
            Jti::Required => Claims::require_claim("jti", jti).map(drop),
            Jti::Optional => Ok(()),
        }
    }

    /// The id of the client to which the token was issued.
    ///
    /// # Errors
    /// `jwt.missing_claim`, `jwt.malformed_claim`.
    pub(super) fn client_id<'a>(&self, claims: &'a Claims) -> Result<Option<&'a str>, Error> {
        for name in self.client {
            match claims.text(name)? {
                Some("") => return Err(malformed_claim(name)),
                Some(client_id) => return Ok(Some(client_id)),
                None => {}
            }
        }
        match self.naming {
            ClientNaming::Optional => Ok(None),
            ClientNaming::Required => {
                Claims::require_claim(self.client.first().copied().unwrap_or_default(), None)
            }
        }
    }

    /// Refuses a token that may be an ID token for a client whose id is the API's audience: such a token names that
    /// client as `azp` (OpenID Connect Core section 2).
    ///
    /// # Errors
    /// `jwt.unexpected_claim`, `jwt.malformed_claim`.
    pub(super) fn refuse_own_client_id(
        &self,
        claims: &Claims,
        own_client_ids: &[String],
    ) -> Result<(), Error> {
        let azp = claims.text("azp")?;
        let is_own_client =
            azp.is_some_and(|azp| own_client_ids.iter().any(|client_id| client_id == azp));
        match self.naming {
            ClientNaming::Optional if is_own_client => Err(unexpected_claim("azp")),
            ClientNaming::Optional | ClientNaming::Required => Ok(()),
        }
    }

    /// The audience, from the claims in which the profile has it.
    ///
    /// # Errors
    /// `jwt.missing_claim`, `jwt.malformed_claim`.
    pub(super) fn audience<'a>(&self, claims: &'a Claims) -> Result<Vec<&'a str>, Error> {
        let audience = claims.audience()?;
        match self.audience {
            _ if claims.as_map().contains_key("aud") => Ok(audience),
            Audience::Aud => Claims::require_claim("aud", None),
            Audience::AudOr(name) => Ok(vec![Claims::require_claim(name, claims.text(name)?)?]),
        }
    }

    /// The scope, from the claim in which the profile has it.
    ///
    /// # Errors
    /// `jwt.malformed_claim`
    pub(super) fn scope(&self, claims: &Claims) -> Result<Scope, Error> {
        let (name, scope) = match self.scope {
            ScopeClaim::Scope => ("scope", claims.text("scope")?.map(Scope::parse)),
            ScopeClaim::Either if claims.get("scope").is_some() => {
                ("scope", scope_claim(claims, "scope")?)
            }
            ScopeClaim::Scp | ScopeClaim::Either => ("scp", scope_claim(claims, "scp")?),
        };
        let scope = scope.transpose().map_err(|_| malformed_claim(name))?;
        Ok(scope.unwrap_or_default())
    }
}

/// A scope with spaces, or as a list.
fn scope_claim(claims: &Claims, name: &str) -> Result<Option<Result<Scope, Error>>, Error> {
    Ok(match claims.get(name) {
        Some(Value::Array(_)) => Some(Scope::from_names(claims.texts(name)?)),
        _ => claims.text(name)?.map(Scope::parse),
    })
}
