//! The narrow waist between `oauth-core` and other languages.
//!
//! A foreign function interface cannot carry generics, borrowed data or a trait with an output
//! type. This crate turns every conversation into one owned [`Machine`] with five inputs and four
//! steps, every result into a [`Record`], and every error into an [`ErrorRecord`] whose code is
//! the same in every language. It knows no protocol: whatever it does is one call of `oauth-core`
//! or `oauth-providers`.
//!
//! ```
//! use oauth_facade::{Auth, Client, ClientCredentials, Machine, Reply, Scope, Server, TokenRequest, Turn};
//! use oauth_core::{Moment, moment::UnixTime};
//!
//! let metadata = r#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#;
//! let server = Server::from_metadata("https://as.example", metadata, Default::default())?;
//! let client = Client::new(&server, "id", Auth::Post("secret".into()))?;
//! let at = Moment::fixed(UnixTime::from_secs(1_750_000_000), [7; 32]);
//!
//! let request = TokenRequest::for_scope(Scope::parse("read")?);
//! let mut machine: Machine = client.client_credentials(ClientCredentials { request })?;
//! let Turn::Send(request) = machine.begin(&at)? else { panic!("a request comes first") };
//! assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://as.example/token"));
//! let reply = Reply {
//!     status: 200,
//!     headers: vec![("content-type".into(), b"application/json".to_vec())],
//!     body: br#"{"access_token":"abc","token_type":"Bearer","expires_in":60}"#.to_vec(),
//! };
//! let Turn::Done(record) = machine.reply(&at, reply)? else { panic!("then it is over") };
//! assert_eq!(record.tokens().and_then(|tokens| tokens.expires_in), Some(60));
//! # Ok::<(), oauth_core::Error>(())
//! ```

mod api;
mod arg;
mod client;
mod doubles;
mod flow;
mod keeper;
mod machine;
mod op;
mod preset;
mod record;
mod request;
mod resource;
mod server;
mod stored;

pub use api::{Api, ApiCall, Call, CallStep, Keeping, Once, Redirects};
pub use arg::{About, Arg, Args, Field, Mismatch, Refused, Shape, Unfit, camel};
pub use client::{Auth, Authorization, Authorize, Client};
pub use doubles::for_doubles;
pub use flow::Flow;
pub use keeper::{Ask, Keep, Keeper, Task, of_store};
pub use machine::{Machine, Outgoing, Reply, Turn};
pub use op::{
    ClientCredentials, Description, DeviceAuthorization, DeviceCode, Doors, Entry, FINGERPRINT,
    Introspect, Kind, Operation, Outcome, Password, Refresh, Revoke, TABLE, TokenState,
    operation_name,
};
pub use preset::Preset;
pub use record::{ErrorRecord, Record};
pub use request::TokenRequest;
pub use resource::{Attachment, Resource};
pub use server::{Discover, Prefer, Server, Transport};

// The types of the core that this crate's functions take and give.
pub use oauth_core::error::{
    Cause, Class, Error, Loss, Misuse, ProtocolViolation, ValidationFailure,
};
pub use oauth_core::flow::authorization::{HostGeneratedValues, Pending, ResponseMode};
pub use oauth_core::flow::resource::{Allowance, Clock, OnLimit, TokenFor};
pub use oauth_core::issuer::return_target;
pub use oauth_core::moment::{Moment, UnixTime};
pub use oauth_core::quirk::{Quirk, Rules, Strictness};
pub use oauth_core::token::{Freshness, TokenKind, Tokens};
pub use oauth_core::url::Url;
pub use oauth_core::{Scope, Secret};
