//! `oauth call`: a request to an API, with a token that is sent nowhere else (RFC 6750).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use oauth_core::dpop::DPOP;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::{
    Api, Clock, Event, OnRateLimit, ResourceRequest, Step, TokenOwner,
};
use oauth_core::token::Freshness;
use oauth_core::url::Url;
use oauth_core::{Moment, Tokens};
use oauth_reqwest::ResponseExt as _;
use oauth_reqwest::blocking::peek;
use oauth_reqwest::reqwest::blocking::Response;
use oauth_session::FixedToken;
use serde_json::{Value, json};

use super::refresh::renewed;
use super::token::{self, GrantType};
use crate::Global;
use crate::api::api;
use crate::fixed_token::FixedArgs;
use crate::net::{Net, header};
use crate::output::{self, Failure, Output};
use crate::profile::ActsFor;
use crate::profile_tokens::{Choice, Grant, Owner, ProfileTokens};
use crate::setup::{ClientPlan, SecretRequirement, ServerArgs, Setup, net, no_server, provider_of};
use crate::token_file::TokenFile;
use crate::token_request::TokenRequestArgs;
use oauth_core::grant::TokenRequest;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth call --profile acme https://acme.uservoice.com/api/v2/admin/suggestions
  oauth call --profile acme -d '{\"a\":1}' https://api.acme.example/things \\
    --origin https://api.acme.example
  oauth call --profile socios https://api-public.socios.com/user/polls \\
    --tokens tokens.json
  oauth call --provider uservoice --var subdomain=acme --token-env TOKEN \\
    https://acme.uservoice.com/api/v2/admin/suggestions
  oauth call --profile ut --wait=120 \\
    'https://api.use2.usertesting.com/api/v2/sessionResults/?testId=1'

The token is the one that oauth token prints, or comes from a --tokens file; both are refreshed when \
necessary. A fixed token (--token-env or --token-file, `token_env` or `token_file` in the profile) is \
used as it is and never refreshed. The token is sent only to the provider's API, to the `origins` of \
the profile and to those given with --origin. If the API responds with 401, the request is retried \
once with a new token. The response body is always printed; the exit code is 1 if the status is 400 \
or higher, or if the response is a redirect that is not followed.";

/// The time before its expiry from which a token counts as expired.
const EXPIRY_LEEWAY: Duration = Duration::from_secs(30);

/// Calls an API with a token.
#[derive(Debug, Args)]
#[command(mut_arg("token_parameters", |arg| arg.visible_alias("param")))]
pub(crate) struct Call {
    #[command(flatten)]
    server: ServerArgs,
    /// URL to request
    url: String,
    /// HTTP method [default: GET, or POST with --data]
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<Method>,
    /// Request body; without a Content-Type header, sent as JSON if it is valid JSON, otherwise as a form
    #[arg(short, long, value_name = "BODY")]
    data: Option<String>,
    /// Add a request header, such as "Accept: text/csv"
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Allow the token to be sent to this origin, in addition to the provider's API
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Use a user's tokens, from a file written by --save
    #[arg(
        long,
        value_name = "FILE",
        group = "token",
        conflicts_with = "TokenRequestArgs"
    )]
    tokens: Option<PathBuf>,
    #[command(flatten)]
    fixed: FixedArgs,
    /// Wait and retry when the API limits the rate (429), for at most SECONDS in total [default
    /// without a value: 300]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "300")]
    wait: Option<u64>,
    /// Grant to use [default: the profile's login, or else the client's own credentials]
    #[arg(long, value_enum, conflicts_with = "tokens")]
    grant: Option<GrantType>,
    /// Act as the user or as the client [default: the profile's `as`, or see oauth token]
    #[arg(long = "as", value_enum, conflicts_with_all = ["token", "grant"])]
    acts_for: Option<ActsFor>,
    #[command(flatten)]
    request_args: TokenRequestArgs,
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("missing `:`")?;
    let name = name.trim().parse().map_err(|_| "invalid header name")?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| "invalid header value")?;
    Ok((name, value))
}

