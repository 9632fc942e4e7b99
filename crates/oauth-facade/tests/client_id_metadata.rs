//! The document at a client id that is a URL.

use oauth_facade::{Auth, Client, JsonText, MakeClientIdMetadata, Server, Transport};

#[test]
fn document_for_the_model_context_protocol_must_have_a_name() {
    let server = Server::from_metadata(
        "https://as.example",
        r#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#,
        Transport::Https,
    );
    let id = "https://app.example/oauth/client.json";
    let client =
        Client::new(&server.expect("a server"), id, Auth::Documented(None)).expect("a client");
    let code = |metadata: &str, mcp| {
        let metadata = JsonText(metadata.to_owned());
        let made = client.client_id_metadata(MakeClientIdMetadata { metadata, mcp });
        made.map(drop).map_err(|error| error.code())
    };
    let unnamed = r#"{"redirect_uris":["https://app.example/cb"]}"#;
    let named = r#"{"redirect_uris":["https://app.example/cb"],"client_name":"App"}"#;
    assert_eq!(code(named, Some(true)), Ok(()));
    assert_eq!(
        code(unnamed, Some(true)),
        Err("client_metadata.name_missing")
    );
    for mcp in [None, Some(false)] {
        assert_eq!(code(unnamed, mcp), Ok(()), "{mcp:?}");
    }
}
