//! The person who approves every authorization: whether they are signed in, and their claims.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Twin;
use super::authorize::SUBJECT;

#[derive(Debug, Default)]
pub(super) struct Person {
    is_signed_out: bool,
    claims: Map<String, Value>,
    /// Who has accounts here, by their subjects, and what is known of them.
    known: BTreeMap<String, Map<String, Value>>,
    /// Who approves what names nobody, if another than [`SUBJECT`].
    approving: Option<String>,
}

/// The standard claims that a scope asks for (OpenID Connect Core section 5.4).
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

/// Whether a claim is told to whom this scope was granted.
fn is_told(claim: &str, scope: &str) -> bool {
    let mut standard = OF_SCOPE.iter();
    standard
        .find(|(_, claims)| claims.contains(&claim))
        .is_none_or(|(needed, _)| scope.split(' ').any(|granted| granted == *needed))
}

impl Person {
    /// Whoever is asked signs in; without being asked, only those can who are (OpenID Connect Core section 3.1.2.6).
    pub(super) fn sign_in(
        &mut self,
        prompt: Option<&str>,
    ) -> Result<(), (&'static str, &'static str)> {
        if prompt == Some("none") && self.is_signed_out {
            return Err(("login_required", "nobody is signed in"));
        }
        self.is_signed_out = false;
        Ok(())
    }

    /// Whose authorization a request with this hint is.
    pub(super) fn subject(&self, login_hint: Option<&str>) -> String {
        let approving = self.approving.as_deref().unwrap_or(SUBJECT);
        let named = login_hint.and_then(|hint| {
            let is_meant = |(subject, claims): &(&String, &Map<String, Value>)| {
                *subject == hint || claims.get("email").is_some_and(|email| email == hint)
            };
            self.known.iter().find(is_meant)
        });
        named.map_or(approving, |(subject, _)| subject).to_owned()
    }

    /// What is known of somebody, as far as this scope goes.
    pub(super) fn tell(&self, subject: Option<&str>, scope: &str, claims: &mut Value) {
        let known = subject.and_then(|subject| self.known.get(subject));
        for (name, value) in known.into_iter().flatten() {
            if is_told(name, scope) {
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
    /// Has the ID tokens that are issued from now on say this as well, such as `sid`, `acr` or `name`; `null` for
    /// one that is not to be there.
    pub fn set_claim(&mut self, name: &str, value: impl Into<Value>) {
        self.authority
            .person
            .claims
            .insert(name.to_owned(), value.into());
    }

    /// Gives somebody else an account: an authorization request whose `login_hint` is this subject is approved by
    /// them.
    pub fn add_person(&mut self, subject: &str) {
        let known = &mut self.authority.person.known;
        known.entry(subject.to_owned()).or_default();
    }

    /// Gives somebody an account about whom ID tokens and the userinfo endpoint tell these claims: those that the
    /// scopes `profile`, `email`, `phone` and `address` ask for with these scopes, and all others always. They
    /// approve an authorization request whose `login_hint` is their subject or address.
    pub fn describe_person(&mut self, subject: &str, claims: Map<String, Value>) {
        let known = &mut self.authority.person.known;
        known.insert(subject.to_owned(), claims);
    }

    /// The subject of the person who approves what names nobody.
    pub fn person(&self) -> String {
        self.authority.person.subject(None)
    }

    /// Has this person approve what names nobody from now on.
    pub fn approve_as(&mut self, subject: &str) {
        self.add_person(subject);
        self.authority.person.approving = Some(subject.to_owned());
    }

    /// Signs the person out at this server, as its logout page does: `prompt=none` is refused with `login_required`
    /// until they sign in again.
    pub fn sign_out(&mut self) {
        self.authority.person.sign_out();
    }
}
