//! Rate limits: what is reported, how long requests wait, and in which order.

use super::*;

#[test]
fn rate_limit_is_an_error_with_its_pause_by_default() {
    let api = api();
    let mut request = get(&api, "/a");
    sent(&mut request, &at(0.0));
    let error = reply(
        &mut request,
        &at(0.5),
        429,
        &fields(&[("retry-after", "7")]),
    )
    .unwrap_err();
    assert_eq!(error.code(), "resource.rate_limited");
    assert_eq!(error.server_error().unwrap().status(), Some(429));
    let after = |error: &Error| match error.advice() {
        Advice::Retry { after } => after.unwrap().as_secs(),
        advice => panic!("{advice:?}"),
    };
    assert_eq!(after(&error), 7);
    // Other requests are refused without being sent.
    let error = get(&api, "/b").resume(&at(3.0), Event::Begin).unwrap_err();
    assert_eq!((error.code(), after(&error)), ("resource.rate_limited", 5));
    assert_eq!(error.server_error().unwrap().status(), None);
    // A caller that waits for the reported pause is not refused again.
    sent(&mut get(&api, "/b"), &at(8.0));
}

#[test]
fn rate_limit_of_one_origin_does_not_hold_another() {
    let api = Api::new(Resource::new([API, "https://other.example"]).unwrap());
    let mut request = get(&api, "/a");
    sent(&mut request, &at(0.0));
    reply(
        &mut request,
        &at(0.0),
        429,
        &fields(&[("retry-after", "7")]),
    )
    .unwrap_err();
    let other = "https://other.example/a";
    sent(
        &mut ResourceRequest::new(&api, Method::GET, other),
        &at(1.0),
    );
}

#[test]
fn rate_limited_reply_is_returned_with_on_rate_limit_pass() {
    let api = api();
    let mut request = get(&api, "/a").on_rate_limit(OnRateLimit::Pass);
    sent(&mut request, &at(0.0));
    let step = reply(
        &mut request,
        &at(0.0),
        429,
        &fields(&[("retry-after", "7")]),
    );
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");
    sent(&mut get(&api, "/b"), &at(0.0));
}

#[test]
fn waiting_request_is_resent_after_the_pause() {
    let api = api();
    let mut request = get(&api, "/a").on_rate_limit(WAIT);
    sent(&mut request, &at(0.0));
    let step = reply(
        &mut request,
        &at(0.5),
        429,
        &fields(&[("retry-after", "7")]),
    );
    assert_eq!(pause(step), 7.0);
    let step = request.resume(&at(7.5), Event::Elapsed).unwrap();
    assert!(matches!(step, Step::Token(_)), "{step:?}");
    retry(&mut request, &at(7.5));
    let step = reply(&mut request, &at(7.6), 200, &HeaderMap::new());
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");
}

#[test]
fn longest_wait_limits_the_sum_of_all_pauses() {
    let longest = OnRateLimit::Wait {
        longest: Duration::from_secs(10),
    };
    let mut request = get(&api(), "/a").on_rate_limit(longest);
    sent(&mut request, &at(0.0));
    let step = reply(
        &mut request,
        &at(0.0),
        429,
        &fields(&[("retry-after", "6")]),
    );
    assert_eq!(pause(step), 6.0);
    request.resume(&at(6.0), Event::Elapsed).unwrap();
    retry(&mut request, &at(6.0));
    let refused = reply(
        &mut request,
        &at(6.0),
        429,
        &fields(&[("retry-after", "6")]),
    );
    assert_eq!(refused.unwrap_err().code(), "resource.rate_limited");

    let mut request = get(&api(), "/a").on_rate_limit(longest);
    sent(&mut request, &at(0.0));
    let refused = reply(
        &mut request,
        &at(0.0),
        429,
        &fields(&[("retry-after", "11")]),
    );
    assert_eq!(refused.unwrap_err().code(), "resource.rate_limited");
}

