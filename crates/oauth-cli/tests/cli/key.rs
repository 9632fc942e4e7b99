//! `oauth key`: private keys are shown only on request, and only public keys are published.

use crate::common::{RunResult, folder, oauth};
use serde_json::Value;

/// RFC 8037 appendix A.1; its thumbprint is in A.3.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const ED25519_THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

/// RFC 7638 section 3.1.
const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
const RSA_THUMBPRINT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

fn refused_code(done: &RunResult, words: &[&str]) {
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (2, ""),
        "{}",
        done.stderr
    );
    for word in words {
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
}

#[test]
fn a_key_file_is_private_and_never_overwritten() {
    let path = folder("key-new").join("client.pem");
    let path = path.to_str().unwrap();
    let new = || oauth(&["key", "new", "--alg", "ES256", "--output", path]).run();
    let output = new().ok();
    let pem = std::fs::read_to_string(path).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(!output.contains("PRIVATE"), "{output}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    refused_code(&new(), &["usage.key_output", "never overwritten"]);
    assert_eq!(std::fs::read_to_string(path).unwrap(), pem);
    let thumbprint = oauth(&["key", "thumbprint", path]).run().ok();
    assert!(output.contains(thumbprint.trim_end()), "{output}");
}

#[test]
fn every_algorithm_generates_a_key_whose_public_half_names_it() {
    for (alg, kty, arguments) in [
        ("ES256", "EC", &[][..]),
        ("ES384", "EC", &[]),
        ("ES512", "EC", &[]),
        ("EdDSA", "OKP", &[]),
        ("Ed25519", "OKP", &["--alg", "Ed25519"]),
        ("PS256", "RSA", &["--alg", "PS256"]),
    ] {
        let pem = oauth(&["key", "new", "--alg", alg]).run().ok();
        let public = oauth(&[&["key", "public", "-", "--use", "sig"], arguments].concat());
        let jwk = public.stdin(&pem).run().json();
        assert_eq!((&jwk["kty"], &jwk["alg"]), (&kty.into(), &alg.into()));
        assert_eq!(jwk["use"], "sig");
        let thumbprint = oauth(&["key", "thumbprint", "-"]).stdin(&pem).run().ok();
        assert_eq!(jwk["kid"], thumbprint.trim_end());
        let private = ["d", "p", "q", "dp", "dq", "qi", "k"];
        assert!(private.iter().all(|name| jwk.get(name).is_none()), "{jwk}");
        // The public key has the same thumbprint as the private one.
        let again = oauth(&["key", "thumbprint", "-"]).stdin(&jwk.to_string());
        assert_eq!(again.run().ok(), thumbprint);
    }
}

#[cfg(unix)]
#[test]
fn a_key_is_only_printed_to_a_terminal_if_requested() {
    use std::io::Read as _;
    for (arguments, code) in [(&[][..], 2), (&["--output", "-"][..], 0)] {
        let (mut screen, terminal) = crate::native::terminal();
        let mut run = oauth(&[&["key", "new", "--alg", "ES256"], arguments].concat());
        run.command.stdout(terminal);
        let done = run.run();
        assert_eq!(done.code, code, "{}", done.stderr);
        let mut seen = Vec::new();
        // The other end is closed, so reading ends with an error.
        let _ = screen.read_to_end(&mut seen);
        let is_shown = String::from_utf8_lossy(&seen).contains("PRIVATE KEY");
        assert_eq!(is_shown, code == 0);
        assert_eq!(done.stderr.contains("usage.key_output"), code != 0);
    }
}

#[test]
fn key_new_with_json_prints_one_record() {
    let record = oauth(&["key", "new", "--alg", "ES256", "--json"])
        .run()
        .json();
    let pem = record["private_key"].as_str().unwrap();
    let thumbprint = oauth(&["key", "thumbprint", "-", "--json"]).stdin(pem);
    let output = thumbprint.run().json();
    assert_eq!(record["thumbprint"], output["thumbprint"]);
    let uri = output["uri"].as_str().unwrap();
    let prefix = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:";
    assert_eq!(uri.strip_prefix(prefix), output["thumbprint"].as_str());
}

#[test]
fn thumbprints_match_the_rfc_examples() {
    for (key, expected) in [(ED25519, ED25519_THUMBPRINT), (RSA, RSA_THUMBPRINT)] {
        let output = oauth(&["key", "thumbprint", "-"]).stdin(key).run().ok();
        assert_eq!(output.trim_end(), expected);
    }
    let uri = oauth(&["key", "thumbprint", "--uri", "-"]).stdin(RSA);
    let expected = format!("urn:ietf:params:oauth:jwk-thumbprint:sha-256:{RSA_THUMBPRINT}\n");
    assert_eq!(uri.run().ok(), expected);
}

#[test]
fn several_keys_are_published_as_a_set() {
    let folder = folder("key-set");
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let pem = oauth(&["key", "new", "--alg", "RS256"]).run().ok();
    let (old, new) = (file("old.jwk", ED25519), file("new.pem", &pem));
    let public = |more: &[&str]| oauth(&[&["key", "public"], more].concat()).run();
    let kids = |set: &Value| {
        let keys = set["keys"].as_array().unwrap().iter();
        keys.map(|key| (key["kid"].clone(), key["alg"].clone()))
            .collect::<Vec<_>>()
    };
    let set = public(&[&old, &new, "--alg", "RS256"]).json();
    let named = kids(&set);
    assert_eq!(named[0], (ED25519_THUMBPRINT.into(), "EdDSA".into()));
    assert_eq!((named.len(), &named[1].1), (2, &"RS256".into()));
    assert!(!set.to_string().contains(r#""d""#), "{set}");
    let one = public(&["--set", "--kid", "a", &old]).json();
    assert_eq!(kids(&one), [("a".into(), "EdDSA".into())]);
    // A JWK that has a name keeps it.
    let rsa = file("rsa.jwk", RSA);
    assert_eq!(public(&[&rsa]).json()["kid"], "2011-04-29");

    refused_code(&public(&[&old, &new]), &["usage.key_alg", "--alg RS256"]);
    refused_code(&public(&[&old, "--alg", "ES256"]), &["usage.key_alg"]);
    refused_code(&public(&[&rsa, "--alg", "PS256"]), &["usage.key_alg"]);
    refused_code(&public(&[&old, &old]), &["usage.key_twice"]);
    refused_code(&public(&["--kid", "a", &old, &rsa]), &["usage.kid"]);
}

#[test]
fn an_invalid_key_is_refused_and_not_shown() {
    let secret = "c2VjcmV0";
    for text in [
        String::new(),
        "nonsense c2VjcmV0".to_owned(),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"),
        format!(r#"{{"kty":"oct","k":"{secret}"}}"#),
        ED25519.replace("nWGx", secret),
        ED25519.replace(r#""kty""#, r#""alg":"ES256","kty""#),
        ED25519.replace(r#""kty""#, r#""alg":"none","kty""#),
        RSA.replace("RS256", "ES256"),
    ] {
        for command in ["public", "thumbprint"] {
            let done = oauth(&["key", command, "-"]).stdin(&text).run();
            refused_code(&done, &["usage.key"]);
            assert!(!done.stderr.contains(secret), "{}", done.stderr);
        }
    }
    refused_code(
        &oauth(&["key", "public", "/nonexistent/key.pem"]).run(),
        &["usage.key", "/nonexistent/key.pem"],
    );
    refused_code(&oauth(&["key", "new", "--alg", "HS256"]).run(), &["ES256"]);
}

#[test]
fn an_encrypted_key_is_published_with_its_passphrase() {
    let file = |name: &str| {
        let tests = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../oauth-crypto/tests/encrypted"
        );
        format!("{tests}/{name}.pem")
    };
    let (plain, encrypted) = (file("plain"), file("aes256"));
    let expected = oauth(&["key", "public", &plain]).run().json();
    let by_env = ["key", "public", &encrypted, "--key-passphrase-env", "P"];
    assert_eq!(oauth(&by_env).env("P", "correct").run().json(), expected);
    let by_file = [
        "key",
        "thumbprint",
        &encrypted,
        "--key-passphrase-file",
        "-",
    ];
    let thumbprint = oauth(&by_file).stdin("correct\n").run().ok();
    assert_eq!(expected["kid"], thumbprint.trim_end());
    let wrong = oauth(&by_env).env("P", "wrong").run();
    refused_code(&wrong, &["usage.key_passphrase", "does not decrypt"]);
    assert!(!wrong.stderr.contains("wrong"), "{}", wrong.stderr);
    refused_code(
        &oauth(&["key", "public", &encrypted]).run(),
        &["usage.secret", "passphrase of the key is required"],
    );
    let scrypt = file("scrypt");
    let other = ["key", "public", &scrypt, "--key-passphrase-env", "P"];
    refused_code(
        &oauth(&other).env("P", "correct").run(),
        &["usage.key", "PBES2"],
    );
}

#[test]
fn sealing_keys_are_random_and_never_overwritten() {
    let key = || oauth(&["key", "seal"]).run().ok();
    let (first, second) = (key(), key());
    assert_ne!(first, second);
    let text = oauth_core::Secret::new(format!("{},{}", first.trim_end(), second.trim_end()));
    let keys = oauth_seal::Keys::parse(&text).unwrap();
    assert_eq!(keys.iter().count(), 2);
    let path = folder("key-seal").join("key.txt");
    let path = path.to_str().unwrap();
    let seal = || oauth(&["key", "seal", "--output", path]).run();
    assert!(
        !seal()
            .ok()
            .contains(std::fs::read_to_string(path).unwrap().trim_end())
    );
    refused_code(&seal(), &["never overwritten"]);
}
