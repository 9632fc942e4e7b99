//! Private keys that JavaScript holds, because this module contains no algorithms: WebCrypto signs, or a function of
//! the application.

use std::cell::RefCell;
use std::collections::BTreeMap;

use js_sys::{Function, Reflect, Uint8Array};
use oauth_core::Secret;
use oauth_core::crypto::KeyUse;
use oauth_core::error::{Error, Misuse};
use oauth_facade::{HeldKey, HeldKeyJwt, HeldSecretJwt, Holder, SigningJob, error_from_code};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use crate::error::invalid;
use crate::plain::read;

/// Signing functions by number. A JavaScript function must stay on its thread, but a key's `Holder` must be `Send`, so
/// it holds the number.
#[derive(Default)]
struct Signers {
    last: u32,
    by_id: BTreeMap<u32, Function>,
}

thread_local! {
    static SIGNERS: RefCell<Signers> = RefCell::default();
}

/// The number of a signing function, which is forgotten when the last client that has the key is dropped.
struct SignerHandle(u32);

impl Drop for SignerHandle {
    fn drop(&mut self) {
        let forgotten = SIGNERS.try_with(|signers| {
            let mut signers = signers.try_borrow_mut().ok()?;
            signers.by_id.remove(&self.0)
        });
        drop(forgotten);
    }
}

/// The holder that signs with this function. It is called with the key's name, an algorithm and the bytes to sign, and
/// returns an object whose method `signature` makes the signature.
pub(crate) fn holder(sign: Function) -> Holder {
    let number = SIGNERS.with_borrow_mut(|signers| {
        signers.last = signers.last.wrapping_add(1);
        signers.by_id.insert(signers.last, sign);
        signers.last
    });
    Holder::new(SignerHandle(number))
}

/// The JavaScript object that makes the signature of this job.
pub(crate) fn signer(job: &SigningJob) -> Option<JsValue> {
    let signer = job.holder.as_ref()?.downcast::<SignerHandle>()?;
    let sign = SIGNERS.with_borrow(|signers| signers.by_id.get(&signer.0).cloned())?;
    let input = Uint8Array::from(&*job.signing_input);
    let [key_id, alg] = [job.key_id.as_str(), job.alg].map(JsValue::from);
    sign.call3(&JsValue::UNDEFINED, &key_id, &alg, &input).ok()
}

/// A client's keys without the private parts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    keys: Vec<KeyDescription>,
    alg: Option<String>,
    kid: Option<String>,
    certificate_thumbprint: Option<String>,
    audience: Option<String>,
}

#[derive(Deserialize)]
struct KeyDescription {
    #[serde(default)]
    kid: String,
    algs: Vec<String>,
}

/// The servers for which the keys of a `private_key_jwt` have signed; all clients with these keys share it.
#[wasm_bindgen]
#[derive(Default)]
pub struct NativeKeyUse(KeyUse);

#[wasm_bindgen]
impl NativeKeyUse {
    /// Keys that have signed for no server yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }
}

pub(crate) fn jwt(
    settings: &JsValue,
    signers: Vec<Function>,
    used: &NativeKeyUse,
) -> Result<HeldKeyJwt, JsValue> {
    let settings: Keys = read(settings, "the settings of a key must be strings")?;
    let keys = settings.keys.into_iter().zip(signers);
    let held = |(description, sign): (KeyDescription, Function)| HeldKey {
        kid: description.kid,
        algs: description.algs,
        holder: holder(sign),
    };
    Ok(HeldKeyJwt {
        keys: keys.map(held).collect(),
        alg: settings.alg,
        kid: settings.kid,
        certificate_thumbprint: settings.certificate_thumbprint,
        audience: settings.audience,
        used: used.0.clone(),
    })
}

/// The settings of `client_secret_jwt`.
#[derive(Deserialize)]
struct SecretKey {
    source: String,
    alg: Option<String>,
    audience: Option<String>,
}

pub(crate) fn secret_jwt(settings: &JsValue, sign: Function) -> Result<HeldSecretJwt, JsValue> {
    let settings: SecretKey = read(settings, "the settings of a secret must be strings")?;
    Ok(HeldSecretJwt {
        secret: Secret::new(settings.source),
        alg: settings.alg.unwrap_or_else(|| "HS256".to_owned()),
        audience: settings.audience,
        holder: holder(sign),
    })
}

/// The key in a string. JavaScript imports it: `hold` returns its algorithms and its signing function, or the reason why
/// it is not a key.
pub(crate) fn of_text(hold: &Function, text: &Secret<String>) -> Result<HeldKey, Error> {
    let malformed = || Error::from(Misuse::KeyMalformed);
    let result = hold.call1(&JsValue::UNDEFINED, &text.expose().as_str().into());
    let result = result.map_err(|_| malformed())?;
    let member = |name: &str| Reflect::get(&result, &name.into()).ok();
    if let Some(code) = member("code").and_then(|code| code.as_string()) {
        let reason = member("why").and_then(|error| error.as_string());
        return Err(error_from_code(&code, &reason.unwrap_or_default(), None));
    }
    let algs = member("algs").and_then(|algs| read(&algs, "algorithms must be strings").ok());
    let sign = member("signer").and_then(|sign| sign.dyn_into().ok());
    let (algs, sign) = algs.zip(sign).ok_or_else(malformed)?;
    Ok(HeldKey {
        kid: String::new(),
        algs,
        holder: holder(sign),
    })
}

/// Passes a secret to JavaScript (`hold`), which returns the function that computes HMACs with it.
pub(crate) fn of_secret(hold: &Function, secret: &Secret<String>) -> Result<Holder, Error> {
    let sign = hold.call1(&JsValue::UNDEFINED, &secret.expose().as_str().into());
    let sign = sign.ok().and_then(|sign| sign.dyn_into().ok());
    let sign: Function = sign.ok_or_else(|| Error::from(Misuse::NoUsableMethod))?;
    Ok(holder(sign))
}

/// The thumbprint of a public key (RFC 7638), which names it.
#[wasm_bindgen]
pub fn thumbprint(jwk: &str) -> Result<String, JsValue> {
    let key = oauth_core::jose::PublicJwk::parse(jwk);
    let key = key.map_err(|_| invalid("jwk is not a public key"))?;
    Ok(key.thumbprint())
}
