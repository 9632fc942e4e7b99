//! The kinds of client files, distinguished by their members.

use std::collections::BTreeMap;
use std::sync::Arc;

use oauth_core::error::Error;
use oauth_core::json::{self, Json, Object};
use oauth_core::url::Url;
use oauth_core::workload::{Environment, MAX_BYTES};

use super::external_account::ExternalAccount;
use super::{
    ClientSettings, Credential, ServerSource, check_redirect_uris, malformed, preset, unsupported,
};
use crate::{Platform, ServiceAccount, Workload};

/// The members that a plain file may have.
const PLAIN: &[&str] = &[
    "issuer",
    "provider",
    "variables",
    "client_id",
    "client_secret",
    "private_key",
    "key_id",
    "workload",
    "redirect_uris",
];
const WORKLOAD: &[&str] = &[
    "platform",
    "path",
    "variable",
    "audience",
    "exchange_audience",
];
/// The members of a client of Microsoft Entra in one kind of file.
struct EntraNames {
    client_id: &'static str,
    tenant: &'static str,
    secret: &'static str,
    instance: &'static str,
}

/// The section of Microsoft.Identity.Web
/// <https://learn.microsoft.com/en-us/entra/msal/dotnet/microsoft-identity-web/>
const ENTRA_SECTION: EntraNames = EntraNames {
    client_id: "ClientId",
    tenant: "TenantId",
    secret: "ClientSecret",
    instance: "Instance",
};
/// <https://github.com/Azure/login#login-with-a-service-principal-secret>
const ENTRA_LOGIN: EntraNames = EntraNames {
    client_id: "clientId",
    tenant: "tenantId",
    secret: "clientSecret",
    instance: "activeDirectoryEndpointUrl",
};
/// What `az ad sp create-for-rbac` prints
/// <https://learn.microsoft.com/en-us/cli/azure/azure-cli-sp-tutorial-1>
const ENTRA_PRINCIPAL: EntraNames = EntraNames {
    client_id: "appId",
    tenant: "tenant",
    secret: "password",
    instance: "activeDirectoryEndpointUrl",
};
/// The list of ways to authenticate in the section of Microsoft.Identity.Web.
const CREDENTIALS: &str = "ClientCredentials";
/// Where these files name certificates.
const CERTIFICATES: [&str; 2] = ["ClientCertificates", "fileWithCertAndPrivateKey"];
/// The host of the directories of Microsoft Entra's global cloud.
const ENTRA: &str = "https://login.microsoftonline.com";

pub(super) fn read(
    text: &str,
    environment: &Arc<dyn Environment>,
) -> Result<ClientSettings, Error> {
    if text.len() > MAX_BYTES {
        return Err(malformed("it is larger than 64 KiB"));
    }
    // Editors on Windows put a byte order mark there, which may be ignored (RFC 8259 section 8.1).
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The error must not contain a piece of the text.
    let Ok(Json::Object(file)) = json::parse(text) else {
        return Err(malformed("it is not a JSON object"));
    };
    match member(&file, "type")? {
        Some("service_account") => return service_account(text),
        Some("external_account") => return external_account(&file, environment),
        Some(
            "authorized_user" | "impersonated_service_account" | "external_account_authorized_user",
        ) => {
            return Err(unsupported("this `type`: it holds no client of its own"));
        }
        Some(_) => return Err(malformed("type")),
        None => {}
    }
    if let Some((kind, Json::Object(client))) = ["installed", "web"]
        .iter()
        .find_map(|kind| Some((*kind, file.get(kind)?)))
    {
        return google(kind, client);
    }
    if let Some(Json::Object(section)) = file.get("AzureAd") {
        return entra_settings(section, &ENTRA_SECTION);
    }
    [ENTRA_LOGIN, ENTRA_PRINCIPAL]
        .iter()
        .find(|names| file.get(names.client_id).is_some())
        .map_or_else(
            || plain(&file, environment),
            |names| entra_settings(&file, names),
        )
}

