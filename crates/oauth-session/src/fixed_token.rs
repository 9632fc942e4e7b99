//! A token source of one fixed token, which was created manually or is renewed elsewhere.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::moment::UnixTime;
use oauth_core::secret::shown_name;
use oauth_core::{Secret, Tokens};

use crate::source::{Token, TokenSource};
use crate::store::Answer;

/// The longest token that is read from a file, in bytes.
const MAX_LENGTH: u64 = 64 << 10;

/// One token without a grant: created in a provider's console, put into an environment variable or a file by the
/// operator of the process, or returned by a callback.
///
/// It is never renewed. A variable, file or callback is read again each time, so it may be changed while the process is
/// running. After a 401 for this token the request fails with `grant.revoked`, unless the source has another token by
/// then, which is tried once.
///
/// ```
/// use oauth_session::{FixedToken, TokenSource};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), oauth_core::Error> {
/// let source = FixedToken::new("a-token-of-the-console");
/// let token = source.token(None).await?;
/// assert_eq!(token.access_token.expose(), "a-token-of-the-console");
///
/// let refused = source.token(Some(&token)).await.unwrap_err();
/// assert_eq!((refused.code(), refused.advice().as_str()), ("grant.revoked", "reauthorize"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FixedToken {
    location: TokenLocation,
    expires_at: Option<UnixTime>,
}

type Callback = dyn Fn() -> Result<Secret<String>, Error> + Send + Sync;

#[derive(Clone)]
enum TokenLocation {
    Value(Arc<Tokens>),
    Variable(String),
    File(PathBuf),
    Callback(Arc<Callback>),
}

impl FixedToken {
    /// A source of this token.
    pub fn new(token: impl Into<Secret<String>>) -> Self {
        Self::from_tokens(Tokens::bearer(token))
    }

    /// A source of the access token in these tokens. The grant is not used.
    pub fn from_tokens(tokens: Tokens) -> Self {
        let expires_at = tokens.expires_at();
        Self {
            expires_at,
            ..Self::from_location(TokenLocation::Value(Arc::new(tokens)))
        }
    }

    /// A source of the token in this environment variable, read again each time.
    pub fn from_env(variable: impl Into<String>) -> Self {
        Self::from_location(TokenLocation::Variable(variable.into()))
    }

    /// A source of the token in this file, read again each time; surrounding white space is ignored.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self::from_location(TokenLocation::File(path.into()))
    }

    /// A source of the token that `callback` returns, called each time.
    pub fn from_fn(
        callback: impl Fn() -> Result<Secret<String>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self::from_location(TokenLocation::Callback(Arc::new(callback)))
    }

    /// Sets the expiry of the token: afterwards requests fail with `grant.expired`, and nothing is sent.
    #[must_use]
    pub fn expiring_at(mut self, expires_at: UnixTime) -> Self {
        if let TokenLocation::Value(tokens) = &mut self.location {
            *tokens = Arc::new(Tokens::clone(tokens).expiring_at(expires_at));
        }
        self.expires_at = Some(expires_at);
        self
    }

    const fn from_location(location: TokenLocation) -> Self {
        Self {
            location,
            expires_at: None,
        }
    }

    /// The current token, which must not be the one that was `refused`.
    ///
    /// # Errors
    /// `token_source.unreadable`, `grant.expired`, `grant.revoked`, and the callback's.
    pub fn read(&self, refused: Option<&Tokens>) -> Result<Arc<Tokens>, Error> {
        let tokens = match &self.location {
            TokenLocation::Value(tokens) => {
                if tokens.access_token.expose().is_empty() {
                    return Err(empty("a string"));
                } else {
                    Arc::clone(tokens)
                }
            }
            TokenLocation::Variable(name) => self.tokens(read_variable(name)?),
            TokenLocation::File(path) => self.tokens(read_file(path)?),
            TokenLocation::Callback(callback) => match callback()? {
                token if token.expose().is_empty() => return Err(empty("a callback")),
                token => self.tokens(token),
            },
        };
        tokens.check_fixed(UnixTime::system()?, refused)?;
        Ok(tokens)
    }

    fn tokens(&self, token: Secret<String>) -> Arc<Tokens> {
        let tokens = Tokens::bearer(token);
        Arc::new(match self.expires_at {
            Some(expires_at) => tokens.expiring_at(expires_at),
            None => tokens,
        })
    }
}

fn read_variable(name: &str) -> Result<Secret<String>, Error> {
    match std::env::var(name) {
        Ok(text) => trimmed_token(text, name),
        Err(error) => Err(unreadable_error(name).caused_by(Cause::unsent(why_absent(&error)))),
    }
}

/// The message does not contain a value that is not Unicode.
const fn why_absent(error: &std::env::VarError) -> &'static str {
    match error {
        std::env::VarError::NotPresent => "the environment variable is not set",
        std::env::VarError::NotUnicode(_) => "the environment variable is no Unicode",
    }
}

