//! Front-channel logout: the URL of the frame that notifies a client's site.
//!
//! OpenID Connect Front-Channel Logout section 3

use super::Twin;

/// A flaw of the frame's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrontChannelFlaw {
    /// `iss` has a `1` at its end.
    WrongIssuer,
    /// `sid` has a `1` at its end.
    WrongSession,
    /// There is a `sid` without an `iss`.
    MissingIssuer,
    /// There is an `iss` without a `sid`.
    MissingSession,
    /// `sid` is repeated.
    RepeatedSession,
    /// There is neither `iss` nor `sid`.
    Nobody,
}

impl FrontChannelFlaw {
    /// All flaws.
    pub const ALL: &[Self] = &[
        Self::WrongIssuer,
        Self::WrongSession,
        Self::MissingIssuer,
        Self::MissingSession,
        Self::RepeatedSession,
        Self::Nobody,
    ];
}

impl Twin {
    /// The URL that a browser loads in a frame when the session ends whose `sid` was set by
    /// [`set_claim`](Self::set_claim): this `frontchannel_logout_uri`, which must not have a query, with the parameters
    /// that `frontchannel_logout_session_required` adds.
    pub fn front_channel_logout(&self, uri: &str, flaw: Option<FrontChannelFlaw>) -> String {
        let authority = &self.authority;
        let sid = authority.person.claim("sid").and_then(|sid| sid.as_str());
        let (issuer, sid) = (
            authority.rules.issuer.clone(),
            sid.unwrap_or_default().to_owned(),
        );
        let (iss, sid) = (("iss", issuer), ("sid", sid));
        let longer = |(name, value): (&'static str, String)| (name, format!("{value}1"));
        let parameters = match flaw {
            None => vec![iss, sid],
            Some(FrontChannelFlaw::WrongIssuer) => vec![longer(iss), sid],
            Some(FrontChannelFlaw::WrongSession) => vec![iss, longer(sid)],
            Some(FrontChannelFlaw::MissingIssuer) => vec![sid],
            Some(FrontChannelFlaw::MissingSession) => vec![iss],
            Some(FrontChannelFlaw::RepeatedSession) => vec![iss, sid.clone(), sid],
            Some(FrontChannelFlaw::Nobody) => Vec::new(),
        };
        let query = serde_urlencoded::to_string(&parameters).unwrap_or_default();
        format!("{uri}?{query}")
    }
}
