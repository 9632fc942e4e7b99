//! The variables of a client.

use super::*;

#[test]
fn variables_configure_server_client_and_authentication() {
    let issuer = ("OAUTH_ISSUER", "https://as.example");
    let id = ("OAUTH_CLIENT_ID", "c");
    let by_secret = from_env(&[issuer, id, ("OAUTH_CLIENT_SECRET", HIDDEN)]).unwrap();
    assert_eq!(by_secret.client_id(), "c");
    assert!(!format!("{by_secret:?}").contains(HIDDEN));
    let google = ("OAUTH_PROVIDER", "google");
    let in_file = [
        google,
        id,
        ("OAUTH_CLIENT_SECRET_FILE", "/s"),
        ("/s", "hunter22-secret\n"),
    ];
    let request = first_request(&client(from_env(&in_file).unwrap()));
    assert!(form(&request).ends_with(&format!("client_secret={HIDDEN}")));
    // A secret that was mounted and never filled: the server would only report a wrong one.
    for (variable, text) in [
        ("OAUTH_CLIENT_SECRET_FILE", ""),
        ("OAUTH_CLIENT_SECRET_FILE", "\r\n"),
        ("OAUTH_CLIENT_KEY_FILE", "\n"),
    ] {
        let empty = [google, id, (variable, "/e"), ("/e", text)];
        let (code, detail) = refused(from_env(&empty));
        assert_eq!(code, "client_file.unreadable");
        assert!(detail.contains(": /e is empty ["), "{detail}");
    }
    let no_uri = [
        google,
        id,
        ("OAUTH_REDIRECT_URIS", "https://app.example/cb app"),
    ];
    let (code, detail) = refused(from_env(&no_uri));
    assert_eq!(code, "redirect_uri.refused");
    assert!(detail.contains(": OAUTH_REDIRECT_URIS ["), "{detail}");
    let by_key = [
        google,
        id,
        ("OAUTH_CLIENT_KEY_FILE", "/k"),
        ("/k", "PRIVATE"),
        ("OAUTH_CLIENT_KEY_ID", "1"),
    ];
    assert_eq!(
        client(from_env(&by_key).unwrap()).auth().name(),
        "private_key_jwt"
    );
    let by_token = [google, id, ("OAUTH_ASSERTION_FILE", "/t")];
    assert_eq!(
        client(from_env(&by_token).unwrap()).auth().name(),
        "private_key_jwt"
    );
    let uris = [
        google,
        id,
        (
            "OAUTH_REDIRECT_URIS",
            "https://a.example/cb  https://b.example/cb",
        ),
    ];
    assert_eq!(from_env(&uris).unwrap().redirect_uris().len(), 2);
    let file = json!({ "issuer": "https://as.example", "client_id": "from-file" }).to_string();
    let by_file = from_env(&[("OAUTH_CLIENT_FILE", "/c.json"), ("/c.json", &file)]).unwrap();
    assert_eq!(by_file.client_id(), "from-file");
    let entra = [("OAUTH_PROVIDER", "microsoft-entra"), id];
    assert_eq!(refused(from_env(&entra)).0, "environment.missing");
    let tenant = (
        "OAUTH_PROVIDER_TENANT",
        "9188040d-6c67-4c5b-b112-36a304b66dad",
    );
    let entra = client(from_env(&[entra[0], id, tenant]).unwrap());
    assert!(entra.server().issuer().as_str().contains(tenant.1));
}

#[test]
fn client_secret_jwt_is_used_only_if_the_server_accepts_no_other_secret_method() {
    let issuer = "https://as.example";
    let settings = from_env(&[
        ("OAUTH_ISSUER", issuer),
        ("OAUTH_CLIENT_ID", "c"),
        ("OAUTH_CLIENT_SECRET", HIDDEN),
    ]);
    let settings = settings.unwrap();
    let method = |methods: &[&str], algs: &[&str]| {
        let metadata = json!({
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": algs,
        });
        let server = Server::new(Issuer::parse(issuer).unwrap());
        let server = server.with_metadata(metadata.as_object().cloned().unwrap());
        let mac = |_: &Server, key: KeyText<'_>| {
            assert_eq!((key.text.expose().as_str(), key.kid), (HIDDEN, ""));
            let alg = key.alg.unwrap();
            Ok(SigningKey::local("", alg, Arc::new(Zeros)))
        };
        let client = settings.client(server, mac);
        client
            .map(|client| client.auth().name())
            .map_err(|error| error.code())
    };
    assert_eq!(
        method(&["client_secret_jwt"], &["HS256"]),
        Ok("client_secret_jwt")
    );
    let both = method(&["client_secret_jwt", "client_secret_post"], &[]);
    assert_eq!(both, Ok("client_secret_post"));
    let neither = method(&["private_key_jwt"], &["HS256"]);
    assert_eq!(neither, Err("client_auth.no_usable_method"));
}

