//! The table of error codes, from which the error classes and documentation of every language are generated.

use std::time::Duration;

/// What a program should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// The same request may succeed later; not before `after`, if the server named a pause.
    Retry {
        /// The pause that the server asked for, at most five minutes.
        after: Option<Duration>,
    },
    /// The grant has ended: the user (or the client's own credentials) must authorize again.
    Reauthorize,
    /// A repeated request changes nothing; configuration or code must change.
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
    (
        $(#[$meta:meta])*
        $name:ident { $($variant:ident $code:literal $advice:ident $text:literal)* }
        $(outside_pages { $($other:ident $other_code:literal $other_advice:ident $other_text:literal)* })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = $text] $variant,)*
            $($(#[doc = $other_text] $other,)*)?
        }

        impl $name {
            /// Every row of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)* $($(Self::$other,)*)?];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                if $crate::browser_build::IS_BROWSER_BUILD {
                    return $crate::error::table::nth_line(concat!($($code, "\n"),*), self as usize);
                }
                match self {
                    $(Self::$variant => $code,)*
                    $($(Self::$other => $other_code,)*)?
                }
            }

            /// One sentence for display.
            pub const fn text(self) -> &'static str {
                if $crate::browser_build::IS_BROWSER_BUILD {
                    return $crate::error::table::nth_line(concat!($($text, "\n"),*), self as usize);
                }
                match self {
                    $(Self::$variant => $text,)*
                    $($(Self::$other => $other_text,)*)?
                }
            }

            /// The advice for the caller.
            pub const fn advice(self) -> Advice {
                match self {
                    $(Self::$variant => $advice,)*
                    $($(Self::$other => $other_advice,)*)?
                }
            }
        }
    };
}
pub(super) use table;

