//! The state of an authorization server: clients, codes, tokens, and who may use what.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use oauth_core::moment::UnixTime;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::id_token;
use super::request_log::Counters;
use super::rules::{Basic, Rotation, Rules};
use super::wire::{self, Ask, Reply};

pub(super) struct Authority {
    pub(super) rules: Rules,
    pub(super) counters: Counters,
    pub(super) deny_next: bool,
    pub(super) codes: HashMap<String, Code>,
    pub(super) refresh: HashMap<String, Refresh>,
    pub(super) devices: HashMap<String, Device>,
    access: HashMap<String, Access>,
    windows: HashMap<String, Window>,
    salt: String,
    /// The name of the key that signs ID tokens.
    pub(super) key_id: String,
    /// Keys that stand before it in the key set, and sign nothing.
    pub(super) other_keys: Vec<Value>,
    minted: u64,
}

/// The grants of an authority. Everything that came from one approval shares a family.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) subject: Option<String>,
    pub(super) scope: String,
    pub(super) family: u64,
    /// What an ID token repeats.
    pub(super) nonce: Option<String>,
    /// When the person authenticated.
    pub(super) auth_time: Option<UnixTime>,
}

pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) expires: UnixTime,
    pub(super) spent: bool,
}

pub(super) struct Refresh {
    pub(super) grant: Grant,
    pub(super) expires: Option<UnixTime>,
    /// When it was honoured first, at a server that replaces refresh tokens.
    pub(super) spent: Option<UnixTime>,
    pub(super) dead: bool,
}

impl Refresh {
    /// Whether it has been replaced, and must not come again.
    pub(super) fn is_spent(&self, at: UnixTime, rotation: Rotation) -> bool {
        self.spent.is_some_and(|first| match rotation {
            Rotation::Grace(seconds) => at >= plus(first, seconds),
            _ => true,
        })
    }

    /// Whether it would be honoured now.
    pub(super) fn is_live(&self, at: UnixTime, rotation: Rotation) -> bool {
        let is_spent = self.is_spent(at, rotation);
        !is_spent && !self.dead && self.expires.is_none_or(|expires| at < expires)
    }
}

pub(super) struct Device {
    pub(super) grant: Grant,
    pub(super) user_code: String,
    pub(super) approval: Approval,
    pub(super) expires: UnixTime,
    pub(super) interval: u64,
    pub(super) polled: Option<UnixTime>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Approval {
    Pending,
    Approved,
    Denied,
    Spent,
}

struct Access {
    grant: Grant,
    issued: UnixTime,
    expires: Option<UnixTime>,
    dead: bool,
}

struct Window {
    began: UnixTime,
    calls: u32,
}

/// A client that has proved who it is, or a public one that has said so.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) is_public: bool,
}

impl Authority {
    pub(super) fn new(base: &str, rules: Rules) -> Self {
        Self {
            salt: format!("{base} {}", rules.issuer),
            rules,
            counters: Counters::default(),
            deny_next: false,
            codes: HashMap::new(),
            refresh: HashMap::new(),
            devices: HashMap::new(),
            access: HashMap::new(),
            windows: HashMap::new(),
            minted: 0,
            key_id: id_token::KEY_ID.to_owned(),
            other_keys: Vec::new(),
        }
    }

