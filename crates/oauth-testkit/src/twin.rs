//! Authorization servers, and the APIs behind them, as pure functions of a moment and a request.

mod assertion;
mod authority;
mod authorize;
mod ciba;
mod client_auth;
mod client_document;
mod cors;
mod fapi;
mod faults;
mod front_channel;
mod generic;
mod grant_details;
pub(crate) mod gzip;
mod id_token;
mod jwt;
mod lifetimes;
mod logout_token;
mod pending_approval;
mod person;
mod personality;
mod registration;
mod renewal;
mod request_log;
mod request_object;
mod response_encryption;
mod route;
mod rules;
mod saml;
mod sender_constrained;
mod socios;
mod step_up;
mod token;
mod token_exchange;
mod token_management;
mod trusted_issuers;
mod usertesting;
mod uservoice;
pub(crate) mod wire;
mod workload;

use std::fmt;

use bytes::Bytes;
use http::Method;
use oauth_core::moment::{Moment, UnixTime};
use serde_json::json;

use authority::Authority;
use rules::Rules;
use wire::{ReceivedRequest, Reply};

pub use ciba::BackchannelDelivery;
pub use faults::{Delivery, Fault};
pub use front_channel::FrontChannelFlaw;
pub use id_token::IdTokenFlaw;
pub use logout_token::LogoutTokenFlaw;
pub use request_log::{Counters, Entry};
use route::Route;
pub use rules::Rotation;
pub use sender_constrained::DpopNonces;

/// An authorization server and its API: requests in, replies out, no sockets, no clock.
///
/// A twin is written from the RFCs and the systems' documentation, independently of `oauth-core`, so that a misreading
/// in one of them is noticed. Equal moments and requests lead to equal responses. Tokens are digests of counter and time.
///
/// Every twin verifies PKCE with S256, binds a code to its client and redirect URI, accepts it once and for 60 seconds,
/// and refuses repeated parameters, two authentication methods at once, and methods other than `POST` at its token
/// endpoint (405). The constructors document the rest.
pub struct Twin {
    base: String,
    authority: Authority,
    faults: Vec<Fault>,
    log: Vec<Entry>,
    cors: Option<String>,
}

impl Twin {
    /// A plain server that follows the standards.
    /// - `/.well-known/oauth-authorization-server`, `/.well-known/openid-configuration`, `/.well-known/webfinger`;
    /// - `/authorize`, which approves at once, and answers in the query or by `form_post`, naming the issuer (RFC
    ///   9207);
    /// - `/token`: authorization code, refresh token (rotated; reuse revokes the family, unless
    ///   [`set_rotation`](Self::set_rotation) was called), client credentials, password (see
    ///   [`resource_owner`](Self::resource_owner)), device code, backchannel request, token exchange, and JWTs: of
    ///   issuers with a registered key ([`register_assertion_key`](Self::register_assertion_key)), and of identity
    ///   providers ([`trust_identity_provider`](Self::trust_identity_provider)), each once; SAML assertions that were
    ///   announced ([`announce_saml_assertion`](Self::announce_saml_assertion));
    /// - tokens of workloads whose platform has a registered key: as client assertions of the confidential client,
    ///   and exchanged, by any client, for an access token whose subject is the workload;
    /// - token exchange for the same subject, with an actor, which introspection returns, and for identity assertions
    ///   for registered servers ([`vouch_to`](Self::vouch_to));
    /// - `/userinfo`, for tokens with the scope `openid`; `/logout`, which sends the user back to any page at the
    ///   origin of a redirect URI;
    /// - `/register` (RFC 7591), open or with an initial access token
    ///   ([`set_initial_access_token`](Self::set_initial_access_token)), and `/register/{id}` (RFC 7592), which
    ///   replaces the registration access token each time; software statements of trusted publishers
    ///   ([`trust_publisher`](Self::trust_publisher));
    /// - clients identified by their metadata documents
    ///   ([`accept_client_id_metadata`](Self::accept_client_id_metadata));
    /// - `GET /access_token` and `GET /refresh_access_token`, which renew access tokens without a refresh token, as
    ///   at Meta;
    /// - `/revoke`, `/introspect`, `/device_authorization`; a `GET` of `verification_uri_complete` is the user's
    ///   approval;
    /// - `/backchannel_authentication`, for the user called `alice` or `alice@twin.example`; a `GET` of
    ///   `/authentication_device` is their approval of the pending request, which may be selected by its
    ///   `binding_message`; see [`set_backchannel_delivery`](Self::set_backchannel_delivery);
    /// - `GET /api/echo` (scope `read`) and `POST /api/echo` (scope `write`), with RFC 6750 challenges, which name
    ///   `/.well-known/oauth-protected-resource/api/echo`: its metadata (RFC 9728). Those of the whole origin are at
    ///   `/.well-known/oauth-protected-resource`. It may require more of a login (RFC 9470,
    ///   [`require_step_up`](Self::require_step_up)).
    ///
    /// The confidential client may use Basic or the body; the public one must use PKCE. Scopes: `read` (the default),
    /// `write`, `openid`, `profile`, `email`, `address`, `phone`, `offline_access`. With `openid` there is an ID
    /// token, signed by RS256 with a published key.
    pub fn generic(base: &str) -> Self {
        Self::of(base, generic::rules)
    }

