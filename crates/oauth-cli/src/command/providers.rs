//! `oauth providers`: lists the built-in providers.

use clap::Args;
use oauth_providers::Provider;
use serde_json::{Value, json};

use crate::output::{self, Failure, Output};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth providers
  oauth providers --json | jq -r '.providers[].name'

Select a provider with --provider NAME, or with `provider` in a profile. Set each variable without a \
default with --var NAME=VALUE, or under `variables` in the profile.";

/// Lists the built-in providers.
#[derive(Debug, Args)]
pub(crate) struct Providers {}

impl Providers {
    pub(super) fn run(self, output: Output) -> Result<(), Failure> {
        let Self {} = self;
        let all = oauth_providers::names().map(oauth_providers::provider);
        let all = all.collect::<Result<Vec<Provider>, _>>()?;
        let rows: Vec<_> = all.iter().map(row).collect();
        let records: Vec<Value> = all.iter().map(record).collect();
        output.result(output::table(&rows), &json!({ "providers": records }))
    }
}

fn row(provider: &Provider) -> (String, String) {
    let variables = provider
        .variables()
        .map(|variable| match &variable.default {
            Some(default) => format!("{}[={default}]", variable.name),
            None => format!("{}={}", variable.name, variable.example),
        });
    let variables: Vec<_> = variables.collect();
    let mut text = provider.title().to_owned();
    for (name, list) in [("variables", &variables[..]), ("grants", provider.grants())] {
        if !list.is_empty() {
            text = format!("{text}; {name}: {}", list.join(" "));
        }
    }
    (provider.name().to_owned(), text)
}

fn record(provider: &Provider) -> Value {
    let variables = provider.variables().map(|variable| {
        json!({
            "name": variable.name, "type": variable.kind.as_str(),
            "description": variable.description, "example": variable.example,
            "default": variable.default, "values": variable.values,
        })
    });
    let options = provider.options();
    let options =
        options.map(|(name, description)| json!({ "name": name, "description": description }));
    json!({
        "name": provider.name(), "title": provider.title(),
        "documentation": provider.documentation(),
        "variables": variables.collect::<Vec<_>>(), "options": options.collect::<Vec<_>>(),
        "grants": provider.grants(), "default_scope": provider.default_scope().as_str(),
    })
}
