//! The client modules of OpenID's plan for FAPI-CIBA (`fapi-ciba-id1-client-test-plan`), over TLS: users approve
//! signed requests on their own device, and the client learns of it by polling or by a ping.
//!
//! After a faulty response no further request is sent. A pause only advances both clocks.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bytes::Bytes;
use oauth_core::endpoint::backchannel_authentication::{
    BackchannelAuthentication, BackchannelAuthenticationResponse, Hint, TokenDeliveryMode,
};
use oauth_core::error::Cause;
use oauth_core::exchange::{Exchange, Input, Step};
use oauth_core::flow::backchannel::AwaitedRequest;
use oauth_core::flow::poll::PollTiming;
use oauth_core::flow::redeem::Login;
use oauth_core::moment::UnixTime;
use oauth_core::{Error, Moment, Scope, SecurityProfile};
use oauth_testkit::Fault;
use oauth_testkit::twin::{BackchannelDelivery, IdTokenFlaw};

use super::{Bank, CredentialKind, USUAL, Variant};
use crate::print_row;

const BACKCHANNEL: &str = "/backchannel_authentication";
const NOTIFIED: &str = "https://app.example/notified";

/// The bank, and the events while its client waits.
struct WaitingClient {
    bank: Bank,
    ahead: Cell<Duration>,
    pauses: RefCell<Vec<u64>>,
    /// The number of pauses after which the user answers.
    poll_limit: usize,
}

/// An exchange with a single request.
struct SingleRequest(Option<http::Request<Bytes>>);

impl Exchange for SingleRequest {
    type Output = Input;

    fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<Input>, Error> {
        Ok(match self.0.take() {
            Some(request) => Step::Send(request),
            None => Step::Done(input),
        })
    }
}

impl WaitingClient {
    fn of(variant: Variant) -> Self {
        let (tls, driver) = Bank::start_bank(variant);
        tls.with(|twin| twin.take_backchannel_requests());
        let client = super::client(&tls, &driver, variant).expect("a client");
        Self {
            bank: Bank {
                tls,
                driver,
                client,
                scope: variant.scope,
            },
            ahead: Cell::default(),
            pauses: RefCell::default(),
            poll_limit: 1,
        }
    }

    /// A bank that binds tokens to certificates, as the plan does.
    fn new() -> Self {
        Self::of(of(CredentialKind::Key, CredentialKind::Certificate))
    }

    fn now(&self) -> UnixTime {
        let now = Moment::system().expect("a clock").now();
        now.after(self.ahead.get())
    }

    fn run<E: Exchange>(&self, mut exchange: E) -> Result<E::Output, Error> {
        let mut input = Input::Begin;
        loop {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).expect("chance");
            let at = Moment::fixed(self.now(), seed);
            input = match exchange.resume(&at, input)? {
                Step::Send(request) => self.bank.driver.run(SingleRequest(Some(request)))?,
                Step::Sleep(pause) => self.pause(pause),
                Step::Sign(_) => Input::Lost(Cause::unsent("every key is at hand")),
                Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
                Step::Done(output) => return Ok(output),
            };
        }
    }

    fn pause(&self, pause: Duration) -> Input {
        self.pauses.borrow_mut().push(pause.as_secs());
        self.ahead.set(self.ahead.get() + pause);
        self.bank.tls.advance(pause);
        if self.pauses.borrow().len() == self.poll_limit {
            self.approve();
        }
        Input::Elapsed
    }

    fn approve(&self) {
        let now = self.now();
        assert!(self.bank.tls.with(|twin| twin.answer_backchannel(now)));
    }

    fn begin(
        &self,
        hint: &str,
        delivery: TokenDeliveryMode,
    ) -> Result<BackchannelAuthenticationResponse, Error> {
        let hint = Hint::Login(hint.to_owned());
        let backchannel_request =
            BackchannelAuthentication::new(hint, scope())?.binding_message("W4SCT")?;
        let begin = self
            .bank
            .client
            .authenticate_backchannel(backchannel_request.token_delivery_mode(delivery));
        self.run(begin)
    }

    /// Gets tokens by polling.
    fn poll(&self) -> Result<Login, Error> {
        let begun = self.begin("alice", TokenDeliveryMode::Poll)?;
        let pace = PollTiming {
            interval: begun.interval,
            expires_at: begun.expires_at,
        };
        let client = &self.bank.client;
        self.run(client.poll_backchannel_token(begun.auth_req_id, scope(), Some(pace)))
    }

    /// Gets tokens after a ping, whose `Authorization` header is passed through `change`.
    fn ping(&self, change: fn(&str) -> String) -> Result<Login, Error> {
        let delivery = BackchannelDelivery::Ping(NOTIFIED.parse().expect("a URL"));
        self.bank
            .tls
            .with(|twin| twin.set_backchannel_delivery(delivery));
        let begun = self.begin("alice", TokenDeliveryMode::Ping)?;
        let awaited = AwaitedRequest {
            auth_req_id: begun.auth_req_id.clone(),
            client_notification_token: begun.client_notification_token.expect("a token"),
            token_request: scope().into(),
        };
        self.approve();
        let notification_list = self.bank.tls.with(|twin| twin.take_notifications());
        let [ping] = notification_list.as_slice() else {
            panic!("{} notifications", notification_list.len())
        };
        let authorization = ping.headers()["authorization"].to_str().expect("text");
        awaited.pinged(Some(&change(authorization)), ping.body())?;
        let client = &self.bank.client;
        self.run(client.poll_backchannel_token(begun.auth_req_id, scope(), None))
    }

    /// The result, and the number of requests to each endpoint.
    fn ended(&self, login: Result<Login, Error>) -> (Option<&'static str>, usize, usize) {
        let code = login.err().map(|error| error.code());
        let requests = |path| self.bank.requests(path);
        assert_eq!(requests("/api/echo"), 0);
        (code, requests(BACKCHANNEL), requests("/token"))
    }
}

