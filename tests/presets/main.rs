//! The presets as stated in `presets.json`, which every language must match, and sign-ins by the rules of those
//! that deviate.

mod party;
mod personalities;
mod scene;
mod sign_in;

use std::collections::BTreeSet;

use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::EndpointKind;
use oauth_core::{AuthorizationRequest, ClientId, Moment, Secret};
use oauth_providers::{names, provider};
use serde_json::Value;

#[test]
fn every_preset_has_the_documented_endpoints() {
    let stated: Vec<Value> =
        serde_json::from_str(include_str!("../presets.json")).expect("a list of presets");
    let text = |preset: &Value, member: &str| preset[member].as_str().map(str::to_owned);
    let preset_names: BTreeSet<_> = names().map(str::to_owned).collect();
    let all: BTreeSet<_> = stated
        .iter()
        .filter_map(|preset| text(preset, "name"))
        .collect();
    assert_eq!(all, preset_names);
    for preset in &stated {
        let name = text(preset, "name").expect("a name");
        let bare = provider(&name).expect("a preset");
        let variables = preset["variables"].as_object().into_iter().flatten();
        let provider = variables
            .filter_map(|(name, value)| Some((name, value.as_str()?)))
            .try_fold(bare, |provider, (name, value)| provider.with(name, value))
            .expect("its variables");
        let server = provider.server().expect("a server");
        assert_eq!(Some(server.issuer().as_str()), preset["issuer"].as_str());
        let endpoint = server
            .endpoint(EndpointKind::Authorization)
            .expect("an endpoint");
        assert_eq!(
            Some(endpoint.as_str()),
            preset["authorization_endpoint"].as_str()
        );

        let is_public = provider.client(ClientId::new("id"), None).is_ok();
        assert_eq!(Some(is_public), preset["public"].as_bool(), "{name}");
        let redirect_uri = RedirectUri::parse("https://app.example/callback").expect("a URI");
        let client = provider
            .client(ClientId::new("id"), Some(Secret::from("secret")))
            .expect("a client")
            .with_redirect_uris([redirect_uri.clone()]);
        let moment = Moment::system().expect("a moment");
        let (url, _) = client
            .authorize(&moment, AuthorizationRequest::new(redirect_uri))
            .expect("a URL");
        assert!(url.as_str().starts_with(&format!("{endpoint}?")), "{url}");
    }
}
