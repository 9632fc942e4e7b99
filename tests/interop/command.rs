//! The `oauth` command against `oidc-provider`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::oidc_provider::{OidcProvider, browse};

/// The command, built once.
fn oauth() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let path = BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            // Built from the workspace root, it has the same features as the tests.
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .args([
                "build",
                "--quiet",
                "--bin",
                "oauth",
                "--message-format",
                "json",
            ])
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo runs");
        let text = String::from_utf8(built.stdout).expect("UTF-8");
        let messages = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut built =
            messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
        built.next_back().expect("the command is built")
    });
    let mut command = Command::new(path);
    // The developer's own profiles and tokens are not used.
    let state = concat!(env!("CARGO_TARGET_TMPDIR"), "/interop");
    command
        .env_remove("OAUTH_PROFILE")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("XDG_STATE_HOME", format!("{state}-{}", std::process::id()));
    command
}

/// A folder for each test, removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("oauth-interop-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The command with the credentials of this client.
fn as_client(server: &OidcProvider, which: &str, arguments: &[&str]) -> Command {
    let mut command = oauth();
    let method = if which == "native" { "none" } else { which };
    command
        .args(arguments)
        .args([
            "--issuer",
            server.issuer(),
            "--loopback-http",
            "--client-id",
            server.client_id(which),
        ])
        .args(["--client-auth", method]);
    if which != "native" {
        command
            .args(["--client-secret-env", "INTEROP_SECRET"])
            .env("INTEROP_SECRET", server.secret(which));
    }
    command
}

fn stdout_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn run_successfully(command: &mut Command) -> Output {
    let output = command.output().expect("the command runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    output
}

/// Logs in: the command prints the URL, which no browser opens.
fn login(server: &OidcProvider, which: &str, file: &Path) {
    let save = file.to_string_lossy();
    let arguments = [
        "login",
        "--no-browser",
        "--scope",
        "openid read",
        "--timeout",
        "30",
        "--save",
        &save,
    ];
    open_printed_url(&mut as_client(server, which, &arguments));
}

/// Has the user open the URL that a login prints.
fn open_printed_url(login: &mut Command) {
    let mut process = login
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut stderr_lines = BufReader::new(process.stderr.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    let url = stderr_lines.find_map(|line| {
        line.split(' ')
            .find(|token| token.starts_with("http://"))
            .map(str::to_owned)
    });
    browse(&url.expect("a URL to open"));
    let rest: Vec<_> = stderr_lines.collect();
    let mut out = String::new();
    process
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut out)
        .expect("UTF-8");
    assert!(process.wait().expect("an end").success(), "{out} {rest:?}");
}

#[test]
fn the_command_authenticates_with_a_key() {
    let server = OidcProvider::start();
    let folder = Folder::new("key");
    let file = folder.file("client.pem");
    for alg in ["ES256", "EdDSA", "PS256"] {
        let which = format!("key-{alg}");
        std::fs::write(&file, server.private_key(&which)).expect("a file");
        let run = |arguments: &[&str]| {
            let mut command = oauth();
            command
                .args(arguments)
                .args(["--issuer", server.issuer(), "--loopback-http"]);
            command.args(["--client-id", &which, "--key-alg", alg, "--key"]);
            command.arg(&file);
            command
        };
        let token = stdout_of(&run_successfully(&mut run(&["token", "--scope", "read"])));
        let introspection =
            run_successfully(run(&["introspect", "--token-env", "T", "--json"]).env("T", &token));
        let introspection: Value = serde_json::from_str(&stdout_of(&introspection)).expect("JSON");
        assert_eq!(introspection["active"], true, "{alg}: {introspection}");
        assert_eq!(introspection["client_id"], which);
    }
    // The key of another client.
    std::fs::write(&file, server.private_key("key-ES384")).expect("a file");
    let mut other = oauth();
    other.args(["token", "--issuer", server.issuer(), "--loopback-http"]);
    other.args(["--client-id", "key-ES512", "--key-alg", "ES384", "--key"]);
    let refused = other.arg(&file).output().expect("the command runs");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("denied.invalid_client"), "{stderr}");
}

