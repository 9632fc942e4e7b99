//! The group `cimd`: client ids that are URLs, and the documents at them.

use oauth_core::client_id_metadata::{ClientIdMetadata, ClientIdUrl, Identification};
use oauth_core::error::Error;
use serde_json::{Value, json};

use crate::expect::{outcome, wanted_classes};
use crate::format::{Vector, Verdict, expand, holds, same};
use crate::metadata;

pub(crate) fn document(vector: &Vector) -> Verdict {
    if let Some(id) = vector.text("client_id") {
        let url = ClientIdUrl::parse(id);
        let is_same = url.as_ref().is_ok_and(|url| url.as_str() == id);
        let accepted = vector.expected["accepted"].as_bool();
        return same("accepted", Some(url.is_ok() && is_same), accepted);
    }
    if let Some(members) = vector.input.get("metadata") {
        return fallback(vector, members);
    }
    let read = read(vector)?;
    let profile = vector.expected["profile"].as_str();
    if profile == Some("mcp") {
        // Without the profile it is a good one.
        holds("accepted without it", read.is_ok())?;
    }
    let judged = read.and_then(|document| match profile {
        Some("mcp") => document.check_for_mcp().map(|()| document),
        _ => Ok(document),
    });
    let Some(document) = outcome(&vector.expected, judged)? else {
        return Ok(());
    };
    let warnings: Vec<_> = document
        .warnings()
        .iter()
        .map(|warning| warning.text())
        .collect();
    let wanted: Vec<_> = vector.expected["warning"].as_str().into_iter().collect();
    same("warnings", warnings, wanted)?;
    // What is printed is taken, too, and says the same.
    let printed = document.to_json();
    let again = ClientIdMetadata::parse(document.url().clone(), &printed);
    let again = again.map_err(|error| error.to_string())?;
    same("printed", again.to_json(), printed)
}

fn read(vector: &Vector) -> Result<Result<ClientIdMetadata, Error>, String> {
    let mut document = vector.input["document"].clone();
    if let Some(filler) = document["x"].as_str() {
        let size = filler.trim_matches(['<', '>']);
        document["x"] = expand(&format!("<{}>", kibibytes(size)?)).into();
    }
    let url = ClientIdUrl::parse(vector.must("document_url")?);
    Ok(url.and_then(|url| ClientIdMetadata::parse(url, &document.to_string())))
}

/// `6 KiB` as so many letters.
fn kibibytes(size: &str) -> Result<String, String> {
    let number = size
        .strip_suffix(" KiB")
        .and_then(|number| number.parse::<usize>().ok());
    let number = number.ok_or_else(|| format!("no size: {size}"))?;
    Ok(format!("{} x a", number << 10))
}

/// What is left where a server takes no such ids.
fn fallback(vector: &Vector, members: &Value) -> Verdict {
    use Identification::{ByHand, DynamicRegistration};
    let wanted = vector.expected["fallback"].as_str();
    let known = "dynamic registration if registration_endpoint, else ask for a client id";
    same("fallback", wanted, Some(known))?;
    holds(
        "an error is not wanted",
        wanted_classes(&vector.expected).is_empty(),
    )?;
    let ways = |members: Value| {
        let server = metadata::document(members).map_err(|error| error.to_string())?;
        Ok::<_, String>(Identification::offered_by(&server))
    };
    same("without an endpoint", ways(members.clone())?, vec![ByHand])?;
    let mut with_endpoint = members.clone();
    with_endpoint["registration_endpoint"] = json!("https://as.example/register");
    let both = vec![DynamicRegistration, ByHand];
    same("with one", ways(with_endpoint)?, both)
}
