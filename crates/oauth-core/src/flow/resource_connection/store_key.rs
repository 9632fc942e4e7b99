//! The name of a connection in a store.

use super::ConnectRequest;
use crate::json;

impl ConnectRequest {
    /// The connection's key in a store: 43 characters of base64url, the same in every process and language, for this
    /// API, this grant and this user. Equivalent spellings of a URL have the same key (RFC 3986 section 6.2.2).
    pub fn key(&self, person: &str) -> String {
        self.key_for_url(&with_plain_escapes(self.resource().as_str()), person)
    }

    /// The key that earlier releases used, if it differs: they distinguished `%7E`, `%7e` and `~`.
    pub fn former_key(&self, person: &str) -> Option<String> {
        let url = self.resource().as_str();
        let has_other_spelling = with_plain_escapes(url) != url;
        has_other_spelling.then(|| self.key_for_url(url, person))
    }

    fn key_for_url(&self, url: &str, person: &str) -> String {
        let grant = json::to_text(&self.grant);
        crate::base64::sha256_of_parts(["oauth-core connection 1", url, &grant, person])
    }
}

/// The URL with unreserved characters unescaped, and all other escapes in upper case.
fn with_plain_escapes(url: &str) -> String {
    let mut parts = url.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escape = part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (escape, part.get(2..)) {
            (Some(byte), Some(rest)) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                plain.push(char::from(byte));
                plain.push_str(rest);
            }
            (Some(byte), Some(rest)) => {
                plain.push_str(&format!("%{byte:02X}{rest}"));
            }
            _ => {
                plain.push('%');
                plain.push_str(part);
            }
        }
    }
    plain
}
