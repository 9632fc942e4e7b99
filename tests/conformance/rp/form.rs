//! Parses a form that a page submits as soon as it is shown (OAuth 2.0 Form Post Response Mode section 4).

/// A form, and the fields it would send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) is_post: bool,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    /// The first form of a page, if a script of the page submits it.
    pub(crate) fn submitted_at_once(page: &str) -> Option<Self> {
        if !page.contains("submit()") {
            return None;
        }
        let lower = page.to_ascii_lowercase();
        let start = lower.find("<form")?;
        let end = lower
            .get(start..)?
            .find("</form")
            .map_or(page.len(), |at| start + at);
        let (form, lower) = (page.get(start..end)?, lower.get(start..end)?);
        let tag = attributes(form.get("<form".len()..)?);
        let mut fields = Vec::new();
        for (at, _) in lower.match_indices("<input") {
            let input = attributes(form.get(at + "<input".len()..)?);
            if let Some(name) = value(&input, "name") {
                let text = value(&input, "value").unwrap_or_default();
                fields.push((name.to_owned(), text.to_owned()));
            }
        }
        let method = value(&tag, "method").unwrap_or_default();
        Some(Self {
            action: value(&tag, "action").unwrap_or_default().to_owned(),
            is_post: method.eq_ignore_ascii_case("post"),
            fields,
        })
    }
}

type Attributes = Vec<(String, String)>;

fn value<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    let mut found = attributes.iter().filter(|(key, _)| key == name);
    found.next().map(|(_, value)| value.as_str())
}

/// The attributes of a tag, without its name.
fn attributes(mut rest: &str) -> Attributes {
    let mut all = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() || rest.starts_with('>') {
            return all;
        }
        let is_end = |c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/');
        // A character that cannot begin a name is skipped, so that the loop ends.
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let length = rest.find(is_end).unwrap_or(rest.len()).max(first);
        let (name, after) = rest.split_at(length);
        let after = after.trim_start();
        let (text, after) = match after.strip_prefix('=') {
            None => ("", after),
            Some(after) => quoted(after.trim_start()),
        };
        all.push((name.to_ascii_lowercase(), unescaped(text)));
        rest = after;
    }
}

/// A value with or without quotes, and the text after it.
fn quoted(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '>');
    text.split_at(end.unwrap_or(text.len()))
}

/// Resolves character references: the five of XML, and numeric ones.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let decoded = after.split_once(';').and_then(|(name, behind)| {
            let character = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                _ => number(name.strip_prefix('#')?)?,
            };
            Some((character, behind))
        });
        match decoded {
            Some((character, behind)) => {
                out.push(character);
                rest = behind;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn number(text: &str) -> Option<char> {
    let code = match text.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    char::from_u32(code.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_submitting_form_is_parsed_as_in_a_browser() {
        let page = r#"<html><body onload="javascript:document.forms[0].submit()">
            <FORM Method='POST' action="https://rp.example/cb?a=1&amp;b=2"><input type=hidden
            name="code" value="a&#x2B;b&quot;&#61;"/><input type="hidden" value=s name=state>
            <input type="submit"></FORM><input name="other" value="no"></body></html>"#;
        let expected = Form {
            action: "https://rp.example/cb?a=1&b=2".to_owned(),
            is_post: true,
            fields: vec![
                ("code".to_owned(), "a+b\"=".to_owned()),
                ("state".to_owned(), "s".to_owned()),
            ],
        };
        assert_eq!(Form::submitted_at_once(page), Some(expected));
    }

    #[test]
    fn a_form_that_is_not_self_submitting_is_ignored() {
        let page = "<form action=/login method=post><input name=password></form>";
        assert_eq!(Form::submitted_at_once(page), None);
        assert_eq!(Form::submitted_at_once("<script>submit()</script>"), None);
    }

    #[test]
    fn malformed_pages_are_parsed_without_hanging() {
        for page in [
            "<form = =\" submit()",
            "<form é<input name=a submit()",
            "<form ='a>submit()",
        ] {
            assert!(Form::submitted_at_once(page).is_some(), "{page}");
        }
        assert_eq!(
            unescaped("a&b &amp; &#0; &#xffffffff; &x;"),
            "a&b & \0 &#xffffffff; &x;"
        );
    }
}
