//! Cookies: sealed, limited in size, and cleared on pages of the site only. Their contents are in `session.rs`,
//! `session_handle.rs`, `current_session.rs` (`CookieSession`), `login_flow.rs`, `login_loop.rs` and `page/logout.rs`.

use http::HeaderMap;
use http::header::COOKIE;
use oauth_core::Moment;
use oauth_core::error::{Error, Misuse};
use oauth_core::url::Url;
use oauth_seal::{Keys, NONCE};

/// The longest name and value together, in bytes: browsers accept 4,096.
const MAX_PAIR: usize = 3800;

/// The longest value, all chunks together: proxies accept 8 KiB in a header line.
const MAX_VALUE: usize = 7200;

/// The size of a session's cookies, all chunks together, from which a warning is logged: many proxies read only 4 KiB
/// of header fields of a response.
const WARN_BYTES: usize = 3000;

/// The number of cookies of one name that are tried, because a parent domain may set a second one.
const MAX_CANDIDATES: usize = 3;

/// How many cookies of a request are read.
const MAX_COOKIES: usize = 400;

/// The purpose of a sealed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Session,
    LoginFlow,
    RecentLogins,
    Logout,
}

/// The `SameSite` attribute of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CookieSameSite {
    Strict,
    Lax,
    /// Sent with forms posted by other sites, too.
    None,
}

/// The cookies of one base URL and name, with their keys.
#[derive(Debug)]
pub(crate) struct Jar {
    keys: Keys,
    /// Origin and path.
    base: String,
    prefix: String,
    is_secure: bool,
}

/// The reason why a cookie was rejected, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CookieRejection {
    Absent,
    /// The first of the reasons.
    Unopened(String),
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::LoginFlow => "flow",
            Self::RecentLogins => "tries",
            Self::Logout => "logout",
        }
    }
}

impl Jar {
    pub(crate) fn new(keys: Keys, base_url: &Url, name: &str) -> Self {
        let is_secure = base_url.scheme() == "https";
        let prefix = if is_secure {
            // Scripts and sibling domains cannot set such a cookie; older browsers enforce the `__Host-` in its name.
            format!("__Host-Http-{name}")
        } else {
            name.to_owned()
        };
        Self {
            keys,
            base: format!(
                "{}{}",
                base_url.origin(),
                base_url.path().trim_end_matches('/')
            ),
            prefix,
            is_secure,
        }
    }

    /// The name of the session's cookie.
    pub(crate) fn name(&self) -> &str {
        &self.prefix
    }

