//! Checks the signature of a token, then verifies it as an ID token or an access token.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use oauth_core::error::{Cause, Error, Misuse, ValidationFailure};
use oauth_core::exchange::{Exchange, Input, Step};
use oauth_core::flow::access_token::AccessTokenVerifier;
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, KeySet};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::id_token::IdTokenChecks;
use oauth_core::{Client, ClientAuth, ClientId, Moment, Secret, danger};
use serde_json::{Map, Value, json};

use super::CheckedTokenType;
use super::checks::{Check, RequestedChecks, SIGNATURE, mismatch};
use crate::Global;
use crate::net::Net;
use crate::output::Failure;
use crate::profile::Profile;
use crate::secret_source::read_file;
use crate::setup::{discover, net};

/// The source of the issuer's keys.
pub(super) enum KeySource {
    /// A file with its key set.
    File(PathBuf),
    /// The issuer itself.
    Issuer,
    /// No keys: everything else is verified as if the signature were valid.
    None,
}

/// Verifies signatures with the issuer's keys.
pub(super) struct SignatureChecker {
    server: Server,
    keys: KeyOrigin,
}

/// The method of obtaining the keys.
enum KeyOrigin {
    /// From this document: every request is answered with it, and none is sent.
    Document(Bytes),
    Net(Box<Net>),
    /// A key set with a placeholder key. The signature is not verified, but treated as valid.
    Placeholder(Bytes),
}

impl SignatureChecker {
    pub(super) fn new(
        keys: KeySource,
        header: &Map<String, Value>,
        issuer: &str,
        loopback_http: bool,
        global: &Global,
    ) -> Result<Self, Failure> {
        Ok(match keys {
            KeySource::File(path) => Self {
                server: undiscovered(issuer, loopback_http)?,
                keys: KeyOrigin::Document(document(&path)?),
            },
            KeySource::None => Self {
                server: undiscovered(issuer, loopback_http)?,
                keys: KeyOrigin::Placeholder(placeholder_key_set(header)),
            },
            KeySource::Issuer => {
                // The network settings of the profile apply to every server.
                let mut profile = Profile::load(global)?;
                profile.loopback_http |= loopback_http;
                let net = net(&profile, global)?;
                Self {
                    server: discover(&net, issuer, loopback_http)?,
                    keys: KeyOrigin::Net(Box::new(net)),
                }
            }
        })
    }

    /// Whether the signature is valid; also whether a login accepts an ID token of a known client, and whether an API
    /// accepts an access token.
    pub(super) fn verdicts(
        &self,
        token: &Secret<String>,
        requested_checks: &RequestedChecks,
    ) -> Result<Vec<Check>, Failure> {
        let algs = Alg::ALL.iter().copied().filter(|alg| !alg.is_symmetric());
        let algs: Vec<_> = algs.collect();
        let mut checks = Vec::new();
        if !matches!(self.keys, KeyOrigin::Placeholder(_)) {
            let client = self.client(requested_checks)?;
            let signature = self.run(client.verify_signature(token.clone(), algs.clone()));
            checks.push(Check {
                name: SIGNATURE,
                outcome: verdict_text(
                    signature.map(|_| "signed with a key of the issuer".to_owned()),
                )?,
            });
            if requested_checks.typ == Some(CheckedTokenType::IdToken)
                && requested_checks.client_id.is_some()
            {
                checks.push(self.login(client, token, algs.clone(), requested_checks)?);
            }
        }
        if requested_checks.typ == Some(CheckedTokenType::AccessToken) {
            checks.push(self.api(token, algs, requested_checks)?);
        }
        Ok(checks)
    }

    fn client(&self, requested_checks: &RequestedChecks) -> Result<Client, Error> {
        // Not compared with anything: a signature does not depend on the client.
        let id = ClientId::new(requested_checks.client_id.as_deref().unwrap_or("any"));
        Client::new(self.server.clone(), id, ClientAuth::none())
    }

    fn login(
        &self,
        client: Client,
        token: &Secret<String>,
        algs: Vec<Alg>,
        requested_checks: &RequestedChecks,
    ) -> Result<Check, Failure> {
        let client = match self.keys {
            KeyOrigin::Net(_) => client,
            // A key set alone does not show which algorithms the client is registered with.
            _ => client.with_id_token_algs(algs),
        };
        let mut checks = IdTokenChecks::default();
        checks.nonce = requested_checks.nonce.as_deref().map(Secret::from);
        checks
            .trusted_audiences
            .clone_from(&requested_checks.audience);
        let signed_in = self.run(client.verify_id_token(token.clone(), checks));
        Ok(Check {
            name: "login",
            outcome: verdict_text(signed_in.map(|_| "accepted by a login".to_owned()))?,
        })
    }

