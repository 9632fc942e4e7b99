//! What `Grants` and holds need of one grant.

use napi::Result;
use napi_derive::napi;
use oauth_core::Secret;
use oauth_core::flow::keeper::GrantSummary;

use crate::built_in_stores::whole;
use crate::error::fail;
use crate::exchange::{NativeMoment, moment};
use crate::keeper::{NativeExtension, NativeKeeper};
use crate::tokens::NativeTokens;

/// Whether the grant of a record can yield no more tokens: it has ended, or expired. False for a record that cannot be read.
#[napi]
pub(crate) fn is_over(record: String, at: Option<NativeMoment>) -> Result<bool> {
    let summary = GrantSummary::read(&Secret::new(record));
    let now = moment(at)?.now();
    Ok(summary.is_ok_and(|summary| summary.is_over(now)))
}

#[napi]
impl NativeKeeper {
    /// Replaces the grant's tokens with those of a new login, unless the record was removed after it was read at this
    /// version.
    #[napi]
    pub fn replace_seen(
        &self,
        at: Option<NativeMoment>,
        tokens: &NativeTokens,
        seen: f64,
    ) -> Result<()> {
        let tokens = (*tokens.0).clone();
        let replaced = self.0.replace_seen(&moment(at)?, tokens, whole(seen));
        replaced.map_err(fail)
    }

    /// The lease of a use of the refresh token outside a renewal, for this holder.
    #[napi]
    pub fn lease_of_use(&self, holder: String) -> NativeExtension {
        let (ttl, every) = self.0.lease_of_use();
        NativeExtension {
            holder,
            ms: ttl.as_secs_f64() * 1000.0,
            every: every.as_secs_f64() * 1000.0,
        }
    }
}
