//! An API from a preset, driven with strings as from another language.

use std::time::Duration;

use oauth_core::Tokens;
use oauth_core::moment::{Moment, UnixTime};
use oauth_facade::{
    Allowance, Api, ApiCall, Attachment, BodyRepeat, Call, CallStep, Clock, OnRateLimit,
    RateLimitChoice, Redirects, Server, TokenOwner, Transport,
};

const POLLS: &str = "https://api-public.socios.com/polls/1.0.0/polls";
const USER_POLLS: &str = "https://api-public.socios.com/user/polls";
const RESULTS: &str = "https://api.use2.usertesting.com/api/v2/sessionResults/?testId=1";

fn at(seconds: u64) -> Clock {
    Clock {
        moment: Moment::fixed(UnixTime::from_secs(1_750_000_000 + seconds), [7; 32]),
        elapsed: Duration::from_secs(seconds),
    }
}

fn preset(name: &str) -> Server {
    Server::from_provider(oauth_providers::provider(name).unwrap()).unwrap()
}

fn call(url: &str) -> Call<'_> {
    Call {
        request: Attachment {
            url,
            ..Attachment::default()
        },
        ..Call::default()
    }
}

fn field(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

#[test]
fn preset_routes_select_the_token_owner() {
    let both = [TokenOwner::Application, TokenOwner::User];
    let api = preset("socios")
        .api(None, &both, RateLimitChoice::Nothing)
        .unwrap();
    assert_eq!(api.owner(POLLS).unwrap(), "application");
    assert_eq!(api.owner(USER_POLLS).unwrap(), "user");
    let elsewhere = api.owner("https://evil.example/user").unwrap_err();
    assert_eq!(elsewhere.code(), "resource.origin_not_allowed");

    let app = [TokenOwner::Application];
    let api = preset("socios")
        .api(None, &app, RateLimitChoice::Nothing)
        .unwrap();
    let mut request = ApiCall::new(&api, &call(USER_POLLS)).unwrap();
    let missing = request.begin(&at(0)).unwrap_err();
    assert_eq!(missing.code(), "resource.no_token_source");

    let one = preset("usertesting").api(None, &both, RateLimitChoice::Nothing);
    assert_eq!(one.unwrap_err().code(), "resource.no_token_source");
}

#[test]
fn request_steps_use_plain_strings() {
    let api = preset("socios").api(None, &[TokenOwner::User], RateLimitChoice::Nothing);
    let fragment = format!("{USER_POLLS}#top");
    let mut request = ApiCall::new(&api.unwrap(), &call(&fragment)).unwrap();
    assert_eq!(request.begin(&at(0)).unwrap(), CallStep::Token("user"));
    let sent = request.token(&at(0), &Tokens::bearer("abc")).unwrap();
    let expected = CallStep::Send {
        url: USER_POLLS.to_owned(),
        authorization: Some("Bearer abc".to_owned()),
        dpop: None,
    };
    assert_eq!(sent, expected);
    let step = request.reply(&at(0), 401, &[]).unwrap();
    assert_eq!(step, CallStep::Renew("user"));
    request.token(&at(0), &Tokens::bearer("def")).unwrap();
    assert_eq!(request.reply(&at(0), 200, &[]).unwrap(), CallStep::Done);
    assert_eq!(
        request.begin(&at(0)).unwrap_err().code(),
        "misuse.already_finished"
    );
}

#[test]
fn documented_rate_limit_is_kept_when_selected() {
    let any = [TokenOwner::Any];
    let api = preset("usertesting").api(None, &any, RateLimitChoice::Documented);
    let api = api.unwrap();
    let mut waiting = call(RESULTS);
    waiting.on_rate_limit = OnRateLimit::Wait {
        longest: Duration::from_secs(60),
    };
    for _ in 0..10 {
        let mut request = ApiCall::new(&api, &waiting).unwrap();
        assert_eq!(request.begin(&at(0)).unwrap(), CallStep::Token("any"));
        request.token(&at(0), &Tokens::bearer("abc")).unwrap();
        assert_eq!(request.reply(&at(0), 200, &[]).unwrap(), CallStep::Done);
    }
    let mut eleventh = ApiCall::new(&api, &waiting).unwrap();
    let pause = CallStep::Wait(Duration::from_secs(60));
    assert_eq!(eleventh.begin(&at(0)).unwrap(), pause);
    assert_eq!(eleventh.elapsed(&at(60)).unwrap(), CallStep::Token("any"));

    let mut impatient = ApiCall::new(&api, &call(RESULTS)).unwrap();
    let error = impatient.begin(&at(1)).unwrap_err();
    assert_eq!(error.code(), "resource.rate_limited");

    let none = preset("socios").api(None, &[TokenOwner::User], RateLimitChoice::Documented);
    assert_eq!(none.unwrap_err().code(), "api.rate_limit_undocumented");
}

#[test]
fn presets_reset_header_is_read() {
    let any = [TokenOwner::Any];
    let api = preset("usertesting")
        .api(None, &any, RateLimitChoice::Nothing)
        .unwrap();
    assert!(api.reads(b"X-RateLimit-Reset") && api.reads(b"WWW-Authenticate"));
    assert!(!api.reads(b"content-type"));
    let mut request = ApiCall::new(&api, &call(RESULTS)).unwrap();
    request.begin(&at(0)).unwrap();
    request.token(&at(0), &Tokens::bearer("abc")).unwrap();
    let error = request
        .reply(&at(2), 429, &field("X-RateLimit-Reset", "1750000042"))
        .unwrap_err();
    assert_eq!(error.advice().after(), Some(Duration::from_secs(40)));
}

#[test]
fn non_ascii_headers_are_accepted_and_such_a_redirect_is_not_followed() {
    let api = Api::new(&["https://api.example".to_owned()], Transport::Https).unwrap();
    let odd = field("x-name", "Zo\u{eb}");
    let mut call = call("https://api.example/a");
    call.request.headers = &odd;
    let mut request = ApiCall::new(&api, &call).unwrap();
    request.begin(&at(0)).unwrap();
    request.token(&at(0), &Tokens::bearer("abc")).unwrap();
    let step = request.reply(&at(0), 302, &field("location", "/Zo\u{eb}"));
    assert_eq!(step.unwrap(), CallStep::Done);
}

#[test]
fn streamed_body_is_not_resent_and_host_redirects_are_not_followed() {
    let api = Api::new(&["https://api.example".to_owned()], Transport::Https).unwrap();
    let mut call = call("https://api.example/a");
    call.body_repeat = BodyRepeat::Impossible;
    let mut request = ApiCall::new(&api, &call).unwrap();
    request.begin(&at(0)).unwrap();
    request.token(&at(0), &Tokens::bearer("abc")).unwrap();
    assert_eq!(
        request.reply(&at(0), 401, &[]).unwrap(),
        CallStep::DoneRefused
    );

    call.body_repeat = BodyRepeat::Possible;
    call.redirects = Redirects::Host;
    let mut request = ApiCall::new(&api, &call).unwrap();
    request.begin(&at(0)).unwrap();
    request.token(&at(0), &Tokens::bearer("abc")).unwrap();
    let step = request
        .reply(&at(0), 302, &field("location", "/b"))
        .unwrap();
    assert_eq!(step, CallStep::Done);
}

#[test]
fn custom_rate_limit_is_kept() {
    let origins = ["https://api.example".to_owned()];
    let api = Api::new(&origins, Transport::Https).unwrap();
    let api = api.keeping(Allowance::new(1, 5));
    let mut first = ApiCall::new(&api, &call("https://api.example/a")).unwrap();
    assert_eq!(first.begin(&at(0)).unwrap(), CallStep::Token("any"));
    first.token(&at(0), &Tokens::bearer("abc")).unwrap();
    first.reply(&at(0), 200, &[]).unwrap();
    let mut second = ApiCall::new(&api, &call("https://api.example/a")).unwrap();
    let error = second.begin(&at(1)).unwrap_err();
    assert_eq!(error.advice().after(), Some(Duration::from_secs(4)));
}

#[test]
fn api_beneath_a_url_excludes_other_paths_and_origins() {
    let api = Api::beneath("https://shop.example/orders", Transport::Https).unwrap();
    assert_eq!(api.owner("https://shop.example/orders/7").unwrap(), "any");
    let refused = |url| api.owner(url).unwrap_err().code();
    for beside in ["https://shop.example/", "https://shop.example/ordersX"] {
        assert_eq!(refused(beside), "resource.not_covered", "{beside}");
    }
    let elsewhere = refused("https://other.example/orders");
    assert_eq!(elsewhere, "resource.origin_not_allowed");
    let plain = Api::beneath("http://shop.example/orders", Transport::Https).unwrap_err();
    assert_eq!(plain.code(), "url.insecure");
    assert!(Api::beneath("http://127.0.0.1:1/orders", Transport::LoopbackHttp).is_ok());
}
