//! Flows that take more than one request, and the pure rules around them.

pub mod access_token;
pub(crate) mod assertion_grant;
pub mod authorization;
pub mod backchannel;
pub mod discovery;
pub mod identity_assertion;
pub(crate) mod introspection;
pub mod keeper;
pub mod logout;
pub mod poll;
pub mod redeem;
pub mod resource;
pub mod resource_connection;
pub mod resource_discovery;
pub(crate) mod userinfo;
pub(crate) mod verification;
