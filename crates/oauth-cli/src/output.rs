//! Output: results on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use oauth_core::error::{Advice, Delivery, Error, Kind, Misuse, ValidationFailure};
use serde_json::{Value, json};

/// The exit code when the server or the network refused.
pub(crate) const EXIT_REFUSED: u8 = 1;
/// The exit code when the command, the profile or a secret source is wrong.
pub(crate) const EXIT_USAGE: u8 = 2;

/// For errors.
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
/// For success.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default().bold();
/// For the most important part of a line.
pub(crate) const BOLD: Style = Style::new().bold();
/// For the least important part.
pub(crate) const DIM: Style = Style::new().dimmed();

/// Why a command failed, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: u8,
    code: String,
    pub(crate) message: String,
    hint: String,
    /// The record of an error of the library.
    record: Option<Value>,
    /// Whether the caller was informed already, as the protocol of the command requires (docker).
    is_told: bool,
}

impl Failure {
    /// A mistake that the user can fix.
    pub(crate) fn usage(code: &str, message: impl Display, hint: impl Display) -> Self {
        Self {
            exit: EXIT_USAGE,
            code: code.to_owned(),
            message: message.to_string(),
            hint: hint.to_string(),
            record: None,
            is_told: false,
        }
    }

    /// A refusal by the server or another party.
    pub(crate) fn refused(code: &str, message: impl Display, hint: impl Display) -> Self {
        Self {
            exit: EXIT_REFUSED,
            ..Self::usage(code, message, hint)
        }
    }

    /// Prints it on stdout only, in one line, with the exit code that `docker` expects of a failure.
    pub(crate) fn tell_docker(self) -> Self {
        let line = if self.hint.is_empty() {
            self.message.clone()
        } else {
            format!("{} [{}]: {}", self.message, self.code, self.hint)
        };
        // A closed pipe is only reported by the exit code.
        let _ = print(line.replace(['\n', '\r'], " "));
        Self {
            exit: EXIT_REFUSED,
            is_told: true,
            ..self
        }
    }

    /// Whether it has this code.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.code == code
    }

    /// Whether the error concerns a record that cannot be read.
    pub(crate) fn is_stored_error(&self) -> bool {
        self.code.starts_with("stored.")
    }

    /// Replaces the hint.
    pub(crate) fn with_hint(self, hint: impl Display) -> Self {
        Self {
            hint: hint.to_string(),
            ..self
        }
    }

    /// Marks the failure as one of the client's own token request, in which no login is involved.
    pub(crate) fn for_client(self) -> Self {
        self.without_login(
            "the server does not issue tokens to the client itself; check its message and the registration of the client",
        )
    }

    /// Replaces the hint of a refused grant in which no login is involved.
    pub(crate) fn without_login(self, hint: &str) -> Self {
        if self.code != "denied.invalid_grant" {
            return self;
        }
        self.with_hint(format_args!("this is not about a login: {hint}"))
    }

    /// Adds a further hint.
    pub(crate) fn and_hint(self, second_hint: impl Display) -> Self {
        let hint = format!("{}; {second_hint}", self.hint);
        self.with_hint(hint)
    }

    fn to_json(&self) -> Value {
        let mut record = self.record.clone().unwrap_or_else(|| {
            json!({
                "code": self.code, "message": self.message, "advice": "give_up",
                "retry_after": null, "repeated": false, "endpoint": null, "status": null, "error": null,
                "error_description": null,
            })
        });
        if let Some(members) = record.as_object_mut() {
            members.insert("hint".to_owned(), self.hint.clone().into());
        }
        record
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let code = error.code();
        let mut message = text
            .strip_suffix(&format!(" [{code}]"))
            .unwrap_or(&text)
            .to_owned();
        // A cause may repeat the message.
        let mut cause: Option<&dyn std::error::Error> = error.cause().map(|cause| cause as _);
        while let Some(one) = cause {
            let text = one.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = one.source();
        }
        let hint = hint(&error);
        Self {
            exit: match error.kind() {
                // The command is valid: the cause is a 401 of the server, or a lost response.
                Kind::Misuse(Misuse::NoRefreshToken | Misuse::OutcomeUnknown) => EXIT_REFUSED,
                Kind::Misuse(_) | Kind::Untrusted(ValidationFailure::StoredIssuer) => EXIT_USAGE,
                _ => EXIT_REFUSED,
            },
            code: code.to_owned(),
            hint,
            record: serde_json::to_value(&error).ok(),
            is_told: false,
            message,
        }
    }
}

