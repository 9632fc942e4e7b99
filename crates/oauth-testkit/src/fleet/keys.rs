//! DPoP keys of a fleet whose tokens are bound to one (RFC 9449): which worker has which key, and checks of proofs.
//!
//! The key is in the store, and every worker loads it from there when it starts. Servers bind refresh tokens to keys
//! only for public clients (section 5); this one binds all of them.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, DATE};
use http::{HeaderName, HeaderValue};
use oauth_core::Tokens;
use oauth_core::dpop::DpopKey;
use oauth_core::flow::keeper::Entry;
use oauth_core::flow::resource::{Api, Clock, Event, Resource, ResourceRequest, Step};
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::moment::Moment;
use oauth_core::{Client, Secret};
use serde_json::Value;

use super::ledger::PeekTokens;
use super::net::refusal;
use super::simulation::Simulation;
use super::{Breach, Flaw, Rule};

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The key in the store, and the keys that workers generated instead of loading it.
static KEYS: LazyLock<Vec<DpopKey>> = LazyLock::new(|| {
    let keys = (0..5).map(|_| oauth_crypto::DpopKey::generate(Alg::Es256)?.to_core());
    keys.collect::<Result<_, oauth_core::Error>>()
        .unwrap_or_default()
});

/// The keys that tokens are bound to, and those of the workers.
#[derive(Default)]
pub(super) struct Keys {
    /// The thumbprint of the key that each token is bound to.
    bound: HashMap<String, String>,
    /// For each grant, the first version of its record that has a nonce of the token endpoint.
    nonces: HashMap<usize, u64>,
    /// The thumbprint of each worker's key.
    by_worker: HashMap<usize, String>,
    /// The number of keys that were generated and not stored.
    unsaved: usize,
}

/// The thumbprint of the key of a proof, and its nonce.
struct Proof {
    jkt: String,
    nonce: Option<String>,
}

impl Proof {
    fn of(request: &http::Request<Bytes>) -> Option<Self> {
        let jwt = request.headers().get("dpop")?.to_str().ok()?;
        let mut parts = jwt.split('.').map(|part| {
            let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
            serde_json::from_slice::<Value>(&bytes).ok()
        });
        let (header, claims) = (parts.next()??, parts.next()??);
        let key = PublicJwk::parse(&header["jwk"].to_string()).ok()?;
        Some(Self {
            jkt: key.thumbprint(),
            nonce: claims["nonce"].as_str().map(str::to_owned),
        })
    }
}

/// The thumbprint of the key in the store.
pub(super) fn shared() -> Option<String> {
    KEYS.first().map(DpopKey::thumbprint)
}

impl Simulation {
    /// The client shared by the keepers of a process that starts, with the key from the store.
    pub(super) fn fresh_client(&mut self, worker: usize, epoch: u32) -> Client {
        let client = self.make_client(worker, epoch);
        let client = self.certified(worker, client);
        if self.setup.dpop.is_none() {
            return client;
        }
        let key = match self.setup.flaw {
            Some(Flaw::KeyUnsaved) => true,
            Some(Flaw::OlderKey) => epoch > 0 && self.report.renewals > 0,
            _ => false,
        };
        self.keys.unsaved += usize::from(key);
        let place = if key {
            1 + self.keys.unsaved % (KEYS.len() - 1)
        } else {
            0
        };
        self.keys.by_worker.insert(worker, KEYS[place].thumbprint());
        client.with_dpop(KEYS[place].clone())
    }

    /// The server's reply. If proofs are verified, it has a `Date`, since the workers' clocks may be hours off.
    pub(super) fn note_reply(&mut self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let now = self.time();
        let mut reply = self.twin.answer(&Moment::fixed(now, [0; 32]), request);
        if self.setup.dpop.is_some() {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
            let date = HeaderValue::try_from(httpdate::fmt_http_date(now));
            reply
                .headers_mut()
                .extend(date.ok().map(|date| (DATE, date)));
        }
        reply
    }