/// The line with this number, from 0. A web page build finds the text of a row this way, so that its module need not
/// contain the offsets. A row that is not in it reads as the first one.
pub(super) const fn nth_line(lines: &'static str, number: usize) -> &'static str {
    let all_lines = lines;
    let (mut rest, mut number) = (lines, number);
    loop {
        let (mut bytes, mut end) = (rest.as_bytes(), 0);
        while let [byte, after @ ..] = bytes
            && *byte != b'\n'
        {
            (bytes, end) = (after, end + 1);
        }
        let (line, after) = rest.split_at(end);
        if number == 0 {
            return line;
        }
        (rest, number) = match after.len() {
            0 | 1 => (all_lines, 0),
            _ => (after.split_at(1).1, number - 1),
        };
    }
}

table! {
    /// How a reply or a callback broke the protocol.
    ProtocolViolation {
        ReplyTooLarge "reply.too_large" GIVE_UP "the reply is larger than 1 MiB"
        ReplyRedirect "reply.redirect" GIVE_UP "the endpoint answered with a redirect, which is not followed"
        ReplyContentType "reply.content_type" GIVE_UP "the reply's content type is not allowed for this endpoint"
        ReplyEncoding "reply.encoding" GIVE_UP "the reply is not UTF-8 or not well-formed form data"
        ReplyJson "reply.json" GIVE_UP "the reply is not well-formed JSON"
        ReplyNesting "reply.nesting" GIVE_UP "the reply's JSON is nested more than 64 levels deep"
        ReplyTooManyValues "reply.too_many_values" GIVE_UP "the reply contains more than 4096 values"
        ReplyDuplicate "reply.duplicate_member" GIVE_UP "the reply contains a duplicate member"
        ReplyShape "reply.shape" GIVE_UP "the reply does not have the JSON structure of this endpoint"
        VerificationUri "device.verification_uri" GIVE_UP "the verification_uri is not an https URL"
        TokenShape "token_response.malformed" GIVE_UP "the token response does not conform to RFC 6749 section 5.1"
        TokenMissing "token.missing_access_token" GIVE_UP "the token response has no access_token"
        TokenTypeMissing "token.missing_token_type" GIVE_UP "the token response has no token_type"
        IssuedTokenTypeMissing "token.missing_issued_token_type" GIVE_UP "the response to a token exchange has no issued_token_type"
        IssuedTokenTypeOther "token.unexpected_issued_token_type" GIVE_UP "the server issued a token of another type than requested"
        TokenTypeUnknown "token.unsupported_token_type" GIVE_UP "the server's token_type is not one that this client supports"
        IdTokenMissing "id_token.missing" GIVE_UP "the response has no id_token, though openid was requested"
        JwsMalformed "jws.malformed" GIVE_UP "the token is not a JWS in compact serialization (RFC 7515 section 7.1)"
        JwsDuplicate "jws.duplicate_member" GIVE_UP "the token's header contains a duplicate member"
        JwsCrit "jws.unsupported_crit" GIVE_UP "the token's header has a critical extension that is not supported"
        JweMalformed "jwe.malformed" GIVE_UP "the token is not a JWE in compact serialization (RFC 7516 section 7.1)"
        JweCompression "jwe.compression" GIVE_UP "the token is compressed before encryption, which is never accepted"
        JweNesting "jwe.nesting" GIVE_UP "the token is encrypted more than once"
        JwtMalformed "jwt.malformed" GIVE_UP "the token's payload is not a JSON object"
        JwtDuplicate "jwt.duplicate_member" GIVE_UP "the token contains a duplicate claim"
        JwtClaim "jwt.malformed_claim" GIVE_UP "a claim of the token has the wrong type or an impossible value"
        UserinfoShape "userinfo.malformed" GIVE_UP "the UserInfo response does not conform to OpenID Connect Core section 5.3.2"
        JwksShape "jwks.malformed" GIVE_UP "the key set does not conform to RFC 7517 section 5"
        DpopNonce "dpop.duplicate_nonce" GIVE_UP "the reply has more than one DPoP-Nonce header"
        MetadataShape "metadata.malformed" GIVE_UP "the metadata document does not conform to RFC 8414 section 2"
        MetadataIssuerMissing "metadata.missing_issuer" GIVE_UP "the metadata document has no issuer"
        EndpointRelative "metadata.endpoint_not_absolute" GIVE_UP "an endpoint is not an absolute URL"
        EndpointInsecure "metadata.endpoint_not_https" GIVE_UP "an endpoint is not an https URL"
        EndpointFragment "metadata.endpoint_has_fragment" GIVE_UP "an endpoint has a fragment"
        EndpointUserinfo "metadata.endpoint_has_userinfo" GIVE_UP "an endpoint URL contains a user name or password"
        EndpointSyntax "metadata.endpoint_syntax" GIVE_UP "an endpoint is not an unambiguous URL"
        WebfingerShape "webfinger.malformed" GIVE_UP "the WebFinger response does not conform to RFC 7033 section 4.4"
        WebfingerNoIssuer "webfinger.no_issuer" GIVE_UP "the WebFinger response has no issuer for this identifier"
        WebfingerIssuer "webfinger.issuer" GIVE_UP "the WebFinger response's issuer is not an https URL without query, fragment and user name"
        ResourceMetadataShape "resource_metadata.malformed" GIVE_UP "the resource metadata does not conform to RFC 9728 section 2"
        ResourceMetadataNoResource "resource_metadata.missing_resource" GIVE_UP "the resource metadata has no resource"
        ResourceMetadataNoServer "resource_metadata.no_authorization_server" GIVE_UP "the resource metadata names no usable authorization server"
        ResourceMetadataBearerMethods "resource_metadata.bearer_methods" GIVE_UP "the resource accepts tokens only by methods other than the Authorization header"
        AccessTokenShape "access_token.malformed" GIVE_UP "the access token is empty, or has a character that is not allowed in an Authorization header"
        IntrospectionShape "introspection.malformed" GIVE_UP "the introspection response does not conform to RFC 7662 section 2.2"
        WorkloadToken "workload.malformed" GIVE_UP "the configured source of the workload's token does not contain a token"
        RegistrationShape "registration.malformed" GIVE_UP "the registration response does not conform to RFC 7591 section 3.2.1"
        CallbackTooLarge "callback.too_large" GIVE_UP "the callback is larger than 64 KiB"
        CallbackEncoding "callback.encoding" GIVE_UP "the callback is not UTF-8, or its code contains a control character"
        CallbackDuplicate "callback.duplicate_parameter" GIVE_UP "the callback contains a duplicate parameter"
        CallbackNoCode "callback.missing_code" GIVE_UP "the callback has neither a code nor an error"
        CallbackNoResponse "callback.missing_jarm_response" GIVE_UP "the callback has no signed response (JARM), although one was requested"
        CallbackMixed "callback.mixed_response" GIVE_UP "the callback has unsigned parameters beside its signed response"
        LogoutShape "logout.malformed" GIVE_UP "the logout request or return does not conform to its standard"
        ResourceRedirect "resource.redirect" GIVE_UP "the API redirected to a route that needs another owner's token"
        ChallengeSyntax "challenge.syntax" GIVE_UP "the WWW-Authenticate header does not conform to RFC 9110 section 11.6.1"
    }
}

table! {
    /// Which check failed.
    ValidationFailure {
        TokenUnbound "token.not_sender_constrained" GIVE_UP "the server did not bind the token to the client's DPoP key, as the client requires"
        JwsAlg "jws.alg_not_allowed" GIVE_UP "the client does not accept the token's signature algorithm"
        JwsNoKey "jws.no_matching_key" GIVE_UP "the server's key set has no key for this token"
        JwsSignature "jws.bad_signature" GIVE_UP "the token's signature is not valid"
        JwsKeyTooSmall "jws.key_too_small" GIVE_UP "the shared secret is too short for this algorithm (RFC 7518 section 3.2)"
        JweNoKey "jwe.no_matching_key" GIVE_UP "the server's key set has no key to encrypt to with this algorithm"
        JweAlg "jwe.alg_not_allowed" GIVE_UP "the client does not accept the token's encryption algorithms"
        JweDecryption "jwe.decryption" GIVE_UP "the token cannot be decrypted with the client's keys"
        JweUnexpected "jwe.unexpected" GIVE_UP "the token is encrypted, though the client is not registered for encryption"
        JweMissing "jwe.not_encrypted" GIVE_UP "the token is not encrypted, though the client is registered for encryption"
        JwtClaimMissing "jwt.missing_claim" GIVE_UP "the token lacks a required claim"
        JwtUnexpectedClaim "jwt.unexpected_claim" GIVE_UP "the token has a claim that makes it a token of another kind"
        JwtType "jwt.typ" GIVE_UP "the token's typ is that of another kind of token"
        JwtIssuer "jwt.issuer" GIVE_UP "the token's iss is not the expected issuer"
        JwtAudience "jwt.audience" GIVE_UP "the token's aud does not contain the expected audience"
        JwtUntrustedAudience "jwt.untrusted_audience" GIVE_UP "the token has an audience that is not trusted"
        JwtExpired "jwt.expired" REAUTHORIZE "the token has expired"
        JwtNotYetValid "jwt.not_yet_valid" GIVE_UP "the token is not valid yet"
        JwtIssuedInFuture "jwt.issued_in_future" GIVE_UP "the token was issued in the future: check the clocks"
        JwtTooOld "jwt.too_old" REAUTHORIZE "the token was issued too long ago"
        IdTokenAzp "id_token.azp" GIVE_UP "the ID token's azp is not this client, or differs from that of the login"
        IdTokenAzpMissing "id_token.azp_missing" GIVE_UP "the ID token has several audiences and no azp"
        IdTokenNonce "id_token.nonce" GIVE_UP "the ID token's nonce is not the one this flow sent"
        IdTokenAtHash "id_token.at_hash" GIVE_UP "the ID token's at_hash is not that of the access token"
        IdTokenRtHash "id_token.rt_hash" GIVE_UP "the ID token's rt_hash is not that of the refresh token"
        IdTokenCHash "id_token.c_hash" GIVE_UP "the ID token's c_hash is not that of the code"
        IdTokenSHash "id_token.s_hash" GIVE_UP "the ID token's s_hash is not that of the state"
        IdTokenAuthTimeMissing "id_token.auth_time_missing" GIVE_UP "the ID token has no auth_time, though max_age was requested"
        IdTokenAuthTooOld "id_token.auth_too_old" REAUTHORIZE "the person authenticated longer ago than max_age allows"
        IdTokenAcr "id_token.acr" REAUTHORIZE "the ID token's acr is not one of those required"
        IdTokenSubjectChanged "id_token.subject_changed" GIVE_UP "the ID token's sub is not that of the earlier ID token"
        IdTokenAudienceChanged "id_token.audience_changed" GIVE_UP "the refreshed ID token's aud is not that of the login's ID token"
        IdTokenAuthTimeChanged "id_token.auth_time_changed" GIVE_UP "the refreshed ID token's auth_time is not that of the login"
        AccessTokenScope "access_token.insufficient_scope" GIVE_UP "the access token's scope does not cover the required scope"
        AccessTokenAuthentication "access_token.insufficient_user_authentication" GIVE_UP "the person's authentication does not meet the required acr_values or max_age (RFC 9470)"
        AccessTokenInactive "access_token.inactive" GIVE_UP "the server says that the access token is not active"
        AccessTokenProofRequired "access_token.proof_required" GIVE_UP "the request does not prove possession of the key that the access token is bound to"
        LogoutTokenEvent "logout_token.event" GIVE_UP "the token's events do not contain a back-channel logout"
        LogoutTokenReplayed "logout_token.replayed" GIVE_UP "the logout token was received before"
        LogoutState "logout.state" GIVE_UP "the state at the return from the logout is not the one that was sent"
        CibaNotifier "ciba.client_notification_token" GIVE_UP "the notification does not carry the client_notification_token of its request"
        CibaRequestUnknown "ciba.unknown_request" GIVE_UP "the notification does not match any pending request"
        CibaRequestChanged "id_token.auth_req_id" GIVE_UP "the ID token's auth_req_id is not that of this backchannel request"
        UserinfoSubject "userinfo.subject" GIVE_UP "the UserInfo response's sub is not that of the ID token"
        UserinfoNotSigned "userinfo.not_signed" GIVE_UP "the UserInfo response is not signed, though the client is registered for it"
        IntrospectionNotSigned "introspection.not_signed" GIVE_UP "the introspection response is not signed, though a signed one was requested"
        MetadataIssuer "metadata.issuer" GIVE_UP "the metadata document's issuer is not the expected one"
        RegistrationRedirectUri "registration.redirect_uri" GIVE_UP "the server registered a redirect URI that was not requested, or none of those that were"
        RegistrationClient "registration.client_id" GIVE_UP "the registration response's client_id is not that of this client"
        WebfingerSubject "webfinger.subject" GIVE_UP "the WebFinger response's subject is not the requested identifier"
        ResourceMetadataResource "resource_metadata.resource" GIVE_UP "the resource metadata's resource is not the requested one"
        ResourceMetadataUrl "resource_metadata.url" GIVE_UP "the resource_metadata URL of a challenge is not an https URL of the resource's own origin"
        ConnectIssuer "connect.issuer" GIVE_UP "the client is registered with a different authorization server from the one the API names"
        CallbackState "callback.state" GIVE_UP "the callback's state is not the one this flow sent"
        CallbackIssuer "callback.issuer" GIVE_UP "the callback's iss is not the issuer this flow was sent to"
        CallbackIssuerMissing "callback.missing_issuer" GIVE_UP "the callback has no iss, which the server's metadata promises"
        CallbackContext "callback.context" GIVE_UP "the callback arrived in another context than the one in which the flow began"
        CallbackUser "callback.user" GIVE_UP "the callback did not arrive in the session of the person who began the flow"
        CallbackRedirectUri "callback.redirect_uri" GIVE_UP "the callback arrived at a redirect URI that is not this flow's"
        StoredIssuer "stored.issuer" REAUTHORIZE "the stored flow or token belongs to another issuer or client"
        StoredGrant "stored.grant" REAUTHORIZE "the stored record belongs to another grant: its subject, scope, parameters or key differ"
        StoredSealed "stored.sealed" GIVE_UP "the stored record cannot be decrypted: it needs another key, or was altered"
    }
    // Codes of APIs and of the machine for web applications, neither of which is in a page.
    outside_pages {
        AccessTokenMissing "access_token.missing" GIVE_UP "the request has no access token in an Authorization header with the scheme Bearer or DPoP"
        AccessTokenDuplicate "access_token.duplicate" GIVE_UP "the request has more than one Authorization header"
        ProofMissing "dpop_proof.missing" GIVE_UP "the request has no DPoP proof, which the scheme DPoP requires"
        ProofDuplicate "dpop_proof.duplicate" GIVE_UP "the request has more than one DPoP proof"
        ProofMalformed "dpop_proof.malformed" GIVE_UP "the DPoP proof is not a well-formed JWT"
        ProofType "dpop_proof.typ" GIVE_UP "the DPoP proof's typ is not dpop+jwt"
        ProofAlg "dpop_proof.alg" GIVE_UP "the API does not accept the DPoP proof's signature algorithm"
        ProofKey "dpop_proof.jwk" GIVE_UP "the DPoP proof's jwk is not a public key for its algorithm"
        ProofSignature "dpop_proof.signature" GIVE_UP "the DPoP proof's signature is not valid"
        ProofClaimMissing "dpop_proof.missing_claim" GIVE_UP "the DPoP proof lacks a required claim"
        ProofMethod "dpop_proof.htm" GIVE_UP "the DPoP proof's htm is not the method of the request"
        ProofTarget "dpop_proof.htu" GIVE_UP "the DPoP proof's htu is not the URL of the request"
        ProofTokenHash "dpop_proof.ath" GIVE_UP "the DPoP proof's ath is not the hash of the access token"
        ProofTime "dpop_proof.iat" GIVE_UP "the DPoP proof was made too long ago or in the future"
        ProofNonce "dpop_proof.nonce" GIVE_UP "the DPoP proof does not contain a valid nonce of the API"
        ProofReplayed "dpop_proof.replayed" GIVE_UP "the DPoP proof was used before"
        WebSignedOut "web.signed_out" REAUTHORIZE "nobody is signed in"
        WebStepUp "web.step_up" REAUTHORIZE "the person has to authenticate again, or in another way"
        WebCrossSite "web.cross_site" GIVE_UP "the request comes from another site, or does not show that it comes from this one"
        WebCallbackUnknown "web.callback_unknown" REAUTHORIZE "no sign-in in this browser is waiting for this callback"
        WebLoop "web.loop" GIVE_UP "sign-ins keep succeeding, but no session is accepted afterwards"
        WebStepUpFailed "web.step_up_failed" GIVE_UP "the provider did not authenticate the user as requested"
        WebAnotherPerson "web.another_person" REAUTHORIZE "somebody other than the person of the session authenticated at the provider"
        WebNotAdmitted "web.not_admitted" GIVE_UP "the application did not admit this user"
        WebUnknownProvider "web.unknown_provider" GIVE_UP "there is no provider of this name"
        WebNotFound "web.not_found" GIVE_UP "there is no such page"
        WebMethod "web.method" GIVE_UP "the page does not support this method"
        WebPath "web.path" GIVE_UP "the path of the API call is ambiguous, or leads outside the API"
    }
}

table! {
    /// Why no response arrived, if the transport knows; or why a store that responded could not perform an operation.
    Loss {
        Unknown "lost" RETRY "no reply arrived"
        Unsent "lost.unsent" RETRY "the request could not be sent"
        Dns "lost.dns" RETRY "the host name could not be resolved"
        Connect "lost.connect" RETRY "no connection could be opened"
        NotPublic "lost.not_public" GIVE_UP "the host has no public address, as a URL that the caller did not name must have"
        Tls "lost.tls" GIVE_UP "no trusted TLS connection could be opened"
        Proxy "lost.proxy" GIVE_UP "the proxy did not connect to the server"
        Timeout "lost.timeout" RETRY "no reply arrived in time"
        Closed "lost.closed" RETRY "the connection was closed before the reply was complete"
        Contended "store.conflict" RETRY "the store kept reporting conflicting writes"
    }
    // The redirect of a page is not received by a listener.
    outside_pages {
        NoCallback "lost.no_callback" RETRY "no callback arrived in time"
    }
}

table! {
    /// Why a call cannot be carried out.
    Misuse {
        Setup "misuse.setup" GIVE_UP "the system or the settings do not allow this"
        ArgumentInvalid "argument.invalid" GIVE_UP "an argument has an invalid value"
        ArgumentsInconsistent "arguments.inconsistent" GIVE_UP "an argument needs or excludes another one"
        NoClock "misuse.no_clock" GIVE_UP "the system clock is before 1970"
        NoRandomness "misuse.no_randomness" GIVE_UP "the system provided no random bytes"
        NotSupported "misuse.not_supported" GIVE_UP "the operation is not supported here"
        MetadataText "misuse.metadata" GIVE_UP "the metadata passed in is not a JSON object, or is too large"
        OutOfOrder "misuse.out_of_order" GIVE_UP "the input does not match the step it answers"
        Over "misuse.already_finished" GIVE_UP "the exchange has already ended"
        UrlSyntax "url.syntax" GIVE_UP "the URL is ambiguous, or not an absolute http or https URL"
        InsecureTransport "url.insecure" GIVE_UP "the URL is not https; plain http is only for loopback tests that opt in"
        IssuerRelative "issuer.not_absolute" GIVE_UP "the issuer is not an absolute URL"
        IssuerInsecure "issuer.not_https" GIVE_UP "the issuer is not an https URL"
        IssuerNoHost "issuer.no_host" GIVE_UP "the issuer has no host"
        IssuerQuery "issuer.has_query" GIVE_UP "the issuer has a query"
        IssuerFragment "issuer.has_fragment" GIVE_UP "the issuer has a fragment"
        IssuerUserinfo "issuer.has_userinfo" GIVE_UP "the issuer contains a user name or password"
        IssuerForm "issuer.not_canonical" GIVE_UP "the issuer is not in canonical form"
        IssuerDocument "issuer.metadata_url" GIVE_UP "this is the URL of a metadata document; the issuer is the part before /.well-known"
        WebfingerIdentifier "webfinger.identifier" GIVE_UP "the identifier is neither user@host nor a host nor an https URL"
        RedirectUriRefused "redirect_uri.refused" GIVE_UP "the redirect URI must be https, http on a loopback address, or a private-use scheme, without fragment or user name"
        RedirectUriUnregistered "redirect_uri.not_registered" GIVE_UP "the redirect URI is not registered for this client (exact match)"
        RegistrationUnmanaged "registration.not_managed" GIVE_UP "the client has no registration access token"
        ClientMetadataShape "client_metadata.malformed" GIVE_UP "a member of the client metadata does not conform to its definition"
        ClientMetadataConflict "client_metadata.inconsistent" GIVE_UP "the client metadata is inconsistent"
        ClientMetadataPrivateKey "client_metadata.private_key" GIVE_UP "the client metadata contains a private key"
        ClientMetadataKeys "client_metadata.keys_missing" GIVE_UP "the client metadata has neither jwks nor jwks_uri, which its authentication method requires"
        ClientMetadataName "client_metadata.name_missing" GIVE_UP "the client metadata has no client_name"
        ClientIdMetadataUrl "client_id_metadata.url" GIVE_UP "the client id is not an https URL with a path, and without dot segments, fragment or user name"
        ClientIdMetadataMismatch "client_id_metadata.client_id" GIVE_UP "the document's client_id is not its URL"
        ClientIdMetadataMethod "client_id_metadata.shared_secret" GIVE_UP "the client of a client ID metadata document cannot authenticate with a shared secret"
        ClientIdMetadataSecret "client_id_metadata.client_secret" GIVE_UP "a client ID metadata document must not contain a client secret"
        ClientIdMetadataUnsupported "client_id_metadata.not_supported" GIVE_UP "the server does not support client ID metadata documents"
        RedirectUriShared "redirect_uri.shared" GIVE_UP "contexts share a redirect URI, so a callback cannot be assigned to one of them"
        RegistrationShared "registration.shared" GIVE_UP "contexts of different owners share a client registration"
        ContextIdentifier "context.identifier" GIVE_UP "the identifier of a context is empty, longer than 256 bytes, a dot segment, or that of another context"
        ReturnTarget "return_to.refused" GIVE_UP "the return target leaves this origin"
        EndpointMissing "endpoint.missing" GIVE_UP "the server has no such endpoint"
        PushRequired "authorization.push_required" GIVE_UP "the server requires pushed authorization requests (RFC 9126)"
        RequestObjectRequired "authorization.request_object_required" GIVE_UP "the server requires signed request objects, for which this client has no key"
        ProfileForbids "profile.forbidden" GIVE_UP "the client's security profile does not allow this"
        StepUpEmpty "step_up.empty" GIVE_UP "the API requires an authentication that an authorization request cannot express"
        StepUpRepeated "step_up.repeated" GIVE_UP "the API asks for the same step-up again, although the user has just logged in for it"
        StepUpLimit "step_up.limit" GIVE_UP "the API requires another step-up beyond the limit of consecutive ones"
        ConnectServer "connect.server_not_allowed" GIVE_UP "the API names no authorization server that the caller allows"
        ConnectSeveralServers "connect.several_servers" GIVE_UP "the API names several authorization servers, and none of them was chosen"
        ConnectClient "connect.no_client" GIVE_UP "no client is known at the API's authorization server, and none was registered"
        ConnectOpen "connect.not_protected" GIVE_UP "the API requires no authorization and advertises none: call it without a token"
        ConnectWay "connect.grant_not_supported" GIVE_UP "the authorization server does not support this grant"
        AuthorizationDetails "authorization_details.malformed" GIVE_UP "authorization_details does not conform to RFC 9396 section 2"
        IntrospectionAlg "introspection.alg_not_supported" GIVE_UP "the server does not protect introspection responses with these algorithms"
        ParameterTwice "form.duplicate_parameter" GIVE_UP "a request parameter is set twice"
        ParameterReserved "form.reserved_parameter" GIVE_UP "an extra parameter has the name of a protocol parameter"
        ParameterValue "form.malformed_parameter" GIVE_UP "a request parameter has a value that its definition does not allow"
        ParameterUnlisted "form.unlisted_parameter" GIVE_UP "the provider documents no such extra parameter"
        SecretInUrl "form.secret_in_url" GIVE_UP "a client secret must never enter a URL"
        ScopeSyntax "scope.syntax" GIVE_UP "a scope contains a character that RFC 6749 section 3.3 does not allow"
        ScopeExceeds "scope.exceeds_grant" GIVE_UP "a refresh must not request more scope than was requested or granted at login"
        HostGeneratedValues "authorization.weak_values" GIVE_UP "state, nonce, code_verifier and its S256 challenge must be four different strings of at least 22 unreserved characters"
        VerifierSyntax "pkce.verifier" GIVE_UP "a code_verifier must be 43 to 128 unreserved characters"
        PkceUnsupported "pkce.unsupported" GIVE_UP "the server does not advertise PKCE"
        PkceS256Unsupported "pkce.s256_unsupported" GIVE_UP "the server advertises PKCE without S256"
        ClientIdSyntax "client_auth.client_id" GIVE_UP "a client id must be one or more visible ASCII characters, with no space at either end"
        SecretMissing "client_auth.required" GIVE_UP "this request requires client authentication"
        NoUsableMethod "client_auth.no_usable_method" GIVE_UP "the client has no credentials for any method that the server accepts"
        SecretNotAllowed "client_auth.secret_not_allowed" GIVE_UP "a client secret cannot be kept here: use a public client with PKCE"
        ColonInRawId "client_auth.colon_in_raw_id" GIVE_UP "a client id with a colon cannot be sent as unencoded Basic"
        SignatureLength "client_auth.signature_length" GIVE_UP "the signature has the wrong length or format for its algorithm (ECDSA: r and s, not DER)"
        NeedsForm "client_auth.needs_form" GIVE_UP "the client authenticates in a form body, and this request has no form"
        AssertionMalformed "client_auth.assertion_malformed" GIVE_UP "the client assertion is not a JWT of the expected kind"
        AssertionExpired "client_auth.assertion_expired" GIVE_UP "the client assertion has expired, and its source has no newer one"
        AssertionAudience "client_auth.assertion_audience" GIVE_UP "the client assertion's audience is not this server, or there are several audiences"
        WorkloadRefused "workload.refused" GIVE_UP "the platform's service refused to hand out the workload's token"
        EnvironmentMissing "environment.missing" GIVE_UP "a required environment variable is not set"
        CibaPending "ciba.duplicate_request" GIVE_UP "the same request is already pending for this user (repeated prompts invite approval by fatigue)"
        CibaHint "ciba.hint" GIVE_UP "a backchannel authentication request must have exactly one of login_hint, login_hint_token and id_token_hint"
        CibaScope "ciba.openid_scope" GIVE_UP "the scope of a backchannel authentication request must include openid"
        CibaBindingMessage "ciba.binding_message" GIVE_UP "a binding message must be one to a hundred characters, none of them a control character"
        AssertionClaim "assertion.claim" GIVE_UP "a claim or the key's id is missing from the assertion, or a claim has a value that the server does not accept or that must not be set"
        KeyShared "key.used_at_two_servers" GIVE_UP "a key that signs client assertions for an audience other than the issuer must not be used at two servers"
        KeyMalformed "key.malformed" GIVE_UP "the key is malformed, or not of a supported type"
        KeyAlgorithm "key.algorithm" GIVE_UP "the key does not support this algorithm, or the server does not accept it"
        KeyMissing "key.missing" GIVE_UP "the token is bound to a DPoP key, which this client does not have"
        KeyMismatch "key.mismatch" REAUTHORIZE "the refresh token is bound to a DPoP key or certificate other than the client's"
        HeaderValue "http.header_value" GIVE_UP "the header is reserved, or its value contains characters that are not allowed"
        TokenNotAscii "token.not_ascii" GIVE_UP "the token contains non-ASCII characters"
        TokenNotToken68 "token.not_token68" GIVE_UP "the token contains characters that are not allowed in an Authorization header"
        TokenInQuery "token.in_query" GIVE_UP "a token must not be sent in a URL's query"
        TokenTwice "token.more_than_one_method" GIVE_UP "the request already carries credentials"
        OriginNotAllowed "resource.origin_not_allowed" GIVE_UP "this URL's origin is not one of the `origins` that the token may be sent to"
        ResourceNotCovered "resource.not_covered" GIVE_UP "the token is for another resource than this URL"
        OwnerMissing "resource.no_token_source" GIVE_UP "the route needs a token of an owner for whom no token source was given"
        RouteAmbiguous "resource.route_ambiguous" GIVE_UP "the path is ambiguous, so the owner of the token it needs cannot be determined"
        ResourceSyntax "resource.syntax" GIVE_UP "a resource must be an absolute URI without fragment"
        ResourceExceeds "resource.exceeds_grant" GIVE_UP "a token request must not name a resource that the authorization did not ask for"
        GrantNotExtension "grant.not_an_extension" GIVE_UP "an extension grant type must be an absolute URI, or the name of one that the server's preset describes"
        TokenExchange "token_exchange.malformed" GIVE_UP "a token exchange needs a subject_token, and every token a type that is a URI"
        IdentitySubject "identity_assertion.subject_token_type" GIVE_UP "the subject token of an identity assertion must be an ID token, refresh token or SAML assertion"
        IdentityMissing "identity_assertion.no_id_token" REAUTHORIZE "the sign-in has no valid ID token, which the identity provider needs to issue an assertion"
        IdentityAudience "identity_assertion.audience" GIVE_UP "an identity assertion is for exactly one server, named by its issuer"
        OutcomeUnknown "grant.outcome_unknown" REAUTHORIZE "the reply to the last refresh was lost, and the server revokes the grant if a refresh token is reused: sign in again"
        NoRefreshToken "grant.no_refresh_token" REAUTHORIZE "the grant has no refresh token"
        TokenExpired "grant.expired" REAUTHORIZE "the token has expired and cannot be renewed: create a new one"
        SourceClosed "token_source.closed" GIVE_UP "the token source was closed"
        StoredForm "stored.malformed" REAUTHORIZE "the stored flow or token cannot be read"
        ProviderData "provider.data" GIVE_UP "the provider file does not conform to its format"
        ProviderUnknown "provider.unknown" GIVE_UP "there is no provider of this name"
        ProviderVariable "provider.variable" GIVE_UP "a provider variable is missing, unknown or of the wrong type"
    }
    // Codes that the module of a page never reports; the scripts around it may.
    outside_pages {
        WorkloadSetup "workload.setup" GIVE_UP "the workload environment is unknown, or lacks a required variable or file"
        EnvironmentConflict "environment.conflict" GIVE_UP "two environment variables that exclude each other are set"
        ClientFileUnreadable "client_file.unreadable" GIVE_UP "the client file, or a file with a secret or a key of the client's, cannot be read"
        ClientFile "client_file.malformed" GIVE_UP "the client file has an unknown format, or a member is missing or invalid"
        ClientFileUnsupported "client_file.unsupported" GIVE_UP "the client file requests something that is not supported"
        KeyEncrypted "key.encrypted" GIVE_UP "the private key is encrypted, and no passphrase was given"
        KeyPassphrase "key.passphrase" GIVE_UP "the passphrase does not decrypt the private key"
        OriginSyntax "resource.origin_syntax" GIVE_UP "an origin is only a scheme, a host and a port: without path, query and user name"
        SecretSyntax "client_auth.secret_syntax" GIVE_UP "the client secret starts or ends with a space or line break"
        TokenUnreadable "token_source.unreadable" GIVE_UP "the token cannot be read from its source"
        WebSetup "web.setup" GIVE_UP "the settings of the site are inconsistent or unsafe"
        WebResponseLarge "web.response_large" GIVE_UP "a response has more header fields than many proxies read"
        WebSessionUnknown "web.session_unknown" GIVE_UP "the store does not have the session of a valid cookie"
        WebSessionTooLarge "web.session_too_large" GIVE_UP "the session does not fit into cookies"
        KeyFilePath "client_auth.key_file_path" GIVE_UP "the content of the service account's key file is needed, not its path"
        ClientKeys "client_auth.keys" GIVE_UP "a client that signs needs a key, and each of several keys a kid of its own"
        SubjectMissing "grant.subject_missing" GIVE_UP "a user's grant in a store needs a subject, which says whose it is"
        SealingKey "key.sealing" GIVE_UP "the key that seals, or its id, is malformed or missing"
        StoreSetup "store.setup" GIVE_UP "the store is not set up so that it can be used safely"
        TransportSetup "transport.setup" GIVE_UP "the settings of the HTTP client are inconsistent, or a certificate or key of theirs cannot be read"
        ListenerUnavailable "listener.unavailable" GIVE_UP "the program cannot listen for the callback on this machine"
        BrowserUnavailable "browser.unavailable" GIVE_UP "no browser can be started on this machine"
        RuntimeMissing "runtime.missing" GIVE_UP "there is no running event loop, which this call needs"
        Deadlock "misuse.deadlock" GIVE_UP "the call would wait for the callback in which it is made"
        ApplicationFunction "application.function" GIVE_UP "a function of the application failed, or gave a value of the wrong type"
        RateLimitUndocumented "api.rate_limit_undocumented" GIVE_UP "no rate limit is documented for this API"
        PopupBlocked "page.popup_blocked" GIVE_UP "the browser blocked the popup"
        RedirectUriOtherOrigin "redirect_uri.other_origin" GIVE_UP "the redirect URI is not of the page's origin"
        PageInsecure "page.insecure" GIVE_UP "the page is not in a secure context, so the browser offers it no cryptography"
        PageMissing "page.missing" GIVE_UP "there is no page here: this runs in a browser alone"
    }
}
