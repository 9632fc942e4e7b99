//! RP-initiated logout by POST: the form that takes the user to the server, with the ID token outside of the URL.
//!
//! OpenID Connect RP-Initiated Logout section 2 <https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RPLogout>

use std::fmt::{self, Write as _};

use crate::url::Url;

/// The longest logout URL to open, in bytes: post the [form](LogoutForm) instead of a longer one.
///
/// Many servers and proxies read a request line of 8 KiB, some half of that. The limit is not lower than necessary,
/// because some servers do not support such a POST: `oidc-provider` responds with 404 by default.
pub const MAX_URL: usize = 4_000;

/// Submits the form; [`POLICY`] has its hash. Without scripts, the user presses the button.
const SCRIPT: &str = "document.forms[0].submit()";

// No `form-action`: browsers apply it to the redirects that follow as well, and the user returns through one.
const POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
                      script-src 'sha256-ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE='";

/// The form by which the user is signed out at the server: "OpenID Providers MUST support the use of the HTTP GET and
/// POST methods" (section 2).
///
/// The browser posts it from a site other than the server's, so a server whose session cookie is `SameSite=Lax` sees
/// the ID token and not the session, and not every server keeps to that sentence. Prefer the URL while it is not longer
/// than [`MAX_URL`].
#[derive(Clone)]
pub struct LogoutForm {
    action: Url,
    fields: Vec<(String, String)>,
}

impl LogoutForm {
    pub(super) const fn new(action: Url, fields: Vec<(String, String)>) -> Self {
        Self { action, fields }
    }

    /// The URL that the form is posted to.
    pub const fn action(&self) -> &Url {
        &self.action
    }

    /// Names and values of the fields. The ID token among them has data about the user: keep it out of logs.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A page with the form, which posts itself, and has a button for browsers without scripts. Send it with
    /// `Cache-Control: no-store` and with its [policy](Self::content_security_policy).
    pub fn html(&self) -> String {
        let mut page = String::from(
            "<!doctype html><html lang=en><meta charset=utf-8><title>Sign out</title><form method=post action=\"",
        );
        escape(self.action.as_str(), &mut page);
        page.push_str("\">");
        for (name, value) in self.fields() {
            page.push_str("<input type=hidden name=\"");
            escape(name, &mut page);
            page.push_str("\" value=\"");
            escape(value, &mut page);
            page.push_str("\">");
        }
        let _ = write!(
            page,
            "<button>Sign out</button></form><script>{SCRIPT}</script></html>"
        );
        page
    }

    /// The `Content-Security-Policy` of the page: it allows its own script, and nothing else.
    pub const fn content_security_policy(&self) -> &'static str {
        POLICY
    }
}

impl fmt::Debug for LogoutForm {
    /// Does not show the user who is to be signed out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutForm")
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

fn escape(text: &str, into: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            letter => into.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use super::*;

    #[test]
    fn logout_form_escapes_its_action_and_fields() {
        let action = Url::parse("https://as.example/out?a=1&b=2").unwrap();
        let fields = [
            ("logout_hint", "\"><script>alert(1)</script>&amp;"),
            ("state", "s"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let form = LogoutForm::new(action, fields.into());
        let page = form.html();
        assert!(
            page.contains("action=\"https://as.example/out?a=1&amp;b=2\""),
            "{page}"
        );
        let hint = "value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;\"";
        assert!(page.contains(hint), "{page}");
        assert!(
            page.contains("<input type=hidden name=\"state\" value=\"s\">"),
            "{page}"
        );
        assert_eq!(page.matches("<script>").count(), 1);
        assert!(!format!("{form:?}").contains("alert"), "{form:?}");
    }

    #[cfg(feature = "sha2")]
    #[test]
    fn content_security_policy_contains_the_hash_of_the_form_script() {
        use base64::Engine as _;
        use sha2::Digest as _;

        let hash = sha2::Sha256::digest(SCRIPT);
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        assert!(
            POLICY.ends_with(&format!("script-src 'sha256-{hash}'")),
            "{hash}"
        );
    }
}
