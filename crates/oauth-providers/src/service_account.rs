//! Google's service accounts: their JSON file, and the assertion that Google accepts.
//!
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>

use std::fmt;

use oauth_core::assertion::Assertion;
use oauth_core::crypto::SigningKey;
use oauth_core::error::{Error, Misuse};
use oauth_core::json::{self, Json};
use oauth_core::server::EndpointKind;
use oauth_core::url::{Transport, Url};
use oauth_core::{Client, ClientAuth, ClientId, Scope, Secret};

/// The lifetime of an assertion, in seconds: the maximum that Google allows.
const LIFETIME_SECONDS: u64 = 3600;
/// The longest file that is read, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// The longest text of base64 characters that counts as a path, in bytes: file systems allow names of at most 255.
const MAX_PATH: usize = 255;

/// A service account, as the console writes it into a file.
#[derive(Clone)]
pub struct ServiceAccount {
    client_email: String,
    private_key: Secret<String>,
    private_key_id: String,
    token_uri: Url,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("client_email", &self.client_email)
            .finish_non_exhaustive()
    }
}

impl ServiceAccount {
    /// Reads the file's text.
    ///
    /// # Errors
    /// `provider.data`, which names the member that is missing or wrong; `client_auth.key_file_path` for what looks like a
    /// path.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let about = |member: &str| {
            let detail = format!("`{member}` of a service account");
            Error::from(Misuse::ProviderData).about(&detail)
        };
        if text.len() > MAX_BYTES {
            return Err(about("all"));
        }
        if is_like_base64(text) {
            let detail = "a service account's key file in base64; give the JSON itself";
            return Err(Error::from(Misuse::ProviderData).about(detail));
        }
        if is_like_path(text) {
            return Err(Misuse::KeyFilePath.into());
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let Ok(Json::Object(file)) = json::parse(text) else {
            return Err(about("all"));
        };
        let member = |name: &str| {
            let text = file.get(name).and_then(Json::as_str);
            let text = text.filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or_else(|| about(name))
        };
        if member("type")? != "service_account" {
            return Err(about("type"));
        }
        let universe = file.get("universe_domain").map(Json::as_str);
        if universe.is_some_and(|universe| universe != Some("googleapis.com")) {
            return Err(about("universe_domain"));
        }
        let token_uri = Url::parse(&member("token_uri")?).map_err(|_| about("token_uri"))?;
        token_uri
            .require(Transport::Https)
            .map_err(|_| about("token_uri"))?;
        Ok(Self {
            client_email: member("client_email")?,
            private_key: member("private_key")?.into(),
            private_key_id: member("private_key_id")?,
            token_uri,
        })
    }

    /// The account's name (`client_email`).
    pub fn client_email(&self) -> &str {
        &self.client_email
    }

    /// The account's private key, in PEM.
    pub const fn private_key(&self) -> &Secret<String> {
        &self.private_key
    }

    /// The name of the key.
    pub fn private_key_id(&self) -> &str {
        &self.private_key_id
    }

    /// The account as a client of Google: its own tokens are for the account or, with a `subject`, for this user,
    /// whose organization has allowed the account to act for its members. `key` is the account's private key,
    /// which signs by RS256.
    ///
    /// # Errors
    /// `provider.data` if the file names a token endpoint other than Google's: the key must not be used there.
    pub fn client(&self, key: SigningKey, subject: Option<String>) -> Result<Client, Error> {
        let server = crate::provider("google")?.server()?;
        if server.endpoint(EndpointKind::Token)?.as_str() != self.token_uri.as_str() {
            let detail = "`token_uri` of a service account is not Google's token endpoint";
            return Err(Error::from(Misuse::ProviderData).about(detail));
        }
        // An account that acts for a user has other tokens.
        let id = match &subject {
            Some(subject) => format!("{} as {subject}", self.client_email),
            None => self.client_email.clone(),
        };
        let client = Client::new(server, ClientId::new(id), ClientAuth::without_client_id())?;
        let account = self.clone();
        Ok(client.with_own_assertion(move |scope| {
            Ok(account.assertion(key.clone(), scope, subject.clone()))
        }))
    }

    /// The assertion, byte for byte as Google's own Python libraries write it.
    fn assertion(&self, key: SigningKey, scope: &Scope, subject: Option<String>) -> Assertion {
        let header = format!(
            "{{\"typ\": \"JWT\", \"alg\": {}, \"kid\": {}}}",
            quoted(key.alg().as_str()),
            quoted(&self.private_key_id)
        );
        let (email, scope) = (quoted(&self.client_email), quoted(scope.as_str()));
        let audience = quoted(self.token_uri.as_str());
        Assertion::of_text(key, move |now| {
            let iat = now.as_secs();
            let exp = iat.saturating_add(LIFETIME_SECONDS);
            let mut claims = format!(
                "{{\"iat\": {iat}, \"exp\": {exp}, \"iss\": {email}, \"aud\": {audience}, \"scope\": {scope}"
            );
            if let Some(subject) = &subject {
                claims.push_str(", \"sub\": ");
                claims.push_str(&quoted(subject));
            }
            claims.push('}');
            (header.clone(), claims)
        })
    }
}

/// Whether a text looks like a key file in base64, as environment variables often hold it: it consists of the same
/// characters as many paths, but is longer.
fn is_like_base64(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(&byte);
    let text = text.trim();
    text.len() > MAX_PATH && text.bytes().all(is_base64)
}

/// Whether a text, which should be an object in JSON, looks like the path of a file.
fn is_like_path(text: &str) -> bool {
    let text = text.trim();
    let is_object_unlikely = text.ends_with(".json") || !text.contains('{');
    is_object_unlikely && !text.is_empty() && !text.contains('\n') && !text.starts_with(['[', '"'])
}

