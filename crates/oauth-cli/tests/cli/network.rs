//! Certificates and proxies, from the command line and from a profile.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;

use oauth_testkit::Tls;

use crate::common::{Run, folder, oauth};

fn config(tls: &Tls, folder: &Path, base: &str, network: &str) -> String {
    let text = format!(
        "default_profile = \"acme\"\n\
         [profile.acme]\n\
         provider = \"usertesting\"\non_loopback = \"{base}\"\n\
         client_id = \"{}\"\nclient_secret_env = \"TLS_SECRET\"\n\
         {network}\n",
        tls.client_id
    );
    let path = folder.join("config.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn with(tls: &Tls, arguments: &[&str]) -> Run {
    oauth(arguments).env("TLS_SECRET", &tls.client_secret)
}

#[test]
fn a_private_ca_is_trusted_if_configured() {
    let (tls, folder) = (Tls::start().unwrap(), folder("network-ca"));
    std::fs::write(folder.join("ca.pem"), &tls.ca).unwrap();
    let ca = folder.join("ca.pem");
    let ca = ca.to_str().unwrap();
    let url = format!("{}/api/v2/sessionResults/?testId=1", tls.base);

    let plain = config(&tls, &folder, &tls.base, "");
    let refused = with(&tls, &["--config", &plain, "token", "--json"]).run();
    assert!(refused.stderr.contains("lost.tls"), "{}", refused.stderr);
    with(&tls, &["--config", &plain, "--ca", ca, "token"])
        .run()
        .ok();
    with(&tls, &["--config", &plain, "--ca", ca, "call", &url])
        .run()
        .ok();

    // Paths are relative to the profiles' file.
    for name in ["ca", "only_ca"] {
        let network = format!("network.{name} = \"ca.pem\"");
        let outcome = config(&tls, &folder, &tls.base, &network);
        with(&tls, &["--config", &outcome, "call", &url]).run().ok();
    }
    // The system's authorities, here from a variable, are trusted in addition to `ca`, but not to `only_ca`.
    let other = Tls::start().unwrap();
    std::fs::write(folder.join("other.pem"), &other.ca).unwrap();
    for (name, is_trusted) in [("ca", true), ("only_ca", false)] {
        let network = format!("network.{name} = \"other.pem\"");
        let outcome = config(&tls, &folder, &tls.base, &network);
        let run = with(&tls, &["--config", &outcome, "call", &url]).env("SSL_CERT_FILE", ca);
        let done = run.run();
        assert_eq!(done.code == 0, is_trusted, "{name}: {}", done.stderr);
        assert_eq!(
            done.stderr.contains("lost.tls"),
            !is_trusted,
            "{name}: {}",
            done.stderr
        );
    }
    let missing = config(&tls, &folder, &tls.base, "network.ca = \"none.pem\"");
    let refused = with(&tls, &["--config", &missing, "token"]).run();
    assert!(refused.stderr.contains("none.pem"), "{}", refused.stderr);
}

#[test]
fn the_client_certificate_is_presented_to_a_server_that_requests_it() {
    let (tls, folder) = (Tls::start().unwrap(), folder("network-mutual"));
    for (name, text) in [
        ("ca.pem", &tls.ca),
        ("me.pem", &tls.certificate),
        ("me.key", &tls.key),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let network = "[profile.acme.network]\nca = \"ca.pem\"\n\
                   client_certificate = \"me.pem\"\nclient_key = \"me.key\"\ntimeout = 20";
    let outcome = config(&tls, &folder, &tls.mutual, network);
    with(&tls, &["--config", &outcome, "token"]).run().ok();
    let without = config(&tls, &folder, &tls.mutual, "network.ca = \"ca.pem\"");
    let refused = with(&tls, &["--config", &without, "token"]).run();
    assert!(refused.stderr.contains("[lost"), "{}", refused.stderr);
}

#[test]
fn https_requests_are_tunneled_through_the_proxy() {
    let (tls, folder) = (Tls::start().unwrap(), folder("network-proxy"));
    std::fs::write(folder.join("ca.pem"), &tls.ca).unwrap();
    let outcome = config(&tls, &folder, &tls.base, "network.ca = \"ca.pem\"");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let (heard, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 1024];
            let size = stream.read(&mut head).unwrap();
            heard
                .send(String::from_utf8_lossy(&head[..size]).into_owned())
                .unwrap();
            // This proxy refuses connections.
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let refused = with(
        &tls,
        &["--config", &outcome, "--proxy", &proxy, "token", "--json"],
    )
    .run();
    let way = tls.base.strip_prefix("https://").unwrap();
    let head = requests.recv().unwrap();
    assert!(head.starts_with(&format!("CONNECT {way} ")), "{head}");
    assert!(refused.stderr.contains("lost.proxy"), "{}", refused.stderr);
    // Requests to this machine use no proxy unless configured.
    let run = with(&tls, &["--config", &outcome, "token"]);
    run.env("HTTPS_PROXY", &proxy).run().ok();
    assert!(requests.try_recv().is_err());
    let wrong = with(
        &tls,
        &["--config", &outcome, "--proxy", "ftp://S3CR3T", "token"],
    )
    .run();
    assert!(wrong.stderr.contains("transport.setup") && !wrong.stderr.contains("S3CR3T"));
}

#[test]
fn a_variable_naming_an_invalid_certificate_file_is_reported_with_its_path() {
    let (tls, folder) = (Tls::start().unwrap(), folder("network-variable"));
    std::fs::write(folder.join("ca.pem"), &tls.ca).unwrap();
    std::fs::write(folder.join("empty.pem"), "").unwrap();
    let outcome = config(&tls, &folder, &tls.base, "");
    let ca = folder.join("ca.pem");
    let empty = folder.join("empty.pem");
    let empty = empty.to_str().unwrap();
    for (name, path) in [
        ("SSL_CERT_FILE", "/nonexistent/ca.pem"),
        ("SSL_CERT_FILE", empty),
        ("SSL_CERT_DIR", "/nonexistent"),
    ] {
        // Also with an additional private authority, since the loss of the others would go unnoticed.
        for more in [&[][..], &["--ca", ca.to_str().unwrap()]] {
            let command = [&["--config", &outcome, "token"], more].concat();
            let done = with(&tls, &command).env(name, path).run();
            assert_eq!(done.code, 2, "{}", done.stderr);
            let words = format!("{name} names {path}");
            assert!(done.stderr.contains(&words), "{words}: {}", done.stderr);
        }
    }
    // With `only_ca` the system's authorities are not needed.
    let only = config(&tls, &folder, &tls.base, "network.only_ca = \"ca.pem\"");
    let run = with(&tls, &["--config", &only, "token"]).env("SSL_CERT_FILE", empty);
    run.run().ok();
}

/// `oauth serve --mutual-tls` prints and writes everything that a client needs.
#[test]
fn a_served_fapi_system_accepts_client_certificates() {
    let folder = folder("network-served");
    let place = folder.join("certificates");
    let place = place.to_str().unwrap();
    let mut run = oauth(&["serve", "--system", "fapi", "--mutual-tls", place, "--json"]);
    let mut server = run.command.stdin(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let output: serde_json::Value = serde_json::from_str(&line).unwrap();
    let text = |name: &str| output[name].as_str().unwrap().to_owned();
    let (base, ca, id) = (text("base"), text("ca"), text("client_id"));
    let token = |more: &[&str]| {
        let server = ["token", "--issuer", &base, "--ca", &ca, "--client-id", &id];
        oauth(&[&server[..], &["--client-auth", "tls"], more].concat()).run()
    };
    for name in ["client_cert", "next_cert"] {
        let certificate = text(name);
        let printed = token(&["--client-cert", &certificate]);
        assert!(!printed.ok().trim().is_empty(), "{name}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&certificate)
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "its key is in it");
        }
    }
    // Without a certificate.
    assert_ne!(token(&[]).code, 0);

    // Two certificates of one client with one store: a token is printed only with the certificate that it is bound to.
    let profile = |name: &str| {
        let certificate = text(&format!("{name}_cert"));
        format!(
            "[profile.{name}]\nissuer = \"{base}\"\nclient_id = \"{id}\"\nclient_auth = \"tls\"\n\
             network.ca = \"{ca}\"\nnetwork.client_certificate = \"{certificate}\"\n"
        )
    };
    let config = folder.join("profiles.toml");
    std::fs::write(&config, profile("client") + &profile("next")).unwrap();
    let stored_token = |name: &str| {
        let config = config.to_str().unwrap();
        let command = [
            "--config",
            config,
            "--profile",
            name,
            "token",
            "--as",
            "client",
        ];
        let run = oauth(&command).env("XDG_STATE_HOME", folder.to_str().unwrap());
        run.run().ok().trim().to_owned()
    };
    let (current, next) = (stored_token("client"), stored_token("next"));
    assert_ne!(current, next);
    assert_eq!(stored_token("client"), current);
    assert_eq!(stored_token("next"), next);

    server.kill().unwrap();
    server.wait().unwrap();
    let other = oauth(&["serve", "--mutual-tls", place]).run();
    assert_eq!(other.code, 2);
    assert!(
        other.stderr.contains("usage.mutual_tls"),
        "{}",
        other.stderr
    );
}
