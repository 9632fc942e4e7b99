//! Calls a tool of a Model Context Protocol server, given only its URL:
//!
//! ```text
//! cargo run -p oauth-rmcp --example call_tool -- https://mcp.example/mcp echo '{"text": "hello"}'
//! ```

use oauth_core::ClientMetadata;
use oauth_core::flow::resource_connection::ConnectRequest;
use oauth_reqwest::{Driver, ResourceConnection, reqwest};
use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, tool, given] = arguments.as_slice() else {
        return Err("call_tool URL TOOL ARGUMENTS".into());
    };
    let driver = Driver::new(reqwest::Client::builder())?;
    let request =
        ConnectRequest::new(url)?.register(ClientMetadata::of_native_app("oauth-rmcp example"));
    let connection = ResourceConnection::new(driver, request);

    let client = ().serve(oauth_rmcp::transport(&connection)?).await?;
    let given = serde_json::from_str(given)?;
    let call = CallToolRequestParams::new(tool.clone()).with_arguments(given);
    let answer = client.call_tool(call).await;
    client.cancel().await?;
    match answer {
        Ok(answer) => println!("{answer:?}"),
        Err(failure) => match oauth_rmcp::error_of(&failure) {
            Some(error) => eprintln!("{}: {error}", error.code()),
            None => eprintln!("{failure}"),
        },
    }
    Ok(())
}
