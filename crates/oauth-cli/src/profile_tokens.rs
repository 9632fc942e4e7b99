//! The tokens of a profile, in a store that all shells of a user share: no matter how many need a token at once, one of
//! them sends the token request, and no refresh token is sent twice.
//!
//! There are two kinds of grant: the login of a user, which has the profile's name, and the
//! client's own, one for each scope, resource and audience.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::flow::keeper::{Decision, GrantId, GrantSummary, Keeper, Policy};
use oauth_core::grant::TokenRequest;
use oauth_core::{Client, Moment, Scope, Tokens};
use oauth_session::blocking::wait;
use oauth_session::{GrantSource, Token};
use serde_json::Value;

use crate::Global;
use crate::credential::Auth;
use crate::login_record::LoginRecord;
use crate::output::{Failure, Output};
use crate::profile::{ActsFor, Profile, StoreKind};
use crate::setup::{ClientPlan, SecretRequirement, Setup};
use crate::shutdown;
use crate::token_request::TokenRequestArgs;
use crate::token_store::TokenStore;

/// The owner of tokens.
#[derive(Debug, Clone)]
pub(crate) enum Owner {
    /// The tokens of the user who logged in with this profile.
    Login,
    /// The client's own, for this request.
    Client(TokenRequest),
}

/// The owners whose tokens a command may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The client's own.
    Client,
    /// The user's.
    User,
    /// The user's if there is or ever was a login, else the client's own.
    Either,
}

impl Choice {
    /// The owner set on the command line, or else in the profile.
    pub(crate) fn from_args(acts_for: Option<ActsFor>, profile: &Profile) -> Self {
        match acts_for.or(profile.acts_for) {
            Some(ActsFor::User) => Self::User,
            Some(ActsFor::Client) => Self::Client,
            None => Self::Either,
        }
    }

    /// Refuses a login where nothing is stored.
    pub(crate) fn without_store(self) -> Result<(), Failure> {
        match self {
            Self::User => Err(Failure::usage(
                "usage.no_login",
                "there is no stored login: no profile is selected, or its tokens are not stored",
                "select the profile of a login with --profile, or act for the client with --as client",
            )),
            Self::Client | Self::Either => Ok(()),
        }
    }
}

/// The owner whose tokens a command uses.
pub(crate) struct SelectedOwner {
    pub(crate) owner: Owner,
    /// The stored grant, if any.
    pub(crate) stored: Option<StoredGrant>,
}

impl SelectedOwner {
    /// The tokens, if they are fresh without a renewal.
    pub(crate) fn fresh_tokens(&mut self) -> Result<Option<Arc<Tokens>>, Error> {
        match &mut self.stored {
            Some(stored) => stored.fresh(),
            None => Ok(None),
        }
    }
}

/// The grants of one profile.
pub(crate) struct ProfileTokens {
    store: TokenStore,
    profile: String,
    /// The purpose of the profile's login.
    token_request: TokenRequest,
}

impl ProfileTokens {
    /// The grants of the selected profile; `None` if there is none, or if its tokens are not stored.
    pub(crate) fn for_profile(profile: &Profile, global: &Global) -> Result<Option<Self>, Failure> {
        let Some(name) = profile.name.clone().filter(|_| !global.no_store) else {
            return Ok(None);
        };
        let store = match profile.store {
            StoreKind::None => return Ok(None),
            StoreKind::File => TokenStore::files()?,
            StoreKind::Sqlite => TokenStore::sqlite()?,
            StoreKind::Keyring => TokenStore::sealed()?,
        };
        Ok(Some(Self {
            store,
            profile: name,
            token_request: profile
                .defaults()
                .parameters(&TokenRequestArgs::default())?,
        }))
    }

    /// The stored grant of this owner, found without a request to the server.
    pub(crate) fn find(
        &self,
        plan: &ClientPlan,
        owner: &Owner,
    ) -> Result<Option<StoredGrant>, Failure> {
        self.load(&plan.reader()?, owner)
    }

