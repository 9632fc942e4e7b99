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

use self::checks::{Check, SIGNATURE, Wanted};
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

A token is a secret, so it comes from stdin or a file, and is never an argument. Without --jwks or \
--fetch-keys its signature is not verified, and then nothing of it may be believed: anybody can \
write such a token. Without --fetch-keys no request is made.

An access token is judged as an API judges it that uses this library, with the rules of RFC 9068 or of the \
server's own: --token-profile is rfc9068, keycloak, entra, auth0, okta, cognito, or jwt for the plain JWTs of \
other servers.

The exit code is 0 if the token passed every check that was asked for, and 1 if not. With none of \
--typ, --issuer, --client-id, --audience and --nonce the times are shown, and it is 0 even for a token \
that has expired. Of an encrypted token only the header can be shown.";

/// Claims that are times (RFC 7519 section 4.1, OpenID Connect Core sections 2 and 5.1).
const TIMES: [&str; 5] = ["exp", "iat", "nbf", "auth_time", "updated_at"];

/// Shows a token, and checks it.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The file that holds the token; - is stdin
    #[arg(value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Check that it is a token of this kind
    #[arg(long, value_enum, help_heading = "Checks")]
    typ: Option<Typ>,
    /// Read an access token as this kind of server writes it
    #[arg(
        long, value_name = "PROFILE", default_value = "rfc9068", value_parser = profile,
        help_heading = "Checks"
    )]
    token_profile: AccessTokenProfile,
    /// Check that this issuer made it
    #[arg(long, value_name = "URL", help_heading = "Checks")]
    issuer: Option<String>,
    /// Check that it was made for this client
    #[arg(long, value_name = "ID", help_heading = "Checks")]
    client_id: Option<String>,
    /// Check that it is for this audience; several times: for any of them
    #[arg(
        long, value_name = "NAME", help_heading = "Checks",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    audience: Vec<String>,
    /// Check that it has this nonce
    #[arg(long, value_name = "TEXT", help_heading = "Checks")]
    nonce: Option<String>,
    /// Verify its signature with the issuer's keys in this file, a JWK Set
    #[arg(
        long, value_name = "FILE", requires = "issuer", conflicts_with = "fetch_keys",
        help_heading = "Keys", value_hint = ValueHint::FilePath
    )]
    jwks: Option<PathBuf>,
    /// Verify its signature with the keys that the issuer publishes: its metadata and its key set are fetched
    #[arg(long, requires = "issuer", help_heading = "Keys")]
    fetch_keys: bool,
    /// Allow plain http, to loopback addresses only
    #[arg(long, help_heading = "Keys")]
    loopback_http: bool,
}

/// The kinds of tokens whose rules are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Typ {
    /// Who signed in (OpenID Connect Core section 2)
    IdToken,
    /// A JWT access token, as an API is shown it (RFC 9068); with --issuer and --audience
    AccessToken,
}

/// A profile of access tokens by its name.
fn profile(name: &str) -> Result<AccessTokenProfile, String> {
    let mut all = AccessTokenProfile::ALL.iter().copied();
    all.find(|profile| profile.as_str() == name).ok_or_else(|| {
        let known = AccessTokenProfile::ALL.iter().map(|known| known.as_str());
        format!("name one of {}", known.collect::<Vec<_>>().join(", "))
    })
}

impl Inspect {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let token = read(&self.file)?;
        let shown = Unverified::parse(token.expose()).map_err(no_jwt)?;
        let now = Moment::system()?.now();
        let keys = match (self.jwks, self.fetch_keys) {
            (Some(path), _) => KeySource::File(path),
            (None, true) => KeySource::Issuer,
            (None, false) => KeySource::None,
        };
        let wanted = Wanted {
            typ: self.typ,
            issuer: self.issuer,
            client_id: self.client_id,
            audience: self.audience,
            nonce: self.nonce,
            profile: self.token_profile,
        };
        if wanted.typ == Some(Typ::AccessToken)
            && (wanted.issuer.is_none() || wanted.audience.is_empty())
        {
            return Err(Failure::usage(
                "usage.access_token",
                "checking an access token needs its issuer and the API's audience",
                "say which: --issuer URL and --audience NAME",
            ));
        }
        let mut checks = Vec::new();
        if let Some(claims) = shown.claims() {
            if let Some(issuer) = wanted.judged_as_of(&keys) {
                let judge = SignatureChecker::new(
                    keys,
                    shown.header(),
                    issuer,
                    self.loopback_http,
                    global,
                )?;
                checks.extend(judge.verdicts(&token, &wanted)?);
            }
            checks.extend(wanted.check(shown.header(), claims, now));
        }
        let report = Report {
            shown: &shown,
            checks: &checks,
            now,
        };
        output.result(report.text(), &report.record())?;
        let failed = checks.iter().filter(|check| check.outcome.is_err());
        let failed: Vec<_> = failed.map(|check| check.name).collect();
        if !wanted.is_anything() || failed.is_empty() && shown.claims().is_some() {
            return Ok(());
        }
        Err(Failure::refused(
            "inspect.failed",
            match shown.claims() {
                Some(_) => format!("the token failed: {}", failed.join(", ")),
                None => "the token is encrypted, and nothing of it could be checked".to_owned(),
            },
            "a token that fails is not to be accepted; what each check found is on stdout",
        ))
    }
}

fn no_jwt(error: Error) -> Failure {
    Failure::from(error).with_hint(
        "only a JWT says something by itself: ask the server about any other token, with oauth introspect",
    )
}

/// What is shown of a token.
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
            None => text.push_str("the claims are encrypted, and not shown\n\n"),
        }
        let checks = self.checks.iter().map(|check| {
            let outcome = match &check.outcome {
                Ok(good) => format!("passed: {good}"),
                Err(error) => format!("FAILED: {error}"),
            };
            (check.name.to_owned(), outcome)
        });
        text.push_str(&section("checks", checks.collect()));
        text.push_str(match self.signature() {
            "verified" => "the signature is good",
            "failed" => "the signature is INVALID: do not trust any of this",
            _ => "the signature was NOT verified: anyone can write such a token",
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
                Ok(good) => (None, good.clone()),
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
    match rows.is_empty() {
        true => String::new(),
        false => format!("{DIM}{title}{DIM:#}\n{}\n\n", output::table(&rows)),
    }
}

/// The time that a claim names.
fn time(name: &str, value: &Value) -> Option<UnixTime> {
    let seconds = value.as_f64().filter(|_| TIMES.contains(&name))?;
    // A cast saturates, and drops the fraction.
    Some(UnixTime::from_secs(seconds as u64))
}

/// Reads the token. A person at a terminal is asked for it.
fn read(path: &Path) -> Result<Secret<String>, Failure> {
    let text = path.to_string_lossy();
    // Otherwise the token would be in the message of a missing file, and so in a log.
    if text.starts_with("ey") && text.contains('.') && !path.exists() {
        return Err(Failure::usage(
            "usage.token_argument",
            "a token is given as an argument, which every user of this machine can read",
            "revoke it if it is still valid, and give the next one on stdin or in a file",
        ));
    }
    let source = match path == Path::new("-") && io::stdin().is_terminal() {
        true => Source::Prompt,
        false => Source::File(path.to_owned()),
    };
    source.read("token", "give it on stdin, or name the file that holds it")
}