    /// The name of another cookie.
    pub(crate) fn name_of(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.prefix)
    }

    /// Seals a value under the name of its cookie.
    pub(crate) fn seal(
        &self,
        at: &Moment,
        purpose: Purpose,
        name: &str,
        plain: &[u8],
    ) -> Result<String, Error> {
        let drawn = at.draw(&format!("oauth-web nonce {name}"))?;
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(drawn.get(..NONCE).unwrap_or(&[0; NONCE]));
        self.keys
            .seal(nonce, &self.associated_data(purpose, name), plain)
    }

    /// Opens one value.
    pub(crate) fn open_value(
        &self,
        purpose: Purpose,
        name: &str,
        value: &str,
    ) -> Result<oauth_core::Secret<Vec<u8>>, String> {
        if value.len() > MAX_VALUE {
            return Err("it is too long".to_owned());
        }
        let opened = self.keys.open(value, &self.associated_data(purpose, name));
        opened
            .map(|opened| opened.plain)
            .map_err(|unopened| unopened.to_string())
    }

    /// The first value of this name that can be opened and parsed.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(
        &self,
        cookies: &[(String, String)],
        purpose: Purpose,
        name: &str,
    ) -> Result<T, CookieRejection> {
        let mut rejected = CookieRejection::Absent;
        for value in cookie_values(cookies, name).take(MAX_CANDIDATES) {
            match self.open_value(purpose, name, value) {
                Ok(plain) => match serde_json::from_slice(plain.expose()) {
                    Ok(value) => return Ok(value),
                    Err(_) => rejected.record_reason("it cannot be parsed"),
                },
                Err(reason) => rejected.record_reason(&reason),
            }
        }
        Err(rejected)
    }

    /// `Set-Cookie` with this value.
    pub(crate) fn set_cookie(
        &self,
        name: &str,
        value: &str,
        seconds: u64,
        same_site: CookieSameSite,
    ) -> String {
        let mut text = format!("{name}={value}; Path=/; HttpOnly; Max-Age={seconds}");
        if self.is_secure {
            text.push_str("; Secure");
        }
        text.push_str(match same_site {
            CookieSameSite::Strict => "; SameSite=Strict",
            CookieSameSite::Lax => "; SameSite=Lax",
            CookieSameSite::None => "; SameSite=None",
        });
        text
    }

    /// `Set-Cookie` that clears a cookie.
    pub(crate) fn clear_cookie(&self, name: &str, same_site: CookieSameSite) -> String {
        self.set_cookie(name, "", 0, same_site)
    }

    /// `Set-Cookie` for a session, in one or two cookies; clears a second one of an earlier session.
    ///
    /// # Errors
    /// `web.session_too_large`, which names the largest member.
    pub(crate) fn set_session(
        &self,
        at: &Moment,
        cookies: &[(String, String)],
        plain: &[u8],
        seconds: u64,
        same_site: CookieSameSite,
    ) -> Result<Vec<String>, Error> {
        let name = self.name();
        let value = self.seal(at, Purpose::Session, name, plain)?;
        let second_name = chunk_name(name);
        let room = MAX_PAIR.saturating_sub(second_name.len() + CHUNK_PREFIX_LEN);
        let generation = at.draw("oauth-web generation")?;
        let generation = oauth_seal::base64url(generation.get(..6).unwrap_or(&generation));
        if value.len() > MAX_VALUE || value.len() > 2 * room {
            return Err(Error::from(Misuse::WebSessionTooLarge).about(&largest_member(plain)));
        }
        let pair = |name: &str, count: usize, part: &str| {
            self.set_cookie(
                name,
                &format!("{count}.{generation}.{part}"),
                seconds,
                same_site,
            )
        };
        if value.len() > room {
            let (first_part, second_part) = value.split_at(room);
            return Ok(vec![
                pair(name, 2, first_part),
                pair(&second_name, 2, second_part),
            ]);
        }
        let mut set = vec![pair(name, 1, &value)];
        if cookie_values(cookies, &second_name).next().is_some() {
            set.push(self.clear_cookie(&second_name, same_site));
        }
        Ok(set)
    }

    /// Checks that a session of these bytes leaves room in the cookies of the host. The error names its largest member.
    ///
    /// # Errors
    /// `web.response_large`, for the log.
    pub(crate) fn check_small(plain: &[u8]) -> Result<(), Error> {
        if Self::is_small(plain.len(), 0) {
            Ok(())
        } else {
            Err(Error::from(Misuse::WebResponseLarge).about(&largest_member(plain)))
        }
    }

    /// Whether this many bytes, sealed, fit into a cookie of this name.
    pub(crate) fn fits_in_cookie(name: &str, bytes: usize) -> bool {
        name.len() + Keys::sealed_len(bytes) <= MAX_PAIR
    }

    /// Whether a session of this many bytes leaves room in the cookies of the host, and in the header fields of the
    /// response that sets it, which has a URL of `location` bytes too: a proxy with its default buffers reads 4 KiB of
    /// them, or sends 502.
    pub(crate) fn is_small(bytes: usize, location: usize) -> bool {
        Keys::sealed_len(bytes) + location <= WARN_BYTES
    }

    /// Opens the session of a request.
    pub(crate) fn open_session<T: serde::de::DeserializeOwned>(
        &self,
        cookies: &[(String, String)],
    ) -> Result<T, CookieRejection> {
        let name = self.name();
        let mut rejected = CookieRejection::Absent;
        let mut tried = 0;
        for value in cookie_values(cookies, name).take(MAX_CANDIDATES) {
            let Some((count, generation, part)) = parse_chunk(value) else {
                rejected.record_reason("it is not a session cookie");
                continue;
            };
            let chunks: Vec<String> = match count {
                "1" => vec![part.to_owned()],
                "2" => cookie_values(cookies, &chunk_name(name))
                    .take(MAX_CANDIDATES)
                    .filter_map(parse_chunk)
                    .filter(|(count, cookie_generation, _)| {
                        *count == "2" && *cookie_generation == generation
                    })
                    .map(|(_, _, rest)| format!("{part}{rest}"))
                    .collect(),
                _ => Vec::new(),
            };
            if chunks.is_empty() {
                rejected.record_reason("a part of it is missing");
            }
            for text in chunks {
                tried += 1;
                if tried > MAX_CANDIDATES * 2 {
                    return Err(rejected);
                }
                match self.open_value(Purpose::Session, name, &text) {
                    Ok(plain) => match serde_json::from_slice(plain.expose()) {
                        Ok(session) => return Ok(session),
                        Err(_) => rejected.record_reason("it cannot be parsed"),
                    },
                    Err(reason) => rejected.record_reason(&reason),
                }
            }
        }
        Err(rejected)
    }

    /// Clears the session's cookies, which this request might not show.
    pub(crate) fn clear_session(&self, same_site: CookieSameSite) -> Vec<String> {
        let names = [self.name().to_owned(), chunk_name(self.name())];
        let clear = |name: &String| self.clear_cookie(name, same_site);
        names.iter().map(clear).collect()
    }

    /// Clears the session's cookies that the request has.
    pub(crate) fn end_session(
        &self,
        cookies: &[(String, String)],
        same_site: CookieSameSite,
    ) -> Vec<String> {
        [self.name().to_owned(), chunk_name(self.name())]
            .iter()
            .filter(|name| cookie_values(cookies, name).next().is_some())
            .map(|name| self.clear_cookie(name, same_site))
            .collect()
    }

    /// The associated data: format, purpose, base URL and name, so that no value opens as another.
    fn associated_data(&self, purpose: Purpose, name: &str) -> Vec<u8> {
        ["oauth-web sealed 2", purpose.as_str(), &self.base, name]
            .join("\n")
            .into_bytes()
    }
}

