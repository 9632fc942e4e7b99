//! The record of a profile's logins, which outlives the login: a script that ran as a user must not continue as the
//! client because the login has ended.

use std::io::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::Tokens;
use oauth_core::token::id_token::IdToken;
use serde::{Deserialize, Serialize};

use crate::output::Failure;
use crate::token_file;
use crate::token_store;

/// The last login of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LoginRecord {
    issuer: String,
    client_id: String,
    /// The user who is logged in, if the server named the user (the `sub` of the ID token). `None` after a logout.
    pub(crate) subject: Option<String>,
    /// The subject of a verified ID token; always of this login, never of an earlier one.
    verified_subject: Option<String>,
}

impl LoginRecord {
    /// The record of a new login.
    pub(crate) fn from_tokens(tokens: &Tokens, id_token: Option<&IdToken>) -> Self {
        let verified = id_token.map(|id_token| id_token.subject().to_owned());
        Self {
            issuer: tokens.issuer().to_owned(),
            client_id: tokens.client_id().to_owned(),
            subject: verified.clone().or_else(|| subject(tokens)),
            verified_subject: verified,
        }
    }

    /// The logged-in user according to a verified ID Token of this issuer for this client.
    pub(crate) fn verified_subject(self, issuer: &str, client_id: &str) -> Option<String> {
        let belongs_to_client = self.issuer == issuer && self.client_id == client_id;
        self.verified_subject.filter(|_| belongs_to_client)
    }

    /// Both users, if they are known and different. A server may use another subject for each client, so
    /// only subjects of the same client are compared.
    pub(crate) fn other_than<'a>(&'a self, new: &'a Self) -> Option<(&'a str, &'a str)> {
        let is_comparable = self.issuer == new.issuer && self.client_id == new.client_id;
        let (old, new) = (self.subject.as_deref()?, new.subject.as_deref()?);
        (is_comparable && old != new).then_some((old, new))
    }

    /// A login without an ID Token does not name the user, so the known name is kept.
    pub(crate) fn keep_name_of(&mut self, before: &Self) {
        let is_same_client = self.issuer == before.issuer && self.client_id == before.client_id;
        if self.subject.is_none() && is_same_client {
            self.subject.clone_from(&before.subject);
        }
    }

    /// The record of this profile; `None` if no user has ever logged in.
    pub(crate) fn load(profile: &str) -> Result<Option<Self>, Failure> {
        match std::fs::read(path(profile)?) {
            // Its existence is enough, regardless of what it contains.
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or_default())),
            Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(failed(&reason)),
        }
    }

    /// Removes the record along with the profile.
    pub(crate) fn remove(profile: &str) -> Result<(), Failure> {
        match std::fs::remove_file(path(profile)?) {
            Err(reason) if reason.kind() != std::io::ErrorKind::NotFound => Err(failed(&reason)),
            _ => Ok(()),
        }
    }

    /// Saves it. A concurrent reader finds the old record or the new one.
    pub(crate) fn save(&self, profile: &str) -> Result<(), Failure> {
        let path = path(profile)?;
        let draft = path.with_extension(format!("{}.tmp", std::process::id()));
        let json = serde_json::to_vec(self).unwrap_or_default();
        let write = || {
            token_file::private_folder(path.parent())?;
            let mut options = std::fs::OpenOptions::new();
            let mut file = token_file::private(&draft, options.create(true).truncate(true))?;
            file.write_all(&json)?;
            std::fs::rename(&draft, &path)
        };
        write().map_err(|error| failed(&error))
    }
}

/// Encodes the profile's name, because not every name is a valid file name.
fn path(profile: &str) -> Result<PathBuf, Failure> {
    let name = URL_SAFE_NO_PAD.encode(profile);
    Ok(token_store::folder()?
        .join("logins")
        .join(format!("{name}.json")))
}

fn failed(reason: &std::io::Error) -> Failure {
    Failure::usage(
        "usage.store",
        format_args!("cannot read or write the login record of the profile: {reason}"),
        "make the files in $XDG_STATE_HOME/oauth readable and writable for you, or pass --no-store",
    )
}

/// The subject of an ID Token that was not requested and not verified. It comes from the token endpoint
/// itself, and only serves to detect another user on this machine; it grants no access.
fn subject(tokens: &Tokens) -> Option<String> {
    let token = tokens.id_token.as_ref()?;
    let claims = token.expose().split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}
