//! Time and randomness: the host's own moment, or WebCrypto's bytes and the clock of JavaScript.

use std::time::Duration;

use js_sys::{Date, Uint8Array};
use oauth_core::moment::{Moment, UnixTime};
use oauth_facade::Clock;
use wasm_bindgen::prelude::*;

use crate::error::invalid;
use crate::plain::{member, to_u64};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill(bytes: &mut [u8]);

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn monotonic() -> f64;
}

/// The host's `{ now, seed }`, or else the current moment.
pub(crate) fn moment(host_moment: &JsValue) -> Result<Moment, JsValue> {
    if host_moment.is_undefined() || host_moment.is_null() {
        return Ok(current_moment());
    }
    let seed = member(host_moment, "seed").and_then(|seed| seed.dyn_into::<Uint8Array>().ok());
    let seed = seed.and_then(|seed| <[u8; 32]>::try_from(seed.to_vec()).ok());
    let seed =
        seed.ok_or_else(|| invalid("moment must return { now, seed }, with a seed of 32 bytes"))?;
    let now = member(host_moment, "now").and_then(|now| now.as_f64());
    let now = now.filter(|now| now.is_finite() && *now >= 0.0);
    let now =
        now.ok_or_else(|| invalid("the moment's now must be a number of seconds since 1970"))?;
    Ok(Moment::fixed(UnixTime::from_secs(to_u64(now)), seed))
}

/// The current time, and random bytes.
pub(crate) fn current_moment() -> Moment {
    Moment::fixed(UnixTime::from_secs(to_u64(Date::now() / 1000.0)), random())
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// The current moment, and the monotonic clock.
pub(crate) fn clock() -> Clock {
    let elapsed = Duration::try_from_secs_f64(monotonic() / 1000.0);
    Clock {
        moment: current_moment(),
        elapsed: elapsed.unwrap_or_default(),
    }
}
