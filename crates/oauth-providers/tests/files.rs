//! The format of provider files: built-in files, custom files, and the errors for invalid ones.

use std::collections::BTreeSet;

use oauth_core::error::Misuse;
use oauth_core::quirk::Quirk;
use oauth_core::server::EndpointKind;
use oauth_core::{Error, Secret};
use oauth_providers::{Discovery, Provider, TokenOwner, names, provider};

const OWN: &str = r#"
name = "acme"
title = "Acme"
documentation = ["https://docs.acme.example/oauth"]
issuer = "https://{tenant}.login.acme.example/{realm}"
discovery = ["openid_appended"]
client_auth = "none"
public_clients = true
grants = ["authorization_code"]
quirks = ["camel_case_response", { bearer_alias = "User Token" }, { scope_delimiter = "," }]
api = ["https://api.acme.example/v1/", "https://api.acme.example/v2/", "https://{tenant}.acme.example/"]
default_scope = "read write"

[variables.tenant]
type = "dns_label"
description = "the tenant"
example = "staff"

[variables.realm]
type = "path_segment"
description = "the realm"
example = "main"
default = "main"

[endpoints]
authorization_endpoint = "{issuer}/authorize"
token_endpoint = "https://{tenant}.login.acme.example/token?realm=x"

[metadata]
code_challenge_methods_supported = ["S256"]
acr_values_supported = ["a"]

[scopes]
read = "reading"

[tokens]
access_token_lifetime = 60
refresh_token_lifetime = 3600
rotates_refresh_token = true
example_response = '{}'

[callback]
requires_registered_redirect_uris = true

[rate_limit]
allowance = { requests = 3, seconds = 1 }
reset_header = "Retry-After"

[authorization_parameters]
audience = "the API"

[token_parameters]
tenant = "whose data"

[options.json]
description = "sends JSON"
quirks = ["json_request"]

[token_route]
user_segments = ["me", "user"]

[browser]
client_secret = "allowed"
reason = "it is no secret"

[[source]]
fact = "all of it"
from = "https://docs.acme.example/oauth"
checked = true
"#;

#[test]
fn custom_file_supports_every_setting() -> Result<(), Error> {
    let acme = Provider::from_toml(OWN)?.with("tenant", "Staff")?;
    assert_eq!((acme.name(), acme.title()), ("acme", "Acme"));
    assert_eq!(acme.documentation(), ["https://docs.acme.example/oauth"]);
    assert_eq!(acme.discovery(), [Discovery::OpenidAppended]);
    let server = acme.clone().option("json")?.option("json")?.server()?;
    assert_eq!(
        server.issuer().as_str(),
        "https://staff.login.acme.example/main"
    );
    assert_eq!(
        server.endpoint(EndpointKind::Authorization)?.as_str(),
        "https://staff.login.acme.example/main/authorize"
    );
    assert_eq!(
        server.endpoint(EndpointKind::Token)?.as_str(),
        "https://staff.login.acme.example/token?realm=x"
    );
    assert_eq!(server.metadata()["acr_values_supported"][0], "a");
    assert_eq!(
        server.rules().quirks,
        [
            Quirk::CamelCaseResponse,
            Quirk::BearerAlias("User Token".to_owned()),
            Quirk::ScopeDelimiter(','),
            Quirk::JsonRequest,
        ]
    );
    assert_eq!(
        acme.api_origins()?,
        ["https://api.acme.example", "https://staff.acme.example"]
    );
    assert_eq!(acme.default_scope().as_str(), "read write");
    assert_eq!(acme.scopes()[0].description, "reading");
    assert_eq!(acme.access_token_lifetime(), Some(60));
    assert_eq!(acme.refresh_token_lifetime(), Some(3600));
    assert!(acme.rotates_refresh_token());
    assert!(acme.requires_registered_redirect_uris());
    assert_eq!(
        acme.rate_limit()
            .and_then(|limit| limit.allowance)
            .map(|allowance| allowance.requests),
        Some(3)
    );
    acme.authorization_parameter("audience")?;
    assert!(acme.token_parameters().eq([("tenant", "whose data")]));
    assert_eq!(acme.token_for("/v1/me").unwrap(), TokenOwner::User);
    acme.check_secret_in_browser()?;
    assert_eq!(acme.client_auth(None)?.name(), "none");
    let refused = acme.client_auth(Some(Secret::from("s"))).map(drop);
    assert_eq!(
        refused.expect_err("no client has a secret").code(),
        "client_auth.secret_not_allowed"
    );
    assert!(acme.sources()[0].checked);
    Ok(())
}

#[test]
fn minimal_file_has_safe_defaults() -> Result<(), Error> {
    let small = Provider::from_toml(
        r#"
        name = "small"
        title = "Small"
        issuer = "https://as.example"
        client_auth = "basic"
        grants = ["client_credentials"]
        "#,
    )?;
    let error = small.check_secret_in_browser().expect_err("silence is no");
    assert_eq!(error.code(), "client_auth.secret_not_allowed");
    let error = small
        .client_auth(None)
        .map(drop)
        .expect_err("no public clients");
    assert_eq!(error.code(), "client_auth.required");
    assert_eq!(small.token_for("/user").unwrap(), TokenOwner::Any);
    assert!(small.server()?.rules().quirks.is_empty());
    Ok(())
}

