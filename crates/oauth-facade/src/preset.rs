//! A preset without its provider file: the part that a host that reads no TOML, such as a browser page, needs, as JSON.
//!
//! The JSON is written by [`Preset::from_provider`] from `oauth-providers` and read by [`Preset::parse`]. The
//! types of variables are checked here a second time, by the same rules: `tests/preset.rs` proves
//! that both sides accept the same values and make the same server of them.

use oauth_core::error::{Error, Misuse};
use oauth_core::json::ByName;
use oauth_core::json_form;
use oauth_core::quirk::Quirk;
use oauth_core::url::Url;

use crate::server::Server;
use crate::server_json::StoredServer;

/// One preset, its variables still open.
#[derive(Debug, Clone)]
pub struct Preset {
    variables: Vec<Variable>,
    options: ByName<Vec<Quirk>>,
    server: StoredServer,
}

/// A placeholder in the preset's URLs.
#[derive(Debug, Clone)]
struct Variable {
    name: String,
    kind: String,
    /// What a value of that kind looks like, in words.
    form: String,
    description: String,
    default: Option<String>,
    values: Vec<String>,
    quirks_of_values: ByName<Vec<Quirk>>,
}

json_form! { Preset { variables, options, server } }
json_form! { Variable { name, kind, form, description, default, values, quirks_of_values } }

impl Preset {
    /// Reads one preset of the generated file.
    ///
    /// # Errors
    /// `provider.data`.
    pub fn parse(json: &str) -> Result<Self, Error> {
        oauth_core::json::from_text(json)
            .ok_or_else(|| Error::from(Misuse::ProviderData).about("preset"))
    }

    /// The preset as JSON, for [`Self::parse`].
    pub fn to_json(&self) -> String {
        oauth_core::json::to_text(self)
    }

    /// Checks that a page in a browser may hold a client secret of this provider.
    ///
    /// # Errors
    /// `client_auth.secret_not_allowed` with the reason.
    pub fn check_secret_in_browser(&self) -> Result<(), Error> {
        self.server.check_secret_in_browser()
    }

    /// The server, with a value for each variable. `loopback` moves it to a base such as
    /// `http://127.0.0.1:1234`, for tests.
    ///
    /// # Errors
    /// `provider.variable`, `url.*`, `issuer.*`, `metadata.endpoint_*`.
    pub fn server(
        &self,
        values: &[(String, String)],
        options: &[String],
        loopback: Option<&str>,
    ) -> Result<Server, Error> {
        let unknown = |kind: &str, name: &str| {
            let name: String = name.chars().take(40).collect();
            refused(&format!("no {kind} `{name}`"))
        };
        if let Some((name, _)) = values.iter().find(|(name, _)| !self.has_variable(name)) {
            return Err(unknown("variable", name));
        }
        let mut stored = self.server.clone();
        for variable in &self.variables {
            let value = {
                let mut entries = values.iter();
                let entry = entries.find(|(name, _)| *name == variable.name);
                variable.value(entry.map(|(_, value)| value))?
            };
            if let Some(quirks) = variable.quirks_of_values.get(&value) {
                stored.add_quirks(quirks);
            }
            let gap = format!("{{{}}}", variable.name);
            stored = stored.with_replacements(|text| text.replace(&gap, &value));
        }
        for name in options {
            let quirks = self.options.get(name);
            stored.add_quirks(quirks.ok_or_else(|| unknown("option", name))?);
        }
        if let Some(base) = loopback {
            stored = stored.with_origin(&loopback_origin(base)?);
        }
        stored.into_server()
    }

    fn has_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|variable| variable.name == name)
    }
}

impl Variable {
    fn value(&self, input: Option<&String>) -> Result<String, Error> {
        match (input, &self.default) {
            (Some(input), _) => self.read(input).ok_or_else(|| {
                refused(&format!(
                    "{}: not a {}: {}",
                    self.name, self.kind, self.form
                ))
            }),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => Err(refused(&format!(
                "{} is missing: {}",
                self.name, self.description
            ))),
        }
    }

