//! Grants that are renewed with a login at an identity provider.

use std::sync::Mutex;

use super::*;
use crate::exchange::Boxed;
use crate::flow::keeper::{
    self, Decision, Event, GrantId, GrantStatus, Keeper, Lease, SaveOutcome,
};

/// The partner server's client, whose subject token is read from `slot`.
fn by_identity(slot: &SubjectSlot) -> Client {
    other().with_identity(&client(), slot.read())
}

fn set_id_token(slot: &SubjectSlot, id_token: &str) {
    slot.leave(Ok(IdentitySubject::IdToken(id_token.to_owned().into())));
}

fn later(seconds: u64) -> Moment {
    Moment::fixed(UnixTime::from_secs(NOW + seconds), [9; 32])
}

fn replies_of_both_steps() -> [(u16, String); 2] {
    let token_reply = r#"{"access_token":"t","token_type":"Bearer","expires_in":600}"#;
    [
        (
            200,
            issued_reply(&assertion(&value!({ "exp": NOW + 9000 }))),
        ),
        (200, token_reply.to_owned()),
    ]
}

/// The request that the keeper sends.
fn renewal(keeper: &mut Keeper, moment: &Moment) -> Boxed<Tokens> {
    let decision = keeper.ask(moment.now(), None);
    assert!(matches!(
        decision,
        Decision::Renew | Decision::UseAndRenew(_)
    ));
    match keeper.resume(moment, Event::Begin) {
        keeper::Step::Run(exchange) => exchange,
        step => panic!("{step:?}"),
    }
}

/// Passes the result of the request to the keeper.
fn complete(
    keeper: &mut Keeper,
    moment: &Moment,
    got: Result<Tokens, Error>,
) -> Result<(), &'static str> {
    match keeper.resume(moment, Event::Completed(got)) {
        keeper::Step::Done(outcome) => error_code(outcome.map(drop)),
        step => panic!("{step:?}"),
    }
}

fn run_both_steps(
    exchange: Boxed<Tokens>,
    moment: &Moment,
) -> (Vec<String>, Result<Tokens, &'static str>) {
    run_with_replies(exchange, moment, &replies_of_both_steps())
}

#[test]
fn renewal_repeats_both_steps_with_the_current_id_token() {
    let slot = SubjectSlot::default();
    for id in [GrantId::unnamed_person(), GrantId::client()] {
        let mut keeper = by_identity(&slot).keeper(id.requesting(Scope::parse("read").unwrap()));
        for round in 0..3 {
            // Near the expiry of the tokens, each time with an ID token issued then.
            let moment = later(round * 590);
            set_id_token(&slot, &id_token(round * 590 + 60));
            let (requests, got) = run_both_steps(renewal(&mut keeper, &moment), &moment);
            assert_eq!(requests, [EXCHANGE, REDEEM]);
            assert_eq!(complete(&mut keeper, &moment, Ok(got.unwrap())), Ok(()));
            let fresh = keeper.ask(later(round * 590 + 60).now(), None);
            assert!(matches!(fresh, Decision::UseToken(_)));
        }
    }
}

#[test]
fn exchange_sends_scope_and_resource_and_redemption_only_the_assertion() {
    let slot = SubjectSlot::default();
    set_id_token(&slot, &id_token(300));
    let token_request = TokenRequest::new().scope(Scope::parse("read").unwrap());
    let token_request = token_request.resource("https://api.example").unwrap();
    let mut exchange = by_identity(&slot).client_credentials(token_request);
    let mut forms = Vec::new();
    let (mut replies, mut input) = (replies_of_both_steps().into_iter(), Input::Begin);
    while let Ok(Step::Send(request)) = exchange.resume(&at(), input) {
        forms.push(String::from_utf8(request.body().to_vec()).unwrap());
        let (status, body) = replies.next().unwrap();
        input = Input::Reply(json(status, &body));
    }
    assert!(forms[0].contains("audience=https%3A%2F%2Fother.example"));
    assert!(forms[0].contains("scope=read") && forms[0].contains("resource="));
    assert!(!forms[1].contains("scope=") && !forms[1].contains("resource="));
}

