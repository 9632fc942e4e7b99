//! Methods of [`Client`](super::Client) for grants that take more than one request and open no browser.

use std::sync::Arc;

use bytes::Bytes;

use super::Client;
use crate::assertion::{Assertion, ClientGrantMethod};
use crate::endpoint::backchannel_authentication::{
    BackchannelAuthentication, BackchannelAuthenticationResponse,
};
use crate::endpoint::device_authorization::DeviceAuthorizationResponse;
use crate::error::Error;
use crate::exchange::{Exchange, ExchangeExt as _, Ready};
use crate::flow::assertion_grant;
use crate::flow::backchannel::{self, AwaitedRequest};
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use crate::flow::identity_assertion::SignInElsewhere;
use crate::flow::identity_assertion::{
    self, IdentityAccess, IdentityAssertion, IdentityAssertionRequest,
};
use crate::flow::poll::{Poll, PollTiming};
use crate::flow::redeem::{self, Identity, Login};
use crate::grant::{self, Grant, TokenRequest};
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::token::Tokens;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use crate::workload::SubjectToken;

impl Client {
    /// Creates an extension grant for [`Self::token`] (RFC 6749 section 4.5), by the absolute URI of its type or by the
    /// name under which the server's preset [defines](grant::ExtensionGrantDefinition) it.
    ///
    /// # Errors
    /// `grant.not_an_extension` for anything else.
    pub fn extension(&self, grant_type: &str) -> Result<grant::Extension, Error> {
        let mut definitions = self.server().extension_grants();
        match definitions.find(|definition| definition.name() == grant_type) {
            Some(definition) => Ok(grant::Extension::of_definition(Arc::clone(definition))),
            None => grant::Extension::new(grant_type),
        }
    }

    /// Gets tokens for an assertion that the client signs itself (RFC 7523 section 2.1), as service accounts do. For
    /// an assertion of another party, use [`Self::token`] with [`grant::JwtBearer`].
    ///
    /// # Errors
    /// `denied.invalid_grant` if the server does not accept the assertion, from the steps.
    pub fn tokens_for_own_assertion<R: Into<TokenRequest>>(
        &self,
        assertion: Assertion,
        token_request: R,
    ) -> impl Exchange<Output = Tokens> + Send + use<R> {
        assertion_grant::tokens_for_assertion(Arc::clone(&self.0), assertion, token_request.into())
    }