    /// `value` in its normal form, if it is of this variable's type.
    fn read(&self, value: &str) -> Option<String> {
        let lower = value.to_ascii_lowercase();
        match self.kind.as_str() {
            "dns_label" => is_label(&lower).then_some(lower),
            "issuer_id" => is_of(value, 64, b"-_").then(|| value.to_owned()),
            "guid" => is_guid(&lower).then_some(lower),
            "host" => is_host(&lower).then_some(lower),
            "path_segment" => is_segment(value).then(|| value.to_owned()),
            "tenant" => {
                let is_domain = || lower.contains('.') && lower.split('.').all(is_label);
                let is_word = || self.values.contains(&lower) && is_segment(&lower);
                (is_guid(&lower) || is_domain() || is_word()).then_some(lower)
            }
            _ => None,
        }
    }
}

fn refused(detail: &str) -> Error {
    Error::from(Misuse::ProviderVariable).about(detail)
}

fn loopback_origin(base: &str) -> Result<String, Error> {
    let url = Url::parse(base)?;
    if !url.is_loopback() {
        return Err(Error::from(Misuse::InsecureTransport).about(&url.origin()));
    }
    if !matches!(url.path_and_query(), "" | "/") {
        return Err(Error::from(Misuse::UrlSyntax).about("a base has neither path nor query"));
    }
    Ok(url.origin())
}

fn is_of(text: &str, limit: usize, also: &[u8]) -> bool {
    (1..=limit).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
}

fn is_label(text: &str) -> bool {
    is_of(text, 63, b"-") && !text.starts_with('-') && !text.ends_with('-')
}

fn is_segment(text: &str) -> bool {
    is_of(text, 255, b"-._~") && text != "." && text != ".."
}

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn is_host(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default();
    let url = format!("https://{text}");
    name.split('.').all(is_label) && Url::parse(&url).is_ok_and(|read| read.origin() == url)
}

/// The conversion from a provider file to this JSON.
#[cfg(feature = "providers")]
mod writing {
    use oauth_providers::{Provider, VariableKind};

    use super::{ByName, Error, Preset, Server, Variable, refused};
    use crate::server_json::StoredServer;

    impl Preset {
        /// The part of this provider that a web page needs.
        ///
        /// # Errors
        /// The errors of [`Provider::server`].
        pub fn from_provider(provider: &Provider) -> Result<Self, Error> {
            let mut filled = provider.clone();
            let mut marks = Vec::new();
            for (at, variable) in provider.variables().enumerate() {
                let mark = mark(variable.kind, at)?;
                filled = filled.with(&variable.name, &mark)?;
                marks.push((mark, format!("{{{}}}", variable.name)));
            }
            let server = |provider: Provider| Server::from_provider(provider);
            let base = server(filled.clone())?;
            let base_quirks = base.core.rules().quirks.clone();
            let options = provider.options().map(|(name, _)| {
                let with_option = server(filled.clone().option(name)?)?;
                let mut quirks = with_option.core.rules().quirks.clone();
                quirks.retain(|quirk| !base_quirks.contains(quirk));
                Ok((name.to_owned(), quirks))
            });
            let options = ByName(options.collect::<Result<_, Error>>()?);
            let stored = StoredServer::from_server(&base)?.with_replacements(|text| {
                let gaps = marks.iter();
                gaps.fold(text.to_owned(), |text, (mark, gap)| text.replace(mark, gap))
            });
            let variables = provider.variables().map(|variable| Variable {
                name: variable.name.clone(),
                kind: variable.kind.as_str().to_owned(),
                form: variable.kind.form().to_owned(),
                description: variable.description.clone(),
                default: variable.default.clone(),
                values: variable.values.clone(),
                quirks_of_values: ByName(variable.quirks_of_values.clone().into_iter().collect()),
            });
            Ok(Self {
                variables: variables.collect(),
                options,
                server: stored,
            })
        }
    }

    /// A value of this kind that occurs nowhere else in a provider file.
    fn mark(kind: VariableKind, at: usize) -> Result<String, Error> {
        Ok(match kind {
            VariableKind::DnsLabel | VariableKind::IssuerId | VariableKind::PathSegment => {
                format!("gap{at}of9the7preset")
            }
            VariableKind::Guid | VariableKind::Tenant => {
                format!("9e7f5a10-0000-4000-8000-00000000000{at}")
            }
            VariableKind::Host => format!("gap{at}of9the7preset.example"),
            _ => return Err(refused("a type of variable that is not known here")),
        })
    }
}
