//! `oidc-provider` as FAPI 2.0 requires it: pushed and signed requests, signed responses, tokens bound
//! to a key, authorization details.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::authorization_details::{AuthorizationDetail, AuthorizationDetails};
use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse};
use oauth_core::flow::authorization::{Authorization, ResponseMode};
use oauth_core::flow::redeem::Login;
use oauth_core::grant::{Refresh, TokenRequest};
use oauth_core::jose::{Alg, Enc, JweAlg, ResponseEncryption};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::request_encryption::RequestEncryption;
use oauth_core::request_signing::RequestSigning;
use oauth_core::token::TokenType;
use oauth_core::url::Url;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Moment, Scope, SecurityProfile,
    Tokens,
};
use oauth_crypto::{ClientKeys, DecryptionKey, DpopKey, PublicKeyEncrypter};
use oauth_reqwest::blocking::{Driver, Listener};
use reqwest::blocking::Client as Browser;

use crate::browser::{CALLBACK, browser, redirect_target};
use crate::oidc_provider::{OidcProvider, driver, open};

fn dpop() -> DpopKey {
    DpopKey::generate(Alg::Es256).expect("a key")
}

pub(crate) fn client(server: &OidcProvider, driver: &Driver, which: &str) -> Client {
    let found = server.discovered(driver).expect("metadata");
    let keys = ClientKeys::read([server.private_key(which)]).expect("keys");
    let assertion = keys.client_assertion(&found, Some(Alg::Es256));
    let auth = ClientAuth::assertion(assertion.expect("an assertion"));
    Client::new(found, ClientId::new(which), auth).expect("a client")
}

pub(crate) fn bound(server: &OidcProvider, driver: &Driver, which: &str, key: &DpopKey) -> Client {
    client(server, driver, which).with_dpop(key.to_core().expect("a key"))
}

pub(crate) fn authorization_request(scope: &str) -> AuthorizationRequest {
    let request = AuthorizationRequest::new(RedirectUri::parse(CALLBACK).expect("a URI"));
    request.scope(Scope::parse(scope).expect("a scope"))
}

fn begun(driver: &Driver, client: &Client, request: AuthorizationRequest) -> Authorization {
    let authorization = driver.run(client.begin_authorization(request));
    authorization.unwrap_or_else(|error| panic!("it begins: {error}"))
}

/// A login in this browser, from the request to the tokens.
pub(crate) fn sign_in(
    browser: &Browser,
    driver: &Driver,
    client: &Client,
    request: AuthorizationRequest,
) -> Result<Login, Error> {
    let authorization = driver.run(client.begin_authorization(request))?;
    let came = browser
        .get(authorization.url.as_str())
        .send()
        .expect("an answer");
    assert!(authorization.pending.recognizes(redirect_target(&came)));
    driver.run(client.redeem(authorization.pending, redirect_target(&came))?)
}

fn userinfo(driver: &Driver, client: &Client, tokens: &Tokens) -> Result<(), Error> {
    let tokens = Arc::new(tokens.clone());
    let claims = driver.run(client.userinfo(tokens, "somebody".to_owned()))?;
    assert_eq!(claims.text("sub")?, Some("somebody"));
    Ok(())
}

// Without FAPI 2.0 this server would accept this: the only redirect URI of a client may then be omitted.
#[test]
fn the_fapi_server_requires_the_redirect_uri() {
    let (server, driver) = (OidcProvider::fapi(), driver());
    let client = client(&server, &driver, "encrypted");
    let url = begun(&driver, &client, authorization_request("openid")).url;
    let uri = format!(
        "redirect_uri={}&",
        CALLBACK.replace(':', "%3A").replace('/', "%2F")
    );
    assert!(url.as_str().contains(&uri), "{url}");
    for (requested_url, status) in [
        (url.as_str().to_owned(), 303),
        (url.as_str().replace(&uri, ""), 400),
    ] {
        let response = browser().get(requested_url).send().expect("an answer");
        assert_eq!(response.status(), status);
    }
}

