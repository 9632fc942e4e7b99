//! Every value documented by the owners of the four systems, as contained in the presets.

use oauth_core::quirk::Quirk;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Error, Scope, Secret};
use oauth_providers::{Discovery, Provider, RateLimit, TokenOwner, provider};

type Outcome = Result<(), Error>;

fn endpoint(server: &Server, kind: EndpointKind) -> &str {
    server.endpoint(kind).map_or("", |url| url.as_str())
}

/// The server has these endpoints and no others.
fn assert_endpoints(server: &Server, expected: &[(EndpointKind, &str)]) {
    for &kind in EndpointKind::ALL {
        let url = expected.iter().find(|(known, _)| *known == kind);
        let url = url.map_or("", |(_, url)| url);
        assert_eq!(endpoint(server, kind), url, "{}", kind.member());
        let metadata = server.metadata().get(kind.member());
        assert_eq!(
            metadata
                .and_then(|server_error| server_error.as_str())
                .unwrap_or(""),
            url
        );
    }
}

fn limit(limit: &RateLimit) -> (Option<(u32, u32)>, &str) {
    let allowance = limit.allowance.map(|a| (a.requests, a.seconds));
    (allowance, &limit.reset_header)
}

fn methods(provider: &Provider) -> Result<[&'static str; 2], Error> {
    let with = provider.client_auth(Some(Secret::from("s")))?.name();
    let without = provider.client_auth(None);
    Ok([
        with,
        without.map_or_else(|error| error.code(), |auth| auth.name()),
    ])
}

fn scopes(provider: &Provider) -> Vec<&str> {
    let scopes = provider.scopes().iter();
    scopes.map(|scope| scope.name.as_str()).collect()
}

fn facts(provider: &Provider) -> String {
    let facts = provider.sources().iter().map(|source| source.fact.as_str());
    facts.collect::<Vec<_>>().join("\n")
}

