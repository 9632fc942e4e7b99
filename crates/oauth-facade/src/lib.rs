#![doc = include_str!("../README.md")]

mod api;
mod arg;
mod authorization_details;
mod authorization_flow;
mod claims_source;
mod client;
mod client_auth;
#[cfg(feature = "crypto")]
mod dpop;
mod erased_exchange;
mod error_code;
mod grant_settings;
#[cfg(feature = "held-keys")]
mod held_key;
mod introspection;
mod json_numbers;
mod keeper;
mod logout;
mod op;
mod output;
mod polling;
mod preset;
mod registered_client;
#[cfg(feature = "crypto")]
mod registered_responses;
mod renewal;
mod request;
mod resource;
#[cfg(feature = "connect")]
mod resource_connection;
mod self_signed_assertion;
mod server;
mod server_json;
#[cfg(feature = "providers")]
mod settings;

pub use api::{Api, ApiCall, BodyRepeat, Call, CallStep, RateLimitChoice, Redirects};
pub use arg::{
    Arg, Args, Field, FieldDoc, FieldError, FieldValues, JsonText, OneOrMore, Personal, Shape,
    StartError, TypeMismatch, camel,
};
pub use authorization_details::{authorization_details, missing_authorization_details};
pub use authorization_flow::{AuthorizationFlow, callback_context};
pub use claims_source::{ClaimsSource, claims_sources};
pub use client::Client;
pub use client_auth::Auth;
#[cfg(feature = "crypto")]
pub use client_auth::{PrivateKeyJwt, SecretJwt};
#[cfg(feature = "crypto")]
pub use dpop::{DpopKey, alg_from_name as dpop_alg};
pub use erased_exchange::{ErasedExchange, ErasedStep, Outgoing, Reply};
pub use grant_settings::GrantSettings;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub use grant_settings::{distinguishing_step_up, listed_step_ups};
#[cfg(feature = "held-keys")]
pub use held_key::{HeldKey, HeldKeyJwt, HeldSecretJwt};
pub use introspection::IntrospectionOptions;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub use json_numbers::DoubleSafeNumbers;
pub use json_numbers::for_doubles;
pub use keeper::{Decision, Keeper, Task, store_error};
pub use logout::EndSession;
pub use op::{
    AcceptPush, AccessTokenRequirements, Address, Authorize, BackchannelAuthentication,
    BackchannelAuthenticationResponse, ClientCredentials, ClientIdMetadataDocument,
    DeleteRegistration, Description, DeviceAuthorization, DeviceAuthorizationResponse,
    DiscoverIssuer, DiscoveredIssuer, Entry, Exposure, ExtensionGrant, FINGERPRINT, IdToken,
    IdentityAssertion, Introspect, IntrospectionResponse, JwtBearer, JwtBearerWithKey, Kind,
    LogoutToken, MakeClientIdMetadata, Operation, Outcome, Password, PollBackchannelToken,
    PollDeviceToken, ProtectedResourceMetadata, ReadRegistration, RedeemIdentityAssertion, Refresh,
    Register, RegisteredClient, RequestIdentityAssertion, ResourceMetadata, Revoke, SamlBearer,
    StartedAuthorization, TABLE, TokenExchange, UpdateRegistration, UserClaims, Userinfo,
    VerifiedAccessToken, Verifier, VerifyAccessToken, VerifyApiRequest, VerifyIdToken,
    VerifyLogoutToken, VerifyPing, operation_name, user_claims,
};
pub use output::{ErrorRecord, Record};
pub use preset::Preset;
#[cfg(feature = "crypto")]
pub use registered_responses::Registration;
pub use request::TokenRequest;
pub use resource::{Attachment, Resource, step_up};
#[cfg(feature = "connect")]
pub use resource_connection::Connect;
pub use server::{Discover, PreferredDocument, Server, Transport};
#[cfg(feature = "providers")]
pub use settings::{Settings, SettingsIdentity, SettingsServer, Workload};

// The types of the core that this crate's functions accept and return.
pub use error_code::error_from_code;
pub use oauth_core::client_auth::{
    AssertionProfile, AssertionSource, Certificate, ClientIdParameter, FederatedAssertion,
};
pub use oauth_core::error::{
    Cause, Class, Error, Loss, Misuse, ProtocolViolation, ValidationFailure,
};
pub use oauth_core::exchange::{Holder, SigningJob, VerificationJob, VerificationKey};
pub use oauth_core::flow::authorization::{
    CallbackContext, HostGeneratedValues, PendingAuthorization, Push, ResponseMode, ResponseType,
};
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub use oauth_core::flow::identity_assertion::SubjectSlot;
pub use oauth_core::flow::keeper::Upkeep;
pub use oauth_core::flow::logout::{FrontChannelLogout, LogoutForm, Session, check_return};
pub use oauth_core::flow::resource::{Allowance, Clock, OnRateLimit, TokenOwner};
pub use oauth_core::grant::IdentitySubject;
pub use oauth_core::json::value_text;
pub use oauth_core::moment::{Moment, UnixTime};
pub use oauth_core::quirk::{Quirk, Rules, Strictness};
pub use oauth_core::redirect_uri::check_return_target;
pub use oauth_core::token::{Freshness, TokenKind, Tokens};
pub use oauth_core::url::Url;
pub use oauth_core::workload::Environment;
pub use oauth_core::{Scope, Secret};