#[test]
fn refusals_without_retry_after_double_the_pause_up_to_a_minute() {
    let api = api();
    let mut request = get(&api, "/a").on_rate_limit(WAIT);
    sent(&mut request, &at(0.0));
    let mut now = 0.0;
    for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
        let step = reply(&mut request, &at(now), 429, &HeaderMap::new());
        assert_eq!(pause(step), expected);
        now += expected;
        request.resume(&at(now), Event::Elapsed).unwrap();
        retry(&mut request, &at(now));
    }
    reply(&mut request, &at(now), 200, &HeaderMap::new()).unwrap();
    let mut request = get(&api, "/a").on_rate_limit(WAIT);
    sent(&mut request, &at(now));
    let step = reply(&mut request, &at(now), 429, &HeaderMap::new());
    assert_eq!(pause(step), 1.0);
}

#[test]
fn post_is_retried_after_429_but_not_after_503() {
    let busy = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("1"))]);
    let post = || {
        ResourceRequest::new(&api(), Method::POST, API)
            .body(Bytes::from("x"))
            .on_rate_limit(WAIT)
    };
    let mut after_503 = post();
    sent(&mut after_503, &at(0.0));
    let refused = reply(&mut after_503, &at(0.0), 503, &busy).unwrap_err();
    assert_eq!(refused.code(), "resource.rate_limited");

    let mut after_429 = post();
    sent(&mut after_429, &at(0.0));
    assert_eq!(pause(reply(&mut after_429, &at(0.0), 429, &busy)), 1.0);

    let mut read = get(&api(), "/a").on_rate_limit(WAIT);
    sent(&mut read, &at(0.0));
    assert_eq!(pause(reply(&mut read, &at(0.0), 503, &busy)), 1.0);
}

#[test]
fn status_503_without_retry_after_is_returned_to_the_caller() {
    let mut request = get(&api(), "/a").on_rate_limit(WAIT);
    sent(&mut request, &at(0.0));
    let step = reply(&mut request, &at(0.0), 503, &HeaderMap::new());
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");
}

#[test]
fn exhausted_window_delays_the_next_request() {
    let api = api();
    let mut request = get(&api, "/a");
    sent(&mut request, &at(0.0));
    let last = fields(&[("ratelimit", "\"default\";r=0;t=9")]);
    let step = reply(&mut request, &at(0.0), 200, &last);
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");
    let waiting = get(&api, "/a")
        .on_rate_limit(WAIT)
        .resume(&at(1.0), Event::Begin);
    assert_eq!(pause(waiting), 8.0);
}

/// A thread may be stopped while it waits: those behind it proceed.
#[test]
fn stopped_request_delays_the_queue_by_at_most_a_second() {
    let api = api().keeping(Allowance::new(2, 60));
    for _ in 0..2 {
        let mut request = get(&api, "/a").on_rate_limit(WAIT);
        sent(&mut request, &at(0.0));
        reply(&mut request, &at(0.0), 200, &HeaderMap::new()).unwrap();
    }
    let mut stopped = get(&api, "/b").on_rate_limit(WAIT);
    assert_eq!(pause(stopped.resume(&at(0.0), Event::Begin)), 60.0);
    let mut next = get(&api, "/c").on_rate_limit(WAIT);
    let first = pause(next.resume(&at(0.0), Event::Begin));
    assert!(first > 60.0 && first < 60.1, "{first}");
    // The request ahead of it could be sent now but is not.
    let again = pause(next.resume(&at(60.1), Event::Elapsed));
    assert!(again < 0.1, "{again}");
    let step = next.resume(&at(61.1), Event::Elapsed).unwrap();
    assert!(matches!(step, Step::Token(_)), "{step:?}");
}

#[test]
fn dropped_request_leaves_the_queue_and_a_sent_one_still_counts() {
    let api = api().keeping(Allowance::new(1, 60));
    let mut first = get(&api, "/a").on_rate_limit(WAIT);
    sent(&mut first, &at(0.0));
    let mut second = get(&api, "/b").on_rate_limit(WAIT);
    assert_eq!(pause(second.resume(&at(0.0), Event::Begin)), 60.0);
    // In flight without a reply: the server may have counted it.
    drop(first);
    assert_eq!(pause(second.resume(&at(30.0), Event::Elapsed)), 30.0);
    drop(second);
    let mut third = get(&api, "/c").on_rate_limit(WAIT);
    assert_eq!(pause(third.resume(&at(59.0), Event::Begin)), 1.0);
}
