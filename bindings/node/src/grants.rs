//! The operations on one grant that `Grants` and holds need.

use napi::Result;
use napi_derive::napi;
use oauth_core::Secret;
use oauth_core::flow::keeper::GrantSummary;

use crate::built_in_stores::to_u64;
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

/// The id of the login from which the tokens of a record come, empty if it has none. Absent if the record cannot be read.
#[napi]
pub(crate) fn login_of(record: String) -> Option<String> {
    let summary = GrantSummary::read(&Secret::new(record)).ok()?;
    Some(summary.login.unwrap_or_default())
}

#[napi]
impl NativeKeeper {
    /// Ends a login that is not stored yet, and returns its tokens, to be revoked.
    #[napi]
    pub fn end_unsaved_login(&self, at: Option<NativeMoment>) -> Result<Option<NativeTokens>> {
        let ended = self.0.end_unsaved_login(&moment(at)?);
        Ok(ended.map(NativeTokens))
    }

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
        let replaced = self
            .0
            .replace_at_version(&moment(at)?, tokens, to_u64(seen));
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
