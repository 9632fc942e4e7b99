use super::*;
use crate::exchange::Exchange;
use crate::grant::Password;
use crate::token::Tokens;

/// The server's description after redaction for a client with this secret.
fn redacted_description(secret: &str, server_text: &str) -> (String, String) {
    let auth = ClientAuth::post(secret);
    let client = Client::new(server(), ClientId::new("id"), auth).unwrap();
    description_of(client.client_credentials(Scope::none()), server_text)
}

fn description_of(exchange: impl Exchange<Output = Tokens>, server_text: &str) -> (String, String) {
    let body = serde_json::json!({"error": "invalid_client", "error_description": server_text});
    let error = run_with_reply(exchange, json(401, &body.to_string())).unwrap_err();
    let description = error
        .server_error()
        .and_then(|server_error| server_error.description());
    (description.unwrap().to_owned(), error.to_string())
}

/// Errors show no control characters; the comparison must not depend on that.
/// Passwords, because a client secret with whitespace at an end is refused.
#[test]
fn secret_with_control_or_invisible_characters_is_redacted() {
    let redacted_description = |secret: &str, server_text: &str| {
        let grant = Password {
            username: "ann".to_owned(),
            password: secret.into(),
        };
        description_of(client().token(grant, Scope::none()), server_text)
    };
    for (secret, said) in [
        ("s3cr3t-from-a-file\n", "got s3cr3t-from-a-file\n."),
        // The server trims what it receives.
        ("s3cr3t-from-a-file\r\n", "got s3cr3t-from-a-file."),
        ("s3cr3t-from-a-file\n", "got s3cr3t-from-a-file\\n."),
        ("s3cr3t-from-a-file\n", "got s3cr3t-from-a-file%0A."),
        ("s3cr3t-from-a-file ", "got s3cr3t-from-a-file."),
        ("s3cr3t\tof two words", "got s3cr3t\tof two words."),
        ("s3cr3t\tof two words", "got s3cr3t\\tof two words."),
        (
            "s3cr3t\u{200b}of\u{202e}two",
            "got s3cr3t\u{200b}of\u{202e}two.",
        ),
        ("\u{feff}s3cr3t\u{0}", "got \u{feff}s3cr3t\u{0}."),
    ] {
        assert_eq!(
            redacted_description(secret, said).0,
            "got [redacted].",
            "{said:?}"
        );
    }
    assert_eq!(redacted_description("\n", "a line").0, "a line");
}

#[test]
fn short_secret_is_redacted_as_a_whole_word_but_not_inside_words() {
    for (secret, server_text, remaining) in [
        ("test", "a tested client attests", "a tested client attests"),
        ("test", "got test.", "got [redacted]."),
        ("test", "client_secret=test&b", "client_secret=[redacted]&b"),
        ("test", "secret%3Dtest%26b", "secret%3D[redacted]%26b"),
        (
            "test",
            "secret%253Dtest%2526b",
            "secret%253D[redacted]%2526b",
        ),
        ("test", "secret\\u003dtest\\n", "secret\\u003d[redacted]\\n"),
        ("test", "got\\ntest", "got\\n[redacted]"),
        ("test", "got&#34;test&#34;", "got&#34;[redacted]&#34;"),
        ("test", "\u{e4}test test\u{e4}", "\u{e4}test test\u{e4}"),
        ("-pw-", "x-pw-y", "x[redacted]y"),
        // A description without these words would reveal the secret.
        ("a", "a client is not known", "[redacted]"),
        ("a", "no match: bad mac", "no match: bad mac"),
        ("pw", "pw is wrong", "[redacted]"),
        // No word is this long, so such a secret may be part of another value.
        ("0123456789abcdef", "x0123456789abcdefy", "x[redacted]y"),
    ] {
        assert_eq!(
            redacted_description(secret, server_text).0,
            remaining,
            "{secret} in {server_text}"
        );
    }
    // The crate's own text is not redacted, and the error code is unchanged.
    for secret in [
        "client",
        "invalid_client",
        "token",
        "https",
        "as.example",
        "refused",
        "POST",
    ] {
        let (_, text) = redacted_description(secret, "no");
        let whole = "token: POST https://as.example/token: the server refused: invalid_client: no \
                     (HTTP 401) [denied.invalid_client]";
        assert_eq!(text, whole, "{secret}");
    }
}
