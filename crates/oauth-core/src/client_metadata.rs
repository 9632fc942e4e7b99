//! Client metadata, as sent in a registration and published in a client ID metadata document. Members that contradict
//! one another are refused in `client_metadata/consistency.rs`. An omitted `application_type`
//! is derived here. The metadata of a server are in `server.rs`; the registered algorithms on which a client relies, in
//! `client/registered_properties.rs`.
//!
//! RFC 7591 section 2 <https://www.rfc-editor.org/rfc/rfc7591#section-2>, OpenID Connect Dynamic Client
//! Registration section 2

mod consistency;
#[cfg(test)]
mod tests;

use crate::error::{Error, Misuse};
use crate::extra::{Extra, MAX_EXTRA};
use crate::json::storage_form::json_words;
use crate::json::{self, Json, JsonForm, Map, Object, Value};
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::server::DEVICE_CODE;

/// The grants that end at a redirect URI.
const REDIRECT_GRANTS: [&str; 2] = [AUTHORIZATION_CODE, IMPLICIT];

const AUTHORIZATION_CODE: &str = "authorization_code";
const IMPLICIT: &str = "implicit";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The profile of identity assertion authorization grants, in which the assertion is an ID-JAG.
pub(crate) const ID_JAG: &str = "urn:ietf:params:oauth:grant-profile:id-jag";

/// Members that a server sets for a client, and a client never sets itself (RFC 7591 section 3.2.1, RFC 7592
/// section 3).
pub(crate) const CLIENT_INFORMATION: [&str; 6] = [
    "client_id",
    "client_secret",
    "client_id_issued_at",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
];

/// The kind of application at the redirect URI (OpenID Connect Dynamic Client Registration section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplicationType {
    /// A program on the user's device: loopback addresses and private schemes.
    Native,
    /// A web server or a page.
    Web,
}

json_words! { ApplicationType { "native" = Native, "web" = Web } }

