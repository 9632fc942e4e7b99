//! Many callers and a counting server, without sleeping: every pause is a scheduled event.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A server that allows this many requests in a fixed window.
struct Server {
    requests: u32,
    window: f64,
    began: f64,
    served: u32,
    refused: Vec<f64>,
    /// Whether windows are aligned with the clock, instead of beginning with their first request.
    is_aligned: bool,
}

impl Server {
    fn answer(&mut self, now: f64) -> (u16, HeaderMap) {
        if now >= self.began + self.window {
            self.served = 0;
            self.began = if self.is_aligned {
                (now / self.window).floor() * self.window
            } else {
                now
            };
        }
        if self.served < self.requests {
            self.served += 1;
            return (200, HeaderMap::new());
        }
        self.refused.push(now);
        let remaining = (self.began + self.window - now).ceil();
        let reset = fields(&[("x-ratelimit-reset", &format!("{remaining}"))]);
        (429, reset)
    }
}

/// The next action of a caller.
enum Due {
    Ask,
    Arrive,
    Reply(u16, HeaderMap),
}

/// Runs all callers to completion; returns the order and times of the replies.
fn run(
    api: &Api,
    server: &mut Server,
    callers: usize,
    latency: impl Fn(usize) -> f64,
) -> Vec<(usize, f64)> {
    let mut requests: Vec<ResourceRequest> = (0..callers)
        .map(|_| {
            get(api, "/a").on_rate_limit(OnRateLimit::Wait {
                longest: Duration::from_secs(100_000),
            })
        })
        .collect();
    // Ordered by time, then by insertion.
    let mut calendar: BTreeMap<(Duration, usize), (usize, Due)> = BTreeMap::new();
    let mut sequence = 0;
    let mut schedule = |calendar: &mut BTreeMap<_, _>, time: Duration, caller: usize, due: Due| {
        sequence += 1;
        calendar.insert((time, sequence), (caller, due));
    };
    for caller in 0..callers {
        schedule(&mut calendar, Duration::ZERO, caller, Due::Ask);
    }
    let mut has_begun = vec![false; callers];
    let mut answered = Vec::new();
    while let Some(((time, _), (caller, due))) = calendar.pop_first() {
        let now = time.as_secs_f64();
        let request = &mut requests[caller];
        let step = match due {
            Due::Ask => {
                let event = if std::mem::replace(&mut has_begun[caller], true) {
                    Event::Elapsed
                } else {
                    Event::Begin
                };
                request.resume(&at(now), event).unwrap()
            }
            Due::Arrive => {
                let (status, headers) = server.answer(now);
                let reply_time = time + Duration::from_secs_f64(latency(caller));
                schedule(
                    &mut calendar,
                    reply_time,
                    caller,
                    Due::Reply(status, headers),
                );
                continue;
            }
            Due::Reply(status, headers) => {
                let step = reply(request, &at(now), status, &headers).unwrap();
                if let Step::Done = step {
                    answered.push((caller, now));
                    continue;
                }
                step
            }
        };
        match step {
            Step::Wait(pause) => schedule(&mut calendar, time + pause, caller, Due::Ask),
            Step::Token(_) => {
                retry(request, &at(now));
                let arrival_time = time + Duration::from_secs_f64(latency(caller));
                schedule(&mut calendar, arrival_time, caller, Due::Arrive);
            }
            step => panic!("{step:?}"),
        }
    }
    answered
}

fn server(requests: u32, window: f64, is_aligned: bool) -> Server {
    Server {
        requests,
        window,
        began: f64::MIN,
        served: 0,
        refused: Vec::new(),
        is_aligned,
    }
}

fn callers(answered: &[(usize, f64)]) -> Vec<usize> {
    answered.iter().map(|&(caller, _)| caller).collect()
}

#[test]
fn fifty_requests_with_a_configured_allowance_are_served_in_order_without_a_refusal() {
    let api = api().keeping(Allowance::new(10, 60));
    let mut server = server(10, 60.0, false);
    let answered = run(&api, &mut server, 50, |_| 0.05);
    assert!(server.refused.is_empty(), "{:?}", server.refused);
    assert_eq!(callers(&answered), (0..50).collect::<Vec<_>>());
    // Five windows, of which the last needs no wait.
    let (_, end) = answered.last().unwrap();
    assert!((240.0..244.0).contains(end), "{end}");
}

#[test]
fn unknown_limit_causes_at_most_one_burst_of_refusals() {
    let mut server = server(10, 60.0, false);
    let answered = run(&api(), &mut server, 50, |_| 0.05);
    assert_eq!(server.refused.len(), 40);
    assert!(
        server.refused.iter().all(|&when| when < 1.0),
        "{:?}",
        server.refused
    );
    assert_eq!(callers(&answered), (0..50).collect::<Vec<_>>());
    let (_, end) = answered.last().unwrap();
    assert!(*end < 250.0, "{end}");
}

#[test]
fn waiting_requests_are_spread_after_a_pause() {
    let mut server = server(10, 60.0, false);
    let mut times: Vec<f64> = run(&api(), &mut server, 30, |_| 0.0)
        .into_iter()
        .map(|(_, when)| when)
        .filter(|&when| when > 1.0)
        .collect();
    times.sort_by(f64::total_cmp);
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= 0.009, "{pair:?}");
    }
}

proptest! {
    /// For any window, delays and alignment: with a configured allowance no request is
    /// refused, and every request is served.
    #[test]
    fn no_request_is_refused_with_a_configured_allowance(
        requests in 1u32..20,
        window in 1u32..90,
        is_aligned: bool,
        count in 1usize..60,
        delays in prop::collection::vec(0.0f64..3.0, 60),
    ) {
        let api = api().keeping(Allowance::new(requests, window));
        let mut server = server(requests, f64::from(window), is_aligned);
        let answered = run(&api, &mut server, count, |caller| delays[caller]);
        prop_assert!(server.refused.is_empty(), "{:?}", server.refused);
        prop_assert_eq!(answered.len(), count);
    }

    /// Without a configured allowance too, every caller is served, with a limited number of refusals.
    #[test]
    fn all_requests_are_served_without_a_configured_allowance(
        requests in 1u32..20,
        window in 1u32..90,
        is_aligned: bool,
        count in 1usize..60,
        delays in prop::collection::vec(0.0f64..1.0, 60),
    ) {
        let mut server = server(requests, f64::from(window), is_aligned);
        let answered = run(&api(), &mut server, count, |caller| delays[caller]);
        prop_assert_eq!(answered.len(), count);
        prop_assert!(server.refused.len() <= count * 4, "{} refusals", server.refused.len());
    }
}
