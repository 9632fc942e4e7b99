//! [`ResourceConnection`]: connects to an API known by its URL alone, and keeps its tokens fresh, as the Model Context
//! Protocol describes.

mod connected;
mod identity;
mod sign_in;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::dpop::DpopKey;
use oauth_core::endpoint::device_authorization::DeviceCode;
use oauth_core::error::Error;
use oauth_core::flow::connect::{ConnectRequest, GrantChoice};
use oauth_core::flow::resource::{Api, Proofs, Resource};
use oauth_core::protected_resource::ResourceIdentifier;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::Server;
use oauth_core::token::step_up::StepUp;
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, Tokens};
use oauth_session::store::{Answer, Memory};
use oauth_session::{Sources, Store, Token, TokenSource};

use crate::authorized::Authorized;
use crate::browser;
use crate::device_login::CodeLogin;
use crate::driver::Driver;
use identity::IdentityProvider;
use state::State;

pub use crate::device_login::DeviceLogin;

/// How long a person may take to sign in, unless [`ResourceConnection::patience`] says otherwise.
const PATIENCE: Duration = Duration::from_secs(300);

/// The tokens of an API that is known by its URL alone. Cheap to clone; clones share the tokens.
///
/// Nothing is asked before a token is wanted. Then the API is asked for its challenge, what it says about itself and
/// who its server is; the client is the one that was registered by hand, or a metadata document, or registers itself;
/// the person signs in; and the tokens are kept fresh from then on. With a [`Store`] all of that happens once for all
/// runs of all programs that share it. Where the server has forgotten the client, it registers again, once. Where the
/// API wants a wider scope or another login, the person is asked, twice an hour at most.
///
/// All tokens are asked for with the `resource` of the API (RFC 8707), and are sent nowhere but beneath its URL: two
/// APIs on one origin are two.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use oauth_core::flow::connect::ConnectRequest;
/// use oauth_core::{ClientMetadata, Error};
/// use oauth_reqwest::oauth_session::store::Memory;
/// use oauth_reqwest::{Driver, ResourceConnection, reqwest};
///
/// # async fn call() -> Result<(), Error> {
/// let driver = Driver::new(reqwest::Client::builder())?;
/// let request = ConnectRequest::new("https://mcp.example/mcp")?
///     .register(ClientMetadata::of_native_app("Notes"));
/// let connection = ResourceConnection::new(driver, request).store(Arc::new(Memory::new()));
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
    person: String,
    auth: Authenticate,
    redirect_uri: Option<RedirectUri>,
    open: Open,
    patience: Duration,
    device: Option<CodeLogin>,
    identity: Option<IdentityProvider>,
    proofs: Proofs,
}

impl ResourceConnection {
    /// A connection for this process alone, to which a person signs in with the browser of this machine.
    ///
    /// Unless the request holds a [challenge](ConnectRequest::challenge), the API is asked for it.
    pub fn new(driver: Driver, request: ConnectRequest) -> Self {
        let settings = Settings {
            driver,
            request: request.asking_for_challenge(),
            store: Arc::new(Memory::new()),
            person: String::new(),
            auth: Arc::new(|_| Ok(ClientAuth::none())),
            redirect_uri: None,
            open: Arc::new(browser::open),
            patience: PATIENCE,
            device: None,
            identity: None,
            proofs: Proofs::default(),
        };
        Self {
            settings: Arc::new(settings),
            state: Arc::default(),
        }
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self.state = Arc::default();
        self
    }

    /// Keeps the client and the tokens in a store, for everybody who shares it.
    #[must_use]
    pub fn store(self, store: Arc<dyn Store>) -> Self {
        self.with(|settings| settings.store = store)
    }

    /// Whose tokens they are, where one store has those of several people.
    #[must_use]
    pub fn person(self, name: impl Into<String>) -> Self {
        self.with(|settings| settings.person = name.into())
    }

    /// How the client authenticates that was registered by hand, or that publishes a metadata document.
    #[must_use]
    pub fn client_auth(self, auth: ClientAuth) -> Self {
        self.client_auth_at(move |_| Ok(auth.clone()))
    }