impl CookieRejection {
    fn record_reason(&mut self, reason: &str) {
        if *self == Self::Absent {
            *self = Self::Unopened(reason.to_owned());
        }
    }

    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Absent => "there is no cookie",
            Self::Unopened(reason) => reason,
        }
    }
}

/// The length of the prefix of a chunk: `2.`, a generation, `.`
const CHUNK_PREFIX_LEN: usize = 2 + 8 + 1;

fn parse_chunk(value: &str) -> Option<(&str, &str, &str)> {
    let (count, rest) = value.split_once('.')?;
    let (generation, part) = rest.split_once('.')?;
    Some((count, generation, part))
}

fn chunk_name(name: &str) -> String {
    format!("{name}.1")
}

/// The largest member of a session, and its size.
fn largest_member(plain: &[u8]) -> String {
    let Ok(serde_json::Value::Object(session)) = serde_json::from_slice(plain) else {
        return format!("it has {} bytes", plain.len());
    };
    let inner = |name: &str, at: &serde_json::Value| -> Vec<(String, usize)> {
        let object = at.get(name).and_then(serde_json::Value::as_object);
        let members = object.into_iter().flatten();
        members
            .map(|(member, value)| (format!("{name}.{member}"), value.to_string().len()))
            .collect()
    };
    let session = serde_json::Value::Object(session);
    let mut members = inner("local", &session);
    if let Some(identity) = session.get("identity") {
        members.extend(inner("claims", identity));
    }
    if let Some(serde_json::Value::String(tokens)) = session.get("tokens") {
        members.push(("the access token".to_owned(), tokens.len()));
    }
    if let Some(serde_json::Value::String(token)) = session.get("id_token") {
        members.push(("the ID token".to_owned(), token.len()));
    }
    let largest = members.into_iter().max_by_key(|(_, bytes)| *bytes);
    let (name, bytes) = largest.unwrap_or_else(|| ("it".to_owned(), plain.len()));
    format!("{name} takes {bytes} bytes; use a store")
}

fn cookie_values<'a>(
    cookies: &'a [(String, String)],
    name: &'a str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let matching = cookies
        .iter()
        .filter(move |(cookie_name, _)| cookie_name == name);
    matching.map(|(_, value)| value.as_str())
}

/// The cookies of a request, in order. Other cookies may contain anything, and must not hide the site's.
pub(crate) fn parse(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let pairs = pairs.filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='));
    pairs
        .take(MAX_COOKIES)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
