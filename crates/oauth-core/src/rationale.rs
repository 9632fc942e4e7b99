//! Documentation without code: the defaults and the reasons for them, the threats, and which values to store where.
//!
//! # Defaults, and what each costs
//!
//! | default | why | the way out |
//! | --- | --- | --- |
//! | PKCE with S256 on every flow, confidential clients too | a stolen code is useless without the verifier (RFC 9700 section 2.1.1); a server that does not mention PKCE does not refuse it | [`danger::without_pkce`], [`danger::plain_challenge`], [`Quirk::WithoutPkce`](crate::quirk::Quirk::WithoutPkce) |
//! | `state` on every flow, `nonce` with `openid`, 256 bits each | binds the callback to the browser that started it | none |
//! | the issuer in a callback is compared whenever it is there | a server that names itself only sometimes can still be mixed up with another (RFC 9207 section 2.4) | none |
//! | only `https` endpoints | a bearer token on plain http is public | [`danger::loopback_server`], for loopback addresses |
//! | redirects are never followed with credentials | a 307 repeats the body, including the secret, to any server that `Location` names | none |
//! | URLs that an API names are requested only at public addresses: its authorization server, unless it is on the origin that the caller named | such a URL may point to something that only this machine can reach (RFC 9728 section 7.7); a request is marked with [`RequestAddressPolicy::PublicOnly`], and the driver judges the address that it connects to | the driver's own option; name the server yourself |
//! | Basic is form-encoded (RFC 6749 section 2.3.1) | a secret with `%` or `+` is misread otherwise | [`Quirk::RawBasic`] |
//! | a JSON member that occurs twice is an error | two parsers may each use a different one | none |
//! | mistakes that change nothing are tolerated: numbers as strings, unusual content types, a BOM | deployed servers make them; a refusal costs a login and adds no protection | [`Strictness::Strict`] |
//! | the password grant is not offered | the client would see the user's password (RFC 9700 section 2.4) | [`danger::password`] |
//!
//! # The callback, in order
//!
//! [`Client::redeem`] takes the flow by value, so a flow is used once. It reads at most 64 KiB: a
//! whole URL, a path with its query, a bare query, or a posted form. The parts of the redirect URI that are present
//! must equal the flow's own; only the caller can check the others. Behind a proxy that terminates TLS, a framework may
//! write `http` or an internal host into its URLs: pass path and query, which are compared, and let the route vouch for
//! the host. Known parameters must not be repeated; the state is compared in constant time; then the issuer; and only
//! then is an error believed or a code redeemed. A callback that carries another state says nothing about this flow,
//! not even that it failed: call [`PendingAuthorization::recognizes`] first, and reject such a callback while the flow keeps
//! waiting.
//!
//! # What to store
//!
//! A [`PendingAuthorization`] belongs to one browser for a few minutes. Keep [`PendingAuthorization::to_json`] in a
//! sealed cookie or a server session (`Secure`, `HttpOnly`, `SameSite=Lax`, with a name that begins with `__Host-`),
//! never in the URL and never under a key that another browser could send. With
//! [`ResponseMode::FormPost`] the callback is a POST from another site, which carries no `Lax`
//! cookie: give that one cookie `SameSite=None`, or keep the flow in a store under its state. A native application with
//! a private scheme (`com.example.app:/callback`) is started again for its callback, and the process that began the
//! flow never sees it: keep flows in a folder that only this user can read, and let the process that receives the
//! callback redeem the flow that [`PendingAuthorization::recognizes`] it, once it has removed the flow from the folder.
//! The example `custom_scheme` of `oauth-reqwest` does so. [`Tokens`] belong to a grant: store [`Tokens::to_json`]
//! where passwords may be stored, and store a new refresh token before the new access token is used, because the old
//! refresh token may already be invalid. Both carry issuer and client: no other client can redeem the flow or refresh
//! the grant. A token string, as revocation and introspection accept it, does not name its owner: call
//! [`Client::check_owner`] before you send one from a store.
//!
//! # Keeping a grant
//!
//! A refresh token of a server that rotates them can be used once, and using it twice may revoke the grant (RFC 9700
//! section 4.14.2). [`Keeper`] takes care of that, for any number of workers:
//!
//! | what may happen | what is done | what it costs |
//! | --- | --- | --- |
//! | a thousand callers find that the token has expired | one request; the others wait for its result, not for a lock | a wait as long as the request |
//! | all workers of a fleet wake at once | a lease in the store; renewal begins before the expiry, at a random time | one more read and write of the store |
//! | the caller that began a renewal gives up | the request is completed and its result stored | a request whose result might not be needed |
//! | the reply is lost, or the worker crashes before it is stored | the mark in the store says that the token may have been used; the access token is used until it expires, and then [`Reuse`] determines what is risked | with [`Reuse::Revokes`] a login even if the server had not seen the request; with [`Reuse::Unknown`] an alarm at the server for a grant that was lost anyway |
//! | a worker sleeps through its lease and wakes with a reply | it saves only if the record still has the version it read; if no worker has sent the token again, its tokens are the newest and are kept | nothing |
//! | a worker crashes during a renewal | its lease is 10 s long, and extended while the request runs: others take over within seconds, but send a token that may have been used again only after the longest duration of a request | a write of the store every 3 s of a slow request |
//! | the token is about to expire, and the store or the server hangs | a caller waits for a second, and then gets the current token as long as it is valid | a token with little time left |
//! | the store keeps reporting that another worker has saved | it is asked at growing intervals, and after eight of them the error is `store.conflict`; new tokens are returned and stored later | some seconds |
//! | the store fails when new tokens arrive | a few more attempts, then they are returned anyway and stored later; if the store can be read but not written, the next refresh continues from them | a crash before that costs a login |
//! | a user logs out while a token is renewed | the tokens that arrive are revoked, and the record stays removed | a request |
//! | the server responds with `invalid_grant` | the store is read again, because another worker may have newer tokens; if not, the grant has ended for all | one read |
//! | the server refuses the refresh token with another error | the error says that the user has to log in; nothing is deleted, and the token is sent again after 10 s, 20 s and so on up to an hour, by one of the workers | an occasional refused request |
//! | a resource server says 401 | only that token is renewed; a newer one of another worker is used first | nothing |
//!
//! # Whose fault it is
//!
//! [`Kind`] answers that: the server refused, the server broke the protocol, a check failed, no response arrived, or
//! the caller requested something that must not be done. Programs match on [`Error::code`] and act on
//! [`Error::advice`]; nothing needs to be read from the text.
//!
//! # What is kept secret, and its limits
//!
//! Secrets are never printed: not in `Debug`, not in errors, not in traces. The value of a [`Secret`] is overwritten
//! when dropped, and so are request forms and `Authorization` values. This does not reach the copies that an HTTP
//! client, a TLS library or a garbage-collected host makes, nor those that reading and writing JSON leaves behind.
//!
//! [`Client::redeem`]: crate::Client::redeem
//! [`Client::check_owner`]: crate::Client::check_owner
//! [`Secret`]: crate::Secret
//! [`RequestAddressPolicy::PublicOnly`]: crate::address::RequestAddressPolicy::PublicOnly
//! [`danger::without_pkce`]: crate::danger::without_pkce
//! [`danger::plain_challenge`]: crate::danger::plain_challenge
//! [`danger::loopback_server`]: crate::danger::loopback_server
//! [`danger::password`]: crate::danger::password
//! [`Quirk::RawBasic`]: crate::quirk::Quirk::RawBasic
//! [`Strictness::Strict`]: crate::quirk::Strictness::Strict
//! [`PendingAuthorization`]: crate::PendingAuthorization
//! [`ResponseMode::FormPost`]: crate::flow::authorization::ResponseMode::FormPost
//! [`PendingAuthorization::recognizes`]: crate::PendingAuthorization::recognizes
//! [`PendingAuthorization::to_json`]: crate::PendingAuthorization::to_json
//! [`Tokens`]: crate::Tokens
//! [`Tokens::to_json`]: crate::Tokens::to_json
//! [`Keeper`]: crate::flow::keeper::Keeper
//! [`Reuse`]: crate::flow::keeper::Reuse
//! [`Reuse::Revokes`]: crate::flow::keeper::Reuse::Revokes
//! [`Reuse::Unknown`]: crate::flow::keeper::Reuse::Unknown
//! [`Kind`]: crate::error::Kind
//! [`Error::code`]: crate::Error::code
//! [`Error::advice`]: crate::Error::advice