    fn api(
        &self,
        token: &Secret<String>,
        algs: Vec<Alg>,
        requested_checks: &RequestedChecks,
    ) -> Result<Check, Failure> {
        let mut audiences = requested_checks.audience.iter();
        let audience = audiences.next().ok_or_else(|| Error::from(Misuse::Setup))?;
        let verifier = AccessTokenVerifier::new(self.server.clone(), audience);
        let verifier = audiences
            .fold(verifier, AccessTokenVerifier::or_audience)
            .with_profile(requested_checks.profile)
            .with_algs(algs)?;
        let verified = self.run(verifier.verify(token.expose()));
        let verified = verified.and_then(|verified| match &requested_checks.client_id {
            Some(client) if Some(client.as_str()) != verified.client_id() => Err(mismatch(
                ValidationFailure::JwtAudience,
                verified.client_id().unwrap_or("no client"),
                client,
            )),
            _ => Ok(verified),
        });
        let condition = match self.keys {
            KeyOrigin::Placeholder(_) => ", if its signature is valid",
            _ => "",
        };
        let accepted = verified.map(|verified| {
            let scope = if verified.scope().is_empty() {
                String::new()
            } else {
                format!(", scope {}", verified.scope())
            };
            let client = verified.client_id();
            let client =
                client.map_or_else(|| "no client ID".to_owned(), |id| format!("client {id}"));
            format!("accepted by an API{condition}: {client}{scope}")
        });
        Ok(Check {
            name: "api",
            outcome: verdict_text(accepted)?,
        })
    }

    fn run<E: Exchange>(&self, mut exchange: E) -> Result<E::Output, Error> {
        let document = match &self.keys {
            KeyOrigin::Net(net) => return net.run(exchange),
            KeyOrigin::Document(document) | KeyOrigin::Placeholder(document) => document,
        };
        let is_placeholder = matches!(self.keys, KeyOrigin::Placeholder(_));
        let (at, mut input) = (Moment::system()?, Input::Begin);
        loop {
            input = match exchange.resume(&at, input)? {
                Step::Done(output) => return Ok(output),
                Step::Verify(_) if is_placeholder => Input::Verified(true),
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

/// A verdict on the token is a result; if the keys cannot be fetched, the command fails.
fn verdict_text(verdict: Result<String, Error>) -> Result<Result<String, Error>, Failure> {
    let is_token_error = |error: &Error| {
        let kinds = ["jws.", "jwt.", "id_token.", "access_token."];
        kinds.iter().any(|kind| error.code().starts_with(kind))
    };
    match verdict {
        Err(error) if !is_token_error(&error) => Err(error.into()),
        verdict => Ok(verdict),
    }
}

/// The issuer, without fetching its metadata.
fn undiscovered(issuer: &str, loopback_http: bool) -> Result<Server, Error> {
    let server = if loopback_http {
        danger::loopback_server(Server::new(danger::loopback_issuer(issuer)?))
    } else {
        Server::new(Issuer::parse(issuer)?)
    };
    // Nothing is fetched from there: the content is that of the file.
    let url = format!("{}/jwks", issuer.trim_end_matches('/'));
    server.with_endpoint(EndpointKind::Jwks, &url)
}

/// A placeholder key of the type and with the `kid` in the header. It verifies nothing.
fn placeholder_key_set(header: &Map<String, Value>) -> Bytes {
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let (curve, bytes) = match text("alg").and_then(Alg::from_name) {
        Some(Alg::Es256) => ("P-256", 32),
        Some(Alg::Es384) => ("P-384", 48),
        Some(Alg::Es512) => ("P-521", 66),
        Some(Alg::EdDsa | Alg::Ed25519) => ("Ed25519", 32),
        _ => ("", 256),
    };
    let number = URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
    let mut key = match curve {
        "" => json!({ "kty": "RSA", "n": number, "e": "AQAB" }),
        "Ed25519" => json!({ "kty": "OKP", "crv": curve, "x": number }),
        _ => json!({ "kty": "EC", "crv": curve, "x": number, "y": number }),
    };
    if let (Value::Object(members), Some(kid)) = (&mut key, text("kid")) {
        members.insert("kid".to_owned(), kid.into());
    }
    json!({ "keys": [key] }).to_string().into()
}

fn document(path: &Path) -> Result<Bytes, Failure> {
    let unusable = |reason: &dyn std::fmt::Display| {
        Failure::usage(
            "usage.jwks",
            format_args!("{}: {reason}", path.display()),
            "pass a JWK Set (RFC 7517 section 5), such as the one at the issuer's jwks_uri",
        )
    };
    let text = read_file(path).map_err(|error| unusable(&error))?;
    KeySet::parse(&text).map_err(|error| unusable(&error))?;
    Ok(text.into())
}
