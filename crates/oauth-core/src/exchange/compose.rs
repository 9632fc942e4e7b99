//! Combinators that build exchanges from other exchanges.

use super::{Exchange, Input, Step};
use crate::error::{Error, Misuse};
use crate::moment::Moment;

/// Any exchange with this output, boxed.
pub type Boxed<T> = Box<dyn Exchange<Output = T> + Send>;

/// Convenience methods for every exchange.
pub trait ExchangeExt: Exchange + Sized {
    /// Maps the output of the exchange to another value or an error.
    fn and_then<U, F>(self, f: F) -> impl Exchange<Output = U> + use<Self, U, F>
    where
        F: FnOnce(&Moment, Self::Output) -> Result<U, Error>,
    {
        AndThen {
            first: self,
            f: Some(f),
        }
    }

    /// Runs another exchange after this one, built from its output.
    fn then<N, F>(self, f: F) -> impl Exchange<Output = N::Output> + use<Self, N, F>
    where
        N: Exchange,
        F: FnOnce(&Moment, Self::Output) -> Result<N, Error>,
    {
        Then::First(self, f)
    }

    /// Boxes the exchange to hide its type, for struct fields and foreign languages.
    fn boxed(self) -> Boxed<Self::Output>
    where
        Self: Send + 'static,
    {
        Box::new(self)
    }
}

impl<E: Exchange> ExchangeExt for E {}

impl<E: Exchange + ?Sized> Exchange for Box<E> {
    type Output = E::Output;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        (**self).resume(at, input)
    }
}

/// An exchange that ends at its first step.
pub(crate) struct Ready<T>(Option<T>);

impl<T> Ready<T> {
    pub(crate) const fn new(output: T) -> Self {
        Self(Some(output))
    }
}

impl<T> Exchange for Ready<T> {
    type Output = T;

    fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<T>, Error> {
        match (input, self.0.take()) {
            (Input::Begin, Some(output)) => Ok(Step::Done(output)),
            (_, None) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}

/// An exchange that must not be repeated, such as the redemption of a code: its errors never advise a retry.
pub(crate) struct OnceOnly<E>(pub(crate) E);

impl<E: Exchange> Exchange for OnceOnly<E> {
    type Output = E::Output;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        self.0.resume(at, input).map_err(Error::once_only)
    }
}

struct AndThen<E, F> {
    first: E,
    f: Option<F>,
}

impl<E, U, F> Exchange for AndThen<E, F>
where
    E: Exchange,
    F: FnOnce(&Moment, E::Output) -> Result<U, Error>,
{
    type Output = U;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<U>, Error> {
        Ok(match self.first.resume(at, input)? {
            Step::Send(request) => Step::Send(request),
            Step::Sleep(pause) => Step::Sleep(pause),
            Step::Sign(job) => Step::Sign(job),
            Step::Verify(job) => Step::Verify(job),
            Step::Done(output) => {
                let f = self.f.take().ok_or(Misuse::Over)?;
                Step::Done(f(at, output)?)
            }
        })
    }
}

enum Then<E, N, F> {
    First(E, F),
    Second(N),
    Over,
}

impl<E, N, F> Exchange for Then<E, N, F>
where
    E: Exchange,
    N: Exchange,
    F: FnOnce(&Moment, E::Output) -> Result<N, Error>,
{
    type Output = N::Output;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<N::Output>, Error> {
        match std::mem::replace(self, Self::Over) {
            Self::First(mut first, f) => match first.resume(at, input)? {
                Step::Done(output) => {
                    let mut second = f(at, output)?;
                    let step = second.resume(at, Input::Begin)?;
                    *self = Self::Second(second);
                    Ok(step)
                }
                step => {
                    *self = Self::First(first, f);
                    host_step(step)
                }
            },
            Self::Second(mut second) => {
                let step = second.resume(at, input)?;
                *self = Self::Second(second);
                Ok(step)
            }
            Self::Over => Err(Misuse::Over.into()),
        }
    }
}

/// Converts a step for the host to another output type. [`Step::Done`] is an error here.
pub(crate) fn host_step<T, U>(step: Step<T>) -> Result<Step<U>, Error> {
    Ok(match step {
        Step::Send(request) => Step::Send(request),
        Step::Sleep(pause) => Step::Sleep(pause),
        Step::Sign(job) => Step::Sign(job),
        Step::Verify(job) => Step::Verify(job),
        Step::Done(_) => return Err(Misuse::Over.into()),
    })
}
