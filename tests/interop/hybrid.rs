//! Hybrid flows against `oidc-provider` (OpenID Connect Core section 3.3).

use oauth_core::flow::authorization::{ResponseMode, ResponseType};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{AuthorizationRequest, Error, Moment, Scope};

use crate::browser::{CALLBACK, browser, redirect_target};
use crate::oidc_provider::{OidcProvider, driver};

/// The value of this parameter in a fragment or a query.
fn parameter<'a>(url: &'a str, name: &str) -> &'a str {
    let mut pairs = url
        .split(['#', '?', '&'])
        .filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).expect("it is there").1
}

#[test]
fn a_hybrid_id_token_is_verified_before_the_code_is_sent() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "hybrid").expect("a client");
    let begin = || {
        let request = AuthorizationRequest::new(RedirectUri::parse(CALLBACK)?);
        let request = request.scope(Scope::parse("openid read")?);
        let request = request.response_type(ResponseType::CodeIdToken);
        client.authorize(&Moment::system()?, request)
    };
    let sign_in = |change: fn(String, &str) -> String| {
        let (url, pending) = begin()?;
        let came = browser().get(url.as_str()).send().expect("an answer");
        let (_, other) = begin()?;
        let callback = change(redirect_target(&came).to_owned(), other.state().expose());
        driver.run(client.redeem(pending, &callback)?)
    };
    let login = sign_in(|callback, _| callback).expect("a login");
    assert_eq!(login.id_token.expect("who it is").subject(), "somebody");

    // A different code with the same ID token.
    let injected = sign_in(|callback, _| {
        let code = parameter(&callback, "code").to_owned();
        callback.replace(&code, "another")
    });
    assert_eq!(
        injected.map_err(|error| error.code()).err(),
        Some("id_token.c_hash")
    );
    // Another signature.
    let forged = sign_in(|callback, _| {
        let token = parameter(&callback, "id_token").to_owned();
        let (input, _) = token.rsplit_once('.').expect("a signature");
        callback.replace(&token, &format!("{input}.{}", "A".repeat(342)))
    });
    assert_eq!(
        forged.map_err(|error| error.code()).err(),
        Some("jws.bad_signature")
    );
}

/// The server posts the response by a page, whose form is parsed here.
#[test]
fn a_hybrid_response_is_accepted_by_form_post() -> Result<(), Error> {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "hybrid")?;
    let request = AuthorizationRequest::new(RedirectUri::parse(CALLBACK)?)
        .scope(Scope::parse("openid read")?)
        .response_type(ResponseType::CodeIdToken)
        .response_mode(ResponseMode::FormPost);
    let (url, pending) = client.authorize(&Moment::system()?, request)?;
    let page = browser().get(url.as_str()).send().expect("a page");
    let page = page.text().expect("a page");
    let fields: Vec<_> = page
        .split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|input| {
            let mut parts = input.split('"');
            (
                parts.next().expect("a name"),
                parts.nth(1).expect("a value"),
            )
        })
        .collect();
    let form = serde_urlencoded::to_string(&fields).expect("a form");
    let login = driver.run(client.redeem(pending, &form)?)?;
    assert_eq!(login.id_token.expect("who it is").subject(), "somebody");
    Ok(())
}
