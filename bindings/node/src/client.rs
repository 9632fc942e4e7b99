//! The OAuth client of one authorization server: converts options from JavaScript, and creates exchanges.

use std::collections::HashMap;
use std::sync::Arc;

use napi::Result;
use napi::bindgen_prelude::Array;
use napi_derive::napi;
use oauth_core::Secret;
use oauth_facade::{
    AuthorizationFlow, Authorize, Client, IntrospectionOptions, Operation as _, Registration,
};

use crate::assertion_callback::NativeAssertionSource;
use crate::authorization::NativeAuthorization;
use crate::client_auth::{NativeAssertion, NativeKeyUse, auth};
use crate::dpop::NativeDpopKey;
use crate::error::{fail, invalid};
use crate::exchange::{NativeBegun, NativeExchange, NativeMoment, begun, moment};
use crate::keeper::{NativeKeep, NativeKeeper};
use crate::server::NativeServer;
use crate::settings::NativeSettings;
use crate::tokens::NativeTokens;
use crate::value::{arguments, refused, token_request};

/// The configuration of a client.
#[napi(object, object_to_js = false)]
pub struct NativeClientOptions {
    /// The client id.
    pub client_id: Option<String>,
    /// A stored registration (RFC 7591), instead of a client id.
    pub registered: Option<String>,
    /// The secret.
    pub client_secret: Option<String>,
    /// The registered name of the authentication method.
    pub client_auth: Option<String>,
    /// The settings of an authentication method that needs more than a secret.
    pub assertion: Option<NativeAssertion>,
    /// The registered redirect URIs.
    pub redirect_uris: Option<Vec<String>>,
    /// Additional header fields of every request to the server.
    pub headers: HashMap<String, String>,
    /// The signature algorithm of ID tokens.
    pub id_token_signed_response_alg: Option<String>,
    /// The audiences that ID tokens may have besides the client.
    pub trusted_audiences: Option<Vec<String>>,
    /// The key management algorithm of encrypted ID tokens.
    pub id_token_encrypted_response_alg: Option<String>,
    /// The content encryption algorithm of encrypted ID tokens.
    pub id_token_encrypted_response_enc: Option<String>,
    /// The signature algorithm of UserInfo responses.
    pub userinfo_signed_response_alg: Option<String>,
    /// The key management algorithm of encrypted UserInfo responses.
    pub userinfo_encrypted_response_alg: Option<String>,
    /// The content encryption algorithm of encrypted UserInfo responses.
    pub userinfo_encrypted_response_enc: Option<String>,
    /// The algorithm of signed authorization responses.
    pub authorization_signed_response_alg: Option<String>,
    /// The key management algorithm of encrypted authorization responses.
    pub authorization_encrypted_response_alg: Option<String>,
    /// The content encryption algorithm of encrypted authorization responses.
    pub authorization_encrypted_response_enc: Option<String>,
    /// The algorithm of signed authorization requests.
    pub request_object_signing_alg: Option<String>,
    /// The key that signs authorization requests.
    pub request_object_signing_key: Option<String>,
    /// The key management algorithm of encrypted request objects.
    pub request_object_encryption_alg: Option<String>,
    /// The content encryption algorithm of encrypted request objects.
    pub request_object_encryption_enc: Option<String>,
    /// Whether tokens are bound to the certificate of the connection.
    pub tls_client_certificate_bound_access_tokens: Option<bool>,
    /// The thumbprint of the network's certificate.
    pub certificate_thumbprint: Option<String>,
    /// The security profile that the client enforces, such as FAPI 2.0.
    pub profile: Option<String>,
    /// The key management algorithm of encrypted access tokens.
    pub access_token_encryption_alg: Option<String>,
    /// The content encryption algorithm of encrypted access tokens.
    pub access_token_encryption_enc: Option<String>,
    /// The keys that decrypt all of these.
    pub decryption_keys: Option<Vec<String>>,
}

/// A client at one server.
#[napi]
pub struct NativeClient(pub(crate) Client);

impl NativeClient {
    pub(crate) const fn facade(&self) -> &Client {
        &self.0
    }
}

