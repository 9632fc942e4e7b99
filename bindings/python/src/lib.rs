//! The native half of the Python package: classes, errors and a bridge to asyncio. The protocol is implemented in
//! `oauth-facade` and `oauth-reqwest`.

mod api;
mod authorization;
mod built_in_stores;
mod claims_source;
mod client;
mod client_auth;
mod connection;
mod context_managers;
mod contexts;
mod custom_source;
mod dpop;
mod errors;
mod exception_mapping;
mod exchange;
mod fixed_token;
mod fork_safety;
mod form_fields;
mod grants;
mod greenlet;
mod held_key;
mod hook_owner;
mod hooks;
mod http_methods;
mod identity;
mod keeper;
mod keys;
mod logout;
mod moment;
mod network;
mod pending_call;
mod plugin_request;
mod rate_limits;
mod resource;
mod resource_response;
mod runtime;
mod sealed_store;
mod server;
mod settings;
mod shared_client;
mod source;
mod store;
mod store_tasks;
mod sync_async;
mod text;
mod token_request;
mod tokens;
mod value;
mod verifier;
mod web;
mod web_forward;
mod web_provider;
mod web_reply;
mod web_session;
mod web_visit;

use futures_util as _; // only for its features: see Cargo.toml
use pyo3::prelude::*;

#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::api::Api;
    #[pymodule_export]
    use super::authorization::{Listener, PendingAuthorization, code_turn, listen, stop_listening};
    #[pymodule_export]
    use super::built_in_stores::{
        FileStore, MemoryStore, NativeStore, PostgresStore, RedisStore, SqliteStore, store_url,
    };
    #[pymodule_export]
    use super::claims_source::{ClaimsSource, claims_sources, user_claims};
    #[pymodule_export]
    use super::client::Client;
    #[pymodule_export]
    use super::client_auth::{
        AssertionRequest, ClientAuth, ClientSecretBasic, ClientSecretJwt, ClientSecretPost,
        FederatedAssertion, PrivateKeyJwt, Public, SelfSignedTlsClientAuth, ServiceAccount,
        SpiffeX509, TlsClientAuth,
    };
    #[pymodule_export]
    use super::connection::ResourceConnection;
    #[pymodule_export]
    use super::contexts::{ConnectionContext, check_contexts, redirect_uri_of_context};
    #[pymodule_export]
    use super::dpop::DpopKey;
    #[pymodule_export]
    use super::exchange::{Exchange, Exchanges, Send, Sign, Sleep, discover_exchange};
    #[pymodule_export]
    use super::fixed_token::{FixedToken, fixed_token};
    #[pymodule_export]
    use super::grants::Grants;
    #[pymodule_export]
    use super::keeper::{Decision, Keeper, Renewal};
    #[pymodule_export]
    use super::keys::SealingKey;
    #[pymodule_export]
    use super::logout::{FrontChannelLogout, LogoutForm, check_logout_return};
    #[pymodule_export]
    use super::network::Network;
    #[pymodule_export]
    use super::plugin_request::Call;
    #[pymodule_export]
    use super::resource::{Resource, step_up};
    #[pymodule_export]
    use super::resource_response::Response;
    #[pymodule_export]
    use super::sealed_store::SealedStore;
    #[pymodule_export]
    use super::server::{Server, adiscover, discover, provider, provider_file, providers};
    #[pymodule_export]
    use super::settings::{ClientSettings, WorkloadIdentity};
    #[pymodule_export]
    use super::source::GrantSource;
    #[pymodule_export]
    use super::store_tasks::{Lease, Load, Save};
    #[pymodule_export]
    use super::tokens::{Tokens, allow_pickling};
    #[pymodule_export]
    use super::verifier::{Introspecting, Verifier};
    #[pymodule_export]
    use super::web::{WebSite, testing_key};
    #[pymodule_export]
    use super::web_forward::{Forward, Streamed};
    #[pymodule_export]
    use super::web_provider::Provider;
    #[pymodule_export]
    use super::web_reply::{Problem, Reply};
    #[pymodule_export]
    use super::web_session::{Identity, ProviderQuery, Session};
    #[pymodule_export]
    use super::web_visit::Visit;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::runtime::watch_process(module)?;
        let fingerprint = format!("{:016x}", oauth_facade::FINGERPRINT);
        module.add("FINGERPRINT", fingerprint)?;
        module.add("MAX_FORM", oauth_web::MAX_FORM)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// A secret that came from Python.
fn secret(text: String) -> oauth_core::Secret<String> {
    oauth_core::Secret::new(text)
}

/// The error of pickling an object with secrets, which must not end up in a pickle.
fn no_pickle<T>(class_name: &str) -> PyResult<T> {
    Err(pyo3::exceptions::PyTypeError::new_err(format!(
        "{class_name} cannot be pickled, because it contains secrets: store the text of serialize() where \
         secrets belong"
    )))
}