/// The hint about an error, with this command.
fn hint(error: &Error) -> String {
    let with_switches = match error.code() {
        "denied.invalid_client" => {
            Some("check the client ID, the client secret or key, and --client-auth")
        }
        "denied.invalid_grant" => Some(
            "the code or refresh token is used, expired or revoked: log in again with oauth login",
        ),
        "denied.invalid_scope" => Some("check --scope: the server does not grant this scope"),
        "lost.tls" => Some(tls_hint(error)),
        "provider.unknown" => {
            Some("use one of these with --provider, or a file with --provider-file")
        }
        "provider.variable" => {
            Some("use --var NAME=VALUE, or set it under `variables` in the profile")
        }
        "redirect_uri.not_registered" => Some(
            "pass the registered one with --redirect-uri, or set `redirect_uri` in the profile",
        ),
        "issuer.metadata_url" => {
            Some("pass the issuer itself: the same URL without /.well-known and the name behind it")
        }
        "jwt.issued_in_future" | "jwt.not_yet_valid" => {
            Some("check the clock of this machine; if it is right, that of the server is ahead")
        }
        "resource.origin_not_allowed" => {
            Some("if the token may be sent there, use --origin, or set `origins` in the profile")
        }
        "client_auth.required" => {
            Some("pass a secret with --client-secret-env or --client-secret-file")
        }
        "key.algorithm" => Some(
            "choose an algorithm that both support with --key-alg, or use another type of key with --key",
        ),
        "url.insecure" | "issuer.not_https" | "metadata.endpoint_not_https" => {
            Some("plain http is allowed for loopback addresses only, with --loopback-http")
        }
        "stored.issuer" => Some("these tokens belong to another server or client: use its profile"),
        "grant.no_refresh_token" => Some("log in again with oauth login"),
        _ => None,
    };
    if let Some(hint) = with_switches.or(error.hint()) {
        return hint.to_owned();
    }
    let may_be_done = error
        .cause()
        .is_some_and(|cause| cause.delivery() == Delivery::Unknown);
    match error.advice() {
        Advice::Retry { after: Some(pause) } => format!("try again in {} s", pause.as_secs()),
        Advice::Retry { .. } if may_be_done => {
            "try again; the server may already have processed the request".to_owned()
        }
        Advice::Retry { .. } => "try again".to_owned(),
        Advice::Reauthorize => {
            "the grant is no longer valid: log in again with oauth login".to_owned()
        }
        _ => "trying again will not help: check the command and the profile".to_owned(),
    }
}

/// A server that is not trusted and one that does not speak TLS have the same code.
fn tls_hint(error: &Error) -> &'static str {
    let mut cause: Option<&dyn std::error::Error> = error.cause().map(|cause| cause as _);
    while let Some(one) = cause {
        let text = one.to_string();
        if ["InvalidContentType", "corrupt message"]
            .iter()
            .any(|word| text.contains(word))
        {
            return "the server at this address does not speak TLS: check host and port; for a local test server, use --on-loopback (with a provider) or --loopback-http (with an issuer)";
        }
        cause = one.source();
    }
    "this machine does not trust the server's certificate: check the URL, or pass the CA's PEM file with --ca or SSL_CERT_FILE"
}

/// The form in which results and errors are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// As JSON.
    pub(crate) json: bool,
}

impl Output {
    /// Prints a result on stdout: `text` for people, or `record` for programs.
    pub(crate) fn result(self, text: impl Display, record: &Value) -> Result<(), Failure> {
        if self.json {
            print(record)
        } else {
            print(text)
        }
    }

    /// With `--json`, prints a record on stdout, where the text for people is on stderr.
    pub(crate) fn json_line(self, record: &Value) -> Result<(), Failure> {
        if self.json { print(record) } else { Ok(()) }
    }