    /// UserVoice.
    /// - `POST /api/v2/oauth/token`, credentials in the body only: `client_credentials` for the trusted client,
    ///   `authorization_code` for the public one. The reply is `{"access_token":".."}` and nothing else;
    /// - `GET /api/v2/oauth/auth`, PKCE optional; the documented slip, a `code_verifier` that carries the
    ///   *challenge*, is understood, and any other `code_verifier` is refused;
    /// - `GET /api/v2/admin/suggestions` with the trusted client's token, `GET /api/v2/end_users/me` with a user's. An
    ///   expired token gets a 401 with a JSON body and no challenge, and one call too many a 429 with `Retry-After`. No
    ///   number is documented, so there is no limit until [`set_rate_limit`](Self::set_rate_limit).
    ///
    /// Tokens do not expire unless [`set_access_token_lifetime`](Self::set_access_token_lifetime) was called; no
    /// response says when they do.
    pub fn uservoice(base: &str) -> Self {
        Self::of(base, uservoice::rules)
    }

    /// UserTesting, for API keys: issuer `{base}/oauth2/aus1p3vtd8vtm4Bxv0h8`.
    /// - metadata in RFC 8414's place and below the issuer, in both names;
    /// - `{issuer}/v1/token`: `client_credentials` with scope `studies:read` (or the older `public_api.read`),
    ///   credentials in the body or in Basic; tokens look like JWTs and live an hour; there is no refresh token; also
    ///   `/v1/revoke`, `/v1/introspect`, `/v1/keys`, `/v1/logout`, and `/v1/device/authorize`, which this client may
    ///   not use;
    /// - `GET /api/v2/sessionResults/?testId=..`: ten requests a minute and token, then 429 with `x-ratelimit-reset`;
    ///   `GET /api/v1/sessionResults/?testId=..` takes the same token.
    pub fn usertesting(base: &str) -> Self {
        Self::of(base, usertesting::rules)
    }

    /// UserTesting, for one partner app: issuer `{base}/oauth2/0oa1partnerapp2345678`.
    ///
    /// `{issuer}/v1/authorize` sends codes to registered redirect URLs only, compared exactly, ports included. Scopes
    /// `clips:read` and `studies:read`. All else is as [`usertesting`](Self::usertesting).
    pub fn usertesting_apps(base: &str) -> Self {
        Self::of(base, usertesting::apps)
    }