#[test]
fn uservoice() -> Outcome {
    let provider = provider("uservoice")?.with("subdomain", "acme")?;
    let server = provider.server()?;
    assert_eq!(server.issuer().as_str(), "https://acme.uservoice.com");
    assert_endpoints(
        &server,
        &[
            (
                EndpointKind::Authorization,
                "https://acme.uservoice.com/api/v2/oauth/auth",
            ),
            (
                EndpointKind::Token,
                "https://acme.uservoice.com/api/v2/oauth/token",
            ),
        ],
    );
    assert_eq!(provider.api_origins()?, ["https://acme.uservoice.com"]);
    let roots = provider.api_roots()?;
    assert_eq!(
        roots.iter().map(|url| url.as_str()).collect::<Vec<_>>(),
        ["https://acme.uservoice.com/api/v2/"]
    );
    assert_eq!(methods(&provider)?, ["client_secret_post", "none"]);
    assert_eq!(
        provider.grants(),
        ["client_credentials", "authorization_code"]
    );
    assert_eq!(server.grant_types(), provider.grants());
    assert_eq!(server.rules().quirks, [Quirk::AssumeBearer]);
    assert_eq!(
        server.code_challenge_methods(),
        Some(vec!["S256".to_owned()])
    );
    assert_eq!(provider.access_token_lifetime(), None);
    assert_eq!(provider.refresh_token_lifetime(), None);
    assert!(!provider.rotates_refresh_token());
    assert_eq!(
        provider.example_response(),
        Some(r#"{"access_token": "096e8ae9c6a3c039"}"#)
    );
    assert_eq!(
        provider.rate_limit().map(limit),
        Some((None, "Retry-After"))
    );
    assert!(provider.default_scope().is_empty());
    assert!(provider.scopes().is_empty());
    assert!(provider.discovery().is_empty());
    assert!(!provider.requires_registered_redirect_uris());
    assert_eq!(
        provider.token_for("/api/v2/user/1").unwrap(),
        TokenOwner::Any
    );
    let options: Vec<_> = provider.options().map(|(name, _)| name).collect();
    assert_eq!(options, ["challenge_as_verifier"]);
    let rules = provider.option("challenge_as_verifier")?.server()?;
    assert_eq!(
        rules.rules().quirks,
        [Quirk::AssumeBearer, Quirk::ChallengeAsVerifier]
    );
    Ok(())
}

const OKTA: [(EndpointKind, &str); 7] = [
    (EndpointKind::Authorization, "authorize"),
    (EndpointKind::Token, "token"),
    (EndpointKind::Revocation, "revoke"),
    (EndpointKind::Introspection, "introspect"),
    (EndpointKind::Jwks, "keys"),
    (EndpointKind::EndSession, "logout"),
    (EndpointKind::DeviceAuthorization, "device/authorize"),
];

fn assert_usertesting_server(server: &Server, id: &str) {
    let issuer = format!("https://auth.usertesting.com/oauth2/{id}");
    assert_eq!(server.issuer().as_str(), issuer);
    let urls = OKTA.map(|(kind, path)| (kind, format!("{issuer}/v1/{path}")));
    let urls: Vec<_> = urls.iter().map(|(kind, url)| (*kind, &**url)).collect();
    assert_endpoints(server, &urls);
    assert!(server.rules().quirks.is_empty());
    assert_eq!(
        server.token_endpoint_auth_methods(),
        [
            "client_secret_basic",
            "client_secret_post",
            "client_secret_jwt",
            "private_key_jwt",
            "none"
        ]
    );
    assert_eq!(server.response_modes(), ["query", "fragment", "form_post"]);
    assert_eq!(
        server.code_challenge_methods(),
        Some(vec!["S256".to_owned()])
    );
    assert_eq!(server.metadata()["request_parameter_supported"], true);
}

const BOTH_PLACES: [Discovery; 3] = [
    Discovery::AuthorizationServerInserted,
    Discovery::AuthorizationServerAppended,
    Discovery::OpenidAppended,
];

#[test]
fn usertesting() -> Outcome {
    let provider = provider("usertesting")?;
    assert_usertesting_server(&provider.server()?, "aus1p3vtd8vtm4Bxv0h8");
    let older = provider.clone().with("issuer_id", "default")?;
    assert_usertesting_server(&older.server()?, "default");
    let values: Vec<_> = provider.variables().flat_map(|v| &v.values).collect();
    assert_eq!(values, ["default", "aus1p3vtd8vtm4Bxv0h8"]);
    assert_eq!(provider.discovery(), BOTH_PLACES);
    assert_eq!(
        methods(&provider)?,
        ["client_secret_post", "client_auth.required"]
    );
    assert_eq!(provider.grants(), ["client_credentials"]);
    assert_eq!(
        provider.server()?.grant_types(),
        ["authorization_code", "client_credentials"]
    );
    assert_eq!(provider.default_scope(), Scope::parse("studies:read")?);
    assert_eq!(scopes(&provider), ["public_api.read", "studies:read"]);
    assert_eq!(provider.access_token_lifetime(), Some(3600));
    assert_eq!(provider.refresh_token_lifetime(), None);
    assert_eq!(
        provider.example_response(),
        Some(
            r#"{"token_type":"Bearer","expires_in":3600,"access_token":"<JWT>","scope":"studies:read"}"#
        )
    );
    assert_eq!(
        provider.rate_limit().map(limit),
        Some((Some((10, 60)), "x-ratelimit-reset"))
    );
    assert_eq!(
        provider.api_origins()?,
        ["https://api.use2.usertesting.com"]
    );
    let facts = facts(&provider);
    for fact in [
        "sessionResults/?testId=",
        "dpop_signing_alg_values_supported",
        r#"{"errorCode":"BAD_REQUEST","errorMessage":"..."}"#,
        "the same token works on v1 and v2",
    ] {
        assert!(facts.contains(fact), "{fact}");
    }
    Ok(())
}

#[test]
fn usertesting_apps() -> Outcome {
    let provider = provider("usertesting-apps")?;
    let missing = provider.issuer().expect_err("the guid has no default");
    assert_eq!(missing.code(), "provider.variable");
    assert!(missing.detail().is_some_and(|d| d.starts_with("guid ")));
    // The portal calls it a guid; ids of this server do not look like one, but may.
    for guid in [
        "0oa1partnerapp2345678",
        "9188040d-6c67-4c5b-b112-36a304b66dad",
    ] {
        let ours = provider.clone().with("guid", guid)?;
        assert_usertesting_server(&ours.server()?, guid);
    }
    assert_eq!(provider.discovery(), BOTH_PLACES);
    assert_eq!(
        methods(&provider)?,
        ["client_secret_post", "client_auth.required"]
    );
    assert_eq!(provider.grants(), ["authorization_code"]);
    assert_eq!(scopes(&provider), ["clips:read", "studies:read"]);
    assert!(provider.default_scope().is_empty());
    assert!(provider.requires_registered_redirect_uris());
    assert!(facts(&provider).contains("client_secret into the authorization URL"));
    Ok(())
}

#[test]
fn socios() -> Outcome {
    let provider = provider("socios")?;
    let server = provider.server()?;
    assert_eq!(server.issuer().as_str(), "https://partner.socios.com");
    assert_endpoints(
        &server,
        &[
            (
                EndpointKind::Token,
                "https://partner.socios.com/oauth2/token",
            ),
            (
                EndpointKind::Authorization,
                "https://partner.socios.com/oauth2/authorize",
            ),
            (
                EndpointKind::Revocation,
                "https://partner.socios.com/oauth2/revoke",
            ),
        ],
    );
    assert_eq!(
        server.rules().quirks,
        [
            Quirk::RawBasic,
            Quirk::BodyCredentials("authorization_code".to_owned())
        ]
    );
    assert_eq!(
        methods(&provider)?,
        ["client_secret_basic", "client_auth.required"]
    );
    assert_eq!(
        provider.grants(),
        ["client_credentials", "authorization_code", "refresh_token"]
    );
    assert_eq!(provider.access_token_lifetime(), Some(86_400));
    assert_eq!(provider.refresh_token_lifetime(), Some(7_776_000));
    assert!(provider.rotates_refresh_token());
    assert_eq!(
        provider.example_response(),
        Some(
            r#"{"access_token":"...","token_type":"bearer","expires_in":7200,"refresh_token":"..."}"#
        )
    );
    assert_eq!(provider.rate_limit(), None);
    assert!(provider.discovery().is_empty());
    assert!(provider.default_scope().is_empty());
    assert_eq!(provider.api_origins()?, ["https://api-public.socios.com"]);
    let parameters: Vec<_> = provider
        .authorization_parameters()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        parameters,
        [
            "campaign",
            "param1",
            "param2",
            "param3",
            "partner_tag",
            "referrer"
        ]
    );
    let facts = facts(&provider);
    for fact in [
        "without form-urlencoding",
        "200 for known and unknown tokens alike",
        r#"{"data":{"userId":"..."}}"#,
    ] {
        assert!(facts.contains(fact), "{fact}");
    }
    Ok(())
}

#[test]
fn sources_state_whether_a_live_server_was_checked() -> Outcome {
    for name in ["uservoice", "usertesting", "usertesting-apps", "socios"] {
        for source in provider(name)?.sources() {
            assert!(source.from.contains("live server never seen"), "{source:?}");
            let is_documented = source.from.contains("documented by the owner");
            assert_eq!(source.checked, is_documented, "{source:?}");
        }
    }
    // For these providers only the documentation was available, not a server.
    let read = [
        "slack",
        "withings",
        "apple",
        "microsoft-entra-b2c",
        "cognito",
        "linkedin",
        "slack-signin",
        "paypal",
        "twitch",
        "line",
        "django-oauth-toolkit",
    ];
    for name in oauth_providers::names().skip(4) {
        for source in provider(name)?.sources() {
            assert!(source.from.starts_with("https://"), "{source:?}");
            assert!(!source.checked || read.contains(&name), "{source:?}");
        }
    }
    Ok(())
}
