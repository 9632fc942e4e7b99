//! `oauth profile`: the profiles there are.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Global;
use crate::login_record::LoginRecord;
use crate::output::{self, Failure, Output};
use crate::profile::{File, Profile as Entry};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth profile list
  oauth profile list --json | jq -r '.profiles[].name'

Profiles are written by hand: see --config for where the file is. It holds no secret, only where \
one is.";

/// Shows profiles.
#[derive(Debug, Args)]
pub(crate) struct Profile {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the profiles: the server, the client, and whose tokens they are
    #[command(after_help = EXAMPLES)]
    List,
}

impl Profile {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let Action::List = self.command;
        let file = File::load(global)?;
        let mut rows = Vec::new();
        let mut records = Vec::new();
        for (name, profile) in &file.profile {
            let is_default = file.default_profile.as_ref() == Some(name);
            let whose = whose(name, profile)?;
            rows.push((name.clone(), line(profile, whose, is_default)));
            records.push(record(name, profile, whose, is_default));
        }
        let text = match rows.is_empty() {
            true => "there is no profile".to_owned(),
            false => output::table(&rows),
        };
        output.result(text, &json!({ "profiles": records }))
    }
}

/// Whom a command acts for with this profile.
fn whose(name: &str, profile: &Entry) -> Result<&'static str, Failure> {
    Ok(match profile.who {
        Some(who) => who.as_str(),
        None if profile.token_env.is_some() || profile.token_file.is_some() => "fixed",
        None if LoginRecord::load(name)?.is_some() => "person",
        None => "client",
    })
}

fn server(profile: &Entry) -> String {
    let file = profile.provider_file.as_ref();
    let named = profile.provider.clone().or_else(|| profile.issuer.clone());
    let named = named.or_else(|| file.map(|path| path.display().to_string()));
    named.unwrap_or_else(|| "no server".to_owned())
}

fn line(profile: &Entry, whose: &str, is_default: bool) -> String {
    let client = profile.client_id.as_deref();
    let client = client.map_or_else(String::new, |id| format!(", client {id}"));
    let whose = match whose {
        "fixed" => "with a token made by hand",
        "person" => "as the person who logs in",
        _ => "as the client itself",
    };
    let default = if is_default { " (the default)" } else { "" };
    format!("{}{client}, {whose}{default}", server(profile))
}

fn record(name: &str, profile: &Entry, whose: &str, is_default: bool) -> Value {
    json!({
        "name": name, "default": is_default, "provider": profile.provider,
        "provider_file": profile.provider_file, "issuer": profile.issuer,
        "client_id": profile.client_id, "scope": profile.scope, "as": whose,
    })
}
