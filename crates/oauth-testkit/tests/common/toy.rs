//! A minimal exchange: one request, repeated once after a pause if it was lost.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use oauth_core::error::{Error, Misuse};
use oauth_core::exchange::{Exchange, Input, Step};
use oauth_core::moment::{Moment, UnixTime};

pub(crate) struct MinimalExchange {
    request: Request<Bytes>,
    was_lost: bool,
}

impl MinimalExchange {
    pub(crate) fn get(url: &str) -> Self {
        Self {
            request: Request::get(url).body(Bytes::new()).unwrap(),
            was_lost: false,
        }
    }

    pub(crate) fn post(url: &str, form: &[(&str, &str)]) -> Self {
        let request = Request::post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", "Bearer S3CR3T")
            .body(super::pairs(form).into())
            .unwrap();
        Self {
            request,
            was_lost: false,
        }
    }
}

impl Exchange for MinimalExchange {
    type Output = (UnixTime, Response<Bytes>);

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Self::Output>, Error> {
        match input {
            Input::Begin | Input::Elapsed => Ok(Step::Send(self.request.clone())),
            Input::Lost(cause) if self.was_lost => Err(Error::lost(cause)),
            Input::Lost(_) => {
                self.was_lost = true;
                Ok(Step::Sleep(Duration::from_millis(2500)))
            }
            Input::Reply(reply) => Ok(Step::Done((at.now(), reply))),
            Input::Signed(_) | Input::Verified(_) => Err(Misuse::OutOfOrder.into()),
        }
    }
}
