//! The frame with which the twin tells a client's site of a logout.
//!
//! OpenID Connect Front-Channel Logout section 3

use super::Twin;

/// What is wrong with the URL of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrontChannelFlaw {
    /// `iss` has a `1` at its end.
    WrongIssuer,
    /// `sid` has a `1` at its end.
    WrongSession,
    /// There is no `iss` beside the `sid`.
    MissingIssuer,
    /// There is no `sid` beside the `iss`.
    MissingSession,
    /// `sid` comes twice.
    RepeatedSession,
    /// There is neither `iss` nor `sid`.
    Nobody,
}

impl FrontChannelFlaw {
    /// Every one.
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
    /// The URL that the twin has a browser load in a frame when the session ends that [`set_claim`](Self::set_claim)
    /// calls `sid`: this `frontchannel_logout_uri`, which has no query, with what `frontchannel_logout_session_required`
    /// adds.
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