fn scope() -> Scope {
    Scope::parse("openid read").expect("a scope")
}

fn of(auth: CredentialKind, sender: CredentialKind) -> Variant {
    Variant {
        // Its clients sign requests.
        profile: SecurityProfile::Fapi2MessageSigning,
        auth,
        sender,
        ..USUAL
    }
}

fn module(name: &str) -> String {
    format!("fapi-ciba-id1-client-{name}")
}

/// `test`, in every variant.
#[test]
fn every_variant_signs_in_calls_the_api_and_renews() {
    for auth in [CredentialKind::Key, CredentialKind::Certificate] {
        for sender in [CredentialKind::Key, CredentialKind::Certificate] {
            for by_ping in [false, true] {
                let desk = WaitingClient::of(of(auth, sender));
                let login = if by_ping {
                    desk.ping(str::to_owned)
                } else {
                    desk.poll()
                };
                let login = login.unwrap_or_else(|error| panic!("{auth:?} {sender:?}: {error}"));
                assert!(login.id_token.is_some());
                assert_eq!(
                    *desk.pauses.borrow(),
                    if by_ping { vec![] } else { vec![5] }
                );
                check_only_signed_request_sent(&desk);
                let bank = &desk.bank;
                let api = bank.api(login.tokens).expect("an API");
                assert_eq!(bank.call(&api), Ok(200), "{auth:?} {sender:?}");
                for refreshes in 1..=2 {
                    bank.tls.with(|twin| twin.expire_access_tokens());
                    assert_eq!(bank.call(&api), Ok(200), "{auth:?} {sender:?}");
                    let counted = bank.tls.with(|twin| twin.counters().refreshes);
                    assert_eq!(counted, refreshes, "{auth:?} {sender:?}");
                }
            }
        }
    }
    print_row(&module("test"), "none", None, None);
}

/// `refresh-token-test`: the API answers every token with 401, and each refresh replaces the refresh token.
#[test]
fn an_api_that_refuses_every_token_causes_one_refresh_per_call() {
    for auth in [CredentialKind::Key, CredentialKind::Certificate] {
        for sender in [CredentialKind::Key, CredentialKind::Certificate] {
            let desk = WaitingClient::of(of(auth, sender));
            desk.bank.refuse_every_token();
            let login = desk.poll().expect("a login");
            let bank = &desk.bank;
            bank.check_one_refresh_per_call(login.tokens, &format!("{auth:?} {sender:?}"));
        }
    }
    print_row(&module("refresh-token-test"), "401", None, None);
}