fn read_file(path: &std::path::Path) -> Result<Secret<String>, Error> {
    use std::io::Read as _;
    let name = path.display().to_string();
    let read = || {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        file.take(MAX_LENGTH + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|reason: std::io::Error| {
        unreadable_error(&name).caused_by(Cause::unsent(reason))
    })?;
    if text.len() as u64 > MAX_LENGTH {
        return Err(unreadable_error(&name).caused_by(Cause::unsent("it is longer than 64 KiB")));
    }
    trimmed_token(text, &name)
}

fn trimmed_token(text: String, name: &str) -> Result<Secret<String>, Error> {
    let text_with_whitespace = Secret::new(text);
    match text_with_whitespace.expose().trim() {
        "" => Err(empty(name)),
        token => Ok(Secret::new(token.to_owned())),
    }
}

fn empty(name: &str) -> Error {
    unreadable_error(name).caused_by(Cause::unsent("it is empty"))
}

fn unreadable_error(name: &str) -> Error {
    Error::from(Misuse::TokenUnreadable).about(shown_name(name))
}

impl TokenSource for FixedToken {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        Box::pin(std::future::ready(self.read(refused).map(Token::from)))
    }

    /// Does nothing: the current token is read again each time.
    fn refuse(&self, _: &Tokens) {}
}

impl fmt::Debug for FixedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = match &self.location {
            TokenLocation::Value(_) => "a string",
            TokenLocation::Variable(name) => shown_name(name),
            TokenLocation::File(_) => "a file",
            TokenLocation::Callback(_) => "a callback",
        };
        f.debug_struct("FixedToken")
            .field("from", &location)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn code(read: Result<Arc<Tokens>, Error>) -> &'static str {
        read.unwrap_err().code()
    }

    fn text(tokens: &Tokens) -> &str {
        tokens.access_token.expose()
    }

    #[test]
    fn a_literal_token_is_returned_and_its_refusal_is_an_error() {
        let source = FixedToken::new("a");
        let token = source.read(None).unwrap();
        assert_eq!(text(&token), "a");
        assert_eq!(code(source.read(Some(&token))), "grant.revoked");
        // A single refusal may be an error of one server.
        assert_eq!(text(&source.read(None).unwrap()), "a");
    }

    #[test]
    fn an_empty_token_is_reported_as_unreadable() {
        let callback = FixedToken::from_fn(|| Ok(String::new().into()));
        for (source, expected) in [(FixedToken::new(""), "a string"), (callback, "a callback")] {
            let error = source.read(None).unwrap_err();
            assert_eq!(
                (error.code(), error.detail()),
                ("token_source.unreadable", Some(expected))
            );
        }
    }

    #[test]
    fn a_token_given_as_a_variable_or_file_name_is_not_shown() {
        let token = "eyJhbGciOiJub25lIn0.e30.";
        for source in [FixedToken::from_env(token), FixedToken::from_file(token)] {
            let error = source.read(None).unwrap_err();
            assert_eq!(error.code(), "token_source.unreadable");
            let shown = format!("{error} {error:?} {source:?}");
            assert!(!shown.contains("eyJ"), "{shown}");
        }
    }

    #[test]
    fn the_file_is_read_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = FixedToken::from_file(&path);
        assert_eq!(code(source.read(None)), "token_source.unreadable");
        std::fs::write(&path, "  one\n").unwrap();
        let one = source.read(None).unwrap();
        assert_eq!(text(&one), "one");
        assert_eq!(code(source.read(Some(&one))), "grant.revoked");
        std::fs::write(&path, "two").unwrap();
        assert_eq!(text(&source.read(Some(&one)).unwrap()), "two");
        for bad in ["", " \n", &"x".repeat(64 << 10 | 1)] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(code(source.read(None)), "token_source.unreadable");
        }
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(code(source.read(None)), "token_source.unreadable");
    }

    #[test]
    fn an_unset_variable_is_named_in_the_error() {
        let error = FixedToken::from_env("OAUTH_CORE_NO_SUCH")
            .read(None)
            .unwrap_err();
        assert_eq!(error.code(), "token_source.unreadable");
        assert_eq!(error.detail(), Some("OAUTH_CORE_NO_SUCH"));
        // Every test process has this one.
        let path = FixedToken::from_env("CARGO_MANIFEST_DIR")
            .read(None)
            .unwrap();
        assert!(text(&path).contains("oauth-session"));
    }

    #[test]
    fn the_callback_is_called_each_time_and_its_error_is_returned() {
        let texts = Mutex::new(vec!["b", "a"]);
        let source = FixedToken::from_fn(move || match texts.lock().unwrap().pop() {
            Some(text) => Ok(text.into()),
            None => Err(Misuse::NoRefreshToken.into()),
        });
        let first = source.read(None).unwrap();
        assert_eq!(text(&first), "a");
        assert_eq!(text(&source.read(Some(&first)).unwrap()), "b");
        assert_eq!(code(source.read(None)), "grant.no_refresh_token");
    }

    #[test]
    fn an_expired_token_is_not_returned() {
        let source = FixedToken::new("a");
        let past = UnixTime::from_secs(1);
        assert_eq!(
            code(source.clone().expiring_at(past).read(None)),
            "grant.expired"
        );
        let future = UnixTime::from_secs(40_000_000_000);
        assert_eq!(text(&source.expiring_at(future).read(None).unwrap()), "a");
        let over = FixedToken::from_tokens(Tokens::bearer("a").expiring_at(past));
        assert_eq!(code(over.read(None)), "grant.expired");
    }

    #[test]
    fn debug_output_does_not_show_the_token() {
        let source = FixedToken::new("s3cret");
        assert!(!format!("{source:?}").contains("s3cret"));
    }
}
