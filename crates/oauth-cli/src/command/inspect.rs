//! `oauth inspect`: prints the claims of a token (RFC 7519), and which checks it passes.

mod checks;
mod keys;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use oauth_core::error::Error;
use oauth_core::jose::{Claims, Unverified};
use oauth_core::moment::UnixTime;
use oauth_core::token::access_token::AccessTokenProfile;
use oauth_core::{Moment, Secret};
use serde_json::{Map, Value, json};

use self::checks::{Check, RequestedChecks, SIGNATURE};
use self::keys::{KeySource, SignatureChecker};
use crate::Global;
use crate::output::{self, DIM, Failure, Output};
use crate::secret_source::Source;
use crate::time::{relative, rfc3339};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth token --profile acme | oauth inspect
  oauth inspect id_token.jwt --typ id-token --issuer https://as.example \\
    --client-id app --fetch-keys
  oauth inspect token.jwt --typ access-token --issuer https://as.example \\
    --audience https://api.example --jwks jwks.json
  oauth inspect token.jwt --typ access-token --token-profile keycloak \\
    --issuer https://sso.example/realms/acme --audience api --fetch-keys
  oauth inspect token.jwt --json | jq .claims.exp

A token is a secret, so it is read from stdin or a file and cannot be passed as an argument. Without --jwks or \
--fetch-keys its signature is not verified, so do not trust its content: anyone can create such a \
token. Without --fetch-keys no request is sent.

An access token is verified in the same way as by an API that uses this library, by RFC 9068 or the server's own \
format: --token-profile is rfc9068, keycloak, entra, auth0, okta, cognito, or jwt for plain JWTs of other \
servers.

The exit code is 0 if the token passes every requested check, and 1 otherwise. Without --typ, --issuer, \
--client-id, --audience and --nonce, no check is requested: the times are printed, and the exit code is 0 even \
for an expired token. For an encrypted token, only the header is printed.";

/// Claims that are times (RFC 7519 section 4.1, OpenID Connect Core sections 2 and 5.1).
const TIMES: [&str; 5] = ["exp", "iat", "nbf", "auth_time", "updated_at"];

/// Decodes and verifies a token.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// File that contains the token (- for stdin)
    #[arg(value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Check that the token is of this type
    #[arg(long, value_enum, help_heading = "Checks")]
    typ: Option<CheckedTokenType>,
    /// Format of the access token
    #[arg(
        long, value_name = "PROFILE", default_value = "rfc9068", value_parser = profile,
        help_heading = "Checks"
    )]
    token_profile: AccessTokenProfile,
    /// Check that the token was issued by this issuer
    #[arg(long, value_name = "URL", help_heading = "Checks")]
    issuer: Option<String>,
    /// Check that the token was issued to this client
    #[arg(long, value_name = "ID", help_heading = "Checks")]
    client_id: Option<String>,
    /// Check that the token is for this audience; if repeated, for one of them
    #[arg(
        long, value_name = "NAME", help_heading = "Checks",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    audience: Vec<String>,
    /// Check that the token has this nonce
    #[arg(long, value_name = "TEXT", help_heading = "Checks")]
    nonce: Option<String>,
    /// Verify the signature with the issuer's keys in this file, a JWK Set
    #[arg(
        long, value_name = "FILE", requires = "issuer", conflicts_with = "fetch_keys",
        help_heading = "Keys", value_hint = ValueHint::FilePath
    )]
    jwks: Option<PathBuf>,
    /// Verify the signature with the issuer's published keys, which are fetched along with its metadata
    #[arg(long, requires = "issuer", help_heading = "Keys")]
    fetch_keys: bool,
    /// Allow plain http for loopback addresses
    #[arg(long, help_heading = "Keys")]
    loopback_http: bool,
}

/// The types of tokens whose rules are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckedTokenType {
    /// ID token (OpenID Connect Core section 2)
    IdToken,
    /// JWT access token, as presented to an API (RFC 9068); requires --issuer and --audience
    AccessToken,
}

/// The access token profile with this name.
fn profile(name: &str) -> Result<AccessTokenProfile, String> {
    let mut profiles = AccessTokenProfile::ALL.iter().copied();
    profiles
        .find(|profile| profile.as_str() == name)
        .ok_or_else(|| {
            let accepted = AccessTokenProfile::ALL.iter().map(|known| known.as_str());
            format!(
                "expected one of {}",
                accepted.collect::<Vec<_>>().join(", ")
            )
        })
}

