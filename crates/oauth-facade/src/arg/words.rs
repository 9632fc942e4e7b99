//! Enums of the core, as strings.

use oauth_core::endpoint::backchannel_authentication::{DuplicatePolicy, TokenDeliveryMode};
use oauth_core::flow::authorization::{Push, ResponseMode, ResponseType};
use oauth_core::protected_resource_metadata::ResourceMatch;
use oauth_core::token::TokenKind;
use oauth_core::token::access_token::AccessTokenProfile;
use oauth_core::token::id_token::UnexpectedNonce;
use oauth_core::token::logout_token::ReplayProtection;

use super::{Arg, Field, FieldError, Shape};

/// Makes a [`Field`] of an enum of the core whose `as_str` returns the word of each variant.
macro_rules! words {
    ($Name:ident { $($word:literal => $case:path),+ $(,)? }) => {
        impl Field for $Name {
            const SHAPE: Shape = Shape::Word(stringify!($Name), &[$($word),+]);
            const WANTED: &'static str = concat!("one of" $(, " \"", $word, "\"")+);

            fn read(arg: Arg) -> Result<Self, FieldError> {
                match &arg {
                    Arg::Text(text) => match text.expose().as_str() {
                        $($word => Ok($case),)+
                        _ => Err(FieldError::Kind("another text")),
                    },
                    other => Err(FieldError::Kind(other.kind())),
                }
            }

            fn write(self) -> Arg {
                Arg::text(self.as_str())
            }
        }
    };
}

words! {
    TokenKind {
        "access_token" => TokenKind::Access,
        "refresh_token" => TokenKind::Refresh,
    }
}

words! {
    AccessTokenProfile {
        "rfc9068" => AccessTokenProfile::Rfc9068,
        "keycloak" => AccessTokenProfile::Keycloak,
        "entra" => AccessTokenProfile::Entra,
        "auth0" => AccessTokenProfile::Auth0,
        "okta" => AccessTokenProfile::Okta,
        "cognito" => AccessTokenProfile::Cognito,
        "jwt" => AccessTokenProfile::Jwt,
    }
}

words! {
    ResourceMatch {
        "identical" => ResourceMatch::Identical,
        "parent" => ResourceMatch::Parent,
    }
}

words! {
    ReplayProtection {
        "process" => ReplayProtection::Process,
        "caller" => ReplayProtection::Caller,
    }
}

words! {
    UnexpectedNonce {
        "reject" => UnexpectedNonce::Reject,
        "ignore" => UnexpectedNonce::Ignore,
    }
}

words! {
    ResponseType {
        "code" => ResponseType::Code,
        "code id_token" => ResponseType::CodeIdToken,
    }
}

words! {
    ResponseMode {
        "query" => ResponseMode::Query,
        "fragment" => ResponseMode::Fragment,
        "form_post" => ResponseMode::FormPost,
        "jwt" => ResponseMode::Jwt,
        "query.jwt" => ResponseMode::QueryJwt,
        "fragment.jwt" => ResponseMode::FragmentJwt,
        "form_post.jwt" => ResponseMode::FormPostJwt,
    }
}

words! {
    Push {
        "where_required" => Push::WhereRequired,
        "always" => Push::Always,
    }
}

words! {
    DuplicatePolicy {
        "refused" => DuplicatePolicy::Refused,
        "allowed" => DuplicatePolicy::Allowed,
    }
}

words! {
    TokenDeliveryMode {
        "poll" => TokenDeliveryMode::Poll,
        "ping" => TokenDeliveryMode::Ping,
        "push" => TokenDeliveryMode::Push,
    }
}
