//! Replacement of the certificates to which a fleet's tokens are bound (RFC 8705 section 3).
//!
//! The operator issues a new certificate and restarts one worker after the other with it. The server binds access
//! tokens to the certificate of the connection over which they were requested, and the API requires the same one.
//! Refresh tokens are not bound: the client authenticates, so any of its certificates will do (section 4).

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use oauth_core::{Client, Tokens};

use super::keys::refresh_token;
use super::ledger::PeekTokens;
use super::simulation::{Scheduled, Simulation, millis};
use super::{Breach, Flaw, Rule};
use crate::twin::wire::ClientCertificate;

/// The certificates, identified by numbers: their contents play no role.
#[derive(Default)]
pub(super) struct Certificates {
    newest: usize,
    /// The number of the certificate that each worker's HTTP client presents.
    by_worker: HashMap<usize, usize>,
    /// The certificate with which each token was requested: access tokens are bound to it.
    by_refresh_token: HashMap<String, usize>,
}

impl Certificates {
    pub(super) const fn newest(&self) -> usize {
        self.newest
    }

    /// Issues the next certificate.
    pub(super) const fn issue(&mut self) -> usize {
        self.newest += 1;
        self.newest
    }

    /// Has the worker present this certificate from now on.
    pub(super) fn install(&mut self, worker: usize, number: usize) {
        self.by_worker.insert(worker, number);
    }

    /// The client of a worker, with the certificate that its HTTP client presents.
    pub(super) fn client(&self, worker: usize, client: Client) -> Client {
        match self.by_worker.get(&worker) {
            Some(number) => client.with_certificate(&thumbprint(*number)),
            None => client,
        }
    }

    /// Sends the request over a connection of the worker.
    pub(super) fn present(&self, worker: usize, request: &mut http::Request<Bytes>) {
        if let Some(number) = self.by_worker.get(&worker) {
            let shown = ClientCertificate(thumbprint(*number));
            request.extensions_mut().insert(shown);
        }
    }

    /// Records the certificate with which tokens were requested; returns whether that of the refresh token is
    /// different.
    pub(super) fn note(
        &mut self,
        request: &http::Request<Bytes>,
        reply: &http::Response<Bytes>,
    ) -> bool {
        let shown = request.extensions().get::<ClientCertificate>();
        let Some(number) = shown.and_then(|shown| number(&shown.0)) else {
            return false;
        };
        let tokens = serde_json::from_slice::<PeekTokens>(reply.body());
        let Some(new) = tokens.ok().filter(|_| reply.status() == 200) else {
            return false;
        };
        let previous =
            refresh_token(request).and_then(|token| self.by_refresh_token.get(&token).copied());
        let new_tokens = [Some(new.access_token), new.refresh_token];
        let new_tokens = new_tokens.into_iter().flatten();
        self.by_refresh_token
            .extend(new_tokens.map(|token| (token, number)));
        previous.is_some_and(|old| old != number)
    }

    /// Whether an API accepts the token over connections of the worker.
    pub(super) fn is_accepted_from(&self, worker: usize, access: &str) -> bool {
        match (
            self.by_refresh_token.get(access),
            self.by_worker.get(&worker),
        ) {
            (Some(bound), Some(worker_certificate)) => bound == worker_certificate,
            _ => true,
        }
    }

    /// Rule 10, for tokens that a worker hands out.
    pub(super) fn check(&self, worker: usize, tokens: &Tokens) -> Result<(), Breach> {
        if self.is_accepted_from(worker, tokens.access_token.expose()) {
            Ok(())
        } else {
            let text = format!(
                "worker {worker} hands out a token that is not bound to the certificate it presents"
            );
            Err(Breach(Rule::OwnCertificate, text))
        }
    }
}

/// The `x5t#S256` of the certificate with this number.
fn thumbprint(number: usize) -> String {
    format!("certificate-{number}")
}

fn number(thumbprint: &str) -> Option<usize> {
    thumbprint.strip_prefix("certificate-")?.parse().ok()
}

impl Simulation {
    /// The client of a worker that starts, with the newest certificate.
    pub(super) fn certified(&mut self, worker: usize, client: Client) -> Client {
        if self.setup.certificates.is_none() {
            return client;
        }
        let number = self.certificates.newest();
        self.certificates.install(worker, number);
        match self.setup.flaw {
            Some(Flaw::CertificateUnconfigured) => client.with_certificate_bound_tokens(),
            _ => self.certificates.client(worker, client),
        }
    }

    /// Issues a new certificate, with which every worker restarts in the first half of this time.
    pub(super) fn replace_certificate(&mut self, overlap: Duration) {
        let overlap = millis(overlap);
        if self.now + overlap > millis(self.setup.fault_duration) {
            return;
        }
        let number = self.certificates.issue();
        self.report.certificates += 1;
        self.record_in_transcript(|| format!("certificate {number} is issued"));
        self.redeploy_all(overlap / 2);
        let after = self.rng.between(overlap, 2 * overlap);
        self.post(
            after,
            Scheduled::Certificate(Duration::from_millis(overlap)),
        );
    }

    /// [`Flaw::CertificateSwapped`](super::Flaw): the worker's HTTP client presents the new certificate without a
    /// restart.
    pub(super) fn is_certificate_swapped(&mut self, worker: usize) -> bool {
        let is_swapped = self.setup.flaw == Some(Flaw::CertificateSwapped);
        if is_swapped {
            let number = self.certificates.newest();
            self.certificates.install(worker, number);
            self.record_in_transcript(|| {
                format!("worker {worker} presents certificate {number} from now on")
            });
        }
        is_swapped
    }
}