macro_rules! client_metadata {
    ($($(#[doc = $about:literal])* $field:ident: $Type:ty,)*) => {
        /// The metadata of a client, each member under its registered name (RFC 7591 section 2). An empty member is not
        /// sent, and the server chooses its value.
        #[derive(Debug, Clone, Default)]
        #[non_exhaustive]
        pub struct ClientMetadata {
            $($(#[doc = $about])* pub $field: $Type,)*
            /// Members of other standards, and those in other languages, such as `client_name#ja`.
            pub extra: Extra,
        }

        impl ClientMetadata {
            /// Takes the members out of an object. A member that does not fit its definition stays in `extra`, and its
            /// name is returned.
            pub(crate) fn take_from(mut object: Object<'_>) -> (Self, Vec<&'static str>) {
                let (mut metadata, mut unfit) = (Self::default(), Vec::new());
                $(
                    let name = stringify!($field);
                    if let Some(value) = object.get(name) {
                        match JsonForm::read(value.clone()) {
                            Some(value) => {
                                metadata.$field = value;
                                object.take(name);
                            }
                            None => unfit.push(name),
                        }
                    }
                )*
                let (extra, is_complete) = object.to_map_within(MAX_EXTRA);
                if !is_complete {
                    unfit.push("members of other standards, for their size");
                }
                metadata.extra = Extra::from(extra);
                (metadata, unfit)
            }

            /// Writes the members that are not empty, as JSON.
            fn write_members(&self, out: &mut json::Members<'_>) {
                let written = [$((stringify!($field), is_empty(&self.$field))),*];
                for (name, value) in self.extra.as_map().iter() {
                    let is_written = written.iter().any(|(field, is_empty)| field == name && !is_empty);
                    if !is_written {
                        out.next(name).push_str(&json::value_text(value));
                    }
                }
                $(if !is_empty(&self.$field) {
                    self.$field.write(out.next(stringify!($field)));
                })*
            }
        }
    };
}

client_metadata! {
    /// The URIs to which users are redirected: required for grants with a redirect.
    redirect_uris: Vec<RedirectUri>,
    /// How the client authenticates, by the method's registered name; `none` for a public client. The default
    /// of the standard is `client_secret_basic`.
    token_endpoint_auth_method: Option<String>,
    /// The grants that the client will use; by default `authorization_code`.
    grant_types: Vec<String>,
    /// The response types that the client will use; by default `code`.
    response_types: Vec<String>,
    /// The client's name, for display.
    client_name: Option<String>,
    /// A page about the client.
    client_uri: Option<String>,
    /// The URL of the client's logo.
    logo_uri: Option<String>,
    /// The scope that the client may request.
    scope: Option<Scope>,
    /// E-mail addresses of those responsible for the client.
    contacts: Vec<String>,
    /// The URL of the client's terms of service.
    tos_uri: Option<String>,
    /// The URL of the client's privacy policy.
    policy_uri: Option<String>,
    /// The client's public keys, if they are not published at a URL.
    jwks: Option<Map<String, Value>>,
    /// The URL of the client's public keys.
    jwks_uri: Option<String>,
    /// The identifier that all copies of this software share.
    software_id: Option<String>,
    /// The version of the software.
    software_version: Option<String>,
    /// Metadata signed by a party that the server trusts (section 2.3).
    software_statement: Option<Secret<String>>,
    /// What runs where the redirect URIs lead. If it is not set, it is derived from them: `native` if all are loopback
    /// addresses or private schemes, `web` if none is.
    application_type: Option<ApplicationType>,
    /// The algorithm with which the client's ID tokens are signed.
    id_token_signed_response_alg: Option<String>,
    /// Whether all the client's tokens must be bound to a DPoP key (RFC 9449 section 5.2).
    dpop_bound_access_tokens: Option<bool>,
    /// Whether the client's tokens must be bound to the certificate of its connections (RFC 8705 section 3.4).
    tls_client_certificate_bound_access_tokens: Option<bool>,
    /// Where users may be sent after they have signed out at the server (OpenID Connect RP-Initiated Logout section 3).
    post_logout_redirect_uris: Vec<String>,
    /// The URI to which the server posts logout tokens (OpenID Connect Back-Channel Logout section 2.2).
    backchannel_logout_uri: Option<String>,
    /// Whether logout tokens must name the session.
    backchannel_logout_session_required: Option<bool>,
    /// The page that the server shows in a frame when a user signs out, at the origin of a redirect URI (OpenID Connect
    /// Front-Channel Logout section 2).
    frontchannel_logout_uri: Option<String>,
    /// Whether the URL of that page must name the issuer and the session.
    frontchannel_logout_session_required: Option<bool>,
    /// The profiles of grants that the client implements, such as that of identity assertions.
    authorization_grant_profiles_supported: Vec<String>,
}

impl ClientMetadata {
    /// Creates empty metadata.
    pub fn new() -> Self {
        Self::default()
    }

    /// The metadata of a client to which users are sent back.
    pub fn with_redirect_uris(uris: impl IntoIterator<Item = RedirectUri>) -> Self {
        Self {
            redirect_uris: uris.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The metadata of a native app of this name: a public client with which users sign in and stay signed in (RFC
    /// 8252). Its redirect URI is a loopback address, on which a listener waits.
    pub fn of_native_app(name: impl Into<String>) -> Self {
        Self {
            client_name: Some(name.into()),
            token_endpoint_auth_method: Some("none".to_owned()),
            grant_types: vec![AUTHORIZATION_CODE.to_owned(), "refresh_token".to_owned()],
            application_type: Some(ApplicationType::Native),
            ..Self::default()
        }
    }

    /// Adds the grant for logins on another device (RFC 8628).
    #[must_use]
    pub fn device_logins(mut self) -> Self {
        // The default no longer applies once a grant is named.
        if self.grant_types.is_empty() && !self.redirect_uris.is_empty() {
            self.grant_types.push(AUTHORIZATION_CODE.to_owned());
        }
        include(&mut self.grant_types, DEVICE_CODE);
        self
    }

    /// Adds the grants of identity assertions: an ID-JAG is obtained by a token exchange at one server and redeemed as
    /// a JWT bearer grant at another (draft-ietf-oauth-identity-assertion-authz-grant, client metadata).
    #[must_use]
    pub fn identity_assertions(mut self) -> Self {
        // The default no longer applies once a grant is named.
        if self.grant_types.is_empty() && !self.redirect_uris.is_empty() {
            self.grant_types.push(AUTHORIZATION_CODE.to_owned());
        }
        for grant in [TOKEN_EXCHANGE, JWT_BEARER] {
            include(&mut self.grant_types, grant);
        }
        include(&mut self.authorization_grant_profiles_supported, ID_JAG);
        self
    }

    /// Reads the caller's own metadata, and checks it.
    ///
    /// # Errors
    /// `client_metadata.malformed`, naming the member, and those of [`Self::check`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let Ok(Json::Object(object)) = json::parse(text) else {
            return Err(Error::from(Misuse::ClientMetadataShape).about("no JSON object"));
        };
        let metadata = Self::from_caller(object)?;
        metadata.check().map(|()| metadata)
    }

    /// The caller's own metadata in an object, unchecked except for the types of its members.
    pub(crate) fn from_caller(object: Object<'_>) -> Result<Self, Error> {
        let (metadata, unfit) = Self::take_from(object);
        match unfit.first() {
            Some(name) => Err(Error::from(Misuse::ClientMetadataShape).about(name)),
            None => Ok(metadata),
        }
    }

    /// The metadata as it is sent to a server, as JSON.
    pub fn to_json(&self) -> Secret<String> {
        self.to_json_with_id(None)
    }

    /// The metadata as JSON, for a client that has an id.
    pub(crate) fn to_json_with_id(&self, client_id: Option<&str>) -> Secret<String> {
        let mut out = String::with_capacity(1024);
        let mut members = json::Members::begin(&mut out);
        if let Some(id) = client_id {
            members.text("client_id", id);
        }
        self.write_members(&mut members);
        if let Some(derived) = self.derived_application_type() {
            derived.write(members.next("application_type"));
        }
        if self.has_no_redirect() {
            // The default would be `code`, which belongs to a grant that is not used.
            members.next("response_types").push_str("[]");
        }
        members.end();
        Secret::new(out)
    }

    /// The metadata as it is stored: nothing is derived.
    pub(crate) fn to_stored_json(&self) -> String {
        let mut out = String::new();
        let mut members = json::Members::begin(&mut out);
        self.write_members(&mut members);
        members.end();
        out
    }

    /// If no type is given, the type that all redirect URIs have in common: "native" clients are sent back to loopback
    /// addresses and private schemes (RFC 8252 section 7), and servers treat a client without a type as a web
    /// application, which must not use them.
    fn derived_application_type(&self) -> Option<ApplicationType> {
        let is_given = self.application_type.is_some() || self.has_extra("application_type");
        if is_given || self.redirect_uris.is_empty() {
            return None;
        }
        match self
            .redirect_uris
            .iter()
            .filter(|uri| uri.is_native())
            .count()
        {
            0 => Some(ApplicationType::Web),
            native if native == self.redirect_uris.len() => Some(ApplicationType::Native),
            _ => None,
        }
    }

    /// Whether only grants without a redirect are named, and no response type.
    fn has_no_redirect(&self) -> bool {
        let is_silent = self.response_types.is_empty() && !self.has_extra("response_types");
        is_silent && !self.grant_types.is_empty() && !self.uses_redirects()
    }

    /// Whether a member is set that has no typed field here.
    fn has_extra(&self, name: &str) -> bool {
        self.extra.get(name).is_some()
    }

    /// Whether one of the client's grants ends at a redirect URI.
    fn uses_redirects(&self) -> bool {
        let mut grants = self.effective_grant_types().into_iter();
        grants.any(|grant| REDIRECT_GRANTS.contains(&grant))
    }

    /// "If omitted, the default behavior is that the client will use only the authorization_code Grant Type"
    /// (section 2).
    fn effective_grant_types(&self) -> Vec<&str> {
        if self.grant_types.is_empty() {
            vec![AUTHORIZATION_CODE]
        } else {
            self.grant_types.iter().map(String::as_str).collect()
        }
    }

    /// The method of client authentication; "if unspecified or omitted, the default is client_secret_basic"
    /// (section 2).
    pub fn auth_method(&self) -> &str {
        let method = self.token_endpoint_auth_method.as_deref();
        method.unwrap_or("client_secret_basic")
    }
}

/// Whether a member is left out: an empty list or no text. A flag that is off is written.
fn is_empty<T: JsonForm>(value: &T) -> bool {
    value.is_absent()
}

fn include(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|listed| listed == name) {
        list.push(name.to_owned());
    }
}
