//! Parses and writes `WWW-Authenticate`, with several challenges in one field (RFC 9110 section 11.6.1).
//!
//! What the client does about a challenge is decided in `flow/resource/challenge_verdict.rs`; an API writes its own
//! challenges in `flow/access_token/refusal.rs`.

#[cfg(test)]
mod tests;

use crate::http::header::WWW_AUTHENTICATE;
use crate::http::{HeaderMap, HeaderValue};

use crate::error::{Error, ProtocolViolation};

/// One challenge. Scheme and parameter names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Challenge {
    /// The scheme, such as `bearer`.
    pub scheme: String,
    /// The parameters in order. A repeated name is listed once, with its first value.
    pub params: Vec<(String, String)>,
    /// The names that occur more than once. The parameters of such a challenge are ignored:
    /// "MUST NOT appear more than once" (RFC 6750 section 3).
    pub duplicate: Vec<String>,
    /// The form without parameters (`token68`), as Negotiate uses it.
    pub token68: Option<String>,
}

impl Challenge {
    /// The parameter of this name (lower case); `None` if the challenge has duplicate parameters.
    pub fn param(&self, name: &str) -> Option<&str> {
        let param = self
            .params
            .iter()
            .find(|(param_name, _)| param_name == name);
        param
            .filter(|_| self.duplicate.is_empty())
            .map(|(_, value)| value.as_str())
    }

    fn add(&mut self, name: &str, value: String) {
        let name = name.to_ascii_lowercase();
        if self
            .params
            .iter()
            .any(|(param_name, _)| *param_name == name)
        {
            if !self.duplicate.contains(&name) {
                self.duplicate.push(name);
            }
        } else {
            self.params.push((name, value));
        }
    }
}

/// The most parameters a challenge may have; the richest known scheme has ten.
const MAX_PARAMS: usize = 100;

/// The most challenges that are read.
const MAX_CHALLENGES: usize = 100;

/// Reads the challenges in the field's values, in order, in time linear in their length.
///
/// # Errors
/// `challenge.syntax` if any part cannot be read, or a challenge has more than a hundred parameters.
pub fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Result<Vec<Challenge>, Error> {
    let mut challenges = Vec::new();
    let mut is_complete = true;
    for header in headers {
        is_complete &= Reader::new(header).read(&mut challenges);
    }
    if is_complete {
        Ok(challenges)
    } else {
        syntax_error()
    }
}

/// The valid challenges of a reply, and whether all of them are valid. An invalid challenge or a non-ASCII byte does
/// not affect the other challenges, because proxies add fields, and servers use any character set in descriptions.
pub(crate) fn valid_challenges(headers: &HeaderMap) -> (Vec<Challenge>, bool) {
    let fields = headers.get_all(WWW_AUTHENTICATE).iter();
    valid_challenges_in(fields.map(HeaderValue::as_bytes))
}

/// The valid challenges in these values of the field, and whether all of them are valid.
pub(crate) fn valid_challenges_in<'a>(
    fields: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Challenge>, bool) {
    let mut challenges = Vec::new();
    let mut is_complete = true;
    for field in fields {
        let text = String::from_utf8_lossy(field);
        is_complete &= Reader::new(&text).read(&mut challenges);
    }
    (challenges, is_complete)
}

/// Adds a challenge to the value of a field, each parameter quoted (RFC 9110 section 11.2). Characters that a field
/// cannot hold (control characters and non-ASCII) are left out.
pub(crate) fn write(scheme: &str, params: &[(&str, &str)], into: &mut String) {
    if !into.is_empty() {
        into.push_str(", ");
    }
    into.push_str(scheme);
    for (index, (name, value)) in params.iter().enumerate() {
        into.push_str(if index == 0 { " " } else { ", " });
        into.push_str(name);
        into.push_str("=\"");
        for c in value.chars().filter(|c| matches!(c, ' '..='~')) {
            if matches!(c, '"' | '\\') {
                into.push('\\');
            }
            into.push(c);
        }
        into.push('"');
    }
}

struct Reader<'a> {
    rest: &'a str,
    /// Whether the last token was a scheme, so that only its first parameter may follow.
    is_behind_scheme: bool,
}

impl<'a> Reader<'a> {
    const fn new(rest: &'a str) -> Self {
        Self {
            rest,
            is_behind_scheme: false,
        }
    }

