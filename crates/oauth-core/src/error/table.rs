//! The one table of codes. Every language's error classes and documentation come from it.

use std::time::Duration;

/// What a program should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// The same request may succeed later; not before `after`, if the server named a pause.
    Retry {
        /// The pause the server asked for, capped at five minutes.
        after: Option<Duration>,
    },
    /// The grant is gone: a person (or the client's own credentials) must authorize anew.
    Reauthorize,
    /// Asking again changes nothing; configuration or code must change.
    GiveUp,
}

impl Advice {
    /// `retry`, `reauthorize` or `give_up`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Reauthorize => "reauthorize",
            Self::GiveUp => "give_up",
        }
    }

    /// The pause to keep before a retry.
    pub const fn after(self) -> Option<Duration> {
        match self {
            Self::Retry { after } => after,
            _ => None,
        }
    }
}

const RETRY: Advice = Advice::Retry { after: None };
const REAUTHORIZE: Advice = Advice::Reauthorize;
const GIVE_UP: Advice = Advice::GiveUp;

macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $($variant:ident $code:literal $advice:ident $text:literal)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $(#[doc = $text] $variant),* }

        impl $name {
            /// Every row of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// One sentence for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// What to do about it.
            pub const fn advice(self) -> Advice {
                match self { $(Self::$variant => $advice),* }
            }
        }
    };
}
pub(super) use table;

table! {
    /// How a reply or a callback broke the protocol.
    ProtocolViolation {
        ReplyTooLarge "reply.too_large" GIVE_UP "the reply is larger than 1 MiB"
        ReplyRedirect "reply.redirect" GIVE_UP "the endpoint answered with a redirect, which is not followed"
        ReplyContentType "reply.content_type" GIVE_UP "the reply's content type is not one this endpoint may use"
        ReplyEncoding "reply.encoding" GIVE_UP "the reply is not UTF-8 or not well-formed form data"
        ReplyJson "reply.json" GIVE_UP "the reply is not well-formed JSON"
        ReplyNesting "reply.nesting" GIVE_UP "the reply's JSON is nested more than 64 deep"
        ReplyTooManyValues "reply.too_many_values" GIVE_UP "the reply holds more than 4096 values"
        ReplyDuplicate "reply.duplicate_member" GIVE_UP "the reply names a member twice"
        ReplyShape "reply.shape" GIVE_UP "the reply is not what this endpoint is to answer with"
        TokenShape "token.malformed" GIVE_UP "the token response is not what RFC 6749 section 5.1 describes"
        TokenMissing "token.missing_access_token" GIVE_UP "the token response holds no access_token"
        TokenTypeMissing "token.missing_token_type" GIVE_UP "the token response holds no token_type"
        TokenTypeUnknown "token.unsupported_token_type" GIVE_UP "the token is of a type this client does not understand"
        DpopNonce "dpop.nonce" GIVE_UP "the reply holds more than one DPoP-Nonce"
        MetadataShape "metadata.malformed" GIVE_UP "the metadata document is not what RFC 8414 section 2 describes"
        MetadataIssuerMissing "metadata.missing_issuer" GIVE_UP "the metadata document names no issuer"
        EndpointRelative "metadata.endpoint_not_absolute" GIVE_UP "an endpoint is not an absolute URL"
        EndpointInsecure "metadata.endpoint_not_https" GIVE_UP "an endpoint is not an https URL"
        EndpointFragment "metadata.endpoint_has_fragment" GIVE_UP "an endpoint has a fragment"
        EndpointUserinfo "metadata.endpoint_has_userinfo" GIVE_UP "an endpoint holds a user name or password"
        EndpointSyntax "metadata.endpoint_syntax" GIVE_UP "an endpoint is not a URL that all parsers read alike"
        IntrospectionShape "introspection.malformed" GIVE_UP "the introspection response is not what RFC 7662 section 2.2 describes"
        CallbackTooLarge "callback.too_large" GIVE_UP "the callback is larger than 64 KiB"
        CallbackEncoding "callback.encoding" GIVE_UP "the callback holds bytes that are not UTF-8, or a control character in a code"
        CallbackDuplicate "callback.duplicate_parameter" GIVE_UP "the callback names a parameter twice"
        CallbackNoCode "callback.missing_code" GIVE_UP "the callback holds neither a code nor an error"
        ResourceRedirect "resource.redirect" GIVE_UP "the API redirects to a route of another owner, whose token the request does not carry"
        ChallengeSyntax "challenge.syntax" GIVE_UP "the WWW-Authenticate header is not what RFC 9110 section 11.6.1 describes"
    }
}

