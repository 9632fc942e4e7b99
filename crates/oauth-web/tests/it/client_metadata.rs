//! The document at the URL that is the site's client id.

use http::{Method, StatusCode};
use oauth_core::client_auth::Credentials;
use oauth_core::{Client, discover, issuer::Issuer};
use oauth_web::{Access, Config, Site};
use serde_json::{Value, json};

use crate::world::{Browser, Ended, From, SHOP, SUBJECT, TWIN, World};

const PLACE: &str = "/oauth/client.json";

fn document() -> Value {
    json!({
        "client_id": format!("{SHOP}{PLACE}"),
        "client_name": "Shop",
        "redirect_uris": [format!("{SHOP}/auth/callback")],
        "token_endpoint_auth_method": "none",
    })
}

/// A site identified only by its metadata document.
fn world() -> World {
    let mut world = World::new();
    world.provider.twin().accept_client_id_metadata();
    let issuer = Issuer::parse(TWIN).unwrap();
    let server = world.provider.run(discover(issuer)).unwrap();
    world.change(|config| {
        config.set_client_metadata(&document().to_string()).unwrap();
        let document = config.client_metadata.as_ref().unwrap();
        let client = Client::with_metadata_document(server, document, Credentials::default());
        config.providers[0].client = Some(client.unwrap());
    });
    world
}

fn request(world: &mut World, method: Method, target: &str) -> Ended {
    let mut request = Browser::default().request(world, method, target, From::Elsewhere);
    request.headers.clear();
    world.visit(request, Access::SignedIn, None)
}

#[test]
fn a_user_signs_in_once_the_server_has_fetched_the_client_document() {
    let mut world = world();
    let mut ann = Browser::default();
    // A client without a document is unknown there.
    let refused = ann.get(&mut world, "/me").reply();
    assert_eq!(refused.status, StatusCode::SEE_OTHER);
    let reply = request(&mut world, Method::GET, PLACE).reply();
    let (at, url) = (world.provider.now(), format!("{SHOP}{PLACE}"));
    let mut found = http::Response::new(reply.body.into());
    *found.headers_mut() = reply.headers;
    let twin = world.provider.twin();
    twin.take_client_document(at, &url, &found).unwrap();
    let session = ann.open(&mut world, "/me").session();
    assert_eq!(session.identity.subject, SUBJECT);
    let twin = world.provider.twin();
    assert_eq!(twin.registered_clients(), [url]);
}

#[test]
fn the_client_metadata_document_is_public_and_cacheable() {
    let mut world = world();
    // No store, no provider and no session is needed.
    world.is_store_down = true;
    let reply = request(&mut world, Method::GET, PLACE).reply();
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "public, max-age=300");
    assert!(!reply.headers.contains_key("set-cookie"));
    assert!(!reply.headers.contains_key("vary"));
    let mut output: Value = serde_json::from_str(&reply.body).unwrap();
    // Derived from its redirect URIs.
    output.as_object_mut().unwrap().remove("application_type");
    assert_eq!(output, document());
    let head = request(&mut world, Method::HEAD, PLACE).reply();
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    let post = request(&mut world, Method::POST, PLACE).reply();
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(post.headers["allow"], "GET, HEAD");
    // It is a page of the site, and the paths beside it belong to the application.
    assert!(world.site.owns(PLACE) && !world.site.owns("/oauth/other.json"));
    assert!(!world.site.reads_form(&Method::POST, PLACE));
}

#[test]
fn a_client_document_the_site_cannot_serve_is_refused_at_startup() {
    let world = world();
    let refused = |change: &dyn Fn(&mut Value, &mut Config)| {
        let (mut config, mut document) = (world.config.clone(), document());
        change(&mut document, &mut config);
        let set = config.set_client_metadata(&document.to_string());
        let made = set.and_then(|()| Site::new(config));
        made.map_or_else(|error| error.to_string(), |_| String::new())
    };
    assert_eq!(refused(&|_, _| {}), "");
    for (id, reason) in [
        ("https://other.example/c.json", "below no base URL"),
        ("https://shop.example/auth/login", "no free path"),
        ("https://shop.example/auth/callback", "no free path"),
        ("https://shop.example/c.json?v=1", "no free path"),
        ("https://shop.example", "client id"),
        ("http://shop.example/c.json", "client id"),
    ] {
        let outcome = refused(&|document, _| document["client_id"] = id.into());
        assert!(outcome.contains(reason), "{id}: {outcome}");
    }
    let outcome = refused(&|document, _| {
        document["redirect_uris"] = json!([format!("{SHOP}/auth/callback/other")]);
    });
    assert!(
        outcome.contains("lack https://shop.example/auth/callback"),
        "{outcome}"
    );
    // Paths below the prefix that are not pages of the site are free.
    let mut config = world.config.clone();
    let mut expected = document();
    expected["client_id"] = format!("{SHOP}/auth/client.json").into();
    config.set_client_metadata(&expected.to_string()).unwrap();
    assert!(Site::new(config).unwrap().owns("/auth/client.json"));
}