    /// Prints a progress note to stderr, for humans; programs use the result.
    pub(crate) fn note(self, text: impl Display) {
        if !self.json {
            print_stderr(text);
        }
    }

    /// Prints an error on stderr that did not prevent the result of the command.
    pub(crate) fn warn(self, error: &Error) {
        if self.json {
            print_stderr(json!({ "warning": error }))
        } else {
            print_stderr(format_args!("warning: {error}"))
        }
    }

    /// Prints why the command failed, on stderr.
    pub(crate) fn failure(self, failure: &Failure) {
        if failure.is_told {
            return;
        }
        if self.json {
            print_stderr(failure.to_json());
        } else {
            let Failure {
                code,
                message,
                hint,
                ..
            } = failure;
            print_stderr(format_args!("{RED}error[{code}]{RED:#}: {message}"));
            print_stderr(format_args!("  {DIM}hint:{DIM:#} {hint}"));
        }
    }
}

/// Prints a line on stdout.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    let mut stdout = anstream::stdout();
    ignore_closed_pipe(writeln!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// Writes bytes to stdout as they are; returns whether the next output starts a new line.
pub(crate) fn copy_to_stdout(from: &mut impl io::Read) -> Result<bool, Failure> {
    let mut stdout = LastByteWriter {
        inner: io::stdout().lock(),
        last: b'\n',
    };
    let mut is_at_start = true;
    let copied = io::copy(from, &mut stdout).and_then(|_| {
        is_at_start = stdout.last == b'\n';
        // Bodies seldom end with a line break, and the prompt comes next.
        if !is_at_start && stdout.inner.is_terminal() {
            writeln!(stdout)?;
            is_at_start = true;
        }
        stdout.flush()
    });
    ignore_closed_pipe(copied)?;
    Ok(is_at_start)
}

/// Remembers the last byte.
struct LastByteWriter<W> {
    inner: W,
    last: u8,
}

impl<W: io::Write> io::Write for LastByteWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.inner.write(bytes)?;
        let written = bytes.get(..size).and_then(<[u8]>::last);
        self.last = *written.unwrap_or(&self.last);
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A closed pipe is not an error: the reader has stopped reading.
fn ignore_closed_pipe(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::refused(
            "output.failed",
            format_args!("the output could not be read or written: {error}"),
            "try again",
        )),
        _ => Ok(()),
    }
}

/// Prints a line on stderr.
pub(crate) fn print_stderr(text: impl Display) {
    // If stderr is closed, the error cannot be reported anywhere.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Names and values in two columns. Values come from servers, so control characters are removed.
pub(crate) fn table(rows: &[(String, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or_default();
    let lines = rows.iter().map(|(name, value)| {
        let (name, value) = (printable(name), printable(value));
        format!("{BOLD}{name:width$}{BOLD:#}  {value}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A value in readable form: strings without quotes, lists without brackets.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The text without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use oauth_core::error::{Cause, Error, Loss, ValidationFailure};

    use super::hint;

    #[test]
    fn untrusted_certificates_and_servers_without_tls_get_different_hints() {
        let hint_for = |cause: &str| hint(&Error::lost(Cause::unsent(cause).because(Loss::Tls)));
        assert!(hint_for("invalid peer certificate: UnknownIssuer").contains("SSL_CERT_FILE"));
        assert!(
            hint_for("received corrupt message of type InvalidContentType")
                .contains("--loopback-http")
        );
    }

    #[test]
    fn times_in_the_future_hint_at_the_clock() {
        for failure in [
            ValidationFailure::JwtIssuedInFuture,
            ValidationFailure::JwtNotYetValid,
        ] {
            let hint = hint(&Error::from(failure));
            assert!(hint.contains("check the clock"), "{hint}");
        }
    }

    #[test]
    fn an_error_without_a_switch_gets_the_general_hint() {
        let dns = Error::lost(Cause::unsent("no such host").because(Loss::Dns));
        assert_eq!(Some(hint(&dns).as_str()), dns.hint());
        let reset = Error::lost(Cause::unknown("connection reset"));
        assert_eq!(reset.hint(), None);
        assert!(hint(&reset).contains("may already have processed the request"));
    }
}
