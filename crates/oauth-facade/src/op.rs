//! The operations that the language bindings offer, such as refresh and revocation. Each is defined
//! once, by a line of the table below and a file under `op/`; the methods, signatures and
//! documentation of all bindings are generated from it.
//!
//! A binding identifies an operation by its index in [`TABLE`] and passes arguments by position.
//! [`FINGERPRINT`] changes with either, so that a binding detects a native library of another
//! release.

mod address_claim;
mod assertion;
mod authorization;
mod backchannel_authentication;
mod backchannel_notification;
mod client_configuration;
mod client_credentials;
mod client_id_metadata;
mod device_authorization;
mod discover_issuer;
mod extension_grant;
mod fingerprint;
mod identity_assertion;
mod introspect;
mod password;
mod poll_backchannel_token;
mod poll_device_token;
mod refresh;
mod register;
pub(crate) mod resource_metadata;
mod revoke;
#[cfg(test)]
mod tests;
mod token_exchange;
mod userinfo;
mod verify_access_token;
mod verify_id_token;
mod verify_logout_token;

use oauth_core::Tokens;
use oauth_core::error::{Error, Misuse};

pub use address_claim::Address;
pub use assertion::{JwtBearer, JwtBearerWithKey, SamlBearer};
pub use authorization::{Authorize, StartedAuthorization};
pub use backchannel_authentication::{
    BackchannelAuthentication, BackchannelAuthenticationResponse,
};
pub use backchannel_notification::{AcceptPush, VerifyPing};
pub use client_configuration::{DeleteRegistration, ReadRegistration, UpdateRegistration};
pub use client_credentials::ClientCredentials;
pub use client_id_metadata::{ClientIdMetadataDocument, MakeClientIdMetadata};
pub use device_authorization::{DeviceAuthorization, DeviceAuthorizationResponse};
pub use discover_issuer::{DiscoverIssuer, DiscoveredIssuer};
pub use extension_grant::ExtensionGrant;
pub use fingerprint::FINGERPRINT;
pub use identity_assertion::{
    IdentityAssertion, RedeemIdentityAssertion, RequestIdentityAssertion,
};
pub use introspect::{Introspect, IntrospectionResponse};
pub use password::Password;
pub use poll_backchannel_token::PollBackchannelToken;
pub use poll_device_token::PollDeviceToken;
pub use refresh::Refresh;
pub use register::{Register, RegisteredClient};
pub use resource_metadata::{ProtectedResourceMetadata, ResourceMetadata};
pub use revoke::Revoke;
pub use token_exchange::TokenExchange;
pub use userinfo::{UserClaims, Userinfo, user_claims};
pub use verify_access_token::{
    AccessTokenRequirements, VerifiedAccessToken, Verifier, VerifyAccessToken, VerifyApiRequest,
};
pub use verify_id_token::{IdToken, VerifyIdToken};
pub use verify_logout_token::{LogoutToken, VerifyLogoutToken};

use crate::arg::{Args, FieldDoc, StartError};
use crate::client::Client;
use crate::erased_exchange::ErasedExchange;

/// One operation of a client at a server.
pub trait Operation: Sized {
    /// The description of the operation, line by line.
    const TEXT: &'static [&'static str];
    /// The arguments, its own before those that it shares with others.
    const ARGUMENTS: &'static [&'static [FieldDoc]];

    /// Reads the arguments that a binding passed.
    ///
    /// # Errors
    /// If an argument is missing or of the wrong type.
    fn read(args: &mut Args) -> Result<Self, StartError>;

    /// Starts the operation.
    ///
    /// # Errors
    /// If the request cannot be built, for example `endpoint.missing`.
    fn start(self, client: &Client) -> Result<ErasedExchange, Error>;
}

/// A type that an operation returns to a binding.
pub trait Outcome {
    /// The kind of result.
    const KIND: Kind;
}

