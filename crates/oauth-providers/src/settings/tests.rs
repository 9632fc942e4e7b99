#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

mod environment;

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

fn key(_: &Server, key: KeyText<'_>) -> Result<SigningKey, Error> {
    assert!(key.text.expose().contains("PRIVATE"), "the key's text");
    let alg = key.alg.unwrap_or(Alg::Es256);
    Ok(SigningKey::local(key.kid, alg, Arc::new(Zeros)))
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

/// The code and the message, which contain no secret.
fn refused(settings: Result<ClientSettings, Error>) -> (&'static str, String) {
    let error = settings.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(HIDDEN), "{shown}");
    (error.code(), error.to_string())
}

/// A client of a server with known metadata.
fn client(settings: ClientSettings) -> Client {
    let mut connecting = settings.connect(Transport::Https, key).unwrap();
    match connecting.resume(&at(), Input::Begin).unwrap() {
        Step::Done(client) => client,
        step => panic!("{step:?}"),
    }
}

/// The first step of a client whose metadata must be fetched.
fn first(settings: ClientSettings) -> String {
    let mut connecting = settings.connect(Transport::Https, key).unwrap();
    match connecting.resume(&at(), Input::Begin).unwrap() {
        Step::Send(request) => request.uri().to_string(),
        step => panic!("{step:?}"),
    }
}

fn first_request(client: &Client) -> Request<bytes::Bytes> {
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
fn google_client_file_uses_the_google_preset() {
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
    let request = first_request(&web);
    assert_eq!(request.uri(), "https://oauth2.googleapis.com/token");
    assert!(form(&request).contains(HIDDEN));
    let installed = read(&json!({ "installed": inner })).unwrap();
    assert!(installed.redirect_uris().is_empty(), "any port and path");
    let mut elsewhere = inner;
    let members = elsewhere.as_object_mut().unwrap();
    members.insert("token_uri".to_owned(), "https://evil.example/token".into());
    let (code, detail) = refused(read(&json!({ "web": elsewhere })));
    assert_eq!(code, "client_file.malformed");
    assert!(detail.contains("token_uri"), "{detail}");
}

#[test]
fn service_account_and_entra_files_use_their_presets() {
    let account = json!({
        "type": "service_account", "private_key_id": "k1", "private_key": "PRIVATE",
        "client_email": "a@p.iam.example", "token_uri": "https://oauth2.googleapis.com/token",
    });
    let settings = read(&account).unwrap();
    assert_eq!(settings.client_id(), "a@p.iam.example");
    let request = first_request(&client(settings));
    assert!(
        form(&request).starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt")
    );

    let tenant = "9188040d-6c67-4c5b-b112-36a304b66dad";
    for file in [
        json!({ "clientId": "c", "clientSecret": HIDDEN, "tenantId": tenant, "subscriptionId": "s",
                "activeDirectoryEndpointUrl": "https://login.microsoftonline.com" }),
        json!({ "AzureAd": { "Instance": "https://login.microsoftonline.com/", "ClientId": "c",
                "TenantId": tenant, "ClientSecret": HIDDEN } }),
        json!({ "AzureAd": { "ClientId": "c", "TenantId": tenant,
                "ClientCredentials": [{ "SourceType": "ClientSecret", "ClientSecret": HIDDEN }] } }),
        json!({ "AzureAd": { "ClientId": "c", "TenantId": tenant, "ClientSecret": HIDDEN,
                "ClientCertificates": [], "ClientCredentials": [] } }),
        json!({ "appId": "c", "displayName": "d", "password": HIDDEN, "tenant": tenant }),
    ] {
        let request = first_request(&client(read(&file).unwrap()));
        let expected = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token");
        assert_eq!(request.uri().to_string(), expected);
        assert!(form(&request).contains(HIDDEN));
    }
    let china = json!({ "clientId": "c", "clientSecret": HIDDEN, "tenantId": tenant,
                        "activeDirectoryEndpointUrl": "https://login.chinacloudapi.cn" });
    assert_eq!(refused(read(&china)).0, "client_file.unsupported");
    // A way to authenticate that is not supported must not turn it into a public client.
    let secret = json!({ "SourceType": "ClientSecret", "ClientSecret": HIDDEN });
    let signed = json!({ "SourceType": "SignedAssertionFilePath" });
    for (members, named) in [
        (
            json!({ "ClientCredentials": [signed] }),
            "ClientCredentials",
        ),
        (
            json!({ "ClientCredentials": [signed, secret] }),
            "ClientCredentials",
        ),
        (json!({ "ClientCredentials": [] }), "ClientCredentials"),
        (
            json!({ "ClientCredentials": [secret], "ClientSecret": "other" }),
            "ClientCredentials",
        ),
        (
            json!({ "ClientCertificates": [{ "SourceType": "Path" }] }),
            "ClientCertificates",
        ),
    ] {
        let mut section = json!({ "ClientId": "c", "TenantId": tenant });
        let own = members.as_object().unwrap().clone();
        section.as_object_mut().unwrap().extend(own);
        let (code, detail) = refused(read(&json!({ "AzureAd": section })));
        assert_eq!(code, "client_file.unsupported", "{members}");
        assert!(detail.contains(named), "{detail}");
    }
    let certificate =
        json!({ "appId": "c", "tenant": tenant, "fileWithCertAndPrivateKey": "c.pem" });
    let (code, detail) = refused(read(&certificate));
    assert_eq!(code, "client_file.unsupported");
    assert!(detail.contains("fileWithCertAndPrivateKey"), "{detail}");
    let nobodys = json!({ "clientId": "c", "clientSecret": HIDDEN });
    assert!(refused(read(&nobodys)).1.contains("tenantId"));
}

#[test]
fn plain_file_requires_one_server_and_one_authentication_method() {
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

    let no_uri = json!({ "provider": "google", "client_id": "c", "redirect_uris": ["app"] });
    let (code, detail) = refused(read(&no_uri));
    assert_eq!(code, "redirect_uri.refused");
    assert!(detail.contains(": redirect_uris ["), "{detail}");

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
        let (code, detail) = wrong(changes);
        assert_eq!(code, "client_file.malformed", "{detail}");
        assert!(detail.contains(named), "{detail}");
    }
}

