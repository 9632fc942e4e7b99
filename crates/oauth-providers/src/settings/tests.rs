#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use oauth_core::crypto::Signer;
use oauth_core::error::Cause;
use oauth_core::http::Request;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_core::{Exchange as _, Input, Moment, Scope, Step};
use serde_json::{Value, json};

use super::*;
use crate::Platform;

const HIDDEN: &str = "hunter22-secret";

/// Variables and files that a test replaces while it runs.
#[derive(Default)]
struct Around(Mutex<BTreeMap<String, String>>);

impl Around {
    fn of(all: &[(&str, &str)]) -> Arc<Self> {
        let around = Self::default();
        for (name, value) in all {
            around.set(name, value);
        }
        Arc::new(around)
    }

    fn set(&self, name: &str, value: &str) {
        let mut all = self.0.lock().unwrap();
        all.insert(name.to_owned(), value.to_owned());
    }

    fn get(&self, name: &str) -> Option<Secret<String>> {
        self.0.lock().unwrap().get(name).cloned().map(Secret::new)
    }
}

impl Environment for Around {
    fn variable(&self, name: &str) -> Option<Secret<String>> {
        self.get(name)
    }

    fn file(&self, path: &str) -> Result<Secret<String>, Cause> {
        self.get(path).ok_or_else(|| Cause::unsent("no such file"))
    }
}

fn at() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_750_000_000), [7; 32])
}

struct Zeros;

impl Signer for Zeros {
    fn sign(&self, _: &[u8]) -> Result<bytes::Bytes, Cause> {
        Ok(vec![0; 64].into())
    }
}

fn key(of: KeyUse<'_>, text: &Secret<String>, kid: &str) -> Result<SigningKey, Error> {
    assert!(text.expose().contains("PRIVATE"), "the key's text");
    let alg = match of {
        KeyUse::ServiceAccount => Alg::Rs256,
        KeyUse::ClientAssertion(_) => Alg::Es256,
    };
    Ok(SigningKey::local(kid, alg, Arc::new(Zeros)))
}

fn read(file: &Value) -> Result<ClientSettings, Error> {
    read_with(file, &[])
}

fn read_with(file: &Value, all: &[(&str, &str)]) -> Result<ClientSettings, Error> {
    let environment: Arc<dyn Environment> = Around::of(all);
    ClientSettings::from_json(&file.to_string(), &environment)
}

fn from_env(all: &[(&str, &str)]) -> Result<ClientSettings, Error> {
    let environment: Arc<dyn Environment> = Around::of(all);
    ClientSettings::from_env(&environment)
}

/// The code and the message, in which no secret stands.
fn refused(settings: Result<ClientSettings, Error>) -> (&'static str, String) {
    let error = settings.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(HIDDEN), "{shown}");
    (error.code(), error.to_string())
}

/// A client whose server is known at once.
fn client(settings: ClientSettings) -> Client {
    let mut connecting = settings.connect(Transport::Https, key).unwrap();
    match connecting.resume(&at(), Input::Begin).unwrap() {
        Step::Done(client) => client,
        step => panic!("{step:?}"),
    }
}

/// What a client whose metadata are fetched does first.
fn first(settings: ClientSettings) -> String {
    let mut connecting = settings.connect(Transport::Https, key).unwrap();
    match connecting.resume(&at(), Input::Begin).unwrap() {
        Step::Send(request) => request.uri().to_string(),
        step => panic!("{step:?}"),
    }
}

fn asked(client: &Client) -> Request<bytes::Bytes> {
    let mut exchange = client.client_credentials(Scope::none());
    match exchange.resume(&at(), Input::Begin).unwrap() {
        Step::Send(request) => request,
        step => panic!("{step:?}"),
    }
}

fn form(request: &Request<bytes::Bytes>) -> String {
    String::from_utf8(request.body().to_vec()).unwrap()
}

#[test]
fn googles_client_file_is_a_client_of_the_preset() {
    let inner = json!({
        "client_id": "1.apps.googleusercontent.com", "project_id": "p", "client_secret": HIDDEN,
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "redirect_uris": ["https://app.example/callback"],
    });
    let settings = read(&json!({ "web": inner })).unwrap();
    assert_eq!(settings.redirect_uris(), ["https://app.example/callback"]);
    assert!(!format!("{settings:?}").contains(HIDDEN));
    let web = client(settings);
    assert_eq!(web.client_id().as_str(), "1.apps.googleusercontent.com");
    assert_eq!(web.auth().name(), "client_secret_post");
    let request = asked(&web);
    assert_eq!(request.uri(), "https://oauth2.googleapis.com/token");
    assert!(form(&request).contains(HIDDEN));
    let installed = read(&json!({ "installed": inner })).unwrap();
    assert!(installed.redirect_uris().is_empty(), "any port and path");
    let mut elsewhere = inner;
    elsewhere["token_uri"] = "https://evil.example/token".into();
    let (code, told) = refused(read(&json!({ "web": elsewhere })));
    assert_eq!(code, "client_file.malformed");
    assert!(told.contains("token_uri"), "{told}");
}

