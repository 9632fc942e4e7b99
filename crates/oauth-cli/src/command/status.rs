//! `oauth status`: lists the stored tokens, without showing them.

use clap::Args;
use oauth_core::error::Error;
use oauth_core::flow::keeper::GrantSummary;
use oauth_core::moment::UnixTime;
use oauth_core::{Moment, Scope};
use serde_json::{Value, json};

use crate::Global;
use crate::output::{self, Failure, Output};
use crate::profile::Profile;
use crate::profile_tokens::{ListedRecord, is_client_grant, list};
use crate::setup::ClientPlan;
use crate::time::rfc3339;
use crate::token_store::TokenStore;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth status
  oauth status --profile acme
  oauth --json status | jq -r '.grants[] | select(.ended) | .profile'

Logins are listed by profile, and the client's own tokens by client ID. With --profile or OAUTH_PROFILE, only \
this profile is listed. No server is contacted. Remove a login with oauth logout, and the client's own \
tokens with oauth logout --client.";

/// Lists the stored tokens.
#[derive(Debug, Args)]
pub(crate) struct Status {}

impl Status {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let Self {} = self;
        let only = match &global.profile {
            Some(_) => Some(ClientPlan::for_profile(Profile::load(global)?, global)?),
            None => None,
        };
        let mut rows = Vec::new();
        let mut records = Vec::new();
        let mut listed = list(&TokenStore::files()?)?;
        if TokenStore::has_database()? {
            listed.extend(list(&TokenStore::sqlite()?)?);
        }
        if TokenStore::has_sealed_files()? {
            listed.extend(list(&TokenStore::sealed()?)?);
        }
        for ListedRecord { key, summary } in listed {
            match summary {
                Ok(summary) => {
                    if let Some(plan) = &only
                        && !is_of(plan, &summary)?
                    {
                        continue;
                    }
                    rows.push(row(&summary)?);
                    records.push(record(&key, &summary));
                }
                // Its profile is unknown.
                Err(error) => {
                    records.push(unreadable_entry(&key, &error));
                    rows.push((key, format!("cannot be read: {error}")));
                }
            }
        }
        rows.sort();
        let text = if rows.is_empty() {
            "no tokens are stored".to_owned()
        } else {
            output::table(&rows)
        };
        output.result(text, &json!({ "grants": records }))
    }
}

/// Whether it is the login of this profile, or its client's own.
fn is_of(plan: &ClientPlan, summary: &GrantSummary) -> Result<bool, Error> {
    let is_client_grant = is_client_grant(plan, summary)?;
    Ok(match summary.id.subject() {
        Some(name) => Some(name) == plan.profile.name.as_deref(),
        None => is_client_grant,
    })
}

fn row(summary: &GrantSummary) -> Result<(String, String), Error> {
    let GrantSummary {
        issuer,
        client_id,
        scope,
        ..
    } = summary;
    let (name, whose) = match summary.id.subject() {
        // From oauth connect, which has no profiles: the resource identifies it.
        Some("") => (client_id.clone(), "login"),
        Some(profile) => (profile.to_owned(), "login"),
        None => (client_id.clone(), "client token"),
    };
    let scope = match scope.as_ref().filter(|scope| !scope.is_empty()) {
        Some(scope) => format!(", scope {scope}"),
        None => String::new(),
    };
    let targets = targets(summary);
    let state = state(summary, Moment::system()?.now());
    let text = format!("{whose} at {issuer}{scope}{targets}, {state}");
    Ok((name, text))
}

/// The APIs for which the tokens were requested, which distinguish several grants of one client.
fn targets(summary: &GrantSummary) -> String {
    let target = |name| match request_parameter(summary, name).join(" ") {
        values if values.is_empty() => values,
        values => format!(", {name} {values}"),
    };
    ["resource", "audience"].map(target).concat()
}