    /// Socios.com Partner API.
    /// - `/oauth2/token` with Basic of the *unencoded* key and secret for `client_credentials` and `refresh_token`,
    ///   and with `client_id` and `client_secret` in the body for `authorization_code`; `token_type` is `bearer`;
    ///   refresh tokens rotate, and reuse revokes the family;
    /// - `/oauth2/authorize`, which takes `partner_tag` and the tracking parameters; they are in the
    ///   [`log`](Self::log);
    /// - `/oauth2/revoke`: 200 for known and unknown tokens alike;
    /// - `GET /polls/1.0.0/polls` with the application's token; `GET /wallet/1.0.0/user/wallet`, `GET /user/polls`
    ///   and `POST /user/poll/{id}/vote` with a user's; 403 for the other kind.
    pub fn socios(base: &str) -> Self {
        Self::of(base, socios::rules)
    }

    fn of(base: &str, rules: fn(&str) -> Rules) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        let authority = Authority::new(&base, rules(&base));
        Self {
            base,
            authority,
            faults: Vec::new(),
            log: Vec::new(),
            cors: None,
        }
    }

    /// Answers one request. Only the path and query of its URL matter, not the host.
    ///
    /// A reply may have a [`Delivery`] in its extensions, which the server must obey.
    pub fn answer(&mut self, at: &Moment, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let request = ReceivedRequest::read(request);
        let now = at.now();
        let route = self.route_of(&request.path);
        if request.query("client_secret").is_some() {
            self.authority.counters.secrets_in_url += 1;
        }
        let preflight = self.preflight(route, &request);
        let (mut reply, fault) = match preflight {
            Some(reply) => (reply, None),
            None => {
                let outcome = self.answer_with_fault(now, route, &request);
                self.count(route, outcome.0.status().as_u16());
                outcome
            }
        };
        self.allow_origin(route, &request, &mut reply);
        self.log
            .push(Entry::new(now, request, reply.status().as_u16(), fault));
        reply
    }

    /// The origin this twin was made for, without a trailing slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The issuer identifier; for systems without metadata, the [`base`](Self::base).
    pub fn issuer(&self) -> &str {
        &self.authority.rules.issuer
    }

    /// The confidential client's identifier.
    pub fn client_id(&self) -> &str {
        self.authority.rules.client_id
    }

    /// The confidential client's secret. It changes when form-encoded, so that too little or too much of it is
    /// refused.
    pub fn client_secret(&self) -> &str {
        self.authority.rules.client_secret
    }

    /// The public client's identifier; empty if the system documents no public clients.
    pub fn public_client_id(&self) -> &str {
        self.authority.rules.public_client_id
    }

    /// The name and password of the resource owner, for the generic twin's password grant.
    pub fn resource_owner(&self) -> (&str, &str) {
        (token::USERNAME, token::USER_PASSWORD)
    }

    /// The registered redirect URIs, of both clients.
    pub fn redirect_uris(&self) -> &[String] {
        &self.authority.rules.redirect_uris
    }

    /// Registers one more redirect URI. The comparison is exact, except for the port of loopback addresses (RFC 8252
    /// section 7.3) at the generic and the UserVoice twin.
    pub fn register_redirect_uri(&mut self, uri: &str) {
        self.authority.rules.redirect_uris.push(uri.to_owned());
    }

    /// Injects a fault into the next matching request; one fault per request, in the order injected.
    /// The faults of callbacks wait for the authorization endpoint and all others for any other request; those that
    /// break JSON wait for a JSON reply.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Removes the faults that have not been applied yet.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Has the user deny the next authorization, device or backchannel request.
    pub fn deny_next(&mut self) {
        self.authority.deny_next = true;
    }

    /// Sets the polling interval in seconds (`interval`) of new device codes and backchannel requests.
    pub fn set_polling_interval(&mut self, seconds: u64) {
        self.authority.interval = seconds;
    }

    /// All requests received, in order.
    pub fn log(&self) -> &[Entry] {
        &self.log
    }

    /// The counters of requests and answers.
    pub fn counters(&self) -> Counters {
        self.authority.counters
    }

    /// Expires every access token issued so far, at the API.
    pub fn expire_access_tokens(&mut self) {
        self.authority.expire_access_tokens();
    }

    /// Revokes every access token and every refresh token issued so far.
    pub fn revoke_all(&mut self) {
        self.authority.revoke_all();
    }

    /// Sets how refresh tokens are treated once they were used.
    pub fn set_rotation(&mut self, rotation: Rotation) {
        self.authority.rules.rotation = rotation;
    }

    /// Whether an access token or a refresh token would be accepted at this time.
    pub fn honours(&self, at: UnixTime, token: &str) -> bool {
        let refresh = self.authority.refresh.get(token);
        self.authority.access(at, token).is_some()
            || refresh.is_some_and(|refresh| refresh.is_live(at, self.authority.rules.rotation))
    }

    /// Sets how many API calls a minute are allowed for each token; further ones get a 429.
    pub fn set_rate_limit(&mut self, per_minute: u32) {
        self.authority.rules.rate_limit = Some(per_minute);
    }

    /// The length of a rate limit's windows in seconds, instead of a minute.
    pub fn set_rate_window(&mut self, seconds: u64) {
        self.authority.rules.rate_window = seconds.max(1);
    }

    /// Signs ID tokens with a different key from now on; the key set contains only that one.
    pub fn rotate_keys(&mut self) {
        let next = self.authority.new_value(UnixTime::from_secs(0), "key");
        self.authority.key_id = next;
    }

    /// Adds more keys to the key set, of the same and of a different type, without `kid`, before the signing key.
    pub fn publish_other_keys(&mut self) {
        self.authority.other_keys = id_token::unused_public_keys();
    }

    /// An access token created by hand in the console: the trusted client's own, for all its scopes, without an expiry.
    pub fn console_token(&mut self, at: UnixTime) -> String {
        let grant = authority::Grant {
            client_id: self.authority.rules.client_id.to_owned(),
            subject: None,
            scope: self.authority.rules.scopes.join(" "),
            family: self.authority.new_family(),
            ..authority::Grant::default()
        };
        // A token created by hand is not bound to a key.
        self.authority.binding = None;
        let lifetime = self.authority.rules.access_lifetime.take();
        let reply = self.authority.issue(at, grant, false);
        self.authority.rules.access_lifetime = lifetime;
        reply["access_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Allows pages of exactly this origin to read all endpoints except the authorization endpoint (CORS).
    pub fn cors_origin(&mut self, origin: &str) {
        self.cors = Some(origin.to_owned());
    }

    fn route_of(&self, path: &str) -> Route {
        let paths = &self.authority.rules.paths;
        let routes = [
            (&paths.authorize, Route::Authorize),
            (&paths.token, Route::Token),
            (&paths.revoke, Route::Revoke),
            (&paths.introspect, Route::Introspect),
            (&paths.device_authorization, Route::DeviceAuthorization),
            (&paths.device_page, Route::DevicePage),
            (&paths.backchannel, Route::Backchannel),
            (&paths.backchannel_page, Route::BackchannelPage),
            (&paths.keys, Route::Keys),
            (&paths.userinfo, Route::Userinfo),
            (&paths.logout, Route::Logout),
            (&paths.pushed, Route::Pushed),
            (&paths.registration, Route::Registration),
        ];
        if path.starts_with(generic::RESOURCE_METADATA) {
            return Route::ResourceMetadata;
        }
        match routes
            .into_iter()
            .find(|(route_path, _)| *route_path == path && !path.is_empty())
        {
            Some((_, route)) => route,
            None if self
                .authority
                .rules
                .metadata
                .0
                .iter()
                .any(|metadata_path| metadata_path == path) =>
            {
                Route::Metadata
            }
            None if paths.is_client_configuration(path) => Route::ClientConfiguration,
            None => Route::Api,
        }
    }

    /// Answers a request with the next fault that matches it; without one, normally.
    fn answer_with_fault(
        &mut self,
        at: UnixTime,
        route: Route,
        request: &ReceivedRequest,
    ) -> (Reply, Option<&'static str>) {
        let is_callback = route == Route::Authorize;
        let next = self
            .faults
            .iter()
            .position(|fault| fault.is_callback_fault() == is_callback);
        let Some(next) = next else {
            return (self.answer_normally(at, route, request, None), None);
        };
        let fault = self.faults.remove(next);
        if let Some(reply) = fault.replacement_reply() {
            return (reply, Some(fault.name()));
        }
        let mut reply = self.answer_normally(at, route, request, Some(&fault));
        let took_place = if is_callback {
            // A redirect, or a page that posts the form.
            !reply.status().is_client_error()
        } else {
            fault.applies_to(&reply)
        };
        if !took_place {
            self.faults.insert(next, fault);
            return (reply, None);
        }
        fault.apply_to(&mut reply);
        (reply, Some(fault.name()))
    }

    /// Counts requests and answers; those of faults count as well.
    fn count(&mut self, route: Route, status: u16) {
        let counters = &mut self.authority.counters;
        match route {
            Route::Token => counters.token_requests += 1,
            Route::Api => {
                counters.api_calls += 1;
                counters.api_401 += u64::from(status == 401);
                counters.api_429 += u64::from(status == 429);
            }
            _ => {}
        }
    }

    fn answer_normally(
        &mut self,
        at: UnixTime,
        route: Route,
        request: &ReceivedRequest,
        fault: Option<&Fault>,
    ) -> Reply {
        let reply = self.dispatch(at, route, request, fault);
        let side = match route {
            Route::Token | Route::Pushed => sender_constrained::Side::AuthorizationServer,
            Route::Userinfo | Route::Api => sender_constrained::Side::ResourceServer,
            _ => return reply,
        };
        sender_constrained::add_nonce(&mut self.authority, at, side, reply)
    }

    fn dispatch(
        &mut self,
        at: UnixTime,
        route: Route,
        request: &ReceivedRequest,
        fault: Option<&Fault>,
    ) -> Reply {
        let authority = &mut self.authority;
        let is_get = request.method == Method::GET;
        match route {
            Route::Authorize => authorize::authorize(authority, at, request, fault),
            Route::Token => token::token(authority, at, request),
            Route::Pushed => request_object::push(authority, at, request),
            Route::Revoke => token_management::revoke(authority, at, request),
            Route::Introspect => token_management::introspect(authority, at, request),
            Route::DeviceAuthorization => {
                token_management::device_authorization(authority, at, request, &self.base)
            }
            Route::Api | Route::ResourceMetadata => (authority.rules.api)(authority, at, request),
            Route::ClientConfiguration => registration::configure(authority, at, request),
            Route::Registration if request.method == Method::POST => {
                registration::register(authority, at, request)
            }
            Route::Registration => wire::method_not_allowed("POST"),
            Route::Backchannel => ciba::authenticate(authority, at, request),
            Route::Logout => authorize::end_session(authority, request),
            _ if !is_get => wire::method_not_allowed("GET"),
            Route::DevicePage => authorize::approve_device(authority, at, request),
            Route::BackchannelPage => ciba::page(authority, at, request),
            Route::Metadata => wire::json(200, &authority.rules.metadata.1),
            Route::Keys if authority.rules.reply.id_token => {
                wire::json(200, &id_token::keys(authority))
            }
            Route::Keys => wire::json(200, &json!({ "keys": [] })),
            Route::Userinfo => id_token::userinfo(authority, at, request),
        }
    }
}

impl fmt::Debug for Twin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twin")
            .field("issuer", &self.issuer())
            .field("faults", &self.faults)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
