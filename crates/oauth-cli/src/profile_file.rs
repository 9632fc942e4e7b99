//! Changes to the profile file. Comments and layout are kept; a concurrent reader finds the old file or the new one.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, value};

use crate::Global;
use crate::output::Failure;
use crate::profile::{self, File, Profile};
use crate::token_file::{private, private_folder, sibling_path};

/// The profile file, as it is on disk or will be.
pub(crate) struct ProfileFile {
    /// The path, with links followed: a linked file is changed in place.
    pub(crate) path: PathBuf,
    document: DocumentMut,
    /// Whether the file does not exist yet.
    pub(crate) is_new: bool,
}

impl ProfileFile {
    /// Reads the file; an empty one if there is none.
    pub(crate) fn read(global: &Global) -> Result<Self, Failure> {
        let path = profile::path(global).ok_or_else(no_home)?;
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => None,
            Err(reason) => return Err(profile::invalid_profile(&path, &reason.to_string())),
        };
        let is_new = text.is_none();
        let text = text.unwrap_or_default();
        // An invalid file must be corrected by hand first.
        File::parse(&path, &text)?;
        let document = text.parse().map_err(|_| not_editable(&path))?;
        Ok(Self {
            path,
            document,
            is_new,
        })
    }

    /// Changes the file under a lock.
    pub(crate) fn change<T>(
        global: &Global,
        change: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let path = Self::read(global)?.folder_made()?.path;
        let lock = private(
            &sibling_path(&path, ".lock"),
            OpenOptions::new().create(true),
        )
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| profile::invalid_profile(&path, &error.to_string()))?;
        let mut file = Self::read(global)?;
        let changed = change(&mut file)?;
        file.save()?;
        drop(lock);
        Ok(changed)
    }

    /// Checks that there is no profile of this name, and that the name is valid.
    pub(crate) fn check_new(&self, name: &str) -> Result<(), Failure> {
        let is_fit = |c: char| c.is_alphanumeric() || "-_.@".contains(c);
        if name.is_empty() || !name.chars().all(is_fit) || name.starts_with(['-', '.']) {
            return Err(Failure::usage(
                "usage.profile_name",
                format_args!("invalid profile name `{}`", name.escape_debug()),
                "use letters, digits and - _ . @, and start with a letter, a digit, _ or @",
            ));
        }
        let profiles = self.document.get("profile").and_then(Item::as_table_like);
        if profiles.is_some_and(|all| all.contains_key(name)) {
            Err(Failure::usage(
                "usage.profile_exists",
                format_args!("{}: profile `{name}` already exists", self.path.display()),
                "choose another name, edit the file, or remove the existing profile with oauth profile remove",
            ))
        } else {
            Ok(())
        }
    }

    /// Adds a profile at the end.
    pub(crate) fn add(&mut self, name: &str, profile: &Profile) -> Result<(), Failure> {
        self.check_new(name)?;
        let mut table = table(profile)?;
        if !self.document.to_string().trim().is_empty() {
            table.decor_mut().set_prefix("\n");
        }
        let mut profiles = Table::new();
        profiles.set_implicit(true);
        let profiles = self
            .document
            .entry("profile")
            .or_insert(Item::Table(profiles));
        let profiles = profiles
            .as_table_mut()
            .ok_or_else(|| not_editable(&self.path))?;
        profiles.insert(name, Item::Table(table));
        Ok(())
    }

    /// Makes this the default profile.
    pub(crate) fn make_default(&mut self, name: &str) {
        let mut new = value(name);
        let old = self
            .document
            .get("default_profile")
            .and_then(Item::as_value);
        if let (Some(old), Some(new)) = (old, new.as_value_mut()) {
            *new.decor_mut() = old.decor().clone();
        }
        self.document.insert("default_profile", new);
    }

    /// Removes a profile with the comment that belongs to it; returns whether it was the default.
    pub(crate) fn remove(&mut self, name: &str) -> Result<bool, Failure> {
        let profiles = self.document.get_mut("profile");
        let profiles = profiles.and_then(Item::as_table_like_mut);
        let removed = profiles.and_then(|all| all.remove(name));
        let removed = removed.ok_or_else(|| {
            let reason = format!("no profile `{name}`");
            profile::invalid_profile(&self.path, &reason)
        })?;
        if let Item::Table(table) = removed {
            self.keep_comments_before(&table);
        }
        let default = self.document.get("default_profile").and_then(Item::as_str);
        let was_default = default == Some(name);
        if was_default {
            self.document.remove("default_profile");
        }
        Ok(was_default)
    }

    /// A comment that is separated from the removed table by a blank line is about the file or the
    /// preceding table, so it is moved to the following one.
    fn keep_comments_before(&mut self, removed: &Table) {
        let prefix = removed.decor().prefix().and_then(|prefix| prefix.as_str());
        let comments = prefix.and_then(|prefix| prefix.rfind("\n\n").map(|end| &prefix[..=end]));
        let Some(comments) = comments.filter(|kept| !kept.trim().is_empty()) else {
            return;
        };
        let position = removed.position().unwrap_or_default();
        match following(self.document.as_table_mut(), position) {
            Some(next) => {
                let prefix = next.decor().prefix().and_then(|prefix| prefix.as_str());
                let prefix = format!("{comments}{}", prefix.unwrap_or_default());
                next.decor_mut().set_prefix(prefix);
            }
            None => {
                let trailing = self.document.trailing().as_str().unwrap_or_default();
                let trailing = format!("{comments}{trailing}");
                self.document.set_trailing(trailing);
            }
        }
    }

    /// Checks in advance that the file can be changed.
    pub(crate) fn try_out(self) -> Result<Self, Failure> {
        let file = self.folder_made()?;
        let draft = sibling_path(&file.path, &format!(".{}.tmp", std::process::id()));
        let created = private(&draft, OpenOptions::new().create_new(true));
        created
            .and_then(|_| std::fs::remove_file(&draft))
            .map_err(|error| profile::invalid_profile(&file.path, &error.to_string()))?;
        Ok(file)
    }

    fn folder_made(self) -> Result<Self, Failure> {
        let created = private_folder(self.path.parent());
        created.map_err(|error| profile::invalid_profile(&self.path, &error.to_string()))?;
        Ok(self)
    }

    fn save(&self) -> Result<(), Failure> {
        let path = &self.path;
        let text = self.document.to_string();
        File::parse(path, &text)?;
        let draft = sibling_path(path, &format!(".{}.tmp", std::process::id()));
        let write = || {
            let mut file = private(&draft, OpenOptions::new().create(true).truncate(true))?;
            file.write_all(text.as_bytes())?;
            if !self.is_new {
                // Keep the permissions that its owner has set.
                file.set_permissions(std::fs::metadata(path)?.permissions())?;
            }
            file.sync_all()?;
            std::fs::rename(&draft, path)
        };
        write().map_err(|reason| {
            // An unfinished draft is of no use.
            let _ = std::fs::remove_file(&draft);
            profile::invalid_profile(path, &reason.to_string())
        })
    }
}