/// `OWN` with one string replaced must be refused, and the error must name `culprit`.
fn refused(from: &str, to: &str, culprit: &str) {
    assert!(OWN.contains(from), "{from}");
    let text = OWN.replacen(from, to, 1);
    let error = Provider::from_toml(&text).map(drop).expect_err(to);
    assert_eq!(error.code(), Misuse::ProviderData.code(), "{error}");
    let detail = error.detail().unwrap_or_default();
    assert!(detail.contains(culprit), "{detail} does not say {culprit}");
}

#[test]
fn unknown_member_is_refused_by_name() {
    refused("title =", "subtitle = \"x\"\ntitle =", "subtitle");
    refused(
        "example = \"staff\"",
        "example = \"staff\"\nname = \"x\"",
        "name",
    );
    refused("checked = true", "checked = true\nseen = 1", "seen");
    refused("reason =", "why = 1\nreason =", "why");
    refused("[tokens]", "[tokens]\nlifetime = 1", "lifetime");
    refused("requests = 3,", "requests = 3, per = 1,", "per");
    refused("token_endpoint =", "token_url =", "token_url");
    refused("\"camel_case_response\"", "\"snake\"", "snake");
    refused("[callback]", "[call_back]", "call_back");
}

#[test]
fn member_of_the_wrong_type_or_form_is_refused_by_name() {
    refused(
        "public_clients = true",
        "public_clients = 1",
        "public_clients",
    );
    refused("public_clients = true", "", "public_clients");
    refused("title = \"Acme\"", "", "title");
    refused("name = \"acme\"", "name = \"Acme Inc\"", "name");
    refused("name = \"acme\"", "name = \"\"", "name: lower-case");
    refused("\"none\"", "\"digest\"", "digest");
    refused(
        "refresh_token_lifetime = 3600",
        "refresh_token_lifetime = -1",
        "refresh_token_lifetime",
    );
    refused("\"read write\"", "'rea\"d'", "default_scope");
    refused("read = \"reading\"", "\"a b\" = \"reading\"", "scopes.a b");
    refused(
        "https://docs.acme.example/oauth\"]",
        "http://docs.acme.example\"]",
        "documentation",
    );
    refused("'{}'", "'[]'", "example_response");
    refused("\"me\"", "\"a/b\"", "user_segments");
    refused(
        "acr_values_supported",
        "token_endpoint",
        "metadata.token_endpoint",
    );
    refused("acr_values_supported", "issuer", "metadata.issuer");
    refused("title = \"Acme\"", "title = \"Acme", "line 3");
}

#[test]
fn variables_must_be_declared_and_in_an_allowed_place() {
    refused(
        "{issuer}/authorize",
        "{issuer}/{other}",
        "endpoints.authorization_endpoint: no variable is called other",
    );
    refused(
        "https://{tenant}.acme.example/",
        "https://{realm}.acme.example/",
        "api: realm cannot stand",
    );
    refused(
        "{issuer}/authorize",
        "https://as.example/{tenant}",
        "tenant cannot stand",
    );
    refused(
        "{issuer}/authorize",
        "https://as.example/{issuer}",
        "issuer cannot stand",
    );
    refused(
        "{issuer}/authorize",
        "{issuer}.evil.example/",
        "followed by a path",
    );
    refused(
        "{issuer}/authorize",
        "{issuer}{realm}",
        "followed by a path",
    );
    refused("{issuer}/authorize", "{issuer", "unclosed");
    refused(
        "{issuer}/authorize",
        "http{realm}://as.example",
        "before ://",
    );
    refused(
        "https://{tenant}.login.acme.example/{realm}",
        "{issuer}",
        "issuer: no variable",
    );
    refused(
        "https://{tenant}.login.acme.example/{realm}",
        "https://{tenant}.login.acme.example",
        "variables.realm",
    );
    refused(
        "[variables.realm]",
        "[variables.issuer]",
        "variables.issuer",
    );
    refused(
        "example = \"main\"",
        "example = \"a/b\"",
        "variables.realm.example",
    );
    refused(
        "default = \"main\"",
        "default = \"..\"",
        "variables.realm.default",
    );
    refused(
        "default = \"main\"",
        "values = [\"a b\"]",
        "variables.realm.values",
    );
    // A listed word is a tenant, but it may not be a path of its own.
    refused(
        "type = \"path_segment\"\ndescription = \"the realm\"\nexample = \"main\"\ndefault = \"main\"",
        "type = \"tenant\"\ndescription = \"-\"\nexample = \"a.example\"\nvalues = [\"a/b\"]",
        "variables.realm.values",
    );
    // A value in another spelling would differ from what is sent.
    refused(
        "example = \"staff\"",
        "example = \"Staff\"",
        "variables.tenant.example",
    );
}

