//! The behaviour of clients created from presets.

use oauth_core::moment::UnixTime;
use oauth_core::quirk::Quirk;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::EndpointKind;
use oauth_core::{
    AuthorizationRequest, Client, ClientId, Error, Exchange, Input, Moment, Scope, Secret, Step,
};
use oauth_providers::{Provider, TokenOwner, names, provider};

type Outcome = Result<(), Error>;

fn now() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_750_000_000), [7; 32])
}

fn client(provider: &Provider) -> Result<Client, Error> {
    provider.client(ClientId::new("id+1"), Some(Secret::from("s+/%")))
}

/// The `Authorization` header and the body of the first request.
fn first<E: Exchange>(mut exchange: E) -> (Option<String>, String) {
    let Ok(Step::Send(request)) = exchange.resume(&now(), Input::Begin) else {
        panic!("no request");
    };
    let header = request.headers().get("authorization");
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    (header, String::from_utf8_lossy(request.body()).into_owned())
}

fn callback() -> RedirectUri {
    RedirectUri::parse("https://app.example/callback").expect("a good URI")
}

fn with_examples(name: &str) -> Result<Provider, Error> {
    let bare = provider(name)?;
    let values: Vec<_> = bare
        .variables()
        .map(|v| (v.name.clone(), v.example.clone()))
        .collect();
    values
        .into_iter()
        .try_fold(bare, |provider, (name, value)| provider.with(&name, &value))
}

#[test]
fn every_preset_can_be_moved_to_loopback() -> Outcome {
    let base = "http://127.0.0.1:1234";
    for name in names() {
        let real = with_examples(name)?;
        let moved = real.clone().on_loopback(base)?;
        let (real_server, server) = (real.server()?, moved.server()?);
        assert_eq!(server.issuer().url().origin(), base);
        assert_eq!(
            server.issuer().url().path(),
            real_server.issuer().url().path()
        );
        for &kind in EndpointKind::ALL {
            let path = |url: Result<&oauth_core::url::Url, Error>| {
                url.ok().map(|url| url.path_and_query().to_owned())
            };
            let url = server.endpoint(kind);
            assert!(url.is_err() || url.is_ok_and(|url| url.origin() == base));
            assert_eq!(
                path(server.endpoint(kind)),
                path(real_server.endpoint(kind))
            );
            if let Ok(url) = server.endpoint(kind) {
                assert_eq!(server.metadata()[kind.member()], url.as_str());
            }
        }
        for (root, real) in moved.api_roots()?.iter().zip(real.api_roots()?) {
            assert_eq!(root.as_str(), format!("{base}{}", real.path_and_query()));
        }
        assert!(moved.api_origins()?.iter().all(|origin| origin == base));
        assert!(!real_server.issuer().as_str().starts_with(base));
    }
    Ok(())
}

#[test]
fn only_loopback_ip_origins_are_accepted() -> Outcome {
    for (base, code) in [
        ("http://localhost:1234", "url.insecure"),
        ("http://192.0.2.1", "url.insecure"),
        ("https://as.example", "url.insecure"),
        ("http://127.0.0.1.evil.example", "url.insecure"),
        ("http://127.0.0.1:1234/path", "url.syntax"),
        ("http://127.0.0.1:1234/?q", "url.syntax"),
        ("http://a@127.0.0.1", "url.syntax"),
        ("127.0.0.1:1234", "url.syntax"),
        ("", "url.syntax"),
    ] {
        let moved = provider("socios")?.on_loopback(base).map(drop);
        assert_eq!(moved.expect_err(base).code(), code, "{base}");
    }
    let six = provider("socios")?.on_loopback("http://[::1]:8/")?;
    assert_eq!(six.issuer()?.as_str(), "http://[::1]:8");
    Ok(())
}