/// <https://developers.google.com/api-client-library/dotnet/guide/aaa_client_secrets>
fn google(kind: &str, client: &Object<'_>) -> Result<ClientSettings, Error> {
    if let Some(token_uri) = member(client, "token_uri")? {
        let url = Url::parse(token_uri).map_err(|_| malformed("token_uri"))?;
        let is_google =
            url.host().ends_with(".googleapis.com") || url.host() == "accounts.google.com";
        if url.scheme() != "https" || !is_google {
            return Err(malformed("token_uri: it is not Google's"));
        }
    }
    let redirect_uris = match kind {
        "web" => redirect_uris(client)?,
        // An installed app may use any port and path on this machine.
        _ => Vec::new(),
    };
    Ok(ClientSettings {
        server: preset("google", BTreeMap::new())?,
        client_id: required_member(client, "client_id")?.to_owned(),
        credential: Credential::Secret(member(client, "client_secret")?.map(Into::into)),
        redirect_uris,
    })
}

fn service_account(text: &str) -> Result<ClientSettings, Error> {
    let account = ServiceAccount::from_json(text)?;
    Ok(ClientSettings {
        server: preset("google", BTreeMap::new())?,
        client_id: account.client_email().to_owned(),
        credential: Credential::Account(account),
        redirect_uris: Vec::new(),
    })
}

fn external_account(
    file: &Object<'_>,
    environment: &Arc<dyn Environment>,
) -> Result<ClientSettings, Error> {
    let token_url = required_member(file, "token_url")?.to_owned();
    let account = ExternalAccount::read(file, environment)?;
    Ok(ClientSettings {
        server: ServerSource::Sts(token_url),
        client_id: account.client_id().to_owned(),
        credential: Credential::External(account),
        redirect_uris: Vec::new(),
    })
}

fn entra_settings(file: &Object<'_>, names: &EntraNames) -> Result<ClientSettings, Error> {
    let cloud = member(file, names.instance)?.unwrap_or(ENTRA);
    if cloud.trim_end_matches('/') != ENTRA {
        return Err(unsupported(&format!(
            "{}: there is a preset for {ENTRA} alone",
            names.instance
        )));
    }
    // Microsoft's own templates have empty lists beside a secret.
    let is_empty = |list: &Json<'_>| matches!(list, Json::Array(list) if list.is_empty());
    let has = |name: &str| file.get(name).is_some_and(|value| !is_empty(value));
    if let Some(certificate) = CERTIFICATES.iter().find(|name| has(name)) {
        return Err(unsupported(certificate));
    }
    let tenant = required_member(file, names.tenant)?.to_owned();
    let own_secret = member(file, names.secret)?;
    let credentials = file.get(CREDENTIALS);
    let secret = match credentials.filter(|list| own_secret.is_none() || !is_empty(list)) {
        None => own_secret,
        Some(credentials) => {
            let secret = described_secret(credentials);
            Some(secret.filter(|_| own_secret.is_none()).ok_or_else(|| {
                let detail = format!("{CREDENTIALS}: other than one ClientSecret alone");
                unsupported(&detail)
            })?)
        }
    };
    Ok(ClientSettings {
        server: preset(
            "microsoft-entra",
            BTreeMap::from([("tenant".to_owned(), tenant)]),
        )?,
        client_id: required_member(file, names.client_id)?.to_owned(),
        credential: Credential::Secret(secret.map(Into::into)),
        redirect_uris: Vec::new(),
    })
}

/// The secret of a list of credentials that has nothing else: which of several counts is tried by Microsoft's own
/// library.
fn described_secret<'a>(credentials: &'a Json<'_>) -> Option<&'a str> {
    let Json::Array(credentials) = credentials else {
        return None;
    };
    let [Json::Object(credential)] = credentials.as_slice() else {
        return None;
    };
    let text = |name: &str| credential.get(name).and_then(Json::as_str);
    text("ClientSecret")
        .filter(|secret| !secret.is_empty() && text("SourceType") == Some("ClientSecret"))
}

