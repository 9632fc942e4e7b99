//! `oauth profile`: lists, adds and removes profiles.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Global;
use crate::api::api;
use crate::credential::Auth;
use crate::fixed_token::FixedArgs;
use crate::login_record::LoginRecord;
use crate::output::{self, Failure, Output};
use crate::profile::{ActsFor, File, Profile as Entry, StoreKind};
use crate::profile_file::ProfileFile;
use crate::profile_tokens::ProfileTokens;
use crate::setup::{ClientPlan, ServerArgs, provider_of};
use crate::token_request::TokenRequestArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth profile list
  oauth profile list --json | jq -r '.profiles[].name'
  oauth profile add acme --issuer https://as.example --client-id app \\
    --client-auth none --scope \"read offline_access\" --default
  oauth profile remove acme

You can also edit the profile file by hand: see --config for its path. It contains no secrets, only \
references to them.";

const ADD: &str = "\
Examples:
  oauth profile add acme --issuer https://as.example --client-id app \\
    --client-auth none --scope \"read offline_access\" --default
  oauth profile add billing --provider usertesting --client-id 0oa1 \\
    --client-secret-file billing.secret --as client --store keyring
  oauth profile add code --issuer https://gitlab.example --client-id 7f3c \\
    --client-auth none --scope write_repository --origin https://gitlab.example

A profile stores the options of a server and a client, so that they need not be repeated. The options are \
checked without contacting the server. File names are stored as absolute paths. The rest of the profile file, \
including comments, remains unchanged; a new file is readable only by you.";

const REMOVE: &str = "\
Examples:
  oauth profile remove acme
  oauth logout --profile acme && oauth profile remove acme
  oauth profile remove acme --keep-login

The comment directly above the profile is removed with it. A profile with a stored login is not \
removed: log out first with oauth logout, or keep the login stored with --keep-login, so that a profile \
of the same name, server and client can use it again. The client's own tokens remain stored until they \
expire, because other profiles of the same client use them too.";

/// Lists, adds and removes profiles.
#[derive(Debug, Args)]
pub(crate) struct Profile {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the profiles, with server, client, and whether they act as a user or as the client
    #[command(after_help = EXAMPLES)]
    List,
    /// Add a profile to the profile file
    #[command(after_help = ADD)]
    Add(Box<Add>),
    /// Remove a profile from the profile file
    #[command(after_help = REMOVE)]
    Remove(Remove),
}

#[derive(Debug, Args)]
#[command(mut_arg("token_parameters", |arg| arg.visible_alias("param")))]
struct Add {
    /// Name of the profile
    name: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    request_args: TokenRequestArgs,
    #[command(flatten)]
    fixed: FixedArgs,
    /// Allow its tokens to be sent to this origin, in addition to the provider's API; may be repeated
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Act as the user or as the client [default: as the user after the first login, until then as the
    /// client]
    #[arg(long = "as", value_enum)]
    acts_for: Option<ActsFor>,
    /// Where to store its tokens
    #[arg(long, value_enum, default_value = "file")]
    store: StoreKind,
    /// User name for git and docker [default: oauth2]
    #[arg(long, value_name = "NAME")]
    credential_username: Option<String>,
    /// Make it the default profile
    #[arg(long)]
    default: bool,
}

#[derive(Debug, Args)]
struct Remove {
    /// Name of the profile
    name: String,
    /// Remove the profile even if its login is stored, and keep the login stored
    #[arg(long)]
    keep_login: bool,
}

impl Profile {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        match self.command {
            Action::List => show(global, output),
            Action::Add(add) => add.run(global, output),
            Action::Remove(remove) => remove.run(global, output),
        }
    }
}

fn show(global: &Global, output: Output) -> Result<(), Failure> {
    let file = File::load(global)?;
    let mut rows = Vec::new();
    let mut records = Vec::new();
    for (name, profile) in &file.profile {
        let is_default = file.default_profile.as_ref() == Some(name);
        let acts_for = acts_for_text(name, profile)?;
        rows.push((name.clone(), table_row(profile, acts_for, is_default)));
        records.push(record(name, profile, acts_for, is_default));
    }
    let text = if rows.is_empty() {
        "no profiles".to_owned()
    } else {
        output::table(&rows)
    };
    output.result(text, &json!({ "profiles": records }))
}