    /// The server's refusal of a proof by a key to which the refresh token is not bound.
    pub(super) fn refuses_key(
        &self,
        request: &http::Request<Bytes>,
    ) -> Option<http::Response<Bytes>> {
        let token = refresh_token(request)?;
        let bound = self.keys.bound.get(&token)?;
        let proof = Proof::of(request);
        let is_bound_key = proof.is_some_and(|proof| proof.jkt == *bound);
        (!is_bound_key).then(|| refusal((400, "invalid_grant")))
    }

    /// Records that the tokens issued for this request are bound to the key of its proof.
    pub(super) fn bind(&mut self, request: &http::Request<Bytes>, reply: &http::Response<Bytes>) {
        let is_continued = self.certificates.note(request, reply);
        self.report.continued_over_certificates += u64::from(is_continued);
        let tokens = serde_json::from_slice::<PeekTokens>(reply.body());
        let tokens = tokens.ok().filter(|_| reply.status() == 200);
        if let Some(tokens) = &tokens {
            self.note_client_key(request, &tokens.access_token);
        }
        if let Some((proof, new)) = Proof::of(request).zip(tokens) {
            let new_tokens = [Some(new.access_token), new.refresh_token];
            for token in new_tokens.into_iter().flatten() {
                self.keys.bound.insert(token, proof.jkt.clone());
            }
        }
    }

    /// The record as a worker loads it: [`Flaw`](super::Flaw)s drop parts of it.
    pub(super) fn loaded(&self, mut entry: Entry) -> Entry {
        let (member, place) = match self.setup.flaw {
            Some(Flaw::NonceDropped) => ("dpop_nonce", ""),
            Some(Flaw::CertificateDropped) => ("x5t_s256", "/tokens"),
            _ => return entry,
        };
        let mut stored = serde_json::from_str::<Value>(entry.record.expose()).unwrap_or_default();
        if let Some(Value::Object(members)) = stored.pointer_mut(place) {
            members.remove(member);
            entry.record = Secret::new(stored.to_string());
        }
        entry
    }

    /// Records whether the record has a nonce from this version on.
    pub(super) fn note_nonce(&mut self, grant: usize, version: u64, record: &str) {
        let stored = serde_json::from_str::<Value>(record).unwrap_or_default();
        if stored.get("dpop_nonce").is_some() {
            self.keys.nonces.entry(grant).or_insert(version);
        }
    }

    /// Checks rule 8 for a token request about to be sent.
    pub(super) fn check_proof(
        &mut self,
        worker: usize,
        grant: usize,
        request: &http::Request<Bytes>,
    ) -> Result<(), Breach> {
        if self.setup.dpop.is_none() {
            return Ok(());
        }
        let Some(proof) = Proof::of(request) else {
            let text = format!("worker {worker} sends a token request without a proof");
            return Err(Breach(Rule::OwnKey, text));
        };
        let bound = refresh_token(request).and_then(|token| self.keys.bound.get(&token));
        if bound.is_some_and(|bound| *bound != proof.jkt) {
            let text = format!(
                "worker {worker} sends a proof by a key to which its refresh token is not bound"
            );
            return Err(Breach(Rule::OwnKey, text));
        }
        let seen = self.slot(worker, grant).known_version;
        // Once the store has lost it, its record may be a copy of tokens without a nonce.
        let since = self.keys.nonces.get(&grant);
        let has_read = since.is_some_and(|since| *since <= seen) && !self.ledger.has_lost(grant, 0);
        if has_read && proof.nonce.is_none() {
            let text = format!(
                "worker {worker} sends no nonce, although the record that it has read has one"
            );
            return Err(Breach(Rule::OwnKey, text));
        }
        Ok(())
    }

