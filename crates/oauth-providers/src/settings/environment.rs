//! The environment variables that configure a client. `environment.rs` of oauth-reqwest reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use oauth_core::Secret;
use oauth_core::client_auth::FederatedAssertion;
use oauth_core::error::{Error, Misuse};
use oauth_core::workload::{CredentialSource, Environment, TokenFormat, WorkloadToken};

use super::{ClientSettings, Credential, ServerSource, check_redirect_uris, preset, unreadable};
use crate::workload::present;
use crate::{Platform, Workload};

const CLIENT_FILE: &str = "OAUTH_CLIENT_FILE";
const ISSUER: &str = "OAUTH_ISSUER";
const PROVIDER: &str = "OAUTH_PROVIDER";
const CLIENT_ID: &str = "OAUTH_CLIENT_ID";
const SECRET: &str = "OAUTH_CLIENT_SECRET";
const SECRET_FILE: &str = "OAUTH_CLIENT_SECRET_FILE";
const KEY_FILE: &str = "OAUTH_CLIENT_KEY_FILE";
const KEY_ID: &str = "OAUTH_CLIENT_KEY_ID";
const ASSERTION_FILE: &str = "OAUTH_ASSERTION_FILE";
const AUDIENCE: &str = "OAUTH_ASSERTION_AUDIENCE";
const EXCHANGE_AUDIENCE: &str = "OAUTH_EXCHANGE_AUDIENCE";
const WORKLOAD: &str = "OAUTH_WORKLOAD";
const WORKLOAD_FILE: &str = "OAUTH_WORKLOAD_FILE";
const WORKLOAD_VARIABLE: &str = "OAUTH_WORKLOAD_VARIABLE";
const REDIRECT_URIS: &str = "OAUTH_REDIRECT_URIS";

/// The variables of authentication methods, of which a client uses one.
const CREDENTIALS: [&str; 5] = [SECRET, SECRET_FILE, KEY_FILE, ASSERTION_FILE, WORKLOAD];
/// The variables that belong only to one of these.
const COMPANIONS: [(&str, &[&str]); 5] = [
    (EXCHANGE_AUDIENCE, &[WORKLOAD]),
    (KEY_ID, &[KEY_FILE]),
    (AUDIENCE, &[ASSERTION_FILE, WORKLOAD]),
    (WORKLOAD_FILE, &[WORKLOAD]),
    (WORKLOAD_VARIABLE, &[WORKLOAD]),
];
/// The variables that name the workload in Azure.
const AZURE_CLIENT_ID: &str = "AZURE_CLIENT_ID";
const AZURE_TENANT_ID: &str = "AZURE_TENANT_ID";
const AZURE_AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
const AZURE: &str = "azure";
const ENTRA: &str = "microsoft-entra";

pub(super) fn read(environment: &Arc<dyn Environment>) -> Result<ClientSettings, Error> {
    let variables = Variables(&**environment);
    if let Some(path) = variables.get(CLIENT_FILE) {
        let names = [ISSUER, PROVIDER, CLIENT_ID, REDIRECT_URIS];
        let names = names.iter().chain(&CREDENTIALS);
        let companions = COMPANIONS.iter().map(|(name, _)| name);
        for other in names.chain(companions) {
            variables.exclude(CLIENT_FILE, other)?;
        }
        return ClientSettings::from_file(&path, environment);
    }
    for (at, name) in CREDENTIALS.iter().enumerate() {
        for other in CREDENTIALS.iter().skip(at + 1) {
            variables.exclude(name, other)?;
        }
    }
    for (name, with) in COMPANIONS {
        if variables.has(name) && !with.iter().any(|with| variables.has(with)) {
            return Err(missing(&with.join(" or ")));
        }
    }
    let platform = variables.get(WORKLOAD);
    let platform = platform.as_deref().map(Platform::from_name).transpose()?;
    let is_azure = platform == Some(Platform::Azure);
    let unset = missing_variables(environment);
    if unset.len() > 1 {
        return Err(missing(&unset.join(", ")));
    }
    let server = variables.server(is_azure)?;
    let client_id = variables.client_id(is_azure);
    let client_id = client_id.ok_or_else(|| missing(CLIENT_ID))?;
    let uris = variables.get(REDIRECT_URIS).unwrap_or_default();
    let redirect_uris: Vec<_> = uris.split_whitespace().map(str::to_owned).collect();
    check_redirect_uris(&redirect_uris, REDIRECT_URIS)?;
    Ok(ClientSettings {
        server,
        client_id,
        credential: variables.credential(environment, platform)?,
        redirect_uris,
    })
}

/// The variables that every client needs and that are not set.
pub(super) fn missing_variables(environment: &Arc<dyn Environment>) -> Vec<String> {
    let variables = Variables(&**environment);
    if variables.has(CLIENT_FILE) {
        return Vec::new();
    }
    let is_azure = variables.get(WORKLOAD).as_deref() == Some(AZURE);
    let is_placed = is_azure || variables.has(ISSUER) || variables.has(PROVIDER);
    let server = (!is_placed).then(|| format!("{ISSUER} or {PROVIDER}"));
    let client_id = variables.client_id(is_azure);
    let client_id = client_id.is_none().then(|| CLIENT_ID.to_owned());
    server.into_iter().chain(client_id).collect()
}