#[test]
fn a_service_account_and_entras_file_are_clients_of_their_presets() {
    let account = json!({
        "type": "service_account", "private_key_id": "k1", "private_key": "PRIVATE",
        "client_email": "a@p.iam.example", "token_uri": "https://oauth2.googleapis.com/token",
    });
    let settings = read(&account).unwrap();
    assert_eq!(settings.client_id(), "a@p.iam.example");
    let request = asked(&client(settings));
    assert!(
        form(&request).starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt")
    );

    let tenant = "9188040d-6c67-4c5b-b112-36a304b66dad";
    for file in [
        json!({ "clientId": "c", "clientSecret": HIDDEN, "tenantId": tenant, "subscriptionId": "s",
                "activeDirectoryEndpointUrl": "https://login.microsoftonline.com" }),
        json!({ "AzureAd": { "Instance": "https://login.microsoftonline.com/", "ClientId": "c",
                "TenantId": tenant, "ClientSecret": HIDDEN } }),
    ] {
        let request = asked(&client(read(&file).unwrap()));
        let wanted = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token");
        assert_eq!(request.uri().to_string(), wanted);
        assert!(form(&request).contains(HIDDEN));
    }
    let china = json!({ "clientId": "c", "clientSecret": HIDDEN, "tenantId": tenant,
                        "activeDirectoryEndpointUrl": "https://login.chinacloudapi.cn" });
    assert_eq!(refused(read(&china)).0, "client_file.unsupported");
    let nobodys = json!({ "clientId": "c", "clientSecret": HIDDEN });
    assert!(refused(read(&nobodys)).1.contains("tenantId"));
}

#[test]
fn a_plain_file_names_its_server_and_one_way_to_authenticate() {
    let issuer = "https://as.example";
    let secret = json!({ "issuer": issuer, "client_id": "c", "client_secret": HIDDEN });
    let settings = read(&secret).unwrap();
    assert_eq!(
        first(settings),
        "https://as.example/.well-known/oauth-authorization-server"
    );
    let key_file = json!({ "provider": "microsoft-entra", "client_id": "c", "key_id": "k1",
        "variables": { "tenant": "9188040d-6c67-4c5b-b112-36a304b66dad" },
        "private_key": "PRIVATE", "redirect_uris": ["https://app.example/cb"] });
    let by_key = client(read(&key_file).unwrap());
    assert_eq!(by_key.auth().name(), "private_key_jwt");
    let public = client(read(&json!({ "provider": "google", "client_id": "c" })).unwrap());
    assert_eq!(public.auth().name(), "none");

    let wrong = |changes: Value| {
        let mut file = secret.clone();
        let members = file.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(members.remove(name)),
                value => drop(members.insert(name.clone(), value.clone())),
            }
        }
        refused(read(&file))
    };
    for (changes, named) in [
        (json!({ "client_id": null }), "client_id"),
        (json!({ "client_id": 7 }), "client_id"),
        (json!({ "issuer": null }), "issuer or provider"),
        (json!({ "provider": "google" }), "not both"),
        (json!({ "variables": {} }), "variables"),
        (json!({ "private_key": "PRIVATE" }), "not several"),
        (json!({ "workload": { "platform": "gcp" } }), "not several"),
        (json!({ "workload": 7 }), "workload"),
        (json!({ "key_id": "k" }), "key_id"),
        (json!({ "redirect_uris": "x" }), "redirect_uris"),
        (
            json!({ "client_secert": HIDDEN }),
            "client_secert is unknown",
        ),
    ] {
        let (code, told) = wrong(changes);
        assert_eq!(code, "client_file.malformed", "{told}");
        assert!(told.contains(named), "{told}");
    }
}

#[test]
fn what_is_no_client_file_is_refused_and_not_shown() {
    let environment: Arc<dyn Environment> = Around::of(&[]);
    let read_text = |text: &str| refused(ClientSettings::from_json(text, &environment)).0;
    let cut = format!("{{\"client_id\":\"c\",\"client_secret\":\"{HIDDEN}");
    for text in ["", "[]", "7", HIDDEN, &cut, r#"{"type":"other"}"#, "{}"] {
        assert_eq!(read_text(text), "client_file.malformed", "{text}");
    }
    let twice =
        format!(r#"{{"client_id":"a","client_id":"{HIDDEN}","issuer":"https://as.example"}}"#);
    assert_eq!(read_text(&twice), "client_file.malformed");
    let large = format!(r#"{{"client_id":"{}"}}"#, "a".repeat(64 << 10));
    assert_eq!(read_text(&large), "client_file.malformed");
    for kind in ["authorized_user", "impersonated_service_account"] {
        let file = json!({ "type": kind, "refresh_token": HIDDEN });
        assert_eq!(refused(read(&file)).0, "client_file.unsupported");
    }
    let gone = ClientSettings::from_file("gone.json", &environment);
    assert_eq!(refused(gone).0, "lost.unsent");
}

fn external(changes: &Value) -> Value {
    let mut file = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": { "file": "/token" },
    });
    let members = file.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    file
}

