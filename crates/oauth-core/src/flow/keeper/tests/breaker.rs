//! The circuit breaker shared by the grants of a client.

use super::*;

/// Several grants of one client.
struct Keepers {
    store: TestStore,
    keepers: Vec<Keeper>,
}

/// The outcome for a caller.
#[derive(Debug)]
enum RenewalResult {
    /// A request was sent.
    Sent,
    Told(Error),
}

impl Keepers {
    fn new(count: usize) -> Self {
        Self::of(&config(), count)
    }

    fn of(config: &Arc<ClientConfig>, count: usize) -> Self {
        let keeper = |number: usize| {
            let scope = Scope::parse(&format!("scope{number}")).unwrap();
            Keeper::new(Arc::clone(config), GrantId::client().requesting(scope))
        };
        Self {
            store: TestStore::new(),
            keepers: (0..count).map(keeper).collect(),
        }
    }

    /// Requests this grant's token; a request that is sent has this result.
    fn renew_grant(&mut self, number: usize, answer: Result<Tokens, Error>) -> RenewalResult {
        let (store, keeper) = (&mut self.store, self.keepers.get_mut(number).unwrap());
        match store.decide(keeper) {
            Decision::Fail(error) => RenewalResult::Told(error),
            Decision::Renew => match store.run(keeper, Event::Begin) {
                Step::Done(outcome) => RenewalResult::Told(outcome.unwrap_err()),
                Step::Run(_) => {
                    drop(store.complete(keeper, answer));
                    RenewalResult::Sent
                }
                step => panic!("{step:?}"),
            },
            decision => panic!("{decision:?}"),
        }
    }

    fn fail_renewal(&mut self, number: usize) -> RenewalResult {
        self.renew_grant(number, Err(lost_reply()))
    }
}

impl RenewalResult {
    fn is_sent(&self) -> bool {
        matches!(self, Self::Sent)
    }

    fn unwrap_error(self) -> Error {
        match self {
            Self::Told(error) => error,
            Self::Sent => panic!("a request"),
        }
    }
}

#[test]
fn three_failed_grants_open_the_breaker_for_all() {
    let mut many = Keepers::new(20);
    for number in 0..3 {
        assert!(many.fail_renewal(number).is_sent(), "{number}");
    }
    for number in 3..20 {
        let error = many.fail_renewal(number).unwrap_error();
        assert_eq!(error.code(), lost_reply().code());
        assert!(error.is_repeated());
        let pause = error.retry_after().unwrap();
        assert!((1..=2).contains(&pause.as_secs()), "{pause:?}");
    }
}

#[test]
fn one_probe_is_sent_after_each_pause_and_pauses_grow() {
    let mut many = Keepers::new(40);
    for number in 0..3 {
        many.fail_renewal(number);
    }
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let rest = many.fail_renewal(39).unwrap_error().retry_after().unwrap();
        pauses.push(rest.as_secs());
        // A caller that waits for exactly the reported pause is not refused again.
        many.store.now += rest.as_secs();
        let sent = (3..40).filter(|&number| many.fail_renewal(number).is_sent());
        assert_eq!(sent.count(), 1, "after {pauses:?}");
    }
    assert!(pauses.get(5) > pauses.get(1), "{pauses:?}");
    assert!(pauses.iter().all(|&pause| pause <= 90), "{pauses:?}");
}

#[test]
fn successful_renewal_closes_the_breaker_and_clears_failures() {
    let mut many = Keepers::new(20);
    for number in 0..3 {
        many.fail_renewal(number);
    }
    many.store.now += many
        .fail_renewal(3)
        .unwrap_error()
        .retry_after()
        .unwrap()
        .as_secs();
    let now = many.store.now;
    assert!(many.renew_grant(4, Ok(tokens_from(4, now))).is_sent());
    for number in 5..20 {
        assert!(many.renew_grant(number, Ok(tokens_from(9, now))).is_sent());
    }
    // Earlier failures are forgotten.
    many.store.now += 600;
    assert!(many.fail_renewal(5).is_sent() && many.fail_renewal(6).is_sent());
    assert!(many.fail_renewal(7).is_sent());
}