// Requests are pushed and tokens bound because the profile requires it.
#[test]
fn a_fapi_2_security_client_signs_in_and_calls_an_api() -> Result<(), Error> {
    let (server, driver, key) = (OidcProvider::fapi(), driver(), dpop());
    let client =
        bound(&server, &driver, "security", &key).with_profile(SecurityProfile::Fapi2Security);
    let login = sign_in(
        &browser(),
        &driver,
        &client,
        authorization_request("openid read"),
    )?;
    assert_eq!(login.tokens.token_type, TokenType::Dpop);
    userinfo(&driver, &client, &login.tokens)?;
    let refresh = login
        .tokens
        .refresh_token
        .as_ref()
        .expect("a refresh token");
    let renewed = driver.run(client.refresh(refresh))?;
    assert_eq!(renewed.token_type, TokenType::Dpop);
    // The same key in another process, which has only the token.
    let restarted = bound(&server, &driver, "security", &key);
    userinfo(&driver, &restarted, &renewed)?;
    // A different key is refused.
    let other_client = bound(&server, &driver, "security", &dpop());
    let refused = userinfo(&driver, &other_client, &renewed).expect_err("a refusal");
    assert_eq!(refused.code(), "denied.invalid_token");
    Ok(())
}

#[test]
fn a_fapi_2_message_signing_client_signs_requests_and_verifies_responses() -> Result<(), Error> {
    let (server, driver) = (OidcProvider::fapi(), driver());
    let client = bound(&server, &driver, "signing", &dpop());
    let client = client.with_profile(SecurityProfile::Fapi2MessageSigning);
    let begun = begun(&driver, &client, authorization_request("openid read"));
    let query = begun.url.query().expect("a query");
    assert!(
        query.starts_with("client_id=signing&request_uri=urn"),
        "{query}"
    );
    assert!(begun.expires_in.is_some_and(|seconds| seconds > 0));
    let login = sign_in(
        &browser(),
        &driver,
        &client,
        authorization_request("openid read"),
    )?;
    userinfo(&driver, &client, &login.tokens)
}

#[test]
fn requirements_of_the_server_are_met_without_a_profile() -> Result<(), Error> {
    let (server, driver) = (OidcProvider::fapi(), driver());
    // The server requires signed requests only from this client, so the client is configured to sign.
    let plain = client(&server, &driver, "browser");
    let refused = browser()
        .get(
            begun(&driver, &plain, authorization_request("openid"))
                .url
                .as_str(),
        )
        .send();
    assert!(refused.is_ok_and(|page| page.status() == 400 || home_error(&page)));
    let key = plain.auth().signing_key().expect("a key").clone();
    let signs = plain.with_request_signing(RequestSigning::new(key));
    let begun = begun(&driver, &signs, authorization_request("openid read"));
    let query = begun.url.query().expect("a query");
    assert!(
        query.contains("request=") && !query.contains("state="),
        "{query}"
    );
    for mode in [
        ResponseMode::Query,
        ResponseMode::Jwt,
        ResponseMode::QueryJwt,
        ResponseMode::FragmentJwt,
    ] {
        let request = authorization_request("openid read").response_mode(mode);
        let login = sign_in(&browser(), &driver, &signs, request)?;
        assert!(login.id_token.is_some(), "{mode:?}");
    }
    Ok(())
}

#[test]
fn request_objects_are_encrypted_pushed_or_not() -> Result<(), Error> {
    let (server, driver) = (OidcProvider::fapi(), driver());
    let plain = client(&server, &driver, "secretive");
    let key = plain.auth().signing_key().expect("a key").clone();
    let signs = plain.with_request_signing(RequestSigning::new(key));
    let encryption = RequestEncryption::new(JweAlg::EcdhEsA256Kw, PublicKeyEncrypter)?;
    let hides = signs.with_request_encryption(encryption.enc(Enc::A256Gcm));
    for pushed in [false, true] {
        let new_request = || {
            if pushed {
                authorization_request("openid read").pushed()
            } else {
                authorization_request("openid read")
            }
        };
        let url = begun(&driver, &hides, new_request()).url;
        let query = url.query().expect("a query");
        let parts = query
            .split("request=")
            .nth(1)
            .map(|jwe| jwe.split('.').count());
        assert_eq!(parts, (!pushed).then_some(5), "{query}");
        let login = sign_in(&browser(), &driver, &hides, new_request())?;
        assert!(login.id_token.is_some(), "{pushed}");
    }
    Ok(())
}

fn home_error(page: &reqwest::blocking::Response) -> bool {
    redirect_target(page).contains("error=")
}

