//! A fixed token, from the command line or a profile, which is used unchanged.

use oauth_session::FixedToken;

use crate::output::Failure;
use crate::profile::Profile;
use crate::secret_source::{Source, secret_args};

secret_args!(
    /// The source of a token that this command did not request.
    FixedArgs,
    "token",
    "token",
    "Token",
    "a fixed access token, such as one created in a console,",
    "token"
);

impl FixedArgs {
    /// The token, if one is named here, or else by the profile.
    pub(crate) fn read(self, profile: &Profile) -> Result<Option<FixedToken>, Failure> {
        self.source()
            .or_else(|| from_profile(profile))
            .map(read)
            .transpose()
    }
}

/// The token that a profile names.
pub(crate) fn read_of(profile: &Profile) -> Result<Option<FixedToken>, Failure> {
    from_profile(profile).map(read).transpose()
}

/// Refuses a profile with a token if a client is needed.
pub(crate) fn refuse(profile: &Profile) -> Result<(), Failure> {
    match (from_profile(profile), &profile.name) {
        (Some(_), Some(name)) if profile.client_id.is_none() => Err(Failure::usage(
            "usage.fixed_token",
            format_args!(
                "profile `{name}` has a fixed token, which cannot be refreshed or revoked with this command"
            ),
            "use it with oauth call and oauth token; to replace it, create a new one where it was created",
        )),
        _ => Ok(()),
    }
}

fn from_profile(profile: &Profile) -> Option<Source> {
    Source::selected(profile.token_env.as_ref(), profile.token_file.as_ref())
}

fn read(source: Source) -> Result<FixedToken, Failure> {
    let options = "use --token-env VAR or --token-file PATH (- for stdin), or set `token_env` or `token_file` in the profile";
    Ok(FixedToken::new(source.read("token", options)?))
}