/// A string in JSON, with only ASCII characters.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

    use std::sync::Arc;

    use oauth_core::crypto::Signer;
    use oauth_core::error::Cause;
    use oauth_core::jose::{Alg, Unverified};
    use oauth_core::moment::UnixTime;
    use oauth_core::{Exchange as _, Input, Moment, Step};

    use super::*;

    fn file(changes: &[(&str, serde_json::Value)]) -> String {
        let mut file = serde_json::json!({
            "type": "service_account", "project_id": "p", "private_key_id": "k1",
            "private_key": "-----BEGIN PRIVATE KEY-----", "client_email": "a@p.iam.example",
            "token_uri": "https://oauth2.googleapis.com/token",
        });
        let members = file.as_object_mut().unwrap();
        for (name, value) in changes {
            members.insert((*name).to_owned(), value.clone());
        }
        file.to_string()
    }

    struct Zeros;

    impl Signer for Zeros {
        fn sign(&self, _: &[u8]) -> Result<bytes::Bytes, Cause> {
            Ok(vec![0; 256].into())
        }
    }

    fn key() -> SigningKey {
        SigningKey::local("k1", Alg::Rs256, Arc::new(Zeros))
    }

    #[test]
    fn missing_fields_are_named_and_a_foreign_token_uri_is_refused() {
        for name in [
            "type",
            "private_key",
            "private_key_id",
            "client_email",
            "token_uri",
        ] {
            let error = ServiceAccount::from_json(&file(&[(name, 7.into())])).unwrap_err();
            assert_eq!(error.code(), "provider.data");
            assert!(error.detail().unwrap().contains(name), "{error}");
        }
        let plain = file(&[("token_uri", "http://oauth2.googleapis.com/token".into())]);
        assert!(ServiceAccount::from_json(&plain).is_err());
        let elsewhere = file(&[("token_uri", "https://evil.example/token".into())]);
        let elsewhere = ServiceAccount::from_json(&elsewhere).unwrap();
        assert_eq!(
            elsewhere.client(key(), None).unwrap_err().code(),
            "provider.data"
        );
        assert!(ServiceAccount::from_json("[]").is_err());
        // Another cloud's account, whose tokens Google's server does not issue.
        let other_cloud =
            ServiceAccount::from_json(&file(&[("universe_domain", "x.example".into())]));
        assert!(
            other_cloud
                .unwrap_err()
                .detail()
                .unwrap()
                .contains("universe_domain")
        );
        let own_cloud = file(&[("universe_domain", "googleapis.com".into())]);
        assert!(ServiceAccount::from_json(&own_cloud).is_ok());
        let marked = format!("\u{feff}{}", file(&[]));
        assert!(ServiceAccount::from_json(&marked).is_ok());
        let account = ServiceAccount::from_json(&file(&[])).unwrap();
        assert!(!format!("{account:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_path_instead_of_the_content_is_named() {
        let file = file(&[]);
        for path in [
            "key.json",
            "/run/secrets/google",
            "C:\\keys\\{project}.json",
            " ./key.json\n",
        ] {
            let error = ServiceAccount::from_json(path).unwrap_err();
            assert_eq!(error.code(), "client_auth.key_file_path", "{path}");
            assert!(error.hint().unwrap().contains("read_text()"));
            assert!(!error.to_string().contains(path.trim()), "{error}");
        }
        let pem = "-----BEGIN PRIVATE KEY-----\nMII\n";
        for other in [
            "",
            "{",
            "{}",
            "[]",
            "\"key.json\"",
            pem,
            &file[..file.len() - 1],
        ] {
            let error = ServiceAccount::from_json(other).unwrap_err();
            assert_eq!(error.code(), "provider.data", "{other}");
        }
    }

    #[test]
    fn a_key_file_in_base64_is_no_path() {
        // `{\n  "type": "service_account",` over and over.
        let encoded = "ewogICJ0eXBlIjogInNlcnZpY2VfYWNjb3VudCIs".repeat(50);
        let lines = "ewogICJ0eXBlIjogInNlcnZpY2VfYWNjb3VudCIs\n".repeat(50);
        for text in [&encoded, &format!("{encoded}==\n"), &lines] {
            let error = ServiceAccount::from_json(text).unwrap_err();
            assert_eq!(error.code(), "provider.data");
            assert!(
                error.to_string().contains("give the JSON itself"),
                "{error}"
            );
            assert!(!error.to_string().contains(&encoded[..20]), "{error}");
        }
    }

    #[test]
    fn assertion_contains_the_account_scope_and_impersonated_user() {
        let account = ServiceAccount::from_json(&file(&[])).unwrap();
        let client = account
            .client(key(), Some("é@p.example".to_owned()))
            .unwrap();
        let scope = Scope::parse("https://www.googleapis.com/auth/drive").unwrap();
        let now = Moment::fixed(UnixTime::from_secs(1_700_000_000), [1; 32]);
        let mut exchange = client.client_credentials(scope);
        let Ok(Step::Send(request)) = exchange.resume(&now, Input::Begin) else {
            panic!("a request")
        };
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let jwt = body.rsplit("assertion=").next().unwrap();
        let jwt = Unverified::parse(jwt).unwrap();
        assert_eq!(jwt.header().get("kid").unwrap(), "k1");
        let claims = jwt.claims().unwrap();
        assert_eq!(claims.text("sub").unwrap(), Some("é@p.example"));
        assert_eq!(claims.text("iss").unwrap(), Some("a@p.iam.example"));
        assert_eq!(
            client.client_id().as_str(),
            "a@p.iam.example as é@p.example"
        );
    }
}
