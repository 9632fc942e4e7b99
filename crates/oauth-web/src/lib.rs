#![doc = include_str!("../README.md")]

mod client_connections;
mod client_wait;
mod config;
mod cookie;
mod current_session;
mod forward;
mod hop;
mod html;
mod identity_endpoint;
mod log_entry;
mod login_flow;
mod login_guard;
mod login_loop;
mod login_stage;
mod page;
mod provider;
mod provider_lookup;
mod reply;
mod request;
mod request_context;
mod response_mode;
mod return_target;
mod routes;
mod session;
mod session_handle;
mod session_index;
mod session_store;
mod settings;
mod site;
mod site_state;
mod testing;
mod userinfo;
mod visit;

pub use client_connections::Connect;
pub use config::{Access, Config, Lookup, SameSite, SessionStorage, Upstream};
pub use forward::Forward;
pub use identity_endpoint::IdentityEndpoint;
pub use log_entry::LogEntry;
pub use provider::Provider;
pub use reply::{Problem, Reply};
pub use request::{MAX_FORM, PROTECTION_HEADER, Request};
pub use response_mode::ResponseMode;
pub use session::{Identity, PageRequirements, Session};
pub use settings::{
    IdentitySettings, ProviderSettings, SITE_SETTINGS, Setting, SettingError, Shape, Storage,
};
pub use site::Site;
pub use testing::testing_key;
pub use userinfo::Userinfo;
pub use visit::{Admission, Event, ProviderQuery, RunOutput, Step, Visit};
