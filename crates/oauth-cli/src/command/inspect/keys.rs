//! The signature of a token, and what the library says of an ID token as a whole.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use oauth_core::error::{Cause, Error};
use oauth_core::exchange::{Exchange, Input, Step};
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, KeySet};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::id_token::IdTokenChecks;
use oauth_core::{Client, ClientAuth, ClientId, Moment, Secret, danger};

use super::Typ;
use super::checks::{Check, SIGNATURE, Wanted};
use crate::Global;
use crate::net::Net;
use crate::output::Failure;
use crate::profile::Profile;
use crate::secret_source::read_file;
use crate::setup::{discover, net};

/// Where the issuer's keys come from.
pub(super) enum KeySource {
    /// A file with its key set.
    File(PathBuf),
    /// The issuer itself.
    Issuer,
}

/// Whoever can tell whether a signature is good.
pub(super) struct Judge {
    server: Server,
    road: Road,
}

/// The way to the keys.
enum Road {
    /// No request is made: whatever is asked for is this document.
    Document(Bytes),
    Net(Box<Net>),
}

impl Judge {
    pub(super) fn new(
        keys: KeySource,
        issuer: &str,
        loopback_http: bool,
        global: &Global,
    ) -> Result<Self, Failure> {
        Ok(match keys {
            KeySource::File(path) => Self {
                server: with_keys_at_hand(issuer, loopback_http)?,
                road: Road::Document(document(&path)?),
            },
            KeySource::Issuer => {
                // The profile's network leads there, whatever server it is for.
                let mut profile = Profile::load(global)?;
                profile.loopback_http |= loopback_http;
                let net = net(&profile, global)?;
                Self {
                    server: discover(&net, issuer, loopback_http)?,
                    road: Road::Net(Box::new(net)),
                }
            }
        })
    }

    /// Whether the signature is good, and of an ID token for a known client, whether a login would take it.
    pub(super) fn verdicts(
        &self,
        token: &Secret<String>,
        wanted: &Wanted,
    ) -> Result<Vec<Check>, Failure> {
        let client_id = wanted.client_id.as_deref();
        // Nothing is compared with this one: a signature is nobody's in particular.
        let id = ClientId::new(client_id.unwrap_or("any"));
        let client = Client::new(self.server.clone(), id, ClientAuth::none())?;
        let algs = Alg::ALL.iter().copied().filter(|alg| !alg.is_symmetric());
        let algs: Vec<_> = algs.collect();
        let signature = self.run(client.verify_signature(token.clone(), algs.clone()));
        let mut all = vec![Check {
            name: SIGNATURE,
            outcome: told(signature.map(|_| "by a key of the issuer"))?,
        }];
        if wanted.typ == Some(Typ::IdToken) && client_id.is_some() {
            let client = match self.road {
                // A key set alone does not say what the client is registered with.
                Road::Document(_) => client.with_id_token_algs(algs),
                Road::Net(_) => client,
            };
            let mut checks = IdTokenChecks::default();
            checks.nonce = wanted.nonce.as_deref().map(Secret::from);
            checks.trusted_audiences = wanted.audience.iter().cloned().collect();
            let signed_in = self.run(client.verify_id_token(token.clone(), checks));
            all.push(Check {
                name: "login",
                outcome: told(signed_in.map(|_| "a login would accept it"))?,
            });
        }
        Ok(all)
    }

    fn run<E: Exchange>(&self, mut exchange: E) -> Result<E::Output, Error> {
        let document = match &self.road {
            Road::Net(net) => return net.run(exchange),
            Road::Document(document) => document,
        };
        let (at, mut input) = (Moment::system()?, Input::Begin);
        loop {
            input = match exchange.resume(&at, input)? {
                Step::Done(output) => return Ok(output),
                Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
                Step::Send(_) => {
                    let mut reply = http::Response::new(document.clone());
                    let json = http::HeaderValue::from_static("application/json");
                    reply.headers_mut().insert(CONTENT_TYPE, json);
                    Input::Reply(reply)
                }
                Step::Sleep(_) => Input::Elapsed,
                Step::Sign(_) => Input::Lost(Cause::unsent("there is no key to sign with")),
            };
        }
    }
}

/// A verdict on the token is a result; keys that cannot be had are a failure of the command.
fn told(verdict: Result<&str, Error>) -> Result<Result<String, Error>, Failure> {
    let is_of_token = |error: &Error| {
        let kinds = ["jws.", "jwt.", "id_token."];
        kinds.iter().any(|kind| error.code().starts_with(kind))
    };
    match verdict {
        Err(error) if !is_of_token(&error) => Err(error.into()),
        verdict => Ok(verdict.map(str::to_owned)),
    }
}

/// The issuer as far as it has to be known.
fn with_keys_at_hand(issuer: &str, loopback_http: bool) -> Result<Server, Error> {
    let server = match loopback_http {
        true => danger::loopback_server(Server::new(danger::loopback_issuer(issuer)?)),
        false => Server::new(Issuer::parse(issuer)?),
    };
    // The file stands for what is there.
    let url = format!("{}/jwks", issuer.trim_end_matches('/'));
    server.with_endpoint(EndpointKind::Jwks, &url)
}

fn document(path: &Path) -> Result<Bytes, Failure> {
    let unusable = |why: &dyn std::fmt::Display| {
        Failure::usage(
            "usage.jwks",
            format_args!("{}: {why}", path.display()),
            "give a JWK Set (RFC 7517 section 5), such as the one at the issuer's jwks_uri",
        )
    };
    let text = read_file(path).map_err(|why| unusable(&why))?;
    KeySet::parse(&text).map_err(|error| unusable(&error))?;
    Ok(text.into())
}