    /// Adds the valid challenges; returns whether all of them are valid.
    fn read(mut self, challenges: &mut Vec<Challenge>) -> bool {
        let count = challenges.len();
        let mut is_complete = true;
        // Whether the next parameters belong to a challenge that failed to parse.
        let mut is_in_invalid_challenge = false;
        loop {
            self.skip_blanks();
            self.is_behind_scheme &= !self.rest.starts_with(',');
            self.skip(|c| c == ' ' || c == '\t' || c == ',');
            if self.rest.is_empty() {
                return is_complete;
            }
            if challenges.len() >= MAX_CHALLENGES {
                return false;
            }
            let mut ignored = Challenge::default();
            let last = challenges.get_mut(count..).and_then(<[_]>::last_mut);
            let current = if is_in_invalid_challenge {
                Some(&mut ignored)
            } else {
                last
            };
            match self.read_element(current) {
                Ok(None) => {}
                Ok(Some(challenge)) => {
                    challenges.push(challenge);
                    is_in_invalid_challenge = false;
                }
                Err(_) => {
                    is_complete = false;
                    self.is_behind_scheme = false;
                    if !is_in_invalid_challenge && challenges.len() > count {
                        challenges.pop();
                    }
                    is_in_invalid_challenge = true;
                    self.skip_element();
                }
            }
        }
    }

    /// Reads the next parameter into `current`, or the beginning of a new challenge.
    fn read_element(
        &mut self,
        current: Option<&mut Challenge>,
    ) -> Result<Option<Challenge>, Error> {
        let word = self.token()?;
        let after_word = self.rest;
        self.skip_blanks();
        if self.rest.starts_with('=') {
            // A challenge has parameters or one token68, never both.
            let current = current
                .filter(|challenge| {
                    challenge.token68.is_none() && challenge.params.len() < MAX_PARAMS
                })
                .ok_or(ProtocolViolation::ChallengeSyntax)?;
            let value = self.value()?;
            self.is_behind_scheme = false;
            self.skip_blanks();
            if !self.rest.is_empty() && !self.rest.starts_with(',') {
                return syntax_error();
            }
            current.add(word, value);
            return Ok(None);
        }
        if std::mem::take(&mut self.is_behind_scheme) {
            // "1*SP ( token68 / #auth-param )": a second word is not allowed.
            return syntax_error();
        }
        let mut challenge = Challenge {
            scheme: word.to_ascii_lowercase(),
            ..Challenge::default()
        };
        if after_word.len() > self.rest.len() {
            challenge.token68 = self.token68();
            self.is_behind_scheme = challenge.token68.is_none();
        } else if !self.rest.is_empty() && !self.rest.starts_with(',') {
            return syntax_error();
        }
        Ok(Some(challenge))
    }

    /// Skips to the next comma outside a quoted string.
    fn skip_element(&mut self) {
        let (mut is_quoted, mut is_escaped) = (false, false);
        for (at, c) in self.rest.char_indices() {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' if is_quoted => is_escaped = true,
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => {
                    self.rest = self.rest.get(at..).unwrap_or_default();
                    return;
                }
                _ => {}
            }
        }
        self.rest = "";
    }

    /// A token68: it ends at a comma or at the end of the text, and nothing follows its `=`.
    fn token68(&mut self) -> Option<String> {
        let is_char = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let body = self.rest.find(|c| !is_char(c)).unwrap_or(self.rest.len());
        let padded = self.rest.get(body..)?;
        let end = body + padded.len() - padded.trim_start_matches('=').len();
        let (text, rest) = self.rest.split_at_checked(end)?;
        let next = rest.trim_start_matches([' ', '\t']);
        if text.is_empty() || body == 0 || !(next.is_empty() || next.starts_with(',')) {
            return None;
        }
        self.rest = rest;
        Some(text.to_owned())
    }

    fn value(&mut self) -> Result<String, Error> {
        self.rest = self.rest.strip_prefix('=').unwrap_or(self.rest);
        self.skip_blanks();
        match self.rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted),
            None => self.token().map(str::to_owned),
        }
    }

    fn quoted(&mut self, quoted: &'a str) -> Result<String, Error> {
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = quoted.get(at + 1..).unwrap_or_default();
                    return Ok(value);
                }
                '\\' => {
                    let escaped = chars.next().map(|(_, c)| c);
                    value.push(
                        escaped
                            .filter(|c| is_text(*c))
                            .ok_or(ProtocolViolation::ChallengeSyntax)?,
                    );
                }
                c if is_text(c) => value.push(c),
                _ => return syntax_error(),
            }
        }
        syntax_error()
    }

    fn token(&mut self) -> Result<&'a str, Error> {
        let is_char = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.rest.find(|c| !is_char(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        if token.is_empty() {
            syntax_error()
        } else {
            Ok(token)
        }
    }

    fn skip_blanks(&mut self) {
        self.skip(|c| c == ' ' || c == '\t');
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(skipped);
    }
}

/// Whether a quoted string may contain this character: any but the control characters of ASCII (RFC 9110 section 5.6.4).
const fn is_text(c: char) -> bool {
    !c.is_ascii_control() || c == '\t'
}

fn syntax_error<T>() -> Result<T, Error> {
    Err(ProtocolViolation::ChallengeSyntax.into())
}
