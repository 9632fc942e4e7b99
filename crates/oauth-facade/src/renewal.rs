//! The renewal of a grant that is not shared, as one exchange: the host sends its requests, and needs no loop.

use std::ops::ControlFlow;
use std::sync::Arc;

use oauth_core::error::{Error, Misuse};
use oauth_core::exchange::{Boxed, Exchange, Input, Step};
use oauth_core::flow::keeper::{self, Event};
use oauth_core::{Moment, Tokens};

use crate::keeper::Keeper;

/// One renewal. If it is dropped before its end, it is abandoned ([`Keeper::abandon`]), and the next caller renews.
pub(crate) struct Renewal {
    keeper: Arc<Keeper>,
    /// The moment of the previous step.
    at: Moment,
    /// `None` once the renewal has ended.
    state: Option<State>,
}

enum State {
    Begun,
    Request(Boxed<Tokens>),
    Pause,
}

impl Renewal {
    pub(crate) const fn new(keeper: Arc<Keeper>, at: Moment) -> Self {
        Self {
            keeper,
            at,
            state: Some(State::Begun),
        }
    }

    /// Handles the keeper's steps until one requires the host.
    fn advance(&mut self, at: &Moment, mut event: Event) -> Result<Step<Arc<Tokens>>, Error> {
        loop {
            event = match self.keeper.resume(at, event) {
                keeper::Step::Run(request) => match self.advance_request(at, request, Input::Begin)
                {
                    ControlFlow::Break(step) => return Ok(step),
                    ControlFlow::Continue(outcome) => outcome,
                },
                keeper::Step::Wait(pause) => {
                    self.state = Some(State::Pause);
                    return Ok(Step::Sleep(pause));
                }
                keeper::Step::Done(outcome) => return outcome.map(Step::Done),
                keeper::Step::Load | keeper::Step::Lease { .. } | keeper::Step::Save { .. } => {
                    let detail = "this grant is shared, so it needs a store";
                    return self.give_up(Error::from(Misuse::Setup).about(detail));
                }
            };
        }
    }

    /// The next step of the request, or its result.
    fn advance_request(
        &mut self,
        at: &Moment,
        mut request: Boxed<Tokens>,
        input: Input,
    ) -> ControlFlow<Step<Arc<Tokens>>, Event> {
        let step = match request.resume(at, input) {
            Ok(Step::Send(request)) => Step::Send(request),
            Ok(Step::Sleep(pause)) => Step::Sleep(pause),
            Ok(Step::Sign(job)) => Step::Sign(job),
            Ok(Step::Verify(job)) => Step::Verify(job),
            Ok(Step::Done(tokens)) => return ControlFlow::Continue(Event::Completed(Ok(tokens))),
            Err(error) => return ControlFlow::Continue(Event::Completed(Err(error))),
        };
        self.state = Some(State::Request(request));
        ControlFlow::Break(step)
    }

    fn give_up<T>(&self, error: Error) -> Result<T, Error> {
        self.keeper.abandon(&self.at);
        Err(error)
    }
}

impl Exchange for Renewal {
    type Output = Arc<Tokens>;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Arc<Tokens>>, Error> {
        self.at = at.clone();
        let event = match (self.state.take(), input) {
            (None, _) => return Err(Misuse::Over.into()),
            (Some(State::Begun), Input::Begin) => Event::Begin,
            (Some(State::Pause), Input::Elapsed) => Event::Elapsed,
            (Some(State::Request(request)), input) => {
                match self.advance_request(at, request, input) {
                    ControlFlow::Break(step) => return Ok(step),
                    ControlFlow::Continue(outcome) => outcome,
                }
            }
            (Some(State::Begun | State::Pause), _) => {
                return self.give_up(Misuse::OutOfOrder.into());
            }
        };
        self.advance(at, event)
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        if self.state.is_some() {
            self.keeper.abandon(&self.at);
        }
    }
}