    /// The stored grant of this owner, for this client.
    pub(crate) fn load(
        &self,
        client: &Client,
        owner: &Owner,
    ) -> Result<Option<StoredGrant>, Failure> {
        let mut keeper = self.keeper(client, owner).shared();
        let key = keeper.key();
        match self.read(&key, &mut keeper) {
            Ok(true) => Ok(Some(StoredGrant {
                key,
                keeper: Box::new(keeper),
            })),
            Ok(false) => Ok(None),
            Err(error) => Err(self.failure(owner, error)),
        }
    }

    fn read(&self, key: &str, keeper: &mut Keeper) -> Result<bool, Error> {
        let Some(entry) = self.store.load(key)? else {
            return Ok(false);
        };
        keeper.learn(&Moment::system()?, entry)?;
        Ok(true)
    }

    /// Chooses whose tokens to use, and loads the stored grant.
    pub(crate) fn choose(
        &self,
        plan: &ClientPlan,
        choice: Choice,
        args: &TokenRequestArgs,
    ) -> Result<SelectedOwner, Failure> {
        if choice != Choice::Client {
            if let Some(login) = self.find(plan, &Owner::Login)? {
                login.check_scope(args.scope.as_ref(), &self.profile)?;
                return Ok(SelectedOwner {
                    owner: Owner::Login,
                    stored: Some(login),
                });
            }
            // A public client has no tokens of its own (RFC 6749 section 4.4): what is missing is a login, not a secret.
            if plan.profile.client_auth == Some(Auth::None) {
                return Err(self.not_logged_in());
            }
            // A command that acted for a user must not continue as the client.
            if choice == Choice::User || LoginRecord::load(&self.profile)?.is_some() {
                return Err(self.not_logged_in_nor_client());
            }
        }
        let owner = Owner::Client(plan.token_request(args)?);
        Ok(SelectedOwner {
            stored: self.find(plan, &owner)?,
            owner,
        })
    }

    /// Removes the record of the client's own token for this request if it cannot be read: another token can be requested.
    /// Returns whether it was removed.
    pub(crate) fn remove_malformed(
        &self,
        plan: &ClientPlan,
        args: &TokenRequestArgs,
    ) -> Result<bool, Failure> {
        let owner = Owner::Client(plan.token_request(args)?);
        let reader = plan.reader()?;
        match self.load(&reader, &owner) {
            Err(failure) if failure.has_code("stored.malformed") => {
                self.remove(&self.key(&reader, &owner))
            }
            _ => Ok(false),
        }
    }

    /// Whether a login of this profile is stored, for any client.
    pub(crate) fn has_login(&self) -> Result<bool, Failure> {
        let is_login = |listed: &ListedRecord| {
            let summary = listed.summary.as_ref().ok();
            let subject = summary.and_then(|summary| summary.id.subject());
            subject == Some(self.profile.as_str())
        };
        Ok(list(&self.store)?.iter().any(is_login))
    }

    /// All of the client's own grants, of any scope. One that cannot be read is among them if its record says whose it is.
    pub(crate) fn client_tokens(&self, plan: &ClientPlan) -> Result<Vec<ClientToken>, Failure> {
        let mut client_tokens = Vec::new();
        for ListedRecord { key, summary } in list(&self.store)? {
            let Ok(summary) = summary else {
                if self.is_record_of_client(plan, &key)? {
                    client_tokens.push(ClientToken { key, tokens: None });
                }
                continue;
            };
            if summary.id.subject().is_some() || !is_client_grant(plan, &summary)? {
                continue;
            }
            let token_request = summary.id.token_request;
            let stored = self.find(plan, &Owner::Client(token_request));
            // An unusable one can be removed anyway.
            let tokens = stored.ok().flatten().and_then(|stored| stored.tokens());
            client_tokens.push(ClientToken { key, tokens });
        }
        Ok(client_tokens)
    }

    /// Whether the record, which cannot be read as a whole, names this client and no user: of a later version, for example.
    fn is_record_of_client(&self, plan: &ClientPlan, key: &str) -> Result<bool, Failure> {
        let entry = self.store.load(key).ok().flatten();
        let record = entry.and_then(|entry| serde_json::from_str(entry.record.expose()).ok());
        let record: Value = record.unwrap_or_default();
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        Ok(text("client_id") == Some(plan.client_id())
            && text("issuer") == Some(&*plan.issuer()?)
            && record.get("subject") == Some(&Value::Null))
    }

