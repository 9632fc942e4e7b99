//! `oauth client-id-metadata`: checks and prints a client ID metadata document.

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

If the metadata has no `client_id`, the URL is added as the `client_id`; otherwise it is checked as it is. Serve the \
output at the URL with status 200 and content type application/json, without redirects.";

/// Checks and prints a client ID metadata document.
#[derive(Debug, Args)]
pub(crate) struct ClientIdMetadata {
    /// URL at which the document is served; this URL is the client ID
    url: String,
    /// File with the document or the client metadata, a JSON object (- for stdin)
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Also check what the Model Context Protocol requires: a name and redirect URIs
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