impl Call {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let request = self.request()?;
        let url = Url::parse(&self.url)?;
        let profile = self.server.loaded(global)?;
        let provider = provider_of(&profile)?;
        // Otherwise the first error would be about the URL, whose rules depend on the server.
        if provider.is_none() && profile.issuer.is_none() && !self.fixed.is_given(&profile) {
            return Err(no_server());
        }
        let api = api(&profile, provider.as_ref(), &self.origins)?;
        // Checked before a token is requested for a URL that must not receive it.
        api.resource().check(&url)?;
        let on_rate_limit = match self.wait {
            Some(longest) => OnRateLimit::Wait {
                longest: Duration::from_secs(longest),
            },
            None => OnRateLimit::Pass,
        };
        let authorized_request = AuthorizedRequest {
            api,
            request,
            on_rate_limit,
            output,
        };
        let fixed = match self.tokens {
            Some(_) => None,
            None => self.fixed.read(&profile)?,
        };
        if let (Some(fixed), None, None) = (fixed, self.grant, self.acts_for) {
            let net = net(&profile, global)?;
            let response =
                authorized_request.send(&authorized_request.api, &Source::Fixed(fixed), &net)?;
            return finish(response, output);
        }
        let token_owner = match &provider {
            Some(provider) => provider.token_for(url.as_str())?,
            None => TokenOwner::Any,
        };
        let plan = ClientPlan::for_profile(profile, global)?;
        let profile_tokens = match self.tokens {
            Some(_) => None,
            None => ProfileTokens::for_profile(&plan.profile, global)?,
        };
        let choice = token::choice(self.grant, self.acts_for, &plan.profile);
        if profile_tokens.is_none() && self.tokens.is_none() {
            choice.without_store()?;
        }
        let token_request = plan.token_request(&self.request_args)?;
        let send = |source: &Source<'_>, setup: &Setup| {
            let api = authorized_request.api.clone();
            let api = match setup.client.dpop_key() {
                Some(_) => api.with_dpop(&setup.client)?,
                None => api,
            };
            finish(authorized_request.send(&api, source, &setup.net)?, output)
        };
        if let Some(grants) = &profile_tokens {
            let choice = match (token_owner, choice) {
                (TokenOwner::Application, Choice::Either) => Choice::Client,
                _ => choice,
            };
            let chosen = grants.choose(&plan, choice, &self.request_args)?;
            check_route(token_owner, &url, matches!(chosen.owner, Owner::Login))?;
            let setup = grants.set_up(plan, &chosen)?;
            let grant = grants.open(&setup, chosen.owner, output);
            return send(&Source::Stored(grant), &setup);
        }
        check_route(token_owner, &url, self.tokens.is_some())?;
        let secret_requirement = match self.tokens {
            Some(_) => SecretRequirement::Optional,
            None => SecretRequirement::Secret,
        };
        let setup = plan.set_up(secret_requirement, false)?;
        let source = match self.tokens {
            Some(path) => Source::File(TokenFile(path), &setup),
            None => Source::Client(token_request, &setup),
        };
        send(&source, &setup)
    }

    fn request(&self) -> Result<http::Request<Bytes>, Failure> {
        let body = self.data.clone();
        let default_method = match body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = self.method.clone().unwrap_or(default_method);
        *request.uri_mut() = self
            .url
            .parse()
            .map_err(|_| Error::from(Misuse::UrlSyntax))?;
        request.headers_mut().extend(self.headers.clone());
        if let Some(body) = body {
            let is_json = serde_json::from_str::<Value>(&body).is_ok();
            let content_type = if is_json {
                "application/json"
            } else {
                "application/x-www-form-urlencoded"
            };
            let kind = HeaderValue::from_static(content_type);
            request.headers_mut().entry(CONTENT_TYPE).or_insert(kind);
            *request.body_mut() = body.into();
        }
        Ok(request)
    }
}

/// Checks the token's owner: some APIs require a user's token for some routes, and the application's for all others.
fn check_route(token_owner: TokenOwner, url: &Url, acts_for_user: bool) -> Result<(), Failure> {
    let fail = |kind: &str, hint: &str| {
        let message = format_args!("{} requires {kind} token", url.path()).to_string();
        Err(Failure::usage("usage.token_for_route", message, hint))
    };
    match (token_owner, acts_for_user) {
        (TokenOwner::User, false) => fail(
            "a user",
            "log in and select that profile, or log in with --save FILE and pass --tokens FILE",
        ),
        (TokenOwner::Application, true) => fail("an application", "remove --tokens"),
        _ => Ok(()),
    }
}

