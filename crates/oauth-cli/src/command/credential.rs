//! `oauth credential`: a credential helper, which provides the tokens of profiles to other programs as passwords.
//!
//! A token is only provided for the origins of its profile, regardless of what the other program requests.

mod docker;
mod git;

use std::io::Read as _;
use std::sync::Arc;

use clap::{Args, Subcommand};
use oauth_core::token::TokenType;
use oauth_core::url::Url;
use oauth_core::{Secret, Tokens};

use super::token::TokenSelection;
use crate::Global;
use crate::api::api;
use crate::output::{Failure, Output};
use crate::profile::{File, Profile};
use crate::profile_tokens::{Choice, ProfileTokens};
use crate::setup::{ClientPlan, provider_of};
use crate::token_request::TokenRequestArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  git config --global credential.https://gitlab.example.helper \\
    '!oauth credential git'
  ln -s \"$(command -v oauth)\" ~/.local/bin/docker-credential-oauth
  oauth profile add code --issuer https://gitlab.example --client-id 7f3c \\
    --client-auth none --scope write_repository --origin https://gitlab.example

A host gets the token of the profile that lists it in `origins`, or whose provider's API it is; other hosts \
get none. If several profiles match, the default profile is used, or the one selected with --profile \
or OAUTH_PROFILE.";

/// Provides tokens to other programs as passwords.
#[derive(Debug, Args)]
pub(crate) struct Credential {
    #[command(subcommand)]
    protocol: Protocol,
}

#[derive(Debug, Subcommand)]
enum Protocol {
    /// Act as a git credential helper
    #[command(after_help = git::EXAMPLES)]
    Git(git::Git),
    /// Act as a docker credential helper
    #[command(after_help = docker::EXAMPLES)]
    Docker(docker::Docker),
}

impl Credential {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        match self.protocol {
            Protocol::Git(git) => git.run(global, output),
            Protocol::Docker(docker) => docker.run(global, output),
        }
    }
}

/// The user name for servers that accept any: GitLab documents this one for its OAuth tokens
/// (<https://docs.gitlab.com/api/oauth2/#access-git-over-https-with-access-token>), and GitHub reads only the password.
const USERNAME: &str = "oauth2";

/// The largest request that is read, in bytes.
const MAX_REQUEST_BYTES: u64 = 64 << 10;

/// Reads a request from stdin.
fn request() -> Result<Secret<String>, Failure> {
    let malformed = |reason: &str| {
        Failure::usage(
            "usage.credential_request",
            format_args!("invalid request on stdin: {reason}"),
            "this command is meant to be called by git or docker",
        )
    };
    let mut text = String::new();
    let read = std::io::stdin()
        .take(MAX_REQUEST_BYTES + 1)
        .read_to_string(&mut text);
    let text = Secret::new(text);
    read.map_err(|error| malformed(&error.to_string()))?;
    if text.expose().len() as u64 > MAX_REQUEST_BYTES {
        Err(malformed("longer than 64 KiB"))
    } else {
        Ok(text)
    }
}

/// The profile whose tokens may go to this URL, if there is one.
fn profile_for(url: &Url, global: &Global) -> Result<Option<Profile>, Failure> {
    let mut fitting = Vec::new();
    for profile in Profile::candidates(global)? {
        match covers(&profile, url) {
            Ok(true) => fitting.push(profile),
            Ok(false) => {}
            // An invalid profile must not make the valid ones unusable.
            Err(_) if global.profile.is_none() => {}
            Err(failure) => return Err(failure),
        }
    }
    if fitting.len() > 1 {
        let default = File::load(global)?.default_profile;
        let is_default = |profile: &Profile| profile.name == default;
        if let Some(profile) = fitting.iter().find(|profile| is_default(profile)) {
            return Ok(Some(profile.clone()));
        }
        let names = fitting.iter().filter_map(|profile| profile.name.as_deref());
        return Err(Failure::usage(
            "usage.credential_profile",
            format_args!(
                "{} is an origin of several profiles: {}",
                url.origin(),
                names.collect::<Vec<_>>().join(", ")
            ),
            "select one with oauth --profile NAME credential, or with OAUTH_PROFILE",
        ));
    }
    Ok(fitting.pop())
}

/// Whether tokens of this profile may be sent there.
fn covers(profile: &Profile, url: &Url) -> Result<bool, Failure> {
    let provider = provider_of(profile)?;
    let api = api(profile, provider.as_ref(), &[])?;
    Ok(api.resource().check(url).is_ok())
}

/// The user name for this profile's tokens.
fn username(username: Option<String>, profile: &Profile) -> String {
    let username = username.or_else(|| profile.credential_username.clone());
    username.unwrap_or_else(|| USERNAME.to_owned())
}

/// The failure for a bound token, which would be refused without a proof.
pub(super) fn bound() -> Failure {
    Failure::refused(
        "credential.bound_token",
        "the token is bound to a key, so it cannot be used as a password",
        "use a profile without `dpop_key_file`",
    )
}

/// A token that is a password.
fn password(profile: Profile, global: &Global, output: Output) -> Result<Arc<Tokens>, Failure> {
    let name = profile.name.clone().unwrap_or_default();
    let tokens = TokenSelection::default().get(profile, global, output);
    // git and docker pass no options.
    let tokens = tokens.map_err(|failure| {
        if !failure.has_code("usage.no_login") {
            return failure;
        }
        failure.with_hint(format_args!(
            "log in with oauth login --profile {name}, or set `as = \"client\"` in the profile"
        ))
    })?;
    if !matches!(tokens.token_type, TokenType::Bearer) {
        return Err(bound());
    }
    // A line break would start a new line of the protocol.
    if tokens.access_token.expose().chars().any(char::is_control) {
        Err(Failure::refused(
            "credential.malformed_token",
            "the token contains a control character, so it cannot be used as a password",
            "this is a fault of the server: report it to its operator",
        ))
    } else {
        Ok(tokens)
    }
}

/// Refreshes the stored token of this profile that a host rejected, unless it has been replaced in the meantime.
fn replace(
    profile: Profile,
    refused: &str,
    global: &Global,
    output: Output,
) -> Result<(), Failure> {
    let choice = Choice::from_args(None, &profile);
    let Some((plan, grants)) = stored(profile, global)? else {
        return Ok(());
    };
    let chosen = grants.choose(&plan, choice, &TokenRequestArgs::default())?;
    let tokens = chosen.stored.as_ref().and_then(|stored| stored.tokens());
    let Some(tokens) = tokens.filter(|tokens| tokens.access_token.matches(refused)) else {
        return Ok(());
    };
    let setup = grants.set_up(plan, &chosen)?;
    grants.open(&setup, chosen.owner, output).renew(&tokens)?;
    Ok(())
}

/// Where the tokens of a profile are stored; `None` for a fixed token, or if they are not stored.
fn stored(
    profile: Profile,
    global: &Global,
) -> Result<Option<(ClientPlan, ProfileTokens)>, Failure> {
    if profile.token_env.is_some() || profile.token_file.is_some() {
        return Ok(None);
    }
    let plan = ClientPlan::for_profile(profile, global)?;
    let grants = ProfileTokens::for_profile(&plan.profile, global)?;
    Ok(grants.map(|grants| (plan, grants)))
}
