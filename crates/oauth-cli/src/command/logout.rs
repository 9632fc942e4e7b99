//! `oauth logout`: ends a login here, then at the server: its tokens (RFC 7009), and on request the session
//! of the browser (OpenID Connect RP-Initiated Logout).

use std::time::Duration;

use clap::Args;
use oauth_core::flow::logout::LogoutRequest;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::url::Url;
use oauth_core::{Moment, Secret};
use oauth_reqwest::blocking::Listener;
use serde_json::{Value, json};

use super::login;
use super::revoke::{self, Revoked, revocations_of};
use crate::Global;
use crate::browser::Browser;
use crate::login_record::LoginRecord;
use crate::output::{Failure, Output, print_stderr};
use crate::profile::Profile;
use crate::profile_tokens::{Owner, ProfileTokens, StoredGrant};
use crate::setup::{ClientPlan, SecretRequirement, ServerArgs, Setup};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth logout --profile acme
  oauth logout --profile acme --sign-out
  oauth logout --profile acme --sign-out \\
    --post-logout-redirect-uri http://127.0.0.1/signed-out
  oauth logout --profile acme --client

The stored login is removed first, even if the server cannot be reached, then its tokens are revoked \
at the server. Until the next login, oauth token and oauth call fail with this profile because \
no user is logged in, unless they act for the client.

The result says which tokens were revoked. With --json, `may_still_be_valid` is true if the server cannot \
revoke some of them, or if they could not be read.

The user may still be signed in at the server, in the browser: --sign-out opens the server's logout page to \
end this session as well. The URL of this page contains the ID token of the login, which identifies the \
session: it cannot be used to sign in, but it contains data about the user.";

/// Ends a login locally and at the server.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    #[command(flatten)]
    server: ServerArgs,
    /// Remove and revoke the client's own tokens, and keep the login
    #[arg(long)]
    client: bool,
    #[command(flatten)]
    sign_out: SignOutArgs,
}

#[derive(Debug, Args)]
struct SignOutArgs {
    /// Also sign the user out at the server, in the browser
    #[arg(long, conflicts_with = "client", help_heading = "Sign-out")]
    sign_out: bool,
    /// Wait for the browser to return to this registered loopback URI [profile:
    /// `post_logout_redirect_uri`, default: do not wait]
    #[arg(
        long,
        value_name = "URI",
        requires = "sign_out",
        help_heading = "Sign-out"
    )]
    post_logout_redirect_uri: Option<String>,
    /// Print the URL instead of opening a browser
    #[arg(long, requires = "sign_out", help_heading = "Sign-out")]
    no_browser: bool,
    /// How long to wait for the browser to return, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        help_heading = "Sign-out"
    )]
    timeout: u64,
}

impl Logout {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let plan = ClientPlan::new(self.server, global)?;
        let grants = ProfileTokens::for_profile(&plan.profile, global)?;
        let grants = grants.ok_or_else(|| {
            Failure::usage(
                "usage.no_login",
                "there is no stored login: no profile is selected, or its tokens are not stored",
                "select the profile of a login with --profile; to revoke a single token, use oauth revoke",
            )
        })?;
        if self.client {
            let ended = LocalLogout {
                setup: None,
                id_token: None,
                revoked: revoke::remove_clients(plan, &grants, output)?,
            };
            return ended.report(None, output);
        }
        // Mistakes in the command are reported before anything is removed.
        let sign_out = if self.sign_out.sign_out {
            Some(SignOut::new(self.sign_out, &plan.profile)?)
        } else {
            None
        };
        let stored = grants.find(&plan, &Owner::Login);
        let ended = end_login(plan, &grants, stored, output)?;
        ended.report(sign_out, output)
    }
}

/// A login that was removed locally, and what happened to it at the server.
pub(super) struct LocalLogout {
    /// `None` if the server could not be set up.
    setup: Option<Setup>,
    id_token: Option<Secret<String>>,
    revoked: Result<Revoked, Failure>,
}

/// Removes the stored login first, regardless of what happens to the rest. A shell that is refreshing it at this moment
/// detects this, and stores nothing.
pub(super) fn end_login(
    plan: ClientPlan,
    grants: &ProfileTokens,
    stored: Result<Option<StoredGrant>, Failure>,
    output: Output,
) -> Result<LocalLogout, Failure> {
    let profile = grants.profile().to_owned();
    let stored = match stored {
        Ok(stored) => stored.ok_or_else(|| {
            grants
                .not_logged_in()
                .and_hint("to remove the tokens of the client itself, use oauth logout --client")
        })?,
        // An unreadable record can be removed anyway.
        Err(failure) if failure.is_stored_error() => {
            LoginRecord::default().save(&profile)?;
            grants.remove(&grants.key(&plan.reader()?, &Owner::Login))?;
            return Err(unreadable(&profile));
        }
        Err(failure) => return Err(failure),
    };
    // Saved before the login is removed: a command that runs in between must not act for the client.
    let saved = LoginRecord::default().save(&profile);
    let removed = grants.remove(&stored.key);
    let tokens = stored.tokens();
    let setup = plan.set_up(SecretRequirement::Optional, false);
    let (setup, revoked) = match setup {
        Ok(setup) => {
            let tokens_to_revoke = tokens.as_deref().map(revocations_of).unwrap_or_default();
            let revoked = revoke::revoke_where_supported(&setup, tokens_to_revoke, output);
            (Some(setup), revoked)
        }
        Err(failure) => (None, Err(failure)),
    };
    removed?;
    saved?;
    output.note(format_args!("removed the login of profile `{profile}`"));
    Ok(LocalLogout {
        setup,
        id_token: tokens.and_then(|tokens| tokens.id_token.clone()),
        revoked: revoked.map_err(revoke::still_valid),
    })
}

