//! Chapters of documentation: the defaults and the reasons for them, the threats, what to store and where.
//!
//! # Defaults, and what each costs
//!
//! | default | why | the way out |
//! | --- | --- | --- |
//! | PKCE with S256 on every flow, confidential clients too | a stolen code is useless without the verifier (RFC 9700 section 2.1.1); a server's silence about PKCE is no refusal | [`danger::without_pkce`], [`danger::plain_challenge`], [`Quirk::WithoutPkce`](crate::quirk::Quirk::WithoutPkce) |
//! | `state` on every flow, `nonce` with `openid`, 256 bits each | binds the callback to the browser that started it | none |
//! | the issuer in a callback is compared whenever it is there | a server that names itself only sometimes can still be mixed up with another (RFC 9207 section 2.4) | none |
//! | endpoints over `https` only | a bearer token on plain http is public | [`danger::loopback_server`], for loopback addresses |
//! | redirects are never followed with credentials | a 307 repeats the body, secret and all, to whoever `Location` names | none |
//! | what an API names leads to public addresses alone: its authorization server, unless that is of the origin that the caller named | it may be meant for what only this machine can reach (RFC 9728 section 7.7); a request is marked with [`Reach::Public`], and the driver judges the address that it connects to | the driver's own option; name the server yourself |
//! | Basic is form-encoded (RFC 6749 section 2.3.1) | a secret with `%` or `+` is misread otherwise | [`Quirk::RawBasic`] |
//! | a member that stands twice ends the reading | two parsers may each pick another | none |
//! | slips that change nothing are read as meant: numbers as text, odd content types, a BOM | servers in use make them; refusing costs a login and protects nobody | [`Strictness::Strict`] |
//! | the password grant is not offered | the person's password in the client's hands (RFC 9700 section 2.4) | [`danger::password`] |
//!
//! # The callback, in order
//!
//! [`Client::redeem`] takes the flow by value, so a flow is judged once. It reads at most 64 KiB: a
//! whole URL, a path with its query, a bare query, or a posted form. What is there of the redirect
//! URI must be the flow's own; what is not there only the caller can see. Behind a proxy that ends
//! TLS a framework may write `http` or an inner host into its URLs: hand over path and query, which
//! are compared, and let the route be the proof of the host. Known parameters may not repeat; the
//! state is compared in constant time; then the issuer; and only then is an error believed or a
//! code spent. A callback that carries another state says nothing about this flow, not even that
//! it failed: ask [`Pending::recognizes`] first, and turn it away with the flow still waiting.
//!
//! # What to store
//!
//! A [`Pending`] flow belongs to one browser for a few minutes. Keep [`Pending::to_json`] in a
//! sealed cookie or a server session (`Secure`, `HttpOnly`, `SameSite=Lax`, name it `__Host-`),
//! never in the URL and never under a key that another browser can name. With
//! [`ResponseMode::FormPost`] the callback is a POST from another site, which carries no `Lax`
//! cookie: give that one cookie `SameSite=None`, or keep the flow in a store under its state. A native
//! application with a scheme of its own (`com.example.app:/callback`) is started again by its callback, and
//! the process that began the flow never hears of it: keep flows in a folder that only this user may read,
//! and let whichever process is called end the one that [`Pending::recognizes`] its callback, once it has
//! removed it. The example `custom_scheme` of `oauth-reqwest` does so. [`Tokens`] belong to a
//! grant: store [`Tokens::to_json`] where passwords may lie, and store a new refresh token before
//! anyone uses the new access token, for the old one may be dead already. Both carry issuer and
//! client: a flow is redeemed, and a grant refreshed, by no other. A bare token, as revocation and
//! introspection take it, says nothing of its owner: ask [`Client::check_owner`] before you send one
//! out of a store.
//!
//! # Keeping a grant
//!
//! A refresh token of a server that rotates them can be spent once, and spending it twice may end
//! the grant (RFC 9700 section 4.14.2). [`Keeper`] takes care of that, for any number of workers:
//!
//! | what may happen | what is done | what it costs |
//! | --- | --- | --- |
//! | a thousand callers find the token stale | one request; the others wait for its result, not for a lock | a wait as long as the request |
//! | all workers of a fleet wake at once | a lease in the store; renewal begins before the end, at a time that chance spreads | one more read and write of the store |
//! | the caller who began it gives up | the request is finished and its result stored | a request nobody wanted |
//! | the reply is lost, or the worker dies with it | the mark in the store says that the token's fate is not known; the access token does until its end, and then [`Reuse`] says what is risked | with [`Reuse::Revokes`] a login even where the server had not seen the request; with [`Reuse::Unknown`] an alarm at the server for a grant that was lost anyway |
//! | a worker sleeps through its lease and wakes with a reply | it saves only on the version it read; if nobody has sent the token again, its tokens are the newest and are kept | nothing |
//! | a worker dies while it renews | its lease is 10 s long, and extended while the request runs: others go on within seconds, and only send again a token of unknown fate after the longest request | a write of the store every 3 s of a slow request |
//! | the token is near its end, and the store or the server hangs | a caller waits for a second, and has the token at hand as long as it is good | a token with little time left |
//! | the store says forever that another has saved | it is asked at growing intervals, and after eight of them the error is `lost.contended`; new tokens are handed out and stored later | some seconds |
//! | the store fails when new tokens arrive | a few more tries, then they are handed out all the same and stored later; where it can be read and not written, the next refresh goes on from them | a crash before that costs a login |
//! | a person logs out while a token is renewed | what comes then is revoked, and the record stays removed | a request |
//! | the server says `invalid_grant` | the store is read once more, for a worker may have newer tokens; if not, the grant is over for all | one read |
//! | the server refuses the refresh token in other words | a person is told to log in, in those words; nothing is deleted, and the token is sent again after 10 s, 20 s and so on up to an hour, by one of all workers | a refusal now and then |
//! | a resource server says 401 | that token, and no other, is renewed; another worker's newer one is used first | nothing |
//!
//! # Who is to blame
//!
//! [`Kind`] answers that: the server refused, the server broke the protocol, a check failed, no
//! answer arrived, or the caller asked for what must not be. Programs match on [`Error::code`] and
//! act on [`Error::advice`]; nothing needs to be read from the text.
//!
//! # What is kept secret, and the limits of it
//!
//! Secrets do not print: not in `Debug`, not in errors, not in traces. What stands in a [`Secret`] is
//! overwritten when dropped, and so are request forms and `Authorization` values. It cannot reach
//! the copies that an HTTP client, a TLS library or a garbage-collected host makes, nor those that
//! reading and writing JSON leaves behind.
//!
//! [`Client::redeem`]: crate::Client::redeem
//! [`Client::check_owner`]: crate::Client::check_owner
//! [`Secret`]: crate::Secret
//! [`Reach::Public`]: crate::address::Reach::Public
//! [`danger::without_pkce`]: crate::danger::without_pkce
//! [`danger::plain_challenge`]: crate::danger::plain_challenge
//! [`danger::loopback_server`]: crate::danger::loopback_server
//! [`danger::password`]: crate::danger::password
//! [`Quirk::RawBasic`]: crate::quirk::Quirk::RawBasic
//! [`Strictness::Strict`]: crate::quirk::Strictness::Strict
//! [`Pending`]: crate::Pending
//! [`ResponseMode::FormPost`]: crate::flow::authorization::ResponseMode::FormPost
//! [`Pending::recognizes`]: crate::Pending::recognizes
//! [`Pending::to_json`]: crate::Pending::to_json
//! [`Tokens`]: crate::Tokens
//! [`Tokens::to_json`]: crate::Tokens::to_json
//! [`Keeper`]: crate::flow::keeper::Keeper
//! [`Reuse`]: crate::flow::keeper::Reuse
//! [`Reuse::Revokes`]: crate::flow::keeper::Reuse::Revokes
//! [`Reuse::Unknown`]: crate::flow::keeper::Reuse::Unknown
//! [`Kind`]: crate::error::Kind
//! [`Error::code`]: crate::Error::code
//! [`Error::advice`]: crate::Error::advice