#[test]
fn a_signed_and_encrypted_response_is_accepted_by_form_post() -> Result<(), Error> {
    let (server, driver) = (OidcProvider::fapi(), driver());
    let client = client(&server, &driver, "encrypted");
    let key = DecryptionKey::from_jwk(
        &server.decryption_key("encrypted").expect("a key"),
        JweAlg::EcdhEs,
    );
    let encryption = ResponseEncryption::new(JweAlg::EcdhEs, key.expect("a key"));
    let opens = client
        .clone()
        .with_authorization_encryption(encryption.encs([Enc::A256Gcm]));
    let new_request = || authorization_request("openid").response_mode(ResponseMode::FormPostJwt);
    let begun = begun(&driver, &opens, new_request());
    let page = browser().get(begun.url.as_str()).send().expect("a page");
    let page = page.text().expect("a string");
    let (_, rest) = page
        .split_once("name=\"response\" value=\"")
        .expect("a form");
    let (response, _) = rest.split_once('"').expect("a value");
    assert_eq!(response.split('.').count(), 5);
    let form = format!("response={response}");
    assert!(opens.recognizes(&begun.pending, &form) && !client.recognizes(&begun.pending, &form));
    let login = driver.run(opens.redeem(begun.pending, &form)?)?;
    assert!(login.id_token.is_some());
    // A client not registered for signed responses rejects them, and a registered one rejects plain ones.
    let begun = self::begun(&driver, &client, new_request());
    let refused = client
        .redeem(begun.pending, &form)
        .and_then(|login| driver.run(login));
    assert_eq!(refused.expect_err("a refusal").code(), "jwe.unexpected");
    Ok(())
}

#[test]
fn authorization_details_are_granted_and_resources_narrowed() -> Result<(), Error> {
    let (server, driver) = (OidcProvider::fapi(), driver());
    let client = bound(&server, &driver, "security", &dpop());
    let expected: AuthorizationDetails = [AuthorizationDetail::new("payment")
        .action("initiate")
        .member("amount", "12.50")]
    .into_iter()
    .collect();
    let [one, other] = ["https://one.example/", "https://other.example/"];
    let request = authorization_request("openid read").authorization_details(&expected);
    let request = request.resource(one)?.resource(other)?.pushed();
    let begun = begun(&driver, &client, request);
    let came = browser().get(begun.url.as_str()).send().expect("an answer");
    let pending = begun.pending.for_resources([one])?;
    let login = driver.run(client.redeem(pending, redirect_target(&came))?)?;
    let granted = login.tokens.authorization_details()?.expect("permissions");
    assert_eq!(expected.missing_from(&granted).count(), 0);
    let payment = granted.iter().next().expect("a payment");
    assert_eq!(payment.get("id").and_then(|id| id.as_str()), Some("p-4711"));
    assert!(login.tokens.warnings.is_empty());
    assert_eq!(audience(&driver, &client, &login.tokens), one);
    // A refresh can use all resources of the grant, whichever resource the code was redeemed for.
    let refresh = login.tokens.refresh_token.expect("a refresh token");
    let narrow = TokenRequest::new().resource(other)?;
    let renewed = driver.run(client.token(Refresh::new(refresh), narrow))?;
    assert_eq!(audience(&driver, &client, &renewed), other);
    Ok(())
}

#[test]
fn a_client_token_is_for_the_requested_resource() -> Result<(), Error> {
    let (server, driver) = (OidcProvider::fapi(), driver());
    let client = bound(&server, &driver, "security", &dpop());
    for resource in ["https://one.example/", "https://other.example/"] {
        let token_request = TokenRequest::from(Scope::parse("read")?).resource(resource)?;
        let tokens = driver.run(client.client_credentials(token_request))?;
        assert_eq!(audience(&driver, &client, &tokens), resource);
    }
    Ok(())
}

/// The audience of an access token, by introspection.
fn audience(driver: &Driver, client: &Client, tokens: &Tokens) -> String {
    let introspection = Introspection::new(tokens.access_token.clone());
    match driver
        .run(client.introspect(introspection))
        .expect("an answer")
    {
        IntrospectionResponse::Active(state) => state.audience.join(" "),
        other => panic!("{other:?}"),
    }
}

