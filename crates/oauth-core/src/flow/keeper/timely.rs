//! A token request that is not sent too late.

use crate::error::{Cause, Error};
use crate::exchange::{Boxed, Exchange, Input, SendBy, Step};
use crate::moment::{Moment, UnixTime};
use crate::token::Tokens;

/// An exchange that sends nothing after a certain time: a host that was stopped between taking it
/// and running it must not send what others may have sent since.
pub(super) struct Timely {
    exchange: Boxed<Tokens>,
    /// It is not begun before this: then the clock was set back, and nobody knows how late it is;
    since: UnixTime,
    /// it is not begun after this,
    latest: UnixTime,
    /// and does not leave the driver after this.
    turn: UnixTime,
}

impl Timely {
    pub(super) const fn new(
        exchange: Boxed<Tokens>,
        since: UnixTime,
        latest: UnixTime,
        turn: UnixTime,
    ) -> Self {
        Self {
            exchange,
            since,
            latest,
            turn,
        }
    }

    pub(super) fn late() -> Error {
        let late = Cause::unsent("the time for this request is over");
        Error::lost(late).at_endpoint("token")
    }
}

impl Exchange for Timely {
    type Output = Tokens;

    fn resume(&mut self, at: Moment, input: Input) -> Result<Step<Tokens>, Error> {
        let mut step = self.exchange.resume(at, input)?;
        if let Step::Send(request) = &mut step {
            if at.now() < self.since || at.now() > self.latest {
                return Err(Self::late());
            }
            // The driver may let it wait.
            request.extensions_mut().insert(SendBy(self.turn));
        }
        Ok(step)
    }
}