struct Variables<'a>(&'a dyn Environment);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        present(self.0, name)
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn client_id(&self, is_azure: bool) -> Option<String> {
        match self.get(CLIENT_ID) {
            None if is_azure => self.get(AZURE_CLIENT_ID),
            id => id,
        }
    }

    /// Refuses two variables together: it must not be a guess which of them counts.
    fn exclude(&self, one: &str, other: &str) -> Result<(), Error> {
        if self.has(one) && self.has(other) {
            Err(Error::from(Misuse::EnvironmentConflict).about(&format!("{one} and {other}")))
        } else {
            Ok(())
        }
    }

    fn server(&self, is_azure: bool) -> Result<ServerSource, Error> {
        self.exclude(ISSUER, PROVIDER)?;
        if let Some(issuer) = self.get(ISSUER) {
            return Ok(ServerSource::Issuer(issuer));
        }
        let name = match self.get(PROVIDER) {
            Some(name) => name,
            None if is_azure => ENTRA.to_owned(),
            None => return Err(missing(&format!("{ISSUER} or {PROVIDER}"))),
        };
        let provider = crate::provider(&name)?;
        let mut chosen = BTreeMap::new();
        for variable in provider.variables() {
            let named = format!("{PROVIDER}_{}", variable.name.to_ascii_uppercase());
            let value = match self.get(&named) {
                None if is_azure && name == ENTRA => self.tenant()?,
                issuer_text => issuer_text,
            };
            match value {
                Some(value) => drop(chosen.insert(variable.name.clone(), value)),
                None if variable.default.is_none() && is_azure && name == ENTRA => {
                    return Err(missing(&format!("{named} or {AZURE_TENANT_ID}")));
                }
                None if variable.default.is_none() => return Err(missing(&named)),
                None => {}
            }
        }
        preset(&name, chosen)
    }

    /// The directory of a workload in Azure, if it is in the cloud of the preset.
    fn tenant(&self) -> Result<Option<String>, Error> {
        let host = self.get(AZURE_AUTHORITY_HOST);
        let is_global =
            |host: &str| host.trim_end_matches('/') == "https://login.microsoftonline.com";
        if host.is_none_or(|host| is_global(&host)) {
            Ok(self.get(AZURE_TENANT_ID))
        } else {
            let detail = format!("{AZURE_AUTHORITY_HOST} is another cloud's: set {ISSUER}");
            Err(Error::from(Misuse::WorkloadSetup).about(&detail))
        }
    }

    fn credential(
        &self,
        environment: &Arc<dyn Environment>,
        platform: Option<Platform>,
    ) -> Result<Credential, Error> {
        if let Some(platform) = platform {
            let mut workload = Workload::new(platform);
            if let Some(path) = self.get(WORKLOAD_FILE) {
                workload = workload.path(path);
            }
            if let Some(name) = self.get(WORKLOAD_VARIABLE) {
                workload = workload.variable(name);
            }
            if let Some(audience) = self.get(AUDIENCE) {
                workload = workload.audience(audience);
            }
            let exchange = self.get(EXCHANGE_AUDIENCE);
            return Credential::for_workload(&workload, exchange.as_deref(), environment);
        }
        if let Some(path) = self.get(ASSERTION_FILE) {
            let format = TokenFormat::Text;
            let source = CredentialSource::File { path, format };
            let token = WorkloadToken::from_source(source, Arc::clone(environment));
            let assertion = FederatedAssertion::from_workload_token(token);
            return Ok(Credential::Workload(match self.get(AUDIENCE) {
                Some(audience) => assertion.audience(audience),
                None => assertion,
            }));
        }
        if let Some(path) = self.get(KEY_FILE) {
            let kid = self.get(KEY_ID).unwrap_or_default();
            let key = self.file(&path)?;
            return Ok(Credential::Key { key, kid });
        }
        let secret = match self.get(SECRET_FILE) {
            Some(path) => Some(self.file(&path)?),
            None => self.get(SECRET).map(Secret::new),
        };
        Ok(Credential::Secret(secret))
    }

    /// A file's text without the line break that editors end it with. An empty one was mounted and never filled: the
    /// server would only report a wrong credential.
    fn file(&self, path: &str) -> Result<Secret<String>, Error> {
        let text = self.0.file(path);
        let text = text.map_err(|reason| unreadable(path, reason))?;
        match text.expose().trim_end_matches(['\r', '\n']) {
            "" => Err(Error::from(Misuse::ClientFileUnreadable).about(&format!("{path} is empty"))),
            text => Ok(Secret::from(text)),
        }
    }
}

fn missing(names: &str) -> Error {
    Error::from(Misuse::EnvironmentMissing).about(names)
}
