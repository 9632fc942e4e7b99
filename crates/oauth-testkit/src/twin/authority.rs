//! The state of an authorization server: clients, codes, tokens, and what each client may use.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use oauth_core::moment::UnixTime;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ciba::Backchannel;
use super::client_document::Documents;
use super::id_token;
use super::lifetimes;
use super::pending_approval::{Awaited, INTERVAL};
use super::person::Person;
use super::registration::Registrations;
use super::request_log::Counters;
use super::request_object::Pushed;
use super::response_encryption::ResponseKey;
use super::rules::{Rotation, Rules};
use super::sender_constrained::Binding;
use super::step_up::{Login, Requirement};
use super::trusted_issuers::Trust;
use super::wire::ReceivedRequest;

pub(super) struct Authority {
    pub(super) base: String,
    pub(super) rules: Rules,
    pub(super) counters: Counters,
    pub(super) deny_next: bool,
    pub(super) person: Person,
    pub(super) codes: HashMap<String, Code>,
    pub(super) refresh: HashMap<String, Refresh>,
    pub(super) devices: HashMap<String, Device>,
    pub(super) backchannel: Backchannel,
    /// The polling interval of clients that wait for a user, in seconds.
    pub(super) interval: u64,
    pub(super) trust: Trust,
    /// The token endpoint that must be the audience of service accounts' assertions; `None` if they are not accepted.
    pub(super) service_accounts: Option<String>,
    /// Whether tokens are restricted to the requested resources (RFC 8707).
    pub(super) restricts_to_resources: bool,
    access: HashMap<String, Access>,
    rate_limit_windows: HashMap<String, RateLimitWindow>,
    salt: String,
    /// The `kid` of the key that signs ID tokens.
    pub(super) key_id: String,
    /// Unused keys, which the key set lists before it.
    pub(super) other_keys: Vec<Value>,
    issued_count: u64,
    /// Pushed requests that wait for their browser, by `request_uri`.
    pub(super) pushed: HashMap<String, Pushed>,
    /// Request objects hosted by clients, by `request_uri`.
    pub(super) hosted: HashMap<String, String>,
    pub(super) registrations: Registrations,
    pub(super) documents: Documents,
    /// The claims of the API's `signed_metadata`; null if there are none.
    pub(super) resource_claims: Value,
    /// The key that signed responses are encrypted to, if they are.
    pub(super) response_key: Option<ResponseKey>,
    /// The API's requirements for a login.
    pub(super) step_up: Requirement,
    /// SAML assertions that are accepted, each once.
    pub(super) saml_assertions: HashSet<String>,
    /// The `jti` values of proofs and assertions, each of which is accepted once.
    pub(super) seen: HashSet<String>,
    /// The newest DPoP nonces: that of the token endpoint and its siblings, and that of the API.
    pub(super) nonces: [String; 2],
    /// The binding of tokens issued for the current request.
    pub(super) binding: Option<Binding>,
}

/// The grants of an authority. Everything that came from one approval shares a family.
#[derive(Clone, Default)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) subject: Option<String>,
    pub(super) scope: String,
    pub(super) family: u64,
    /// The `nonce`, which ID tokens repeat.
    pub(super) nonce: Option<String>,
    /// The time of the user's authentication.
    pub(super) auth_time: Option<UnixTime>,
    /// The kind of the user's authentication.
    pub(super) login: Login,
    /// The authorization details (RFC 9396): an array, or null.
    pub(super) details: Value,
    /// The resources of the tokens (RFC 8707, and audiences of RFC 8693); empty for all.
    pub(super) resources: Vec<String>,
    /// The actor for the subject (RFC 8693 section 4.1): an `act` claim, or null.
    pub(super) actor: Value,
    /// The end of the approval, if it has one.
    pub(super) ends: Option<UnixTime>,
}

pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: Option<String>,
    pub(super) challenge: Option<String>,
    /// The thumbprint of the key that has to redeem it (`dpop_jkt`).
    pub(super) jkt: Option<String>,
    pub(super) expires: UnixTime,
    pub(super) spent: bool,
}

