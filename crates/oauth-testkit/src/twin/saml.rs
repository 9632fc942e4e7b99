//! SAML assertions as grants (RFC 7522).
//!
//! XML signatures are not verified here: a test announces the assertions of its identity provider, and a received
//! assertion must be identical to one of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::moment::UnixTime;
use serde_json::Value;

use super::Twin;
use super::authority::{Authority, Grant};
use super::client_auth::Client;
use super::wire::ReceivedRequest;

pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:saml2-bearer";

type Refusal = (&'static str, &'static str);

impl Twin {
    /// Accepts this SAML assertion, in XML, once. Its `Audience` and the `Recipient` of its subject must be this server's
    /// token endpoint, and its `NotOnOrAfter` in the future (RFC 7522 section 3).
    pub fn announce_saml_assertion(&mut self, xml: &str) {
        self.authority.saml_assertions.insert(xml.to_owned());
    }
}

pub(super) fn token(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: Client,
) -> Result<Value, Refusal> {
    let wrong = |description| ("invalid_grant", description);
    let encoded = request
        .form("assertion")
        .ok_or(("invalid_request", "assertion is missing"))?;
    // "The assertion parameter ... MUST be encoded using base64url" (section 2.1)
    let xml = URL_SAFE_NO_PAD.decode(encoded).ok();
    let xml = xml.and_then(|xml| String::from_utf8(xml).ok());
    let xml = xml.ok_or(wrong("the assertion must be in base64url"))?;
    if !authority.saml_assertions.contains(&xml) {
        return Err(wrong("no identity provider has issued this assertion"));
    }
    let endpoint = format!("{}{}", authority.base, authority.rules.paths.token);
    if text(&xml, "Audience") != Some(&endpoint) {
        return Err(wrong("the assertion is for a different audience"));
    }
    if attribute(&xml, "Recipient") != Some(&endpoint) {
        return Err(wrong("the assertion is for a different recipient"));
    }
    let ends = attribute(&xml, "NotOnOrAfter").and_then(seconds);
    if ends.is_none_or(|ends| ends <= at.as_secs()) {
        return Err(wrong("the assertion has expired"));
    }
    let subject = text(&xml, "NameID").ok_or(wrong("the assertion has no NameID"))?;
    let grant = Grant {
        client_id: client.id,
        subject: Some(subject.to_owned()),
        scope: authority
            .scope(request.form("scope"))
            .map_err(|description| ("invalid_scope", description))?,
        family: authority.new_family(),
        ..Grant::default()
    };
    authority.saml_assertions.remove(&xml);
    // "Refresh tokens SHOULD NOT be issued" (RFC 7521 section 4.1)
    Ok(authority.issue(at, grant, false))
}

/// The text of the first element with this name, with any prefix.
fn text<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let mut elements = xml.split('<').skip(1);
    elements.find_map(|element| {
        let (tag, text) = element.split_once('>')?;
        let tag = tag.split_whitespace().next()?;
        (tag.rsplit(':').next() == Some(name)).then(|| text.trim())
    })
}

/// The first attribute of this name.
fn attribute<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0)
}

/// A time such as `2026-07-28T12:00:00Z` in seconds since the epoch.
fn seconds(time: &str) -> Option<u64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, joint| {
        let numbers = text.split(joint).map(|part: &str| part.parse::<u64>());
        numbers.collect::<Result<Vec<_>, _>>().ok()
    };
    let [year, month, day] = numbers(date, '-')?.try_into().ok()?;
    let [hour, minute, second] = numbers(clock, ':')?.try_into().ok()?;
    // Days from 1970-01-01, years beginning in March (H. Hinnant, chrono-Compatible Low-Level Date Algorithms).
    let year = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
    Some(days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saml_timestamps_are_parsed() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T12:30:15Z"), Some(951_827_415));
        assert_eq!(seconds("2025-06-15T15:06:40Z"), Some(1_750_000_000));
        assert_eq!(seconds("2025-06-15"), None);
    }
}
