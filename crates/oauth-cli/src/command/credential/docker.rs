//! docker's side: an address or JSON on stdin, JSON on stdout, errors as text on stdout with the exit code 1
//! (<https://github.com/docker/docker-credential-helpers#development>).

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use oauth_core::url::Url;
use serde_json::json;

use super::{password, profile_for, request, username};
use crate::Global;
use crate::output::{self, Failure, Output};
use crate::profile::Profile;

pub(super) const EXAMPLES: &str = "\
Examples:
  ln -s \"$(command -v oauth)\" ~/.local/bin/docker-credential-oauth
  echo registry.example | oauth credential docker get
  oauth --profile images credential docker --username oauth2accesstoken list

docker runs docker-credential-oauth for the registries that are configured in ~/.docker/config.json:
  {\"credHelpers\": {\"registry.example\": \"oauth\"}}

A registry gets the token of the profile that lists it in `origins`; other registries get none. The \
user name is the profile's `credential_username`: Google's registries require oauth2accesstoken, and \
with <token> docker exchanges the token at the registry for one of its own. docker login and docker \
logout are refused: use oauth login and oauth logout instead.";

/// Responds to docker.
#[derive(Debug, Args)]
pub(crate) struct Docker {
    /// User name to return [default: the profile's `credential_username`, or oauth2]
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Operation that docker requests
    operation: Operation,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Operation {
    /// Print the credentials for the registry on stdin
    Get,
    /// Store the credentials on stdin; always refused
    Store,
    /// Erase the credentials for the registry on stdin; always refused
    Erase,
    /// List the origins of the profiles, with their user names
    List,
}

/// The exact text by which docker recognizes that there are no credentials.
const NOT_FOUND: &str = "credentials not found in native keychain";

impl Docker {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let done = match self.operation {
            Operation::Get => self.get(global, output),
            Operation::Store => read_only("passwords cannot be stored", "log in with oauth login"),
            Operation::Erase => {
                read_only("credentials cannot be erased", "log out with oauth logout")
            }
            Operation::List => self.list(global),
        };
        done.map_err(Failure::tell_docker)
    }

    fn get(self, global: &Global, output: Output) -> Result<(), Failure> {
        let text = request()?;
        let server = text.expose().trim();
        let nothing = || Failure::refused("credential.not_found", NOT_FOUND, "");
        let mut profile = None;
        for url in addresses(server) {
            profile = profile.or(profile_for(&url, global)?);
        }
        let profile = profile.ok_or_else(nothing)?;
        let name = username(self.username, &profile);
        let tokens = password(profile, global, output)?;
        let secret = tokens.access_token.expose();
        output::print(json!({ "ServerURL": server, "Username": name, "Secret": secret }))
    }

    /// Lists the `origins` of the profiles, without the APIs of their providers: some docker commands request the
    /// credentials of everything that is listed.
    fn list(self, global: &Global) -> Result<(), Failure> {
        let mut user_names = BTreeMap::new();
        for profile in Profile::candidates(global)? {
            for origin in &profile.origins {
                user_names.insert(origin.clone(), username(self.username.clone(), &profile));
            }
        }
        output::print(json!(user_names))
    }
}

/// The possible URLs of a registry: without a scheme, `https`, and on this machine also `http`, in the order in which
/// docker tries them.
fn addresses(server: &str) -> Vec<Url> {
    if server.contains("://") {
        return Url::parse(server).into_iter().collect();
    }
    let with_scheme = |scheme: &str| Url::parse(&format!("{scheme}://{server}")).ok();
    let plain = with_scheme("http").filter(Url::is_local);
    with_scheme("https").into_iter().chain(plain).collect()
}

fn read_only(operation: &str, hint: &str) -> Result<(), Failure> {
    request()?;
    Err(Failure::refused("credential.read_only", operation, hint))
}
