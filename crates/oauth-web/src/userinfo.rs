//! When a site requests claims from a provider's UserInfo endpoint.

/// When claims are requested from a provider's UserInfo endpoint (OpenID Connect Core section 5.3). Its claims complete
/// those of the ID token; they never replace one, and none of them states how or when a user authenticated.
///
/// A sign-in whose UserInfo response cannot be trusted is refused, with the code of the check that failed, such as
/// `userinfo.subject` for a response about another user. If the endpoint fails, refuses or returns something else, that
/// is only logged: the user is signed in with the claims of the ID token, and the application decides in
/// [`Step::Admit`](crate::Step::Admit) whether they suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Userinfo {
    /// Never.
    Never,
    /// If the ID token lacks a claim of [`Config::claims`](crate::Config::claims) that the granted scope gives access to
    /// (section 5.4), and the provider has the endpoint: many put the name and the e-mail address nowhere else. Claims
    /// that no standard scope covers count as accessible, and all do if the request has the parameter `claims`.
    #[default]
    WhenMissing,
}

impl Userinfo {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::Never, Self::WhenMissing];

    /// The name in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::WhenMissing => "when_missing",
        }
    }

    /// The value with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|value| value.as_str() == name)
    }
}
