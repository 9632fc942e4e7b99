//! The contents of the provider files: `cargo run -p oauth-providers --example providers`, or with a path as
//! argument the contents of your own file and whether it is valid.

use oauth_core::Error;
use oauth_core::server::EndpointKind;
use oauth_providers::{Provider, names, provider};

/// The endpoints that are shown, with their RFC 8414 names.
const ENDPOINTS: [EndpointKind; 4] = [
    EndpointKind::Authorization,
    EndpointKind::Token,
    EndpointKind::Revocation,
    EndpointKind::Introspection,
];

/// One provider in a few lines. Variables without a default use their example.
fn describe(mut provider: Provider) -> Result<String, Error> {
    let mut text = format!("{} ({})\n", provider.name(), provider.title());
    let variables: Vec<_> = provider
        .variables()
        .map(|variable| (variable.name.clone(), variable.example.clone()))
        .collect();
    for (name, example) in variables {
        text.push_str(&format!("  {name}, such as {example}\n"));
        provider = provider.with(&name, &example)?;
    }
    let server = provider.server()?;
    for kind in ENDPOINTS {
        if let Ok(url) = server.endpoint(kind) {
            text.push_str(&format!("  {url}\n"));
        }
    }
    for origin in provider.api_origins()? {
        text.push_str(&format!("  tokens go to {origin}\n"));
    }
    Ok(text)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    for file in &files {
        print!(
            "{}",
            describe(Provider::from_toml(&std::fs::read_to_string(file)?)?)?
        );
    }
    if files.is_empty() {
        for name in names() {
            print!("{}", describe(provider(name)?)?);
        }
    }
    Ok(())
}

#[test]
fn every_built_in_file_can_be_described() -> Result<(), Error> {
    for name in names() {
        let text = describe(provider(name)?)?;
        assert!(
            text.starts_with(name) && text.contains("https://"),
            "{text}"
        );
    }
    Ok(())
}