/// The source of tokens.
enum Source<'a> {
    /// A fixed token, which is never refreshed.
    Fixed(FixedToken),
    /// The store of the profile.
    Stored(Grant<'a>),
    /// A file written by --save.
    File(TokenFile, &'a Setup),
    /// The token endpoint, which each command asks for a new token.
    Client(TokenRequest, &'a Setup),
}

impl Source<'_> {
    /// A token that is not known to have expired.
    fn token(&self) -> Result<Arc<Tokens>, Failure> {
        let (file, setup) = match self {
            Self::Fixed(fixed) => return Ok(fixed.read(None)?),
            Self::Stored(grant) => return grant.token(),
            Self::Client(token_request, setup) => {
                return setup.client_token(token_request.clone()).map(Into::into);
            }
            Self::File(file, setup) => (file, setup),
        };
        let tokens = file.load()?;
        setup.client.check_owner(&tokens)?;
        let leeway = EXPIRY_LEEWAY.min(Duration::from_secs(
            tokens.expires_in.unwrap_or_default() / 10,
        ));
        match tokens.freshness(Moment::system()?.now(), leeway) {
            Freshness::Stale => self.renew(&tokens),
            _ => Ok(tokens.into()),
        }
    }

    /// A token to replace a refused one.
    fn renew(&self, refused: &Tokens) -> Result<Arc<Tokens>, Failure> {
        match self {
            Self::Fixed(fixed) => Ok(fixed.read(Some(refused))?),
            Self::Stored(grant) => grant.renew(refused),
            Self::Client(token_request, setup) => {
                setup.client_token(token_request.clone()).map(Into::into)
            }
            Self::File(file, setup) => {
                let Setup { net, client, .. } = setup;
                let tokens = file.renew(Some(refused), |old| renewed(net, client, old))?;
                Ok(tokens.into())
            }
        }
    }
}

/// A request to an API, and how rate limits are handled.
struct AuthorizedRequest {
    api: Api,
    request: http::Request<Bytes>,
    on_rate_limit: OnRateLimit,
    output: Output,
}

impl AuthorizedRequest {
    /// Sends the request, with the retries that the core decides on.
    fn send(&self, api: &Api, source: &Source<'_>, net: &Net) -> Result<Response, Failure> {
        let (parts, body) = self.request.clone().into_parts();
        let mut request = ResourceRequest::new(api, parts.method.clone(), &parts.uri.to_string())
            .headers(parts.headers.clone())
            .body(body.clone())
            .on_rate_limit(self.on_rate_limit);
        let (mut tokens, mut response) = (None, None);
        let mut step = request.resume(&Clock::system()?, Event::Begin)?;
        loop {
            let event = match step {
                Step::Wait(pause) => {
                    self.show(pause);
                    std::thread::sleep(pause);
                    Event::Elapsed
                }
                Step::Token(_) => Event::Token(tokens.insert(source.token()?)),
                Step::Renew(_) => {
                    let new = match &tokens {
                        Some(dead) => source.renew(dead)?,
                        None => source.token()?,
                    };
                    Event::Token(tokens.insert(new))
                }
                // The client's keys are in this process, so this step cannot occur.
                Step::Sign(_) => return Err(Error::from(Misuse::KeyMissing).into()),
                Step::Send {
                    url,
                    authorization,
                    dpop,
                } => {
                    let mut parts = parts.clone();
                    parts.uri = url
                        .as_str()
                        .parse()
                        .map_err(|_| Error::from(Misuse::UrlSyntax))?;
                    if let Some(value) = authorization {
                        parts.headers.insert(AUTHORIZATION, value);
                    }
                    if let Some(proof) = dpop {
                        parts.headers.insert(DPOP, proof);
                    }
                    let sent = net.call(http::Request::from_parts(parts, body.clone()))?;
                    let reply = response.insert(sent);
                    Event::Reply(reply.status(), reply.headers())
                }
                Step::Peek(limit) => {
                    let out_of_order = || Error::from(Misuse::OutOfOrder);
                    let reply: Response = response.take().ok_or_else(out_of_order)?;
                    let (head, reply) = peek(reply, limit);
                    response = Some(reply);
                    step = request.resume(&Clock::system()?, Event::Body(&head))?;
                    continue;
                }
                Step::Done | Step::DoneRefused => {
                    let out_of_order = || Error::from(Misuse::OutOfOrder);
                    return response.ok_or_else(|| out_of_order().into());
                }
            };
            step = request.resume(&Clock::system()?, event)?;
        }
    }

    fn show(&self, pause: Duration) {
        let seconds = pause.as_secs_f64().ceil();
        self.output.note(format_args!(
            "rate limited by the API: retrying in {seconds} s"
        ));
    }
}

/// Prints the body; a status from 400 on is a failure.
fn finish(mut response: Response, output: Output) -> Result<(), Failure> {
    let status = response.status();
    let pause = response.retry_after();
    if output.json {
        let kind = header(response.headers(), "content-type").to_owned();
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut response, &mut body).map_err(|reason| {
            Failure::refused(
                "call.cut",
                format_args!("the response body is incomplete: {reason}"),
                "try again",
            )
        })?;
        let text = || Value::from(String::from_utf8_lossy(&body));
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| text());
        let record = json!({ "status": status.as_u16(), "content_type": kind, "body": body });
        output::print(&record)?;
    } else {
        let is_at_start = output::copy_to_stdout(&mut response)?;
        let fails = status.is_redirection() || status.as_u16() >= 400;
        if fails && !is_at_start {
            // If both go to the same terminal, the error starts on its own line.
            output::print_stderr("");
        }
    }
    if status.is_redirection() {
        // Redirects within the origin were followed.
        return Err(Failure::refused(
            "call.redirect",
            format_args!("the API returned {status}, and the redirect is not followed"),
            "the token is not sent to another origin; --trace shows the location",
        ));
    }
    if status.is_client_error() || status.is_server_error() {
        let hint = match pause {
            Some(pause) => format!(
                "retry after {} s; --wait does so automatically",
                pause.as_secs()
            ),
            None => "see the response body; --trace shows the headers".to_owned(),
        };
        return Err(Failure::refused(
            "call.status",
            format_args!("the API returned {status}"),
            hint,
        ));
    }
    Ok(())
}