/// Editors on Windows put one there (RFC 8259 section 8.1).
#[test]
fn a_byte_order_mark_before_a_file_is_ignored() {
    let environment: Arc<dyn Environment> = Around::of(&[]);
    for file in [
        json!({ "provider": "google", "client_id": "c" }),
        json!({ "type": "service_account", "private_key_id": "k1", "private_key": "PRIVATE",
                "client_email": "c", "token_uri": "https://oauth2.googleapis.com/token" }),
    ] {
        let marked = format!("\u{feff}{file}");
        let settings = ClientSettings::from_json(&marked, &environment).unwrap();
        assert_eq!(settings.client_id(), "c");
    }
}

#[test]
fn invalid_client_file_is_refused_without_showing_its_content() {
    let environment: Arc<dyn Environment> = Around::of(&[]);
    let read_text = |text: &str| refused(ClientSettings::from_json(text, &environment)).0;
    let cut = format!("{{\"client_id\":\"c\",\"client_secret\":\"{HIDDEN}");
    for text in ["", "[]", "7", HIDDEN, &cut, r#"{"type":"other"}"#, "{}"] {
        assert_eq!(read_text(text), "client_file.malformed", "{text}");
    }
    let twice =
        format!(r#"{{"client_id":"a","client_id":"{HIDDEN}","issuer":"https://as.example"}}"#);
    assert_eq!(read_text(&twice), "client_file.malformed");
    let large = json!({
        "issuer": "https://as.example", "client_id": "c", "client_secret": "a".repeat(64 << 10),
    });
    assert_eq!(read_text(&large.to_string()), "client_file.malformed");
    for kind in ["authorized_user", "impersonated_service_account"] {
        let file = json!({ "type": kind, "refresh_token": HIDDEN });
        assert_eq!(refused(read(&file)).0, "client_file.unsupported");
    }
    let gone = ClientSettings::from_file("gone.json", &environment);
    let (code, detail) = refused(gone);
    assert_eq!(code, "client_file.unreadable");
    assert!(detail.contains("gone.json"), "{detail}");
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
fn external_account_exchanges_the_current_token() {
    let around = Around::of(&[]);
    let environment: Arc<dyn Environment> = around.clone();
    let text = external(&json!({})).to_string();
    let client = client(ClientSettings::from_json(&text, &environment).unwrap());
    for token in ["first", "second"] {
        around.set("/token", token);
        let request = first_request(&client);
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
fn external_account_requests_its_configured_url_with_headers() {
    let source = json!({ "credential_source": {
        "url": "http://169.254.169.254/metadata/identity/oauth2/token?resource=api%3A%2F%2Fx",
        "headers": { "Metadata": "True" },
        "format": { "type": "json", "subject_token_field_name": "access_token" },
    } });
    let request = first_request(&client(read(&external(&source)).unwrap()));
    let requested_url = request.uri().to_string();
    assert_eq!(
        requested_url,
        "http://169.254.169.254/metadata/identity/oauth2/token?resource=api%3A%2F%2Fx"
    );
    assert_eq!(request.headers().get("metadata").unwrap(), "True");
}

#[test]
fn unsupported_or_malformed_external_account_is_refused() {
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
        let detail = refused(read(&external(&changes)));
        assert_eq!(detail.0, format!("client_file.{code}"), "{}", detail.1);
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
