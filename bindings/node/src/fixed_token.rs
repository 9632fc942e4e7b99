//! Fixed tokens, which are never renewed, such as personal access tokens.

use napi::Result;
use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use oauth_core::error::{Cause, Error};
use oauth_core::moment::UnixTime;
use oauth_session::FixedToken;

use crate::built_in_stores::to_u64;
use crate::error::fail;
use crate::runtime::promise;
use crate::tokens::{NativeTokens, bearer};

/// A fixed token from a string, an environment variable or a file. `expires_at` is in Unix seconds.
#[napi]
pub struct NativeFixedToken(FixedToken);

#[napi]
impl NativeFixedToken {
    /// The given token.
    #[napi(factory)]
    pub fn text(token: String, expires_at: Option<f64>) -> Self {
        Self(FixedToken::from_tokens(bearer(token, expires_at)))
    }

    /// The token in an environment variable.
    #[napi(factory)]
    pub fn env(variable: String, expires_at: Option<f64>) -> Self {
        Self(until(FixedToken::from_env(variable), expires_at))
    }

    /// The token in a file.
    #[napi(factory)]
    pub fn file(path: String, expires_at: Option<f64>) -> Self {
        Self(until(FixedToken::from_file(path), expires_at))
    }

    /// The current token; an error if it is the refused one.
    #[napi]
    pub fn read(&self, refused: Option<&NativeTokens>) -> Result<NativeTokens> {
        let tokens = self.0.read(refused.map(|tokens| &*tokens.0));
        tokens.map(NativeTokens).map_err(fail)
    }

    /// Reads the token from a file, without blocking the event loop.
    #[napi(ts_return_type = "Promise<NativeTokens>")]
    pub fn read_file<'env>(
        &self,
        env: &'env Env,
        refused: Option<&NativeTokens>,
    ) -> Result<Object<'env>> {
        let (source, refused) = (self.0.clone(), refused.map(|tokens| tokens.0.clone()));
        promise(env, async move {
            let read = tokio::task::spawn_blocking(move || source.read(refused.as_deref()));
            let tokens = read
                .await
                .map_err(|error| Error::lost(Cause::unsent(error)))??;
            Ok(NativeTokens(tokens))
        })
    }
}

fn until(source: FixedToken, expires_at: Option<f64>) -> FixedToken {
    match expires_at {
        Some(end) => source.expiring_at(UnixTime::from_secs(to_u64(end))),
        None => source,
    }
}