table! {
    /// Which check failed.
    ValidationFailure {
        TokenUnbound "token.not_sender_constrained" GIVE_UP "a token bound to the client's DPoP key was asked for, and the server sent another"
        MetadataIssuer "metadata.issuer" GIVE_UP "the metadata document is another issuer's"
        CallbackState "callback.state" GIVE_UP "the callback's state is not the one this flow sent: it does not belong to this flow"
        CallbackIssuer "callback.issuer" GIVE_UP "the callback names another issuer than the one this flow was sent to"
        CallbackIssuerMissing "callback.missing_issuer" GIVE_UP "the server says it names itself in every callback, and this one names nobody"
        CallbackRedirectUri "callback.redirect_uri" GIVE_UP "the callback arrived at another redirect URI than this flow's"
        StoredIssuer "stored.issuer" REAUTHORIZE "the flow or token belongs to another issuer or client"
        StoredGrant "stored.grant" REAUTHORIZE "what is stored is of another grant: its subject, scope, parameters or key differs"
        StoredSealed "stored.sealed" GIVE_UP "what is stored cannot be opened with the keys at hand: it needs another key, or was changed since"
    }
}

table! {
    /// Why no answer arrived, as far as the transport can tell.
    Loss {
        Unknown "lost" RETRY "no answer arrived"
        Unsent "lost.unsent" RETRY "the request could not be sent"
        Dns "lost.dns" RETRY "the host name could not be resolved"
        Connect "lost.connect" RETRY "no connection could be opened"
        Tls "lost.tls" GIVE_UP "no TLS connection that can be trusted could be opened"
        Proxy "lost.proxy" GIVE_UP "the proxy did not open a way to the server"
        Timeout "lost.timeout" RETRY "no answer arrived in time"
        Closed "lost.closed" RETRY "the connection was closed before the answer was complete"
        Contended "lost.contended" RETRY "the store says again and again that another has saved meanwhile"
    }
}

