//! The subject tokens of identity assertion grants: JavaScript supplies those of a sign-in at the identity provider.

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
use crate::plain::to_u64;
use crate::tokens::NativeTokens;

/// The slot in which JavaScript stores the subject token before an exchange begins.
#[wasm_bindgen]
pub struct NativeSignIn {
    slot: SubjectSlot,
    kind: String,
}

#[wasm_bindgen]
impl NativeSignIn {
    /// A slot for subject tokens of this type.
    pub fn of(kind: String) -> Result<Self, JsValue> {
        IdentitySubject::from_parts(Secret::from("any"), &kind).map_err(fail)?;
        let slot = SubjectSlot::default();
        Ok(Self { slot, kind })
    }

    /// Stores the subject token for the next exchange.
    pub fn leave(&self, token: String) {
        let subject = IdentitySubject::from_parts(Secret::new(token), &self.kind);
        self.slot.leave(subject);
    }

    /// Stores the subject token from the tokens of the sign-in. Returns whether their ID token has expired and they should
    /// be renewed.
    #[wasm_bindgen(js_name = leaveTokens)]
    pub fn leave_tokens(&self, tokens: &NativeTokens, at: &JsValue) -> Result<bool, JsValue> {
        let now = moment(at)?.now();
        Ok(self.slot.leave_login(&tokens.0, now))
    }

    /// Whether these tokens of the sign-in come from a renewal that brought no valid ID token, as another would not.
    #[wasm_bindgen(js_name = isRenewalInVain)]
    pub fn is_renewal_in_vain(&self, tokens: &NativeTokens) -> bool {
        IdentitySubject::is_renewal_in_vain(&tokens.0)
    }

    /// Stores the subject token from renewed tokens of the sign-in; returns whether it is their refresh token.
    #[wasm_bindgen(js_name = leaveRenewed)]
    pub fn leave_renewed(&self, tokens: &NativeTokens, at: &JsValue) -> Result<bool, JsValue> {
        let now = moment(at)?.now();
        Ok(self.slot.leave_renewed(&tokens.0, now))
    }

    /// Records that there is no subject token, and the reason.
    #[wasm_bindgen(js_name = leaveNone)]
    pub fn leave_none(&self, reason: String) {
        self.slot.leave(Err(Error::lost(Cause::unsent(reason))));
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
        let entry = version.map(to_u64).zip(record.map(Secret::new));
        let tokens = self.0.settled_tokens(entry).map_err(fail)?;
        Ok(NativeTokens(Arc::new(tokens)))
    }
}

#[wasm_bindgen]
impl NativeClient {
    /// The same client, which obtains tokens by identity assertions from this provider.
    #[wasm_bindgen(js_name = withIdentity)]
    pub fn with_identity(&self, identity_provider: &NativeClient, sign_in: &NativeSignIn) -> Self {
        let read = sign_in.slot.read();
        Self(self.0.with_identity(&identity_provider.0, read))
    }
}
