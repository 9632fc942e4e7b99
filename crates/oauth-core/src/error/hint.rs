//! Hints for developers: what usually resolves an error. The sentences are the same in every language.

use super::{Error, Row};

impl Error {
    /// What usually resolves an error of this code, in one sentence; `None` if the message is sufficient.
    pub fn hint(&self) -> Option<&'static str> {
        self.0.kind.row().hint()
    }
}

impl Row {
    /// What usually resolves the error, in one sentence; `None` if [`Self::text`] is sufficient.
    pub fn hint(self) -> Option<&'static str> {
        let code = self.code();
        let hint = HINTS.iter().find(|(hint_code, _)| *hint_code == code)?;
        Some(hint.1)
    }
}

const HINTS: &[(&str, &str)] = &[
    (
        "denied.invalid_client",
        "check the client id, the client secret and how the client authenticates (client_secret_basic or client_secret_post); with a key: the public key registered at the server, its kid, and this machine's clock",
    ),
    (
        "denied.unauthorized_client",
        "the client may not use this grant type; some servers also report this for a wrong secret: check client id and secret",
    ),
    (
        "denied.invalid_grant",
        "what the request presented is spent, expired, revoked or another client's: with a code or refresh token, sign in again; otherwise check the assertion or the token to exchange, and whether this client may use the grant",
    ),
    (
        "denied.invalid_scope",
        "the server does not grant this scope: check its spelling",
    ),
    (
        "denied.invalid_target",
        "the server does not know this resource or audience",
    ),
    (
        "denied.unsupported_grant_type",
        "this grant type has to be enabled for the client at the server",
    ),
    (
        "denied.access_denied",
        "the person, or a policy of the server, refused",
    ),
    (
        "denied.insufficient_scope",
        "request the scope that the API names, and sign in again",
    ),
    (
        "denied.invalid_request",
        "a parameter is missing, repeated or wrong: the server's description, if there is one, says which",
    ),
    (
        "denied.login_required",
        "the server would have to show a page: send the user there without prompt=none",
    ),
    (
        "denied.interaction_required",
        "the server would have to show a page: send the user there without prompt=none",
    ),
    (
        "denied.consent_required",
        "the server would have to show a page: send the user there without prompt=none",
    ),
    (
        "denied.account_selection_required",
        "the server would have to show a page: send the user there without prompt=none",
    ),
    (
        "denied.expired_token",
        "nobody approved the request in time: begin again",
    ),
    (
        "denied.invalid_dpop_proof",
        "check this machine's clock, and that no proxy changes the URL that the server sees; if the client has no DPoP key, give it one",
    ),
    (
        "denied.invalid_request_object",
        "check the key and the algorithm that are registered for the client's request objects",
    ),
    (
        "denied.other",
        "the server's own documentation explains its code",
    ),
    (
        "reply.redirect",
        "check the endpoint: it may have moved, or be behind a sign-in page",
    ),
    (
        "reply.content_type",
        "the response may come from a proxy or an error page: check the URL",
    ),
    (
        "reply.json",
        "the response may come from a proxy or an error page: check the URL",
    ),
    (
        "metadata.malformed",
        "the URL may not be that of an authorization server: check the issuer",
    ),
    (
        "id_token.missing",
        "the server may not support OpenID Connect for this client: check its settings, or leave openid out of the scope",
    ),
    (
        "token.not_sender_constrained",
        "DPoP may have to be enabled for this client at the server",
    ),
    (
        "jws.alg_not_allowed",
        "configure the client with the algorithm that is registered for it (id_token_signed_response_alg and its like), or the verifier of access tokens with those that the server signs with (algs)",
    ),
    (
        "jws.no_matching_key",
        "the token may come from another server or tenant, or the server has not published its new key yet",
    ),
    (
        "jws.key_too_small",
        "have a longer client secret issued, or register an algorithm with a private key",
    ),
    (
        "jwe.decryption",
        "give the client the private key whose public key is registered at the server",
    ),
    (
        "jwe.unexpected",
        "configure the client with the encryption that is registered for it (id_token_encrypted_response_alg and its like)",
    ),
    (
        "jwt.typ",
        "for an access token whose header is not typed at+jwt, give the verifier the profile of the server: keycloak, entra, auth0, okta or cognito, or jwt for another one",
    ),
    (
        "jwt.issuer",
        "the issuer must match exactly, a trailing slash included; servers with several tenants have an issuer for each",
    ),
    (
        "jwt.audience",
        "the token was issued for somebody else: check the client id, or the audience that the API expects",
    ),
    (
        "jwt.untrusted_audience",
        "if this party may receive the token as well, add it to the trusted audiences",
    ),
    (
        "jwt.expired",
        "if the token was issued just now, check this machine's clock",
    ),
    (
        "jwt.not_yet_valid",
        "check the clocks of this machine and of the server",
    ),
    (
        "dpop_proof.htu",
        "verify the request with the URL to which the client sent it: behind a proxy the application receives another one",
    ),
    (
        "dpop_proof.iat",
        "check the clocks of this machine and of the client",
    ),
    (
        "id_token.nonce",
        "the ID token belongs to another sign-in, or is replayed: start the sign-in again",
    ),
    (
        "id_token.auth_time_missing",
        "register require_auth_time for the client, or leave max_age out",
    ),
    (
        "id_token.acr",
        "check that the server offers this authentication to the client: it may ignore acr_values",
    ),
    (
        "metadata.issuer",
        "the issuer must match exactly, a trailing slash included: use the one in the document",
    ),
    (
        "resource_metadata.resource",
        "use the resource identifier of the document, or accept a parent URL as the resource if everything on that origin may receive the tokens",
    ),
    (
        "metadata.endpoint_not_https",
        "plain http is only for loopback addresses, where it has to be allowed explicitly; any other server needs https",
    ),
    (
        "issuer.not_https",
        "plain http is only for loopback addresses, such as http://127.0.0.1:8080, with the transport loopback_http; any other server needs https",
    ),
    (
        "url.syntax",
        "write the whole URL, with its scheme and host, such as https://api.example",
    ),
    (
        "url.insecure",
        "plain http is only for loopback addresses, where it has to be allowed explicitly; any other server needs https",
    ),
    (
        "issuer.not_canonical",
        "write the host in lower case and without a dot at its end, leave out the default port, a fragment, and . or .. in the path",
    ),
    (
        "issuer.not_absolute",
        "give the whole URL, with its scheme (https) and host",
    ),
    (
        "pkce.unsupported",
        "the client's settings demand that the server's metadata lists code_challenge_methods_supported",
    ),
    (
        "scope.syntax",
        "names are separated by single spaces, not by commas",
    ),
    (
        "callback.state",
        "the callback may belong to an earlier attempt, or be forged: start the sign-in again",
    ),
    (
        "callback.missing_issuer",
        "the callback may come from another server (a mix-up attack): do not redeem its code",
    ),
    (
        "callback.issuer",
        "the callback may come from another server (a mix-up attack): do not redeem its code",
    ),
    (
        "callback.context",
        "the flow may have been begun in another tool or tenant: do not redeem its code; say at the callback where it \
         arrived",
    ),
    (
        "callback.user",
        "somebody else may have begun the flow: do not redeem its code; without a session, carry the callback to \
         where the person is known",
    ),
    (
        "redirect_uri.shared",
        "register a redirect URI for each context",
    ),
    ("registration.shared", "register a client for each owner"),
    ("lost.dns", "check the URL's host and the network"),
    (
        "connect.no_client",
        "give the client a name so that it can register itself, or give the id of a client registered there",
    ),
    (
        "connect.several_servers",
        "choose one, and name it as the only server that may be used",
    ),
    (
        "connect.issuer",
        "if the API has moved to another server, register the client there",
    ),
    (
        "lost.not_public",
        "if the server is on your own network, let the driver connect to any address",
    ),
    ("lost.connect", "check host, port and firewall"),
    (
        "lost.tls",
        "check the URL, and that this port speaks TLS; if the server's CA is a private one, add its certificate to the trusted ones",
    ),
    ("lost.proxy", "check the proxy's URL and credentials"),
    (
        "lost.timeout",
        "the server or the network is slow: try again later, or allow more time",
    ),
    (
        "lost.no_callback",
        "the user may have closed the page, or the server may show an error there: check that exactly this redirect URI is registered for the client",
    ),
    (
        "redirect_uri.not_registered",
        "register this redirect URI at the server, or use one that is registered",
    ),
    (
        "resource.origin_not_allowed",
        "if the token may be sent there, add the origin to `origins` of the request or the API",
    ),
    (
        "resource.origin_syntax",
        "leave out the path, such as /v1: the token may be sent to every path of an origin",
    ),
    (
        "client_auth.secret_syntax",
        "remove what stands around the secret, such as the line break at the end of a file or of a variable",
    ),
    (
        "resource.not_covered",
        "get a token for the resource at this URL",
    ),
    (
        "authorization.push_required",
        "begin the authorization with `begin_authorization`, which sends its parameters to the server first",
    ),
    (
        "step_up.repeated",
        "the server does not give the user what the API asks for: check that both agree on acr_values, max_age and scope",
    ),
    (
        "client_auth.required",
        "give the client a secret or another way to authenticate",
    ),
    (
        "client_auth.no_usable_method",
        "give the client a secret, a private key or a certificate, as one of the server's methods requires",
    ),
    (
        "key.malformed",
        "a private key is PEM (PKCS#8, PKCS#1 or SEC1) or a JWK",
    ),
    ("key.encrypted", "give the key's passphrase"),
    (
        "client_auth.key_file_path",
        "read the key file, and give its text, which is a JSON object: Path(path).read_text() in Python, readFileSync(path, 'utf8') in Node.js, std::fs::read_to_string(path) in Rust",
    ),
    (
        "misuse.deadlock",
        "make the call once the callback has returned",
    ),
    (
        "ciba.duplicate_request",
        "wait for the user's decision, or allow the request to be repeated if the user wants that",
    ),
    (
        "identity_assertion.no_id_token",
        "sign in at the identity provider again, with openid in the scope",
    ),
    (
        "grant.no_refresh_token",
        "sign in, if nobody has yet or the user has signed out; if the server issued no refresh token, request offline_access at the next sign-in",
    ),
    (
        "grant.revoked",
        "create a new token where this one was created",
    ),
    (
        "grant.expired",
        "create a new token where this one was created",
    ),
    (
        "token.not_token68",
        "pass the token alone, without Bearer before it, spaces or line breaks",
    ),
    (
        "jws.malformed",
        "pass an access token alone, without Bearer or DPoP before it; an opaque one is verified by introspection",
    ),
    (
        "denied.http_status",
        "check the URL; an issuer is written exactly as the server's documentation names it, with its path",
    ),
    (
        "token_exchange.malformed",
        "use a name such as access_token, or a URI such as urn:ietf:params:oauth:token-type:access_token, as the type",
    ),
    (
        "redirect_uri.refused",
        "a native application that listens for the callback itself needs http on a loopback address, such as http://127.0.0.1/callback",
    ),
    (
        "store.setup",
        "check the path, and that only this user may read and write it",
    ),
    (
        "stored.malformed",
        "start the sign-in again, which replaces the stored record of a grant; any other record has to be removed by its key, and a damaged database as a whole, unless there is a backup",
    ),
    (
        "stored.issuer",
        "these tokens belong to another server or client",
    ),
    (
        "stored.sealed",
        "keep former keys beside the new one until nothing is sealed with them",
    ),
    (
        "endpoint.missing",
        "the server's metadata does not list this endpoint",
    ),
    (
        "provider.variable",
        "give every variable that the provider's page lists",
    ),
    (
        "listener.unavailable",
        "another program may have the port: close it, or register and use a redirect URI with another port",
    ),
    (
        "browser.unavailable",
        "print the URL for the user to open, or use the device flow",
    ),
    (
        "grant.subject_missing",
        "name the user with `subject`, such as the `sub` of the ID token or your own id of the user",
    ),
    (
        "key.sealing",
        "a key is 32 random bytes, or their text in base64url without padding, and its id is ASCII without spaces",
    ),
    (
        "page.popup_blocked",
        "open the popup in the handler of a click, before anything is awaited",
    ),
    (
        "page.insecure",
        "serve the page with https, or from localhost",
    ),
    (
        "web.signed_out",
        "open the sign-in page; a page that uses fetch should navigate there",
    ),
    (
        "web.cross_site",
        "a form or script of another site sent it: send the header X-CSRF-Protection from your own pages, or serve them from the same origin",
    ),
    (
        "web.callback_unknown",
        "the sign-in took too long, or began in another browser, or cookies are blocked: sign in again",
    ),
    (
        "web.loop",
        "the browser does not send the session cookie back: check the base URL, cookies and clocks; the log says why each session was refused",
    ),
    (
        "web.step_up_failed",
        "the provider ignored acr_values or max_age: check that it offers this authentication to this client",
    ),
    (
        "web.response_large",
        "keep sessions in a store, keep fewer claims, or shorten the URLs of pages; otherwise raise the proxy's limit (nginx: proxy_buffer_size 16k; proxy_buffers 8 16k;), which answers 502 with its default buffers",
    ),
    (
        "web.session_unknown",
        "the session was ended elsewhere; or, if this happens often, several processes serve the site, each with a store of its own, such as one in memory: give them all the same store",
    ),
    (
        "web.session_too_large",
        "keep fewer claims in the session, or keep sessions in a store",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hint_has_a_known_code_and_differs_from_its_text() {
        for (code, hint) in HINTS {
            let row = Row::all().find(|row| row.code() == *code);
            assert_eq!(row.and_then(Row::hint), Some(*hint), "{code}");
            assert_ne!(row.map(Row::text), Some(*hint), "{code}");
            assert!(!hint.contains('\n') && !hint.ends_with('.'), "{code}");
        }
        let without = Row::all().find(|row| row.code() == "reply.too_large");
        assert_eq!(without.and_then(Row::hint), None);
    }
}
