//! Google's workload identity federation: `POST {token_url}`, a token exchange whose subject is the token of a
//! workload elsewhere.
//!
//! <https://google.aip.dev/auth/4117>, <https://docs.cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>

use std::sync::Arc;

use oauth_core::error::Error;
use oauth_core::issuer::Issuer;
use oauth_core::json::{Json, Object};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::url::{Transport, Url};
use oauth_core::workload::{
    CredentialSource, Environment, SubjectToken, TokenFormat, WorkloadToken, WorkloadTokenService,
};
use oauth_core::{Client, ClientAuth, ClientId, Scope, Secret, danger};

use super::file::{member, required_member};
use super::{malformed, unsupported};

/// The scope that Google's own libraries request by default: its exchange requires one.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// An account elsewhere, as Google's command line writes it into a file.
#[derive(Debug, Clone)]
pub(super) struct ExternalAccount {
    subject: SubjectToken,
    client_id: String,
    client_secret: Option<Secret<String>>,
}

impl ExternalAccount {
    pub(super) fn read(
        file: &Object<'_>,
        environment: &Arc<dyn Environment>,
    ) -> Result<Self, Error> {
        let refused = [
            "service_account_impersonation_url",
            "service_account_impersonation",
            "workforce_pool_user_project",
        ];
        for name in refused {
            if file.get(name).is_some() {
                let detail =
                    format!("{name}: grant the workload's own principal its roles instead");
                return Err(unsupported(&detail));
            }
        }
        if member(file, "universe_domain")?.is_some_and(|domain| domain != "googleapis.com") {
            return Err(unsupported("universe_domain"));
        }
        let Some(Json::Object(source)) = file.get("credential_source") else {
            return Err(malformed("credential_source"));
        };
        let audience = required_member(file, "audience")?;
        let token = WorkloadToken::from_source(credential_source(source)?, Arc::clone(environment));
        let kind = required_member(file, "subject_token_type")?;
        let subject = SubjectToken::new(token, kind, audience).default_scope(Scope::parse(SCOPE)?);
        let client_secret = member(file, "client_secret")?.map(Secret::from);
        let client_id = match (member(file, "client_id")?, &client_secret) {
            (Some(id), _) => id,
            (None, None) => audience,
            (None, Some(_)) => return Err(malformed("client_id")),
        };
        Ok(Self {
            subject,
            client_id: client_id.to_owned(),
            client_secret,
        })
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(super) fn client(&self, server: Server, id: ClientId) -> Result<Client, Error> {
        let auth = match &self.client_secret {
            Some(secret) => ClientAuth::basic(secret.clone()),
            None => ClientAuth::without_client_id(),
        };
        let client = Client::new(server, id, auth)?;
        Ok(client.with_subject_token(self.subject.clone()))
    }
}

/// The exchange. A token of the workload is sent only to Google.
pub(super) fn server(token_url: &str, transport: Transport) -> Result<Server, Error> {
    let wrong = || malformed("token_url: it is not Google's");
    let url = Url::parse(token_url).map_err(|_| wrong())?;
    let is_google = url.scheme() == "https" && url.host().ends_with(".googleapis.com");
    let server = match transport {
        _ if is_google => Server::new(Issuer::parse(&url.origin())?),
        Transport::LoopbackHttp if url.is_loopback() => {
            danger::loopback_server(Server::new(danger::loopback_issuer(&url.origin())?))
        }
        _ => return Err(wrong()),
    };
    server.with_endpoint(EndpointKind::Token, url.as_str())
}

fn credential_source(source: &Object<'_>) -> Result<CredentialSource, Error> {
    for name in ["environment_id", "executable", "certificate"] {
        if source.get(name).is_some() {
            return Err(unsupported(&format!("credential_source.{name}")));
        }
    }
    let format = format(source)?;
    match (member(source, "file")?, member(source, "url")?) {
        (Some(path), None) => Ok(CredentialSource::File {
            path: path.to_owned(),
            format,
        }),
        (None, Some(url)) => {
            let endpoint = WorkloadTokenService::new(url)?.format(format);
            headers(source)?
                .try_fold(endpoint, |endpoint, (name, value)| {
                    let value = value.as_str();
                    let value = value.ok_or_else(|| malformed("credential_source.headers"))?;
                    endpoint.header(name, value)
                })
                .map(CredentialSource::Endpoint)
        }
        _ => Err(malformed("credential_source: a file or a url")),
    }
}

fn headers<'a, 'b>(
    source: &'a Object<'b>,
) -> Result<impl Iterator<Item = (&'a str, &'a Json<'b>)>, Error> {
    match source.get("headers") {
        None | Some(Json::Null) => Ok(None.into_iter().flatten()),
        Some(Json::Object(headers)) => Ok(Some(headers.iter()).into_iter().flatten()),
        Some(_) => Err(malformed("credential_source.headers")),
    }
}

fn format(source: &Object<'_>) -> Result<TokenFormat, Error> {
    let format = match source.get("format") {
        None | Some(Json::Null) => return Ok(TokenFormat::Text),
        Some(Json::Object(format)) => format,
        Some(_) => return Err(malformed("credential_source.format")),
    };
    match member(format, "type")? {
        None | Some("text") => Ok(TokenFormat::Text),
        Some("json") => Ok(TokenFormat::Json(
            required_member(format, "subject_token_field_name")?.to_owned(),
        )),
        Some(_) => Err(malformed("credential_source.format.type")),
    }
}