pub(super) struct Refresh {
    pub(super) grant: Grant,
    pub(super) expires: Option<UnixTime>,
    /// The time of its first use, at a server that replaces refresh tokens.
    pub(super) spent: Option<UnixTime>,
    pub(super) dead: bool,
}

impl Refresh {
    /// Whether it has been replaced, and must not be used again.
    pub(super) fn is_spent(&self, at: UnixTime, rotation: Rotation) -> bool {
        self.spent.is_some_and(|first| match rotation {
            Rotation::Grace(seconds) => at >= plus(first, seconds),
            _ => true,
        })
    }

    /// Whether it would be accepted now.
    pub(super) fn is_live(&self, at: UnixTime, rotation: Rotation) -> bool {
        let is_spent = self.is_spent(at, rotation);
        !is_spent && !self.dead && self.expires.is_none_or(|expires| at < expires)
    }
}

pub(super) struct Device {
    pub(super) user_code: String,
    pub(super) awaited: Awaited,
}

struct Access {
    grant: Grant,
    binding: Option<Binding>,
    issued: UnixTime,
    expires: Option<UnixTime>,
    dead: bool,
}

struct RateLimitWindow {
    began: UnixTime,
    calls: u32,
}

impl Authority {
    pub(super) fn new(base: &str, rules: Rules) -> Self {
        Self {
            base: base.to_owned(),
            salt: format!("{base} {}", rules.issuer),
            restricts_to_resources: rules.fapi.is_some(),
            rules,
            counters: Counters::default(),
            deny_next: false,
            person: Person::default(),
            codes: HashMap::new(),
            refresh: HashMap::new(),
            devices: HashMap::new(),
            backchannel: Backchannel::default(),
            interval: INTERVAL,
            trust: Trust::default(),
            service_accounts: None,
            access: HashMap::new(),
            rate_limit_windows: HashMap::new(),
            issued_count: 0,
            key_id: id_token::KEY_ID.to_owned(),
            other_keys: Vec::new(),
            pushed: HashMap::new(),
            hosted: HashMap::new(),
            registrations: Registrations::default(),
            documents: Documents::default(),
            resource_claims: Value::Null,
            response_key: None,
            step_up: Requirement::default(),
            saml_assertions: HashSet::new(),
            seen: HashSet::new(),
            nonces: [String::new(), String::new()],
            binding: None,
        }
    }

