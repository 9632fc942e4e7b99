//! Builds the Rust client of a conversation, and the arguments of operations.

use std::sync::{Arc, Mutex, PoisonError};

use oauth_core::client_auth::AssertionRequest;
use oauth_core::crypto::KeyUse;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::{Scope, Secret};
use oauth_facade::{
    AccessTokenRequirements, Arg, AssertionProfile, Auth, Certificate, Client, DpopKey,
    FederatedAssertion, OneOrMore, PrivateKeyJwt, Registration, SecretJwt, Server, Shape, TABLE,
    UnixTime, VerifyAccessToken, VerifyLogoutToken, Workload,
};
use oauth_reqwest::{ProcessEnvironment, Transport};
use serde_json::{Map, Value};

use crate::conversation::ClientConfig;
use crate::format::texts;

/// An assertion source that returns its assertions in order, then repeats the last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source(Arc<Mutex<(usize, Vec<Option<String>>)>>);

impl Source {
    /// Replaces the assertions.
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

pub(crate) fn make_client(
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
    if let Some(alg) = &config.dpop {
        client = client.with_dpop_key(&DpopKey::generate(alg)?);
    }
    let keys = registration.get("decryption_keys").map(texts);
    let presented = text(registration, "network_certificate");
    client.with_registration(&Registration {
        tls_client_certificate_bound_access_tokens: presented.is_some(),
        certificate_thumbprint: presented.and_then(|pem| {
            Transport::default()
                .client_certificate(pem)
                .certificate_thumbprint()
        }),
        userinfo_signed_response_alg: text(registration, "userinfo_signed_response_alg"),
        id_token_encrypted_response_alg: text(registration, "id_token_encrypted_response_alg"),
        id_token_encrypted_response_enc: text(registration, "id_token_encrypted_response_enc"),
        decryption_keys: keys.into_iter().flatten().map(Secret::new).collect(),
        ..Registration::default()
    })
}

fn auth(config: &ClientConfig, source: &Source) -> Result<Auth, Error> {
    let client_secret = config.secret.as_deref().map(Secret::from);
    let secret = || client_secret.clone().ok_or(Misuse::SecretMissing);
    let option = |name: &str| text(&config.auth_options, name);
    Ok(match config.auth.as_deref() {
        None => Auth::Documented(client_secret),
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
            used: KeyUse::default(),
        }),
        Some("tls_client_auth") => Auth::Tls(Certificate::Pki),
        Some("assertion_source") => {
            let source = source.clone();
            let mut assertion = FederatedAssertion::new(move |_: &AssertionRequest<'_>| {
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
        Some("workload") => {
            let variables = config.auth_options.get("variables");
            let variables = variables.and_then(Value::as_object).into_iter().flatten();
            let variables = variables.map(|(name, value)| {
                let value = value.as_str().unwrap_or_default();
                (name.clone(), Secret::from(value))
            });
            let workload = Workload {
                platform: option("platform").unwrap_or_default(),
                audience: option("audience"),
                ..Workload::default()
            };
            workload.auth(Arc::new(ProcessEnvironment::from_variables(variables)))?
        }
        Some(_) => Auth::None,
    })
}

pub(crate) fn verify_access_token(
    arguments: &Map<String, Value>,
) -> Result<VerifyAccessToken, Error> {
    let list = |name: &str| arguments.get(name).map(texts).unwrap_or_default();
    let number = |name: &str| arguments.get(name).and_then(Value::as_u64);
    Ok(VerifyAccessToken {
        token: text(arguments, "token").ok_or(Misuse::Setup)?.into(),
        audience: OneOrMore::new(vec![text(arguments, "audience").ok_or(Misuse::Setup)?])?,
        jkt: None,
        x5t_s256: text(arguments, "x5t_s256"),
        required: AccessTokenRequirements {
            scope: Scope::parse(&text(arguments, "scope").unwrap_or_default())?,
            acr_values: list("acr_values"),
            max_age: number("max_age"),
            algs: arguments.get("algs").map(texts),
            clock_skew: number("clock_skew"),
            ..AccessTokenRequirements::default()
        },
    })
}

pub(crate) fn verify_logout_token(
    arguments: &Map<String, Value>,
) -> Result<VerifyLogoutToken, Error> {
    Ok(VerifyLogoutToken {
        token: text(arguments, "token").ok_or(Misuse::Setup)?.into(),
        replay: None,
        max_age_without_expiry: arguments
            .get("max_age_without_expiry")
            .and_then(Value::as_u64),
    })
}

/// The number of an operation, and its arguments in positional order.
pub(crate) fn operation_arguments(
    name: &str,
    arguments: &Map<String, Value>,
) -> Result<(u32, Vec<Arg>), Error> {
    let about = |what: &str| Error::from(Misuse::Setup).about(what);
    let mut entries = (0_u32..).zip(TABLE);
    let found = entries.find(|(_, entry)| entry.name == name);
    let (number, entry) = found.ok_or_else(|| about(name))?;
    let parameters: Vec<_> = entry.arguments.iter().copied().flatten().collect();
    let is_parameter = |name: &&String| parameters.iter().any(|about| about.name == **name);
    if let Some(other) = arguments.keys().find(|name| !is_parameter(name)) {
        return Err(about(other));
    }
    let args = parameters.iter().map(|about| {
        arguments
            .get(about.name)
            .map_or(Arg::Null, |value| arg(value, about.shape))
    });
    Ok((number, args.collect()))
}

fn arg(value: &Value, shape: Shape) -> Arg {
    match (shape, value) {
        (Shape::Maybe(shape), value) => arg(value, *shape),
        (Shape::JsonText, value) => Arg::Text(value.to_string().into()),
        (Shape::Time, Value::Number(seconds)) => {
            Arg::Time(UnixTime::from_secs(seconds.as_u64().unwrap_or_default()))
        }
        (_, Value::Null) => Arg::Null,
        (_, Value::Bool(flag)) => Arg::Bool(*flag),
        (_, Value::Number(number)) => Arg::Number(number.as_f64().unwrap_or_default()),
        (_, Value::String(text)) => Arg::Text(text.as_str().into()),
        (shape, Value::Array(list)) => {
            Arg::List(list.iter().map(|item| arg(item, shape)).collect())
        }
        (shape, Value::Object(members)) => {
            let pairs = members.iter();
            Arg::Pairs(
                pairs
                    .map(|(name, value)| (name.clone(), arg(value, shape)))
                    .collect(),
            )
        }
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    members.get(name).and_then(Value::as_str).map(str::to_owned)
}