#[napi]
impl NativeClient {
    /// A client of `server`.
    #[napi(constructor)]
    pub fn new(
        server: &NativeServer,
        options: NativeClientOptions,
        function: Option<&NativeAssertionSource>,
        settings: Option<&NativeSettings>,
        used: Option<&NativeKeyUse>,
    ) -> Result<Self> {
        let secret = options.client_secret.map(Secret::new);
        let is_chosen = options.assertion.is_some() || options.client_auth.is_some();
        if options.registered.is_some() && (options.client_id.is_some() || secret.is_some()) {
            return Err(invalid(
                "clientId and clientSecret cannot be combined with registered, which contains them",
            ));
        }
        let chosen = options.client_auth.as_deref();
        let auth = match settings.filter(|_| options.assertion.is_none()) {
            Some(settings) => settings.0.auth(),
            None => auth(options.assertion, chosen, secret, function, used)?,
        };
        let client = match (options.client_id, options.registered.map(Secret::new)) {
            (Some(id), _) => Client::new(&server.0, &id, auth),
            (None, Some(stored)) => {
                Client::registered(&server.0, &stored, is_chosen.then_some(auth))
            }
            (None, None) => Ok(Client::unregistered(&server.0)),
        };
        let mut client = client.map_err(fail)?;
        if let Some(uris) = options.redirect_uris {
            client = client.with_redirect_uris(&uris).map_err(fail)?;
        }
        if let Some(alg) = options.id_token_signed_response_alg {
            client = client
                .with_id_token_signed_response_alg(&alg)
                .map_err(fail)?;
        }
        if let Some(audiences) = options.trusted_audiences {
            client = client.with_trusted_audiences(audiences);
        }
        let keys = options.decryption_keys.into_iter().flatten();
        let registration = Registration {
            userinfo_signed_response_alg: options.userinfo_signed_response_alg,
            id_token_encrypted_response_alg: options.id_token_encrypted_response_alg,
            id_token_encrypted_response_enc: options.id_token_encrypted_response_enc,
            userinfo_encrypted_response_alg: options.userinfo_encrypted_response_alg,
            userinfo_encrypted_response_enc: options.userinfo_encrypted_response_enc,
            access_token_encryption_alg: options.access_token_encryption_alg,
            access_token_encryption_enc: options.access_token_encryption_enc,
            authorization_signed_response_alg: options.authorization_signed_response_alg,
            authorization_encrypted_response_alg: options.authorization_encrypted_response_alg,
            authorization_encrypted_response_enc: options.authorization_encrypted_response_enc,
            request_object_signing_alg: options.request_object_signing_alg,
            request_object_signing_key: options.request_object_signing_key.map(Secret::new),
            request_object_encryption_alg: options.request_object_encryption_alg,
            request_object_encryption_enc: options.request_object_encryption_enc,
            tls_client_certificate_bound_access_tokens: options
                .tls_client_certificate_bound_access_tokens
                .unwrap_or_default(),
            certificate_thumbprint: options.certificate_thumbprint,
            decryption_keys: keys.map(Secret::new).collect(),
        };
        client = client.with_registration(&registration).map_err(fail)?;
        if let Some(name) = &options.profile {
            client = client.with_profile(name).map_err(fail)?;
        }
        for (name, value) in options.headers {
            client = client.with_header(&name, &value).map_err(fail)?;
        }
        Ok(Self(client))
    }

    /// The client id; empty if the client has none yet.
    #[napi(getter)]
    pub fn client_id(&self) -> &str {
        self.0.core().client_id().as_str()
    }

    /// The same client, with tokens that are bound to this key.
    #[napi]
    pub fn with_dpop_key(&self, key: &NativeDpopKey) -> Self {
        Self(self.0.clone().with_dpop_key(&key.0))
    }

    /// Begins an authorization that needs no request to the server.
    #[napi]
    pub fn authorize(
        &self,
        args: Array<'_>,
        at: Option<NativeMoment>,
    ) -> Result<NativeAuthorization> {
        let request = Authorize::read(&mut arguments(&args)?).map_err(refused)?;
        let begun = self.0.authorize(&moment(at)?, &request).map_err(fail)?;
        Ok(begun.into())
    }

    /// The cached public keys of the server, to store.
    #[napi]
    pub fn export_keys(&self) -> Option<String> {
        self.0.export_keys()
    }

