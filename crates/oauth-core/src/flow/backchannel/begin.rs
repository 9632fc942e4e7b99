//! Begins a backchannel authentication, unless the same request is still pending (RFC 10027 section 6.1.15). The
//! `client_notification_token` is generated, and the request signed (CIBA Core section 7.1.1), in
//! `flow/backchannel.rs`. That a request has exactly one hint (CIBA Core section 7.1) is checked in
//! `endpoint/backchannel_authentication.rs`.

use std::sync::Arc;

use super::begin_unchecked;
use crate::client_config::ClientConfig;
use crate::duplicate_backchannel_request::DuplicatePolicy;
use crate::endpoint::backchannel_authentication::{
    BackchannelAuthentication, BackchannelAuthenticationResponse,
};
use crate::error::Error;
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Input, Step};
use crate::moment::Moment;

/// Sends the request, unless the same one is already pending.
pub(crate) fn begin(config: Arc<ClientConfig>, request: BackchannelAuthentication) -> Begin {
    Begin {
        request_key: request.duplicate_key(config.server.rules()),
        repeat: request.repeat,
        inner: begin_unchecked(Arc::clone(&config), request).boxed(),
        config,
        is_recorded: false,
    }
}

pub(crate) struct Begin {
    request_key: Result<String, Error>,
    repeat: DuplicatePolicy,
    inner: Boxed<BackchannelAuthenticationResponse>,
    config: Arc<ClientConfig>,
    /// Whether the request is recorded, and the server has not responded yet.
    is_recorded: bool,
}

impl Exchange for Begin {
    type Output = BackchannelAuthenticationResponse;

    fn resume(
        &mut self,
        at: &Moment,
        input: Input,
    ) -> Result<Step<BackchannelAuthenticationResponse>, Error> {
        let request_key = self.request_key.clone()?;
        let pending_requests = &self.config.shared.pending_backchannel;
        if matches!(input, Input::Begin) && !self.is_recorded {
            pending_requests.begin_request(&request_key, self.repeat, at.now())?;
            self.is_recorded = true;
        }
        let step = self.inner.resume(at, input)?;
        if let Step::Done(request) = &step {
            pending_requests.record_sent(&request_key, &request.auth_req_id, request.expires_at);
            self.is_recorded = false;
        }
        Ok(step)
    }
}

/// A request that failed or was given up is no longer pending.
impl Drop for Begin {
    fn drop(&mut self) {
        if let (true, Ok(request_key)) = (self.is_recorded, &self.request_key) {
            self.config
                .shared
                .pending_backchannel
                .forget_failed(request_key);
        }
    }
}