    /// Checks rule 8 for tokens that a worker hands out: it must have their key.
    pub(super) fn check_key(&self, worker: usize, tokens: &Tokens) -> Result<(), Breach> {
        let bound = self.keys.bound.get(tokens.access_token.expose());
        match (bound, self.keys.by_worker.get(&worker)) {
            (Some(bound), Some(worker_key)) if bound != worker_key => {
                let text = format!("worker {worker} hands out a token without having its key");
                Err(Breach(Rule::OwnKey, text))
            }
            _ => Ok(()),
        }
    }

    /// Calls the API with these tokens; returns the status of the response.
    pub(super) fn call_api(&mut self, worker: usize, tokens: &Tokens) -> u16 {
        let url = format!("{}/api/echo", self.twin.base());
        if self.setup.dpop.is_none() {
            let field = format!("Bearer {}", tokens.access_token.expose());
            let request = http::Request::get(url).header("authorization", field);
            let request = request.body(Bytes::new());
            let mut request = request.expect("a token's characters fit a header");
            self.certificates.present(worker, &mut request);
            return self.note_reply(request).status().as_u16();
        }
        let clock = |sim: &mut Self| Clock {
            moment: sim.moment(worker),
            elapsed: Duration::from_millis(sim.now),
        };
        let api = Resource::new([self.twin.base()]).map(Api::new);
        let api = api.and_then(|api| api.with_dpop(&self.workers[worker].client));
        let api = api.expect("the client has a key");
        let mut call = ResourceRequest::new(&api, http::Method::GET, &url);
        let (mut step, mut status) = (call.resume(&clock(self), Event::Begin), 0);
        loop {
            step = match step {
                Ok(Step::Token(_)) => call.resume(&clock(self), Event::Token(tokens)),
                Ok(Step::Send {
                    authorization,
                    dpop,
                    ..
                }) => {
                    let mut request = http::Request::get(&url).body(Bytes::new());
                    if let Ok(request) = &mut request {
                        let fields = request.headers_mut();
                        fields.extend(authorization.map(|field| (AUTHORIZATION, field)));
                        fields.extend(dpop.map(|field| (DPOP, field)));
                    }
                    let request = request.expect("the twin's own URL");
                    let reply = self.note_reply(request);
                    status = reply.status().as_u16();
                    let clock = clock(self);
                    call.resume(&clock, Event::Reply(reply.status(), reply.headers()))
                }
                // The caller requests another token from its keeper.
                _ => return status,
            };
        }
    }
}

pub(super) fn refresh_token(request: &http::Request<Bytes>) -> Option<String> {
    let form: Vec<(String, String)> = serde_urlencoded::from_bytes(request.body()).ok()?;
    let refresh_token = form.into_iter().find(|(name, _)| name == "refresh_token");
    refresh_token.map(|(_, token)| token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use oauth_core::exchange::{Exchange as _, Input, Step};
    use oauth_core::{Scope, grant};

    use super::*;
    use crate::fleet::Setup;
    use crate::fleet::simulation::client;
    use crate::twin::{DpopNonces, Twin};

    #[test]
    fn a_proof_with_another_key_is_refused() {
        let mut setup = Setup::random(1).with_dpop(DpopNonces::Unasked);
        setup.is_client_grant = false;
        let mut sim = Simulation::new(1, &setup, false);
        let tokens = sim.login(0).ok().flatten().unwrap();
        let token = tokens.refresh_token.unwrap();
        let mut refresh = |client: &Client| {
            let refresh_request = grant::Refresh::new(token.clone());
            let mut exchange = client.token(refresh_request, Scope::none());
            let Ok(Step::Send(request)) = exchange.resume(&sim.moment(0), Input::Begin) else {
                unreachable!()
            };
            sim.refuses_key(&request)
                .map(|reply| reply.status().as_u16())
        };
        let (own_key, other) = (
            client(&Twin::generic("https://as.example")),
            KEYS[1].clone(),
        );
        assert_eq!(refresh(&own_key.clone().with_dpop(KEYS[0].clone())), None);
        assert_eq!(refresh(&own_key.with_dpop(other)), Some(400));
    }
}
