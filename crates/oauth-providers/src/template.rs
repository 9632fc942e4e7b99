//! URLs with `{variables}` in them.

use oauth_core::Error;
use oauth_core::error::Misuse;
use serde::Deserialize;

/// A URL with `{variables}` in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Template(String);

/// The part of a URL in which a variable may occur.
///
/// The allowed characters differ: what is harmless in a path can name another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TemplatePosition {
    /// A whole URL, at the beginning.
    Whole,
    /// Between `https://` and the path.
    Authority,
    /// In the path.
    Path,
}

enum Segment<'a> {
    Text(&'a str),
    Variable(&'a str),
}

impl Template {
    /// The URL, with each variable replaced by what `value` returns.
    pub(crate) fn fill(
        &self,
        mut value: impl FnMut(&str) -> Result<String, Error>,
    ) -> Result<String, Error> {
        let mut url = String::with_capacity(2 * self.0.len());
        for piece in self.pieces()? {
            match piece {
                Segment::Text(text) => url.push_str(text),
                Segment::Variable(name) => url.push_str(&value(name)?),
            }
        }
        Ok(url)
    }

    /// Calls `visit` with each variable and its place.
    pub(crate) fn visit(
        &self,
        mut visit: impl FnMut(&str, TemplatePosition) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut before = String::new();
        let mut last = None;
        for piece in self.pieces()? {
            match piece {
                // Anything but a path would continue the host at the end of the URL.
                Segment::Text(text)
                    if last == Some(TemplatePosition::Whole) && !text.starts_with('/') =>
                {
                    return Err(provider_data_error(
                        "a whole URL must be followed by a path",
                    ));
                }
                Segment::Text(text) => {
                    before.push_str(text);
                    last = None;
                }
                Segment::Variable(name) => {
                    let position = match before.split_once("://") {
                        None if before.is_empty() => TemplatePosition::Whole,
                        None => return Err(provider_data_error("a variable stands before ://")),
                        Some((_, rest)) if rest.contains('/') => TemplatePosition::Path,
                        Some(_) => TemplatePosition::Authority,
                    };
                    visit(name, position)?;
                    // The variable's value matters only insofar as it ends a scheme or host.
                    before.push_str(if position == TemplatePosition::Whole {
                        "x://x/"
                    } else {
                        "x"
                    });
                    last = Some(position);
                }
            }
        }
        Ok(())
    }

    fn pieces(&self) -> Result<Vec<Segment<'_>>, Error> {
        let mut pieces = Vec::new();
        let mut rest = self.0.as_str();
        while let Some((text, after)) = rest.split_once('{') {
            let (name, behind) = after
                .split_once('}')
                .ok_or_else(|| provider_data_error("unclosed {"))?;
            pieces.push(Segment::Text(text));
            pieces.push(Segment::Variable(name));
            rest = behind;
        }
        pieces.push(Segment::Text(rest));
        Ok(pieces)
    }
}

/// `url` with another scheme, host and port; the rest is kept.
///
/// Works on text, because a template such as a tenant's issuer is not a URL yet.
pub(crate) fn with_base(url: &str, base: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest
        .find(['/', '?', '#'])
        .and_then(|start| rest.get(start..));
    format!("{base}{}", path.unwrap_or_default())
}

/// `provider.data` about `detail`.
pub(crate) fn provider_data_error(detail: &str) -> Error {
    Error::from(Misuse::ProviderData).about(detail)
}
