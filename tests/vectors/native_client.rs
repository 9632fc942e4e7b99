//! The client of a conversation in Rust, and the arguments of what it verifies.

use std::sync::{Arc, Mutex, PoisonError};

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::protected_resource::ResourceMatch;
use oauth_core::{Scope, Secret};
use oauth_facade::{
    AssertionProfile, Auth, Certificate, Client, FederatedAssertion, PrivateKeyJwt, Registration,
    ResourceMetadata, SecretJwt, Server, VerifyAccessToken, VerifyLogoutToken,
};
use serde_json::{Map, Value};

use crate::conversation::ClientConfig;
use crate::format::texts;

/// Gives assertions one after the other, the last for ever.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source(Arc<Mutex<(usize, Vec<Option<String>>)>>);

impl Source {
    /// From now on these.
    pub(crate) fn give(&self, tokens: Vec<Option<String>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (0, tokens);
    }

    fn next(&self) -> Option<String> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, tokens) = &mut *held;
        let token = tokens.get(*number).or(tokens.last()).cloned().flatten();
        *number += 1;
        token
    }
}

pub(crate) fn client_of(
    config: &ClientConfig,
    server: &Server,
    source: &Source,
) -> Result<Client, Error> {
    let mut client = Client::new(server, &config.id, auth(config, source)?)?;
    if let Some(uris) = &config.redirect_uris {
        client = client.with_redirect_uris(uris)?;
    }
    for (name, value) in &config.headers {
        client = client.with_header(name, value)?;
    }
    let registration = &config.registration;
    if let Some(name) = text(registration, "id_token_signed_response_alg") {
        client = client.with_id_token_signed_response_alg(&name)?;
    }
    if let Some(names) = registration.get("trusted_audiences") {
        client = client.with_trusted_audiences(texts(names));
    }
    let keys = registration.get("decryption_keys").map(texts);
    client.with_registration(&Registration {
        userinfo_signed_response_alg: text(registration, "userinfo_signed_response_alg"),
        id_token_encrypted_response_alg: text(registration, "id_token_encrypted_response_alg"),
        id_token_encrypted_response_enc: text(registration, "id_token_encrypted_response_enc"),
        decryption_keys: keys.into_iter().flatten().map(Secret::new).collect(),
        ..Registration::default()
    })
}

fn auth(config: &ClientConfig, source: &Source) -> Result<Auth, Error> {
    let given = config.secret.as_deref().map(Secret::from);
    let secret = || given.clone().ok_or(Misuse::SecretMissing);
    let option = |name: &str| text(&config.auth_options, name);
    Ok(match config.auth.as_deref() {
        None => Auth::Documented(given),
        Some("client_secret_basic") => Auth::Basic(secret()?),
        Some("client_secret_post") => Auth::Post(secret()?),
        Some("client_secret_jwt") => Auth::SecretJwt(SecretJwt {
            secret: secret()?,
            alg: option("alg").unwrap_or_else(|| "HS256".to_owned()),
            audience: option("audience"),
        }),
        Some("private_key_jwt") => Auth::PrivateKeyJwt(PrivateKeyJwt {
            keys: vec![secret()?],
            passphrase: None,
            alg: option("alg"),
            kid: option("kid"),
            certificate_thumbprint: None,
            audience: option("audience"),
        }),
        Some("tls_client_auth") => Auth::Tls(Certificate::Pki),
        Some("assertion_source") => {
            let source = source.clone();
            let mut assertion = FederatedAssertion::new(move || {
                let token = source.next().map(Secret::new);
                token.ok_or_else(|| Cause::unsent("there is no token"))
            });
            if let Some(audience) = option("audience") {
                assertion = assertion.audience(audience);
            }
            if option("profile").as_deref() == Some("spiffe_jwt") {
                assertion = assertion.profile(AssertionProfile::SpiffeJwt);
            }
            Auth::Federated(assertion)
        }
        Some(_) => Auth::None,
    })
}

pub(crate) fn verify_access_token(given: &Map<String, Value>) -> Result<VerifyAccessToken, Error> {
    let list = |name: &str| given.get(name).map(texts).unwrap_or_default();
    let number = |name: &str| given.get(name).and_then(Value::as_u64);
    Ok(VerifyAccessToken {
        token: text(given, "token").ok_or(Misuse::Setup)?.into(),
        audience: text(given, "audience").ok_or(Misuse::Setup)?,
        profile: None,
        scope: Scope::parse(&text(given, "scope").unwrap_or_default())?,
        acr_values: list("acr_values"),
        max_age: number("max_age"),
        algs: list("algs"),
        clock_skew: number("clock_skew"),
        jkt: None,
        x5t_s256: None,
        dpop_algs: Vec::new(),
        realm: None,
    })
}

pub(crate) fn verify_logout_token(given: &Map<String, Value>) -> Result<VerifyLogoutToken, Error> {
    Ok(VerifyLogoutToken {
        token: text(given, "token").ok_or(Misuse::Setup)?.into(),
        replay: None,
        max_age_without_expiry: given.get("max_age_without_expiry").and_then(Value::as_u64),
    })
}

pub(crate) fn resource_metadata(given: &Map<String, Value>) -> Result<ResourceMetadata, Error> {
    Ok(ResourceMetadata {
        resource: text(given, "resource").ok_or(Misuse::Setup)?,
        challenges: given.get("challenges").map(texts).unwrap_or_default(),
        matching: match text(given, "matching").as_deref() {
            None => None,
            Some("identical") => Some(ResourceMatch::Identical),
            Some("parent") => Some(ResourceMatch::Parent),
            Some(_) => return Err(Misuse::Setup.into()),
        },
    })
}

fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    members.get(name).and_then(Value::as_str).map(str::to_owned)
}
