//! [`ResourceConnection`]: connects to an API of which only the URL is known, and keeps its tokens fresh, as the Model
//! Context Protocol describes. The server, the client and the scope are chosen in `flow/resource_connection.rs` of
//! oauth-core; the connection that a client opens to a server is in `transport.rs`.

mod budgets;
mod connected;
mod identity;
mod registration_check;
mod replaced;
mod sign_in;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::dpop::DpopKey;
use oauth_core::endpoint::device_authorization::DeviceAuthorizationResponse;
use oauth_core::error::Error;
use oauth_core::flow::resource::{Api, MetadataChallenge, Proofs, Resource};
use oauth_core::flow::resource_connection::{ConnectRequest, Extension, GrantChoice};
use oauth_core::protected_resource_metadata::ResourceIdentifier;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::Server;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, Tokens};
use oauth_session::store::{Answer, MemoryStore};
use oauth_session::{HeldTokens, Sources, Store, Token, TokenSource, connections};
use tokio::sync::OnceCell;

use crate::authorized::Authorized;
use crate::device_login::CodeLogin;
use crate::driver::Driver;
use identity::IdentityProvider;
use state::State;

pub use crate::device_login::DeviceLogin;

/// How long a user may take to sign in, unless [`ResourceConnection::sign_in_timeout`] says otherwise.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(300);

/// The tokens of an API of which only the URL is known. Cheap to clone; clones share the tokens.
///
/// Nothing is requested before a token is needed. Then the API is asked for its challenge and its metadata, which names
/// its server; the client is the one that was registered by hand, or has a metadata document, or registers itself; the
/// user signs in; and the tokens are kept fresh from then on. With a [`Store`] all of that happens once for all runs of
/// all programs that share it. If the server has forgotten the client, it registers again, once. If the API requires a
/// wider scope or another login, the user is asked, twice an hour at most.
///
/// Metadata is used for a day. If the API refuses a token before that, with a challenge that names its metadata (RFC
/// 9728 section 5.2), it is fetched again, every five minutes at most. If it has changed, the API is connected again,
/// once an hour at most; if it no longer names the server, the user signs in at the one that it names, and no token and
/// no client of the former server is sent there. The tokens of the former server are removed from the store once there
/// are others; they are not revoked, as [`forget`](Self::forget) revokes none.
///
/// `offline_access` is requested if the server lists it, because many issue a refresh token only then, unless
/// [`ConnectRequest::offline`] says otherwise. All tokens are requested with the `resource` of the API (RFC 8707), and
/// are sent only below its URL: two APIs on one origin are separate.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use oauth_core::flow::resource_connection::ConnectRequest;
/// use oauth_core::{ClientMetadata, Error};
/// use oauth_reqwest::oauth_session::store::MemoryStore;
/// use oauth_reqwest::{Driver, ResourceConnection, reqwest};
///
/// # async fn call() -> Result<(), Error> {
/// let driver = Driver::new(reqwest::Client::builder())?;
/// let request = ConnectRequest::new("https://mcp.example/mcp")?
///     .register(ClientMetadata::of_native_app("Notes"));
/// let connection = ResourceConnection::new(driver, request).store(Arc::new(MemoryStore::new()));
/// let api = connection.authorized();
/// let reply = api.post("https://mcp.example/mcp").body("{}").send().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ResourceConnection {
    settings: Arc<Settings>,
    state: Arc<State>,
}

type Authenticate = Arc<dyn Fn(&Server) -> Result<ClientAuth, Error> + Send + Sync>;
type Open = Arc<dyn Fn(&Url) -> Result<(), Error> + Send + Sync>;

#[derive(Clone)]
struct Settings {
    driver: Driver,
    request: ConnectRequest,
    store: Arc<dyn Store>,
    subject: String,
    auth: Authenticate,
    redirect_uri: Option<RedirectUri>,
    open: Option<Open>,
    sign_in_timeout: Duration,
    device: Option<CodeLogin>,
    identity: Option<IdentityProvider>,
    proofs: Proofs,
    metadata_challenge: MetadataChallenge,
    name: OnceCell<String>,
}

impl Settings {
    /// The name of the connection in the store: the one that an earlier release gave, if there is such a record.
    async fn key(&self) -> Result<&str, Error> {
        let name = self.name.get_or_try_init(|| async {
            if let Some(former) = self.request.former_key(&self.subject) {
                let stored = connections::load(&*self.store, &former).await?;
                if stored.connection.is_some() {
                    return Ok(former);
                }
            }
            Ok(self.request.key(&self.subject))
        });
        name.await.map(String::as_str)
    }
}

