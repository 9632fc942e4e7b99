//! Verification of an unsolicited ID token, such as Google One Tap posts (OpenID Connect Core section 3.1.3.7).

use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};
use oauth_core::extra::Extra;
use oauth_core::moment::UnixTime;
use oauth_core::token::id_token::{self, IdTokenChecks, WithoutNonce};

use super::{arguments, outcome};
use crate::arg::Personal;
use crate::machine::Machine;

arguments! {
    /// Verifies an ID token that comes by itself: one that Google One Tap, the native button of Sign in with Apple or
    /// an app for phones has posted to a server (OpenID Connect Core section 3.1.3.7).
    ///
    /// The rules are those of a sign-in, but no code binds such a token to the browser or app that posts it: only the
    /// nonce does. Whoever gets hold of a token that was asked for without one can sign in with it until it ends, so
    /// without_nonce has to say that there is none.
    ///
    /// The server's keys are fetched as needed, and kept for all calls of the client. jwe.*, jws.*, jwt.* and
    /// id_token.* for what is no good ID token of this server for this client; misuse.setup without nonce and
    /// without_nonce; lost.*, denied.* and others where it could not be verified.
    pub struct VerifyIdToken {
        /// The ID token.
        pub token: Secret<String>,
        /// The nonce that was sent for this sign-in. Keep it with the session of the browser or the app, and forget it
        /// with the first token that is posted.
        pub nonce: Option<Secret<String>>,
        /// Whether a token may have a nonce if the request sent none: "absent" refuses such a token, which belongs to
        /// another sign-in; "ignored" accepts it, for apps whose library sends a nonce that you never learn.
        pub without_nonce: Option<WithoutNonce>,
        /// Other clients of the same application at this server, such as its apps for Android and iOS: the token may be
        /// for one of them, and azp may be one of them.
        pub client_ids: Vec<String>,
        /// The access token that came with it: at_hash has to be there, and its.
        pub access_token: Option<Secret<String>>,
        /// The code that came with it: c_hash has to be there, and its.
        pub code: Option<Secret<String>>,
        /// How many seconds ago, at most, the person has to have authenticated.
        pub max_age: Option<u64>,
        /// One of these has to be how the person has authenticated.
        pub acr_values: Vec<String>,
        /// How many seconds ago, at most, it has to have been issued: without a nonce a day, unless you say.
        pub max_token_age: Option<u64>,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        if self.nonce.is_some() == self.without_nonce.is_some() {
            return Err(Error::from(Misuse::Setup).about("either nonce or without_nonce"));
        }
        if self.nonce.as_ref().is_some_and(|nonce| nonce.expose().is_empty()) {
            // What a store has lost, which anybody can have asked the server for.
            return Err(Error::from(Misuse::ParameterValue).about("nonce"));
        }
        let mut checks = IdTokenChecks::by_itself(self.nonce);
        checks.without_nonce = self.without_nonce.unwrap_or(WithoutNonce::Absent);
        checks.client_ids = self.client_ids;
        checks.access_token = self.access_token;
        checks.code = self.code;
        checks.max_age = self.max_age.map(Duration::from_secs);
        checks.acr_values = self.acr_values;
        if let Some(age) = self.max_token_age {
            checks.max_token_age = Some(Duration::from_secs(age));
        }
        let exchange = client.core().verify_id_token(self.token, checks);
        Ok(Machine::of::<_, IdToken>(exchange))
    }
}

outcome! {
    /// What a verified ID token says (OpenID Connect Core sections 2 and 5.1).
    ///
    /// A standard claim that is of another type than the standard gives it is absent, such as the text "true" of some
    /// servers in place of a flag. As it came, it is in `claims`.
    pub struct IdToken {
        /// Who signed in, together with the issuer. No other claim tells users apart, the address for mail included.
        pub subject: String,
        /// The server that says so.
        pub issuer: String,
        /// For whom it is: this client, or another of the application's.
        pub audience: Vec<String>,
        /// The client that it was issued to, if it says: azp.
        pub authorized_party: Option<String>,
        /// When it was issued.
        pub issued_at: Option<UnixTime>,
        /// When it ends.
        pub expires_at: Option<UnixTime>,
        /// When the person last authenticated, if the server says so.
        pub auth_time: Option<UnixTime>,
        /// How the person authenticated, as a class.
        pub acr: Option<String>,
        /// How the person authenticated: RFC 8176 has the usual words.
        pub amr: Vec<String>,
        /// The session at the server, for logouts.
        pub sid: Option<String>,
        /// The full name, for people to read.
        pub name: Option<Personal>,
        /// The given or first name.
        pub given_name: Option<Personal>,
        /// The family name.
        pub family_name: Option<Personal>,
        /// How the user wants to be referred to; it may change, and be another's tomorrow.
        pub preferred_username: Option<Personal>,
        /// The URL of a picture.
        pub picture: Option<Personal>,
        /// The address for mail; whether it is known to be the user's, `email_verified` says.
        pub email: Option<Personal>,
        /// Whether the server has made sure that the address is the user's.
        pub email_verified: Option<bool>,
        /// The claims of the party that may act for the person, such as sub and iss, if it says (RFC 8693 section 4.4).
        pub may_act: Option<Extra>,
        /// Every claim.
        pub claims: Extra,
    }
}

impl From<id_token::IdToken> for IdToken {
    fn from(token: id_token::IdToken) -> Self {
        let own = |text: Option<&str>| text.map(|text| Personal(text.to_owned()));
        let claims = token.claims();
        let text = |name| claims.text(name).ok().flatten().map(str::to_owned);
        let texts = |name| {
            let texts = claims.texts(name).unwrap_or_default();
            texts.into_iter().map(str::to_owned).collect()
        };
        let time = |name| claims.time(name).ok().flatten();
        let user = claims.standard();
        Self {
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
            name: own(user.name),
            given_name: own(user.given_name),
            family_name: own(user.family_name),
            preferred_username: own(user.preferred_username),
            picture: own(user.picture),
            email: own(user.email),
            email_verified: user.email_verified,
            may_act: claims.may_act().cloned().map(Extra::from),
            claims: Extra::from(claims.as_map().clone()),
        }
    }
}