#[test]
fn multi_tenant_preset_moves_its_issuer_template() -> Outcome {
    let template = |provider: Provider| {
        let mut quirks = provider.server()?.rules().quirks.clone();
        quirks.retain(|quirk| matches!(quirk, Quirk::TenantIssuer(_)));
        Ok::<_, Error>(quirks)
    };
    let entra = provider("microsoft-entra")?;
    let moved = entra.clone().with("tenant", "common")?;
    assert_eq!(
        template(moved.on_loopback("http://127.0.0.1:9")?)?,
        [Quirk::TenantIssuer(
            "http://127.0.0.1:9/{tenantid}/v2.0".to_owned()
        )]
    );
    // For a single tenant the template would accept every other tenant.
    for tenant in [
        "9188040d-6c67-4c5b-b112-36a304b66dad",
        "contoso.onmicrosoft.com",
    ] {
        let one = template(entra.clone().with("tenant", tenant)?)?;
        assert_eq!(one, []);
    }
    Ok(())
}

#[test]
fn multi_tenant_preset_accepts_the_kind_of_accounts_that_was_chosen() -> Outcome {
    let issuer = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let personal = issuer("9188040d-6c67-4c5b-b112-36a304b66dad");
    let personal_in_capitals = issuer("9188040D-6C67-4C5B-B112-36A304B66DAD");
    let organization = issuer("72f988bf-86f1-41af-91ab-2d7cd011db47");
    let entra = provider("microsoft-entra")?;
    for (tenant, accepts_personal, accepts_organization) in [
        ("common", true, true),
        ("organizations", false, true),
        ("consumers", true, false),
        ("contoso.onmicrosoft.com", false, false),
    ] {
        let server = entra.clone().with("tenant", tenant)?.server()?;
        let is_accepted = |iss: &str| server.issuer().matches(iss, server.rules());
        assert_eq!(is_accepted(&personal), accepts_personal, "{tenant}");
        assert_eq!(is_accepted(&organization), accepts_organization, "{tenant}");
        if !accepts_personal {
            assert!(!is_accepted(&personal_in_capitals), "{tenant}");
        }
    }
    Ok(())
}

#[test]
fn credentials_are_sent_as_the_provider_documents_for_each_grant() -> Outcome {
    // base64 of `id+1:s+/%`, nothing form-encoded
    let raw = Some("Basic aWQrMTpzKy8l".to_owned());
    let socios = client(&provider("socios")?)?;
    assert_eq!(
        first(socios.client_credentials(Scope::none())),
        (raw, "grant_type=client_credentials".to_owned())
    );
    let (url, pending) = socios.authorize(&now(), AuthorizationRequest::new(callback()))?;
    let state = url
        .query()
        .and_then(|q| q.split('&').find(|p| p.starts_with("state=")));
    let back = format!(
        "{}?code=c&{}",
        callback().as_str(),
        state.expect("a state is sent")
    );
    let (header, body) = first(socios.redeem(pending, &back)?);
    assert_eq!(header, None);
    assert!(body.contains("client_id=id%2B1"), "{body}");
    assert!(body.contains("client_secret=s%2B%2F%25"), "{body}");
    for name in ["uservoice", "usertesting"] {
        let client = client(&with_examples(name)?)?;
        let (header, body) = first(client.client_credentials(Scope::none()));
        assert_eq!(header, None);
        assert!(body.contains("client_secret=s%2B%2F%25"), "{body}");
    }
    Ok(())
}

#[test]
fn unregistered_redirect_uri_is_refused() -> Outcome {
    let apps = provider("usertesting-apps")?.with("guid", "0oa1partnerapp2345678")?;
    let bare = client(&apps)?;
    let request = || AuthorizationRequest::new(callback());
    let refused = bare.authorize(&now(), request()).map(drop);
    assert_eq!(
        refused.expect_err("none is registered").code(),
        "redirect_uri.not_registered"
    );
    let other = RedirectUri::parse("https://app.example/callback/")?;
    let near = bare.clone().with_redirect_uris([other]);
    assert!(near.authorize(&now(), request()).is_err(), "not exactly it");
    let client = bare.with_redirect_uris([callback()]);
    let (url, _) = client.authorize(&now(), request())?;
    assert_eq!(url.path(), "/oauth2/0oa1partnerapp2345678/v1/authorize");
    assert!(!url.as_str().contains("client_secret"));
    // The example from the portal.
    let leak = client.authorize(&now(), request().extra("client_secret", "s+/%"));
    assert_eq!(
        leak.map(drop).expect_err("a secret in a URL").code(),
        "form.secret_in_url"
    );
    Ok(())
}