#[test]
fn insecure_urls_are_refused() {
    refused(
        "https://{tenant}.login.acme.example/{realm}",
        "http://{tenant}.login.acme.example/{realm}",
        "issuer",
    );
    refused(
        "\"https://{tenant}.login.acme.example/token?realm=x\"",
        "\"http://as.example/token\"",
        "token_endpoint",
    );
    refused(
        "https://{tenant}.login.acme.example/token",
        "https://a@{tenant}.acme.example/token",
        "token_endpoint",
    );
    refused(
        "https://{tenant}.login.acme.example/token",
        "http://127.0.0.1/token",
        "token_endpoint",
    );
    refused(
        "https://api.acme.example/v1/",
        "http://api.acme.example/",
        "api",
    );
}

#[test]
fn every_built_in_file_is_complete_and_embedded() -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for name in names() {
        let provider = provider(name)?;
        assert_eq!(provider.name(), name);
        assert!(seen.insert(name), "{name} stands twice");
        assert!(!provider.title().is_empty(), "{name}");
        assert!(!provider.documentation().is_empty(), "{name}");
        assert!(!provider.sources().is_empty(), "{name}");
        assert!(!provider.grants().is_empty(), "{name}");
        let error = provider.check_secret_in_browser();
        let error = error.expect_err("a page keeps no secret");
        assert_eq!(error.code(), "client_auth.secret_not_allowed");
        // A detail is truncated to 200 characters, so a longer reason would lose its end.
        assert!(error.detail().is_some_and(|reason| reason.len() < 200));
        for text in provider.sources().iter().flat_map(|s| [&s.fact, &s.from]) {
            assert!(!text.is_empty(), "{name}");
        }
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/providers"));
    let files = files.expect("the folder is there").count();
    assert_eq!(files, seen.len(), "a file is not embedded");
    Ok(())
}

#[test]
fn unknown_preset_error_suggests_similar_names() {
    let detail = |name: &str| {
        let error = provider(name).map(drop).expect_err(name);
        assert_eq!(error.code(), "provider.unknown");
        error.detail().unwrap_or_default().to_owned()
    };
    assert_eq!(detail("uservoise"), "`uservoise`; did you mean uservoice?");
    assert_eq!(
        detail("microsoft"),
        "`microsoft`; did you mean microsoft-entra or microsoft-entra-b2c?"
    );
    assert_eq!(
        detail("UserTesting"),
        "`UserTesting`; did you mean usertesting?"
    );
    // A detail is truncated to 200 characters, but names are never cut.
    for unknown_name in ["nothing-like-it", "", &"\u{e4}".repeat(50)] {
        let message = detail(unknown_name);
        let (_, list) = message.split_once("; the known ones are ").expect("a list");
        let (shown, more) = list.split_once(", and ").expect("not all of them");
        let shown: Vec<_> = shown.split(", ").collect();
        assert!(
            shown
                .iter()
                .eq(names().take(shown.len()).collect::<Vec<_>>().iter())
        );
        let remaining = names().count() - shown.len();
        assert_eq!(more, format!("{remaining} more"), "{message}");
        assert!(
            message.chars().count() <= 200 && shown.len() > 5,
            "{message}"
        );
    }
}

#[test]
fn invalid_user_segments_variable_names_and_examples_are_refused() {
    let read_changed = |from: &str, to: &str| {
        assert!(OWN.contains(from), "{from}");
        Provider::from_toml(&OWN.replacen(from, to, 1)).map(drop)
    };
    for segment in ["", "a/b", "a?b", "a#b"] {
        let list = format!(r#"user_segments = ["me", "{segment}"]"#);
        let error = read_changed(r#"user_segments = ["me", "user"]"#, &list).expect_err(segment);
        assert!(
            error.to_string().contains("token_route.user_segments"),
            "{error}"
        );
    }
    for name in ["issuer", "Realm", "re-alm", "\"\""] {
        let table = format!("[variables.{name}]");
        let error = read_changed("[variables.realm]", &table).expect_err(name);
        assert_eq!(error.code(), "provider.data", "{name}");
    }
    // An example must produce a usable issuer, endpoints and API.
    assert!(read_changed(r#"example = "main""#, r#"example = "a b""#).is_err());
    assert!(read_changed(r#""{issuer}/authorize""#, r#""{issuer}x/authorize""#).is_err());
    assert!(read_changed(r#""{issuer}/authorize""#, r#""x{issuer}/authorize""#).is_err());
}

#[test]
fn grant_types_supported_in_metadata_takes_precedence() -> Result<(), Error> {
    let result_for = |text: &str| {
        let server = Provider::from_toml(text)?.with("tenant", "a")?.server()?;
        Ok::<_, Error>(server.grant_types())
    };
    assert_eq!(result_for(OWN)?, ["authorization_code"]);
    let changed_file = OWN.replace(
        "[metadata]",
        "[metadata]\ngrant_types_supported = [\"password\"]",
    );
    assert_eq!(result_for(&changed_file)?, ["password"]);
    Ok(())
}