#[test]
fn the_command_authenticates_with_client_secret_jwt() {
    let server = OidcProvider::start();
    let token = |which: &str, secret: &str| {
        let mut command = oauth();
        command
            .args([
                "token",
                "--scope",
                "read",
                "--issuer",
                server.issuer(),
                "--loopback-http",
            ])
            .args(["--client-id", which, "--client-auth", "client-secret-jwt"])
            .args([
                "--key-alg",
                "HS512",
                "--client-secret-env",
                "INTEROP_SECRET",
            ])
            .env("INTEROP_SECRET", secret);
        command
    };
    let secret = server.secret("secret-HS512");
    assert!(!stdout_of(&run_successfully(&mut token("secret-HS512", secret))).is_empty());
    let wrong = "x".repeat(secret.len());
    let refused = token("secret-HS512", &wrong).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("denied.invalid_client"), "{stderr}");
}

#[test]
fn discover_lists_the_endpoints() {
    let server = OidcProvider::start();
    let output =
        run_successfully(oauth().args(["discover", server.issuer(), "--loopback-http", "--json"]));
    let found: Value = serde_json::from_str(&stdout_of(&output)).expect("JSON");
    assert_eq!(found["issuer"], server.issuer());
    assert_eq!(
        found["token_endpoint"],
        format!("{}/token", server.issuer())
    );
}

#[test]
fn the_command_gets_introspects_and_revokes_client_tokens() {
    let server = OidcProvider::start();
    let folder = Folder::new("token");
    for which in ["basic", "post"] {
        let token = run_successfully(&mut as_client(
            &server,
            which,
            &["token", "--scope", "read"],
        ));
        let token = stdout_of(&token);
        assert!(
            token.len() > 20 && !token.contains(char::is_whitespace),
            "the token alone: {token}"
        );
        let file = folder.file("token");
        std::fs::write(&file, &token).expect("written");
        let place = file.to_string_lossy();
        let active = || {
            let arguments = ["introspect", "--json", "--token-file", &place];
            let stdout = run_successfully(&mut as_client(&server, which, &arguments));
            serde_json::from_str::<Value>(&stdout_of(&stdout)).expect("JSON")["active"].clone()
        };
        assert_eq!(active(), true);
        run_successfully(&mut as_client(
            &server,
            which,
            &["revoke", "--token-file", &place],
        ));
        assert_eq!(active(), false);
    }
}

#[test]
fn a_wrong_secret_is_reported_by_code() {
    let server = OidcProvider::start();
    let mut command = as_client(&server, "basic", &["token", "--json"]);
    let output = command
        .env("INTEROP_SECRET", "wrong: +%/")
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned() + &stdout_of(&output);
    assert!(stderr.contains("denied.invalid_client"), "{stderr}");
    assert!(!stderr.contains("wrong: +%/"), "{stderr}");
}

#[test]
fn the_command_logs_in_refreshes_with_rotation_and_revokes() {
    let server = OidcProvider::start();
    let folder = Folder::new("login");
    for which in ["native", "basic", "post"] {
        let file = folder.file(which);
        let place = file.to_string_lossy().into_owned();
        login(&server, which, &file);
        let refresh_token = || -> String {
            let stored = std::fs::read_to_string(&file).expect("tokens");
            let stored: Value = serde_json::from_str(&stored).expect("JSON");
            stored["refresh_token"]
                .as_str()
                .expect("a refresh token")
                .to_owned()
        };
        let first = refresh_token();
        run_successfully(&mut as_client(
            &server,
            which,
            &["refresh", "--tokens", &place],
        ));
        let second = refresh_token();
        assert_ne!(first, second, "{which}: the refresh token rotates");
        run_successfully(&mut as_client(
            &server,
            which,
            &["revoke", "--tokens", &place],
        ));
        let spent = as_client(&server, which, &["refresh", "--tokens", &place])
            .output()
            .expect("the command runs");
        assert_eq!(spent.status.code(), Some(1), "{which}: revoked");
    }
}