#[test]
fn an_external_account_exchanges_the_token_as_it_is_now() {
    let around = Around::of(&[]);
    let environment: Arc<dyn Environment> = around.clone();
    let text = external(&json!({})).to_string();
    let client = client(ClientSettings::from_json(&text, &environment).unwrap());
    for token in ["first", "second"] {
        around.set("/token", token);
        let request = asked(&client);
        assert_eq!(request.uri(), "https://sts.googleapis.com/v1/token");
        assert!(request.headers().get("authorization").is_none());
        let body = form(&request);
        for part in [
            "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt",
            "scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform",
            &format!("subject_token={token}"),
        ] {
            assert!(
                body.split('&').any(|found| found == part),
                "{part} in {body}"
            );
        }
        assert!(!body.contains("client_id"), "{body}");
    }
}

#[test]
fn an_external_accounts_service_is_asked_as_its_file_says() {
    let source = json!({ "credential_source": {
        "url": "http://169.254.169.254/metadata/identity/oauth2/token?resource=api%3A%2F%2Fx",
        "headers": { "Metadata": "True" },
        "format": { "type": "json", "subject_token_field_name": "access_token" },
    } });
    let request = asked(&client(read(&external(&source)).unwrap()));
    let asked = request.uri().to_string();
    assert_eq!(
        asked,
        "http://169.254.169.254/metadata/identity/oauth2/token?resource=api%3A%2F%2Fx"
    );
    assert_eq!(request.headers().get("metadata").unwrap(), "True");
}

#[test]
fn an_external_account_of_another_kind_is_refused() {
    for (changes, code) in [
        (
            json!({ "service_account_impersonation_url": "https://iamcredentials.googleapis.com/x" }),
            "unsupported",
        ),
        (json!({ "universe_domain": "other.example" }), "unsupported"),
        (
            json!({ "credential_source": { "environment_id": "aws1" } }),
            "unsupported",
        ),
        (
            json!({ "credential_source": { "executable": { "command": "x" } } }),
            "unsupported",
        ),
        (
            json!({ "credential_source": { "certificate": {} } }),
            "unsupported",
        ),
        (json!({ "credential_source": {} }), "malformed"),
        (
            json!({ "credential_source": { "file": "a", "url": "https://b.example" } }),
            "malformed",
        ),
        (
            json!({ "credential_source": { "file": "a", "format": { "type": "json" } } }),
            "malformed",
        ),
        (json!({ "audience": "" }), "malformed"),
        (json!({ "client_secret": HIDDEN }), "malformed"),
    ] {
        let told = refused(read(&external(&changes)));
        assert_eq!(told.0, format!("client_file.{code}"), "{}", told.1);
    }
    let plain = json!({ "credential_source": { "url": "http://tokens.example/" } });
    assert_eq!(refused(read(&external(&plain))).0, "url.insecure");
    for token_url in [
        "https://sts.evil.example/v1/token",
        "http://sts.googleapis.com/v1/token",
        "https://evilgoogleapis.com/v1/token",
        "http://127.0.0.1/token",
    ] {
        let settings = read(&external(&json!({ "token_url": token_url }))).unwrap();
        let refused = settings
            .connect(Transport::Https, key)
            .map(drop)
            .unwrap_err();
        assert_eq!(refused.code(), "client_file.malformed", "{token_url}");
    }
}

#[test]
fn variables_name_the_server_the_client_and_one_way_to_authenticate() {
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
    let request = asked(&client(from_env(&in_file).unwrap()));
    assert!(form(&request).ends_with(&format!("client_secret={HIDDEN}")));
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
fn a_variable_that_is_missing_is_named() {
    let issuer = ("OAUTH_ISSUER", "https://as.example");
    let id = ("OAUTH_CLIENT_ID", "c");
    for (all, named) in [
        (vec![], "OAUTH_ISSUER or OAUTH_PROVIDER"),
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
        let (code, told) = refused(from_env(&all));
        assert_eq!(code, "environment.missing", "{told}");
        assert!(told.contains(named), "{told}");
    }
}

#[test]
fn of_two_variables_that_say_the_same_neither_wins() {
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
        let (code, told) = refused(from_env(&all));
        assert_eq!(code, "environment.conflict", "{told}");
        assert!(named.iter().all(|name| told.contains(name)), "{told}");
    }
}

#[test]
fn each_platform_has_its_token_where_it_is_documented() {
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
        let wanted = match platform {
            "gitlab_ci" => "CI_TOKEN",
            "gcp" => "http://169.254.169.254/computeMetadata",
            "github_actions" => "https://run.example/t",
            _ => "/t",
        };
        assert!(shown.contains(wanted), "{platform}: {shown}");
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
fn azure_says_by_itself_who_the_client_is_and_of_which_directory() {
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
    let mut own = all.to_vec();
    own.push(("OAUTH_CLIENT_ID", "own"));
    assert_eq!(from_env(&own).unwrap().client_id(), "own");
    let mut elsewhere = all.to_vec();
    elsewhere.push(("AZURE_AUTHORITY_HOST", "https://login.chinacloudapi.cn/"));
    assert_eq!(refused(from_env(&elsewhere)).0, "workload.setup");
}