    /// The same, where it depends on what the server takes.
    #[must_use]
    pub fn client_auth_at(
        self,
        auth: impl Fn(&Server) -> Result<ClientAuth, Error> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.auth = Arc::new(auth))
    }

    /// Where the person comes back to, if that is registered: a loopback address (RFC 8252), at which this machine
    /// listens. Otherwise it is a free port.
    #[must_use]
    pub fn redirect_uri(self, uri: RedirectUri) -> Self {
        self.with(|settings| settings.redirect_uri = Some(uri))
    }

    /// Shows the page to sign in at by this function, which must not wait for what the browser does. By default it is
    /// [`browser::open`].
    #[must_use]
    pub fn open(self, open: impl Fn(&Url) -> Result<(), Error> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.open = Arc::new(open))
    }

    /// How long the person may take to sign in, instead of five minutes.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        self.with(|settings| settings.patience = patience)
    }

    /// Has the person sign in with a code on another device, then or always, where the server offers that (RFC 8628). The
    /// code is shown by this function, such as by its [prompt](DeviceCode::prompt); the server says how long the person
    /// may take.
    #[must_use]
    pub fn device(
        self,
        login: DeviceLogin,
        show: impl Fn(&DeviceCode) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        let show = Arc::new(show);
        self.with(|settings| settings.device = Some(CodeLogin { login, show }))
    }

    /// Has the identity provider of an organization vouch for the person, who is sent nowhere
    /// (draft-ietf-oauth-identity-assertion-authz-grant, MCP's enterprise-managed authorization).
    ///
    /// `sign_in` has the tokens of the person's sign-in to `client`, which the identity provider knows: a
    /// [`Session`](oauth_session::Session) of a grant with `openid`, which renews them where the ID token has ended. For
    /// each token of the API that ends, an assertion is asked for, and presented to the API's server, as the client that is
    /// known there. `connect.way` if that one says of no identity assertions that it takes them.
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

    /// Has tokens that are bound to this key (RFC 9449). Without it they are where the API demands that
    /// (`dpop_bound_access_tokens_required`, RFC 9728 section 2): to a key that is made for the connection, and kept beside
    /// it in the [store](Self::store), sealed where that is sealed.
    #[must_use]
    pub fn dpop(self, key: DpopKey) -> Self {
        self.with(|settings| settings.request = settings.request.clone().dpop(key))
    }

    /// Tells these of the key of its tokens, once it is known: for requests to the API that others make
    /// ([`Api::with_proofs`]).
    #[must_use]
    pub fn proofs(self, proofs: Proofs) -> Self {
        self.with(|settings| settings.proofs = proofs)
    }

    /// The API.
    pub fn resource(&self) -> &ResourceIdentifier {
        self.settings.request.resource()
    }

    /// What all requests go over.
    pub fn driver(&self) -> &Driver {
        &self.settings.driver
    }

    /// A client for the API, which asks for tokens when they are needed.
    pub fn authorized(&self) -> Authorized {
        Authorized::of(
            self.settings.driver.clone(),
            Sources::one(self.clone()),
            self.api(),
        )
    }

    /// What lies beneath the URL of the API, and no more of its origin, for requests with tokens of this connection.
    pub fn api(&self) -> Api {
        let api = Api::new(Resource::beneath(self.resource()));
        api.with_proofs(self.settings.proofs.clone())
    }

    /// Tokens that are fresh now.
    ///
    /// # Errors
    /// `connect.not_protected` where the API asks for no authorization: requests of [`Self::authorized`] go without then.
    /// Those of [`oauth_core::connect_resource`], of the login ([`Listener::login`](crate::loopback::Listener::login)),
    /// of the token requests and of the store.
    pub async fn token(&self) -> Result<Token, Error> {
        self.token_other_than(None).await
    }

    /// The same, in place of tokens that the API has refused.
    ///
    /// # Errors
    /// As [`Self::token`].
    pub async fn token_other_than(&self, refused: Option<&Tokens>) -> Result<Token, Error> {
        state::tokens(&self.settings, &self.state, refused).await
    }

    /// Forgets the tokens and the client, here and in the store: the next call begins from nothing. For a server that
    /// has forgotten the client and shows people a page that says so, which no program sees. The server is told
    /// nothing.
    ///
    /// # Errors
    /// Those of the store.
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

    /// Asks the person, or for a wider scope their identity provider, if it is a person's connection.
    ///
    /// # Errors
    /// `step_up.repeated` if just that was asked for already, `step_up.limit` after two logins within an hour; those of
    /// the login.
    fn step_up<'a>(&'a self, short: &'a Tokens, wanted: &'a StepUp) -> Answer<'a, Option<Token>> {
        Box::pin(state::step_up(&self.settings, &self.state, short, wanted))
    }
}

impl fmt::Debug for ResourceConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.resource();
        f.debug_tuple("ResourceConnection").field(resource).finish()
    }
}