#[test]
fn challenge_as_verifier_option_repeats_the_challenge() -> Outcome {
    let uservoice = provider("uservoice")?.with("subdomain", "acme")?;
    let open = |provider: &Provider| {
        let client = provider.client(ClientId::new("id"), None)?;
        let (url, _) = client.authorize(&now(), AuthorizationRequest::new(callback()))?;
        Ok::<_, Error>(url.as_str().to_owned())
    };
    let url = open(&uservoice)?;
    assert!(url.contains("code_challenge=") && !url.contains("code_verifier"));
    let url = open(&uservoice.clone().option("challenge_as_verifier")?)?;
    let value = |name: &str| {
        let pair = url
            .split(['?', '&'])
            .find_map(|pair| pair.strip_prefix(name));
        pair.map(str::to_owned)
    };
    assert!(value("code_verifier=").is_some());
    assert_eq!(value("code_verifier="), value("code_challenge="));
    let unknown = uservoice.option("pkce_plain").map(drop);
    let unknown = unknown.expect_err("not documented");
    assert_eq!(unknown.code(), "provider.variable");
    assert_eq!(
        unknown.detail(),
        Some("no option `pkce_plain`: there is challenge_as_verifier")
    );
    Ok(())
}

#[test]
fn route_selects_the_token_owner() -> Outcome {
    let socios = provider("socios")?;
    for (path, whose) in [
        ("/wallet/1.0.0/user/wallet", TokenOwner::User),
        ("/user/polls", TokenOwner::User),
        ("/user/poll/7/vote", TokenOwner::User),
        ("/user", TokenOwner::User),
        ("/user/", TokenOwner::User),
        ("user", TokenOwner::User),
        ("//user//", TokenOwner::User),
        ("/a/user?x=1", TokenOwner::User),
        // An escaped letter equals that letter (RFC 3986 section 6.2.2.2).
        ("/%75ser/polls", TokenOwner::User),
        ("https://api-public.socios.com/user/polls", TokenOwner::User),
        ("/polls/1.0.0/polls", TokenOwner::Application),
        ("/polls/1.0.0/poll/7", TokenOwner::Application),
        ("/users/x", TokenOwner::Application),
        ("/x/my-user", TokenOwner::Application),
        ("/User/polls", TokenOwner::Application),
        ("/%55ser/polls", TokenOwner::Application),
        ("/polls?next=/user/polls", TokenOwner::Application),
        ("/polls#/user", TokenOwner::Application),
        ("https://user/polls", TokenOwner::Application),
        ("https://api-public.socios.com", TokenOwner::Application),
        ("", TokenOwner::Application),
        ("/", TokenOwner::Application),
    ] {
        assert_eq!(socios.token_for(path).unwrap(), whose, "{path}");
    }
    // Servers disagree about an escaped slash.
    let odd = socios.token_for("/a%2Fuser").unwrap_err();
    assert_eq!(odd.code(), "resource.route_ambiguous");
    assert_eq!(
        provider("usertesting")?.token_for("/user").unwrap(),
        TokenOwner::Any
    );
    Ok(())
}

#[test]
fn undocumented_authorization_parameters_are_refused() -> Outcome {
    let socios = provider("socios")?;
    for name in [
        "partner_tag",
        "referrer",
        "campaign",
        "param1",
        "param2",
        "param3",
    ] {
        socios.authorization_parameter(name)?;
    }
    for name in ["param4", "Referrer", "", "redirect_uri", "client_secret"] {
        let error = socios.authorization_parameter(name);
        let error = error.expect_err(name);
        assert_eq!(error.code(), "form.unlisted_parameter");
        assert_eq!(error.detail(), Some(name));
    }
    assert!(
        provider("uservoice")?
            .authorization_parameter("partner_tag")
            .is_err()
    );
    Ok(())
}

#[test]
fn secret_in_the_browser_is_refused_with_the_providers_reason() -> Outcome {
    let error = provider("uservoice")?.check_secret_in_browser();
    let error = error.expect_err("never in browser code");
    assert_eq!(error.code(), "client_auth.secret_not_allowed");
    assert!(error.to_string().contains("acts as the account owner"));
    Ok(())
}