#[test]
fn refresh_tokens_of_a_public_client_are_bound_to_its_key() -> Result<(), Error> {
    let (server, driver, key) = (OidcProvider::fapi(), driver(), dpop());
    let found = server.discovered(&driver)?;
    let public = Client::new(found, ClientId::new("public"), ClientAuth::none())?;
    let bound = public.clone().with_dpop(key.to_core()?);
    let login = sign_in(&browser(), &driver, &bound, authorization_request("openid"))?;
    let refresh = login.tokens.refresh_token.clone().expect("a refresh token");
    let renewed = driver.run(bound.refresh(&refresh))?;
    let refresh = renewed.refresh_token.clone().expect("a refresh token");
    let other_client = public.with_dpop(dpop().to_core()?);
    let refused = driver
        .run(other_client.refresh(&refresh))
        .expect_err("a refusal");
    assert_eq!(refused.code(), "key.mismatch");
    userinfo(&driver, &bound, &renewed)
}

// RFC 9126 section 5: the server's metadata requires it, and the client does not request it.
#[test]
fn a_request_is_pushed_if_the_metadata_requires_it() -> Result<(), Error> {
    let server = OidcProvider::fapi_with(&[("REQUIRE_PUSHED", "yes")]);
    let driver = driver();
    let client = client(&server, &driver, "encrypted");
    let refused = client.authorize(&Moment::system()?, authorization_request("openid read"));
    let code = refused
        .map(|_| "a URL")
        .unwrap_or_else(|error| error.code());
    assert_eq!(code, "authorization.push_required");
    let begun = begun(&driver, &client, authorization_request("openid read"));
    let query = begun.url.query().expect("a query");
    assert!(
        query.starts_with("client_id=encrypted&request_uri=urn"),
        "{query}"
    );
    // The server enforces it: the same request is refused if sent through the browser.
    let lax = OidcProvider::fapi();
    let unaware = self::client(&lax, &driver, "encrypted");
    let unpushed = self::begun(&driver, &unaware, authorization_request("openid read")).url;
    let unpushed = unpushed.as_str().replace(lax.issuer(), server.issuer());
    let response = browser().get(unpushed).send().expect("an answer");
    assert!(response.status() == 400 || home_error(&response));
    let login = sign_in(
        &browser(),
        &driver,
        &client,
        authorization_request("openid read"),
    )?;
    assert!(login.id_token.is_some());
    Ok(())
}

// A program on the user's machine, with a server that only accepts pushed requests.
#[test]
fn a_login_at_loopback_pushes_its_request() -> Result<(), Error> {
    let (server, driver) = (OidcProvider::fapi(), driver());
    let found = server.discovered(&driver)?;
    let client = Client::new(found, ClientId::new("page"), ClientAuth::none())?;
    let listener = Listener::bind()?;
    let request = AuthorizationRequest::new(listener.redirect_uri().clone());
    let request = request.scope(Scope::parse("openid")?).pushed();
    let mut sent = None;
    let opens = |url: &Url| {
        sent = url.query().map(str::to_owned);
        open(url)
    };
    let login = listener.login(&driver, &client, request, opens, Duration::from_secs(30))?;
    assert!(login.id_token.is_some());
    let sent = sent.expect("a query");
    assert!(sent.starts_with("client_id=page&request_uri=urn"), "{sent}");
    Ok(())
}

#[test]
fn a_loopback_login_can_request_a_signed_response() -> Result<(), Error> {
    let (server, driver) = (OidcProvider::fapi(), driver());
    let found = server.discovered(&driver)?;
    let client = Client::new(found, ClientId::new("public"), ClientAuth::none())?;
    let client = client.with_dpop(dpop().to_core()?);
    let client = client.with_authorization_algs([Alg::Es256]);
    let listener = Listener::bind()?;
    let request = AuthorizationRequest::new(listener.redirect_uri().clone());
    let request = request.scope(Scope::parse("openid")?);
    // A listener gets no fragment, so it selects the response mode itself.
    let request = request.response_mode(ResponseMode::FragmentJwt);
    let opens = |url: &Url| {
        let query = url.query().expect("a query");
        assert!(query.contains("response_mode=query.jwt"), "{query}");
        open(url)
    };
    let login = listener.login(&driver, &client, request, opens, Duration::from_secs(30))?;
    assert!(login.id_token.is_some());
    Ok(())
}
