//! Verification of an unsolicited ID token, such as Google One Tap posts (OpenID Connect Core section 3.1.3.7).

use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};
use oauth_core::extra::Extra;
use oauth_core::json::Value;
use oauth_core::moment::UnixTime;
use oauth_core::token::id_token::{self, IdTokenChecks, UnexpectedNonce};

use super::{arguments, outcome};
use crate::arg::Personal;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Verifies an unsolicited ID token: one that Google One Tap, the native button of Sign in with Apple or a mobile
    /// app has posted to a server (OpenID Connect Core section 3.1.3.7).
    ///
    /// The rules are those of a sign-in, but no code binds such a token to the browser or app that posts it: only the
    /// nonce does. Anyone who obtains a token that was requested without a nonce can sign in with it until it expires,
    /// so unexpected_nonce must state explicitly that there is none.
    ///
    /// The server's keys are fetched as needed, and cached for all calls of the client. jwe.*, jws.*, jwt.* and
    /// id_token.* if it is not a valid ID token of this server for this client; arguments.inconsistent without nonce and
    /// unexpected_nonce; lost.*, denied.* and others if it could not be verified.
    pub struct VerifyIdToken {
        /// The ID token.
        pub token: Secret<String>,
        /// The nonce that was sent for this sign-in. Keep it with the session of the browser or the app, and delete it
        /// with the first token that is posted.
        pub nonce: Option<Secret<String>>,
        /// Whether a token may have a nonce if the request sent none: "reject" refuses such a token, which belongs to
        /// another sign-in; "ignore" accepts it, for apps whose library sends a nonce that you never learn.
        pub unexpected_nonce: Option<UnexpectedNonce>,
        /// Other clients of the same application at this server, such as its apps for Android and iOS: the token may be
        /// for one of them, and azp may be one of them.
        pub client_ids: Vec<String>,
        /// The access token that came with the ID token: at_hash must be present and match it.
        pub access_token: Option<Secret<String>>,
        /// The code that came with the ID token: c_hash must be present and match it.
        pub code: Option<Secret<String>>,
        /// The largest age of the user's authentication, in seconds.
        pub max_age: Option<u64>,
        /// The accepted acr values, one of which is required.
        pub acr_values: Vec<String>,
        /// The largest age of the ID token, in seconds: without a nonce, one day by default.
        pub max_token_age: Option<u64>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        if self.nonce.is_some() == self.unexpected_nonce.is_some() {
            return Err(Error::from(Misuse::ArgumentsInconsistent).about("either nonce or unexpected_nonce"));
        }
        if self.nonce.as_ref().is_some_and(|nonce| nonce.expose().is_empty()) {
            // An empty nonce is one that a store has lost: anyone could request a token with it.
            return Err(Error::from(Misuse::ParameterValue).about("nonce"));
        }
        let mut checks = IdTokenChecks::unsolicited(self.nonce);
        checks.unexpected_nonce = self.unexpected_nonce.unwrap_or(UnexpectedNonce::Reject);
        checks.client_ids = self.client_ids;
        checks.access_token = self.access_token;
        checks.code = self.code;
        checks.max_age = self.max_age.map(Duration::from_secs);
        checks.acr_values = self.acr_values;
        if let Some(age) = self.max_token_age {
            checks.max_token_age = Some(Duration::from_secs(age));
        }
        let exchange = client.core().verify_id_token(self.token, checks);
        Ok(ErasedExchange::with_record::<_, IdToken>(exchange))
    }
}

outcome! {
    /// The claims of a verified ID token (OpenID Connect Core sections 2 and 5.1).
    ///
    /// A standard claim without the type that the standard defines is absent, such as the string "true" that some
    /// servers send instead of a boolean. The unchanged claim is in `claims`.
    pub struct IdToken {
        /// The user who signed in, identified together with the issuer. No other claim identifies a user, not even the
        /// e-mail address.
        pub subject: String,
        /// The issuer of the ID token.
        pub issuer: String,
        /// The audiences: this client, or another of the application's.
        pub audience: Vec<String>,
        /// The client to which the ID token was issued, if it names one: azp.
        pub authorized_party: Option<String>,
        /// When the ID token was issued.
        pub issued_at: Option<UnixTime>,
        /// When the ID token expires.
        pub expires_at: Option<UnixTime>,
        /// When the user last authenticated, if the server states it.
        pub auth_time: Option<UnixTime>,
        /// The authentication context class of the user's authentication.
        pub acr: Option<String>,
        /// The methods by which the user authenticated, usually values of RFC 8176.
        pub amr: Vec<String>,
        /// The session at the server, for logouts.
        pub sid: Option<String>,
        /// The full name, for display.
        pub name: Option<Personal>,
        /// The given or first name.
        pub given_name: Option<Personal>,
        /// The family name.
        pub family_name: Option<Personal>,
        /// The user name to display; it may change, and may later belong to another user.
        pub preferred_username: Option<Personal>,
        /// The URL of a picture.
        pub picture: Option<Personal>,
        /// The e-mail address; `email_verified` says whether it is known to be the user's.
        pub email: Option<Personal>,
        /// Whether the server has verified that the address is the user's.
        pub email_verified: Option<bool>,
        /// The claims of the party that may act for the user, such as sub and iss, if the token says (RFC 8693 section 4.4).
        pub may_act: Option<Extra>,
        /// All claims.
        pub claims: Extra,
    }
}

impl From<id_token::IdToken> for IdToken {
    fn from(token: id_token::IdToken) -> Self {
        let claims = token.claims();
        // The few standard claims of a record: to look for all takes longer than to read the token.
        let text_claim = |name| {
            let text = claims.get(name).and_then(Value::as_str);
            text.map(|text| Personal(text.to_owned()))
        };
        let text = |name| claims.text(name).ok().flatten().map(str::to_owned);
        let texts = |name| {
            let texts = claims.texts(name).unwrap_or_default();
            texts.into_iter().map(str::to_owned).collect()
        };
        let time = |name| claims.time(name).ok().flatten();
        let mut record = Self {
            subject: token.subject().to_owned(),
            issuer: token.issuer().to_owned(),
            audience: texts("aud"),
            authorized_party: text("azp"),
            issued_at: time("iat"),
            expires_at: time("exp"),
            auth_time: token.auth_time(),
            acr: text("acr"),
            amr: texts("amr"),
            sid: text("sid"),
            name: text_claim("name"),
            given_name: text_claim("given_name"),
            family_name: text_claim("family_name"),
            preferred_username: text_claim("preferred_username"),
            picture: text_claim("picture"),
            email: text_claim("email"),
            email_verified: claims.get("email_verified").and_then(Value::as_bool),
            may_act: claims.may_act().cloned().map(Extra::from),
            claims: Extra::default(),
        };
        record.claims = Extra::from(token.into_claims().into_map());
        record
    }
}
