//! The user's identity at providers without OpenID Connect.

use std::sync::Arc;

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::workload::Environment;
use oauth_core::{Scope, Secret};
use oauth_providers::{ClientSettings, IdentityEndpoint, Provider, names, provider};

#[derive(Debug)]
struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<Secret<String>> {
        None
    }

    fn file(&self, _: &str) -> Result<Secret<String>, Cause> {
        Err(Cause::unsent("none"))
    }
}

fn settings(server: &str) -> Result<ClientSettings, Error> {
    let text = format!(r#"{{ {server}, "client_id": "shop" }}"#);
    let environment: Arc<dyn Environment> = Arc::new(Nothing);
    ClientSettings::from_json(&text, &environment)
}

fn found(name: &str, scope: &str) -> Result<Option<(IdentityEndpoint, Scope)>, Error> {
    let settings = settings(&format!(r#""provider": "{name}""#))?;
    settings.identity(&Scope::parse(scope)?)
}

#[test]
fn github_identity_endpoint_maps_its_claims() -> Result<(), Error> {
    let (endpoint, scope) = found("github", "")?.unwrap();
    assert_eq!(endpoint.url.as_str(), "https://api.github.com/user");
    assert_eq!(endpoint.subject, "id");
    let claims = [
        ("name", "name"),
        ("preferred_username", "login"),
        ("email", "email"),
        ("picture", "avatar_url"),
    ];
    let expected = claims.map(|(claim, member)| (claim.to_owned(), member.to_owned()));
    assert_eq!(endpoint.claims, expected);
    assert_eq!(scope, Scope::none());
    Ok(())
}

#[test]
fn openid_presets_have_no_separate_identity_endpoint() -> Result<(), Error> {
    let mut with_endpoint = Vec::new();
    for name in names() {
        let mut preset = provider(name)?;
        for variable in provider(name)?.variables() {
            preset = preset.with(&variable.name, &variable.example)?;
        }
        let endpoint = preset.identity()?;
        assert!(endpoint.is_none() || !preset.is_openid(), "{name}");
        if endpoint.is_some() {
            with_endpoint.push(name);
        }
        let wants_openid = preset.default_scope().contains("openid");
        assert!(preset.is_openid() || !wants_openid, "{name}");
    }
    let known = ["box", "docusign", "docusign-demo", "facebook", "github"];
    with_endpoint.sort_unstable();
    assert_eq!(with_endpoint, known);
    let (endpoint, scope) = found("docusign", "")?.unwrap();
    assert_eq!(endpoint.subject, "sub");
    assert_eq!(scope, Scope::parse("signature")?);
    let (endpoint, _) = found("facebook", "")?.unwrap();
    let url = "https://graph.facebook.com/v23.0/me?fields=id,name,email";
    assert_eq!(endpoint.url.as_str(), url);
    Ok(())
}

#[test]
fn provider_without_user_identity_is_refused_by_name() -> Result<(), Error> {
    for openid in [
        r#""provider": "google""#,
        r#""issuer": "https://as.example""#,
    ] {
        assert_eq!(settings(openid)?.identity(&Scope::none())?, None);
    }
    for name in ["slack", "withings"] {
        let error = found(name, "users:read").unwrap_err();
        assert_eq!(error.code(), Misuse::WebSetup.code());
        let detail = error.detail().unwrap_or_default();
        assert!(
            detail.contains(name) && detail.contains("OpenID"),
            "{detail}"
        );
        // An explicit `openid` scope overrides this.
        assert_eq!(found(name, "users:read openid")?, None);
    }
    // Unless the preset declares that there is no OpenID Connect.
    assert!(found("github", "openid")?.is_some());
    Ok(())
}

#[test]
fn custom_file_can_define_an_identity_endpoint() -> Result<(), Error> {
    let file = |identity: &str, scopes: &str| {
        Provider::from_toml(&format!(
            "name = \"acme\"\ntitle = \"Acme\"\nissuer = \"https://{{tenant}}.example\"\nclient_auth = \"post\"\n\
             grants = []\n[variables.tenant]\ntype = \"dns_label\"\ndescription = \"tenant\"\nexample = \"a\"\n\
             [endpoints]\n[scopes]\n{scopes}\n[identity]\n{identity}"
        ))
    };
    let me = "url = \"{issuer}/me\"\nsubject = \"id\"";
    let acme = file(me, "")?.with("tenant", "shop")?;
    let endpoint = acme.identity()?.unwrap();
    assert_eq!(endpoint.url.as_str(), "https://shop.example/me");
    assert_eq!(endpoint.claims, []);
    let moved = acme
        .on_loopback("http://127.0.0.1:8000")?
        .identity()?
        .unwrap();
    assert_eq!(moved.url.origin(), "http://127.0.0.1:8000");
    for (identity, scopes, culprit) in [
        (me, "openid = \"sign-in\"", "identity"),
        (
            "url = \"http://{tenant}.example/me\"\nsubject = \"id\"",
            "",
            "identity.url",
        ),
        ("url = \"{issuer}/me\"", "", "subject"),
        ("url = \"{realm}/me\"\nsubject = \"id\"", "", "identity.url"),
        (
            "url = \"{issuer}/me\"\nsubject = \"id\"\nlogo = \"a\"",
            "",
            "logo",
        ),
    ] {
        let error = file(identity, scopes).unwrap_err();
        assert_eq!(error.code(), Misuse::ProviderData.code(), "{identity}");
        let detail = error.detail().unwrap_or_default();
        assert!(detail.contains(culprit), "{detail}");
    }
    Ok(())
}
