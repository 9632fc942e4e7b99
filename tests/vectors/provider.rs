//! Group `provider-deviation`: how deployed servers deviate, and the opt-in for each deviation.
//!
//! A vector names a kind of handling, which is tested with the vector's sample. If it needs an
//! opt-in, the default has to refuse the sample first.

use bytes::Bytes;
use http::Request;
use oauth_core::client_auth::SignedSecret;
use oauth_core::error::Error;
use oauth_core::issuer::Issuer;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Exchange, Input, Scope, Step, json,
};
use serde_json::{Value, json as data};

use crate::conversation::{
    AuthorizeInput, ClientConfig, Conversation, ServerConfig, TokenInput, TurnInput,
};
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::metadata::document;
use crate::runner::{Outcome, Runner, as_example, confidential, public, request};
use crate::token::moment;
use crate::transcript::{Done, Sent, TokensOutput, TurnOutput};

const BY_PRESET: &str = "this deviation comes with a preset, and cannot be set directly";
const SIGNED: &str = "only Rust supports client secrets signed by a key of the host";

pub(crate) fn deviation(vector: &Vector, runner: &mut Runner) -> Verdict {
    let handling = vector.expected["handling"].as_str().unwrap_or_default();
    let sample = vector.text("sample").unwrap_or_default();
    let about = vector.text("deviation").unwrap_or_default();
    match handling {
        "JSON response" => {
            let sent = sent(runner, Rules::default(), ClientConfig::default())?;
            check_equal("accept", sent.header("accept"), Some("application/json"))
        }
        "oauth_error" => {
            let refused =
                play_token_response(runner, Rules::default(), 200, "application/json", sample)?
                    .err();
            let named = refused.and_then(|refused| refused.error);
            let want: Value = serde_json::from_str(sample).map_err(|error| error.to_string())?;
            check_equal("error", named.as_deref(), want["error"].as_str())
        }
        "lenient" | "ignored members" => lenient(runner, sample, about),
        "exact compare keeps the slash" => exact_issuer(runner, sample),
        "caller sets headers" => {
            let headers = [("User-Agent".to_owned(), "mine/1".to_owned())];
            let client = ClientConfig {
                headers: headers.into_iter().collect(),
                ..ClientConfig::default()
            };
            let sent = sent(runner, Rules::default(), client)?;
            check_equal("user-agent", sent.header("user-agent"), Some("mine/1"))?;
            check("Basic", sent.header("authorization").is_some())
        }
        "raw extra params" | "extra params" => extra(runner, sample, about),
        "body encoder hook" => {
            let plain = sent(runner, Rules::default(), ClientConfig::default())?;
            let is_json = |sent: &Sent| serde_json::from_str::<Value>(&sent.body).is_ok();
            check("a form by default", !is_json(&plain))?;
            let json = json_request(runner);
            runner.allow_unsupported(json)
        }
        "issuer function" => of_the_core(runner, BY_PRESET, tenant_issuer),
        "parameter rename hook" => of_the_core(runner, BY_PRESET, || renamed(sample)),
        "typed helper, boolean-or-string accessor" => of_the_core(runner, SIGNED, apple),
        _ if handling.starts_with("quirk") => quirk(runner, sample, about),
        other => Err(format!("no handling {other:?}").into()),
    }
}