    /// The client, set up for the chosen tokens.
    pub(crate) fn set_up(
        &self,
        plan: ClientPlan,
        chosen: &SelectedOwner,
    ) -> Result<Setup, Failure> {
        let secret_requirement = match chosen.owner {
            Owner::Login => SecretRequirement::Optional,
            Owner::Client(_) => SecretRequirement::Secret,
        };
        plan.set_up(secret_requirement, false)
    }

    /// Opens the grant. Its tokens are renewed when necessary.
    pub(crate) fn open(&self, setup: &Setup, owner: Owner, output: Output) -> Grant<'_> {
        shutdown::after_refresh(output);
        Grant {
            session: GrantSource::with_store(
                setup.net.clone(),
                self.keeper(&setup.client, &owner),
                self.store.store(),
            ),
            grants: self,
            owner,
            output,
        }
    }

    /// Checks that a login could be stored: a store that cannot be used is reported before the user consents, and not
    /// after.
    pub(crate) fn try_out(&self, setup: &Setup) -> Result<(), Failure> {
        let (store, key) = (self.store.store(), self.key(&setup.client, &Owner::Login));
        LoginRecord::load(&self.profile)?;
        match wait(store.load(&key))? {
            Err(error) if !error.is_unreadable_record() => {
                return Err(self.failure(&Owner::Login, error));
            }
            _ => {}
        }
        let holder = Moment::system()?.ticket()?;
        for ttl in [Duration::from_secs(1), Duration::ZERO] {
            wait(store.lease(&key, &holder, ttl))??;
        }
        Ok(())
    }

    /// Removes the record of this key; returns whether there was one.
    pub(crate) fn remove(&self, key: &str) -> Result<bool, Failure> {
        Ok(self.store.remove(key)?)
    }

    /// The name of this client's record.
    pub(crate) fn key(&self, client: &Client, owner: &Owner) -> String {
        self.keeper(client, owner).key()
    }

    /// The profile.
    pub(crate) fn profile(&self) -> &str {
        &self.profile
    }

    /// The failure that no user is logged in.
    pub(crate) fn not_logged_in(&self) -> Failure {
        let Self { profile, .. } = self;
        Failure::usage(
            "usage.no_login",
            format_args!("no user is logged in with profile `{profile}`"),
            format_args!("log in with oauth login --profile {profile}"),
        )
    }

    /// [`Self::not_logged_in`] for a command that can act for the client itself instead.
    fn not_logged_in_nor_client(&self) -> Failure {
        self.not_logged_in()
            .and_hint("or act for the client itself with --as client")
    }

    fn id(&self, owner: &Owner) -> GrantId {
        match owner {
            Owner::Login => GrantId::user(&self.profile).requesting(self.token_request.clone()),
            Owner::Client(token_request) => GrantId::client().requesting(token_request.clone()),
        }
    }

    fn keeper(&self, client: &Client, owner: &Owner) -> Keeper {
        let mut policy = Policy::default();
        // Nothing is renewed in the background: this process would end before the response arrives.
        policy.ahead = Duration::ZERO;
        client.keeper(self.id(owner)).with_policy(policy)
    }

    fn failure(&self, owner: &Owner, error: Error) -> Failure {
        let Self { profile, .. } = self;
        let code = error.code();
        let failure = Failure::from(error);
        match (owner, code) {
            (
                Owner::Login,
                "grant.no_refresh_token" | "grant.outcome_unknown" | "denied.invalid_grant",
            ) => failure.with_hint(format!("log in again with oauth login --profile {profile}")),
            (Owner::Login, "stored.malformed") => failure.with_hint(format!(
                "replace it by logging in again with oauth login --profile {profile}"
            )),
            (Owner::Client(_), "stored.malformed") => failure.with_hint(format!(
                "replace it with oauth token --profile {profile} --as client --renew, and the same --scope, --resource, --audience and --token-param, if there were any; or remove it with oauth logout --profile {profile} --client, which finds one that had any of these only if its record names the client"
            )),
            (Owner::Client(_), _) => failure.for_client(),
            _ => failure,
        }
    }
}

