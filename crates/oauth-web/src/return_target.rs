//! Checks return targets to prevent open redirects (RFC 9700 section 4.11): a page of the site, or of a listed origin.
//! How one URL is compared with an origin is in `redirect_uri.rs` of `oauth-core`.

use std::borrow::Cow;
use std::fmt::Write as _;

use oauth_core::form;
use oauth_core::redirect_uri::check_return_target;
use oauth_core::url::Url;

/// The longest return target, in bytes: it is kept in a cookie.
const MAX_TARGET: usize = 2000;

/// The return target, if it is allowed: a page of this site other than the sign-in pages, or of a listed
/// origin.
pub(crate) fn allowed_target<'a>(
    target: &'a str,
    base_url: &Url,
    pages: &str,
    return_origins: &[Url],
) -> Option<&'a str> {
    if target.is_empty() || target.len() > MAX_TARGET {
        return None;
    }
    if let Ok(target) = check_return_target(target, base_url) {
        return (!is_sign_in_page(path(target), pages)).then_some(target);
    }
    let listed = return_origins.iter().any(|origin| {
        target.starts_with("https://") && check_return_target(target, origin).is_ok()
    });
    listed.then_some(target)
}

/// Percent-encodes characters that browsers leave in a query and RFC 3986 does not allow there, such as
/// braces.
pub(crate) fn percent_encoded(target: &str) -> Cow<'_, str> {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&()*+,;=%'|".contains(&byte);
    let Some((path, query)) = target.split_once('?') else {
        return Cow::Borrowed(target);
    };
    if query.bytes().all(is_allowed) {
        return Cow::Borrowed(target);
    }
    let mut url = format!("{path}?");
    for byte in query.bytes() {
        if is_allowed(byte) {
            url.push(char::from(byte))
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    Cow::Owned(url)
}

fn path(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    path.split(['?', '#']).next().unwrap_or_default()
}

/// Whether a path is one of the sign-in pages, also for a server that percent-decodes the path first.
fn is_sign_in_page(path: &str, pages: &str) -> bool {
    let decoded = form::decode(path).unwrap_or(Cow::Borrowed(path));
    let path = decoded.to_ascii_lowercase();
    let pages = pages.to_ascii_lowercase();
    path.strip_prefix(&pages)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ';']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Url {
        Url::parse("https://shop.example/app").expect("a URL")
    }

    fn listed_origins() -> Vec<Url> {
        vec![Url::parse("https://docs.example").expect("a URL")]
    }

    fn is_allowed(target: &str) -> bool {
        allowed_target(target, &site(), "/app/auth", &listed_origins()).is_some()
    }

    #[test]
    fn pages_of_the_site_and_of_listed_origins_are_allowed() {
        for target in [
            "/app/me?tab=1",
            "/",
            "https://shop.example/app/me",
            "https://docs.example/start",
            "/app/author",
        ] {
            assert!(is_allowed(target), "{target}");
        }
    }

    #[test]
    fn other_origins_and_the_sign_in_pages_are_not_allowed() {
        for target in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "https://docs.example.evil.example/",
            "http://docs.example/",
            "https://shop.example@evil.example/",
            "javascript:alert(1)",
            "me",
            "/app/auth",
            "/app/auth/logout",
            "/app/%61uth/logout",
            "/app/Auth/login?x",
            "https://shop.example/app/auth/login",
            "/app/../evil",
            "/a\r\nSet-Cookie: x=y",
        ] {
            assert!(!is_allowed(target), "{target}");
        }
        assert!(!is_allowed(&format!("/{}", "a".repeat(2000))));
    }

    proptest::proptest! {
        #[test]
        fn an_allowed_target_never_leads_to_an_unlisted_origin(target in "[/\\\\:@.a-z?#%0-9-]{0,40}|https?://[a-z.@:/\\\\]{0,30}") {
            if let Some(target) = allowed_target(&target, &site(), "/app/auth", &listed_origins()) {
                let is_own_path = target.starts_with('/') && !target.starts_with("//") && !target.contains('\\');
                let listed = ["https://shop.example", "https://docs.example"].iter().any(|origin| {
                    target.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
                        || target.strip_prefix(origin).is_some_and(|rest| rest.starts_with(":443"))
                });
                assert!(is_own_path || listed, "{target}");
            }
        }
    }
}
