//! Client authentication without a secret: by a key, by a workload's token, by a certificate.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::crypto::Signer as _;
use oauth_core::jose::Alg;
use oauth_crypto::{PrivateKey, mac};
use oauth_testkit::Tls;
use serde_json::{Value, json};

use crate::common::{RunResult, folder, oauth};
use crate::store::assert_exit;
use crate::tiny::TinyServer;

/// The key of RFC 8037 appendix A.1; Ed25519 signatures are deterministic.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"mine","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// Long enough for HS384, but not for HS512.
const SECRET: &str = "a secret of fifty bytes, which not all hashes take";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Case {
    tiny: TinyServer,
    folder: PathBuf,
}

impl Case {
    fn new(name: &str) -> Self {
        let folder = folder(&format!("credential-{name}"));
        Self {
            tiny: TinyServer::start(),
            folder,
        }
    }

    fn accepts(&self, algs: &[&str]) {
        let member = "token_endpoint_auth_signing_alg_values_supported";
        self.tiny.state().metadata = json!({ member: algs });
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn pem(&self, alg: Alg) -> String {
        let key = PrivateKey::generate(alg).unwrap();
        self.file(&format!("{}.pem", alg.as_str()), &key.to_pem().unwrap())
    }

    fn token(&self, more: &[&str]) -> RunResult {
        let run = self.tiny.run_with(&[&["token"], more].concat());
        run.env("S", SECRET).run()
    }

    fn assertion(&self) -> Assertion {
        let form = self.tiny.form("/token");
        assert_eq!(form["client_assertion_type"], JWT_BEARER);
        assert!(!form.contains_key("client_secret"), "{form:?}");
        Assertion(form["client_assertion"].clone())
    }
}

struct Assertion(String);

impl Assertion {
    fn part(&self, at: usize) -> Value {
        let part = self.0.split('.').nth(at).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    fn signed_by(&self) -> (&[u8], Vec<u8>) {
        let (input, signature) = self.0.rsplit_once('.').unwrap();
        (input.as_bytes(), URL_SAFE_NO_PAD.decode(signature).unwrap())
    }
}

#[test]
fn a_key_signs_the_client_assertion() {
    let case = Case::new("key");
    let key = case.file("key.json", ED25519);
    case.token(&["--key", &key]).ok();
    let assertion = case.assertion();
    let header = assertion.part(0);
    assert_eq!(
        (&header["alg"], &header["kid"]),
        (&json!("EdDSA"), &json!("mine"))
    );
    let claims = assertion.part(1);
    for (claim, value) in [("iss", "app"), ("sub", "app"), ("aud", &case.tiny.base)] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    let (input, signature) = assertion.signed_by();
    let key = PrivateKey::from_jwk(ED25519, Alg::EdDsa).unwrap();
    assert_eq!(key.sign(input).unwrap(), signature);
}

#[test]
fn options_set_the_key_id_algorithm_and_audience() {
    let case = Case::new("named");
    let key = case.file("key.json", ED25519);
    let named = ["--key", &key, "--key-id", "other", "--key-alg", "Ed25519"];
    let aud = ["--assertion-audience", "https://as.example/token"];
    case.token(&[&named[..], &aud].concat()).ok();
    let header = case.assertion().part(0);
    assert_eq!(
        (&header["alg"], &header["kid"]),
        (&json!("Ed25519"), &json!("other"))
    );
    let audience = &case.assertion().part(1)["aud"];
    assert_eq!(*audience, "https://as.example/token");
    // From stdin as well.
    let run = case.tiny.run_with(&["token", "--key", "-"]).stdin(ED25519);
    run.run().ok();
}

#[test]
fn the_signing_algorithm_is_one_that_the_server_accepts() {
    let case = Case::new("algorithm");
    let (rsa, ec) = (case.pem(Alg::Rs256), case.pem(Alg::Es384));
    case.token(&["--key", &rsa]).ok();
    assert_eq!(case.assertion().part(0)["alg"], "RS256");
    case.accepts(&["HS256", "PS384", "ES256"]);
    case.token(&["--key", &rsa]).ok();
    assert_eq!(case.assertion().part(0)["alg"], "PS384");
    let request_count = case.tiny.request_count("/token");
    for more in [
        &["--key", ec.as_str()][..],
        &["--key", &rsa, "--key-alg", "RS256"],
    ] {
        let done = case.token(more);
        assert_exit(&done, 2, &["key.algorithm", "PS384 ES256", "--key-alg"]);
    }
    assert_eq!(case.tiny.request_count("/token"), request_count);
}

#[test]
fn client_secret_jwt_signs_with_the_secret() {
    let case = Case::new("hmac");
    let by_secret = [
        "--client-auth",
        "client-secret-jwt",
        "--client-secret-env",
        "S",
    ];
    for (accepted, alg) in [(None, Alg::Hs256), (Some(["ES256", "HS384"]), Alg::Hs384)] {
        if let Some(accepted) = accepted {
            case.accepts(&accepted);
        }
        case.token(&by_secret).ok();
        let assertion = case.assertion();
        assert_eq!(assertion.part(0)["alg"], alg.as_str());
        let (input, tag) = assertion.signed_by();
        assert_eq!(mac(alg, SECRET.as_bytes(), input).unwrap(), tag);
    }
    case.accepts(&["HS512"]);
    let done = case.token(&by_secret);
    assert_exit(
        &done,
        2,
        &["jws.key_too_small", "HS512 needs 64 bytes", "--key-alg"],
    );
    assert!(!done.stderr.contains(SECRET), "{}", done.stderr);
}

#[test]
fn errors_distinguish_the_kinds_of_invalid_keys() {
    let case = Case::new("no-key");
    let public = case.file("public.json", &ED25519.replace("\"d\"", "\"e\""));
    let noise = case.file("noise.pem", "s3cr3t");
    let missing = case.folder.join("missing.pem");
    for (path, word) in [
        (public.as_str(), "private JWK"),
        (&noise, "private key in PEM"),
        (missing.to_str().unwrap(), "missing.pem"),
    ] {
        let done = case.token(&["--key", path]);
        assert_exit(&done, 2, &["usage.key", path, word, "oauth key new"]);
        assert!(!done.stderr.contains("s3cr3t"), "{}", done.stderr);
    }
    assert_eq!(case.tiny.request_count("/token"), 0);
}

#[test]
fn a_client_authenticates_by_exactly_one_method() {
    let case = Case::new("one-way");
    let key = case.file("key.json", ED25519);
    let both = case.token(&["--key", &key, "--client-secret-env", "S"]);
    assert_exit(&both, 2, &["--key", "--client-secret-env"]);
    for (more, words) in [
        (
            &["private-key-jwt"][..],
            ["`private_key_jwt`", "--key FILE"],
        ),
        (
            &["assertion-file"],
            ["`assertion_file`", "--assertion-file"],
        ),
        (&["tls"], ["`tls`", "--client-cert"]),
        (&["self-signed-tls"], ["`self_signed_tls`", "--client-cert"]),
        (&["spiffe-x509"], ["`spiffe_x509`", "--client-cert"]),
        (&["tls", "--key", &key], ["`tls`", "does not use a key"]),
        (&["basic", "--key", &key], ["`basic`", "does not use a key"]),
    ] {
        let done = case.token(&[&["--client-auth"], more].concat());
        assert_exit(&done, 2, &["usage.credentials"]);
        assert_exit(&done, 2, &words);
    }
    let unknown = case.token(&["--key", &key, "--key-alg", "none"]);
    assert_exit(&unknown, 2, &["unknown algorithm `none`"]);
}

/// A profile with a key, and options that override it.
#[test]
fn a_profile_sets_the_key_and_options_override_it() {
    let case = Case::new("profile");
    case.file("key.json", ED25519);
    let run = |lines: &str, more: &[&str]| {
        let text = format!(
            "[profile.p]\nissuer = \"{}\"\nloopback_http = true\nclient_id = \"app\"\nstore = \"none\"\n{lines}\n",
            case.tiny.base
        );
        let config = case.file("config.toml", &text);
        let profile = ["token", "--config", &config, "--profile", "p"];
        let run = oauth(&[&profile, more].concat());
        run.env("S", "s3cret").run()
    };
    let key = "client_key_file = \"key.json\"";
    let all = format!(
        "{key}\nclient_auth = \"private_key_jwt\"\nclient_key_id = \"k\"\nclient_key_alg = \"Ed25519\"\n\
         client_assertion_audience = \"a\""
    );
    run(&all, &[]).ok();
    let assertion = case.assertion();
    let header = assertion.part(0);
    assert_eq!(
        (&header["alg"], &header["kid"], &assertion.part(1)["aud"]),
        (&json!("Ed25519"), &json!("k"), &json!("a"))
    );
    let both = format!("{key}\nclient_secret_env = \"S\"");
    let done = run(&both, &[]);
    assert_exit(
        &done,
        2,
        &["usage.profile", "`client_secret_env` and `client_key_file`"],
    );
    assert_exit(
        &run("client_key_alg = \"none\"", &[]),
        2,
        &["usage.key_alg", "`none`"],
    );
    run(&all, &["--client-secret-env", "S"]).ok();
    assert!(!case.tiny.form("/token").contains_key("client_assertion"));
    let secret = "client_secret_env = \"S\"\nclient_auth = \"basic\"";
    let path = case.folder.join("key.json");
    run(secret, &["--key", path.to_str().unwrap()]).ok();
    case.assertion();
}

/// A workload's token for this audience.
fn workload_token(audience: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({ "sub": "pod", "aud": audience, "exp": now.as_secs() + 600 });
    let header = URL_SAFE_NO_PAD.encode("{\"alg\":\"RS256\"}");
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{header}.{claims}.c2ln")
}

#[test]
fn the_workload_token_is_read_again_for_each_request() {
    let case = Case::new("workload");
    let first = workload_token(&case.tiny.base);
    let path = case.file("token", &format!("{first}\n"));
    case.token(&["--assertion-file", &path]).ok();
    let form = case.tiny.form("/token");
    assert_eq!(form["client_assertion"], first);
    assert!(!form.contains_key("client_id"), "{form:?}");

    let entra = workload_token("api://AzureADTokenExchange");
    case.file("token", &entra);
    let done = case.token(&["--assertion-file", &path]);
    assert_exit(&done, 2, &["AzureADTokenExchange", &case.tiny.base]);
    assert!(!done.stderr.contains(&entra), "{}", done.stderr);
    let audience = ["--assertion-audience", "api://AzureADTokenExchange"];
    let file = ["--assertion-file", &path, "--assertion-with-id"];
    case.token(&[&file[..], &audience].concat()).ok();
    let form = case.tiny.form("/token");
    assert_eq!(
        (
            form["client_assertion"].as_str(),
            form["client_id"].as_str()
        ),
        (entra.as_str(), "app")
    );
    let missing = case.token(&["--assertion-file", "/nonexistent/token"]);
    assert_exit(&missing, 1, &["/nonexistent/token"]);
}

#[test]
fn a_client_certificate_is_presented_and_a_missing_file_is_reported() {
    let (tls, folder) = (Tls::start().unwrap(), folder("credential-tls"));
    let write = |name: &str, text: &str| {
        let path: &Path = &folder.join(name);
        std::fs::write(path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca = write("ca.pem", &tls.ca);
    let cert = write("me.pem", &format!("{}{}", tls.certificate, tls.key));
    let server = [
        "--provider",
        "usertesting",
        "--on-loopback",
        &tls.mutual,
        "--client-id",
        &tls.client_id,
    ];
    // The server behind TLS requires a secret; the certificate is needed for the connection.
    let token = |more: &[&str]| {
        let secret = ["token", "--ca", &ca, "--client-secret-env", "TLS_SECRET"];
        let run = oauth(&[&secret[..], &server, more].concat());
        run.env("TLS_SECRET", &tls.client_secret).run()
    };
    token(&["--client-cert", &cert]).ok();
    assert_exit(&token(&[]), 1, &["[lost"]);
    assert_exit(
        &token(&["--client-cert", "/nonexistent.pem"]),
        2,
        &["nonexistent.pem"],
    );
}

#[test]
fn tls_authentication_methods_send_no_secret() {
    let case = Case::new("tls");
    let tls = Tls::start().unwrap();
    let cert = case.file("me.pem", &format!("{}{}", tls.certificate, tls.key));
    for method in ["tls", "self-signed-tls"] {
        case.token(&["--client-auth", method, "--client-cert", &cert])
            .ok();
        let form = case.tiny.form("/token");
        assert_eq!(form["client_id"], "app", "{method}");
        assert_eq!(form.len(), 2, "{method}: {form:?}");
    }
    let spiffe = |id: &str| {
        let server = ["--issuer", &case.tiny.base, "--loopback-http"];
        let client = ["--client-id", id, "--client-auth", "spiffe-x509"];
        oauth(&[&["token", "--client-cert", &cert], &server[..], &client].concat()).run()
    };
    let id = "spiffe://example.org/worker";
    spiffe(id).ok();
    let form = case.tiny.form("/token");
    assert_eq!((form["client_id"].as_str(), form.len()), (id, 2));
    assert_exit(&spiffe("app"), 2, &["misuse.setup", "SPIFFE ID"]);
}

/// A token is bound to the certificate if the server says that it binds tokens, as in the library. The certificate may come
/// through a pipe, which can be read only once.
#[test]
#[cfg(unix)]
fn a_stored_token_is_bound_to_the_certificate_if_the_server_announces_it() {
    let tls = Tls::start().unwrap();
    let cert = format!("{}{}", tls.certificate, tls.key);
    for announced in [true, false] {
        let case = Case::new("bound");
        case.tiny.state().metadata =
            json!({ "tls_client_certificate_bound_access_tokens": announced });
        let profile = format!(
            "[profile.p]\nissuer = \"{}\"\nloopback_http = true\nclient_id = \"app\"\nclient_auth = \"tls\"\n\
             network.client_certificate = \"/dev/stdin\"\n",
            case.tiny.base
        );
        let config = case.file("config.toml", &profile);
        let state = case.folder.to_str().unwrap();
        let token = [
            "--config",
            &config,
            "--profile",
            "p",
            "token",
            "--as",
            "client",
        ];
        let run = oauth(&token).env("XDG_STATE_HOME", state).stdin(&cert);
        run.run().ok();
        let grants = std::fs::read_dir(case.folder.join("oauth/grants")).unwrap();
        let mut records = grants.map(|entry| entry.unwrap().path());
        let record = records.find(|path| path.extension().is_some_and(|it| it == "json"));
        let record = std::fs::read_to_string(record.unwrap()).unwrap();
        assert_eq!(record.contains("x5t_s256"), announced, "{announced}");
    }
}

#[test]
fn an_encrypted_key_is_decrypted_with_its_passphrase() {
    let case = Case::new("encrypted");
    let tests = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../oauth-crypto/tests/encrypted"
    );
    let key = format!("{tests}/aes256.pem");
    let passphrase = case.file("passphrase.txt", "correct\n");
    case.token(&["--key", &key, "--key-passphrase-file", &passphrase])
        .ok();
    assert_eq!(case.assertion().part(0)["alg"], "ES256");
    let request_count = case.tiny.request_count("/token");
    let wrong = case.token(&["--key", &key, "--key-passphrase-env", "S"]);
    assert_exit(&wrong, 2, &["usage.key_passphrase"]);
    assert_exit(&case.token(&["--key", &key]), 2, &["usage.secret"]);
    let twice = case.token(&["--key", "-", "--key-passphrase-file", "-"]);
    assert_exit(&twice, 2, &["usage.stdin_twice"]);
    assert_eq!(
        case.tiny.request_count("/token"),
        request_count,
        "nothing is sent"
    );
}
