//! Enforces the send deadline of a token request.

use crate::error::{Cause, Error};
use crate::exchange::{Boxed, Exchange, Input, SendBy, Step};
use crate::moment::{Moment, UnixTime};
use crate::token::Tokens;

/// An exchange that sends nothing after its deadline: a host that was suspended between taking it and
/// running it must not send a refresh token that another worker may have sent since.
pub(super) struct SendDeadline {
    exchange: Boxed<Tokens>,
    /// The earliest time at which the request may start: if the clock shows an earlier time, it was set back, and it is
    /// unknown how much time has passed.
    not_before: UnixTime,
    /// The latest time at which the request may start.
    begin_by: UnixTime,
    /// The latest time at which the driver may send the request.
    send_by: UnixTime,
}

impl SendDeadline {
    pub(super) const fn new(
        exchange: Boxed<Tokens>,
        not_before: UnixTime,
        begin_by: UnixTime,
        send_by: UnixTime,
    ) -> Self {
        Self {
            exchange,
            not_before,
            begin_by,
            send_by,
        }
    }

    pub(super) fn deadline_error() -> Error {
        let cause = Cause::unsent_as("the deadline for this request has passed");
        Error::lost(cause).at_endpoint("token")
    }
}

impl Exchange for SendDeadline {
    type Output = Tokens;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Tokens>, Error> {
        let mut step = self.exchange.resume(at, input)?;
        if let Step::Send(request) = &mut step {
            if at.now() < self.not_before || at.now() > self.begin_by {
                return Err(Self::deadline_error());
            }
            // The driver may queue it.
            request.extensions_mut().insert(SendBy(self.send_by));
        }
        Ok(step)
    }
}
