//! Rich authorization requests: the `authorization_details` that a client requests and a server grants.
//!
//! RFC 9396 <https://www.rfc-editor.org/rfc/rfc9396#section-2>, section 7: [`AuthorizationDetails::missing_from`]
//! compares the granted details with the requested ones; the warning is added to the tokens by
//! `Tokens::compare_details` (`token.rs`). Error responses (section 5) are read in `endpoint/reply.rs`; their codes are
//! in `error/server_error.rs`. `authorization_details_types_supported` (section 10) is not compared: the server
//! decides.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::error::{Error, Misuse};
use crate::json::{self, Json, Map, Value};

/// The parameter, and the member of a token response.
pub(crate) const PARAMETER: &str = "authorization_details";

/// The members that RFC 9396 section 2.2 defines as lists.
const LISTS: [&str; 4] = ["locations", "actions", "datatypes", "privileges"];
const IDENTIFIER: &str = "identifier";

/// One requested or granted permission: its type, the members that RFC 9396 defines, and those of its type.
#[derive(Clone, PartialEq)]
pub struct AuthorizationDetail(Map<String, Value>);

impl AuthorizationDetail {
    /// A permission of this type, with no other member.
    pub fn new(kind: impl Into<String>) -> Self {
        let members = [("type".to_owned(), Value::from(kind.into()))];
        Self(members.into_iter().collect())
    }

    /// Adds where the permission applies, usually the URI of a resource server.
    #[must_use]
    pub fn location(self, uri: impl Into<String>) -> Self {
        self.with_list_item("locations", uri.into())
    }

    /// Adds an action that is permitted.
    #[must_use]
    pub fn action(self, action: impl Into<String>) -> Self {
        self.with_list_item("actions", action.into())
    }

    /// Adds a kind of data.
    #[must_use]
    pub fn datatype(self, datatype: impl Into<String>) -> Self {
        self.with_list_item("datatypes", datatype.into())
    }

    /// Adds a level of privilege.
    #[must_use]
    pub fn privilege(self, privilege: impl Into<String>) -> Self {
        self.with_list_item("privileges", privilege.into())
    }

    /// Sets `identifier`: the one resource that the permission applies to.
    #[must_use]
    pub fn identifier(self, identifier: impl Into<String>) -> Self {
        self.member(IDENTIFIER, identifier.into())
    }

    /// Sets a member that its type defines; it replaces one of the same name.
    #[must_use]
    pub fn member(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The `type`, which determines what the other members mean.
    pub fn kind(&self) -> &str {
        let kind = self.0.get("type").and_then(Value::as_str);
        kind.unwrap_or_default()
    }

    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All members.
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    fn with_list_item(mut self, name: &str, text: String) -> Self {
        let earlier = self.0.remove(name);
        let earlier = earlier.as_ref().and_then(Value::as_array);
        let mut list = earlier.cloned().unwrap_or_default();
        list.push(Value::from(text));
        self.0.insert(name.to_owned(), Value::Array(list));
        self
    }

    /// Checks the members: "type ... REQUIRED" (section 2), and the members that section 2.2 defines as lists of
    /// strings must be such lists.
    fn check_members(&self) -> Result<(), &'static str> {
        if self.kind().is_empty() {
            return Err("type");
        }
        let is_text = |value: &Value| value.as_str().is_some();
        let lists = LISTS.into_iter().find(|name| {
            let list = self.0.get(*name).map(Value::as_array);
            list.is_some_and(|list| !list.is_some_and(|list| list.iter().all(is_text)))
        });
        match (lists, self.0.get(IDENTIFIER)) {
            (Some(name), _) => Err(name),
            (None, Some(value)) if !is_text(value) => Err(IDENTIFIER),
            (None, _) => Ok(()),
        }
    }

    /// Whether this grants everything in `requested`, comparing only the members that RFC 9396 defines: the server may
    /// enrich the other members (section 7.1).
    fn covers(&self, requested: &Self) -> bool {
        let texts = |detail: &Self, name: &str| -> Vec<String> {
            let list = detail.0.get(name).and_then(Value::as_array);
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        let has_all = LISTS.iter().all(|name| {
            let granted = texts(self, name);
            texts(requested, name)
                .iter()
                .all(|text| granted.contains(text))
        });
        let identifier = requested.0.get(IDENTIFIER);
        has_all
            && self.kind() == requested.kind()
            && (identifier.is_none() || identifier == self.0.get(IDENTIFIER))
    }
}

impl fmt::Debug for AuthorizationDetail {
    /// Shows the type and the names of the members, not their values, which may be account numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.keys().collect();
        f.debug_struct("AuthorizationDetail")
            .field("type", &self.kind())
            .field("members", &names)
            .finish()
    }
}

/// A list of permissions, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuthorizationDetails(Vec<AuthorizationDetail>);

impl AuthorizationDetails {
    /// Reads the JSON array as it appears in a request.
    ///
    /// # Errors
    /// `authorization_details.malformed`, naming the member that is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match json::parse(text) {
            Ok(Json::Array(items)) => Self::from_items(items.iter().map(Json::to_value)),
            _ => Err(malformed("a JSON array is wanted")),
        }
    }

    /// Reads the member of a token response.
    ///
    /// # Errors
    /// `authorization_details.malformed`, naming the member that is wrong.
    pub fn from_value(value: &Value) -> Result<Self, Error> {
        let items = value.as_array();
        let items = items.ok_or_else(|| malformed("a JSON array is wanted"))?;
        Self::from_items(items.iter().cloned())
    }

    fn from_items(items: impl Iterator<Item = Value>) -> Result<Self, Error> {
        let read_item = |(index, item): (usize, Value)| {
            let Value::Object(members) = item else {
                return Err(malformed(&format!("[{index}] is not an object")));
            };
            let detail = AuthorizationDetail(members);
            match detail.check_members() {
                Ok(()) => Ok(detail),
                Err(name) => Err(malformed(&format!("[{index}].{name}"))),
            }
        };
        items
            .enumerate()
            .map(read_item)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The permissions, in order.
    pub fn iter(&self) -> impl Iterator<Item = &AuthorizationDetail> {
        self.0.iter()
    }

    /// Whether the list is empty.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON array as it appears in a request.
    pub fn to_json(&self) -> String {
        let list = self.0.iter().map(|detail| Value::Object(detail.0.clone()));
        json::value_text(&Value::Array(list.collect()))
    }

    /// The permissions that `granted` does not cover: their type is missing, or a value of a member of RFC 9396 section
    /// 2.2 is. The caller must compare the members that a type itself defines.
    pub fn missing_from<'a>(
        &'a self,
        granted: &'a Self,
    ) -> impl Iterator<Item = &'a AuthorizationDetail> {
        let is_missing = |requested: &&AuthorizationDetail| {
            !granted.0.iter().any(|detail| detail.covers(requested))
        };
        self.0.iter().filter(is_missing)
    }
}

impl FromIterator<AuthorizationDetail> for AuthorizationDetails {
    fn from_iter<T: IntoIterator<Item = AuthorizationDetail>>(details: T) -> Self {
        Self(details.into_iter().collect())
    }
}

fn malformed(member: &str) -> Error {
    Error::from(Misuse::AuthorizationDetails).about(member)
}
