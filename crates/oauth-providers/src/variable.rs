//! Typed template variables, and the values they accept.

use std::collections::BTreeMap;

use oauth_core::quirk::Quirk;
use oauth_core::url::Url;
use serde::Deserialize;

use crate::template::TemplatePosition;

/// A variable of a provider's URLs, such as the tenant.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Variable {
    /// The variable's name, for [`crate::Provider::with`].
    #[serde(skip)]
    pub name: String,
    /// The type of the variable's values.
    #[serde(rename = "type")]
    pub kind: VariableKind,
    /// The variable's meaning, in one sentence.
    pub description: String,
    /// A value of the right form; not necessarily one that exists.
    pub example: String,
    /// The value if none is given.
    pub default: Option<String>,
    /// The values that the provider's documentation names. Others may exist.
    #[serde(default)]
    pub values: Vec<String>,
    /// The quirks that apply with some of `values`.
    #[serde(default)]
    pub quirks_of_values: BTreeMap<String, Vec<Quirk>>,
}

/// The types of variables.
///
/// No value of any type contains `/`, `@`, `#`, `?`, `%`, a backslash, white space or a character
/// outside ASCII, so none can name another host or path than the file's author meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VariableKind {
    /// Exactly one label of a host name: 1 to 63 letters, digits and inner hyphens. Kept in lower
    /// case.
    DnsLabel,
    /// The id of an authorization server: 1 to 64 letters, digits, hyphens and underscores.
    IssuerId,
    /// A GUID with its hyphens and without braces. Kept in lower case.
    Guid,
    /// A host name, with a port if that is not 443. Kept in lower case.
    Host,
    /// One segment of a path: 1 to 255 of the characters that are never escaped (RFC 3986
    /// section 2.3), but not `.` or `..`.
    PathSegment,
    /// A directory: a GUID, a domain name with a dot in it, or one of [`Variable::values`]. Kept
    /// in lower case.
    Tenant,
}

impl VariableKind {
    /// The type's name, as a provider file writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DnsLabel => "dns_label",
            Self::IssuerId => "issuer_id",
            Self::Guid => "guid",
            Self::Host => "host",
            Self::PathSegment => "path_segment",
            Self::Tenant => "tenant",
        }
    }

    /// What the values look like, for error messages.
    pub const fn form(self) -> &'static str {
        match self {
            Self::DnsLabel => "1 to 63 letters, digits and inner hyphens",
            Self::IssuerId => "1 to 64 letters, digits, hyphens and underscores",
            Self::Guid => "8-4-4-4-12 hexadecimal digits",
            Self::Host => "a host name, with :port if that is not 443",
            Self::PathSegment => "letters, digits and any of - . _ ~",
            Self::Tenant => "a GUID or a domain name",
        }
    }

    /// Where in a URL a variable of this type may occur.
    pub(crate) const fn position(self) -> TemplatePosition {
        match self {
            Self::DnsLabel | Self::Host => TemplatePosition::Authority,
            Self::IssuerId | Self::Guid | Self::PathSegment | Self::Tenant => {
                TemplatePosition::Path
            }
        }
    }
}

impl Variable {
    /// `value` in its normal form, if it is of this variable's type.
    pub(crate) fn read(&self, value: &str) -> Option<String> {
        let lower = value.to_ascii_lowercase();
        match self.kind {
            VariableKind::DnsLabel => is_label(&lower).then_some(lower),
            VariableKind::IssuerId => {
                has_only(value, 64, |b| b"-_".contains(&b)).then(|| value.to_owned())
            }
            VariableKind::Guid => is_guid(&lower).then_some(lower),
            VariableKind::Host => is_host(&lower).then_some(lower),
            VariableKind::PathSegment => is_segment(value).then(|| value.to_owned()),
            VariableKind::Tenant => {
                let is_domain = || lower.contains('.') && lower.split('.').all(is_label);
                let is_word = || self.values.contains(&lower) && is_segment(&lower);
                (is_guid(&lower) || is_domain() || is_word()).then_some(lower)
            }
        }
    }
}

fn has_only(text: &str, limit: usize, also: impl Fn(u8) -> bool) -> bool {
    (1..=limit).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || also(b))
}

fn is_label(text: &str) -> bool {
    has_only(text, 63, |b| b == b'-') && !text.starts_with('-') && !text.ends_with('-')
}

fn is_segment(text: &str) -> bool {
    has_only(text, 255, |b| b"-._~".contains(&b)) && text != "." && text != ".."
}

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn is_host(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default();
    let url = format!("https://{text}");
    // The URL parser decides; the normal form must consist of exactly this host.
    name.split('.').all(is_label) && Url::parse(&url).is_ok_and(|read| read.origin() == url)
}