impl LocalLogout {
    /// Signs the user out as well, and reports the result. A failure at the server is an error, but everything else is
    /// still attempted.
    fn report(self, sign_out: Option<SignOut>, output: Output) -> Result<(), Failure> {
        let revoked = unless_impossible(self.revoked, output);
        let signed_out = match (sign_out, &self.setup) {
            (Some(sign_out), Some(setup)) => Some(
                sign_out
                    .run(setup, self.id_token, output)
                    .map_err(still_signed_in),
            ),
            _ => None,
        };
        let (revoked, signed_out) = (revoked?, signed_out.transpose()?);
        let (mut lines, mut record) = (vec![revoked.text()], revoked.record());
        if let Some(signed_out) = signed_out {
            lines.push(signed_out.as_str().to_owned());
            if let Value::Object(members) = &mut record {
                let is_signed_out = matches!(signed_out, SignOutProgress::Returned);
                members.insert("signed_out".to_owned(), is_signed_out.into());
            }
        }
        output.result(lines.join("\n"), &record)
    }

    /// Reports what was revoked.
    pub(super) fn report_revoked(self, output: Output) -> Result<(), Failure> {
        self.revoked?.report(output)
    }
}

/// If the server has no revocation endpoint, there is nothing more to do.
fn unless_impossible(
    revoked: Result<Revoked, Failure>,
    output: Output,
) -> Result<Revoked, Failure> {
    match revoked {
        Err(failure) if failure.has_code("endpoint.missing") => {
            output.note(
                "the server has no revocation endpoint: the tokens remain valid until they expire",
            );
            Ok(Revoked {
                may_still_be_valid: true,
                ..Revoked::default()
            })
        }
        revoked => revoked,
    }
}

/// The end of the session at the server.
struct SignOut {
    /// Listens at the registered URI, if there is one.
    listener: Option<Listener>,
    browser: Browser,
    timeout: Duration,
}

/// The known progress of the sign-out.
#[derive(Debug, Clone, Copy)]
enum SignOutProgress {
    /// The browser returned from the server.
    Returned,
    /// The server's page was shown.
    Shown,
}

impl SignOutProgress {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Returned => "signed out at the server",
            Self::Shown => "complete the sign-out on the server's page",
        }
    }
}

impl SignOut {
    fn new(args: SignOutArgs, profile: &Profile) -> Result<Self, Failure> {
        let from_args = args.post_logout_redirect_uri;
        let uri = from_args.or_else(|| profile.post_logout_redirect_uri.clone());
        let listen = |uri: String| Listener::for_redirect_uri(&RedirectUri::parse(&uri)?);
        let listener = uri.map(listen).transpose().map_err(|error| {
            Failure::from(error).with_hint(
                "use a loopback URI that is registered in `post_logout_redirect_uris`, such as http://127.0.0.1/signed-out, or none",
            )
        })?;
        Ok(Self {
            listener,
            browser: Browser::find(args.no_browser),
            timeout: Duration::from_secs(args.timeout),
        })
    }

    fn run(
        self,
        setup: &Setup,
        id_token: Option<Secret<String>>,
        output: Output,
    ) -> Result<SignOutProgress, Failure> {
        let mut request = match &self.listener {
            Some(listener) => {
                LogoutRequest::returning_to(listener.redirect_uri().clone(), &Moment::system()?)?
            }
            None => LogoutRequest::new(),
        };
        if id_token.is_none() {
            output.note("the login has no ID token: the server may have to ask who is signing out");
        }
        request.id_token_hint = id_token;
        let url = setup.client.end_session_url(&request)?;
        self.show(&url, output);
        let Some((mut listener, state)) = self.listener.zip(request.state) else {
            return Ok(SignOutProgress::Shown);
        };
        output.note(format_args!(
            "waiting up to {} s for the browser at {} (Ctrl-C to cancel)",
            self.timeout.as_secs(),
            listener.redirect_uri()
        ));
        // There are no prompts here, only the pasted address.
        let _typed = login::typed(&mut listener, output);
        let listener = listener.on_stray(move |_| {
            output.note("received a request that does not belong to this logout; still waiting");
        });
        listener.wait_for_logout(&state, self.timeout)?;
        Ok(SignOutProgress::Returned)
    }

    /// The URL contains personal data, so it is printed only if no browser could be opened.
    fn show(&self, url: &Url, output: Output) {
        if self.browser.open(url) {
            output.note("opening the server's logout page in the browser");
            return;
        }
        output.note("open this URL:");
        print_stderr(if output.json {
            json!({ "end_session_url": url.as_str() }).to_string()
        } else {
            url.to_string()
        });
    }
}

fn still_signed_in(failure: Failure) -> Failure {
    let failure = if failure.has_code("endpoint.missing") {
        failure.with_hint(
            "the server's metadata lacks this endpoint: use --endpoint end_session=URL, or sign out on the server's website",
        )
    } else {
        failure
    };
    failure
        .and_hint("the stored login is removed, but the user may still be signed in at the server")
}

fn unreadable(profile: &str) -> Failure {
    Failure::refused(
        "revoke.unread",
        format_args!("the stored login of profile `{profile}` could not be read, and was removed"),
        "its tokens may still be valid: revoke them at the server",
    )
}
