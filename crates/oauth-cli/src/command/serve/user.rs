//! The user accounts of a test server.

use std::path::Path;

use oauth_testkit::Twin;
use serde_json::{Map, Value};

use crate::output::Failure;
use crate::secret_source::read_file;

/// A user with an account.
#[derive(Debug, Clone)]
pub(super) struct User {
    subject: String,
    claims: Map<String, Value>,
}

impl User {
    /// `sub=ann,email=ann@example.com`: claims are strings, except `true` and `false`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut claims = Map::new();
        for pair in text.split(',') {
            let (name, value) = pair
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or("expected a list of claim=value, such as sub=ann,name=Ann")?;
            let value = match value {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                text => text.into(),
            };
            if claims.insert(name.to_owned(), value).is_some() {
                return Err(format!("{name} is given twice"));
            }
        }
        Self::from_claims(claims)
    }

    /// Reads the users in a file: a JSON array of objects with claims.
    pub(super) fn read(path: &Path) -> Result<Vec<Self>, Failure> {
        let wrong = |reason: &str| {
            Failure::usage(
                "usage.users",
                format_args!("{}: {reason}", path.display()),
                "pass a JSON array of objects with claims, such as [{\"sub\": \"ann\", \"name\": \"Ann\"}]",
            )
        };
        let text = read_file(path).map_err(|error| wrong(&error.to_string()))?;
        let users: Vec<Map<String, Value>> =
            serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
        let users = users.into_iter().map(Self::from_claims);
        users
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(&error))
    }

    fn from_claims(mut claims: Map<String, Value>) -> Result<Self, String> {
        let subject = match claims.remove("sub") {
            Some(Value::String(subject)) if !subject.is_empty() => subject,
            _ => return Err("a user requires `sub`, a non-empty string".to_owned()),
        };
        if claims.contains_key("email") && !claims.contains_key("email_verified") {
            claims.insert("email_verified".to_owned(), true.into());
        }
        Ok(Self { subject, claims })
    }
}

/// Adds their accounts; the first one signs in if no other is named. Without any, the default account gets a name.
pub(super) fn add_accounts(users: &[User], twin: &mut Twin) {
    for user in users {
        twin.describe_person(&user.subject, user.claims.clone());
    }
    match users.first() {
        Some(first) => twin.approve_as(&first.subject),
        None => {
            let subject = twin.person();
            let claims = [
                ("name", Value::from("Alice Liddell")),
                ("given_name", "Alice".into()),
                ("family_name", "Liddell".into()),
                ("preferred_username", "alice".into()),
                ("email", "alice@twin.example".into()),
                ("email_verified", true.into()),
            ];
            let claims = claims.map(|(name, value)| (name.to_owned(), value));
            twin.describe_person(&subject, claims.into_iter().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::User;

    #[test]
    fn a_user_is_parsed_with_a_subject_and_string_or_boolean_claims() {
        let ann = User::parse("sub=ann,email=ann@example.com,name=Ann Lee,staff=true").unwrap();
        assert_eq!(ann.subject, "ann");
        assert_eq!(ann.claims["name"], "Ann Lee");
        assert_eq!(ann.claims["staff"], true);
        assert_eq!(ann.claims["email_verified"], true);
        let bob = User::parse("sub=bob,email=bob@example.com,email_verified=false").unwrap();
        assert_eq!(bob.claims["email_verified"], false);
        for wrong in ["", "ann", "name=Ann", "sub=", "sub=a,sub=b", "sub=a,=b"] {
            assert!(User::parse(wrong).is_err(), "{wrong}");
        }
    }
}
