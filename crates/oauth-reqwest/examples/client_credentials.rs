//! A program's own token, and an API call with it, without `async`:
//!
//! ```text
//! oauth serve --system generic --port 8080
//! CLIENT_SECRET='s3cr+t/%: ~' cargo run -p oauth-reqwest --example client_credentials -- \
//!     http://127.0.0.1:8080 twin-client http://127.0.0.1:8080/api/echo
//! ```

use oauth_core::flow::resource::Resource;
use oauth_core::issuer::Issuer;
use oauth_core::quirk::Rules;
use oauth_core::{Client, ClientAuth, ClientId, Error, Scope, Secret, danger, discover};
use oauth_reqwest::blocking::{Authorized, Driver, GrantSource};
use oauth_reqwest::reqwest;

/// The body of an API's reply, which a token of this client's is sent to.
fn call(issuer: &str, id: &str, secret: Secret<String>, url: &str) -> Result<String, Error> {
    let driver = Driver::new(reqwest::blocking::Client::builder())?;
    let origin = oauth_core::url::Url::parse(url)?.origin();
    // A server of this machine may be plain `http`, and only there.
    let (server, resource) = match danger::loopback_issuer(issuer) {
        Ok(issuer) if issuer.as_str().starts_with("http://") => (
            driver.run(danger::discover_on_loopback(issuer, Rules::default()))?,
            danger::loopback_resource([origin.as_str()])?,
        ),
        _ => (
            driver.run(discover(Issuer::parse(issuer)?))?,
            Resource::new([origin.as_str()])?,
        ),
    };
    let client = Client::new(server, ClientId::new(id), ClientAuth::basic(secret))?;
    let session = GrantSource::client_credentials(driver.clone(), &client, Scope::none());
    let reply = Authorized::new(driver, session, resource).get(url).send()?;
    Ok(reply.text().unwrap_or_default())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [issuer, id, url] = arguments.as_slice() else {
        return Err("client_credentials ISSUER CLIENT-ID URL, with CLIENT_SECRET".into());
    };
    let secret = std::env::var("CLIENT_SECRET")?;
    println!("{}", call(issuer, id, secret.into(), url)?);
    Ok(())
}

#[test]
fn the_api_is_called_with_a_client_token() -> Result<(), Error> {
    let served = oauth_testkit::Served::start(oauth_testkit::Twin::generic).expect("a twin");
    let (id, secret) =
        served.with(|twin| (twin.client_id().to_owned(), twin.client_secret().to_owned()));
    let url = format!("{}/api/echo", served.base());
    let output = call(served.base(), &id, secret.into(), &url)?;
    assert!(output.contains(&id), "{output}");
    let wrong = call(served.base(), &id, "wrong".into(), &url).unwrap_err();
    assert_eq!(wrong.code(), "denied.invalid_client");
    Ok(())
}