    /// Imports exported keys, unless the cached ones are newer.
    #[napi]
    pub fn import_keys(&self, text: String) -> Result<()> {
        self.0.import_keys(&text).map_err(fail)
    }

    /// Checks a callback that arrived in this context and in this user's session, and redeems its code, for some or all
    /// of the resources.
    #[napi]
    pub fn redeem(
        &self,
        flow: &NativeFlow,
        callback: String,
        resource: Option<Vec<String>>,
        context: Option<String>,
        user: Option<String>,
    ) -> Result<NativeExchange> {
        let callback_context = oauth_facade::callback_context(context, user);
        let exchange = flow
            .0
            .redeem_at(&self.0, &callback, resource.as_deref(), callback_context);
        exchange.map(NativeExchange::new).map_err(fail)
    }

    /// Begins the operation with this number in `js/ops.cjs`.
    #[napi]
    pub fn begin(&self, number: u32, args: Array<'_>) -> Result<NativeExchange> {
        let exchange = self.0.begin(number, arguments(&args)?);
        exchange.map(NativeExchange::new).map_err(refused)
    }

    /// Begins an operation, and takes its first step.
    #[napi]
    pub fn start(&self, number: u32, args: Array<'_>) -> Result<NativeBegun> {
        let exchange = self.0.begin(number, arguments(&args)?);
        begun(exchange.map_err(refused)?)
    }

    /// The same client, which verifies access tokens by introspection.
    #[napi]
    pub fn introspecting(&self, settings: Array<'_>) -> Result<Self> {
        let settings = IntrospectionOptions::read(&mut arguments(&settings)?).map_err(refused)?;
        self.0.introspecting(settings).map(Self).map_err(fail)
    }

    /// Tokens that consist of a refresh token which another program has obtained for this client.
    #[napi]
    pub fn tokens_from_refresh_token(
        &self,
        refresh_token: String,
        ask: Array<'_>,
    ) -> Result<NativeTokens> {
        let request = token_request(&ask)?;
        let tokens = self
            .0
            .tokens_from_refresh_token(Secret::new(refresh_token), &request);
        Ok(NativeTokens(Arc::new(tokens.map_err(fail)?)))
    }

    /// The keeper of one grant: the client's own, or a user's.
    #[napi]
    pub fn keep(
        &self,
        at: Option<NativeMoment>,
        grant_type: String,
        tokens: Option<&NativeTokens>,
        ask: Array<'_>,
        keep: NativeKeep,
    ) -> Result<NativeKeeper> {
        let tokens = tokens.map(|tokens| &*tokens.0);
        let request = token_request(&ask)?;
        NativeKeeper::new(&self.0, &moment(at)?, &grant_type, tokens, (request, keep)).map_err(fail)
    }
}

/// A pending authorization, which can be redeemed once.
#[napi]
pub struct NativeFlow(pub(crate) AuthorizationFlow);

#[napi]
impl NativeFlow {
    /// Reads a stored flow.
    #[napi(factory)]
    pub fn parse(text: String) -> Result<Self> {
        AuthorizationFlow::parse(&text).map(Self).map_err(fail)
    }

    /// The `state` parameter, by which the flow is found.
    #[napi(getter)]
    pub fn state(&self) -> &str {
        self.0.state().expose()
    }

    /// The issuer to which the user was sent.
    #[napi(getter)]
    pub fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// The URI at which the callback must arrive.
    #[napi(getter)]
    pub fn redirect_uri(&self) -> &str {
        self.0.redirect_uri()
    }

    /// The start of the flow, in Unix seconds.
    #[napi(getter)]
    pub fn started_at(&self) -> f64 {
        self.0.started_at().as_secs() as f64
    }

    /// Whether a callback contains the `state` of this flow.
    #[napi]
    pub fn recognizes(&self, callback: String) -> bool {
        self.0.recognizes(&callback)
    }

    /// The flow as text; an error once it has been redeemed.
    #[napi]
    pub fn to_json(&self) -> Result<String> {
        let text = self.0.to_json().map_err(fail)?;
        Ok(text.expose().clone())
    }
}

/// The step-up that an API's response requires, as JSON (RFC 9470).
#[napi]
pub(crate) fn step_up(status: u16, challenges: Vec<String>) -> Result<Option<String>> {
    oauth_facade::step_up(status, &challenges).map_err(fail)
}
