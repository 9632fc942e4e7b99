//! `oauth call`: a request to an API, with a token that goes nowhere else (RFC 6750).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::{self, Resource, Verdict};
use oauth_core::token::Freshness;
use oauth_core::url::Url;
use oauth_core::{Moment, Scope, Tokens, danger};
use oauth_providers::TokenFor;
use oauth_reqwest::ResponseExt as _;
use oauth_reqwest::reqwest::blocking::Response;
use serde_json::{Value, json};

use super::refresh::renewed;
use super::token::{self, GrantType};
use crate::Global;
use crate::grants::{Choice, Grant, Grants, Owner};
use crate::net::{Net, header};
use crate::output::{self, Failure, Output};
use crate::setup::{Need, Plan, ServerArgs, Setup};
use crate::token_file::TokenFile;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth --profile acme call https://acme.uservoice.com/api/v2/admin/suggestions
  oauth --profile acme call https://api.acme.example/things -d '{\"a\":1}' --origin https://api.acme.example
  oauth --profile socios call https://api-public.socios.com/user/polls --tokens tokens.json

The token is that of oauth token --profile, or that of --tokens, renewed when it has to be. It goes to
the provider's API and to the origins of --origin, and nowhere else. A 401 is answered once with a
new token. The body is printed whatever the status; the exit code is 1 from 400 on.";

/// How long before its end a token is taken for over.
const LEEWAY: Duration = Duration::from_secs(30);

/// Calls an API with a token.
#[derive(Debug, Args)]
pub(crate) struct Call {
    #[command(flatten)]
    server: ServerArgs,
    /// The URL
    url: String,
    /// The method [default: GET, or POST with a body]
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<Method>,
    /// The body; without a Content-Type it is sent as JSON if it is JSON, else as a form
    #[arg(short, long, value_name = "BODY")]
    data: Option<String>,
    /// A header, such as "Accept: text/csv"
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = field)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// An origin that may get the token, beside the provider's API
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Use a person's tokens, from a file that --save wrote
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// How to get the token [default: from the profile's login, or else as the client itself]
    #[arg(long, value_enum, conflicts_with = "tokens")]
    grant: Option<GrantType>,
    /// What to ask for, names separated by spaces
    #[arg(long, conflicts_with = "tokens")]
    scope: Option<String>,
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("there is no `:`")?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "this is no header's name")?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| "no header can carry this")?;
    Ok((name, value))
}

impl Call {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let request = self.request()?;
        let url = Url::parse(&self.url)?;
        let plan = Plan::new(self.server, global)?;
        let resource = resource(&plan, &self.origins)?;
        // Before a token is fetched for a place that must not have it.
        resource.check(&url)?;
        let wanted = plan.provider.as_ref();
        let wanted = wanted.map_or(TokenFor::Any, |provider| provider.token_for(url.as_str()));
        let kept = match self.tokens {
            Some(_) => None,
            None => Grants::of(&plan.profile, global)?,
        };
        let scope = plan.scope(self.scope.as_ref())?;
        let send = |source: &Source<'_>, setup: &Setup| {
            let response = send(source, &setup.net, &resource, &request)?;
            finish(response, output)
        };
        if let Some(grants) = &kept {
            let choice = match wanted {
                TokenFor::Application => Choice::Client,
                _ => token::choice(self.grant),
            };
            let chosen = grants.choose(&plan, choice, self.scope.as_ref())?;
            check_route(wanted, &url, matches!(chosen.owner, Owner::Login))?;
            let setup = grants.set_up(plan, &chosen)?;
            let grant = grants.open(&setup, chosen.owner, output);
            return send(&Source::Kept(grant), &setup);
        }
        check_route(wanted, &url, self.tokens.is_some())?;
        let need = match self.tokens {
            Some(_) => Need::Perhaps,
            None => Need::Secret,
        };
        let setup = plan.set_up(need, false)?;
        let source = match self.tokens {
            Some(path) => Source::File(TokenFile(path), &setup),
            None => Source::Own(scope, &setup),
        };
        send(&source, &setup)
    }

    fn request(&self) -> Result<http::Request<Bytes>, Failure> {
        let body = self.data.clone();
        let implied = match body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = self.method.clone().unwrap_or(implied);
        *request.uri_mut() = self
            .url
            .parse()
            .map_err(|_| Error::from(Misuse::UrlSyntax))?;
        request.headers_mut().extend(self.headers.clone());
        if let Some(body) = body {
            let is_json = serde_json::from_str::<Value>(&body).is_ok();
            let kind = match is_json {
                true => "application/json",
                false => "application/x-www-form-urlencoded",
            };
            let kind = HeaderValue::from_static(kind);
            request.headers_mut().entry(CONTENT_TYPE).or_insert(kind);
            *request.body_mut() = body.into();
        }
        Ok(request)
    }
}

