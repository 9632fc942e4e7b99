//! Replies that require more authentication than the current token has (RFC 9470).

use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::Clock;
use oauth_core::http::{HeaderMap, StatusCode};
use oauth_core::json;

use super::{Api, ApiCall, CallStep, OnStepUp, StepUpRequirements};

impl Api {
    /// Marks the API as called with the tokens of a source that can ask the user for a step-up if a reply requires one.
    #[must_use]
    pub(crate) const fn with_step_up_requests(mut self) -> Self {
        self.on_step_up = OnStepUp::Ask;
        self
    }
}

impl ApiCall {
    /// Whether the user is asked for a step-up, which a request does only once.
    pub(super) fn take_step_up(&mut self, status: StatusCode, fields: &HeaderMap) -> bool {
        if self.on_step_up == OnStepUp::HandBack {
            return false;
        }
        let requirements = self.request.required_step_up(status, fields);
        self.required_step_up = requirements.map(|(step_up, again)| StepUpRequirements {
            step_up,
            retry: again,
        });
        if self.required_step_up.is_some() {
            self.on_step_up = OnStepUp::HandBack;
        }
        self.required_step_up.is_some()
    }

    /// The required step-up, as JSON with the members of [`step_up`](crate::step_up).
    pub fn step_up_json(&self) -> Option<String> {
        let requirements = self.required_step_up.as_ref();
        requirements.map(|required| json::to_text(&required.step_up))
    }

    /// Continues after the user was asked: the request is sent again.
    ///
    /// # Errors
    /// The errors of [`Self::begin`]; `misuse.out_of_order` if no step-up was required.
    pub fn resume_after_step_up(&mut self, at: &Clock) -> Result<CallStep, Error> {
        let wish = self.required_step_up.take().ok_or(Misuse::OutOfOrder)?;
        self.request = wish.retry;
        self.begin(at)
    }
}