fn of_the_core(runner: &Runner, reason: &'static str, check: impl Fn() -> Verdict) -> Verdict {
    if runner.is_rust() {
        check()
    } else {
        Err(Failure::OutOfReach(reason))
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

fn with(quirk: Quirk) -> Rules {
    Rules {
        quirks: vec![quirk],
        ..Rules::default()
    }
}

fn begin<E: Exchange>(mut exchange: E) -> Result<Request<Bytes>, String> {
    match exchange.resume(&moment(0), Input::Begin).map_err(text)? {
        Step::Send(request) => Ok(request),
        step => Err(format!("want a request, got {step:?}")),
    }
}

/// A token request by a client with these headers: `client_credentials`, or a code in a page.
fn sent(runner: &mut Runner, rules: Rules, with: ClientConfig) -> Result<Sent, Failure> {
    let is_page = runner.lang == crate::lang::Lang::Browser;
    let client = ClientConfig {
        headers: with.headers,
        ..if is_page {
            public("s6BhdRkqt3")
        } else {
            confidential("s6BhdRkqt3", "a secret of ours")
        }
    };
    let input = if is_page {
        crate::runner::code("c")
    } else {
        TurnInput::ClientCredentials {
            scope: String::new(),
        }
    };
    let conversation = Conversation::new(Some(as_example(&rules)), Some(client)).then(0, input);
    request(runner.play(&conversation)?.pop())
}

fn json_request(runner: &mut Runner) -> Verdict {
    let sent = sent(runner, with(Quirk::JsonRequest), ClientConfig::default())?;
    let body: Value = serde_json::from_str(&sent.body).map_err(|error| error.to_string())?;
    let grant = match runner.lang {
        crate::lang::Lang::Browser => "authorization_code",
        _ => {
            check("Basic", sent.header("authorization").is_some())?;
            "client_credentials"
        }
    };
    check_equal("grant_type", body["grant_type"].as_str(), Some(grant))
}

/// The tokens that the client reads from a response.
fn play_token_response(
    runner: &mut Runner,
    rules: Rules,
    status: u16,
    media: &str,
    body: &str,
) -> Outcome<TokensOutput> {
    let reply = Reply::new(status, &[("content-type", media)], body);
    runner.token(&rules, "a secret of ours", reply)
}

/// Accepts a token response with the sample's members, or with those that its description names.
fn lenient(runner: &mut Runner, sample: &str, about: &str) -> Verdict {
    let mut body = data!({ "access_token": "a", "token_type": "Bearer" });
    let fragment = if sample.starts_with('"') {
        format!("{{{sample}}}")
    } else {
        sample.to_owned()
    };
    match serde_json::from_str::<Value>(&fragment) {
        Ok(Value::Object(members)) => members
            .into_iter()
            .for_each(|(name, value)| body[name] = value),
        _ => {
            let is_name = |token: &&str| token.contains(['_', '-']) && !token.contains('/');
            about
                .split([',', ' '])
                .filter(is_name)
                .for_each(|name| body[name] = data!("x"));
        }
    }
    let tokens = play_token_response(
        runner,
        Rules::default(),
        200,
        "application/json",
        &body.to_string(),
    )?;
    let tokens = tokens.map_err(|refusal| refusal.message)?;
    let lifetime = match &body["expires_in"] {
        Value::String(seconds) => seconds.parse().ok(),
        seconds => seconds.as_f64().map(|seconds| seconds as u64),
    };
    check_equal("expires_in", tokens.get("expires_in")?.as_u64(), lifetime)?;
    let refresh_token = tokens.text("refresh_token")?;
    let given = body["refresh_token"].as_str().map(str::to_owned);
    check_equal("refresh_token", refresh_token, given)?;
    let mut names = match &body["scope"] {
        Value::String(names) => names.split_whitespace().map(str::to_owned).collect(),
        names => texts(names),
    };
    names.sort_unstable();
    if !names.is_empty() {
        let mut scope = tokens.scope()?;
        scope.sort_unstable();
        check_equal("the scope's names", scope, names)?;
    }
    check(
        "the sample deviates",
        body.as_object().is_some_and(|body| body.len() > 2),
    )
}

/// The default refuses the sample, and exactly one quirk of the closed list accepts it.
fn quirk(runner: &mut Runner, sample: &str, about: &str) -> Verdict {
    let quoted = about.split('"').nth(1).unwrap_or_default();
    let (status, media, body, quirk) = if sample.contains("\"errors\"") {
        (
            401,
            "application/json",
            sample.to_owned(),
            Quirk::ErrorsArray,
        )
    } else if about.contains("text/plain") {
        (
            200,
            "text/plain",
            sample.to_owned() + "&token_type=bearer",
            Quirk::PlainFormResponse,
        )
    } else if about.contains("camelCase") {
        let body = data!({ "accessToken": "a", "tokenType": "Bearer", "expiresIn": 1 });
        (
            200,
            "application/json",
            body.to_string(),
            Quirk::CamelCaseResponse,
        )
    } else if about.contains("comma") || about.contains("scope_delimiter") {
        return comma_scope(runner);
    } else if about.contains("expires_in") && about.contains('0') {
        return zero_lifetime(runner);
    } else if about.contains("token_type")
        && ["missing", "no ", "without", "omit"]
            .iter()
            .any(|token| about.contains(token))
    {
        let body = data!({ "access_token": "a" });
        (
            200,
            "application/json",
            body.to_string(),
            Quirk::AssumeBearer,
        )
    } else if about.contains("token_type") && !quoted.is_empty() {
        let body = data!({ "access_token": "a", "token_type": quoted });
        (
            200,
            "application/json",
            body.to_string(),
            Quirk::BearerAlias(quoted.to_owned()),
        )
    } else {
        return Err(format!("no sample for {about:?}").into());
    };
    let default = play_token_response(runner, Rules::default(), status, media, &body)?;
    check("the default refuses", default.is_err())?;
    let is_listed = quirk == Quirk::ErrorsArray;
    let opted = play_token_response(runner, with(quirk), status, media, &body).and_then(|read| {
        if is_listed {
            let error_code = read.err().and_then(|refused| refused.error);
            let want: Value = serde_json::from_str(sample).map_err(|error| error.to_string())?;
            let want = want["errors"][0]["errorType"].as_str();
            return check_equal("error", error_code.as_deref(), want);
        }
        let tokens = read.map_err(|refusal| refusal.message)?;
        let token = tokens.text("access_token")?.unwrap_or_default();
        check("the token is read", !token.is_empty())?;
        if about.contains("with expires") || body.contains("expiresIn") {
            check_equal("expires_in", tokens.get("expires_in")?, data!(1))?;
        }
        Ok(())
    });
    runner.allow_unsupported(opted)
}

fn comma_scope(runner: &mut Runner) -> Verdict {
    let body =
        data!({ "access_token": "a", "token_type": "bearer", "scope": "repo,gist" }).to_string();
    let mut names = |what: &str, rules: Rules, want: usize| -> Verdict {
        let tokens = play_token_response(runner, rules, 200, "application/json", &body)?;
        let tokens = tokens.map_err(|refusal| refusal.message)?;
        check_equal(what, tokens.scope()?.len(), want)
    };
    names("names by default", Rules::default(), 1)?;
    let in_replies = names("names in replies", with(Quirk::ReplyScopeDelimiter(',')), 2);
    let everywhere = names("names", with(Quirk::ScopeDelimiter(',')), 2);
    runner.allow_unsupported(in_replies)?;
    runner.allow_unsupported(everywhere)
}

fn zero_lifetime(runner: &mut Runner) -> Verdict {
    let body = data!({ "access_token": "a", "token_type": "bearer", "expires_in": 0 }).to_string();
    let mut life = |what: &str, rules: Rules, want: Value| -> Verdict {
        let tokens = play_token_response(runner, rules, 200, "application/json", &body)?;
        let tokens = tokens.map_err(|refusal| refusal.message)?;
        check_equal(what, tokens.get("expires_in")?, want)
    };
    life("expired at once by default", Rules::default(), data!(0))?;
    let forever = life("no end", with(Quirk::ZeroLifetimeIsForever), Value::Null);
    runner.allow_unsupported(forever)
}

fn tenant_issuer() -> Verdict {
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let rules = with(Quirk::TenantIssuer(template.to_owned()));
    let common = Issuer::parse("https://login.microsoftonline.com/common/v2.0").map_err(text)?;
    let tenant = template.replace("{tenantid}", "9188040d-6c67-4c5b-b112-36a304b66dad");
    check("a tenant of the template", common.matches(&tenant, &rules))?;
    check(
        "no other path",
        !common.matches(&template.replace("{tenantid}", "a/b"), &rules),
    )?;
    check(
        "no other host",
        !common.matches(&tenant.replace("login", "evil"), &rules),
    )?;
    check(
        "refused by default",
        !common.matches(&tenant, &Rules::default()),
    )
}

/// A document whose issuer differs by a trailing slash belongs to a different issuer.
fn exact_issuer(runner: &mut Runner, sample: &str) -> Verdict {
    let mut named = |name: &str| -> Result<Option<TurnOutput>, Failure> {
        let discover = TurnInput::discover(sample);
        let document = Reply::json(&data!({ "issuer": name }));
        let mut conversation = Conversation::new(None, None)
            .then(0, discover)
            .then(0, TurnInput::Reply(document));
        // Discovery continues if an issuer with a path has more URLs, and reports the error at the end.
        let mut outputs = runner.play(&conversation)?.pop();
        for _ in 0..3 {
            if !matches!(outputs, Some(TurnOutput::Send(_))) {
                break;
            }
            conversation = conversation.then(0, TurnInput::Reply(Reply::new(404, &[], "")));
            outputs = runner.play(&conversation)?.pop();
        }
        Ok(outputs)
    };
    match named(sample)? {
        Some(TurnOutput::Done(Done::Server(server))) => {
            check_equal("as given", server.issuer.as_str(), sample)?;
        }
        other => return Err(format!("want a server, got {other:?}").into()),
    }
    match named(sample.trim_end_matches('/'))? {
        Some(TurnOutput::Error(refusal)) => {
            check_equal("the slash counts", refusal.code.as_str(), "metadata.issuer")
        }
        other => Err(format!("want it refused, got {other:?}").into()),
    }
}

fn renamed(sample: &str) -> Verdict {
    let name = sample.split('=').next().unwrap_or_default();
    let rules = Rules {
        quirks: vec![
            Quirk::ClientIdParameter(name.to_owned()),
            Quirk::ScopeDelimiter(','),
        ],
        ..Rules::default()
    };
    let server = document(
        data!({ "token_endpoint": "https://as.example/t", "authorization_endpoint": "https://as.example/a" }),
    );
    let client = server
        .and_then(|server| {
            Client::new(
                server.with_rules(rules),
                ClientId::new("id"),
                ClientAuth::post("secret"),
            )
        })
        .map_err(text)?;
    let scope = Scope::parse("a b").map_err(text)?;
    let request = begin(client.client_credentials(scope.clone()))?;
    let form: Vec<(String, String)> =
        serde_urlencoded::from_bytes(request.body()).map_err(|error| error.to_string())?;
    let value = |name_wanted: &str| {
        form.iter()
            .find(|(name, _)| name == name_wanted)
            .map(|(_, value)| value.as_str())
    };
    check_equal(name, value(name), Some("id"))?;
    check_equal("client_id", value("client_id"), None)?;
    check_equal("scope", value("scope"), Some("a,b"))?;
    let uri = RedirectUri::parse("https://app.example/cb").map_err(text)?;
    let (url, _) = client
        .authorize(&moment(0), AuthorizationRequest::new(uri).scope(scope))
        .map_err(text)?;
    check(
        "in the URL too",
        url.as_str().contains(&format!("{name}=id")) && !url.as_str().contains("client_id="),
    )
}

fn extra(runner: &mut Runner, sample: &str, about: &str) -> Verdict {
    let assignment = about.split(' ').find_map(|token| token.split_once('='));
    let (name, value) = assignment.unwrap_or((sample, "https://app.example/bye"));
    let endpoints = data!({ "authorization_endpoint": "https://as.example/a" });
    let server = ServerConfig::of("https://as.example", endpoints, &Rules::default());
    let authorize_input = |name: &str, value: &str| {
        TurnInput::Authorize(AuthorizeInput {
            redirect_uri: "https://app.example/cb".to_owned(),
            extra: [(name.to_owned(), value.to_owned())].into_iter().collect(),
            ..AuthorizeInput::default()
        })
    };
    let client = Some(public("s6BhdRkqt3"));
    let conversation = Conversation::new(Some(server.clone()), client.clone())
        .then(0, authorize_input(name, value))
        .then(0, authorize_input("state", "mine"));
    let mut outputs = runner.play(&conversation)?.into_iter();
    match outputs.next() {
        Some(TurnOutput::Authorized { url, .. }) => {
            let sent = crate::scope::parameter(&url, name)?;
            check_equal("the parameter as it is", sent.as_deref(), Some(value))?;
        }
        other => return Err(format!("want a URL, got {other:?}").into()),
    }
    match outputs.next() {
        Some(TurnOutput::Error(refusal)) => check_equal(
            "protocol parameters cannot be set",
            refusal.code.as_str(),
            "form.reserved_parameter",
        )?,
        other => return Err(format!("want it refused, got {other:?}").into()),
    }
    // The error for a missing endpoint names it, when it is used.
    let introspect = TurnInput::Introspect(TokenInput {
        token: Some("t".to_owned()),
        ..TokenInput::default()
    });
    let conversation = Conversation::new(Some(server), client).then(0, introspect);
    let missing =
        runner
            .play(&conversation)
            .and_then(|mut introspection| match introspection.pop() {
                Some(TurnOutput::Error(refusal)) => check_equal(
                    "no introspection",
                    refusal.code.as_str(),
                    "endpoint.missing",
                ),
                other => Err(format!("want it missing, got {other:?}").into()),
            });
    runner.allow_unsupported(missing)
}

/// Apple: the client secret is a JWT that the host signs, the callback is a posted form, and a
/// boolean may be text.
fn apple() -> Verdict {
    let server = Server::new(Issuer::parse("https://appleid.apple.com").map_err(text)?)
        .with_endpoint(EndpointKind::Token, "https://appleid.apple.com/auth/token")
        .map_err(text)?;
    let auth = ClientAuth::signed_secret(SignedSecret::apple("TEAM", "KEY"));
    let client = Client::new(server, ClientId::new("com.example.app"), auth).map_err(text)?;
    let mut exchange = client.client_credentials(Scope::none());
    let job = match exchange.resume(&moment(1000), Input::Begin).map_err(text)? {
        Step::Sign(job) => job,
        step => return Err(format!("want a signature, got {step:?}").into()),
    };
    check_equal("key", (job.key_id.as_str(), job.alg), ("KEY", "ES256"))?;
    let signed = exchange
        .resume(&moment(1000), Input::Signed(Bytes::from(vec![1; 64])))
        .map_err(text)?;
    let Step::Send(request) = signed else {
        return Err("want a request".into());
    };
    let form: Vec<(String, String)> =
        serde_urlencoded::from_bytes(request.body()).map_err(|error| error.to_string())?;
    let secret = form
        .iter()
        .find(|(name, _)| name == "client_secret")
        .map(|(_, jwt)| jwt.clone());
    let input = String::from_utf8_lossy(&job.signing_input).into_owned();
    check(
        "the JWT is the signed input",
        secret.is_some_and(|jwt| jwt.starts_with(&input) && jwt.split('.').count() == 3),
    )?;
    let flag = |text: &str| {
        json::parse(text)
            .ok()
            .and_then(|value| value.as_bool_or_text())
    };
    check_equal(
        "flags",
        [flag("true"), flag("\"true\""), flag("\"false\""), flag("1")],
        [Some(true), Some(true), Some(false), None],
    )
}