/// Whether the grant belongs to this client at this server.
pub(crate) fn is_client_grant(plan: &ClientPlan, summary: &GrantSummary) -> Result<bool, Error> {
    Ok(summary.client_id == plan.client_id() && summary.issuer == plan.issuer()?)
}

/// A stored token of the client itself.
pub(crate) struct ClientToken {
    pub(crate) key: String,
    /// `None` if they cannot be read.
    pub(crate) tokens: Option<Arc<Tokens>>,
}

/// A record in a store.
pub(crate) struct ListedRecord {
    pub(crate) key: String,
    /// The summary, or why it cannot be read.
    pub(crate) summary: Result<GrantSummary, Error>,
}

/// All records of a store.
pub(crate) fn list(store: &TokenStore) -> Result<Vec<ListedRecord>, Failure> {
    let mut records = Vec::new();
    for key in store.keys()? {
        let summary = match store.load(&key) {
            Ok(Some(entry)) => GrantSummary::read(&entry.record),
            // Removed since it was listed.
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        records.push(ListedRecord { key, summary });
    }
    Ok(records)
}

/// A grant as it is stored.
pub(crate) struct StoredGrant {
    /// The name in the store.
    pub(crate) key: String,
    keeper: Box<Keeper>,
}

impl StoredGrant {
    /// The tokens, valid or not.
    pub(crate) fn tokens(&self) -> Option<Arc<Tokens>> {
        self.keeper.tokens().cloned()
    }

    fn fresh(&mut self) -> Result<Option<Arc<Tokens>>, Error> {
        let now = Moment::system()?.now();
        Ok(match self.keeper.ask(now, None) {
            Decision::UseToken(tokens) => Some(tokens),
            // The session refreshes it.
            _ => None,
        })
    }

    /// A login is limited to the granted scope; any other scope requires a new login.
    fn check_scope(&self, requested: Option<&String>, profile: &str) -> Result<(), Failure> {
        let Some((requested, tokens)) = requested.zip(self.keeper.tokens()) else {
            return Ok(());
        };
        if self.keeper.covers(&Scope::parse(requested)?) {
            Ok(())
        } else {
            Err(Failure::usage(
                "usage.scope",
                format_args!(
                    "the login of profile `{profile}` has the scope `{}`",
                    tokens.scope
                ),
                "log in with this --scope, or get a token for the client itself with --as client or --grant client_credentials",
            ))
        }
    }
}

/// A grant in use.
pub(crate) struct Grant<'a> {
    session: GrantSource,
    grants: &'a ProfileTokens,
    owner: Owner,
    output: Output,
}

impl Grant<'_> {
    /// A token that is fresh now.
    pub(crate) fn token(&self) -> Result<Arc<Tokens>, Failure> {
        self.result(wait(self.session.token())?)
    }

    /// A token to replace one that was refused.
    pub(crate) fn renew(&self, refused: &Tokens) -> Result<Arc<Tokens>, Failure> {
        self.result(wait(self.session.renew(refused))?)
    }

    /// A newer token than the one that was stored a moment ago; another shell may have renewed it.
    pub(crate) fn renew_stored(
        &self,
        stored: Option<&StoredGrant>,
    ) -> Result<Arc<Tokens>, Failure> {
        let before = stored.and_then(StoredGrant::tokens);
        let tokens = self.token()?;
        let is_unchanged =
            |before: &Tokens| before.access_token.matches(tokens.access_token.expose());
        if before.is_some_and(|before| is_unchanged(&before)) {
            self.renew(&tokens)
        } else {
            Ok(tokens)
        }
    }

    /// Stores the tokens of a new login.
    pub(crate) fn log_in(&self, tokens: Tokens) -> Result<(), Failure> {
        let stored = wait(self.session.log_in(tokens))?;
        stored.map_err(|error| self.grants.failure(&self.owner, error))
    }

    fn result(&self, given: Result<Token, Error>) -> Result<Arc<Tokens>, Failure> {
        let tokens = given.map_err(|error| self.grants.failure(&self.owner, error))?;
        // The token is valid, but it could not be renewed or stored.
        if let Some(renewal_error) = self.session.last_error() {
            self.output.warn(&renewal_error);
        }
        Ok(tokens.into_arc())
    }
}
