//! The person who approves every authorization: whether they are signed in, and their claims.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Twin;
use super::authorize::SUBJECT;

#[derive(Debug, Default)]
pub(super) struct Person {
    is_signed_out: bool,
    claims: Map<String, Value>,
    /// The subjects of others who have accounts here.
    others: BTreeSet<String>,
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
        let known = login_hint.filter(|hint| self.others.contains(*hint));
        known.unwrap_or(SUBJECT).to_owned()
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
        self.authority.person.others.insert(subject.to_owned());
    }

    /// Signs the person out at this server, as its logout page does: `prompt=none` is refused with `login_required`
    /// until they sign in again.
    pub fn sign_out(&mut self) {
        self.authority.person.sign_out();
    }
}