#[test]
fn missing_variable_is_named() {
    let issuer = ("OAUTH_ISSUER", "https://as.example");
    let id = ("OAUTH_CLIENT_ID", "c");
    for (all, named) in [
        (vec![], "OAUTH_ISSUER or OAUTH_PROVIDER, OAUTH_CLIENT_ID"),
        (vec![issuer], "OAUTH_CLIENT_ID"),
        (vec![issuer, ("OAUTH_CLIENT_ID", " ")], "OAUTH_CLIENT_ID"),
        (
            vec![id, ("OAUTH_PROVIDER", "microsoft-entra")],
            "OAUTH_PROVIDER_TENANT",
        ),
        (
            vec![issuer, id, ("OAUTH_CLIENT_KEY_ID", "k")],
            "OAUTH_CLIENT_KEY_FILE",
        ),
        (
            vec![issuer, id, ("OAUTH_WORKLOAD_FILE", "/t")],
            "OAUTH_WORKLOAD",
        ),
        (
            vec![issuer, id, ("OAUTH_WORKLOAD", "github_actions")],
            "ACTIONS_ID_TOKEN_REQUEST_URL",
        ),
        (
            vec![issuer, id, ("OAUTH_WORKLOAD", "aws")],
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        ),
        (vec![("OAUTH_WORKLOAD", "azure")], "OAUTH_PROVIDER_TENANT"),
    ] {
        let (code, detail) = refused(from_env(&all));
        assert_eq!(code, "environment.missing", "{detail}");
        assert!(detail.contains(named), "{detail}");
    }
}

#[test]
fn missing_from_env_lists_all_missing_variables() {
    let missing = |all: &[(&str, &str)]| {
        let environment: Arc<dyn Environment> = Around::of(all);
        ClientSettings::missing_from_env(&environment)
    };
    let id = ("OAUTH_CLIENT_ID", "c");
    let azure = ("OAUTH_WORKLOAD", "azure");
    assert_eq!(
        missing(&[]),
        ["OAUTH_ISSUER or OAUTH_PROVIDER", "OAUTH_CLIENT_ID"]
    );
    assert_eq!(missing(&[id]), ["OAUTH_ISSUER or OAUTH_PROVIDER"]);
    assert_eq!(missing(&[azure]), ["OAUTH_CLIENT_ID"]);
    assert!(missing(&[azure, ("AZURE_CLIENT_ID", "c")]).is_empty());
    assert!(missing(&[id, ("OAUTH_PROVIDER", "google")]).is_empty());
    assert!(missing(&[("OAUTH_CLIENT_FILE", "/c")]).is_empty());
}

#[test]
fn conflicting_variables_are_refused() {
    let issuer = ("OAUTH_ISSUER", "https://as.example");
    let id = ("OAUTH_CLIENT_ID", "c");
    let secret = ("OAUTH_CLIENT_SECRET", HIDDEN);
    for (all, named) in [
        (
            vec![issuer, ("OAUTH_PROVIDER", "google"), id],
            ["OAUTH_ISSUER", "OAUTH_PROVIDER"],
        ),
        (
            vec![issuer, id, secret, ("OAUTH_CLIENT_SECRET_FILE", "/s")],
            ["OAUTH_CLIENT_SECRET", "OAUTH_CLIENT_SECRET_FILE"],
        ),
        (
            vec![issuer, id, secret, ("OAUTH_WORKLOAD", "gcp")],
            ["OAUTH_CLIENT_SECRET", "OAUTH_WORKLOAD"],
        ),
        (
            vec![
                issuer,
                id,
                ("OAUTH_CLIENT_KEY_FILE", "/k"),
                ("OAUTH_ASSERTION_FILE", "/t"),
            ],
            ["OAUTH_CLIENT_KEY_FILE", "OAUTH_ASSERTION_FILE"],
        ),
        (
            vec![("OAUTH_CLIENT_FILE", "/c"), secret],
            ["OAUTH_CLIENT_FILE", "OAUTH_CLIENT_SECRET"],
        ),
        (
            vec![("OAUTH_CLIENT_FILE", "/c"), id],
            ["OAUTH_CLIENT_FILE", "OAUTH_CLIENT_ID"],
        ),
    ] {
        let (code, detail) = refused(from_env(&all));
        assert_eq!(code, "environment.conflict", "{detail}");
        assert!(named.iter().all(|name| detail.contains(name)), "{detail}");
    }
}

