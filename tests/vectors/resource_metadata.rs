//! Group `protected-resource-metadata`: discovery of a resource's metadata (RFC 9728).

use serde_json::{Map, Value, json};

use crate::conversation::{Conversation, TurnInput};
use crate::expect::outcome;
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check_equal, texts};
use crate::runner::{Runner, as_example, public};
use crate::transcript::{Done, Refusal, TurnOutput};

/// The resource identifier of vectors that have none.
const RESOURCE: &str = "https://r.example/a";

pub(crate) fn metadata(vector: &Vector, runner: &mut Runner) -> Verdict {
    let (places, outcome_for) = discovery_requests(vector, runner)?;
    if let Some(url) = vector.expected["url"].as_str() {
        return check_equal("url", places.first().map(String::as_str), Some(url));
    }
    if let Some(urls) = vector.expected.get("urls_in_order") {
        return check_equal("urls_in_order", places, texts(urls));
    }
    if vector.expected["no_network_request"] == true {
        check_equal("places", places, Vec::new())?;
    }
    let Some(record) = outcome(&vector.expected, outcome_for)? else {
        return Ok(());
    };
    check_equal(
        "resource",
        &record["resource"],
        &vector.input["document"]["resource"],
    )?;
    let servers = texts(&vector.input["document"]["authorization_servers"]);
    check_equal("servers", texts(&record["authorization_servers"]), servers)?;
    for (kind, member) in [("mtls", "requires_mtls"), ("dpop", "requires_dpop")] {
        let want = vector.expected["requires"] == kind;
        check_equal(member, record[member].as_bool(), Some(want))?;
    }
    Ok(())
}

/// Runs the discovery with the vector's document at its URL and 404 elsewhere; returns the requested URLs and the
/// result.
fn discovery_requests(
    vector: &Vector,
    runner: &mut Runner,
) -> Result<(Vec<String>, Result<Value, Refusal>), Failure> {
    let named = vector
        .text("resource")
        .or(vector.text("requested_resource"));
    let mut arguments = Map::from_iter([("resource".to_owned(), named.unwrap_or(RESOURCE).into())]);
    if let Some(field) = vector.text("www_authenticate") {
        arguments.insert("challenges".to_owned(), json!([field]));
    }
    // Deviations of MCP servers from the standard have to be allowed explicitly.
    let via = vector.text("discovered_via");
    if via.is_some() || vector.expected.get("urls_in_order").is_some() {
        arguments.insert("matching".to_owned(), "parent".into());
    }
    let call = TurnInput::operation_of("resource_metadata", arguments);
    let conversation =
        Conversation::new(Some(as_example(&Default::default())), Some(public("id"))).then(0, call);
    // The response at the first URL, unless the document is at a different one.
    let first = runner.play(&conversation)?.pop();
    let is_there = |place: &str| via.is_none_or(|via| via == place);
    let mut conversation = conversation;
    let mut output = first;
    let mut places = Vec::new();
    loop {
        match output {
            Some(TurnOutput::Send(sent)) if places.len() < 4 => {
                let reply = if is_there(&sent.url) {
                    reply(vector)
                } else {
                    Reply::new(404, &[], "")
                };
                places.push(sent.url);
                conversation = conversation.then(1, TurnInput::Reply(reply));
            }
            Some(TurnOutput::Error(refusal)) => return Ok((places, Err(refusal))),
            Some(TurnOutput::Done(Done::Record(record))) => return Ok((places, Ok(record))),
            other => return Err(format!("an odd step: {other:?}").into()),
        }
        output = runner.play(&conversation)?.pop();
    }
}

fn reply(vector: &Vector) -> Reply {
    let response = &vector.input["metadata_response"];
    if let Some(status) = response["status"].as_u64() {
        let location = response["location"].as_str().unwrap_or_default();
        let status = u16::try_from(status).unwrap_or_default();
        return Reply::new(status, &[("location", location)], "");
    }
    match vector.input.get("document") {
        Some(document) => Reply::json(document),
        None => Reply::new(404, &[], ""),
    }
}
