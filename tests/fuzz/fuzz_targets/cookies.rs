#![no_main]
//! Any text as the cookies of a browser: they cause no sign-in and no redirect to another site.

use libfuzzer_sys::fuzz_target;
use oauth_fuzz::site::{End, session_cookie, visit};

fuzz_target!(|line: &str| {
    let (name, sealed) = session_cookie().split_once('=').expect("a cookie");
    let (count, sealed_text) = sealed
        .rsplit_once('.')
        .expect("a count, a generation and a sealed text");
    let cookies = [
        line.to_owned(),
        format!("{name}={line}"),
        format!("{name}={count}.{line}"),
        format!("{name}-tries={line}; {name}-out={line}; {name}-quiet={line}"),
    ];
    for cookies in cookies {
        for target in [
            "/me",
            "/auth/session",
            "/auth/callback?state=x&code=y",
            "/auth/logout/done?state=x",
        ] {
            let is_sealed_by_site = cookies.contains(sealed_text);
            match visit(target, &cookies) {
                Some(End::Passed { is_signed_in }) => {
                    assert!(is_sealed_by_site || !is_signed_in, "{cookies:?}")
                }
                Some(End::Forwarded(url)) => panic!("{url}"),
                Some(End::Replied) | None => {}
            }
        }
    }
});