impl ResourceConnection {
    /// A connection only for this process, for which the user signs in with the browser of this machine, or without one
    /// with a code on another device, if the server offers that (RFC 8628): its prompt is then printed on standard error.
    ///
    /// Unless the request holds a [challenge](ConnectRequest::challenge), the API is asked for one.
    pub fn new(driver: Driver, request: ConnectRequest) -> Self {
        let settings = Settings {
            driver,
            request: request.asking_for_challenge(),
            store: Arc::new(MemoryStore::new()),
            subject: String::new(),
            auth: Arc::new(|_| Ok(ClientAuth::none())),
            redirect_uri: None,
            open: None,
            sign_in_timeout: SIGN_IN_TIMEOUT,
            device: None,
            identity: None,
            proofs: Proofs::default(),
            metadata_challenge: MetadataChallenge::default(),
            name: OnceCell::new(),
        };
        Self {
            settings: Arc::new(settings),
            state: Arc::default(),
        }
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        let settings = Arc::make_mut(&mut self.settings);
        settings.name = OnceCell::new();
        set(settings);
        self.state = Arc::default();
        self
    }

    /// Keeps the client and the tokens in a store, for all that share it.
    #[must_use]
    pub fn store(self, store: Arc<dyn Store>) -> Self {
        self.with(|settings| settings.store = store)
    }

    /// Sets whose tokens they are, if one store has those of several users.
    #[must_use]
    pub fn subject(self, name: impl Into<String>) -> Self {
        self.with(|settings| settings.subject = name.into())
    }

    /// Sets how a client authenticates that was registered by hand, or that publishes a metadata document.
    #[must_use]
    pub fn client_auth(self, auth: ClientAuth) -> Self {
        self.client_auth_at(move |_| Ok(auth.clone()))
    }