/// The profile as it is written in the file.
pub(crate) fn text(name: &str, profile: &Profile) -> Result<String, Failure> {
    let mut profiles = Table::new();
    profiles.set_implicit(true);
    profiles.insert(name, Item::Table(table(profile)?));
    let mut document = DocumentMut::new();
    document.insert("profile", Item::Table(profiles));
    Ok(document.to_string().trim_end().to_owned())
}

/// The settings that differ from the defaults.
fn table(profile: &Profile) -> Result<Table, Failure> {
    let written = |profile: &Profile| {
        let written = toml_edit::ser::to_document(profile);
        written.map_err(|reason| {
            Failure::usage(
                "usage.profile",
                format_args!("the profile: {reason}"),
                "edit the file by hand",
            )
        })
    };
    let defaults = written(&Profile::default())?;
    let mut table = written(profile)?.as_table().clone();
    table.retain(|name, item| {
        let default_value = defaults.get(name).map(Item::to_string);
        default_value.as_deref() != Some(item.to_string().as_str())
    });
    let network = [
        ("ca", profile.network.ca.as_deref()),
        (
            "client_certificate",
            exposed(profile.network.client_certificate.as_ref()),
        ),
        ("proxy", exposed(profile.network.proxy.as_ref())),
    ];
    let mut network_table = toml_edit::InlineTable::new();
    for (name, text) in network {
        if let Some(text) = text {
            network_table.insert(name, text.into());
        }
    }
    if !network_table.is_empty() {
        table.insert("network", value(network_table));
    }
    table.set_implicit(false);
    Ok(table)
}

fn exposed(secret: Option<&oauth_core::Secret<String>>) -> Option<&str> {
    secret.map(|secret| secret.expose().as_str())
}

/// The first table after this position.
fn following(table: &mut Table, position: isize) -> Option<&mut Table> {
    let mut first: Option<&mut Table> = None;
    for (_, item) in table.iter_mut() {
        let Item::Table(inner) = item else { continue };
        let is_after = |table: &Table| {
            let at = table.position().filter(|at| *at > position);
            at.filter(|_| !table.is_implicit())
        };
        let candidate = match is_after(inner) {
            Some(_) => Some(inner),
            None => following(inner, position),
        };
        let at = |table: &Option<&mut Table>| {
            let at = table.as_ref().and_then(|table| table.position());
            at.unwrap_or(isize::MAX)
        };
        if at(&candidate) < at(&first) {
            first = candidate;
        }
    }
    first
}

fn not_editable(path: &Path) -> Failure {
    Failure::usage(
        "usage.profile",
        format_args!("{}: the profiles are not tables", path.display()),
        "edit the file by hand, or write each profile as [profile.NAME]",
    )
}

fn no_home() -> Failure {
    Failure::usage(
        "usage.profile",
        "no home directory for the profile file",
        "pass the file with --config",
    )
}