impl Add {
    fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let (name, is_default) = (self.name.clone(), self.default);
        let profile = self.profile(global)?;
        let path = ProfileFile::change(global, |file| {
            file.add(&name, &profile)?;
            if is_default {
                file.make_default(&name);
            }
            Ok(file.path.clone())
        })?;
        let text = format!("added profile `{name}` to {}", path.display());
        let file = path.to_string_lossy();
        output.result(
            text,
            &json!({ "name": name, "default": is_default, "file": file }),
        )
    }

    /// The profile, checked to the extent possible without a server.
    fn profile(self, global: &Global) -> Result<Entry, Failure> {
        let mut profile = self.server.overriding(Entry::default());
        self.request_args.into_profile(&mut profile);
        (profile.token_env, profile.token_file) = (self.fixed.env, self.fixed.file);
        profile.origins = self.origins;
        profile.acts_for = self.acts_for;
        profile.store = self.store;
        profile.credential_username = self.credential_username;
        profile.network.ca.clone_from(&global.ca);
        profile.network.proxy = global.proxy.as_deref().map(Into::into);
        let profile = profile.named_here()?;
        let provider = provider_of(&profile)?;
        api(&profile, provider.as_ref(), &[])?;
        if profile.client_id.is_some()
            || profile.token_env.is_none() && profile.token_file.is_none()
        {
            let plan = ClientPlan::for_profile(profile.clone(), global)?;
            plan.token_request(&TokenRequestArgs::default())?;
        }
        Ok(profile)
    }
}

impl Remove {
    fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let Self { name, keep_login } = self;
        let (path, was_default, is_kept) = ProfileFile::change(global, |file| {
            let was_default = file.remove(&name)?;
            let has_login = has_login(&name, global)?;
            if has_login && !keep_login {
                return Err(Failure::usage(
                    "usage.logged_in",
                    format_args!("profile `{name}` has a stored login"),
                    format_args!(
                        "log out first with oauth logout --profile {name}, or keep the login with --keep-login"
                    ),
                ));
            }
            Ok((file.path.clone(), was_default, has_login))
        })?;
        if !is_kept {
            LoginRecord::remove(&name)?;
        }
        let mut text = format!("removed profile `{name}` from {}", path.display());
        text.push_str(if is_kept {
            "; its login remains stored, and valid at the server"
        } else {
            "; it has no stored login"
        });
        if was_default {
            text.push_str("; there is no default profile now");
        }
        let file = path.to_string_lossy();
        let record = json!({
            "name": name, "was_default": was_default, "login_kept": is_kept, "file": file,
        });
        output.result(text, &record)
    }
}

fn has_login(name: &str, global: &Global) -> Result<bool, Failure> {
    let mut profile = File::load(global)?.profile.remove(name).unwrap_or_default();
    profile.name = Some(name.to_owned());
    match ProfileTokens::for_profile(&profile, global)? {
        Some(tokens) => tokens.has_login(),
        None => Ok(false),
    }
}

/// Whom a command acts for with this profile.
fn acts_for_text(name: &str, profile: &Entry) -> Result<&'static str, Failure> {
    Ok(match profile.acts_for {
        Some(acts_for) => acts_for.as_str(),
        None if profile.token_env.is_some() || profile.token_file.is_some() => "fixed",
        None if LoginRecord::load(name)?.is_some() => "user",
        // A public client has no tokens of its own.
        None if profile.client_auth == Some(Auth::None) => "nobody",
        None => "client",
    })
}

fn server(profile: &Entry) -> String {
    let file = profile.provider_file.as_ref();
    let server_name = profile.provider.clone().or_else(|| profile.issuer.clone());
    let server_name = server_name.or_else(|| file.map(|path| path.display().to_string()));
    server_name.unwrap_or_else(|| "no server".to_owned())
}

fn table_row(profile: &Entry, whose: &str, is_default: bool) -> String {
    let client = profile.client_id.as_deref();
    let client = client.map_or_else(String::new, |id| format!(", client {id}"));
    let owner_text = match whose {
        "fixed" => "with a fixed token",
        "user" => "as the logged-in user",
        "nobody" => "no user is logged in",
        _ => "as the client itself",
    };
    let default = if is_default { " (default)" } else { "" };
    format!("{}{client}, {owner_text}{default}", server(profile))
}

fn record(name: &str, profile: &Entry, whose: &str, is_default: bool) -> Value {
    json!({
        "name": name, "default": is_default, "provider": profile.provider,
        "provider_file": profile.provider_file, "issuer": profile.issuer,
        "client_id": profile.client_id, "scope": profile.scope, "as": whose,
    })
}
