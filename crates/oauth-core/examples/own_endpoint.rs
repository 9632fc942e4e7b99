//! A custom endpoint in about thirty lines: client authentication,
//! URLs, signatures and retries are handled by the call. `cargo run -p oauth-core --example own_endpoint`.

use std::sync::Arc;

use bytes::Bytes;
use oauth_core::endpoint::{Auth, Context, Endpoint, EndpointRequest, Reply};
use oauth_core::error::{Error, Misuse};
use oauth_core::issuer::Issuer;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Exchange, Input, Moment, Step, Tokens};

/// `GET {userinfo_endpoint}` with an access token (OpenID Connect Core section 5.3).
struct UserInfo {
    tokens: Arc<Tokens>,
}

impl Endpoint for UserInfo {
    const NAME: &'static str = "userinfo";
    type Output = String;

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        let auth = Auth::Token(Arc::clone(&self.tokens));
        Ok(EndpointRequest::get(EndpointKind::Userinfo).auth(auth))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<String, Error> {
        let object = reply.object()?;
        let subject = object.get("sub").and_then(|subject| subject.as_str());
        subject
            .map(str::to_owned)
            .ok_or_else(|| reply.malformed("sub"))
    }
}

/// Sends the request and parses this body as its response.
fn subject(body: &'static str) -> Result<String, Error> {
    let server = Server::new(Issuer::parse("https://as.example")?)
        .with_endpoint(EndpointKind::Userinfo, "https://as.example/userinfo")?;
    let client = Client::new(server, ClientId::new("my-app"), ClientAuth::none())?;
    let tokens = Arc::new(Tokens::bearer("abc"));

    let at = Moment::system()?;
    let mut call = client.call(UserInfo { tokens });
    let Step::Send(request) = call.resume(&at, Input::Begin)? else {
        return Err(Misuse::OutOfOrder.into());
    };
    println!("{} {}", request.method(), request.uri());
    let mut reply = http::Response::new(Bytes::from_static(body.as_bytes()));
    let json = http::HeaderValue::from_static("application/json");
    reply.headers_mut().insert(http::header::CONTENT_TYPE, json);
    match call.resume(&at, Input::Reply(reply))? {
        Step::Done(subject) => Ok(subject),
        _ => Err(Misuse::OutOfOrder.into()),
    }
}

fn main() -> Result<(), Error> {
    println!("the token is {}'s", subject(r#"{"sub":"248289761001"}"#)?);
    Ok(())
}

#[test]
fn subject_is_read_and_a_reply_without_sub_is_refused() {
    assert_eq!(subject(r#"{"sub":"ann"}"#).ok().as_deref(), Some("ann"));
    let error = subject(r#"{"name":"Ann"}"#).err();
    assert_eq!(error.map(|error| error.endpoint()), Some(Some("userinfo")));
}
