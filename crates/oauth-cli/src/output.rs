//! Output: results on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use oauth_core::error::{Advice, Delivery, Error, Kind, Misuse, ValidationFailure};
use serde_json::{Value, json};

/// The exit code when the server or the network refused.
pub(crate) const REFUSED: u8 = 1;
/// The exit code when the command, the profile or a secret source is not right.
pub(crate) const USAGE: u8 = 2;

/// Bad news.
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
/// Good news.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default().bold();
/// What matters most of a line.
pub(crate) const BOLD: Style = Style::new().bold();
/// What matters least.
pub(crate) const DIM: Style = Style::new().dimmed();

/// Why a command ended early, and the exit code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: u8,
    code: String,
    message: String,
    hint: String,
    /// The library's own record, if the error is its own.
    record: Option<Value>,
}

impl Failure {
    /// What the person at the keyboard can put right.
    pub(crate) fn usage(code: &str, message: impl Display, hint: impl Display) -> Self {
        Self {
            exit: USAGE,
            code: code.to_owned(),
            message: message.to_string(),
            hint: hint.to_string(),
            record: None,
        }
    }

    /// What somebody else refused.
    pub(crate) fn refused(code: &str, message: impl Display, hint: impl Display) -> Self {
        Self {
            exit: REFUSED,
            ..Self::usage(code, message, hint)
        }
    }

    /// Whether it has this code.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// Whether it is about a record that cannot be read.
    pub(crate) fn is_of_record(&self) -> bool {
        self.code.starts_with("stored.")
    }

    /// With better advice.
    pub(crate) fn with_hint(self, hint: impl Display) -> Self {
        Self {
            hint: hint.to_string(),
            ..self
        }
    }

    /// Of a request for a token of the client's own: no login has to do with it.
    pub(crate) fn of_the_client(self) -> Self {
        if self.code != "denied.invalid_grant" {
            return self;
        }
        self.with_hint(
            "no login is concerned: the server gives this client no token of its own; see what it says, and what the client's registration there demands",
        )
    }

    /// With something to know beside the advice.
    pub(crate) fn and_hint(self, more: impl Display) -> Self {
        let hint = format!("{}; {more}", self.hint);
        self.with_hint(hint)
    }

