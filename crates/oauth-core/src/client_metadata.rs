//! Client metadata, as sent in a registration and published in a client ID metadata document.
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

/// Members that a server says about a client, and no client about itself (RFC 7591 section 3.2.1, RFC 7592
/// section 3).
pub(crate) const CLIENT_INFORMATION: [&str; 6] = [
    "client_id",
    "client_secret",
    "client_id_issued_at",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
];

/// What runs where the redirect URI leads (OpenID Connect Dynamic Client Registration section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplicationType {
    /// A program on the person's device: loopback addresses and private schemes.
    Native,
    /// A web server or a page.
    Web,
}

json_words! { ApplicationType { "native" = Native, "web" = Web } }

macro_rules! client_metadata {
    ($($(#[doc = $about:literal])* $field:ident: $Type:ty,)*) => {
        /// The metadata of a client, each member under its registered name (RFC 7591 section 2). What is empty
        /// is not sent, and the server decides about it.
        #[derive(Debug, Clone, Default)]
        #[non_exhaustive]
        pub struct ClientMetadata {
            $($(#[doc = $about])* pub $field: $Type,)*
            /// Members of other standards, and those in other languages, such as `client_name#ja`.
            pub extra: Extra,
        }

        impl ClientMetadata {
            /// Takes the members out of an object. One that does not fit its definition stays among the others,
            /// and is named.
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
                let (extra, is_whole) = object.to_map_within(MAX_EXTRA);
                if !is_whole {
                    unfit.push("members of other standards, for their size");
                }
                metadata.extra = Extra::from(extra);
                (metadata, unfit)
            }

            /// The members that say something, as JSON.
            fn write_members(&self, out: &mut json::Members<'_>) {
                let own = [$((stringify!($field), is_empty(&self.$field))),*];
                for (name, value) in self.extra.as_map().iter() {
                    let is_own = own.iter().any(|(own, is_empty)| own == name && !is_empty);
                    if !is_own {
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
    /// Where people are sent back to: needed for grants with a redirect.
    redirect_uris: Vec<RedirectUri>,
    /// How the client authenticates, by the method's registered name; `none` for a public client. The default
    /// of the standard is `client_secret_basic`.
    token_endpoint_auth_method: Option<String>,
    /// The grants it will use; by default `authorization_code`.
    grant_types: Vec<String>,
    /// The response types it will use; by default `code`.
    response_types: Vec<String>,
    /// Its name, for people.
    client_name: Option<String>,
    /// A page about it.
    client_uri: Option<String>,
    /// Its logo.
    logo_uri: Option<String>,
    /// What it may ask for.
    scope: Option<Scope>,
    /// E-mail addresses of the people responsible for the client.
    contacts: Vec<String>,
    /// Its terms of service.
    tos_uri: Option<String>,
    /// How it treats people's data.
    policy_uri: Option<String>,
    /// Its public keys, where they are in no document of their own.
    jwks: Option<Map<String, Value>>,
    /// Where its public keys are.
    jwks_uri: Option<String>,
    /// What all copies of this software have in common.
    software_id: Option<String>,
    /// The version of the software.
    software_version: Option<String>,
    /// Metadata signed by a party that the server trusts (section 2.3).
    software_statement: Option<Secret<String>>,
    /// What runs where the redirect URIs lead. If it is not set, they tell: `native` if all are loopback
    /// addresses or private schemes, `web` if none is.
    application_type: Option<ApplicationType>,
    /// The algorithm of its ID tokens.
    id_token_signed_response_alg: Option<String>,
    /// Whether all its tokens are to be bound to a DPoP key (RFC 9449 section 5.2).
    dpop_bound_access_tokens: Option<bool>,
    /// Whether they are to be bound to the certificate of its connections (RFC 8705 section 3.4).
    tls_client_certificate_bound_access_tokens: Option<bool>,
    /// The profiles of grants that it implements, such as that of identity assertions.
    authorization_grant_profiles_supported: Vec<String>,
}

impl ClientMetadata {
    /// Nothing said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that people are sent back to.
    pub fn with_redirect_uris(uris: impl IntoIterator<Item = RedirectUri>) -> Self {
        Self {
            redirect_uris: uris.into_iter().collect(),
            ..Self::default()
        }
    }

    /// A program on a person's device, of this name: a public client that people sign in with, and stay signed in
    /// (RFC 8252). Its redirect URI is a loopback address, which a listener has.
    pub fn of_native_app(name: impl Into<String>) -> Self {
        Self {
            client_name: Some(name.into()),
            token_endpoint_auth_method: Some("none".to_owned()),
            grant_types: vec![AUTHORIZATION_CODE.to_owned(), "refresh_token".to_owned()],
            application_type: Some(ApplicationType::Native),
            ..Self::default()
        }
    }

    /// With the grant of logins on another device (RFC 8628).
    #[must_use]
    pub fn device_logins(mut self) -> Self {
        // To name a grant is to give up the default.
        if self.grant_types.is_empty() && !self.redirect_uris.is_empty() {
            self.grant_types.push(AUTHORIZATION_CODE.to_owned());
        }
        include(&mut self.grant_types, DEVICE_CODE);
        self
    }

    /// With the grants of identity assertions: an ID-JAG is got by a token exchange at one server, and
    /// redeemed as a JWT bearer grant at another (draft-ietf-oauth-identity-assertion-authz-grant, client
    /// metadata).
    #[must_use]
    pub fn identity_assertions(mut self) -> Self {
        // To name a grant is to give up the default.
        if self.grant_types.is_empty() && !self.redirect_uris.is_empty() {
            self.grant_types.push(AUTHORIZATION_CODE.to_owned());
        }
        for grant in [TOKEN_EXCHANGE, JWT_BEARER] {
            include(&mut self.grant_types, grant);
        }
        include(&mut self.authorization_grant_profiles_supported, ID_JAG);
        self
    }

    /// Reads metadata of the caller's own, and checks them.
    ///
    /// # Errors
    /// `client_metadata.malformed`, naming the member, and those of [`Self::check`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let Ok(Json::Object(object)) = json::parse(text) else {
            return Err(Error::from(Misuse::ClientMetadataShape).about("no JSON object"));
        };
        let metadata = Self::own(object)?;
        metadata.check().map(|()| metadata)
    }

    /// The metadata in an object of the caller's own, unchecked but for their types.
    pub(crate) fn own(object: Object<'_>) -> Result<Self, Error> {
        let (metadata, unfit) = Self::take_from(object);
        match unfit.first() {
            Some(name) => Err(Error::from(Misuse::ClientMetadataShape).about(name)),
            None => Ok(metadata),
        }
    }

    /// The metadata as they are sent to a server.
    pub fn to_json(&self) -> Secret<String> {
        self.to_json_of(None)
    }

    /// The same of a client that has an id.
    pub(crate) fn to_json_of(&self, client_id: Option<&str>) -> Secret<String> {
        let mut out = String::with_capacity(1024);
        let mut members = json::Members::of(&mut out);
        if let Some(id) = client_id {
            members.text("client_id", id);
        }
        self.write_members(&mut members);
        if let Some(derived) = self.derived_application_type() {
            derived.write(members.next("application_type"));
        }
        if self.has_no_redirect() {
            // The default would be `code`, which goes with a grant that is not there.
            members.next("response_types").push_str("[]");
        }
        members.end();
        Secret::new(out)
    }

    /// The same, as they are stored: nothing is derived.
    pub(crate) fn to_stored_json(&self) -> String {
        let mut out = String::new();
        let mut members = json::Members::of(&mut out);
        self.write_members(&mut members);
        members.end();
        out
    }

    /// Where no type is given, the one that all redirect URIs have in common: "native" clients are sent back to
    /// loopback addresses and private schemes (RFC 8252 section 7), and servers take a client without a type for
    /// a web application, which may not use those.
    fn derived_application_type(&self) -> Option<ApplicationType> {
        let is_given = self.application_type.is_some() || self.says("application_type");
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
        let is_silent = self.response_types.is_empty() && !self.says("response_types");
        is_silent && !self.grant_types.is_empty() && !self.uses_redirects()
    }

    /// Whether a member stands among those that are not typed here.
    fn says(&self, name: &str) -> bool {
        self.extra.get(name).is_some()
    }

    /// Whether one of its grants ends at a redirect URI.
    fn uses_redirects(&self) -> bool {
        let mut grants = self.effective_grant_types().into_iter();
        grants.any(|grant| REDIRECT_GRANTS.contains(&grant))
    }

    /// "If omitted, the default behavior is that the client will use only the authorization_code Grant Type"
    /// (section 2).
    fn effective_grant_types(&self) -> Vec<&str> {
        match self.grant_types.is_empty() {
            true => vec![AUTHORIZATION_CODE],
            false => self.grant_types.iter().map(String::as_str).collect(),
        }
    }

    /// The method of client authentication; "if unspecified or omitted, the default is client_secret_basic"
    /// (section 2).
    pub fn auth_method(&self) -> &str {
        let named = self.token_endpoint_auth_method.as_deref();
        named.unwrap_or("client_secret_basic")
    }
}

/// Whether a member would say nothing: an empty list, no text. A flag that is off says so.
fn is_empty<T: JsonForm>(value: &T) -> bool {
    value.is_absent()
}

fn include(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|known| known == name) {
        list.push(name.to_owned());
    }
}
