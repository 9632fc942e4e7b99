//! A refresh token that the server refuses without saying that the grant is over.

use super::*;

fn refusal(status: u16, code: &str) -> Error {
    ServerError::of_status(status)
        .coded(code)
        .described(Some("as the server says it"), None)
        .into()
}

/// A keeper whose token was refused like this, once it was over.
fn refused(error: Error) -> (Keeper, Desk, Error) {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Revokes);
    desk.now = START + 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let error = desk.renew(&mut keeper, Err(error)).unwrap_err();
    desk.log.clear();
    (keeper, desk, error)
}

/// What a caller gets who is not given a token: at once, or after a look at the store.
fn told(desk: &mut Desk, keeper: &mut Keeper) -> Option<Error> {
    match desk.ask(keeper) {
        Turn::GiveUp(error) => Some(error),
        Turn::Renew => match desk.go(keeper, Event::Begin) {
            Step::Over(outcome) => outcome.err(),
            Step::Run(_) => None,
            step => panic!("{step:?}"),
        },
        turn => panic!("{turn:?}"),
    }
}

#[test]
fn any_other_refusal_is_told_in_the_servers_words_and_ends_nothing() {
    for (status, word) in [
        (400, "interaction_required"),
        (400, "login_required"),
        (400, "consent_required"),
        (401, "insufficient_user_authentication"),
        (400, "expired_token"),
        (401, "invalid_client"),
        (403, "unauthorized_client"),
        (400, "invalid_request"),
        (400, "token_is_gone"),
    ] {
        let (mut keeper, mut desk, error) = refused(refusal(status, word));
        let mut other = keeper_for(Reuse::Unknown);
        let record = desk.record();
        assert!(record.ended.is_none() && record.attempt.is_none(), "{word}");
        assert!(record.tokens.unwrap().refresh_token.is_some(), "{word}");
        // Here, and wherever the record is read.
        for again in [
            told(&mut desk, &mut keeper).unwrap(),
            told(&mut desk, &mut other).unwrap(),
        ] {
            assert_eq!(again.code(), error.code(), "{word}");
            assert_eq!(error.advice(), Advice::Reauthorize, "{word}");
            assert_eq!(again.advice(), Advice::Reauthorize, "{word}");
            let server = again.server_error().unwrap();
            assert_eq!(
                (server.error(), server.status()),
                (Some(word), Some(status))
            );
            assert_eq!(server.description(), Some("as the server says it"));
        }
        assert!(!desk.log.contains(&"run"), "{word}");
    }
    // Without a word, too.
    let (mut keeper, mut desk, error) = refused(ServerError::of_status(403).into());
    assert_eq!(error.advice(), Advice::Reauthorize);
    assert_eq!(told(&mut desk, &mut keeper).unwrap().code(), error.code());
}

#[test]
fn what_passes_makes_no_grant_suspect() {
    let bare = [408, 425, 429, 500, 501, 502, 503, 504, 520, 599].map(ServerError::of_status);
    let words = [
        ServerError::of_status(400).coded("temporarily_unavailable"),
        ServerError::of_status(400).coded("slow_down"),
        ServerError::of_status(503).coded("unauthorized_client"),
    ];
    for server in bare.into_iter().chain(words) {
        let text = format!("{server:?}");
        let (_, desk, _) = refused(server.into());
        assert_eq!(desk.record().suspicion, None, "{text}");
    }
    // Nor does what the client's own token is refused with.
    let own = Keeper::new(us(), Upkeep::ClientCredentials(Scope::none()));
    let mut keeper = own.shared(person());
    let mut desk = Desk::new();
    desk.ask(&mut keeper);
    let error = desk
        .renew(&mut keeper, Err(refusal(401, "invalid_client")))
        .unwrap_err();
    assert_eq!(
        (error.advice(), desk.entry.is_none()),
        (Advice::GiveUp, true)
    );
}