fn plain(file: &Object<'_>, environment: &Arc<dyn Environment>) -> Result<ClientSettings, Error> {
    check_members(file, PLAIN, "")?;
    let client_id = required_member(file, "client_id")?.to_owned();
    let server = match (member(file, "issuer")?, member(file, "provider")?) {
        (Some(_), Some(_)) => return Err(malformed("either issuer or provider, not both")),
        (None, None) => return Err(malformed("issuer or provider")),
        (Some(_), None) if file.get("variables").is_some() => {
            return Err(malformed("variables: an issuer has none"));
        }
        (Some(issuer), None) => ServerSource::Issuer(issuer.to_owned()),
        (None, Some(name)) => preset(name, variables(file)?)?,
    };
    let workload = match file.get("workload") {
        None | Some(Json::Null) => None,
        Some(Json::Object(workload)) => Some(workload),
        Some(_) => return Err(malformed("workload")),
    };
    let kid = member(file, "key_id")?;
    let credential = match (
        member(file, "client_secret")?,
        member(file, "private_key")?,
        workload,
    ) {
        (secret, None, None) if kid.is_none() => Credential::Secret(secret.map(Into::into)),
        (None, Some(key), None) => Credential::Key {
            key: key.into(),
            kid: kid.unwrap_or_default().to_owned(),
        },
        (None, None, Some(workload)) if kid.is_none() => {
            let exchange = member(workload, "exchange_audience")?;
            Credential::for_workload(&read_workload(workload)?, exchange, environment)?
        }
        (_, None, _) if kid.is_some() => return Err(malformed("key_id: there is no private_key")),
        _ => {
            let one = "one of client_secret, private_key and workload, not several";
            return Err(malformed(one));
        }
    };
    Ok(ClientSettings {
        server,
        client_id,
        credential,
        redirect_uris: redirect_uris(file)?,
    })
}

fn read_workload(object: &Object<'_>) -> Result<Workload, Error> {
    check_members(object, WORKLOAD, "workload.")?;
    let mut workload = Workload::new(Platform::from_name(required_member(object, "platform")?)?);
    if let Some(path) = member(object, "path")? {
        workload = workload.path(path);
    }
    if let Some(variable) = member(object, "variable")? {
        workload = workload.variable(variable);
    }
    if let Some(audience) = member(object, "audience")? {
        workload = workload.audience(audience);
    }
    Ok(workload)
}

fn variables(file: &Object<'_>) -> Result<BTreeMap<String, String>, Error> {
    match file.get("variables") {
        None => Ok(BTreeMap::new()),
        Some(Json::Object(variables)) => variables
            .iter()
            .map(|(name, value)| {
                let value = value.as_str().ok_or_else(|| malformed("variables"))?;
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect(),
        Some(_) => Err(malformed("variables")),
    }
}

/// Refuses unknown members: an ignored one may be one that the author relies on.
fn check_members(object: &Object<'_>, allowed: &[&str], within: &str) -> Result<(), Error> {
    match object.iter().find(|(name, _)| !allowed.contains(name)) {
        Some((name, _)) => {
            let name: String = name.chars().take(40).collect();
            Err(malformed(&format!("{within}{name} is unknown")))
        }
        None => Ok(()),
    }
}

/// A string; `None` if it is missing or empty.
pub(super) fn member<'a>(object: &'a Object<'_>, name: &str) -> Result<Option<&'a str>, Error> {
    match object.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => {
            let text = value.as_str().ok_or_else(|| malformed(name))?;
            Ok(Some(text).filter(|text| !text.is_empty()))
        }
    }
}

pub(super) fn required_member<'a>(object: &'a Object<'_>, name: &str) -> Result<&'a str, Error> {
    member(object, name)?.ok_or_else(|| malformed(name))
}

fn texts(object: &Object<'_>, name: &str) -> Result<Vec<String>, Error> {
    let Some(value) = object.get(name) else {
        return Ok(Vec::new());
    };
    let texts = value.as_texts().ok_or_else(|| malformed(name))?;
    Ok(texts.into_iter().map(str::to_owned).collect())
}

fn redirect_uris(object: &Object<'_>) -> Result<Vec<String>, Error> {
    let uris = texts(object, "redirect_uris")?;
    check_redirect_uris(&uris, "redirect_uris")?;
    Ok(uris)
}
