//! A preset in JSON accepts what its provider file accepts and creates the same server.

use oauth_facade::{Auth, Client, Preset, Server};
use oauth_providers::{Provider, VariableKind};

const VALUES: &[&str] = &[
    "acme",
    "ACME",
    "a-b",
    "-a",
    "a-",
    "",
    ".",
    "..",
    "a.b",
    "common",
    "organizations",
    "consumers",
    "default",
    "evil.example/",
    "evil.example#",
    "evil.example?x",
    "a@b",
    "a%2fb",
    "a\\b",
    "a b",
    "ä",
    "{subdomain}",
    "sso.example.com",
    "sso.example.com:8443",
    "sso.example.com:443",
    "sso.example.com:0",
    "sso.example.com:99999",
    "SSO.Example.com",
    "127.0.0.1",
    "a..b",
    "A_b-9",
    "a~b",
    "9e7f5a10-1234-4000-8000-0123456789ab",
    "9E7F5A10-1234-4000-8000-0123456789AB",
    "{9e7f5a10-1234-4000-8000-0123456789ab}",
    "9e7f5a10-1234-4000-8000-0123456789a",
    "gap0of9the7preset",
    "contoso.onmicrosoft.com",
];

fn presets() -> Vec<(Provider, Preset)> {
    let read = |name| {
        let provider = oauth_providers::provider(name).expect("built in");
        let json = Preset::from_provider(&provider)
            .expect("a preset")
            .to_json();
        let preset = Preset::parse(&json).expect("what was written");
        (provider, preset)
    };
    oauth_providers::names().map(read).collect()
}

/// The server as text, or the error code.
fn error_text(server: Result<Server, oauth_facade::Error>) -> Result<String, &'static str> {
    server
        .and_then(|server| server.to_json())
        .map_err(|error| error.code())
}

fn with_values(
    provider: Provider,
    values: &[(String, String)],
) -> Result<Server, oauth_facade::Error> {
    let with = |provider: Provider, (name, value): &(String, String)| provider.with(name, value);
    Server::from_provider(values.iter().try_fold(provider, with)?)
}

#[test]
fn preset_and_provider_accept_the_same_values() {
    for (provider, preset) in presets() {
        let examples: Vec<_> = provider
            .variables()
            .map(|variable| (variable.name.clone(), variable.example.clone()))
            .collect();
        for variable in provider.variables() {
            for value in VALUES {
                let mut values = examples.clone();
                values.retain(|(name, _)| *name != variable.name);
                values.push((variable.name.clone(), (*value).to_owned()));
                assert_eq!(
                    error_text(preset.server(&values, &[], None)),
                    error_text(with_values(provider.clone(), &values)),
                    "{}: {} = {value}",
                    provider.name(),
                    variable.name
                );
            }
        }
        assert_eq!(
            error_text(preset.server(&[], &[], None)),
            error_text(with_values(provider.clone(), &[])),
            "{} without values",
            provider.name()
        );
    }
}

#[test]
fn preset_and_provider_agree_on_loopback_and_options() {
    for (provider, preset) in presets() {
        let values: Vec<_> = provider
            .variables()
            .map(|variable| (variable.name.clone(), variable.example.clone()))
            .collect();
        let options: Vec<String> = provider
            .options()
            .map(|(name, _)| name.to_owned())
            .collect();
        for base in [
            "http://127.0.0.1:1234",
            "http://localhost:1",
            "https://as.example",
            "x",
        ] {
            let file = options
                .iter()
                .try_fold(provider.clone(), |p, name| p.option(name));
            let file = file.and_then(|file| file.on_loopback(base));
            assert_eq!(
                error_text(preset.server(&values, &options, Some(base))),
                error_text(file.and_then(|file| with_values(file, &values))),
                "{} on {base}",
                provider.name()
            );
        }
        let unknown = preset.server(&values, &["nothing".to_owned()], None);
        assert_eq!(error_text(unknown), Err("provider.variable"));
    }
}

#[test]
fn every_preset_refuses_a_secret_in_the_browser_with_its_reason() {
    for (provider, preset) in presets() {
        let values: Vec<_> = provider
            .variables()
            .map(|variable| (variable.name.clone(), variable.example.clone()))
            .collect();
        let server = preset.server(&values, &[], None).expect("examples fit");
        let server = Server::from_json(&server.to_json().expect("texts")).expect("its own text");
        let refused = server
            .check_secret_in_browser()
            .map_err(|error| error.to_string());
        let original = provider
            .check_secret_in_browser()
            .map_err(|error| error.to_string());
        assert_eq!(refused, original);
        let unfilled = preset
            .check_secret_in_browser()
            .map_err(|error| error.to_string());
        assert_eq!(unfilled, original);
        let with = |secret: Option<&str>| {
            let auth = Auth::Documented(secret.map(Into::into));
            Client::new(&server, "id", auth).map_err(|error| error.code())
        };
        assert_eq!(
            with(Some("s")).err(),
            Some("client_auth.secret_not_allowed")
        );
        let public = provider.client_auth(None).map_err(|error| error.code());
        assert_eq!(with(None).err(), public.err());
    }
}

#[test]
fn every_variable_type_is_validated_like_in_the_provider() {
    for kind in [
        VariableKind::DnsLabel,
        VariableKind::IssuerId,
        VariableKind::Guid,
        VariableKind::Host,
        VariableKind::PathSegment,
        VariableKind::Tenant,
    ] {
        let toml = format!(
            "name = \"x\"\ntitle = \"X\"\nissuer = \"https://{}\"\nclient_auth = \"post\"\n\
             grants = []\n[variables.v]\ntype = \"{}\"\ndescription = \"d\"\nexample = \"{}\"",
            match kind {
                VariableKind::DnsLabel | VariableKind::Host => "{v}",
                _ => "as.example/{v}",
            },
            kind.as_str(),
            match kind {
                VariableKind::Host => "as.example",
                VariableKind::Guid | VariableKind::Tenant => "9e7f5a10-1234-4000-8000-0123456789ab",
                _ => "a",
            }
        );
        let provider = Provider::from_toml(&toml).expect("a file");
        let preset = Preset::from_provider(&provider).expect("a preset");
        for value in VALUES {
            let values = [("v".to_owned(), (*value).to_owned())];
            assert_eq!(
                error_text(preset.server(&values, &[], None)),
                error_text(with_values(provider.clone(), &values)),
                "{} = {value}",
                kind.as_str()
            );
        }
    }
}
