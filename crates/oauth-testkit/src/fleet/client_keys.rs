//! Replacement of the keys with which a fleet's client authenticates (`private_key_jwt`).
//!
//! The operator registers a new key in addition to the old one, restarts one worker after the other with it, and
//! removes the old one from the server after some time. Signatures are not verified here: a key is identified by its
//! name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use oauth_core::client_auth::ClientAssertion;
use oauth_core::crypto::{Signer, SigningKey};
use oauth_core::error::Cause;
use oauth_core::jose::Alg;
use oauth_core::{Client, ClientAuth, Tokens};
use serde_json::Value;

use super::simulation::{Scheduled, Simulation, client, millis};
use super::{Breach, Flaw, Rule};

/// The name of a key without its number.
const NAME: &str = "client-key-";

/// The client's keys, identified by numbers.
#[derive(Default)]
pub(super) struct ClientKeys {
    /// The time at which the server forgets each key except the newest, in milliseconds.
    ends: Vec<u64>,
    /// The number of each worker's key.
    by_worker: HashMap<usize, usize>,
    /// The key with which each access token was requested.
    by_access_token: HashMap<String, usize>,
}

/// A key whose signatures are not verified.
struct Unsigned;

impl Signer for Unsigned {
    fn sign(&self, _: &[u8]) -> Result<Bytes, Cause> {
        Ok(Bytes::from_static(&[7; 64]))
    }
}

impl Simulation {
    /// The client of a worker that starts.
    pub(super) fn make_client(&mut self, worker: usize, epoch: u32) -> Client {
        let client = client(&self.twin);
        if self.setup.client_keys.is_none() {
            return client;
        }
        let newest = self.client_keys.ends.len();
        let number = match self.setup.flaw {
            Some(Flaw::OlderClientKey) if epoch > 0 => newest.saturating_sub(1),
            _ => newest,
        };
        self.client_keys.by_worker.insert(worker, number);
        let key = SigningKey::local(format!("{NAME}{number}"), Alg::Es256, Arc::new(Unsigned));
        let auth = ClientAuth::assertion(ClientAssertion::new(key));
        let keyed = Client::new(client.server().clone(), client.client_id().clone(), auth);
        keyed.expect("a server that names no algorithms takes any")
    }

    /// Registers a new key. Workers get it in the first half of the time in which the server knows both, so that no key
    /// is removed while a request signed with it is under way.
    pub(super) fn replace_client_key(&mut self, overlap: Duration) {
        let overlap = millis(overlap);
        if self.now + overlap > millis(self.setup.fault_duration) {
            return;
        }
        self.client_keys.ends.push(self.now + overlap);
        self.report.client_keys += 1;
        let number = self.client_keys.ends.len();
        self.record_in_transcript(|| format!("the server knows {NAME}{number} too"));
        self.redeploy_all(overlap / 2);
        let after = self.rng.between(overlap, 2 * overlap);
        self.post(after, Scheduled::ClientKey(Duration::from_millis(overlap)));
    }

    /// Restarts one worker after the other, within this many milliseconds.
    pub(super) fn redeploy_all(&mut self, within: u64) {
        for worker in 0..self.workers.len() {
            let after = self.rng.between(0, within);
            self.post(after, Scheduled::Redeploy(worker));
        }
    }

    /// Restarts a worker with the newest key and certificate, regardless of what it is doing.
    pub(super) fn redeploy(&mut self, worker: usize) {
        if self.is_certificate_swapped(worker) {
            return;
        }
        if self.workers[worker].is_up {
            self.crash(worker);
            return;
        }
        let client = self.fresh_client(worker, self.workers[worker].epoch);
        self.workers[worker].slots = self.empty_slots(&client);
        self.workers[worker].client = client;
    }

    /// Checks rule 9 for a token request that reaches the server; returns the request with the twin's client credentials.
    pub(super) fn known_client(
        &self,
        request: &http::Request<Bytes>,
    ) -> Result<http::Request<Bytes>, Breach> {
        let mut request = request.clone();
        let Some(number) = signing_key(&request) else {
            return Ok(request);
        };
        let end = self.client_keys.ends.get(number);
        if let Some(age) = end.and_then(|end| self.now.checked_sub(*end)) {
            let text = format!(
                "a request is signed with {NAME}{number}, which the server has not known for {age} ms"
            );
            return Err(Breach(Rule::KnownClientKey, text));
        }
        let is_other = |(name, _): &(String, String)| !name.starts_with("client_");
        let form = form(&request).into_iter().filter(is_other);
        let form = serde_urlencoded::to_string(form.collect::<Vec<_>>()).unwrap_or_default();
        // Each is form-encoded first (RFC 6749 section 2.3.1).
        let value = |text: &str| serde_urlencoded::to_string([("", text)]).unwrap_or_default();
        let [id, secret] = [self.twin.client_id(), self.twin.client_secret()].map(value);
        let names = format!(
            "{}:{}",
            id.trim_start_matches('='),
            secret.trim_start_matches('=')
        );
        let basic = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(names)));
        let fields = request.headers_mut();
        fields.extend(basic.ok().map(|basic| (AUTHORIZATION, basic)));
        *request.body_mut() = Bytes::from(form);
        Ok(request)
    }

    /// Records the key with which tokens were requested.
    pub(super) fn note_client_key(&mut self, request: &http::Request<Bytes>, access: &str) {
        if let Some(number) = signing_key(request) {
            self.client_keys
                .by_access_token
                .insert(access.to_owned(), number);
        }
    }

    /// Counts a token that a worker with a different key has requested.
    pub(super) fn count_shared(&mut self, worker: usize, tokens: &Tokens) {
        let requested_with = self
            .client_keys
            .by_access_token
            .get(tokens.access_token.expose());
        if let Some((requested_with, current)) =
            requested_with.zip(self.client_keys.by_worker.get(&worker))
        {
            self.report.shared_over_client_keys += u64::from(requested_with != current);
        }
    }
}

fn form(request: &http::Request<Bytes>) -> Vec<(String, String)> {
    serde_urlencoded::from_bytes(request.body()).unwrap_or_default()
}

/// The number of the key that signed the client's assertion.
fn signing_key(request: &http::Request<Bytes>) -> Option<usize> {
    let form = form(request);
    let (_, jwt) = form.iter().find(|(name, _)| name == "client_assertion")?;
    let header = URL_SAFE_NO_PAD.decode(jwt.split('.').next()?).ok()?;
    let header = serde_json::from_slice::<Value>(&header).ok()?;
    header["kid"].as_str()?.strip_prefix(NAME)?.parse().ok()
}
