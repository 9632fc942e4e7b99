//! oauth-core, as a driver runs it: the system's clock and random source at each step.

use std::hint::black_box;

use bytes::Bytes;
use oauth_core::issuer::Issuer;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Exchange, Input, Moment, Scope, Step,
};

use crate::{
    AUTHORIZE_URI, ID, ISSUER, OURS, REDIRECT_URI, SECRET, Side, TOKEN_URI, Visit, floor, scopes,
    sent,
};

pub(crate) fn client() -> Result<Client, Error> {
    let server = Server::new(Issuer::parse(ISSUER)?)
        .with_endpoint(EndpointKind::Token, TOKEN_URI)?
        .with_endpoint(EndpointKind::Authorization, AUTHORIZE_URI)?;
    Client::new(server, ClientId::new(ID), ClientAuth::basic(SECRET))
}

pub(crate) fn grant(replies: Vec<Bytes>) -> Side {
    let client = client().expect("a client");
    let scopes = scopes();
    let run = move |n: usize, visit: Visit<'_>| -> Result<(), Error> {
        let mut exchange = client.client_credentials(Scope::parse(&scopes[n % 16])?);
        if let Step::Send(request) = exchange.resume(&Moment::system()?, Input::Begin)? {
            sent::take(black_box(&request));
        }
        let reply = Input::Reply(floor::response(&replies[n % 16]));
        if let Step::Done(tokens) = exchange.resume(&Moment::system()?, reply)? {
            visit(
                tokens.access_token.expose(),
                tokens.expires_in.unwrap_or_default(),
            );
        }
        Ok(())
    };
    Side::new(OURS, move |n, visit| run(n, visit).expect("tokens"))
}

pub(crate) fn url() -> Side {
    let client = client().expect("a client");
    let redirect_uri = RedirectUri::parse(REDIRECT_URI).expect("a redirect URI");
    let scopes = scopes();
    let run = move |n: usize, visit: Visit<'_>| -> Result<(), Error> {
        let ask =
            AuthorizationRequest::new(redirect_uri.clone()).scope(Scope::parse(&scopes[n % 16])?);
        let (url, pending) = client.authorize(&Moment::system()?, ask)?;
        black_box(pending);
        visit(url.as_str(), 0);
        Ok(())
    };
    Side::new(OURS, move |n, visit| run(n, visit).expect("a URL"))
}
