//! The owner of the token that a route needs (the application or a user), distinguished by a path segment.

use crate::error::{Error, Misuse};
use crate::url::Url;

/// The owner of the token that a route needs. Exhaustive on purpose: a request router must know them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenOwner {
    /// The application's own token, from client credentials.
    Application,
    /// The user's token.
    User,
    /// The API makes no difference between routes.
    Any,
}

impl TokenOwner {
    /// `application`, `user` or `any`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::User => "user",
            Self::Any => "any",
        }
    }
}

/// The path segments that make a route the user's; every other route is the application's.
///
/// ```
/// use oauth_core::flow::resource::{Routes, TokenOwner};
///
/// let routes = Routes::user_segments(["user"]);
/// assert_eq!(routes.token_for("/user/polls")?, TokenOwner::User);
/// assert_eq!(routes.token_for("/users?by=user")?, TokenOwner::Application);
/// // Some servers decode `%2F` before they look for a route, and some do not.
/// assert_eq!(routes.token_for("/polls%2Fuser").unwrap_err().code(), "resource.route_ambiguous");
/// # Ok::<(), oauth_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routes {
    user_segments: Vec<String>,
}

impl Routes {
    /// Routes with one of these segments in their path need the user's token. With no segment at
    /// all, the API makes no difference between routes.
    pub fn user_segments<S: Into<String>>(segments: impl IntoIterator<Item = S>) -> Self {
        Self {
            user_segments: segments.into_iter().map(Into::into).collect(),
        }
    }

    /// The path segments that make a route the user's.
    pub fn segments(&self) -> &[String] {
        &self.user_segments
    }

    /// The owner of the token that this path or URL needs.
    ///
    /// Whole segments are compared, case-sensitively, with escaped unreserved characters decoded (`%75ser` is `user`:
    /// RFC 3986 section 6.2.2.2). Query and host are ignored.
    ///
    /// # Errors
    /// `resource.route_ambiguous` for a path in which one server finds the segment and another
    /// does not: after an escaped slash, a matrix parameter, a double escape or a dot segment. Whose token is sent must
    /// not depend on the server's choice.
    pub fn token_for(&self, path: &str) -> Result<TokenOwner, Error> {
        if self.user_segments.is_empty() {
            return Ok(TokenOwner::Any);
        }
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match Url::parse(path) {
            Ok(url) => self.owner_of_path(url.path()),
            Err(_) => self.owner_of_path(path),
        }
    }

    fn owner_of_path(&self, path: &str) -> Result<TokenOwner, Error> {
        let is_user_segment = |segment: &[u8]| {
            let mut user_segments = self.user_segments.iter();
            user_segments.any(|user_segment| user_segment.as_bytes() == segment)
        };
        let decoded = decode_to_the_end(path);
        let mut lenient_segments = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
        let has_dot_segment = lenient_segments
            .clone()
            .any(|segment| matches!(segment, b"." | b".."));
        if has_dot_segment {
            return Err(ambiguous_route(path));
        }
        let mut strict_segments = path
            .split('/')
            .map(|segment| decode(segment.as_bytes(), is_unreserved));
        if strict_segments.any(|segment| is_user_segment(&segment)) {
            return Ok(TokenOwner::User);
        }
        let without_matrix_parameters = |segment: &'_ [u8]| {
            segment
                .split(|&byte| byte == b';')
                .next()
                .map(<[u8]>::to_vec)
        };
        if lenient_segments.any(|segment| {
            without_matrix_parameters(segment).is_some_and(|segment| is_user_segment(&segment))
        }) {
            return Err(ambiguous_route(path));
        }
        Ok(TokenOwner::Application)
    }
}

fn ambiguous_route(path: &str) -> Error {
    Error::from(Misuse::RouteAmbiguous).about(path)
}

/// Decodes all escapes, including those that result from decoding.
fn decode_to_the_end(path: &str) -> Vec<u8> {
    let mut bytes = path.as_bytes().to_vec();
    loop {
        let decoded = decode(&bytes, |_| true);
        if decoded.len() == bytes.len() {
            return decoded;
        }
        bytes = decoded;
    }
}

/// `text` with the escapes decoded for whose bytes `is_decoded` returns true; an invalid `%` is kept.
fn decode(text: &[u8], is_decoded: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| hex_pair(after)).flatten();
        match escaped.filter(|&byte| is_decoded(byte)) {
            Some(byte) => {
                decoded.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    decoded
}

fn hex_pair(text: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(text.get(..2)?).ok()?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

/// Whether a byte is unreserved (RFC 3986 section 2.3).
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use super::*;

    fn owner_of(path: &str) -> Result<TokenOwner, &'static str> {
        let routes = Routes::user_segments(["user"]);
        routes.token_for(path).map_err(|error| error.code())
    }

    #[test]
    fn owner_is_decided_by_whole_path_segments() {
        for path in [
            "/user",
            "/user/polls",
            "/wallet/1.0.0/user/wallet",
            "/user?x=1",
            "//user",
            "/user/",
            "/%75ser/polls",
            "/%75%73%65%72",
            "https://api.example/user",
            "/user/poll/a%2Fb/vote",
        ] {
            assert_eq!(owner_of(path), Ok(TokenOwner::User), "{path}");
        }
        for path in [
            "",
            "/",
            "/users",
            "/poll/user-1",
            "/User/polls",
            "/USER",
            "/%55ser",
            "/polls?by=/user/",
            "/polls#/user",
            "https://user.example/polls",
            "https://user.example:8443",
            "/a%2Fb",
            "/%zzuser",
            "/user%",
        ] {
            assert_eq!(owner_of(path), Ok(TokenOwner::Application), "{path}");
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for path in [
            "/polls%2Fuser",
            "/polls%2fuser/1",
            "/polls%5Cuser",
            "/user;v=1/polls",
            "/%2575ser",
            "/%252575ser",
            "/a/../user",
            "/user/../polls",
            "/user/%2e%2e/polls",
            "/user%2f..%2fpolls",
            "/polls\\user",
            "/%75ser%3Ba",
        ] {
            assert_eq!(owner_of(path), Err("resource.route_ambiguous"), "{path}");
        }
    }

    #[test]
    fn without_configured_segments_any_token_is_used() {
        let routes = Routes::default();
        assert_eq!(routes.token_for("/user").unwrap(), TokenOwner::Any);
        assert_eq!(routes.token_for("/a/../user").unwrap(), TokenOwner::Any);
    }
}
