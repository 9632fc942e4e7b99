//! The user who approves every authorization: whether they are signed in, and their claims.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Twin;
use super::authorize::SUBJECT;

#[derive(Debug, Default)]
pub(super) struct Person {
    is_signed_out: bool,
    claims: Map<String, Value>,
    /// The accounts here: claims by subject.
    accounts: BTreeMap<String, Map<String, Value>>,
    /// The subject who approves requests without a `login_hint`, if not [`SUBJECT`].
    approving: Option<String>,
}

/// The standard claims requested by each scope (OpenID Connect Core section 5.4).
const OF_SCOPE: [(&str, &[&str]); 4] = [
    (
        "profile",
        &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
    ),
    ("email", &["email", "email_verified"]),
    ("phone", &["phone_number", "phone_number_verified"]),
    ("address", &["address"]),
];

/// Whether this scope grants access to a claim.
fn is_claim_in_scope(claim: &str, scope: &str) -> bool {
    let mut standard = OF_SCOPE.iter();
    standard
        .find(|(_, claims)| claims.contains(&claim))
        .is_none_or(|(needed, _)| scope.split(' ').any(|granted| granted == *needed))
}

impl Person {
    /// Signs the user in; with `prompt=none` only if they are signed in already (OpenID Connect Core section
    /// 3.1.2.6).
    pub(super) fn sign_in(
        &mut self,
        prompt: Option<&str>,
    ) -> Result<(), (&'static str, &'static str)> {
        if prompt == Some("none") && self.is_signed_out {
            return Err(("login_required", "no user is signed in"));
        }
        self.is_signed_out = false;
        Ok(())
    }

    /// The subject who approves a request with this hint.
    pub(super) fn subject(&self, login_hint: Option<&str>) -> String {
        let approving = self.approving.as_deref().unwrap_or(SUBJECT);
        let hinted = login_hint.and_then(|hint| {
            let matches_hint = |(subject, claims): &(&String, &Map<String, Value>)| {
                *subject == hint || claims.get("email").is_some_and(|email| email == hint)
            };
            self.accounts.iter().find(matches_hint)
        });
        hinted.map_or(approving, |(subject, _)| subject).to_owned()
    }

    /// Adds the claims about a subject that this scope grants access to.
    pub(super) fn add_claims(&self, subject: Option<&str>, scope: &str, claims: &mut Value) {
        let claims_of_account = subject.and_then(|subject| self.accounts.get(subject));
        for (name, value) in claims_of_account.into_iter().flatten() {
            if is_claim_in_scope(name, scope) {
                claims[name] = value.clone();
            }
        }
    }

    pub(super) const fn sign_out(&mut self) {
        self.is_signed_out = true;
    }

    pub(super) fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn describe(&self, claims: &mut Value) {
        for (name, value) in &self.claims {
            match value {
                Value::Null => drop(
                    claims
                        .as_object_mut()
                        .and_then(|claims| claims.remove(name)),
                ),
                value => claims[name] = value.clone(),
            }
        }
    }
}

impl Twin {
    /// Adds a claim to all ID tokens that are issued from now on, such as `sid`, `acr` or `name`; `null` removes it.
    pub fn set_claim(&mut self, name: &str, value: impl Into<Value>) {
        self.authority
            .person
            .claims
            .insert(name.to_owned(), value.into());
    }

    /// Adds the account of another user, who approves authorization requests whose `login_hint` is this subject.
    pub fn add_person(&mut self, subject: &str) {
        let accounts = &mut self.authority.person.accounts;
        accounts.entry(subject.to_owned()).or_default();
    }

    /// Adds an account with these claims for ID tokens and the userinfo endpoint: those that the scopes `profile`,
    /// `email`, `phone` and `address` request are returned with these scopes, all others always. The person approves
    /// authorization requests whose `login_hint` is their subject or address.
    pub fn describe_person(&mut self, subject: &str, claims: Map<String, Value>) {
        let accounts = &mut self.authority.person.accounts;
        accounts.insert(subject.to_owned(), claims);
    }

    /// The subject of the user who approves requests without a `login_hint`.
    pub fn person(&self) -> String {
        self.authority.person.subject(None)
    }

    /// Sets the user who approves requests without a `login_hint`.
    pub fn approve_as(&mut self, subject: &str) {
        self.add_person(subject);
        self.authority.person.approving = Some(subject.to_owned());
    }

    /// Signs the user out at this server, as its logout page does: `prompt=none` is refused with `login_required`
    /// until they sign in again.
    pub fn sign_out(&mut self) {
        self.authority.person.sign_out();
    }
}