#[test]
fn client_id_with_a_colon_is_refused_for_raw_basic() -> Outcome {
    let socios = provider("socios")?;
    let client = socios.client(ClientId::new("a:b"), Some(Secret::from("s")));
    assert_eq!(
        client.map(drop).expect_err("ambiguous").code(),
        "client_auth.colon_in_raw_id"
    );
    Ok(())
}

#[test]
fn keycloak_requires_iss_unless_the_callbacks_without_issuer_option_is_set() -> Outcome {
    let keycloak = || {
        provider("keycloak")?
            .with("host", "sso.example.com")?
            .with("realm", "staff")
    };
    assert!(keycloak()?.server()?.authorization_response_iss_supported());
    let old = keycloak()?.option("callbacks_without_issuer")?;
    assert!(!old.server()?.authorization_response_iss_supported());
    Ok(())
}

#[test]
fn value_of_the_wrong_form_is_refused_naming_the_expected_form() -> Outcome {
    for value in ["odd name", "M\u{fc}ller", "a+b", "odd%20name"] {
        let error = provider("keycloak")?.with("realm", value).map(drop);
        let detail = error
            .err()
            .and_then(|error| error.detail().map(str::to_owned));
        let expected = "realm: not a path_segment: letters, digits and any of - . _ ~";
        assert_eq!(detail.as_deref(), Some(expected), "{value}");
    }
    Ok(())
}

/// A provider file with a custom member for the refresh token expiry, which each refresh extends (B64).
const INTUIT: &str = r#"
name = "intuit"
title = "Intuit"
documentation = ["https://developer.intuit.com/app/developer/qbo/docs/develop/authentication-and-authorization/oauth-2.0"]
issuer = "https://oauth.platform.intuit.com/op/v1"
client_auth = "post"
grants = ["authorization_code", "refresh_token"]
quirks = [{ refresh_token_timeout_member = "x_refresh_token_expires_in" }]

[endpoints]
authorization_endpoint = "https://appcenter.intuit.com/connect/oauth2"
token_endpoint = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"
"#;

/// A rotated refresh token is kept alive by refreshing; one whose expiry counts from the login is not.
#[test]
fn provider_specific_refresh_token_lifetime_is_read() -> Outcome {
    for (name, member, extends) in [
        ("github", "refresh_token_expires_in", true),
        ("intuit", "x_refresh_token_expires_in", true),
        ("google", "refresh_token_expires_in", false),
        ("keycloak", "refresh_expires_in", true),
        ("linkedin", "refresh_token_expires_in", false),
        ("microsoft-entra", "refresh_token_expires_in", false),
        ("microsoft-entra-b2c", "refresh_token_expires_in", true),
    ] {
        let server = match name {
            // A provider without a preset, from a custom file (B64).
            "intuit" => Provider::from_toml(INTUIT)?.server()?,
            name => with_examples(name)?.server()?,
        };
        let auth = oauth_core::ClientAuth::post("s");
        let client = Client::new(server, ClientId::new("id"), auth)?;
        let mut refresh = client.refresh(&client.refresh_token("r", Scope::none()));
        assert!(matches!(
            refresh.resume(&now(), Input::Begin)?,
            Step::Send(_)
        ));
        let body = format!(
            r#"{{"access_token":"a","token_type":"Bearer","expires_in":60,"refresh_token":"r2","{member}":600}}"#
        );
        let reply =
            oauth_core::http::Response::builder().header("content-type", "application/json");
        let reply = reply.body(body.into()).expect("a reply");
        let Step::Done(tokens) = refresh.resume(&now(), Input::Reply(reply))? else {
            panic!("no tokens");
        };
        let end = Some(UnixTime::from_secs(1_750_000_600));
        let ends = (
            tokens.refresh_token_expires_at(),
            tokens.authorization_expires_at,
        );
        let expected = if extends { (end, None) } else { (None, end) };
        assert_eq!(ends, expected, "{name}");
    }
    Ok(())
}

#[test]
fn github_bad_refresh_token_means_invalid_grant() -> Outcome {
    let rules = provider("github")?.server()?.rules().clone();
    let known = Quirk::ErrorMeans("bad_refresh_token".into(), "invalid_grant".into());
    assert!(rules.has(&known));
    Ok(())
}
