//! The subject tokens of identity assertion grants: JavaScript supplies those of a sign-in at the identity provider.

use std::sync::Arc;

use napi::Result;
use napi_derive::napi;
use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_core::grant::IdentitySubject;
use oauth_facade::SubjectSlot;

use crate::built_in_stores::to_u64;
use crate::client::NativeClient;
use crate::error::fail;
use crate::exchange::{NativeMoment, moment};
use crate::keeper::NativeKeeper;
use crate::tokens::NativeTokens;

/// The slot in which JavaScript stores the subject token before an exchange takes its first step.
#[napi]
pub struct NativeSignIn {
    slot: SubjectSlot,
    kind: String,
}

#[napi]
impl NativeSignIn {
    /// A slot for subject tokens of this type.
    #[napi(factory)]
    pub fn of(kind: String) -> Result<Self> {
        IdentitySubject::from_parts(Secret::from("any"), &kind).map_err(fail)?;
        let slot = SubjectSlot::default();
        Ok(Self { slot, kind })
    }

    /// Stores the subject token for the next exchange.
    #[napi]
    pub fn leave(&self, token: String) {
        let subject = IdentitySubject::from_parts(Secret::new(token), &self.kind);
        self.slot.leave(subject);
    }

    /// Stores the subject token from the tokens of the sign-in. Returns whether their ID token has expired and they should be
    /// renewed.
    #[napi]
    pub fn leave_tokens(&self, tokens: &NativeTokens, at: Option<NativeMoment>) -> Result<bool> {
        let now = moment(at)?.now();
        Ok(self.slot.leave_login(&tokens.0, now))
    }

    /// Whether these tokens of the sign-in come from a renewal that brought no valid ID token, as another would not.
    #[napi]
    pub fn is_renewal_in_vain(&self, tokens: &NativeTokens) -> bool {
        IdentitySubject::is_renewal_in_vain(&tokens.0)
    }

    /// Stores the subject token from renewed tokens of the sign-in; returns whether it is their refresh token.
    #[napi]
    pub fn leave_renewed(&self, tokens: &NativeTokens, at: Option<NativeMoment>) -> Result<bool> {
        let now = moment(at)?.now();
        Ok(self.slot.leave_renewed(&tokens.0, now))
    }

    /// Records that there is no subject token, and the reason.
    #[napi]
    pub fn leave_none(&self, reason: String) {
        self.slot.leave(Err(Error::lost(Cause::unsent(reason))));
    }
}

#[napi]
impl NativeKeeper {
    /// The tokens of this record, or without one the known tokens, where the lease is held.
    #[napi]
    pub fn settled_tokens(
        &self,
        version: Option<f64>,
        record: Option<String>,
    ) -> Result<NativeTokens> {
        let entry = version.map(to_u64).zip(record.map(Secret::new));
        let tokens = self.0.settled_tokens(entry).map_err(fail)?;
        Ok(NativeTokens(Arc::new(tokens)))
    }
}

#[napi]
impl NativeClient {
    /// The same client, which obtains tokens by identity assertions from this provider.
    #[napi]
    pub fn with_identity(&self, identity_provider: &NativeClient, sign_in: &NativeSignIn) -> Self {
        let read = sign_in.slot.read();
        Self(self.0.with_identity(&identity_provider.0, read))
    }
}
