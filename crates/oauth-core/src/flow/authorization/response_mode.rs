//! Response types and response modes: what an authorization response contains, and where. The response itself is
//! parsed, and its issuer checked (RFC 9207), in `callback.rs`.

use crate::json::storage_form::json_words;

macro_rules! modes {
    ($($(#[$meta:meta])* $variant:ident $name:literal $text:literal)*) => {
        /// How the server returns its response.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
        #[non_exhaustive]
        pub enum ResponseMode { $(#[doc = $text] $(#[$meta])* #[serde(rename = $name)] $variant),* }

        json_words! { ResponseMode { $($name = $variant),* } }

        impl ResponseMode {
            /// Every mode.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The mode's name in a request.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

modes! {
    #[default] Query "query" "In the query of the redirect URI."
    Fragment "fragment" "In the fragment, for pages that read it with a script."
    FormPost "form_post" "In a form posted to the redirect URI; the callback is then the form's body."
    Jwt "jwt" "As a signed JWT (JARM), where the response type has it by default: a code in the query."
    QueryJwt "query.jwt" "As a signed JWT in the query (JARM section 2.3.1)."
    FragmentJwt "fragment.jwt" "As a signed JWT in the fragment (JARM section 2.3.2)."
    FormPostJwt "form_post.jwt" "As a signed JWT in a posted form (JARM section 2.3.3)."
}

impl ResponseMode {
    /// The mode of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut modes = Self::ALL.iter().copied();
        modes.find(|mode| mode.as_str() == name)
    }

    /// Whether the server signs its response (JWT Secured Authorization Response Mode, JARM).
    pub const fn is_jwt(self) -> bool {
        matches!(
            self,
            Self::Jwt | Self::QueryJwt | Self::FragmentJwt | Self::FormPostJwt
        )
    }

    /// Where the parameters are, signed or not: [`Self::Query`], [`Self::Fragment`] or [`Self::FormPost`].
    pub const fn location(self, response_type: ResponseType) -> Self {
        match self {
            Self::Query | Self::QueryJwt => Self::Query,
            Self::Fragment | Self::FragmentJwt => Self::Fragment,
            Self::FormPost | Self::FormPostJwt => Self::FormPost,
            Self::Jwt => response_type.default_mode(),
        }
    }

    /// The signed mode for the same place (FAPI 2.0 Message Signing section 5.4).
    pub(crate) const fn signed(self) -> Self {
        match self {
            Self::Query => Self::QueryJwt,
            Self::Fragment => Self::FragmentJwt,
            Self::FormPost => Self::FormPostJwt,
            signed => signed,
        }
    }
}

/// What the authorization response contains (OAuth 2.0 Multiple Response Type Encoding Practices).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResponseType {
    /// A code; everything else comes from the token endpoint.
    #[default]
    Code,
    /// A code and an ID token with its hash (OpenID Connect Core section 3.3). It is
    /// verified before the code is sent.
    CodeIdToken,
}

json_words! { ResponseType { "code" = Code, "code id_token" = CodeIdToken } }

impl ResponseType {
    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut types = [Self::Code, Self::CodeIdToken].into_iter();
        types.find(|kind| kind.as_str() == name)
    }

    /// The type's name in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::CodeIdToken => "code id_token",
        }
    }

    /// The mode of the response if the request names none: "the default Response Mode ... is the fragment
    /// encoding" as soon as a token is in it (Multiple Response Type Encoding Practices section 5).
    pub const fn default_mode(self) -> ResponseMode {
        match self {
            Self::Code => ResponseMode::Query,
            Self::CodeIdToken => ResponseMode::Fragment,
        }
    }
}