#[test]
fn a_suspect_token_is_sent_again_at_growing_intervals() {
    let (mut keeper, mut desk, _) = refused(refusal(403, "unauthorized_client"));
    let mut other = keeper_for(Reuse::Revokes);
    let (mut last, mut pauses) = (desk.now, Vec::new());
    while pauses.len() < 12 {
        desk.now += 1;
        // Whoever asks first sends it, for all.
        for worker in [&mut other, &mut keeper] {
            if told(&mut desk, worker).is_some() {
                continue;
            }
            pauses.push(desk.now - last);
            last = desk.now;
            let again = desk.land(worker, Err(refusal(403, "unauthorized_client")));
            assert_eq!(again.unwrap_err().advice(), Advice::Reauthorize);
        }
    }
    for (number, pause) in pauses.iter().enumerate() {
        let least = (10 << number).min(3600);
        // Half as much by chance, and a second until somebody looks.
        assert!((least..=least * 3 / 2 + 1).contains(pause), "{pauses:?}");
    }
}

#[test]
fn a_success_or_a_login_clears_it() {
    // A success.
    let (mut keeper, mut desk, _) = refused(refusal(401, "invalid_client"));
    desk.now += 20;
    assert!(told(&mut desk, &mut keeper).is_none());
    let fresh = tokens_from(2, desk.now);
    assert_eq!(got(desk.land(&mut keeper, Ok(fresh))), "a2");
    assert_eq!(desk.record().suspicion, None);
    assert!(keeper.trouble().is_none());
    // A login here, and a login elsewhere, which is known after a second.
    for is_here in [true, false] {
        let (mut keeper, mut desk, _) = refused(refusal(401, "invalid_client"));
        let mut other = keeper_for(Reuse::Revokes);
        assert!(told(&mut desk, &mut other).is_some());
        let where_to = if is_here { &mut keeper } else { &mut other };
        let login = tokens_from(5, desk.now);
        where_to.replace(desk.at(), login).unwrap();
        assert!(where_to.save_again());
        assert_eq!(got(over(desk.go(where_to, Event::Begin))), "a5");
        assert_eq!(desk.record().suspicion, None);
        desk.now += 1;
        for worker in [&mut keeper, &mut other] {
            match desk.ask(worker) {
                Turn::HandOut(tokens) => assert_eq!(access(&tokens), "a5"),
                Turn::Renew => assert_eq!(got(over(desk.go(worker, Event::Begin))), "a5"),
                turn => panic!("{turn:?}"),
            }
        }
    }
}

#[test]
fn a_token_that_is_still_good_is_handed_out_meanwhile() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Revokes);
    desk.now = START + 580;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let outcome = desk.renew(&mut keeper, Err(refusal(400, "consent_required")));
    assert_eq!(got(outcome), "a1");
    // The caller can be told all the same.
    let trouble = keeper.trouble().unwrap();
    assert_eq!(
        (trouble.code(), trouble.advice()),
        ("denied.consent_required", Advice::Reauthorize)
    );
    let mut other = keeper_for(Reuse::Revokes);
    assert!(matches!(desk.ask(&mut other), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut other, Event::Begin))), "a1");
    assert_eq!(handed(desk.ask(&mut other)), "a1");
    assert_eq!(other.trouble().unwrap().code(), "denied.consent_required");
}

#[test]
fn a_suspicion_of_a_clock_that_was_ahead_ends_in_time() {
    let mut desk = Desk::with(tokens(1));
    let mut ahead = keeper_for(Reuse::Revokes);
    desk.now = START + 365 * 24 * 3600;
    desk.ask(&mut ahead);
    desk.renew(&mut ahead, Err(refusal(401, "invalid_client")))
        .unwrap_err();
    let refused = desk.record();
    // Another's clock was right, and its own is set right.
    for mut worker in [keeper_for(Reuse::Revokes), ahead] {
        desk.now = START + 700;
        assert!(told(&mut desk, &mut worker).is_some());
        desk.now += 16;
        assert!(told(&mut desk, &mut worker).is_none());
        worker.abandon(desk.at());
        desk.put(&refused);
    }
}