/// CIBA Core section 7.1.1: the body contains only the client authentication and the signed request.
fn check_only_signed_request_sent(desk: &WaitingClient) {
    desk.bank.tls.with(|twin| {
        let logged_request = twin.log().iter().find(|entry| entry.path == BACKCHANNEL);
        let logged_request = logged_request.expect("a request");
        let names = logged_request.form.iter().map(|(name, _)| name.as_str());
        let names: Vec<_> = names.filter(|name| !name.starts_with("client_")).collect();
        assert_eq!(names, ["request"]);
    });
}

/// `valid-aud-as-array-test`, `no-scope-in-token-endpoint-response-test`
#[test]
fn permitted_deviations_are_accepted() {
    let flaw = IdTokenFlaw::ListedAudience;
    let member = "scope".to_owned();
    for (name, fault) in [
        ("valid-aud-as-array-test", Fault::IdToken { flaw }),
        (
            "no-scope-in-token-endpoint-response-test",
            Fault::WithoutMember { member },
        ),
    ] {
        let desk = WaitingClient::new();
        desk.bank.tls.with(|twin| twin.inject(fault));
        let (seen, ..) = desk.ended(desk.poll());
        print_row(&module(name), "none", None, seen);
        assert_eq!(seen, None, "{name}");
        let faults = desk.bank.tls.with(|twin| {
            let log = twin.log().iter();
            log.filter(|entry| entry.fault.is_some()).count()
        });
        assert_eq!(faults, 1, "{name}");
    }
}

/// `respects-interval-test`, `slow-down-test`
#[test]
fn the_polling_interval_of_the_server_is_respected() {
    let mut desk = WaitingClient::new();
    desk.bank.tls.with(|twin| twin.set_polling_interval(31));
    desk.poll_limit = 2;
    let (seen, ..) = desk.ended(desk.poll());
    print_row(&module("respects-interval-test"), "interval 31", None, seen);
    assert_eq!((seen, &*desk.pauses.borrow()), (None, &vec![31, 31]));

    let mut desk = WaitingClient::new();
    desk.bank.tls.with(|twin| twin.inject(Fault::SlowDown));
    desk.poll_limit = 2;
    let (seen, ..) = desk.ended(desk.poll());
    print_row(&module("slow-down-test"), "slow_down", None, seen);
    assert_eq!((seen, &*desk.pauses.borrow()), (None, &vec![5, 10]));
}

/// `invalid-missing-authreqid-test`, `invalid-missing-expiresin-test`
#[test]
fn an_incomplete_acknowledgement_is_refused() {
    for (name, member) in [
        ("invalid-missing-authreqid-test", "auth_req_id"),
        ("invalid-missing-expiresin-test", "expires_in"),
    ] {
        let desk = WaitingClient::new();
        let fault = Fault::WithoutMember {
            member: member.to_owned(),
        };
        desk.bank.tls.with(|twin| twin.inject(fault));
        let (seen, request_count, polled) = desk.ended(desk.poll());
        print_row(&module(name), member, Some("reply.shape"), seen);
        assert_eq!(
            (seen, request_count, polled),
            (Some("reply.shape"), 1, 0),
            "{name}"
        );
    }
}

/// `invalid-unknown-user-id-test`, `invalid-id-token-hint-test`, `invalid-request-expired-id-token-test`
#[test]
fn a_refused_request_is_not_polled() {
    for (name, error) in [
        ("invalid-unknown-user-id-test", "unknown_user_id"),
        ("invalid-id-token-hint-test", "invalid_id_token_hint"),
        (
            "invalid-request-expired-id-token-test",
            "expired_id_token_hint",
        ),
    ] {
        let desk = WaitingClient::new();
        let fault = Fault::Refusal {
            error: error.to_owned(),
        };
        desk.bank.tls.with(|twin| twin.inject(fault));
        let login = desk.poll();
        assert_eq!(error_code(&login), Some(error));
        let (seen, request_count, polled) = desk.ended(login);
        print_row(&module(name), error, Some("denied.other"), seen);
        assert_eq!(
            (seen, request_count, polled),
            (Some("denied.other"), 1, 0),
            "{name}"
        );
    }
    // The server's error code for an unknown user.
    let refused = WaitingClient::new().begin("bob", TokenDeliveryMode::Poll);
    assert_eq!(error_code(&refused), Some("unknown_user_id"));
}

