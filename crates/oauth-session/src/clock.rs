//! The clock and the random bytes of sessions.

use oauth_core::Moment;
use oauth_core::error::Error;
use oauth_core::moment::UnixTime;

/// The time, with random bytes.
pub(crate) fn moment() -> Result<Moment, Error> {
    #[cfg(feature = "simulated")]
    if let Some(moment) = simulated::moment() {
        return Ok(moment);
    }
    Moment::system()
}

/// The time in whole seconds, without the random bytes of a moment. On Linux this is the coarse clock, which is much
/// cheaper than the precise one and a few milliseconds late.
pub(crate) fn now() -> Result<UnixTime, Error> {
    #[cfg(feature = "simulated")]
    if let Some(moment) = simulated::moment() {
        return Ok(moment.now());
    }
    coarse_now()
}

#[cfg(target_os = "linux")]
fn coarse_now() -> Result<UnixTime, Error> {
    use rustix::time::{ClockId, clock_gettime};
    let seconds = clock_gettime(ClockId::RealtimeCoarse).tv_sec;
    let seconds = u64::try_from(seconds).map_err(|_| oauth_core::error::Misuse::NoClock)?;
    Ok(UnixTime::from_secs(seconds))
}

#[cfg(not(target_os = "linux"))]
fn coarse_now() -> Result<UnixTime, Error> {
    UnixTime::system()
}

/// A simulated clock for the sessions of a thread, for tests only.
#[cfg(feature = "simulated")]
pub mod simulated {
    use std::cell::RefCell;

    use oauth_core::Moment;

    /// The clock of a session.
    pub type Clock = Box<dyn FnMut() -> Moment>;

    thread_local! {
        static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
    }

    /// Sets the clock of all sessions that are used on this thread.
    pub fn set(clock: Clock) {
        CLOCK.with_borrow_mut(|thread_clock| *thread_clock = Some(clock));
    }

    /// Restores the system's clock for this thread.
    pub fn unset() {
        CLOCK.with_borrow_mut(|thread_clock| *thread_clock = None);
    }

    pub(super) fn moment() -> Option<Moment> {
        CLOCK.with_borrow_mut(|clock| clock.as_mut().map(|clock| clock()))
    }
}
