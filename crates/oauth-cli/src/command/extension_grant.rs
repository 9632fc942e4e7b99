//! `oauth token --grant NAME`: tokens from an extension grant that the provider file defines (RFC 6749 section 4.5).

use std::path::PathBuf;

use oauth_core::Tokens;
use oauth_core::grant::ExtensionGrantParameter;

use crate::output::Failure;
use crate::secret_source::Source;
use crate::setup::{ClientPlan, SecretRequirement};
use crate::token_request::TokenRequestArgs;

/// Requests tokens with this grant. Its parameters come from `--param`, and the secret ones from
/// `--secret-param`.
pub(super) fn tokens(
    name: &str,
    plan: ClientPlan,
    mut args: TokenRequestArgs,
    secrets: Vec<(String, String)>,
) -> Result<Tokens, Failure> {
    let grant_parameters = args.take_parameters();
    let token_request = plan.token_request(&args)?;
    let setup = plan.set_up(SecretRequirement::Optional, false)?;
    let mut grant = setup.client.extension(name)?;
    let mut definitions = setup.client.server().extension_grants();
    let definition = definitions.find(|definition| definition.name() == name);
    let parameters = definition.map_or(&[][..], |definition| definition.parameters());
    let is_secret = |name: &str| {
        let mut secret_parameters = parameters.iter().filter(|parameter| parameter.is_secret());
        secret_parameters.any(|parameter| parameter.name() == name)
    };
    for (name, value) in grant_parameters {
        if is_secret(&name) {
            return Err(Failure::usage(
                "usage.secret_parameter",
                format_args!(
                    "`{name}` is a secret, and every user of this machine can read command lines"
                ),
                format_args!("pass it in a file: --secret-param {name}=FILE"),
            ));
        }
        grant = grant.parameter(&name, value)?;
    }
    for (name, path) in secrets {
        let source = Source::File(PathBuf::from(path));
        let secret = source.read(&format!("the parameter `{name}`"), "pass another file")?;
        grant = grant.parameter(&name, secret)?;
    }
    let missing = |parameter: &&ExtensionGrantParameter| {
        parameter.is_required() && !grant.has(parameter.name())
    };
    if let Some(missing) = parameters.iter().find(missing) {
        let option = if missing.is_secret() {
            format!("--secret-param {}=FILE", missing.name())
        } else {
            format!("--param {}=VALUE", missing.name())
        };
        return Err(Failure::usage(
            "usage.parameter",
            format_args!(
                "the grant `{name}` requires the parameter `{}`",
                missing.name()
            ),
            format_args!("use {option}"),
        ));
    }
    let tokens = setup.net.run(setup.client.token(grant, token_request));
    tokens.map_err(|error| {
        Failure::from(error)
            .without_login("the server does not accept this grant; check its parameters")
    })
}