#[test]
fn workload_token_is_read_from_each_platforms_documented_source() {
    let issuer = ("OAUTH_ISSUER", "https://as.example");
    let id = ("OAUTH_CLIENT_ID", "c");
    for (platform, more) in [
        ("kubernetes", vec![("OAUTH_WORKLOAD_FILE", "/t")]),
        ("spiffe", vec![("OAUTH_WORKLOAD_FILE", "/t")]),
        ("gitlab_ci", vec![("OAUTH_WORKLOAD_VARIABLE", "CI_TOKEN")]),
        ("aws", vec![("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")]),
        ("azure", vec![("AZURE_FEDERATED_TOKEN_FILE", "/t")]),
        ("gcp", vec![]),
        (
            "github_actions",
            vec![
                ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://run.example/t?v=2"),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", HIDDEN),
            ],
        ),
    ] {
        let mut all = vec![issuer, id, ("OAUTH_WORKLOAD", platform)];
        all.extend(more);
        let settings = from_env(&all).unwrap();
        let shown = format!("{settings:?}");
        assert!(!shown.contains(HIDDEN), "{shown}");
        let expected = match platform {
            "gitlab_ci" => "CI_TOKEN",
            "gcp" => "http://169.254.169.254/computeMetadata",
            "github_actions" => "https://run.example/t",
            _ => "/t",
        };
        assert!(shown.contains(expected), "{platform}: {shown}");
        assert_eq!(shown.contains("SpiffeJwt"), platform == "spiffe");
        assert_eq!(
            shown.contains("api://AzureADTokenExchange"),
            platform == "azure"
        );
    }
    assert_eq!(Platform::ALL.len(), 7);
    for (platform, more) in [
        ("kubernetes", None),
        ("spiffe", None),
        ("gitlab_ci", None),
        ("gcp", Some(("OAUTH_WORKLOAD_FILE", "/t"))),
        ("aws", Some(("OAUTH_WORKLOAD_VARIABLE", "X"))),
        ("heroku", None),
    ] {
        let mut all = vec![issuer, id, ("OAUTH_WORKLOAD", platform)];
        all.extend(more);
        assert_eq!(refused(from_env(&all)).0, "workload.setup", "{platform}");
    }
}

#[test]
fn azure_variables_provide_client_id_and_tenant() {
    let tenant = "9188040d-6c67-4c5b-b112-36a304b66dad";
    let all = [
        ("OAUTH_WORKLOAD", "azure"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/t"),
        ("AZURE_CLIENT_ID", "from-azure"),
        ("AZURE_TENANT_ID", tenant),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"),
    ];
    let settings = from_env(&all).unwrap();
    assert_eq!(settings.client_id(), "from-azure");
    assert!(client(settings).server().issuer().as_str().contains(tenant));
    let mut variables = all.to_vec();
    variables.push(("OAUTH_CLIENT_ID", "own"));
    assert_eq!(from_env(&variables).unwrap().client_id(), "own");
    let nowhere: Vec<_> = all
        .into_iter()
        .filter(|(name, _)| *name != "AZURE_TENANT_ID")
        .collect();
    let (code, detail) = refused(from_env(&nowhere));
    assert_eq!(code, "environment.missing");
    assert!(
        detail.contains(": OAUTH_PROVIDER_TENANT or AZURE_TENANT_ID ["),
        "{detail}"
    );
    let mut elsewhere = all.to_vec();
    elsewhere.push(("AZURE_AUTHORITY_HOST", "https://login.chinacloudapi.cn/"));
    assert_eq!(refused(from_env(&elsewhere)).0, "workload.setup");
}

#[test]
fn workload_token_is_exchanged_if_an_exchange_audience_is_set() {
    let all = [
        ("OAUTH_PROVIDER", "google"),
        ("OAUTH_CLIENT_ID", "c"),
        ("OAUTH_WORKLOAD", "gitlab_ci"),
        ("OAUTH_WORKLOAD_VARIABLE", "CI_TOKEN"),
        ("OAUTH_EXCHANGE_AUDIENCE", "//pool"),
        ("CI_TOKEN", "a-token"),
    ];
    let body = form(&first_request(&client(from_env(&all).unwrap())));
    for part in [
        "audience=%2F%2Fpool",
        "subject_token=a-token",
        "client_id=c",
    ] {
        assert!(
            body.split('&').any(|found| found == part),
            "{part} in {body}"
        );
    }
    let alone = all.iter().filter(|(name, _)| !name.contains("WORKLOAD"));
    let alone: Vec<_> = alone.copied().collect();
    assert_eq!(refused(from_env(&alone)).0, "environment.missing");
    let file = json!({ "provider": "google", "client_id": "c", "workload": {
        "platform": "gcp", "audience": "https://a.example", "exchange_audience": "//pool" } });
    let request = first_request(&client(read(&file).unwrap()));
    let url = request.uri().to_string();
    assert!(url.ends_with("&audience=https%3A%2F%2Fa.example"), "{url}");
}