#[test]
fn the_command_accepts_responses_in_the_registered_form() {
    let server = OidcProvider::start();
    let folder = Folder::new("registered");
    let config = folder.file("config.toml");
    let write = |which: &str, members: &str| {
        if let Some(key) = server.decryption_key(which) {
            std::fs::write(folder.file("key.jwk"), key).expect("a file");
        }
        let text = format!("[profile.p]\nregistered = {{ {members} }}\n");
        std::fs::write(&config, text).expect("a file");
    };
    let command = |which: &str, arguments: &[&str]| {
        let mut command = oauth();
        command.args(arguments).arg("--config").arg(&config);
        command.args(["--profile", "p", "--issuer", server.issuer()]);
        command.args(["--loopback-http", "--client-id", which]);
        command.args(["--client-secret-env", "INTEROP_SECRET"]);
        command.env("INTEROP_SECRET", server.secret(which));
        command
    };
    let code = |command: &mut Command| {
        let output = command.arg("--json").output().expect("the command runs");
        assert!(!output.status.success());
        let output_text =
            String::from_utf8_lossy(&output.stderr).into_owned() + &stdout_of(&output);
        let output_json: Value = serde_json::from_str(output_text.trim()).expect("JSON");
        output_json["code"].as_str().expect("a code").to_owned()
    };
    let place = folder.file("tokens").to_string_lossy().into_owned();
    let login = |which: &str| {
        let arguments = ["login", "--no-browser", "--timeout", "30", "--save", &place];
        let mut login = command(which, &arguments);
        open_printed_url(login.args(["--scope", "openid read"]));
    };
    let with_key = |members: &str| format!("{members}, decryption_key_file = \"key.jwk\"");

    let which = "id-token-ECDH-ES+A256KW-A256GCM";
    let both = "id_token_encrypted_response_alg = \"ECDH-ES+A256KW\", id_token_encrypted_response_enc = \"A256GCM\"";
    write(which, &with_key(both));
    login(which);

    let userinfo = ["userinfo", "--tokens", &place, "--subject", "somebody"];
    let signed = "userinfo_signed_response_alg = \"PS256\"";
    let both = "userinfo_encrypted_response_alg = \"ECDH-ES\", userinfo_encrypted_response_enc = \"A256GCM\"";
    let both = with_key(&format!("{signed}, {both}"));
    write("userinfo-both", &both);
    login("userinfo-both");
    let stdout = run_successfully(command("userinfo-both", &userinfo).arg("--json"));
    let output_json: Value = serde_json::from_str(&stdout_of(&stdout)).expect("JSON");
    assert_eq!(output_json["sub"], "somebody");
    write("userinfo-both", &both.replace("PS256", "ES256"));
    let refused = code(&mut command("userinfo-both", &userinfo));
    assert_eq!(refused, "jws.alg_not_allowed");
    write("userinfo-both", signed);
    let refused = code(&mut command("userinfo-both", &userinfo));
    assert_eq!(refused, "jwe.unexpected");

    let which = "introspection-both";
    let signed = "introspection_signed_response_alg = \"EdDSA\"";
    let both = "introspection_encrypted_response_alg = \"ECDH-ES\", introspection_encrypted_response_enc = \"A256GCM\"";
    write(which, &with_key(&format!("{signed}, {both}")));
    let token = stdout_of(&run_successfully(&mut command(
        which,
        &["token", "--scope", "read"],
    )));
    let introspect = || {
        let mut command = command(which, &["introspect", "--token-env", "T"]);
        command.env("T", &token);
        command
    };
    let stdout = run_successfully(introspect().arg("--json"));
    let output_json: Value = serde_json::from_str(&stdout_of(&stdout)).expect("JSON");
    assert_eq!(
        (&output_json["active"], &output_json["client_id"]),
        (&true.into(), &which.into())
    );
    write(which, signed);
    assert_eq!(code(&mut introspect()), "jwe.unexpected");
    // Contradictory options are reported before anything is sent.
    for wrong in [
        both,
        "userinfo_encrypted_response_enc = \"A256GCM\"",
        "userinfo_encrypted_response_alg = \"ECDH-ES\"",
        "userinfo_signed_response_alg = \"none\"",
        "id_token_encrypted_response_alg = \"RSA1_5\"",
    ] {
        write(which, wrong);
        assert_eq!(code(&mut introspect()), "usage.registered", "{wrong}");
    }
}