/// The kind of result of an operation.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// No value.
    Nothing,
    /// Tokens.
    Tokens,
    /// A flow, and the URL with which it begins.
    Authorization,
    /// A record of this description.
    Record(&'static Description),
}

/// A record, for generators.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// The name of the record.
    pub name: &'static str,
    /// The description of the record, line by line.
    pub text: &'static [&'static str],
    /// The members of the record.
    pub members: &'static [FieldDoc],
}

impl Outcome for () {
    const KIND: Kind = Kind::Nothing;
}

impl Outcome for Tokens {
    const KIND: Kind = Kind::Tokens;
}

/// The interfaces through which a binding exposes an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// As calls of the client, and as an exchange.
    All,
    /// Only as an exchange: the client's method of this name keeps what the exchange fetches.
    Exchange,
}

/// A line of the table, for generators.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The name of the operation, in snake case.
    pub name: &'static str,
    /// The description of the operation, line by line.
    pub text: &'static [&'static str],
    /// The arguments.
    pub arguments: &'static [&'static [FieldDoc]],
    /// The kind of result.
    pub outcome: Kind,
    /// Whether the browser binding has it, too.
    pub is_in_browser: bool,
    /// Through which interfaces the operation is offered.
    pub exposure: Exposure,
}

/// Arguments that are read in order: a struct, its description, and how it starts if it is an operation.
/// The last line may name a group that several operations share.
macro_rules! arguments {
    (
        $(#[doc = $text:literal])*
        pub struct $Name:ident {
            $($(#[doc = $about:literal])* pub $field:ident: $Type:ty,)*
            $(..$group:ident: $Group:ty,)?
        }

        fn start($self:ident, $client:ident: &Client) -> Result<ErasedExchange, Error> $start:block
    ) => {
        $(#[doc = $text])*
        #[derive(Debug, Clone)]
        pub struct $Name {
            $($(#[doc = $about])* pub $field: $Type,)*
            $(
                /// What to request.
                pub $group: $Group,
            )?
        }

        impl $crate::op::Operation for $Name {
            const TEXT: &'static [&'static str] = &[$($text),*];
            const ARGUMENTS: &'static [&'static [$crate::arg::FieldDoc]] = &[
                $crate::op::about!($($($about)* $field: $Type,)*),
                $(<$Group>::ARGUMENTS,)?
            ];

            fn read(args: &mut $crate::arg::Args) -> Result<Self, $crate::arg::StartError> {
                Ok(Self {
                    $($field: args.take(stringify!($field))?,)*
                    $($group: <$Group>::read(args)?,)?
                })
            }

            fn start($self, $client: &$crate::client::Client) -> Result<ErasedExchange, oauth_core::Error> $start
        }
    };
    (
        $(#[doc = $text:literal])*
        pub struct $Name:ident {
            $($(#[doc = $about:literal])* pub $field:ident: $Type:ty,)*
        }
    ) => {
        $(#[doc = $text])*
        #[derive(Debug, Clone, Default)]
        pub struct $Name {
            $($(#[doc = $about])* pub $field: $Type,)*
        }

        impl $Name {
            /// The descriptions of the arguments, for generators.
            pub const ARGUMENTS: &'static [$crate::arg::FieldDoc] =
                $crate::op::about!($($($about)* $field: $Type,)*);

            /// Reads the arguments that a host passed.
            ///
            /// # Errors
            /// If an argument is of the wrong type.
            pub fn read(args: &mut $crate::arg::Args) -> Result<Self, $crate::arg::StartError> {
                Ok(Self {
                    $($field: args.take(stringify!($field))?,)*
                })
            }
        }
    };
}

/// A record that hosts receive: a struct, its description, and how it becomes plain values. With `from`, a
/// struct of the core has members of the same names.
macro_rules! outcome {
    (
        $(#[doc = $text:literal])*
        pub struct $Name:ident from $Core:ty {
            $($(#[doc = $about:literal])* pub $field:ident: $Type:ty,)*
        }
    ) => {
        $crate::op::outcome! {
            $(#[doc = $text])*
            pub struct $Name {
                $($(#[doc = $about])* pub $field: $Type,)*
            }
        }

        impl From<$Core> for $Name {
            fn from(core: $Core) -> Self {
                Self { $($field: core.$field,)* }
            }
        }
    };
    (
        $(#[doc = $text:literal])*
        pub struct $Name:ident {
            $($(#[doc = $about:literal])* pub $field:ident: $Type:ty,)*
        }
    ) => {
        $(#[doc = $text])*
        #[derive(Debug, Clone)]
        pub struct $Name {
            $($(#[doc = $about])* pub $field: $Type,)*
        }

        impl $Name {
            /// The description, for generators.
            pub const DESCRIPTION: &'static $crate::op::Description = &$crate::op::Description {
                name: stringify!($Name),
                text: &[$($text),*],
                members: $crate::op::about!($($($about)* $field: $Type,)*),
            };
        }

        impl $crate::op::Outcome for $Name {
            const KIND: $crate::op::Kind = $crate::op::Kind::Record($Name::DESCRIPTION);
        }

        impl From<$Name> for $crate::output::Record {
            fn from(record: $Name) -> Self {
                Self::Plain(
                    stringify!($Name),
                    vec![$($crate::arg::Field::write(record.$field)),*],
                )
            }
        }
    };
}

/// The descriptions of fields, for generators.
macro_rules! about {
    ($($($text:literal)* $field:ident: $Type:ty,)*) => {
        &[$($crate::arg::FieldDoc {
            name: stringify!($field),
            text: &[$($text),*],
            shape: <$Type as $crate::arg::Field>::SHAPE,
            is_optional: <$Type as $crate::arg::Field>::OPTIONAL,
        }),*]
    };
}

pub(crate) use {about, arguments, outcome};

/// Makes the table, the dispatchers, and a method of [`Client`] for each line.
macro_rules! operations {
    (
        everywhere { $($every:ident: $Every:ident -> $EveryOut:ty $(, $every_door:ident)?;)* }
        not in the browser { $($other:ident: $Other:ident -> $OtherOut:ty $(, $other_door:ident)?;)* }
    ) => {
        /// Every operation, by its index: first those that browsers offer too.
        pub const TABLE: &[Entry] = &[
            $(entry!($every: $Every -> $EveryOut, true $(, $every_door)?),)*
            $(entry!($other: $Other -> $OtherOut, false $(, $other_door)?),)*
        ];

        // Separate from the table, whose texts should not be in a library.
        const NAMES: &[&str] = &[$(stringify!($every),)* $(stringify!($other),)*];

        // Two lists, so that the browser build links only the operations it offers.
        const EVERYWHERE: &[Start] = &[$(started::<$Every>),*];
        const NOT_IN_THE_BROWSER: &[Start] = &[$(started::<$Other>),*];

        impl Client {
            $(
                #[doc = concat!("Begins a [`", stringify!($Every), "`].")]
                ///
                /// # Errors
                /// The errors of an invalid request.
                pub fn $every(&self, arguments: $Every) -> Result<ErasedExchange, Error> {
                    arguments.start(self)
                }
            )*
            $(
                #[doc = concat!("Begins a [`", stringify!($Other), "`].")]
                ///
                /// # Errors
                /// The errors of an invalid request.
                pub fn $other(&self, arguments: $Other) -> Result<ErasedExchange, Error> {
                    arguments.start(self)
                }
            )*
        }
    };
}

macro_rules! entry {
    ($name:ident: $Name:ident -> $Out:ty, $is_in_browser:literal) => {
        entry!($name: $Name -> $Out, $is_in_browser, All)
    };
    ($name:ident: $Name:ident -> $Out:ty, $is_in_browser:literal, $door:ident) => {
        Entry {
            name: stringify!($name),
            text: $Name::TEXT,
            arguments: $Name::ARGUMENTS,
            outcome: <$Out as Outcome>::KIND,
            is_in_browser: $is_in_browser,
            exposure: Exposure::$door,
        }
    };
}

operations! {
    everywhere {
        revoke: Revoke -> ();
        refresh: Refresh -> Tokens;
        userinfo: Userinfo -> UserClaims;
    }
    not in the browser {
        begin_authorization: Authorize -> StartedAuthorization;
        introspect: Introspect -> IntrospectionResponse;
        password: Password -> Tokens;
        client_credentials: ClientCredentials -> Tokens, Exchange;
        device_authorization: DeviceAuthorization -> DeviceAuthorizationResponse;
        poll_device_token: PollDeviceToken -> Tokens;
        backchannel_authentication: BackchannelAuthentication -> BackchannelAuthenticationResponse;
        poll_backchannel_token: PollBackchannelToken -> Tokens;
        verify_ping: VerifyPing -> ();
        accept_push: AcceptPush -> Tokens;
        token_exchange: TokenExchange -> Tokens;
        jwt_bearer: JwtBearer -> Tokens;
        saml_bearer: SamlBearer -> Tokens;
        jwt_bearer_with_key: JwtBearerWithKey -> Tokens;
        extension_grant: ExtensionGrant -> Tokens;
        request_identity_assertion: RequestIdentityAssertion -> IdentityAssertion;
        redeem_identity_assertion: RedeemIdentityAssertion -> Tokens;
        verify_access_token: VerifyAccessToken -> VerifiedAccessToken;
        verify_api_request: VerifyApiRequest -> VerifiedAccessToken;
        verify_id_token: VerifyIdToken -> IdToken;
        verify_logout_token: VerifyLogoutToken -> LogoutToken;
        register: Register -> RegisteredClient;
        read_registration: ReadRegistration -> RegisteredClient;
        update_registration: UpdateRegistration -> RegisteredClient;
        delete_registration: DeleteRegistration -> ();
        resource_metadata: ResourceMetadata -> ProtectedResourceMetadata;
        discover_issuer: DiscoverIssuer -> DiscoveredIssuer;
        client_id_metadata: MakeClientIdMetadata -> ClientIdMetadataDocument;
    }
}

type Start = fn(&Client, &mut Args) -> Result<ErasedExchange, StartError>;

fn started<O: Operation>(client: &Client, args: &mut Args) -> Result<ErasedExchange, StartError> {
    Ok(O::read(args)?.start(client)?)
}

impl Client {
    /// Begins the operation with this index in [`TABLE`].
    ///
    /// # Errors
    /// The errors of the operation, and `misuse.setup` for an unknown index.
    pub fn begin(&self, number: u32, args: impl Into<Args>) -> Result<ErasedExchange, StartError> {
        let all = EVERYWHERE.iter().chain(NOT_IN_THE_BROWSER);
        self.begin_one_of(all, number, args.into())
    }

    /// The same as [`Self::begin`], for the operations that browsers offer. It links no others.
    ///
    /// # Errors
    /// The errors of [`Self::begin`].
    pub fn begin_in_browser(
        &self,
        number: u32,
        args: impl Into<Args>,
    ) -> Result<ErasedExchange, StartError> {
        self.begin_one_of(EVERYWHERE.iter(), number, args.into())
    }

    fn begin_one_of<'a>(
        &self,
        mut all: impl Iterator<Item = &'a Start>,
        number: u32,
        mut args: Args,
    ) -> Result<ErasedExchange, StartError> {
        match all.nth(number as usize) {
            Some(start) => start(self, &mut args),
            None => Err(Error::from(Misuse::Setup).about("no such operation").into()),
        }
    }
}

/// The name of the operation with this index; empty for an unknown index.
pub fn operation_name(number: u32) -> &'static str {
    NAMES.get(number as usize).copied().unwrap_or_default()
}
