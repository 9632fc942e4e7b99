//! HTML of the built-in pages: without styles or external resources, and with no script but that of the hop.

use std::fmt::Write as _;

use crate::provider::Provider;

/// A complete page.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width\"><title>{title}</title><h1>{title}</h1>{body}</html>"
    )
}

/// An error page.
pub(crate) fn problem(code: &str, detail: Option<&str>, sign_in: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(detail) = detail {
        let _ = write!(text, "<p>{}", escape(detail));
    }
    if let Some(url) = sign_in {
        let _ = write!(text, "<p><a href=\"{}\">Sign in again</a>", escape(url));
    }
    let _ = write!(text, "<p><small>{}</small>", escape(code));
    text
}

/// A button for each provider, which requests the same page again.
pub(crate) fn chooser(
    providers: &[Provider],
    action: &str,
    parameters: &[(&str, String)],
) -> String {
    let mut text = format!("<form action=\"{}\">", escape(action));
    for (name, value) in parameters {
        let (name, value) = (escape(name), escape(value));
        let _ = write!(
            text,
            "<input type=hidden name=\"{name}\" value=\"{value}\">"
        );
    }
    for provider in providers {
        let (id, title) = (escape(&provider.id), escape(&provider.title));
        let _ = write!(
            text,
            "<p><button name=provider value=\"{id}\">{title}</button>"
        );
    }
    text.push_str("</form>");
    text
}

/// One button that posts.
pub(crate) fn button(action: &str, label: &str) -> String {
    let (action, label) = (escape(action), escape(label));
    format!("<form method=post action=\"{action}\"><button>{label}</button></form>")
}

/// The script of the hop, for a URL with a fragment, which no server sees and a `refresh` drops: it hides the `refresh`
/// behind it, and goes to the same place with the fragment. Between URLs that differ in their fragment alone a browser
/// would only scroll, so that the page's URL is changed before. Without the script, the fragment is lost and nothing else.
const HOP_SCRIPT: &str = "const to=document.links[0].href,part=location.hash;\
    if(part&&!to.includes('#')){document.write('<!--');\
    history.replaceState(null,'','?'+location.search+'&');location.replace(to+part)}";

/// The policy under which exactly that script runs.
pub(crate) const HOP_POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
    script-src 'sha256-OF+Y3tSbZEq7eUE6v482gj401TEfvHPiYDnpXH5rUF0='";

/// A page that loads another immediately, so that the next request is a same-site one.
pub(crate) fn refresh_page(url: &str) -> String {
    let url = escape(url);
    format!(
        "<p><a href=\"{url}\">Go on</a><script>{HOP_SCRIPT}</script>\
         <meta http-equiv=refresh content=\"0;url={url}\">"
    )
}

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn the_csp_of_the_hop_page_permits_only_its_script() {
        let hash = oauth_seal::base64url(&sha2::Sha256::digest(HOP_SCRIPT));
        let hash = hash.replace('-', "+").replace('_', "/");
        assert!(HOP_POLICY.ends_with(&format!("'sha256-{hash}='")), "{hash}");
    }

    #[test]
    fn untrusted_input_is_escaped() {
        let page = page("<b>", &button("/\"><script>", "'&'"));
        assert!(
            !page.contains("<b>") && !page.contains("<script>"),
            "{page}"
        );
        assert!(page.contains("&#39;&amp;&#39;"));
    }
}