    /// 43 characters nobody else has. The same twin, asked the same, always says the same.
    pub(super) fn mint(&mut self, at: UnixTime, label: &str) -> String {
        self.minted += 1;
        let text = format!("{}\n{label}\n{}\n{}", self.salt, self.minted, at.as_secs());
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    pub(super) fn new_family(&mut self) -> u64 {
        self.minted += 1;
        self.minted
    }

    pub(super) fn revoke_family(&mut self, family: u64) {
        self.access
            .values_mut()
            .filter(|a| a.grant.family == family)
            .for_each(|a| a.dead = true);
        self.refresh
            .values_mut()
            .filter(|r| r.grant.family == family)
            .for_each(|r| r.dead = true);
    }

    pub(super) fn expire_access_tokens(&mut self) {
        self.access
            .values_mut()
            .for_each(|access| access.dead = true);
    }

    pub(super) fn revoke_all(&mut self) {
        self.expire_access_tokens();
        self.refresh
            .values_mut()
            .for_each(|refresh| refresh.dead = true);
    }

    /// A token response (RFC 6749 section 5.1) in this system's shape.
    pub(super) fn issue(&mut self, at: UnixTime, grant: Grant, with_refresh: bool) -> Value {
        let lifetime = self.rules.access_lifetime;
        let expires = lifetime.map(|seconds| plus(at, seconds));
        let token = self.access_token(at, &grant, expires);
        let access = Access {
            grant: grant.clone(),
            issued: at,
            expires,
            dead: false,
        };
        self.access.insert(token.clone(), access);

        let mut reply = json!({ "access_token": token });
        let shape = &self.rules.reply;
        let is_about_somebody =
            grant.scope.split(' ').any(|scope| scope == "openid") && grant.subject.is_some();
        if shape.id_token && is_about_somebody {
            let mut claims = id_token::claims(&self.rules.issuer, at, &grant);
            claims["at_hash"] = id_token::half_hash(&token).into();
            reply["id_token"] = id_token::signed(&claims, &self.key_id).into();
        }
        if let Some(token_type) = shape.token_type {
            reply["token_type"] = token_type.into();
        }
        if let (true, Some(seconds)) = (shape.expires_in, lifetime) {
            reply["expires_in"] = seconds.into();
        }
        if shape.scope {
            reply["scope"] = grant.scope.clone().into();
        }
        if shape.refresh_token && with_refresh {
            let token = self.mint(at, "refresh");
            let expires = self.rules.refresh_lifetime.map(|seconds| plus(at, seconds));
            let refresh = Refresh {
                grant,
                expires,
                spent: None,
                dead: false,
            };
            self.refresh.insert(token.clone(), refresh);
            reply["refresh_token"] = token.into();
        }
        reply
    }

    fn access_token(&mut self, at: UnixTime, grant: &Grant, expires: Option<UnixTime>) -> String {
        let unique = self.mint(at, "access");
        if self.rules.reply.jwt {
            // It only looks like one: clients must treat access tokens as opaque, and this
            // signature would not verify.
            let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let claims = json!({
                "iss": self.rules.issuer,
                "cid": grant.client_id,
                "sub": grant.subject.as_deref().unwrap_or(&grant.client_id),
                "scp": grant.scope.split(' ').collect::<Vec<_>>(),
                "iat": at.as_secs(),
                "exp": expires.map(UnixTime::as_secs),
                "jti": unique,
            });
            let signature = self.mint(at, "signature");
            return format!(
                "{}.{}.{signature}",
                part(json!({ "alg": "RS256", "kid": "twin" })),
                part(claims)
            );
        }
        match self.rules.reply.hex_digits {
            Some(count) => {
                let digest = Sha256::digest(&unique);
                digest
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()[..count]
                    .into()
            }
            None => unique,
        }
    }

    /// Whether a token is alive, and whose it is.
    pub(super) fn access(&self, at: UnixTime, token: &str) -> Option<&Grant> {
        let access = self.access.get(token)?;
        let alive = !access.dead && access.expires.is_none_or(|expires| at < expires);
        alive.then_some(&access.grant)
    }

    /// Times of an access token: issued, expires.
    pub(super) fn access_times(&self, token: &str) -> Option<(UnixTime, Option<UnixTime>)> {
        self.access
            .get(token)
            .map(|access| (access.issued, access.expires))
    }

    /// Forgets one access token, if it is this client's. `Err` if it is another's.
    pub(super) fn revoke_access(&mut self, token: &str, client_id: &str) -> Result<(), ()> {
        match self.access.get_mut(token) {
            Some(access) if access.grant.client_id != client_id => Err(()),
            Some(access) => {
                access.dead = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The one Bearer token of a request (RFC 6750 section 2.1), alive or not.
    pub(super) fn bearer(ask: &Ask) -> Option<&str> {
        if ask.headers.get_all(AUTHORIZATION).iter().count() != 1 {
            return None;
        }
        let (scheme, token) = ask.header(AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }

    /// Counts one API call with this token. `Some` with the time the limit ends if it is one too
    /// many: windows of a fixed length, each begun by its first call.
    pub(super) fn over_limit(&mut self, at: UnixTime, token: &str) -> Option<UnixTime> {
        let limit = self.rules.rate_limit?;
        let length = self.rules.rate_window;
        let fresh = Window {
            began: at,
            calls: 0,
        };
        let window = self.windows.entry(token.to_owned()).or_insert(fresh);
        if at >= plus(window.began, length) {
            *window = Window {
                began: at,
                calls: 0,
            };
        }
        if window.calls >= limit {
            return Some(plus(window.began, length));
        }
        window.calls += 1;
        None
    }

    /// Client authentication (RFC 6749 section 2.3), by the methods this system takes for this
    /// purpose: a grant type, `revocation`, `introspection` or `device_authorization`.
    pub(super) fn authenticate(&self, ask: &Ask, purpose: &str) -> Result<Client, Box<Reply>> {
        let accepts = (self.rules.accepts)(purpose);
        let header = ask.headers.get(AUTHORIZATION);
        let secret = ask.form("client_secret");
        let claimed = ask.form("client_id");
        if ask.query("client_secret").is_some() {
            return Err(refused(
                "invalid_request",
                "credentials must not be in the URL",
            ));
        }
        // "The client MUST NOT use more than one authentication method in each request."
        if header.is_some() && secret.is_some() {
            return Err(refused(
                "invalid_request",
                "more than one authentication method",
            ));
        }
        if let Some(header) = header {
            let pair = header.to_str().ok().and_then(basic);
            let (id, secret) = match (accepts.basic, pair) {
                (Basic::Encoded, Some(pair)) => decoded(&pair),
                (Basic::Raw, Some(pair)) => Some(pair),
                _ => None,
            }
            .ok_or_else(|| challenged("this use of the Authorization header is not supported"))?;
            if claimed.is_some_and(|claimed| claimed != id) {
                return Err(refused("invalid_request", "two client identifiers"));
            }
            return self
                .confidential(&id, &secret)
                .ok_or_else(|| challenged("wrong credentials"));
        }
        if let Some(secret) = secret {
            let client = accepts
                .body
                .then(|| self.confidential(claimed?, secret))
                .flatten();
            return client.ok_or_else(|| refused("invalid_client", "wrong credentials"));
        }
        match claimed {
            Some(id) if accepts.public && self.is_public(id) => Ok(Client {
                id: id.to_owned(),
                is_public: true,
            }),
            _ => Err(refused(
                "invalid_client",
                "client authentication is missing",
            )),
        }
    }

    fn confidential(&self, id: &str, secret: &str) -> Option<Client> {
        let right = id == self.rules.client_id && secret == self.rules.client_secret;
        right.then(|| Client {
            id: id.to_owned(),
            is_public: false,
        })
    }

    pub(super) fn is_public(&self, id: &str) -> bool {
        !id.is_empty() && id == self.rules.public_client_id
    }

    /// The scope to grant, or the error. A system without scopes ignores what it is asked.
    pub(super) fn scope(&self, asked: Option<&str>) -> Result<String, &'static str> {
        let known = self.rules.scopes;
        if known.is_empty() {
            return Ok(String::new());
        }
        match asked.or(self.rules.default_scope) {
            Some(scope) if scope.split(' ').all(|part| known.contains(&part)) => {
                Ok(scope.to_owned())
            }
            _ => Err("the scope is missing or unknown"),
        }
    }
}

pub(super) fn plus(at: UnixTime, seconds: u64) -> UnixTime {
    at.after(std::time::Duration::from_secs(seconds))
}

/// The `user-id:password` of a Basic header (RFC 7617 section 2), split at the first colon.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    let credentials = STANDARD.decode(credentials).ok()?;
    let (id, secret) = std::str::from_utf8(&credentials).ok()?.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (id.to_owned(), secret.to_owned()))
}

/// "encoded using the "application/x-www-form-urlencoded" encoding algorithm" (RFC 6749 2.3.1).
fn decoded((id, secret): &(String, String)) -> Option<(String, String)> {
    let text = |encoded: &str| {
        // A raw '&' makes two pairs of one: it was not encoded at all.
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_str(&format!("v={encoded}")).ok()?;
        match <[_; 1]>::try_from(pairs).ok()? {
            [(_, value)] => Some(value),
        }
    };
    Some((text(id)?, text(secret)?))
}

/// "If the client attempted to authenticate via the Authorization request header field, the
/// authorization server MUST respond with [...] the WWW-Authenticate response header field".
fn challenged(why: &str) -> Box<Reply> {
    let reply = wire::refusal("invalid_client", why);
    Box::new(wire::with(reply, WWW_AUTHENTICATE, "Basic realm=\"twin\""))
}

fn refused(error: &str, why: &str) -> Box<Reply> {
    Box::new(wire::refusal(error, why))
}
