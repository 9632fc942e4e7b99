//! Extracts readable text from an error reply that is not an OAuth error. OAuth errors (`error`, `error_description`,
//! `error_uri`) are read in `error/server_error.rs`.

use crate::http::Response;
use crate::http::header::CONTENT_TYPE;
use bytes::Bytes;

use crate::error::ServerError;
use crate::json::{Json, Object};

/// The most memory that a refusal's members may take before secrets are removed from them, in bytes.
pub(super) const MAX_MEMBERS: usize = 64 << 10;

/// The members that are kept of a non-OAuth error: those of Fitbit, Facebook, Google and web frameworks, and of problem
/// details (RFC 9457).
const KEPT_MEMBERS: [&str; 10] = [
    "error",
    "errors",
    "error_code",
    "message",
    "code",
    "status",
    "statusCode",
    "type",
    "detail",
    "title",
];

/// Adds the text and members of a JSON object that is not an OAuth error.
pub(super) fn with_object_text(error: ServerError, object: &Object<'_>) -> ServerError {
    let (mut extra, _) = object.to_map_within(MAX_MEMBERS);
    extra.retain(|name, _| KEPT_MEMBERS.contains(&name.as_str()));
    error
        .with_description(description(object), None)
        .with_extra(extra)
}

/// The human-readable description, from the first known member that has one.
pub(super) fn description<'o>(object: &'o Object<'_>) -> Option<&'o str> {
    let sentence = |object: &'o Object<'_>| {
        ["error_description", "message", "detail", "title"]
            .into_iter()
            .filter_map(|name| object.get(name)?.as_str())
            .find(|text| !text.is_empty())
    };
    let nested = || match object.get("error")? {
        Json::Object(inside) => sentence(inside),
        _ => None,
    };
    sentence(object).or_else(nested)
}

/// Adds the text of an HTML or plain-text page.
pub(super) fn with_page_text(error: ServerError, reply: &Response<Bytes>) -> ServerError {
    let content_type = reply.headers().get(CONTENT_TYPE);
    let content_type = content_type.map(|field| field.as_bytes().to_ascii_lowercase());
    let has_media_type = |start: &[u8]| {
        content_type
            .as_ref()
            .is_some_and(|content_type| content_type.starts_with(start))
    };
    if reply.body().len() > super::MAX_REPLY {
        return error;
    }
    let text = String::from_utf8_lossy(reply.body());
    let text = match () {
        () if has_media_type(b"text/html") || has_media_type(b"application/xhtml+xml") => {
            without_markup(&text)
        }
        () if has_media_type(b"text/") => text.into_owned(),
        () => return error,
    };
    let words = text
        .split_whitespace()
        .fold(String::new(), |mut words, word| {
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(word);
            words
        });
    error.with_page_text(&words)
}

/// The text of a page, with a space for every tag; scripts and styles are left out with their content.
fn without_markup(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let skipped_element = ["script", "style"].into_iter().find_map(|name| {
            let start = tag.get(..name.len())?;
            start.eq_ignore_ascii_case(name).then_some(name)
        });
        rest = match skipped_element {
            Some(name) => after_element(tag, name),
            None => tag.split_once('>').map_or("", |(_, after)| after),
        };
    }
    text.push_str(rest);
    text
}

/// The text after the end tag of the element that `tag` begins.
fn after_element<'p>(tag: &'p str, name: &str) -> &'p str {
    let mut rest = tag;
    while let Some((_, end_tag)) = rest.split_once("</") {
        let is_end = end_tag
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name));
        if is_end {
            return end_tag.split_once('>').map_or("", |(_, after)| after);
        }
        rest = end_tag;
    }
    ""
}
