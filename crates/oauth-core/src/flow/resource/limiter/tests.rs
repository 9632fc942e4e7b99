//! What is inferred from replies, one rule each.
#![allow(clippy::unwrap_used, clippy::float_cmp)] // tests may panic

use super::*;
use crate::moment::UnixTime;

const START: u64 = 1_750_000_000;

fn at(seconds: u64) -> Clock {
    Clock {
        moment: Moment::fixed(UnixTime::from_secs(START + seconds), [7; 32]),
        elapsed: Duration::from_secs(seconds),
    }
}

fn ticket(limiter: &RateLimiter) -> Ticket {
    limiter.ticket("https://api.example")
}

/// Sends one request and receives a reply.
fn send_request(limiter: &RateLimiter, seconds: u64, fields: &[(&'static str, &str)]) {
    let ticket = ticket(limiter);
    assert_eq!(ticket.admit(at(seconds).elapsed, Queueing::Waits), None);
    let pause = ticket.note_reply(&at(seconds), StatusCode::OK, &headers(fields));
    assert_eq!(pause, None);
}

fn refused(limiter: &RateLimiter, seconds: u64, fields: &[(&'static str, &str)]) -> u64 {
    let ticket = ticket(limiter);
    assert_eq!(ticket.admit(at(seconds).elapsed, Queueing::None), None);
    let status = StatusCode::TOO_MANY_REQUESTS;
    let pause = ticket.note_reply(&at(seconds), status, &headers(fields));
    pause.unwrap().as_secs()
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let read = |&(name, value): &(&'static str, &str)| {
        let name = http::HeaderName::from_static(name);
        (name, value.parse().unwrap())
    };
    fields.iter().map(read).collect()
}

fn waits(ticket: &Ticket, seconds: u64) -> f64 {
    let pause = ticket.admit(at(seconds).elapsed, Queueing::Waits);
    pause.unwrap_or_default().as_secs_f64()
}

#[test]
fn queued_requests_wait_for_one_window_each() {
    let limiter = RateLimiter::default().keeping(Allowance::new(1, 60));
    send_request(&limiter, 0, &[]);
    let queue: Vec<Ticket> = (0..3).map(|_| ticket(&limiter)).collect();
    let pauses: Vec<f64> = queue.iter().map(|ticket| waits(ticket, 0)).collect();
    assert_eq!(pauses, [60.0, 120.0, 180.0]);
}

#[test]
fn ratelimit_policy_of_the_server_is_respected() {
    let limiter = RateLimiter::default();
    send_request(&limiter, 0, &[("ratelimit-policy", "\"default\";q=1;w=30")]);
    assert_eq!(waits(&ticket(&limiter), 10), 20.0);
    // The slower of two limits applies.
    for allowance in [Allowance::new(1, 60), Allowance::new(9, 60)] {
        let limiter = RateLimiter::default().keeping(allowance);
        send_request(&limiter, 0, &[("ratelimit-policy", "\"default\";q=1;w=30")]);
        let window = if allowance.requests == 1 { 60.0 } else { 30.0 };
        assert_eq!(waits(&ticket(&limiter), 0), window);
    }
}

#[test]
fn retry_after_of_zero_is_treated_as_one_second() {
    let limiter = RateLimiter::default();
    assert_eq!(refused(&limiter, 0, &[("retry-after", "0")]), 1);
    assert_eq!(waits(&ticket(&limiter), 0), 1.0);
}

/// An observed limit is a guess, so no request is refused for it.
#[test]
fn estimated_limit_delays_only_waiting_requests() {
    let limiter = RateLimiter::default();
    send_request(&limiter, 0, &[]);
    assert_eq!(refused(&limiter, 0, &[("retry-after", "60")]), 60);
    send_request(&limiter, 60, &[]);
    let impatient = ticket(&limiter);
    assert_eq!(impatient.admit(at(61).elapsed, Queueing::None), None);
    drop(impatient);
    assert!(waits(&ticket(&limiter), 61) > 50.0);
}

/// A request long ago is not part of the window of a refusal.
#[test]
fn old_request_does_not_extend_the_estimated_window() {
    let limiter = RateLimiter::default();
    send_request(&limiter, 0, &[]);
    send_request(&limiter, 1_000, &[]);
    assert_eq!(refused(&limiter, 1_000, &[("retry-after", "60")]), 60);
    send_request(&limiter, 1_060, &[]);
    assert_eq!(waits(&ticket(&limiter), 1_060), 60.0);
}

/// After a pause the server starts a new count, and so does the limiter.
#[test]
fn window_starts_when_a_pause_ends() {
    let limiter = RateLimiter::default();
    send_request(&limiter, 0, &[]);
    send_request(&limiter, 0, &[]);
    assert_eq!(refused(&limiter, 0, &[("retry-after", "20")]), 20);
    send_request(&limiter, 20, &[]);
    assert_eq!(refused(&limiter, 20, &[("retry-after", "20")]), 20);
    send_request(&limiter, 40, &[]);
    assert_eq!(waits(&ticket(&limiter), 40), 20.0);
}
