//! Sign-ins at an identity provider, with which tokens of another server are got. JavaScript reads them.

use std::sync::Arc;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_core::grant::IdentitySubject;
use oauth_facade::SubjectSlot;
use wasm_bindgen::prelude::*;

use crate::client::NativeClient;
use crate::error::fail;
use crate::keeper::NativeKeeper;
use crate::moment::moment;
use crate::plain::whole;
use crate::tokens::NativeTokens;

/// Where JavaScript leaves the sign-in before an exchange takes its first step.
#[wasm_bindgen]
pub struct NativeSignIn {
    left: SubjectSlot,
    kind: String,
}

#[wasm_bindgen]
impl NativeSignIn {
    /// For tokens of this type.
    pub fn of(kind: String) -> Result<Self, JsValue> {
        IdentitySubject::of(Secret::from("any"), &kind).map_err(fail)?;
        let left = SubjectSlot::default();
        Ok(Self { left, kind })
    }

    /// The sign-in for the next exchange.
    pub fn leave(&self, token: String) {
        let subject = IdentitySubject::of(Secret::new(token), &self.kind);
        self.left.leave(subject);
    }

    /// The same by the tokens of the sign-in; whether their ID token has ended, and others would be better.
    #[wasm_bindgen(js_name = leaveTokens)]
    pub fn leave_tokens(&self, tokens: &NativeTokens, at: &JsValue) -> Result<bool, JsValue> {
        let now = moment(at)?.now();
        Ok(self.left.leave_login(&tokens.0, now))
    }

    /// The same by the tokens of a sign-in that was renewed; whether it is their refresh token.
    #[wasm_bindgen(js_name = leaveRenewed)]
    pub fn leave_renewed(&self, tokens: &NativeTokens, at: &JsValue) -> Result<bool, JsValue> {
        let now = moment(at)?.now();
        Ok(self.left.leave_renewed(&tokens.0, now))
    }

    /// There is none.
    #[wasm_bindgen(js_name = leaveNone)]
    pub fn leave_none(&self, why: String) {
        self.left.leave(Err(Error::lost(Cause::unsent(why))));
    }
}

#[wasm_bindgen]
impl NativeKeeper {
    /// The tokens of this record, or without one the known tokens, where the lease is held.
    #[wasm_bindgen(js_name = settledTokens)]
    pub fn settled_tokens(
        &self,
        version: Option<f64>,
        record: Option<String>,
    ) -> Result<NativeTokens, JsValue> {
        let entry = version.map(whole).zip(record.map(Secret::new));
        let tokens = self.0.settled_tokens(entry).map_err(fail)?;
        Ok(NativeTokens(Arc::new(tokens)))
    }
}

#[wasm_bindgen]
impl NativeClient {
    /// The same client, whose tokens are got with the sign-in at this identity provider.
    #[wasm_bindgen(js_name = withIdentity)]
    pub fn with_identity(&self, identity_provider: &NativeClient, sign_in: &NativeSignIn) -> Self {
        let read = sign_in.left.read();
        Self(self.0.with_identity(&identity_provider.0, read))
    }
}
