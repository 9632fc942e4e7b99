#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::quirk::Rules;
use crate::testing::error_code;

const CB: &str = "https://app.example/cb";

fn uri() -> RedirectUri {
    RedirectUri::parse(CB).unwrap()
}

fn read(callback: &str, mode: ResponseMode) -> Result<Callback<'_>, &'static str> {
    error_code(Callback::read(callback, &uri(), mode))
}

#[test]
fn duplicate_response_parameter_is_refused_and_other_duplicates_ignored() {
    for name in RESPONSE_PARAMETERS {
        let callback = format!("{CB}?{name}=a&{name}=b");
        let error = Callback::read(&callback, &uri(), ResponseMode::Query).unwrap_err();
        assert_eq!(
            (error.code(), error.detail()),
            ("callback.duplicate_parameter", Some(name))
        );
    }
    let callback = format!("{CB}?code=c&utm=a&utm=b");
    assert_eq!(
        read(&callback, ResponseMode::Query).unwrap().code(),
        Some("c")
    );
}

#[test]
fn unused_parameters_may_have_any_encoding() {
    let callback = format!("{CB}?n%E9e=a&code=c&city=N%EEmes&%FF");
    let read = |callback| read(callback, ResponseMode::Query);
    assert_eq!(read(&callback).unwrap().code(), Some("c"));
    let state = format!("{CB}?code=c&st%61te=%FF");
    assert_eq!(read(&state).err(), Some("callback.encoding"));
}

#[test]
fn empty_parameter_value_is_treated_as_absent() {
    let callback = format!("{CB}?code=&error=&iss=&state=");
    let callback = read(&callback, ResponseMode::Query).unwrap();
    assert!(callback.is_empty() && callback.refusal().is_none());
    assert_eq!((callback.code(), callback.issuer()), (None, None));
    // An empty state matches no flow.
    assert!(!callback.has_state(&"".into()));
}

#[test]
fn callback_larger_than_64_kib_is_refused() {
    let head = format!("{CB}?code=");
    let longest = format!("{head}{}", "c".repeat(MAX_CALLBACK - head.len()));
    assert!(read(&longest, ResponseMode::Query).is_ok());
    let longer = format!("{longest}c");
    assert_eq!(
        read(&longer, ResponseMode::Query).err(),
        Some("callback.too_large")
    );
}

#[test]
fn only_the_part_of_the_response_mode_is_read() {
    let both = format!("{CB}?code=query#code=fragment");
    let code_in_mode = |mode| read(&both, mode).unwrap().code().map(str::to_owned);
    assert_eq!(code_in_mode(ResponseMode::Query).as_deref(), Some("query"));
    assert_eq!(
        code_in_mode(ResponseMode::FormPost).as_deref(),
        Some("query")
    );
    assert_eq!(
        code_in_mode(ResponseMode::Fragment).as_deref(),
        Some("fragment")
    );
    let form = read("code=form&state=s", ResponseMode::FormPost).unwrap();
    assert_eq!(form.code(), Some("form"));
}

#[test]
fn invalid_utf_8_in_a_response_parameter_is_refused() {
    let callback = format!("{CB}?code=%FF");
    assert_eq!(
        read(&callback, ResponseMode::Query).err(),
        Some("callback.encoding")
    );
}

#[test]
fn error_response_is_read_with_description_and_uri() {
    let callback = format!(
        "{CB}?error=access_denied&error_description=not+today&error_uri=https://as.example/why"
    );
    let refusal = read(&callback, ResponseMode::Query)
        .unwrap()
        .refusal()
        .unwrap();
    assert_eq!(refusal.error(), Some("access_denied"));
    assert_eq!(refusal.description(), Some("not today"));
    assert_eq!(refusal.uri(), Some("https://as.example/why"));
}

#[test]
fn every_issuer_in_the_response_must_match() {
    let issuer = Issuer::parse("https://as.example").unwrap();
    let check = |is_required, named: &[Option<&str>]| {
        let named = named.iter().copied();
        error_code(check_issuers(
            &issuer,
            &Rules::default(),
            is_required,
            named,
        ))
    };
    let (expected, other) = (Some("https://as.example"), Some("https://other.example"));
    assert_eq!(check(true, &[expected, None, expected]), Ok(()));
    assert_eq!(check(true, &[expected, other]), Err("callback.issuer"));
    assert_eq!(check(false, &[other]), Err("callback.issuer"));
    assert_eq!(check(true, &[None, None]), Err("callback.missing_issuer"));
    assert_eq!(check(false, &[]), Ok(()));
}

#[test]
fn debug_shows_parameter_names_without_values() {
    let callback = format!("{CB}?code=S3CR3T&state=also");
    let shown = format!("{:?}", read(&callback, ResponseMode::Query).unwrap());
    assert_eq!(shown, r#"{"code", "state"}"#);
}
