#![allow(clippy::unwrap_used)] // tests may panic

mod id_tokens;
mod lifetimes;
mod quirks;

use super::*;
use crate::client::Client;
use crate::grant::Refresh;
use crate::testing::{
    client, client_with_quirks, error_code, json, reply, run_with_reply, strict_client,
};

fn tokens_from_reply(client: &Client, scope: &str, members: &str) -> Result<Tokens, Error> {
    let exchange = client.client_credentials(Scope::parse(scope).unwrap());
    let body = format!(r#"{{"access_token":"a","token_type":"Bearer"{members}}}"#);
    run_with_reply(exchange, json(200, &body))
}

#[test]
fn renamed_members_are_read_only_under_their_quirk() {
    let members = r#","expires":60"#;
    assert_eq!(
        tokens_from_reply(&client(), "", members)
            .unwrap()
            .expires_in,
        None
    );
    let with_form_quirk = client_with_quirks([Quirk::PlainFormResponse]);
    assert_eq!(
        tokens_from_reply(&with_form_quirk, "", members)
            .unwrap()
            .expires_in,
        Some(60)
    );
    let camel = client_with_quirks([Quirk::CamelCaseResponse]);
    let body = r#"{"accessToken":"a","TokenType":"Bearer","expiresIn":60,"id_token":"i","x":1}"#;
    let tokens = run_with_reply(camel.client_credentials(Scope::none()), json(200, body)).unwrap();
    assert_eq!(tokens.expires_in, Some(60));
    assert!(tokens.id_token.is_some() && tokens.extra.get("x").is_some());
    let twice = r#"{"accessToken":"a","access_token":"b","token_type":"Bearer"}"#;
    let twice = run_with_reply(camel.client_credentials(Scope::none()), json(200, twice));
    assert_eq!(error_code(twice).map(drop), Err("reply.duplicate_member"));
}

/// RFC 9396 section 7, for a client's own tokens and for a refresh.
#[test]
fn authorization_details_not_granted_are_warned_about() {
    let send = || {
        TokenRequest::new()
            .extra("authorization_details", r#"[{"type":"payment"}]"#)
            .unwrap()
    };
    let token = client().refresh_token("r", Scope::none());
    for (members, is_noted) in [
        ("", true),
        (r#","authorization_details":[{"type":"account"}]"#, true),
        (
            r#","authorization_details":[{"type":"account"},{"type":"payment","id":"1"}]"#,
            false,
        ),
    ] {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer"{members}}}"#);
        let client_tokens = run_with_reply(client().client_credentials(send()), json(200, &body));
        let refreshed = client().token(Refresh::new(token.clone()), send());
        for tokens in [client_tokens, run_with_reply(refreshed, json(200, &body))] {
            let warnings = tokens.unwrap().warnings;
            let has_warning = warnings.contains(&Warning::AuthorizationDetailsMissing);
            assert_eq!(has_warning, is_noted, "{members}");
        }
        // If none are requested, none are reported as missing.
        let plain = run_with_reply(client().client_credentials(Scope::none()), json(200, &body));
        assert_eq!(plain.unwrap().warnings, []);
    }
}

#[test]
fn scope_wider_than_requested_is_warned_about() {
    let widened = |requested_scope: &str, granted: &str| {
        let members = format!(r#","scope":"{granted}""#);
        let tokens = tokens_from_reply(&client(), requested_scope, &members).unwrap();
        tokens.warnings.contains(&Warning::ScopeWidened)
    };
    assert!(widened("a", "a b"));
    assert!(!widened("a b", "a"));
    assert!(!widened("a b", "b a"));
    assert!(!widened("", "a"));
    assert_eq!(Warning::ScopeWidened.code(), "scope_widened");
}

#[test]
fn tokens_with_control_or_non_ascii_characters_are_refused() {
    for (text, is_good) in [
        ("a~b", true),
        ("a b", true),
        (r"a\u007fb", false),
        (r"a\u001fb", false),
        (r"a\u0080b", false),
    ] {
        let members = format!(r#","refresh_token":"{text}""#);
        assert_eq!(
            tokens_from_reply(&client(), "", &members).is_ok(),
            is_good,
            "{text}"
        );
    }
}

#[test]
fn zero_expires_in_means_no_expiry_only_under_its_quirk() {
    let members = r#","expires_in":0"#;
    assert_eq!(
        tokens_from_reply(&client(), "", members)
            .unwrap()
            .expires_in,
        Some(0)
    );
    let forever = client_with_quirks([Quirk::ZeroLifetimeIsForever]);
    assert_eq!(
        tokens_from_reply(&forever, "", members).unwrap().expires_in,
        None
    );
    assert_eq!(
        tokens_from_reply(&forever, "", r#","expires_in":1"#)
            .unwrap()
            .expires_in,
        Some(1)
    );
}

#[test]
fn textual_expires_in_allows_digits_and_an_optional_fraction() {
    for (text, seconds) in [
        ("3600", Some(3600)),
        ("3600.5", Some(3600)),
        ("3600.", None),
        (".5", None),
        ("3600.x", None),
        ("36x0", None),
        ("+1", None),
    ] {
        let tokens =
            tokens_from_reply(&client(), "", &format!(r#","expires_in":"{text}""#)).unwrap();
        assert_eq!(tokens.expires_in, seconds, "{text}");
        assert_eq!(tokens.warnings.is_empty(), seconds.is_some(), "{text}");
    }
}

#[test]
fn malformed_scope_is_partly_read_with_a_warning_or_refused_by_strict_rules() {
    for (scope, expected_scope, is_odd, is_strict) in [
        (r#""a b""#, "a b", false, true),
        (r#""a  b""#, "a b", false, false),
        (r#""a b ""#, "a b", false, false),
        (r#""""#, "", false, true),
        (r#""a \"b c""#, "a c", true, false),
        (r#"["a","b"]"#, "a b", false, false),
        (r#"["a","b  c"]"#, "a b c", false, false),
        (r#"["a","\"b c"]"#, "a c", true, false),
    ] {
        let members = format!(r#","scope":{scope}"#);
        let tokens = tokens_from_reply(&client(), "", &members).unwrap();
        assert_eq!(tokens.scope.as_str(), expected_scope, "{scope}");
        assert_eq!(
            tokens.warnings.contains(&Warning::MalformedScope),
            is_odd,
            "{scope}"
        );
        assert_eq!(
            tokens_from_reply(&strict_client(), "", &members).is_ok(),
            is_strict,
            "{scope}"
        );
    }
    for scope in ["7", "[7]", "{}"] {
        let members = format!(r#","scope":{scope}"#);
        assert_eq!(
            error_code(tokens_from_reply(&client(), "", &members)).map(drop),
            Err("token_response.malformed")
        );
    }
    let commas = client_with_quirks([Quirk::ReplyScopeDelimiter(',')]);
    let tokens = tokens_from_reply(&commas, "", r#","scope":"a,b""#).unwrap();
    assert_eq!(tokens.scope.as_str(), "a b");
}

#[test]
fn scope_is_truncated_at_64_kib() {
    let long: String = (0..20_000).map(|n| format!("s{n} ")).collect();
    let members = format!(r#","scope":"{}""#, long.trim_end());
    let tokens = tokens_from_reply(&client(), "", &members).unwrap();
    assert!((60_000..=MAX_SCOPE).contains(&tokens.scope.as_str().len()));
    assert_eq!(tokens.warnings, [Warning::MalformedScope]);
    assert_eq!(
        error_code(tokens_from_reply(&strict_client(), "", &members)).map(drop),
        Err("token_response.malformed")
    );
}

#[test]
fn provider_error_code_is_mapped_by_its_quirk() {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = "error=bad_refresh_token&error_description=expired";
    let send = |client: Client| {
        let token = client.refresh_token("r1", Scope::none());
        run_with_reply(client.refresh(&token), reply(200, &form, body)).unwrap_err()
    };
    let expected = Quirk::ErrorMeans("bad_refresh_token".to_owned(), "invalid_grant".to_owned());
    let error = send(client_with_quirks([expected]));
    assert_eq!(
        (error.code(), error.advice().as_str()),
        ("denied.invalid_grant", "reauthorize")
    );
    let server_error = error.server_error().unwrap();
    assert_eq!(server_error.error(), Some("bad_refresh_token"));
    assert_eq!(send(client()).code(), "denied.other");
}

#[test]
fn refresh_refused_for_the_refresh_token_advises_reauthorization() {
    let advice = |status: u16, body: &str, headers: &[(&'static str, &str)]| {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        let token = client().refresh_token("r1", Scope::none());
        let refresh = run_with_reply(client().refresh(&token), reply(status, &all, body));
        let fresh = client().client_credentials(Scope::none());
        let fresh = run_with_reply(fresh, reply(status, &all, body));
        [refresh, fresh].map(|error| error.unwrap_err().advice().as_str())
    };
    let basic = [("www-authenticate", "Basic realm=\"x\"")];
    let person = ["reauthorize", "give_up"];
    let nobody = ["give_up", "give_up"];
    assert_eq!(
        advice(403, r#"{"error":"unauthorized_client"}"#, &[]),
        person
    );
    assert_eq!(
        advice(401, r#"{"error":"Unauthorized","code":"FST_X"}"#, &[]),
        person
    );
    assert_eq!(advice(401, "", &[]), person);
    assert_eq!(advice(401, "", &basic), nobody);
    // "not authorized to use this authorization grant type" (RFC 6749 section 5.2)
    assert_eq!(
        advice(400, r#"{"error":"unauthorized_client"}"#, &[]),
        nobody
    );
    // Keycloak's reply to a wrong secret.
    assert_eq!(
        advice(401, r#"{"error":"unauthorized_client"}"#, &[]),
        nobody
    );
    assert_eq!(advice(401, r#"{"error":"invalid_client"}"#, &[]), nobody);
    assert_eq!(advice(400, r#"{"error":"odd"}"#, &[]), nobody);
}

#[test]
fn refresh_scope_beyond_the_grant_is_refused() {
    let refresh = |granted: &str, requested_scope: &str| {
        let token = client().refresh_token("r1", Scope::parse(granted).unwrap());
        let scope = Scope::parse(requested_scope).unwrap();
        let exchange = client().token(Refresh::new(token), scope);
        let body = r#"{"access_token":"a","token_type":"Bearer"}"#;
        error_code(run_with_reply(exchange, json(200, body)))
            .map(|tokens| tokens.scope.as_str().to_owned())
    };
    assert_eq!(refresh("a b", ""), Ok("a b".to_owned()));
    assert_eq!(refresh("a b", "a"), Ok("a".to_owned()));
    assert_eq!(refresh("a b", "a c"), Err("scope.exceeds_grant"));
    // For a token imported from elsewhere, only the server knows the granted scope.
    assert_eq!(refresh("", "c"), Ok("c".to_owned()));
    // These scopes are requested at a login, but servers rarely list them as granted.
    assert_eq!(
        refresh("a", "a offline_access openid"),
        Ok("a offline_access openid".to_owned())
    );
}

#[test]
fn refresh_may_request_the_scope_requested_at_login() {
    // Requested "a b c", granted "a": the server may grant the rest later.
    let login =
        tokens_from_reply(&client(), "a b c", r#","scope":"a","refresh_token":"r1""#).unwrap();
    let refresh = |tokens: &Tokens, requested_scope: &str, reply: &str| {
        let token = tokens.refresh_token.clone().unwrap();
        let scope = Scope::parse(requested_scope).unwrap();
        error_code(run_with_reply(
            client().token(Refresh::new(token), scope),
            json(200, reply),
        ))
    };
    let plain = r#"{"access_token":"n","token_type":"Bearer","refresh_token":"r2"}"#;
    let restored = Tokens::from_json(login.to_json().expose()).unwrap();
    let renewed = refresh(&restored, "a", plain).unwrap();
    for tokens in [&login, &restored, &renewed] {
        let token = tokens.refresh_token.as_ref().unwrap();
        assert_eq!(token.scope().as_str(), "a");
        assert_eq!(token.requested().as_str(), "a b c");
        assert!(refresh(tokens, "b c", plain).is_ok());
        assert_eq!(
            refresh(tokens, "d", plain).map(drop),
            Err("scope.exceeds_grant")
        );
    }
    // Without a requested scope the refresh omits `scope`, and the earlier grant is kept.
    assert_eq!(refresh(&login, "", plain).unwrap().scope.as_str(), "a");

    // Tokens with the full scope keep their storage format.
    let whole = tokens_from_reply(&client(), "a", r#","scope":"a","refresh_token":"r1""#).unwrap();
    assert!(!whole.to_json().expose().contains("requested_scope"));
    let earlier = whole.to_json().expose().clone();
    let earlier = Tokens::from_json(&earlier).unwrap();
    assert_eq!(
        refresh(&earlier, "b", plain).map(drop),
        Err("scope.exceeds_grant")
    );
}

#[test]
fn access_token_bound_to_the_client_certificate_stores_its_thumbprint() {
    let client = client();
    let is_bound_to_certificate = |client: &Client| {
        let tokens = tokens_from_reply(client, "a", r#","expires_in":1"#).unwrap();
        tokens.to_json().expose().contains(r#""x5t_s256":"x5t""#)
    };
    assert!(is_bound_to_certificate(
        &client.clone().with_certificate("x5t")
    ));
    assert!(!is_bound_to_certificate(
        &client.clone().with_certificate("other")
    ));
    assert!(!is_bound_to_certificate(
        &client.with_certificate_bound_tokens()
    ));
}