#[test]
fn without_a_store_it_is_the_same() {
    let mut desk = Desk::new();
    let mut keeper = alone();
    keeper.replace(desk.at(), tokens(1)).unwrap();
    desk.now = START + 601;
    desk.ask(&mut keeper);
    desk.renew(&mut keeper, Err(refusal(403, "unauthorized_client")))
        .unwrap_err();
    desk.now += 5;
    let error = told(&mut desk, &mut keeper).unwrap();
    assert_eq!(error.advice(), Advice::Reauthorize);
    desk.now += 15;
    assert!(told(&mut desk, &mut keeper).is_none());
}

/// Microsoft's word for a person who has to confirm something.
#[test]
fn an_invalid_grant_that_wants_interaction_is_not_the_end() {
    let wanting = |suberror: &str| {
        let mut extra = serde_json::Map::new();
        extra.insert("suberror".to_owned(), suberror.into());
        let server = ServerError::of_status(400).coded("invalid_grant");
        Error::from(server.with_extra(extra))
    };
    for suberror in ["basic_action", "consent_required"] {
        let (_, desk, error) = refused(wanting(suberror));
        assert_eq!(
            (error.code(), error.advice()),
            ("denied.invalid_grant", Advice::Reauthorize)
        );
        let record = desk.record();
        assert!(record.ended.is_none() && record.suspicion.is_some());
    }
    for suberror in ["bad_token", "token_expired"] {
        let (_, desk, _) = refused(wanting(suberror));
        assert!(desk.record().ended.is_some());
    }
}

/// GitHub's word for `invalid_grant`.
#[test]
fn what_a_preset_names_as_the_same_ends_the_grant() {
    let server = ServerError::of_status(400).coded("bad_refresh_token");
    let named = Error::from(server.meaning(Some("invalid_grant")));
    let (_, desk, error) = refused(named);
    assert_eq!(error.code(), "denied.invalid_grant");
    assert!(desk.record().ended.is_some());
}

#[test]
fn nobody_is_told_to_log_in_for_a_token_that_was_replaced_meanwhile() {
    for (number, expected) in [(2, "a2"), (1, "a1")] {
        let mut desk = Desk::with(tokens(1));
        let mut keeper = keeper_for(Reuse::Unknown);
        desk.now = START + 601;
        desk.ask(&mut keeper);
        assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
        desk.put(&Record::of(Arc::new(tokens_from(number, desk.now))));
        let refused = Err(refusal(401, "invalid_client"));
        let outcome = desk.land(&mut keeper, refused);
        assert_eq!(got(outcome), expected);
        // It is the token that is suspect, whoever saved it last.
        assert_eq!(desk.record().suspicion.is_some(), number == 1);
    }
}

#[test]
fn nobody_is_told_to_log_in_before_all_can_know() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Unknown);
    desk.now = START + 601;
    desk.ask(&mut keeper);
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    desk.is_down = true;
    let refused = Err(refusal(401, "invalid_client"));
    assert_eq!(code(desk.land(&mut keeper, refused)), "lost");
    // It is known here all the same.
    desk.is_down = false;
    desk.now += 5;
    let error = told(&mut desk, &mut keeper).unwrap();
    assert_eq!(error.advice(), Advice::Reauthorize);
}

#[test]
fn nobody_is_told_of_a_refusal_while_the_token_is_on_its_way_again() {
    let (mut keeper, mut desk, _) = refused(refusal(401, "invalid_client"));
    desk.now += 16;
    assert!(told(&mut desk, &mut keeper).is_none());
    // By a clock that is behind, it is too early.
    let mut other = keeper_for(Reuse::Revokes);
    desk.now -= 15;
    desk.is_held = true;
    assert!(matches!(desk.ask(&mut other), Turn::Renew));
    assert!(matches!(desk.go(&mut other, Event::Begin), Step::Wait(_)));
    // What is lost now counts as lost, and the next refusal as the second.
    desk.is_held = false;
    desk.now += 15;
    assert_eq!(code(desk.land(&mut keeper, Err(unsent()))), "lost.unsent");
    assert!(told(&mut desk, &mut keeper).is_none());
    desk.land(&mut keeper, Err(refusal(401, "invalid_client")))
        .unwrap_err();
    desk.now += 19;
    assert!(told(&mut desk, &mut keeper).is_some());
}