table! {
    /// What the caller did that must not or cannot be done.
    Misuse {
        NoClock "misuse.no_clock" GIVE_UP "the system clock stands before 1970"
        NoRandomness "misuse.no_randomness" GIVE_UP "the system has no random bytes to give"
        Setup "misuse.setup" GIVE_UP "this machine or its settings do not allow it"
        NotSupported "misuse.not_supported" GIVE_UP "this store does not offer that"
        MetadataText "misuse.metadata" GIVE_UP "the metadata given are no JSON object, or too large for one"
        OutOfOrder "misuse.out_of_order" GIVE_UP "the input does not answer the step before it"
        Over "misuse.over" GIVE_UP "the exchange is over"
        UrlSyntax "url.syntax" GIVE_UP "not an absolute http or https URL that all parsers read alike"
        InsecureTransport "url.insecure" GIVE_UP "the URL is not https, and plain http is only for loopback tests that ask for it"
        IssuerRelative "issuer.not_absolute" GIVE_UP "the issuer is not an absolute URL"
        IssuerInsecure "issuer.not_https" GIVE_UP "the issuer is not an https URL"
        IssuerNoHost "issuer.no_host" GIVE_UP "the issuer has no host"
        IssuerQuery "issuer.has_query" GIVE_UP "the issuer has a query"
        IssuerFragment "issuer.has_fragment" GIVE_UP "the issuer has a fragment"
        IssuerUserinfo "issuer.has_userinfo" GIVE_UP "the issuer holds a user name or password"
        IssuerForm "issuer.not_canonical" GIVE_UP "the issuer is not in canonical form"
        IssuerDocument "issuer.metadata_url" GIVE_UP "this is the URL of a metadata document; its issuer is the part before the well-known one"
        RedirectUriRefused "redirect_uri.refused" GIVE_UP "the redirect URI must be https, http on a loopback address, or a reverse-domain private scheme, without fragment or user name"
        RedirectUriUnregistered "redirect_uri.not_registered" GIVE_UP "the redirect URI is not exactly one of those registered for this client"
        ReturnTarget "return_target.refused" GIVE_UP "the return target leaves this origin"
        EndpointMissing "endpoint.missing" GIVE_UP "the server has no such endpoint"
        PushRequired "authorization.push_required" GIVE_UP "the request has to be pushed to the server first: begin the authorization as a conversation"
        RequestObjectRequired "authorization.request_object_required" GIVE_UP "the server takes signed request objects only, which this client does not send"
        ParameterTwice "form.duplicate_parameter" GIVE_UP "a request parameter is given twice"
        ParameterReserved "form.reserved_parameter" GIVE_UP "an extra parameter has the name of a protocol parameter"
        ParameterUnlisted "form.unlisted_parameter" GIVE_UP "the provider documents no such extra parameter"
        SecretInUrl "form.secret_in_url" GIVE_UP "a client secret must never enter a URL"
        ScopeSyntax "scope.syntax" GIVE_UP "a scope holds a character RFC 6749 section 3.3 does not allow"
        ScopeExceeds "scope.exceeds_grant" GIVE_UP "a refresh must not ask for more scope than the login asked for or was granted"
        DrawnValues "flow.drawn" GIVE_UP "state, nonce, verifier and its S256 challenge are four different texts of unreserved characters, 22 or more"
        VerifierSyntax "pkce.verifier" GIVE_UP "a code_verifier is 43 to 128 unreserved characters"
        PkceUnsupported "pkce.unsupported" GIVE_UP "the server does not say that it supports PKCE"
        PkceS256Unsupported "pkce.s256_unsupported" GIVE_UP "the server supports PKCE only without S256"
        ClientIdSyntax "client_auth.client_id" GIVE_UP "a client id is one or more visible ASCII characters, with no space at either end"
        SecretMissing "client_auth.secret_missing" GIVE_UP "this request is for clients that authenticate themselves"
        NoUsableMethod "client_auth.no_usable_method" GIVE_UP "the server takes a secret neither by client_secret_basic nor by client_secret_post; its methods"
        SecretNotAllowed "client_auth.secret_not_allowed" GIVE_UP "a client secret cannot be kept here: use a public client with PKCE"
        ColonInRawId "client_auth.colon_in_raw_id" GIVE_UP "a client id with a colon cannot be sent as unencoded Basic"
        SignatureLength "client_auth.signature_length" GIVE_UP "the signature is not as long as its algorithm makes it, or in another form than JWS wants (ECDSA: r and s, not DER)"
        NeedsForm "client_auth.needs_form" GIVE_UP "this client authenticates in a form, and the request has none"
        KeyMalformed "key.malformed" GIVE_UP "not a public JWK of a kind that signs"
        KeyAlgorithm "key.algorithm" GIVE_UP "the key cannot sign by this algorithm, or the server does not take it"
        KeyMissing "key.missing" GIVE_UP "the token is bound to a DPoP key, which this client does not have"
        HeaderValue "client_auth.header_value" GIVE_UP "a header value holds characters a header cannot carry"
        TokenNotAscii "token.not_ascii" GIVE_UP "the token holds characters other than ASCII"
        TokenNotToken68 "token.not_token68" GIVE_UP "the token holds characters an Authorization header cannot carry"
        TokenInQuery "token.in_query" GIVE_UP "a token is never sent in a URL's query"
        TokenTwice "token.more_than_one_method" GIVE_UP "the request already carries credentials"
        OriginNotAllowed "resource.origin_not_allowed" GIVE_UP "the URL's origin is not one this token may be sent to"
        OwnerMissing "resource.owner_missing" GIVE_UP "the route needs the token of an owner whose source was not given"
        RouteAmbiguous "resource.route_ambiguous" GIVE_UP "servers may read this path in two ways, so it cannot be told whose token it needs"
        ResourceSyntax "resource.syntax" GIVE_UP "a resource is an absolute URI without fragment"
        GrantNotExtension "grant.not_an_extension" GIVE_UP "an extension grant is named by an absolute URI"
        OutcomeUnknown "grant.outcome_unknown" REAUTHORIZE "the reply to the last refresh was lost, and this server ends a grant whose refresh token comes twice: a person must log in again"
        NoRefreshToken "grant.no_refresh_token" REAUTHORIZE "there is no refresh token to use"
        TokenExpired "grant.expired" REAUTHORIZE "this token has expired and cannot be renewed: make another one"
        TokenUnreadable "token.unreadable" GIVE_UP "the token cannot be read from where it is kept"
        StoredForm "stored.malformed" REAUTHORIZE "the stored flow or token cannot be read"
        ProviderData "provider.data" GIVE_UP "the provider file is not what its format describes"
        ProviderUnknown "provider.unknown" GIVE_UP "no provider has this name"
        ProviderVariable "provider.variable" GIVE_UP "a provider variable is missing, unknown or not of its type"
    }
}
