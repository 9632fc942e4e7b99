//! Group `cimd`: client ids that are URLs of client metadata documents.

use oauth_core::client_id_metadata_document::{Identification, Warning};
use oauth_core::quirk::Rules;
use serde_json::{Map, Value, json};

use crate::conversation::{Conversation, ServerConfig, TurnInput};
use crate::expect::{outcome, wanted_classes};
use crate::format::{Failure, Vector, Verdict, check, check_equal, expand, texts};
use crate::metadata;
use crate::runner::{Outcome, Runner, public};
use crate::transcript::{Done, TurnOutput};

pub(crate) fn document(vector: &Vector, runner: &mut Runner) -> Verdict {
    if let Some(members) = vector.input.get("metadata") {
        return if runner.is_rust() {
            fallback(vector, members)
        } else {
            Err(Failure::OutOfReach(DECISION))
        };
    }
    if let Some(id) = vector.text("client_id") {
        let minimal = json!({ "redirect_uris": ["http://127.0.0.1/cb"] });
        let made = made(runner, id, minimal, false)?;
        if let Err(refusal) = &made {
            check_equal("code", refusal.code.as_str(), "client_id_metadata.url")?;
        }
        let accepted = vector.expected["accepted"].as_bool();
        return check_equal(
            "accepted",
            Some(made.is_ok_and(|made| made["client_id"] == id)),
            accepted,
        );
    }
    let (url, document) = (
        vector.required_text("document_url")?,
        document_of_vector(vector)?,
    );
    let has_mcp_profile = vector.expected["profile"] == "mcp";
    if has_mcp_profile {
        // The document is valid without the profile.
        let made = made(runner, url, document.clone(), false)?;
        check("accepted without it", made.is_ok())?;
    }
    let judged = made(runner, url, document, has_mcp_profile)?;
    let Some(made) = outcome(&vector.expected, judged)? else {
        return Ok(());
    };
    let warnings = made.get("warnings").map(texts).unwrap_or_default();
    let expected_value = vector.expected["warning"].as_str();
    let expected_value = expected_value.map(|expected_value| match expected_value {
        _ if expected_value == Warning::Large.text() => Warning::Large.code().to_owned(),
        other => other.to_owned(),
    });
    check_equal("warnings", warnings, expected_value.into_iter().collect())?;
    // The printed document is accepted too, and has the same contents.
    let printed = made["document"].as_str().unwrap_or_default();
    let again = serde_json::from_str(printed).map_err(|error| error.to_string())?;
    let again = self::made(runner, url, again, has_mcp_profile)?;
    let again = again.map_err(|refusal| refusal.message)?;
    check_equal("printed", again["document"].as_str(), Some(printed))
}

const DECISION: &str =
    "how a client that a server does not know gets an id there is found out for Rust alone";

/// The client metadata document made for this client id.
fn made(
    runner: &mut Runner,
    id: &str,
    metadata: Value,
    has_mcp_profile: bool,
) -> Outcome<Map<String, Value>> {
    let mut arguments = json!({ "metadata": metadata });
    if has_mcp_profile {
        arguments["mcp"] = true.into();
    }
    let server = ServerConfig::of("https://as.example", json!({}), &Rules::default());
    let conversation = Conversation::new(Some(server), Some(public(id)));
    let conversation = conversation.then(0, TurnInput::operation("client_id_metadata", arguments));
    match runner.play(&conversation)?.into_iter().next() {
        Some(TurnOutput::Done(Done::Record(Value::Object(made)))) => Ok(Ok(made)),
        Some(TurnOutput::Error(refusal)) => Ok(Err(refusal)),
        other => Err(format!("want a document, got {other:?}").into()),
    }
}

fn document_of_vector(vector: &Vector) -> Result<Value, String> {
    let mut document = vector.input["document"].clone();
    if let Some(filler) = document["x"].as_str() {
        let size = filler.trim_matches(['<', '>']);
        document["x"] = expand(&format!("<{}>", kibibytes(size)?)).into();
    }
    Ok(document)
}

/// A text of the size that is written like `6 KiB`.
fn kibibytes(size: &str) -> Result<String, String> {
    let number = size
        .strip_suffix(" KiB")
        .and_then(|number| number.parse::<usize>().ok());
    let number = number.ok_or_else(|| format!("no size: {size}"))?;
    Ok(format!("{} x a", number << 10))
}

/// The fallback for a server that does not support client ids that are URLs.
fn fallback(vector: &Vector, members: &Value) -> Verdict {
    use Identification::{ByHand, DynamicRegistration};
    let expected_value = vector.expected["fallback"].as_str();
    let supported_fallback =
        "dynamic registration if registration_endpoint, else ask for a client id";
    check_equal("fallback", expected_value, Some(supported_fallback))?;
    check(
        "an error is not wanted",
        wanted_classes(&vector.expected).is_empty(),
    )?;
    let ways = |members: Value| {
        let server = metadata::document(members).map_err(|error| error.to_string())?;
        Ok::<_, String>(Identification::offered_by(&server))
    };
    check_equal("without an endpoint", ways(members.clone())?, vec![ByHand])?;
    let mut with_endpoint = members.clone();
    with_endpoint["registration_endpoint"] = json!("https://as.example/register");
    let both = vec![DynamicRegistration, ByHand];
    check_equal("with one", ways(with_endpoint)?, both)
}