#[test]
fn failures_of_a_single_grant_do_not_open_the_breaker() {
    let mut many = Keepers::new(2);
    for _ in 0..10 {
        many.store.now += 100;
        assert!(many.fail_renewal(0).is_sent());
    }
    assert!(many.fail_renewal(1).is_sent());
}

#[test]
fn refusal_of_a_grant_resets_the_failure_count() {
    let mut many = Keepers::new(20);
    for round in 0..4 {
        many.store.now += 100;
        assert!(many.fail_renewal(round * 3).is_sent());
        assert!(many.fail_renewal(round * 3 + 1).is_sent());
        let refused = ServerError::from_status(400).with_code("unauthorized_client");
        assert!(
            many.renew_grant(round * 3 + 2, Err(refused.into()))
                .is_sent()
        );
    }
}

#[test]
fn unsent_requests_do_not_count_as_failures() {
    let mut many = Keepers::new(20);
    for number in 0..20 {
        assert!(
            many.renew_grant(number, Err(unsent_request())).is_sent(),
            "{number}"
        );
    }
}

#[test]
fn retry_after_for_one_grant_applies_to_all_grants() {
    for status in [429, 503] {
        let mut many = Keepers::new(3);
        let busy = ServerError::from_status(status).retry_after(Some(Duration::from_secs(30)));
        assert!(many.renew_grant(0, Err(busy.into())).is_sent());
        let error = many.fail_renewal(1).unwrap_error();
        assert_eq!(error.server_error().unwrap().status(), Some(status));
        let pause = error.retry_after().unwrap();
        assert_eq!(pause.as_secs(), 31);
        many.store.now += 30;
        assert!(!many.fail_renewal(2).is_sent());
        many.store.now += 1;
        assert!(many.fail_renewal(2).is_sent());
    }
}

#[test]
fn clock_set_back_does_not_prolong_the_pause() {
    let mut many = Keepers::new(5);
    for number in 0..3 {
        many.fail_renewal(number);
    }
    many.store.now -= 7200;
    assert!(many.fail_renewal(3).is_sent());
}

#[test]
fn pause_recorded_by_a_fast_clock_ends_when_the_clock_is_corrected() {
    let busy = || {
        let server = ServerError::from_status(503).retry_after(Some(Duration::from_secs(30)));
        Err(server.into())
    };
    let mut many = Keepers::new(3);
    assert!(many.renew_grant(0, busy()).is_sent());
    many.store.now += 31;
    let (store, keeper) = (&mut many.store, many.keepers.get_mut(1).unwrap());
    assert!(matches!(store.decide(keeper), Decision::Renew));
    assert!(matches!(store.run(keeper, Event::Begin), Step::Run(_)));
    store.now += 7200;
    drop(store.complete(keeper, busy()));
    assert!(!many.fail_renewal(2).is_sent());
    many.store.now -= 7200;
    assert!(many.fail_renewal(2).is_sent());
}

#[test]
fn breaker_is_shared_by_clones_but_not_by_other_clients() {
    let mut many = Keepers::new(5);
    for number in 0..3 {
        many.fail_renewal(number);
    }
    assert!(Keepers::new(1).fail_renewal(0).is_sent());
    // Clones of one client share it.
    let config = config();
    let mut many = Keepers::of(&config, 3);
    for number in 0..3 {
        many.fail_renewal(number);
    }
    let clone = Arc::new(ClientConfig::clone(&config));
    assert!(!Keepers::of(&clone, 4).fail_renewal(3).is_sent());
}

#[test]
fn valid_token_is_returned_while_the_breaker_is_open() {
    let config = config();
    let mut many = Keepers::of(&config, 3);
    for number in 0..3 {
        many.fail_renewal(number);
    }
    let mut store = TestStore::with(tokens(1));
    let mut keeper = Keeper::new(config, person()).shared();
    store.now = START + 575;
    many.store.now = store.now;
    // The pause has long passed, and the three grants fail again.
    assert!(many.fail_renewal(0).is_sent());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    // No lease was acquired.
    assert_eq!(store.log, ["load"]);
    store.now = START + 601;
    let Decision::Renew = store.decide(&mut keeper) else {
        panic!("a token");
    };
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
}