    fn to_json(&self) -> Value {
        let mut record = self.record.clone().unwrap_or_else(|| {
            json!({
                "code": self.code, "message": self.message, "advice": "give_up",
                "retry_after": null, "told_again": false, "endpoint": null, "status": null, "error": null,
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
        // A cause may say what the message has said already.
        let mut cause: Option<&dyn std::error::Error> = error.cause().map(|cause| cause as _);
        while let Some(one) = cause {
            let text = one.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = one.source();
        }
        let hint = transport_hint(code, &message).map_or_else(|| hint(&error), str::to_owned);
        Self {
            exit: match error.kind() {
                // The command is right: the server's 401, or a lost reply, came first.
                Kind::Misuse(Misuse::NoRefreshToken | Misuse::OutcomeUnknown) => REFUSED,
                Kind::Misuse(_) | Kind::Untrusted(ValidationFailure::StoredIssuer) => USAGE,
                _ => REFUSED,
            },
            code: code.to_owned(),
            hint,
            record: serde_json::to_value(&error).ok(),
            message,
        }
    }
}

/// What to do where asking again changes nothing, though no answer arrived.
fn transport_hint(code: &str, message: &str) -> Option<&'static str> {
    if !code.starts_with("lost") {
        return None;
    }
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["UnknownIssuer", "certificate"]) {
        Some(
            "this machine does not trust the server's certificate: check the URL, or name the CA's PEM file in SSL_CERT_FILE",
        )
    } else if says(&["InvalidContentType", "corrupt message"]) {
        Some(
            "what answers there does not speak TLS: check host and port; for a test server on this machine there are --on-loopback (with a provider) and --loopback-http (with an issuer)",
        )
    } else if says(&["dns error", "failed to lookup"]) {
        Some("the host's name is not known: check the URL and the network")
    } else {
        None
    }
}

/// What to do about an error, here and with this command.
fn hint(error: &Error) -> String {
    let known = match error.code() {
        "denied.invalid_client" => "check client id and secret, and --client-auth",
        "denied.invalid_scope" => "check --scope: the server does not grant this one",
        "denied.unauthorized_client" => {
            "the server does not let this client use this grant; some servers say so of a wrong secret as well: check client id and secret"
        }
        "denied.access_denied" => "the person, or a policy of the server, said no",
        "provider.unknown" => "give one of these with --provider, or a file with --provider-file",
        "provider.variable" => "give it with --var NAME=VALUE, or under `variables` of the profile",
        "redirect_uri.not_registered" => {
            "say which is registered: --redirect-uri, or `redirect_uri` of the profile"
        }
        "resource.origin_not_allowed" => {
            "if the token may go there, allow it: --origin, or `origins` of the profile"
        }
        "client_auth.secret_missing" => {
            "give a secret with --client-secret-env or --client-secret-file"
        }
        "url.insecure" | "issuer.not_https" | "metadata.endpoint_not_https" => {
            "plain http is for loopback addresses only, and has to be asked for: --loopback-http"
        }
        "grant.revoked" | "grant.expired" => {
            "make another token where this one was made, and put it where this command reads it"
        }
        "stored.issuer" => "these tokens are another server's or client's: choose its profile",
        "grant.no_refresh_token" => "log in again: oauth login",
        "endpoint.missing" => "the server does not offer this",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let may_be_done = error
        .cause()
        .is_some_and(|cause| cause.delivery() == Delivery::Unknown);
    match error.advice() {
        Advice::Retry { after: Some(pause) } => format!("try again in {} s", pause.as_secs()),
        Advice::Retry { .. } if may_be_done => {
            "try again; the server may have carried the request out".to_owned()
        }
        Advice::Retry { .. } => "try again".to_owned(),
        Advice::Reauthorize => "the grant is gone: log in again with oauth login".to_owned(),
        _ => "asking again changes nothing: check the command and the profile".to_owned(),
    }
}

/// How results and errors are printed.
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

    /// Tells people how it goes, on stderr. Programs are told by the result.
    pub(crate) fn note(self, text: impl Display) {
        if !self.json {
            complain(text);
        }
    }

    /// Tells of an error that did not keep the command from its result, on stderr.
    pub(crate) fn warn(self, error: &Error) {
        match self.json {
            true => complain(json!({ "warning": error })),
            false => complain(format_args!("warning: {error}")),
        }
    }

    /// Prints why the command failed, on stderr.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            complain(failure.to_json());
        } else {
            let Failure {
                code,
                message,
                hint,
                ..
            } = failure;
            complain(format_args!("{RED}error[{code}]{RED:#}: {message}"));
            complain(format_args!("  {DIM}advice:{DIM:#} {hint}"));
        }
    }
}

/// Prints a line on stdout.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    let mut stdout = anstream::stdout();
    written(writeln!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// Writes bytes to stdout as they are; whether what comes next begins a line.
pub(crate) fn pour(from: &mut impl io::Read) -> Result<bool, Failure> {
    let mut stdout = Watched {
        inner: io::stdout().lock(),
        last: b'\n',
    };
    let mut is_at_start = true;
    let poured = io::copy(from, &mut stdout).and_then(|_| {
        is_at_start = stdout.last == b'\n';
        // Bodies seldom end with a line break, and the prompt comes next.
        if !is_at_start && stdout.inner.is_terminal() {
            writeln!(stdout)?;
            is_at_start = true;
        }
        stdout.flush()
    });
    written(poured)?;
    Ok(is_at_start)
}

/// Remembers the last byte.
struct Watched<W> {
    inner: W,
    last: u8,
}

impl<W: io::Write> io::Write for Watched<W> {
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

/// A closed pipe is no error: the reader has had enough.
fn written(result: io::Result<()>) -> Result<(), Failure> {
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
pub(crate) fn complain(text: impl Display) {
    // There is nowhere left to say that stderr is gone.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Names and values below each other. Values come from servers, so nothing in them may move the
/// cursor.
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

/// A value as people read it: texts without quotes, lists without brackets.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::transport_hint;

    #[test]
    fn a_certificate_that_is_not_trusted_is_no_reason_to_try_again() {
        let message = "no answer arrived: invalid peer certificate: UnknownIssuer";
        for code in ["lost", "lost.tls"] {
            let hint = transport_hint(code, message);
            assert!(hint.is_some_and(|hint| hint.contains("SSL_CERT_FILE")));
        }
        assert_eq!(transport_hint("denied.invalid_client", message), None);
        assert_eq!(transport_hint("lost", "connection reset"), None);
    }
}
