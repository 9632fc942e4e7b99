//! The stages of a detour through the login page: the query parameter `stage`, which only the site's own redirects and
//! pages set. Anyone may forge it, so a stage never skips a check.

/// A stage of a detour through the login page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginStage {
    /// A callback without a flow reported an error: it is shown, unless there is a session after all.
    CallbackError,
    /// A callback had no flow: the login begins again, unless there is a session after all.
    Restart,
    /// The login has begun again: the browser must have sent a cookie back.
    Restarted,
    /// The browser may have withheld the session's cookie from a page of the application, which is requested again.
    ToApplication,
    /// The browser may have withheld the session's cookie from the login page: a user with a session needs no login.
    FindSession,
}

impl LoginStage {
    const ALL: [Self; 5] = [
        Self::CallbackError,
        Self::Restart,
        Self::Restarted,
        Self::ToApplication,
        Self::FindSession,
    ];

    /// The stage of this name, if there is one.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CallbackError => "callback_error",
            Self::Restart => "restart",
            Self::Restarted => "restarted",
            Self::ToApplication => "to_application",
            Self::FindSession => "find_session",
        }
    }
}
