//! Token requests whose grant is an assertion that is signed for it, and [`Signing`], the signing of one JWS in this
//! process or by the host.
//!
//! RFC 7523 <https://www.rfc-editor.org/rfc/rfc7523#section-2.1>

use std::sync::Arc;

use crate::assertion::{Assertion, ClientGrantMethod};
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::crypto::SigningKey;
use crate::endpoint::token::TokenEndpoint;
use crate::error::{Error, Misuse};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Input, Ready, Step};
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use crate::flow::identity_assertion::SignInElsewhere;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use crate::grant::token_type;
use crate::grant::{ClientCredentials, JwtBearer, TokenRequest};
use crate::moment::Moment;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::token::Tokens;

/// Requests tokens for an assertion.
pub(crate) fn tokens_for_assertion(
    config: Arc<ClientConfig>,
    mut assertion: Assertion,
    mut token_request: TokenRequest,
) -> impl Exchange<Output = Tokens> + Send + use<> {
    let server = Arc::clone(&config);
    let prepared = Ready::new(()).and_then(move |_, ()| {
        let scope = &mut token_request.scope;
        server.server.require(&mut assertion, scope)?;
        Ok((assertion, token_request))
    });
    prepared.then(|_, (assertion, request)| Ok(present(config, assertion, request)))
}

/// Signs an assertion that the server accepts, and requests tokens for it.
fn present(
    config: Arc<ClientConfig>,
    assertion: Assertion,
    token_request: TokenRequest,
) -> impl Exchange<Output = Tokens> + Send + use<> {
    let claimed_scope = assertion.claimed_scope();
    let signing = Signing::new(assertion.key().clone(), move |at| {
        assertion.signing_input(at)
    });
    signing.then(move |_, jwt| {
        let grant = JwtBearer::new(jwt)?.claiming(claimed_scope);
        Ok(Call::new(config, TokenEndpoint::new(grant, token_request)))
    })
}

/// Requests tokens for the client itself.
pub(crate) fn client_own_tokens(
    config: Arc<ClientConfig>,
    token_request: TokenRequest,
) -> Boxed<Tokens> {
    let make = match config.own_tokens.clone() {
        None => {
            return Call::new(config, TokenEndpoint::new(ClientCredentials, token_request)).boxed();
        }
        Some(ClientGrantMethod::Assertion(make)) => make,
        #[cfg(not(all(feature = "js", target_family = "wasm")))]
        Some(ClientGrantMethod::Exchange(subject)) => {
            return exchange_workload_token(config, subject, token_request);
        }
        #[cfg(not(all(feature = "js", target_family = "wasm")))]
        Some(ClientGrantMethod::Identity { sign_in, .. }) => {
            return SignInElsewhere::tokens_by_sign_in(&*sign_in, config, token_request);
        }
    };
    let server = Arc::clone(&config);
    let assertion = Ready::new(()).and_then(move |_, ()| {
        let mut assertion = make(&token_request.scope)?;
        let mut token_request = token_request;
        server
            .server
            .require(&mut assertion, &mut token_request.scope)?;
        // The assertion contains the scope.
        Ok((assertion, token_request.scope(Scope::none())))
    });
    let tokens = assertion.then(|_, (assertion, request)| Ok(present(config, assertion, request)));
    tokens.boxed()
}

/// Requests tokens in exchange for the token of a workload.
#[cfg(not(all(feature = "js", target_family = "wasm")))]
fn exchange_workload_token(
    config: Arc<ClientConfig>,
    subject: Box<crate::workload::SubjectToken>,
    mut token_request: TokenRequest,
) -> Boxed<Tokens> {
    if token_request.scope.is_empty() {
        token_request.scope = subject.scope.clone();
    }
    let platform_audience = subject.platform_audience.as_ref();
    let audience = platform_audience.unwrap_or(&subject.audience);
    let exchange = subject.token.fetch(audience).then(move |_, token| {
        let grant = crate::grant::TokenExchange::new(token, &subject.token_type)?;
        let grant = grant.requested_token_type(token_type::ACCESS_TOKEN)?;
        let request = token_request.audience(&subject.audience);
        Ok(Call::new(config, TokenEndpoint::new(grant, request)))
    });
    exchange.boxed()
}

/// Makes the content to sign, for the moment of signing.
type Content = Box<dyn FnOnce(&Moment) -> Result<String, Error> + Send>;

/// Signs once.
pub(crate) struct Signing {
    key: SigningKey,
    state: State,
}

enum State {
    Fresh(Content),
    /// The host signs this.
    Waiting(String),
    Over,
}

impl Signing {
    /// Signs the signing input that `content` makes.
    pub(crate) fn new(
        key: SigningKey,
        content: impl FnOnce(&Moment) -> Result<String, Error> + Send + 'static,
    ) -> Self {
        Self {
            key,
            state: State::Fresh(Box::new(content)),
        }
    }
}

impl Exchange for Signing {
    type Output = Secret<String>;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Secret<String>>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh(content), Input::Begin) => {
                let content = content(at)?;
                if let Some(jws) = self.key.sign(&content)? {
                    return Ok(Step::Done(jws));
                }
                let job = self.key.job(content.clone());
                self.state = State::Waiting(content);
                Ok(Step::Sign(job))
            }
            (State::Waiting(content), Input::Signed(signature)) => {
                self.key.finish(&content, &signature).map(Step::Done)
            }
            (State::Waiting(_), Input::Lost(cause)) => Err(Error::lost(cause)),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}