    /// Uses assertions that `make` returns for a scope instead of the `client_credentials` grant, in
    /// [`Self::client_credentials`] and in the renewal of the client's own grant. The scope is part of the assertion;
    /// the request itself sends only resources, audiences and other parameters.
    #[must_use]
    pub fn with_own_assertion(
        mut self,
        make: impl Fn(&Scope) -> Result<Assertion, Error> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.0).own_tokens = Some(ClientGrantMethod::Assertion(Arc::new(make)));
        self
    }

    /// Exchanges the token of a workload (RFC 8693) instead of the `client_credentials` grant, in
    /// [`Self::client_credentials`] and in the renewal of the client's own grant. The workload's token is read again
    /// for each request.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    #[must_use]
    pub fn with_subject_token(mut self, subject: SubjectToken) -> Self {
        Arc::make_mut(&mut self.0).own_tokens =
            Some(ClientGrantMethod::Exchange(Box::new(subject)));
        self
    }

    /// Gets tokens by a sign-in at an identity provider, whose client is `provider_client`
    /// (draft-ietf-oauth-identity-assertion-authz-grant). [`Self::client_credentials`] and the renewal of every
    /// [grant](Self::keeper) of this client, a user's or its own, then exchange the subject token that `read` returns
    /// for an assertion, and present the assertion to this server. No refresh token is needed. `read` is called for
    /// each request and must not block; an [expired](grant::IdentitySubject::has_ended) ID token is never sent. The
    /// organization configures the identity provider and the server; a resource must not choose them.
    ///
    /// All grants of this client belong to the sign-in that `read` returns, so create one client for each user. In a
    /// store their names contain the identity provider's issuer and client; each needs a subject, because two users
    /// must not share a record.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    #[must_use]
    pub fn with_identity(
        mut self,
        provider_client: &Self,
        read: impl Fn(UnixTime) -> Result<grant::IdentitySubject, Error> + Send + Sync + 'static,
    ) -> Self {
        let binding = &provider_client.0.binding;
        let identity_provider = [binding.issuer.clone(), binding.client_id.clone()];
        let sign_in = SignInElsewhere::new(Arc::clone(&provider_client.0), read);
        let sign_in = Arc::new(sign_in);
        Arc::make_mut(&mut self.0).own_tokens = Some(ClientGrantMethod::Identity {
            sign_in,
            identity_provider,
        });
        self
    }

    /// Polls for the tokens of a grant that waits for the user, at this pace, until the user approves or declines, or
    /// the grant expires. Dropping the exchange stops polling; the server is not notified.
    pub fn poll<G: Grant + Clone + Send + 'static, R: Into<TokenRequest>>(
        &self,
        grant: G,
        token_request: R,
        pace: PollTiming,
    ) -> impl Exchange<Output = Tokens> + Send + use<G, R> {
        Poll::new(Arc::clone(&self.0), grant, token_request.into(), pace)
    }

    /// Waits until the user has entered the code of a device authorization response and signed in (RFC 8628
    /// section 3.4): `token_request` is the request for which the code was issued. With `openid` the ID token is
    /// verified.
    ///
    /// # Errors
    /// `denied.access_denied` if the user declines, `denied.expired_token` if the user did neither in time, and those
    /// of [`Self::redeem`]; all from the steps.
    pub fn poll_device_token<R: Into<TokenRequest>>(
        &self,
        code: &DeviceAuthorizationResponse,
        token_request: R,
    ) -> impl Exchange<Output = Login> + Send + use<R> {
        let timing = PollTiming {
            interval: code.interval,
            expires_at: code.expires_at,
        };
        let grant = grant::DeviceCode::new(code.device_code.clone());
        self.sign_in(grant, token_request, Some(timing))
    }

    /// Gets the tokens of a grant that the user approves outside a browser of this client. With `openid` it verifies
    /// the ID token. Polls at the given pace, or sends one request if there is none.
    ///
    /// # Errors
    /// The errors of [`Self::redeem`], from the steps.
    pub fn sign_in<G: Grant + Clone + Send + 'static, R: Into<TokenRequest>>(
        &self,
        grant: G,
        token_request: R,
        pace: Option<PollTiming>,
    ) -> impl Exchange<Output = Login> + Send + use<G, R> {
        let token_request = token_request.into();
        let identity = Identity::for_request(&token_request);
        let tokens = match pace {
            Some(pace) => self.poll(grant, token_request, pace).boxed(),
            None => self.token(grant, token_request).boxed(),
        };
        redeem::without_browser(Arc::clone(&self.0), tokens, identity)
    }

    /// Asks the server to authenticate a user on the user's own device (CIBA Core section 7). The request is signed if
    /// the client signs its requests and the server supports that.
    ///
    /// # Errors
    /// `ciba.duplicate_request` if the same request of this client or a clone of it is still pending,
    /// `endpoint.missing`, `client_auth.required` for a public client, `denied.*`; from the steps.
    pub fn authenticate_backchannel(
        &self,
        request: BackchannelAuthentication,
    ) -> impl Exchange<Output = BackchannelAuthenticationResponse> + Send + use<> {
        backchannel::begin(Arc::clone(&self.0), request)
    }

    /// Waits until the user has approved or declined a backchannel request, and gets the tokens (CIBA Core section 11).
    /// Polls at the given pace, or sends one request if there is none, as after a ping. `token_request` must be that of
    /// the authentication request.
    ///
    /// # Errors
    /// `denied.access_denied` if the user declines, `denied.expired_token` if the user did neither in time, and those
    /// of [`Self::redeem`]; all from the steps.
    pub fn poll_backchannel_token<R: Into<TokenRequest>>(
        &self,
        auth_req_id: Secret<String>,
        token_request: R,
        pace: Option<PollTiming>,
    ) -> impl Exchange<Output = Login> + Send + use<R> {
        self.sign_in(grant::Ciba::new(auth_req_id), token_request, pace)
    }

    /// Verifies a ping (CIBA Core section 10.2), see [`AwaitedRequest::pinged`]; nothing is sent.
    ///
    /// # Errors
    /// `ciba.*`, `reply.*`.
    pub fn verify_ping(
        &self,
        awaited: AwaitedRequest,
        authorization: Option<String>,
        body: Bytes,
    ) -> impl Exchange<Output = ()> + Send + use<> {
        Ready::new(()).and_then(move |_, ()| awaited.pinged(authorization.as_deref(), &body))
    }

    /// Accepts the tokens that the server has pushed for a backchannel request (CIBA Core section 10.3.1):
    /// `authorization` is the value of that header, `body` what was posted.
    ///
    /// # Errors
    /// `ciba.*`, `token.*`, `id_token.*`, `jws.*`, `jwt.*`, from the steps.
    pub fn accept_push(
        &self,
        awaited: AwaitedRequest,
        authorization: Option<String>,
        body: Bytes,
    ) -> impl Exchange<Output = Login> + Send + use<> {
        backchannel::pushed(Arc::clone(&self.0), awaited, authorization, body)
    }

    /// Requests an assertion for another server from this one, the identity provider at which the user has signed in to
    /// this client (draft-ietf-oauth-identity-assertion-authz-grant section 4.3).
    ///
    /// # Errors
    /// `jwt.audience` and `jwt.expired` for an ID token that is not for this client or has expired, before anything is
    /// sent; `token.*`, `jwt.*` for an assertion that is not for that server; `client_auth.required`, `denied.*`.
    pub fn identity_assertion(
        &self,
        request: IdentityAssertionRequest,
    ) -> impl Exchange<Output = IdentityAssertion> + Send + use<> {
        identity_assertion::request(Arc::clone(&self.0), request)
    }

    /// Presents an assertion of an identity provider to this server, for which it was issued (section 4.4).
    ///
    /// # Errors
    /// `jwt.audience` for an assertion for another server, and `jwt.expired`, before anything is sent; `denied.*`.
    pub fn redeem_identity_assertion<R: Into<TokenRequest>>(
        &self,
        assertion: IdentityAssertion,
        token_request: R,
    ) -> impl Exchange<Output = Tokens> + Send + use<R> {
        identity_assertion::redeem(Arc::clone(&self.0), assertion, token_request.into())
    }

    /// Gets access to the server of `client` with the tokens of a sign-in at this server: performs both steps of the
    /// identity assertion grant, and renews the tokens. The organization configures the identity provider and the
    /// server; a resource must not choose them.
    pub fn identity_access(
        &self,
        login: &Tokens,
        client: &Self,
        token_request: impl Into<TokenRequest>,
    ) -> IdentityAccess {
        let (identity_provider, client) = (Arc::clone(&self.0), Arc::clone(&client.0));
        IdentityAccess::new(identity_provider, login, client, token_request.into())
    }
}