/// The server's error code.
fn error_code<T>(outcome: &Result<T, Error>) -> Option<&str> {
    let error = outcome.as_ref().err()?;
    error.server_error()?.error()
}

/// `invalid-request-test`, `invalid-access-denied-test`, `invalid-expired-token-test`
#[test]
fn polling_stops_after_a_terminal_error() {
    for (name, error) in [
        ("invalid-request-test", "invalid_request"),
        ("invalid-access-denied-test", "access_denied"),
        ("invalid-expired-token-test", "expired_token"),
    ] {
        let desk = WaitingClient::new();
        let begun = desk
            .begin("alice", TokenDeliveryMode::Poll)
            .expect("a request");
        let fault = Fault::Refusal {
            error: error.to_owned(),
        };
        desk.bank.tls.with(|twin| twin.inject(fault));
        let pace = PollTiming {
            interval: begun.interval,
            expires_at: begun.expires_at,
        };
        let client = &desk.bank.client;
        let login = desk.run(client.poll_backchannel_token(begun.auth_req_id, scope(), Some(pace)));
        let (seen, request_count, polled) = desk.ended(login);
        let expected = format!("denied.{error}");
        print_row(&module(name), error, Some(&expected), seen);
        assert_eq!(
            (seen, request_count, polled),
            (Some(&*expected), 1, 1),
            "{name}"
        );
    }
}

/// `invalid-iss-test` and similar modules: the tokens are discarded, and not requested again.
#[test]
fn every_id_token_flaw_is_detected() {
    for (name, flaw, expected) in [
        ("invalid-iss", IdTokenFlaw::WrongIssuer, "jwt.issuer"),
        (
            "invalid-missing-iss",
            IdTokenFlaw::MissingIssuer,
            "jwt.missing_claim",
        ),
        ("invalid-aud", IdTokenFlaw::WrongAudience, "jwt.audience"),
        (
            "invalid-missing-aud",
            IdTokenFlaw::MissingAudience,
            "jwt.missing_claim",
        ),
        (
            "invalid-secondary-aud",
            IdTokenFlaw::ForeignAudience,
            "jwt.untrusted_audience",
        ),
        (
            "invalid-signature",
            IdTokenFlaw::BrokenSignature,
            "jws.bad_signature",
        ),
        (
            "invalid-null-alg",
            IdTokenFlaw::Unsigned,
            "jws.alg_not_allowed",
        ),
        (
            "invalid-alternate-alg",
            IdTokenFlaw::OtherAlgorithm,
            "jws.alg_not_allowed",
        ),
        ("invalid-expired-exp", IdTokenFlaw::Expired, "jwt.expired"),
        (
            "invalid-missing-exp",
            IdTokenFlaw::MissingExpiry,
            "jwt.missing_claim",
        ),
        (
            "iat-is-week-in-past",
            IdTokenFlaw::IssuedLongAgo,
            "jwt.too_old",
        ),
    ] {
        for by_ping in [false, true] {
            let desk = WaitingClient::new();
            desk.bank
                .tls
                .with(|twin| twin.inject(Fault::IdToken { flaw }));
            let login = if by_ping {
                desk.ping(str::to_owned)
            } else {
                desk.poll()
            };
            let (seen, request_count, polled) = desk.ended(login);
            let name = module(&format!("{name}-test"));
            print_row(&name, &format!("{flaw:?}"), Some(expected), seen);
            assert_eq!(
                (seen, request_count, polled),
                (Some(expected), 1, 1),
                "{flaw:?}"
            );
        }
    }
}

/// `ping-with-invalid-bearer-token-test`: the tokens are not requested.
#[test]
fn a_ping_without_the_notification_token_is_refused() {
    for change in [
        (|authorization| format!("{authorization}1")) as fn(&str) -> String,
        |authorization| authorization.replacen("Bearer", "Basic", 1),
        |_| String::new(),
    ] {
        let desk = WaitingClient::new();
        let (seen, request_count, polled) = desk.ended(desk.ping(change));
        let (name, expected_code) = (
            module("ping-with-invalid-bearer-token-test"),
            "ciba.client_notification_token",
        );
        print_row(&name, "bearer token", Some(expected_code), seen);
        assert_eq!((seen, request_count, polled), (Some(expected_code), 1, 0));
    }
}
