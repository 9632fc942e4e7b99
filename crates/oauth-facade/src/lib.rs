#![doc = include_str!("../README.md")]

mod api;
mod arg;
mod assertion;
mod auth;
mod client;
#[cfg(feature = "connect")]
mod connect;
mod doubles;
#[cfg(feature = "crypto")]
mod dpop;
mod flow;
mod introspecting;
mod keeper;
mod machine;
mod op;
mod preset;
mod record;
mod registered;
#[cfg(feature = "crypto")]
mod registration;
mod renewal;
mod request;
mod resource;
mod server;
#[cfg(feature = "providers")]
mod settings;
mod stored;
mod told;
mod waiting;

pub use api::{Api, ApiCall, Call, CallStep, Keeping, Once, Redirects};
pub use arg::{
    About, Arg, Args, Field, JsonText, Mismatch, Personal, Refused, Shape, Unfit, camel,
};
pub use auth::Auth;
#[cfg(feature = "crypto")]
pub use auth::{PrivateKeyJwt, SecretJwt};
pub use client::{Client, EndSession};
#[cfg(feature = "connect")]
pub use connect::Connect;
pub use doubles::for_doubles;
#[cfg(feature = "crypto")]
pub use dpop::{DpopKey, named as dpop_alg};
pub use flow::{Flow, arrival};
pub use introspecting::Introspecting;
pub use keeper::{Ask, Keep, Keeper, Task, of_store};
pub use machine::{Machine, Outgoing, Reply, Turn};
pub use op::{
    AccessToken, Authorize, BackchannelAuthentication, BackchannelLogin, BackchannelRequest, Begun,
    ClientCredentials, DeleteRegistration, Description, DeviceAuthorization, DeviceCode,
    DeviceLogin, Doors, Entry, ExtensionGrant, FINGERPRINT, IdentityAssertion, Introspect,
    JwtBearer, JwtBearerWithKey, Kind, LogoutToken, Operation, Outcome, Password,
    ProtectedResource, ReadRegistration, RedeemIdentityAssertion, Refresh, Register,
    RegisteredClient, RequestIdentityAssertion, ResourceMetadata, Revoke, SamlBearer, TABLE,
    TakePushed, TokenExchange, TokenState, UpdateRegistration, UserClaims, Userinfo,
    VerifyAccessToken, VerifyLogoutToken, VerifyPing, operation_name,
};
pub use preset::Preset;
pub use record::{ErrorRecord, Record};
#[cfg(feature = "crypto")]
pub use registration::Registration;
pub use request::TokenRequest;
pub use resource::{Attachment, Resource, step_up};
pub use server::{Discover, Prefer, Server, Transport};
#[cfg(feature = "providers")]
pub use settings::{Settings, SettingsServer, Workload};

// The types of the core that this crate's functions take and give.
pub use oauth_core::client_auth::{
    AssertionProfile, AssertionSource, Certificate, ClientIdParameter, FederatedAssertion,
};
pub use oauth_core::error::{
    Cause, Class, Error, Loss, Misuse, ProtocolViolation, ValidationFailure,
};
pub use oauth_core::exchange::{VerificationJob, VerificationKey};
pub use oauth_core::flow::authorization::{
    Arrival, HostGeneratedValues, Pending, Push, ResponseMode, ResponseType,
};
pub use oauth_core::flow::keeper::Upkeep;
pub use oauth_core::flow::resource::{Allowance, Clock, OnLimit, TokenFor};
pub use oauth_core::issuer::return_target;
pub use oauth_core::moment::{Moment, UnixTime};
pub use oauth_core::quirk::{Quirk, Rules, Strictness};
pub use oauth_core::token::{Freshness, TokenKind, Tokens};
pub use oauth_core::url::Url;
pub use oauth_core::workload::Environment;
pub use oauth_core::{Scope, Secret};
pub use told::told;