#[test]
fn refusal_does_not_end_an_identity_grant() {
    let slot = SubjectSlot::default();
    let mut keeper = by_identity(&slot).keeper(GrantId::unnamed_person());
    let refusals = [
        (vec![refused()], "denied.invalid_grant"),
        (
            vec![replies_of_both_steps()[0].clone(), refused()],
            "denied.invalid_grant",
        ),
    ];
    for (round, (replies, reason)) in refusals.into_iter().enumerate() {
        let moment = later(3600 * (round as u64 + 1));
        set_id_token(&slot, &id_token(9000));
        let (_, got) = run_with_replies(renewal(&mut keeper, &moment), &moment, &replies);
        assert_eq!(got.map(drop), Err(reason));
        set_id_token(&slot, &id_token(9000));
        let mut again = by_identity(&slot).client_credentials(Scope::none());
        let mut remaining = replies.iter();
        let mut input = Input::Begin;
        let error = loop {
            match again.resume(&moment, input) {
                Ok(Step::Send(_)) => {
                    let (status, body) = remaining.next().unwrap();
                    input = Input::Reply(json(*status, body));
                }
                Ok(step) => panic!("{step:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(complete(&mut keeper, &moment, Err(error)), Err(reason));
        assert_eq!(keeper.status(), GrantStatus::Good);
    }
    // The user has signed in again: the grant is renewed after its pause.
    let moment = later(9 * 3600);
    set_id_token(&slot, &id_token(10 * 3600));
    let got = run_with_replies(
        renewal(&mut keeper, &moment),
        &moment,
        &[
            (
                200,
                issued_reply(&assertion(&value!({ "exp": NOW + 10 * 3600 }))),
            ),
            granted_reply(),
        ],
    );
    assert_eq!(complete(&mut keeper, &moment, Ok(got.1.unwrap())), Ok(()));
}

#[test]
fn missing_or_expired_subject_is_reported_without_sending() {
    let slot = SubjectSlot::default();
    let send = |slot: &SubjectSlot| {
        let exchange = by_identity(slot).client_credentials(Scope::none());
        let (requests, got) = run_with_replies(exchange, &at(), &[]);
        assert!(requests.is_empty());
        got.map(drop)
    };
    assert_eq!(send(&slot), Err("lost.unsent"));
    slot.leave(Err(Misuse::NoRefreshToken.into()));
    assert_eq!(send(&slot), Err("grant.no_refresh_token"));
    // The kept assertion is used for one request.
    assert_eq!(send(&slot), Err("lost.unsent"));
    let ended = jwt("JWT", &value!({ "aud": "id", "exp": NOW - 300 }));
    set_id_token(&slot, &ended);
    assert_eq!(send(&slot), Err("jwt.expired"));
    let subject = IdentitySubject::IdToken(ended.into());
    assert!(subject.has_ended(UnixTime::from_secs(NOW)));
    let saml = IdentitySubject::from_parts("PHNhbWw+".to_owned().into(), "saml2").unwrap();
    assert!(!saml.has_ended(UnixTime::from_secs(NOW)));
}

/// Runs a shared renewal up to its request, with a store that grants everything.
fn begin_shared_renewal(keeper: &mut Keeper, moment: &Moment) -> Boxed<Tokens> {
    assert!(matches!(keeper.ask(moment.now(), None), Decision::Renew));
    let mut event = Event::Begin;
    loop {
        event = match keeper.resume(moment, event) {
            keeper::Step::Load => Event::Loaded(None),
            keeper::Step::Lease { .. } => Event::Leased(Lease::Won),
            keeper::Step::Run(exchange) => return exchange,
            step => panic!("{step:?}"),
        };
    }
}

#[test]
fn shared_identity_grant_uses_no_marker_and_tolerates_a_late_second_step() {
    let slot = SubjectSlot::default();
    let id = GrantId::user("ann");
    let mut keeper = by_identity(&slot).keeper(id.clone()).shared();
    set_id_token(&slot, &id_token(300));
    // The identity provider takes longer than a lease.
    let mut exchange = begin_shared_renewal(&mut keeper, &at());
    assert!(matches!(
        exchange.resume(&at(), Input::Begin),
        Ok(Step::Send(_))
    ));
    let reply = Input::Reply(json(200, &replies_of_both_steps()[0].1));
    assert!(matches!(
        exchange.resume(&later(25), reply),
        Ok(Step::Send(_))
    ));
    let Ok(Step::Done(got)) = exchange.resume(
        &later(26),
        Input::Reply(json(200, &replies_of_both_steps()[1].1)),
    ) else {
        panic!("tokens")
    };
    let saved = Mutex::new(None);
    let mut event = Event::Completed(Ok(got));
    loop {
        event = match keeper.resume(&later(26), event) {
            keeper::Step::Save { record, .. } => {
                *saved.lock().unwrap() = Some(record);
                Event::Saved(SaveOutcome::At(1))
            }
            keeper::Step::Lease { .. } => Event::Leased(Lease::Won),
            keeper::Step::Done(outcome) => break error_code(outcome.map(drop)).unwrap(),
            step => panic!("{step:?}"),
        };
    }
    assert!(saved.into_inner().unwrap().is_some());
    // Nor is it the grant of a user who has logged in at that server.
    assert_ne!(keeper.key(), other().keeper(id.clone()).key());
    assert_ne!(
        keeper.key(),
        by_identity(&slot).keeper(GrantId::user("bob")).key()
    );
    // It differs from the grant of a user of the same name at another identity provider.
    let server = Server::new(Issuer::parse("https://idp.two.example").unwrap());
    let auth = ClientAuth::basic("s");
    let second = Client::new(server, ClientId::new("id"), auth).unwrap();
    let other_idp = other().with_identity(&second, slot.read());
    assert_ne!(keeper.key(), other_idp.keeper(id.clone()).key());
    // A subject is required, or two users would share the grant.
    for id in [GrantId::unnamed_person(), GrantId::client()] {
        let mut nobodys = by_identity(&slot).keeper(id).shared();
        match nobodys.ask(later(0).now(), None) {
            Decision::Fail(error) => assert_eq!(error.code(), "grant.subject_missing"),
            decision => panic!("{decision:?}"),
        }
    }
}

#[test]
fn failing_identity_provider_does_not_block_other_grants() {
    let (slot, partner) = (SubjectSlot::default(), other());
    let by_identity = partner.clone().with_identity(&client(), slot.read());
    for name in ["ann", "bob", "cat", "dan"] {
        let mut keeper = by_identity.keeper(GrantId::user(name));
        set_id_token(&slot, &id_token(300));
        let mut exchange = renewal(&mut keeper, &at());
        assert!(matches!(
            exchange.resume(&at(), Input::Begin),
            Ok(Step::Send(_))
        ));
        let mut busy = json(503, "{}");
        let pause = crate::http::HeaderValue::from_static("300");
        busy.headers_mut().insert("retry-after", pause);
        let Err(error) = exchange.resume(&at(), Input::Reply(busy)) else {
            panic!("an error")
        };
        assert!(complete(&mut keeper, &at(), Err(error)).is_err());
        // This grant pauses; other grants of the same client do not.
        assert!(matches!(keeper.ask(at().now(), None), Decision::Fail(_)));
        let mut others = partner.keeper(GrantId::client());
        drop(renewal(&mut others, &at()));
    }
}

#[test]
fn refresh_token_of_an_identity_grant_is_dropped() {
    let slot = SubjectSlot::default();
    set_id_token(&slot, &id_token(300));
    let long = r#"{"access_token":"t","token_type":"Bearer","expires_in":600,"refresh_token":"r"}"#;
    let replies = [replies_of_both_steps()[0].clone(), (200, long.to_owned())];
    let exchange = by_identity(&slot).client_credentials(Scope::none());
    let (_, got) = run_with_replies(exchange, &at(), &replies);
    assert!(got.unwrap().refresh_token.is_none());
}

#[test]
fn debug_does_not_show_the_subject_token() {
    let slot = SubjectSlot::default();
    set_id_token(&slot, "the-token");
    let shown = format!("{slot:?} {:?}", by_identity(&slot));
    assert!(!shown.contains("the-token"), "{shown}");
}

#[test]
fn lost_reply_or_crash_between_the_steps_does_not_end_the_grant() {
    let slot = SubjectSlot::default();
    let id = || GrantId::user("ann");
    let (mut first, mut second) = (
        by_identity(&slot).keeper(id()).shared(),
        by_identity(&slot).keeper(id()).shared(),
    );
    // A worker crashes after it received the assertion: nothing is stored, and its lease expires.
    set_id_token(&slot, &id_token(300));
    let mut exchange = begin_shared_renewal(&mut first, &at());
    assert!(matches!(
        exchange.resume(&at(), Input::Begin),
        Ok(Step::Send(_))
    ));
    drop((exchange, first));
    assert!(matches!(second.ask(at().now(), None), Decision::Renew));
    let mut event = Event::Begin;
    let mut waited = 0;
    let exchange = loop {
        event = match second.resume(&later(waited), event) {
            keeper::Step::Load => Event::Loaded(None),
            keeper::Step::Lease { .. } if waited < 10 => {
                Event::Leased(Lease::Held(Duration::from_secs(10 - waited)))
            }
            keeper::Step::Lease { .. } => Event::Leased(Lease::Won),
            keeper::Step::Wait(pause) => {
                waited += pause.as_secs().max(1);
                Event::Elapsed
            }
            keeper::Step::Run(exchange) => break exchange,
            step => panic!("{step:?}"),
        };
    };
    set_id_token(&slot, &id_token(300));
    let (requests, got) = run_both_steps(exchange, &later(waited));
    assert_eq!(requests, [EXCHANGE, REDEEM]);
    assert!(got.is_ok());

    // A reply of either server is lost: the next attempt repeats both steps with a new assertion.
    for lost_after in 0..2 {
        let mut keeper = by_identity(&slot).keeper(id());
        set_id_token(&slot, &id_token(9000));
        let mut exchange = renewal(&mut keeper, &at());
        let mut step = exchange.resume(&at(), Input::Begin);
        for (status, body) in replies_of_both_steps().iter().take(lost_after) {
            assert!(matches!(step, Ok(Step::Send(_))));
            step = exchange.resume(&at(), Input::Reply(json(*status, body)));
        }
        assert!(matches!(step, Ok(Step::Send(_))));
        let lost = exchange.resume(&at(), Input::Lost(crate::error::Cause::unknown("cut off")));
        let lost = match lost {
            Err(error) => error,
            Ok(step) => panic!("{step:?}"),
        };
        assert_eq!(complete(&mut keeper, &at(), Err(lost)), Err("lost"));
        assert_eq!(keeper.status(), GrantStatus::Good);
        set_id_token(&slot, &id_token(9000));
        let (requests, got) = run_both_steps(renewal(&mut keeper, &later(60)), &later(60));
        assert_eq!(requests, [EXCHANGE, REDEEM]);
        assert_eq!(complete(&mut keeper, &later(60), Ok(got.unwrap())), Ok(()));
    }
}
