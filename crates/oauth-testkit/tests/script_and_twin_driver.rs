//! The two drivers without sockets.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::toy::MinimalExchange;
use oauth_core::error::{Delivery, Error};
use oauth_core::exchange::{Exchange, Input, SigningJob, Step};
use oauth_core::moment::Moment;
use oauth_testkit::script::Seen;
use oauth_testkit::{Fault, Script, Twin, TwinDriver};

const URL: &str = "https://as.test/token?q=S3CR3T";

fn minimal_exchange() -> MinimalExchange {
    MinimalExchange::post(URL, &[("a", "1 + 1"), ("secret", "S3CR3T")])
}

#[test]
fn a_script_is_played_in_order() {
    let script = Script::new()
        .at(1000)
        .lost()
        .elapsed()
        .json(200, "{}")
        .reply(500, &[], "never played");
    let run = script.run(minimal_exchange());
    assert_eq!((run.sends(), run.unused), (2, 1));
    assert_eq!(run.pauses(), [Duration::from_millis(2500)]);
    let sent = run.send(1).unwrap();
    assert_eq!(sent.url(), Some(URL));
    assert_eq!(sent.header("authorization"), Some("Bearer S3CR3T"));
    assert_eq!(sent.form("a").as_deref(), Some("1 + 1"));
    assert_eq!(sent.query("q").as_deref(), Some("S3CR3T"));
    let (at, reply) = run.outcome.unwrap();
    assert_eq!((at.as_secs(), reply.status().as_u16()), (1002, 200));
    assert_eq!(reply.headers()["content-type"], "application/json");
}

#[test]
fn the_clock_can_jump_between_lines() {
    let run = Script::new()
        .at(10)
        .lost()
        .at(5)
        .elapsed()
        .at(7)
        .reply(204, &[], "")
        .run(minimal_exchange());
    assert_eq!(run.outcome.unwrap().0.as_secs(), 7);
}

#[test]
fn a_script_can_end_early_and_send_events_out_of_order() {
    let run = Script::new().run(minimal_exchange());
    assert_eq!((run.code(), run.sends()), (Some("lost.unsent"), 1));
    assert_eq!(
        Script::new().signed("sig").run(minimal_exchange()).code(),
        Some("misuse.out_of_order")
    );
    let run = Script::new()
        .unsent()
        .elapsed()
        .too_large()
        .run(minimal_exchange());
    assert_eq!(run.code(), Some("reply.too_large"));
}

#[test]
fn a_transcript_shows_no_secret() {
    let run = Script::new()
        .lost()
        .elapsed()
        .reply(200, &[("x", "S3CR3T")], "S3CR3T")
        .run(minimal_exchange());
    assert!(!format!("{:?}", run.steps).contains("S3CR3T"));
    assert!(format!("{:?}", run.steps).contains("https://as.test/token"));
    assert!(
        !format!(
            "{:?}",
            Script::new().reply(200, &[("x", "S3CR3T")], "S3CR3T")
        )
        .contains("S3CR3T")
    );
}

struct Signs;

impl Exchange for Signs {
    type Output = Bytes;

    fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<Bytes>, Error> {
        match input {
            Input::Signed(signature) => Ok(Step::Done(signature)),
            Input::Lost(cause) => Err(Error::lost(cause)),
            _ => Ok(Step::Sign(SigningJob {
                key_id: "k".to_owned(),
                alg: "ES256",
                signing_input: Bytes::from_static(b"S3CR3T"),
                holder: None,
            })),
        }
    }
}

#[test]
fn signatures_are_scripted_and_the_twin_driver_has_no_keys() {
    let run = Script::new().signed("sig").run(Signs);
    assert!(matches!(&run.steps[..], [Seen::Sign { alg: "ES256", .. }]));
    assert_eq!(run.outcome.unwrap(), "sig");
    let error = TwinDriver::new(Twin::generic("https://as.test"))
        .run(Signs)
        .unwrap_err();
    assert_eq!(error.cause().unwrap().delivery(), Delivery::Unsent);
}

#[test]
fn the_twin_driver_advances_its_clock() {
    let mut driver = TwinDriver::new(Twin::generic("https://as.test")).at(100);
    // Two pauses of 2.5 seconds make five.
    for _ in 0..2 {
        driver.twin().inject(Fault::LostReply);
        let (_, reply) = driver
            .run(MinimalExchange::get("https://as.test/api/echo"))
            .unwrap();
        assert_eq!(reply.status(), 401);
    }
    assert_eq!(driver.now().as_secs(), 105);
    driver.advance(Duration::from_secs(5));
    assert_eq!(driver.moment().now().as_secs(), 110);
}

#[test]
fn a_twin_driver_reaches_only_its_own_twin() {
    let mut driver = TwinDriver::new(Twin::generic("https://as.test"));
    for url in [
        "https://as.test.evil.example/",
        "http://as.test/",
        "https://as.test:8443/",
    ] {
        let error = driver.run(MinimalExchange::get(url)).unwrap_err();
        assert_eq!(error.cause().unwrap().delivery(), Delivery::Unsent);
        let request = http::Request::get(url).body(Bytes::new()).unwrap();
        assert_eq!(driver.send(request).status(), 421);
        assert_eq!(driver.browse(url), None);
    }
    assert!(driver.twin().log().is_empty());
}

struct Endless;

impl Exchange for Endless {
    type Output = ();

    fn resume(&mut self, _: &Moment, _: Input) -> Result<Step<()>, Error> {
        Ok(Step::Sleep(Duration::from_secs(1)))
    }
}

#[test]
fn an_endless_exchange_is_stopped() {
    let mut driver = TwinDriver::new(Twin::generic("https://as.test"));
    assert_eq!(driver.run(Endless).unwrap_err().code(), "lost.unsent");
}
