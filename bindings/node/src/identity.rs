//! Sign-ins at an identity provider, with which tokens of another server are got. JavaScript reads them.

use std::sync::Arc;

use napi::Result;
use napi_derive::napi;
use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_core::grant::IdentitySubject;
use oauth_facade::SubjectSlot;

use crate::built_in_stores::whole;
use crate::client::NativeClient;
use crate::error::fail;
use crate::exchange::{NativeMoment, moment};
use crate::keeper::NativeKeeper;
use crate::tokens::NativeTokens;

/// Where JavaScript leaves the sign-in before an exchange takes its first step.
#[napi]
pub struct NativeSignIn {
    left: SubjectSlot,
    kind: String,
}

#[napi]
impl NativeSignIn {
    /// For tokens of this type.
    #[napi(factory)]
    pub fn of(kind: String) -> Result<Self> {
        IdentitySubject::of(Secret::from("any"), &kind).map_err(fail)?;
        let left = SubjectSlot::default();
        Ok(Self { left, kind })
    }

    /// The sign-in for the next exchange.
    #[napi]
    pub fn leave(&self, token: String) {
        let subject = IdentitySubject::of(Secret::new(token), &self.kind);
        self.left.leave(subject);
    }

    /// The same by the tokens of the sign-in; whether their ID token has ended, and others would be better.
    #[napi]
    pub fn leave_tokens(&self, tokens: &NativeTokens, at: Option<NativeMoment>) -> Result<bool> {
        let now = moment(at)?.now();
        Ok(self.left.leave_login(&tokens.0, now))
    }

    /// The same by the tokens of a sign-in that was renewed; whether it is their refresh token.
    #[napi]
    pub fn leave_renewed(&self, tokens: &NativeTokens, at: Option<NativeMoment>) -> Result<bool> {
        let now = moment(at)?.now();
        Ok(self.left.leave_renewed(&tokens.0, now))
    }

    /// There is none.
    #[napi]
    pub fn leave_none(&self, why: String) {
        self.left.leave(Err(Error::lost(Cause::unsent(why))));
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
        let entry = version.map(whole).zip(record.map(Secret::new));
        let tokens = self.0.settled_tokens(entry).map_err(fail)?;
        Ok(NativeTokens(Arc::new(tokens)))
    }
}

#[napi]
impl NativeClient {
    /// The same client, whose tokens are got with the sign-in at this identity provider.
    #[napi]
    pub fn with_identity(&self, identity_provider: &NativeClient, sign_in: &NativeSignIn) -> Self {
        let read = sign_in.left.read();
        Self(self.0.with_identity(&identity_provider.0, read))
    }
}
