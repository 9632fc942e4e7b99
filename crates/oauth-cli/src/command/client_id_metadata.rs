//! `oauth client-id-metadata`: checks and prints the document at a client id that is a URL.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use oauth_core::client_id_metadata_document::{self, ClientIdUrl};
use serde_json::Value;

use super::register::object;
use crate::output::{Failure, Output};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth client-id-metadata https://app.example/oauth/client.json metadata.json > client.json
  curl -s https://app.example/c.json | oauth client-id-metadata https://app.example/c.json - --mcp

Metadata without a `client_id` are made a document of; with one they are checked as they are. Serve what is printed \
at the URL, with status 200, as application/json, and without a redirect.";

/// Checks and prints a client ID metadata document.
#[derive(Debug, Args)]
pub(crate) struct ClientIdMetadata {
    /// Where the document is, or will be: the client's id, to the letter
    url: String,
    /// The document, or the metadata of the client, a JSON object; - is stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Ask for what servers of the Model Context Protocol want beyond the standard: a name and redirect URIs
    #[arg(long)]
    mcp: bool,
}

impl ClientIdMetadata {
    pub(super) fn run(self, output: Output) -> Result<(), Failure> {
        let url = ClientIdUrl::parse(&self.url)?;
        let text = Value::Object(object(&self.file)?).to_string();
        let document =
            client_id_metadata_document::ClientIdMetadataDocument::from_json(url, &text)?;
        if self.mcp {
            document.check_for_mcp()?;
        }
        for warning in document.warnings() {
            output.note(format_args!("warning: {}", warning.text()));
        }
        let text = document.to_json();
        let record: Value = serde_json::from_str(&text).unwrap_or_default();
        output.result(&text, &record)
    }
}