    /// Sets the authentication of the client, if it depends on what the server supports.
    #[must_use]
    pub fn client_auth_at(
        self,
        auth: impl Fn(&Server) -> Result<ClientAuth, Error> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.auth = Arc::new(auth))
    }

    /// Sets the registered redirect URI: a loopback address (RFC 8252), on which this machine listens. Otherwise a free
    /// port is used.
    #[must_use]
    pub fn redirect_uri(self, uri: RedirectUri) -> Self {
        self.with(|settings| settings.redirect_uri = Some(uri))
    }

    /// Sets the function that shows the sign-in page, which must not wait for the browser. By default it is
    /// [`browser::open`](crate::browser::open). The application then knows where the browser is: a code is used only by
    /// [`device`](Self::device).
    #[must_use]
    pub fn open(self, open: impl Fn(&Url) -> Result<(), Error> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.open = Some(Arc::new(open)))
    }

    /// Sets how long the user may take to sign in, instead of five minutes.
    #[must_use]
    pub fn sign_in_timeout(self, patience: Duration) -> Self {
        self.with(|settings| settings.sign_in_timeout = patience)
    }

    /// Lets the user sign in with a code on another device, at the times given, if the server supports that (RFC 8628).
    /// This function shows the code, for example its [prompt](DeviceAuthorizationResponse::prompt); the server
    /// determines how long the user may take. [`DeviceLogin::Never`] leaves the user the browser alone.
    #[must_use]
    pub fn device(
        self,
        login: DeviceLogin,
        show: impl Fn(&DeviceAuthorizationResponse) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        let show = Arc::new(show);
        self.with(|settings| settings.device = Some(CodeLogin { login, show }))
    }

    /// Signs in by an assertion of an organization's identity provider, without a browser
    /// (draft-ietf-oauth-identity-assertion-authz-grant, MCP's enterprise-managed authorization).
    ///
    /// `sign_in` provides the tokens of the user's sign-in to `client`, which the identity provider knows: a
    /// [`GrantSource`](oauth_session::GrantSource) of a grant with `openid`, which renews them if the ID token has
    /// expired. For each token of the API that expires, an assertion is requested, and presented to the API's server,
    /// as the client that is known there. `connect.grant_not_supported` if that server does not announce that it
    /// accepts identity assertions.
    #[must_use]
    pub fn identity(self, client: Client, sign_in: impl TokenSource + 'static) -> Self {
        self.with(|settings| {
            settings.request = settings
                .request
                .clone()
                .grant(GrantChoice::IdentityAssertion);
            settings.identity = Some(IdentityProvider::new(client, Arc::new(sign_in)));
        })
    }

    /// Binds the tokens to this key (RFC 9449). Without it, they are bound only if the API requires that
    /// (`dpop_bound_access_tokens_required`, RFC 9728 section 2): to a key that is made for the connection, and kept
    /// beside it in the [store](Self::store), sealed if that is sealed.
    #[must_use]
    pub fn dpop(self, key: DpopKey) -> Self {
        self.with(|settings| settings.request = settings.request.clone().dpop(key))
    }

    /// Passes the key of its tokens to these proofs, once it is known: for requests to the API that others send
    /// ([`Api::with_proofs`]).
    #[must_use]
    pub fn proofs(self, proofs: Proofs) -> Self {
        self.with(|settings| settings.proofs = proofs)
    }

    /// Reads the challenges of refused tokens here, which requests that others send to the API note
    /// ([`Api::with_metadata_challenge`]).
    #[must_use]
    pub fn metadata_challenge(self, challenge: MetadataChallenge) -> Self {
        self.with(|settings| settings.metadata_challenge = challenge)
    }

    /// The identifier of the API.
    pub fn resource(&self) -> &ResourceIdentifier {
        self.settings.request.resource()
    }

    /// The extension of the Model Context Protocol that a client with these tokens declares when it initializes: for one
    /// that acts for itself, or for which an identity provider vouches.
    pub fn extension(&self) -> Option<Extension> {
        self.settings.request.chosen_grant().extension()
    }

    /// The driver of all requests.
    pub fn driver(&self) -> &Driver {
        &self.settings.driver
    }

    /// A client for the API, which requests tokens when they are needed.
    pub fn authorized(&self) -> Authorized {
        Authorized::with_api(
            self.settings.driver.clone(),
            Sources::one(self.clone()),
            self.api(),
        )
    }

    /// The API below its URL, and nothing else on its origin, for requests with tokens of this connection.
    pub fn api(&self) -> Api {
        let api = Api::new(Resource::beneath(self.resource()));
        api.with_proofs(self.settings.proofs.clone())
            .with_metadata_challenge(self.settings.metadata_challenge.clone())
    }

    /// Tokens that are fresh now.
    ///
    /// # Errors
    /// `connect.not_protected` if the API requires no authorization: requests of [`Self::authorized`] are then sent
    /// without a token. Those of [`oauth_core::connect_resource`], of the login
    /// ([`Listener::login`](crate::loopback::Listener::login)), of the token requests and of the store.
    pub async fn token(&self) -> Result<Token, Error> {
        self.token_other_than(None).await
    }

    /// A valid token, other than the refused ones: see [`Self::token`].
    ///
    /// # Errors
    /// The errors of [`Self::token`].
    pub async fn token_other_than(&self, refused: Option<&Tokens>) -> Result<Token, Error> {
        state::tokens(&self.settings, &self.state, refused).await
    }

    /// Forgets the tokens and the client, here and in the store: the next call begins from nothing. For a server that
    /// has forgotten the client and only shows users a page that says so: one where registrations cannot be read, or
    /// where the request is not answered. The server is not notified.
    ///
    /// # Errors
    /// The errors of the store.
    pub async fn forget(&self) -> Result<(), Error> {
        state::forget(&self.settings, &self.state).await
    }
}

impl TokenSource for ResourceConnection {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        Box::pin(state::tokens(&self.settings, &self.state, refused))
    }

    fn refuse(&self, refused: &Tokens) {
        self.state.refuse(refused);
    }

    fn refused_without_token(&self) {
        self.state.refused_without_token();
    }

    /// Asks the user, or for a wider scope the identity provider, if it is a user's connection.
    ///
    /// # Errors
    /// `step_up.repeated` if exactly that was already requested, `step_up.limit` after two logins within an hour; those
    /// of the login.
    fn step_up<'a>(
        &'a self,
        insufficient: &'a Tokens,
        required: &'a StepUp,
    ) -> Answer<'a, Option<Token>> {
        Box::pin(state::step_up(
            &self.settings,
            &self.state,
            insufficient,
            required,
        ))
    }

    fn hold(&self, limit: Duration) -> Answer<'_, Option<HeldTokens>> {
        Box::pin(async move {
            match self.state.connected() {
                Some(connected) => connected.session.hold(limit).await.map(Some),
                None => Ok(None),
            }
        })
    }
}

impl fmt::Debug for ResourceConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.resource();
        f.debug_tuple("ResourceConnection").field(resource).finish()
    }
}