    /// 43 unique characters, deterministic: equal histories of a twin produce equal values.
    pub(super) fn new_value(&mut self, at: UnixTime, label: &str) -> String {
        self.issued_count += 1;
        let text = format!(
            "{}\n{label}\n{}\n{}",
            self.salt,
            self.issued_count,
            at.as_secs()
        );
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    pub(super) fn new_family(&mut self) -> u64 {
        self.issued_count += 1;
        self.issued_count
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

    /// Revokes all grants of a client.
    pub(super) fn revoke_client(&mut self, id: &str) {
        let access = self.access.values_mut();
        access
            .filter(|access| access.grant.client_id == id)
            .for_each(|access| access.dead = true);
        let refresh = self.refresh.values_mut();
        refresh
            .filter(|refresh| refresh.grant.client_id == id)
            .for_each(|refresh| refresh.dead = true);
        self.codes.retain(|_, code| code.grant.client_id != id);
        self.devices
            .retain(|_, device| device.awaited.grant.client_id != id);
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

    /// Issues tokens; returns the token response (RFC 6749 section 5.1) in this system's shape.
    pub(super) fn issue(&mut self, at: UnixTime, mut grant: Grant, with_refresh: bool) -> Value {
        lifetimes::limit_to_approval(self, at, &mut grant);
        let lifetime = self.rules.access_lifetime;
        let expires = lifetime.map(|seconds| plus(at, seconds));
        let expires = lifetimes::earlier(expires, grant.ends);
        let token = self.access_token(at, &grant, expires);
        let access = Access {
            grant: grant.clone(),
            binding: self.binding.clone(),
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
            let subject = grant.subject.as_deref();
            self.person.add_claims(subject, &grant.scope, &mut claims);
            self.person.describe(&mut claims);
            reply["id_token"] = id_token::sign_with_deviations(self, claims).into();
        }
        if !grant.details.is_null() {
            reply["authorization_details"] = grant.details.clone();
        }
        match (shape.token_type, &self.binding) {
            (_, Some(Binding::Key(_))) => reply["token_type"] = "DPoP".into(),
            (Some(token_type), _) => reply["token_type"] = token_type.into(),
            (None, _) => {}
        }
        if let (true, Some(expires)) = (shape.expires_in, expires) {
            reply["expires_in"] = expires.since(at).as_secs().into();
        }
        lifetimes::add_to_response(at, &grant, &mut reply);
        if shape.scope {
            reply["scope"] = grant.scope.clone().into();
        }
        if shape.refresh_token && with_refresh {
            let is_named = shape.refresh_token_timeout;
            let token = self.new_value(at, "refresh");
            let lifetime = self.rules.refresh_lifetime;
            let expires = lifetime.map(|seconds| plus(at, seconds));
            let expires = lifetimes::earlier(expires, grant.ends);
            let refresh = Refresh {
                grant,
                expires,
                spent: None,
                dead: false,
            };
            self.refresh.insert(token.clone(), refresh);
            reply["refresh_token"] = token.into();
            if let (true, Some(seconds)) = (is_named, lifetime) {
                reply["refresh_token_timeout"] = seconds.into();
            }
        }
        reply
    }

    fn access_token(&mut self, at: UnixTime, grant: &Grant, expires: Option<UnixTime>) -> String {
        let unique = self.new_value(at, "access");
        if self.rules.reply.jwt {
            // It only looks like a JWT: clients must treat access tokens as opaque, and this
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
            let signature = self.new_value(at, "signature");
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

    /// The grant of an access token, if the token is valid.
    pub(super) fn access(&self, at: UnixTime, token: &str) -> Option<&Grant> {
        let access = self.access.get(token)?;
        let alive = !access.dead && access.expires.is_none_or(|expires| at < expires);
        alive.then_some(&access.grant)
    }

    /// The key or certificate that an access token is bound to.
    pub(super) fn bound(&self, token: &str) -> Option<Binding> {
        self.access.get(token)?.binding.clone()
    }

    /// The times of issue and expiry of an access token.
    pub(super) fn access_times(&self, token: &str) -> Option<(UnixTime, Option<UnixTime>)> {
        self.access
            .get(token)
            .map(|access| (access.issued, access.expires))
    }

    /// Revokes an access token of this client. `Err` if it belongs to a different client.
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
    pub(super) fn bearer(request: &ReceivedRequest) -> Option<&str> {
        if request.headers.get_all(AUTHORIZATION).iter().count() != 1 {
            return None;
        }
        let (scheme, token) = request.header(AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }

    /// Counts an API call with this token. Returns the end of the limit's window if the call exceeds
    /// the limit. Windows have a fixed length and begin with their first call.
    pub(super) fn over_limit(&mut self, at: UnixTime, token: &str) -> Option<UnixTime> {
        let limit = self.rules.rate_limit?;
        let length = self.rules.rate_window;
        let fresh = RateLimitWindow {
            began: at,
            calls: 0,
        };
        let window = self
            .rate_limit_windows
            .entry(token.to_owned())
            .or_insert(fresh);
        if at >= plus(window.began, length) {
            *window = RateLimitWindow {
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

    pub(super) fn is_public(&self, id: &str) -> bool {
        let is_public_client = !id.is_empty() && id == self.rules.public_client_id;
        is_public_client || self.registrations.is_public(id)
    }

    /// The scope to grant, or the error. A system without scopes ignores the requested one.
    pub(super) fn scope(&self, requested: Option<&str>) -> Result<String, &'static str> {
        let supported = self.rules.scopes;
        if supported.is_empty() {
            return Ok(String::new());
        }
        match requested.or(self.rules.default_scope) {
            Some(scope)
                if supported == ["*"] || scope.split(' ').all(|part| supported.contains(&part)) =>
            {
                Ok(scope.to_owned())
            }
            _ => Err("the scope is missing or unknown"),
        }
    }
}

pub(super) fn plus(at: UnixTime, seconds: u64) -> UnixTime {
    at.after(std::time::Duration::from_secs(seconds))
}
