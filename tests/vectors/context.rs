//! Group `connection-context`: flows begun in one context, or by one user, whose callbacks arrive in a different
//! one.

use oauth_core::flow::authorization::{ConnectionContext, check_contexts};
use oauth_core::issuer::Issuer;
use oauth_core::json::{Json, parse};
use oauth_core::quirk::Rules;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{ClientId, Error};
use serde_json::{Value, json};

use crate::conversation::{AuthorizeInput, Conversation, TurnInput};
use crate::expect::{outcome, wanted_classes};
use crate::format::{Failure, Vector, Verdict, check, check_equal};
use crate::runner::{Runner, as_example, public};
use crate::transcript::TurnOutput;

const CONFIGURED: &str = "only Rust checks contexts when they are configured";

const CALLBACK: &str = "https://app.example/cb";

/// The checks of contexts before any flow begins.
pub(crate) fn core(vector: &Vector) -> Verdict {
    let input = &vector.input;
    match () {
        () if input.get("contexts").is_some() => contexts(vector).map_err(text)?,
        () if input.get("endpoints_from").is_some() => {
            // This client has no implicit grant.
            check_equal("implicit", &input["implicit"], &json!(false))?;
            let needed = server(input)?.needs_distinct_redirect_uri();
            let expected_value = vector.expected["distinct_redirect_needed"].as_bool();
            check_equal("distinct_redirect_needed", Some(needed), expected_value)
        }
        () => Ok(()),
    }
}

/// A flow begun in one context, and a callback with the right state that arrives in another.
pub(crate) fn callback(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    if input.get("contexts").is_some() || input.get("endpoints_from").is_some() {
        return Err(Failure::OutOfReach(CONFIGURED));
    }
    check_equal("callback_state", &input["callback_state"], &json!("right"))?;
    check_equal(
        "token_requests",
        &vector.expected["token_requests"],
        &json!(0),
    )?;
    let input_text = |name: &str| input[name].as_str().map(str::to_owned);
    let begun = (input_text("flow_context"), input_text("flow_started_by"));
    let arrived = (input_text("callback_context"), input_text("callback_user"));
    // The same callback is accepted in the context in which the flow began.
    check(
        "the same place is good",
        redeemed(runner, input, &begun, &begun)?.is_ok(),
    )?;
    let refused = redeemed(runner, input, &begun, &arrived)?;
    check(
        "a refusal is wanted",
        !wanted_classes(&vector.expected).is_empty(),
    )?;
    outcome(&vector.expected, refused).map(drop)
}

/// A context and a user.
type Place = (Option<String>, Option<String>);

/// Whether the code is redeemed, or the refusal.
fn redeemed(
    runner: &mut Runner,
    input: &Value,
    begun: &Place,
    arrived: &Place,
) -> crate::runner::Outcome<()> {
    let authorize_input = AuthorizeInput {
        redirect_uri: CALLBACK.to_owned(),
        context: begun.0.clone(),
        user: begun.1.clone(),
        ..AuthorizeInput::default()
    };
    let begin = || {
        Conversation::new(
            Some(as_example(&Rules::default())),
            Some(public("client-1")),
        )
    };
    let began = begin().then(0, TurnInput::Authorize(authorize_input.clone()));
    let Some(TurnOutput::Authorized { url, .. }) = runner.play(&began)?.pop() else {
        return Err("no flow has begun".into());
    };
    let state = url::Url::parse(&url).map_err(text)?;
    let state = state.query_pairs().find(|(name, _)| name == "state");
    let (_, state) = state.ok_or("the URL has no state")?;
    let issuer = input["iss"]
        .as_str()
        .map_or(String::new(), |iss| format!("&iss={iss}"));
    // The same moment yields the same state.
    let conversation = begin().then(0, TurnInput::Authorize(authorize_input)).then(
        1,
        TurnInput::RedeemAt {
            callback: format!("{CALLBACK}?code=c&state={state}{issuer}"),
            context: arrived.0.clone(),
            user: arrived.1.clone(),
        },
    );
    match runner.play(&conversation)?.pop() {
        Some(TurnOutput::Send(_)) => Ok(Ok(())),
        Some(TurnOutput::Error(refusal)) => Ok(Err(refusal)),
        other => Err(format!("want a request or a refusal, got {other:?}").into()),
    }
}

fn server(input: &Value) -> Result<Server, Failure> {
    let issuer = Issuer::parse("https://as.example").map_err(text)?;
    let metadata = json!({
        "issuer": "https://as.example",
        "token_endpoint": "https://as.example/token",
        "authorization_response_iss_parameter_supported": input["iss_advertised"],
    });
    let document = metadata.to_string();
    let server = match (input["endpoints_from"].as_str(), parse(&document), metadata) {
        (Some("metadata"), Ok(Json::Object(document)), _) => {
            Server::read(&issuer, &document, Rules::default())
        }
        (Some("configuration"), _, Value::Object(members)) => Server::new(issuer)
            .with_metadata(members)
            .with_endpoint(EndpointKind::Token, "https://as.example/token"),
        _ => return Err("endpoints from somewhere else".into()),
    };
    server.map_err(text)
}

fn contexts(vector: &Vector) -> Result<Verdict, Error> {
    let listed = vector.input["contexts"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut contexts = Vec::new();
    for (place, context) in listed.iter().enumerate() {
        let context_text = |name: &str| context[name].as_str().unwrap_or_default();
        let server = Server::new(Issuer::parse("https://as.example")?)
            .with_endpoint(EndpointKind::Token, "https://as.example/token")?;
        // By default each context has its own registration.
        let registration = match context_text("registration") {
            "" => format!("client-{place}"),
            named => named.to_owned(),
        };
        let client_id = ClientId::new(&registration);
        let base = match context_text("redirect_base") {
            "" => CALLBACK,
            base => base,
        };
        let uri = RedirectUri::parse(base)?.of_context(context_text("id"))?;
        contexts.push(ConnectionContext::new(
            context_text("id"),
            context_text("owner"),
            &server,
            &client_id,
            uri,
        )?);
    }
    let checked = check_contexts(&contexts);
    Ok(check_result(vector, &contexts, checked))
}

fn check_result(
    vector: &Vector,
    contexts: &[ConnectionContext],
    checked: Result<(), Error>,
) -> Verdict {
    if outcome(&vector.expected, checked)?.is_none() {
        return Ok(());
    }
    let uris: Vec<_> = contexts
        .iter()
        .map(|context| context.redirect_uri.as_str())
        .collect();
    let differ = uris
        .iter()
        .enumerate()
        .all(|(place, uri)| !uris[..place].contains(uri));
    let expected_value = vector.expected["redirect_uris_differ"].as_bool();
    check_equal("redirect_uris_differ", Some(differ), expected_value)?;
    let mut named = contexts.iter();
    let is_in = named.all(|context| context.redirect_uri.as_str().contains(&context.id));
    let expected_value = vector.expected["context_in_redirect_uri"].as_bool();
    check_equal("context_in_redirect_uri", Some(is_in), expected_value)?;
    // A shared redirect URI without an identifier is refused.
    let mut shared = contexts.to_vec();
    for context in &mut shared {
        context.redirect_uri = contexts[0].redirect_uri.clone();
    }
    let refused = check_contexts(&shared).map_err(|error| error.code());
    check_equal("one URI for all", refused, Err("redirect_uri.shared"))
}

fn text(error: impl std::fmt::Display) -> Failure {
    error.to_string().into()
}