/// The origins that may get the token.
fn resource(plan: &Plan, said: &[String]) -> Result<Resource, Error> {
    let mut origins = plan.profile.origins.clone();
    origins.extend_from_slice(said);
    if let Some(provider) = &plan.provider {
        origins.extend(provider.api_origins()?);
    }
    let origins = origins.iter().map(String::as_str);
    if plan.profile.loopback_http || plan.profile.on_loopback.is_some() {
        danger::loopback_resource(origins)
    } else {
        Resource::new(origins)
    }
}

/// Some APIs want a person's token for some routes, and the application's for all others.
fn check_route(wanted: TokenFor, url: &Url, is_users: bool) -> Result<(), Failure> {
    let fail = |whose: &str, hint: &str| {
        let message = format_args!("{} wants {whose} token", url.path()).to_string();
        Err(Failure::usage("usage.token_for_route", message, hint))
    };
    match (wanted, is_users) {
        (TokenFor::User, false) => fail(
            "the person's",
            "log in with a profile and name that, or with --save FILE and --tokens FILE",
        ),
        (TokenFor::Application, true) => fail("the application's", "leave out --tokens"),
        _ => Ok(()),
    }
}

/// Where tokens come from.
enum Source<'a> {
    /// The store of the profile.
    Kept(Grant<'a>),
    /// A file that --save wrote.
    File(TokenFile, &'a Setup),
    /// The server, each time anew.
    Own(Scope, &'a Setup),
}

impl Source<'_> {
    /// A token that is not known to be over.
    fn token(&self) -> Result<Arc<Tokens>, Failure> {
        let (file, setup) = match self {
            Self::Kept(grant) => return grant.token(),
            Self::Own(scope, setup) => return new_one(setup, scope),
            Self::File(file, setup) => (file, setup),
        };
        let tokens = file.load()?;
        setup.client.check_owner(&tokens)?;
        let leeway = LEEWAY.min(Duration::from_secs(
            tokens.expires_in.unwrap_or_default() / 10,
        ));
        match tokens.freshness(Moment::system()?.now(), leeway) {
            Freshness::Stale => self.renew(&tokens),
            _ => Ok(tokens.into()),
        }
    }

    /// A token to take the place of a dead one.
    fn renew(&self, dead: &Tokens) -> Result<Arc<Tokens>, Failure> {
        match self {
            Self::Kept(grant) => grant.renew(dead),
            Self::Own(scope, setup) => new_one(setup, scope),
            Self::File(file, setup) => {
                let Setup { net, client, .. } = setup;
                let tokens = file.renew(Some(dead), |old| renewed(net, client, old))?;
                Ok(tokens.into())
            }
        }
    }
}

fn new_one(setup: &Setup, scope: &Scope) -> Result<Arc<Tokens>, Failure> {
    let asked = setup.client.client_credentials(scope.clone());
    Ok(setup.net.run(asked)?.into())
}

/// Sends the request, and once more if the reply says that the token is dead.
fn send(
    source: &Source<'_>,
    net: &Net,
    resource: &Resource,
    request: &http::Request<Bytes>,
) -> Result<Response, Failure> {
    let with = |tokens: &Tokens| {
        let (mut parts, body) = request.clone().into_parts();
        resource.before(&mut parts, Some(&body), &tokens.access_token)?;
        net.call(http::Request::from_parts(parts, body))
    };
    let tokens = source.token()?;
    let response = with(&tokens)?;
    match resource::after(response.status(), response.headers()) {
        Verdict::Renew => Ok(with(&*source.renew(&tokens)?)?),
        _ => Ok(response),
    }
}

/// Prints the body; a status from 400 on is a failure.
fn finish(mut response: Response, output: Output) -> Result<(), Failure> {
    let status = response.status();
    let pause = response.retry_after();
    if output.json {
        let kind = header(response.headers(), "content-type").to_owned();
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut response, &mut body).map_err(|why| {
            Failure::refused(
                "call.cut",
                format_args!("the body was cut: {why}"),
                "try again",
            )
        })?;
        let text = || Value::from(String::from_utf8_lossy(&body));
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| text());
        let record = json!({ "status": status.as_u16(), "content_type": kind, "body": body });
        output::print(&record)?;
    } else {
        output::pour(&mut response)?;
    }
    if status.is_client_error() || status.is_server_error() {
        let hint = match pause {
            Some(pause) => format!("the API asks for a pause of {} s", pause.as_secs()),
            None => "see the body; --trace shows the headers".to_owned(),
        };
        return Err(Failure::refused(
            "call.status",
            format_args!("the API answered {status}"),
            hint,
        ));
    }
    Ok(())
}