impl Inspect {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let token = read(&self.file)?;
        let decoded = Unverified::parse(token.expose()).map_err(not_a_jwt)?;
        let now = Moment::system()?.now();
        let keys = match (self.jwks, self.fetch_keys) {
            (Some(path), _) => KeySource::File(path),
            (None, true) => KeySource::Issuer,
            (None, false) => KeySource::None,
        };
        let requested_checks = RequestedChecks {
            typ: self.typ,
            issuer: self.issuer,
            client_id: self.client_id,
            audience: self.audience,
            nonce: self.nonce,
            profile: self.token_profile,
        };
        if requested_checks.typ == Some(CheckedTokenType::AccessToken)
            && (requested_checks.issuer.is_none() || requested_checks.audience.is_empty())
        {
            return Err(Failure::usage(
                "usage.access_token",
                "verifying an access token requires its issuer and the audience of the API",
                "use --issuer URL and --audience NAME",
            ));
        }
        let mut checks = Vec::new();
        if let Some(claims) = decoded.claims() {
            if let Some(issuer) = requested_checks.verification_issuer(&keys) {
                let checker = SignatureChecker::new(
                    keys,
                    decoded.header(),
                    issuer,
                    self.loopback_http,
                    global,
                )?;
                checks.extend(checker.verdicts(&token, &requested_checks)?);
            }
            checks.extend(requested_checks.check(decoded.header(), claims, now));
        }
        let report = Report {
            shown: &decoded,
            checks: &checks,
            now,
        };
        output.result(report.text(), &report.record())?;
        let failed = checks.iter().filter(|check| check.outcome.is_err());
        let failed: Vec<_> = failed.map(|check| check.name).collect();
        if !requested_checks.has_checks() || failed.is_empty() && decoded.claims().is_some() {
            return Ok(());
        }
        Err(Failure::refused(
            "inspect.failed",
            match decoded.claims() {
                Some(_) => format!("checks failed: {}", failed.join(", ")),
                None => "the token is encrypted, so its claims cannot be checked".to_owned(),
            },
            "do not accept this token; stdout shows the result of each check",
        ))
    }
}

fn not_a_jwt(error: Error) -> Failure {
    Failure::from(error).with_hint(
        "only a JWT can be decoded: for any other token, ask the server with oauth introspect",
    )
}

/// The output about a token.
struct Report<'a> {
    shown: &'a Unverified,
    checks: &'a [Check],
    now: UnixTime,
}

impl Report<'_> {
    fn text(&self) -> String {
        let mut text = section("header", self.rows(self.shown.header()));
        match self.shown.claims() {
            Some(claims) => text.push_str(&section("claims", self.rows(claims.as_map()))),
            None => text.push_str("the claims are encrypted and cannot be shown\n\n"),
        }
        let checks = self.checks.iter().map(|check| {
            let outcome = match &check.outcome {
                Ok(detail) => format!("passed: {detail}"),
                Err(error) => format!("FAILED: {error}"),
            };
            (check.name.to_owned(), outcome)
        });
        text.push_str(&section("checks", checks.collect()));
        text.push_str(match self.signature() {
            "verified" => "the signature is valid",
            "failed" => "the signature is INVALID: do not trust this token",
            _ => "the signature was NOT verified: anyone can create such a token",
        });
        text
    }

    fn rows(&self, members: &Map<String, Value>) -> Vec<(String, String)> {
        let row = |(name, value): (&String, &Value)| {
            let words = match time(name, value) {
                Some(at) => format!("{}, {}", rfc3339(at), relative(at, self.now)),
                None => output::plain(value),
            };
            (name.clone(), words)
        };
        members.iter().map(row).collect()
    }

    fn record(&self) -> Value {
        let claims = self.shown.claims().map(Claims::as_map);
        let times = claims.into_iter().flatten().filter_map(|(name, value)| {
            let at = time(name, value)?;
            let words = json!({ "at": rfc3339(at), "words": relative(at, self.now) });
            Some((name.clone(), words))
        });
        let checks = self.checks.iter().map(|check| {
            let (code, detail) = match &check.outcome {
                Ok(detail) => (None, detail.clone()),
                Err(error) => (Some(error.code()), error.to_string()),
            };
            json!({
                "check": check.name, "passed": code.is_none(), "code": code, "detail": detail,
            })
        });
        json!({
            "header": self.shown.header(),
            "encrypted": claims.is_none(),
            "claims": claims,
            "times": times.collect::<Map<_, _>>(),
            "signature": self.signature(),
            "checks": checks.collect::<Vec<_>>(),
        })
    }

    fn signature(&self) -> &'static str {
        let mut checks = self.checks.iter();
        match checks.find(|check| check.name == SIGNATURE) {
            None => "not_verified",
            Some(Check { outcome: Ok(_), .. }) => "verified",
            Some(_) => "failed",
        }
    }
}

fn section(title: &str, rows: Vec<(String, String)>) -> String {
    if rows.is_empty() {
        String::new()
    } else {
        format!("{DIM}{title}{DIM:#}\n{}\n\n", output::table(&rows))
    }
}

/// The time in a claim, if it is one of [`TIMES`].
fn time(name: &str, value: &Value) -> Option<UnixTime> {
    let seconds = value.as_f64().filter(|_| TIMES.contains(&name))?;
    // A cast saturates, and drops the fraction.
    Some(UnixTime::from_secs(seconds as u64))
}

/// Reads the token. In a terminal, the user is prompted for it.
fn read(path: &Path) -> Result<Secret<String>, Failure> {
    let text = path.to_string_lossy();
    // Otherwise the token would be in the message of a missing file, and so in a log.
    if text.starts_with("ey") && text.contains('.') && !path.exists() {
        return Err(Failure::usage(
            "usage.token_argument",
            "the token was passed as an argument, which every user of this machine can read",
            "revoke it if it is still valid, and pass the next one on stdin or in a file",
        ));
    }
    let source = if path == Path::new("-") && io::stdin().is_terminal() {
        Source::Prompt
    } else {
        Source::File(path.to_owned())
    };
    source.read("token", "pass it on stdin, or pass a file that contains it")
}