/// The values of this parameter of the token request.
fn request_parameter<'a>(summary: &'a GrantSummary, name: &'a str) -> Vec<&'a str> {
    let values = summary.id.token_request.values_of(name);
    values.map(|value| value.expose().as_str()).collect()
}

fn state(summary: &GrantSummary, now: UnixTime) -> String {
    if let Some(error) = &summary.ended {
        return format!("ended: {}", error.code());
    }
    let end = match summary.expires_at {
        Some(end) if end <= now => format!("expired {}", rfc3339(end)),
        Some(end) => format!("expires {}", rfc3339(end)),
        None => "no known expiry".to_owned(),
    };
    let renewal = match (summary.id.subject(), summary.has_refresh_token) {
        (None, _) => "can be requested again",
        (Some(_), true) => "can be refreshed",
        (Some(_), false) => "no refresh token",
    };
    let mut text = format!("{end}, {renewal}");
    // Both are hints: only the server knows whether the grant has ended.
    if let Some(end) = summary.refresh_token_expires_at {
        text.push_str(&format!(" until {} if unused", rfc3339(end)));
    }
    if let Some(end) = summary.authorization_expires_at {
        text.push_str(&format!(", requires a new login by {}", rfc3339(end)));
    }
    text
}

fn record(key: &str, summary: &GrantSummary) -> Value {
    json!({
        "key": key,
        "profile": summary.id.subject().filter(|name| !name.is_empty()),
        "issuer": summary.issuer,
        "client_id": summary.client_id,
        "requested_scope": summary.id.token_request.scope.as_str(),
        "scope": summary.scope.as_ref().map(Scope::as_str),
        "resource": request_parameter(summary, "resource"),
        "audience": request_parameter(summary, "audience"),
        "expires_at": summary.expires_at.map(rfc3339),
        "refresh_token_present": summary.has_refresh_token,
        "refresh_token_expires_at": summary.refresh_token_expires_at.map(rfc3339),
        "authorization_expires_at": summary.authorization_expires_at.map(rfc3339),
        "ended": summary.ended.as_ref().map(Error::code),
        "error": null,
    })
}

fn unreadable_entry(key: &str, error: &Error) -> Value {
    json!({ "key": key, "profile": null, "error": error.code() })
}

#[cfg(test)]
mod tests {
    use oauth_core::Secret;

    use super::*;

    fn summary(ends: &str) -> GrantSummary {
        let tokens = format!(
            r#"{{"version":1,"issuer":"https://as.example","client_id":"app","access_token":"S3CR3T",
            "received_at":1000,"expires_in":60,"scope":"","refresh_token":"S3CR3T","refresh_scope":"",
            "id_token":null{ends}}}"#
        );
        let record = format!(
            r#"{{"version":1,"issuer":"https://as.example","client_id":"app","token_endpoint":"",
            "subject":"anna","scope":"","expires_at":null,"tokens":{tokens},"ended":null}}"#
        );
        GrantSummary::read(&Secret::new(record)).expect("a record")
    }

    #[test]
    fn known_expirations_of_a_grant_are_shown() {
        let now = UnixTime::from_secs(1001);
        let unknown = summary("");
        let expected = "expires 1970-01-01T00:17:40Z, can be refreshed";
        assert_eq!(state(&unknown, now), expected);
        assert_eq!(
            record("k", &unknown)["authorization_expires_at"],
            Value::Null
        );
        let summary_with_ends =
            summary(r#","refresh_token_use_by":2000,"authorization_until":3000"#);
        let ends =
            " until 1970-01-01T00:33:20Z if unused, requires a new login by 1970-01-01T00:50:00Z";
        assert_eq!(state(&summary_with_ends, now), format!("{expected}{ends}"));
        let record = record("k", &summary_with_ends);
        assert_eq!(record["refresh_token_expires_at"], "1970-01-01T00:33:20Z");
        assert_eq!(record["authorization_expires_at"], "1970-01-01T00:50:00Z");
        assert!(!record.to_string().contains("S3CR3T"));
    }
}
