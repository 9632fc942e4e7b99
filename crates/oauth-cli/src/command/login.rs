//! `oauth login`: authorization code with PKCE, over the browser and a loopback port (RFC 8252).

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use clap::Args;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::flow::authorization::{AuthorizationWarning, Push};
use oauth_core::flow::redeem::Login as SignedIn;
use oauth_core::grant::TokenRequest;
use oauth_core::token::TokenKind;
use oauth_core::token::id_token::IdToken;
use oauth_core::url::Url;
use oauth_core::{AuthorizationRequest, Tokens};
use oauth_reqwest::DeviceLogin;
use oauth_reqwest::blocking::Listener;
use oauth_reqwest::device_login::{DeviceLoginTiming, PageOpener};
use oauth_reqwest::loopback::UnexpectedCallback;
use serde_json::{Value, json};

use super::permissions::{self, Permissions};
use super::{device, token};
use crate::Global;
use crate::browser::Browser;
use crate::login_record::LoginRecord;
use crate::output::{Failure, Output, print_stderr};
use crate::profile_tokens::{Owner, ProfileTokens};
use crate::redirect::{self, RedirectOptions};
use crate::setup::{ClientPlan, SecretRequirement, ServerArgs, Setup, pair};
use crate::token_file::TokenFile;
use crate::token_request::TokenRequestArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth login --profile acme
  oauth login --provider google --client-id 1234.apps.example \\
    --scope \"openid email\" --save tokens.json
  oauth login --issuer https://as.example --client-id app --client-auth none \\
    --no-browser --redirect-uri http://localhost:8080/cb
  oauth login --profile acme --device
  oauth login --provider socios --client-id key --client-secret-file key.txt \\
    --param partner_tag=acme

The redirect URI is the one given with --redirect-uri or the profile's `redirect_uri`, by default \
http://127.0.0.1:PORT/callback. With a profile, tokens are stored for all shells of this user (see oauth \
token). With --save they are written only to that file; with neither, the access token is printed to \
stdout.

If this machine has no browser, such as in an SSH session or with BROWSER=none, and the server supports it, \
a code to enter on another device is shown, as by oauth device. --device always selects this, and \
--no-browser, --push, --port, --path and --param prevent it.

With --json, the first line on stdout contains what the user has to open or enter: either \
`authorization_url`, or the members of a device code (`user_code`, `verification_uri`, \
`verification_uri_complete`, `expires_at`), but never both. The same line is on stderr. The second line on \
stdout is the result: `subject` (null if the server did not name the user), `profile`, `scope`, `token_type`, \
`expires_in`, `expires_at` and `refresh_token_present`. It contains tokens only if they are stored nowhere, \
without a profile and --save.

Without --json, a login in the browser always prints the URL. If the browser runs on another machine, it \
ends at an address that cannot be loaded: paste that address into the terminal, or forward the port \
beforehand with the ssh command that is printed.";

/// The options of all logins.
#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    request_args: TokenRequestArgs,
    /// Write the tokens to this file, readable only by you
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Replace the login of the profile even if it belongs to another user
    #[arg(long)]
    replace: bool,
}

/// Logs in with the browser.
#[derive(Debug, Args)]
pub(crate) struct Login {
    #[command(flatten)]
    args: LoginArgs,
    /// Add a parameter to the authorization request, such as prompt=login; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// Print the URL instead of opening a browser, and never use a device code
    #[arg(long)]
    no_browser: bool,
    /// Loopback port to listen on [default: the profile's, or any free port]
    #[arg(long)]
    port: Option<u16>,
    /// Path to listen on [default: the profile's, or /callback]
    #[arg(long)]
    path: Option<String>,
    /// How long to wait for the browser to return, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    /// Use a pushed authorization request even if the server does not require one (PAR, RFC 9126)
    #[arg(long)]
    push: bool,
    /// Show a code to enter on another device instead of opening a browser (RFC 8628)
    #[arg(long, conflicts_with_all = ["parameters", "no_browser", "port", "path", "push"])]
    device: bool,
}

impl Login {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        if self.device {
            return self.args.run(global, output, &[], device::sign_in);
        }
        let names = self.parameters.iter().map(|(name, _)| name.as_str());
        let device = if self.no_browser || self.push || self.port.is_some() || self.path.is_some() {
            DeviceLogin::Never
        } else {
            DeviceLogin::WhereNoBrowser.with_parameters(names)
        };
        let in_browser = InBrowser {
            device,
            push: if self.push {
                Push::Always
            } else {
                Push::WhereRequired
            },
            parameters: self.parameters.clone(),
            browser: Browser::find(self.no_browser),
            redirect_options: RedirectOptions {
                port: self.port,
                path: self.path,
            },
            timeout: self.timeout,
        };
        let sign_in = |setup: &mut Setup, token_request, output| {
            in_browser.sign_in(setup, token_request, output)
        };
        self.args.run(global, output, &self.parameters, sign_in)
    }
}

/// The login, and the channel for terminal input, if there is a terminal.
pub(super) type SignInResult = (SignedIn, Option<Receiver<String>>);

impl LoginArgs {
    /// Lets the user sign in, with these parameters of the authorization request, and stores the tokens.
    pub(super) fn run(
        self,
        global: &Global,
        output: Output,
        parameters: &[(String, String)],
        sign_in: impl FnOnce(&mut Setup, TokenRequest, Output) -> Result<SignInResult, Failure>,
    ) -> Result<(), Failure> {
        let plan = ClientPlan::new(self.server, global)?;
        let grants = match self.save {
            Some(_) => None,
            None => ProfileTokens::for_profile(&plan.profile, global)?,
        };
        let token_request = plan.token_request(&self.request_args)?;
        let requested = permissions::requested(parameters, &token_request)?;
        let mut setup = plan.set_up(SecretRequirement::Optional, false)?;
        let file = self.save.map(TokenFile);
        // Checked now rather than after the login. No draft is left if the user presses Ctrl-C.
        file.as_ref().map(TokenFile::draft).transpose()?;
        grants
            .as_ref()
            .map_or(Ok(()), |grants| grants.try_out(&setup))?;
        let (redeemed, typed) = sign_in(&mut setup, token_request, output)?;
        let record = LoginRecord::from_tokens(&redeemed.tokens, redeemed.id_token.as_ref());
        let (tokens, id_token) = (redeemed.tokens, redeemed.id_token);
        let permissions = Permissions::from_tokens(&tokens, &requested);
        let mut result = token::record(&tokens);
        if let Some(members) = result.as_object_mut() {
            let subject = id_token.as_ref().map(IdToken::subject);
            members.insert("subject".to_owned(), subject.into());
            let profile = grants.as_ref().map(ProfileTokens::profile);
            members.insert("profile".to_owned(), profile.into());
            permissions.record(members);
        }
        let report_login = |tokens: &Tokens| {
            match &id_token {
                Some(id_token) => output.note(format_args!("logged in as {}", id_token.subject())),
                None => output.note("logged in"),
            }
            output.note(token::summary(tokens));
            permissions.print(output);
        };
        match (file, grants) {
            (Some(file), _) => {
                report_login(&tokens);
                file.draft()?.commit(&tokens)?;
                output.json_line(&without_token(result))
            }
            (None, Some(grants)) => {
                let mut target = StoreTarget {
                    setup: &setup,
                    grants: &grants,
                    typed,
                    output,
                };
                target.store(tokens, record, self.replace, report_login)?;
                output.json_line(&without_token(result))
            }
            (None, None) => {
                report_login(&tokens);
                print(&tokens, result, output)
            }
        }
    }
}

/// A login in the browser of this machine or of another one, or by a code if there is none.
struct InBrowser {
    device: DeviceLogin,
    push: Push,
    parameters: Vec<(String, String)>,
    browser: Browser,
    redirect_options: RedirectOptions,
    timeout: u64,
}

impl InBrowser {
    fn sign_in(
        self,
        setup: &mut Setup,
        token_request: TokenRequest,
        output: Output,
    ) -> Result<SignInResult, Failure> {
        let timing = self
            .device
            .timing(PageOpener::System, setup.client.server());
        if timing.begins()
            && let Some(login) = device::try_sign_in(setup, token_request.clone(), timing, output)?
        {
            return Ok(login);
        }
        let mut listener = redirect::listener(&setup.profile, self.redirect_options)?;
        setup.admit(listener.redirect_uri())?;
        let request = AuthorizationRequest::new(listener.redirect_uri().clone());
        let mut request = request.requesting(token_request.clone());
        request.extra = self.parameters;
        request.push = self.push;
        let begun = setup.net.run(setup.client.begin_authorization(request))?;
        let (url, pending) = (begun.url, begun.pending);
        for warning in pending.warnings() {
            output.note(format_args!("warning: {}", sentence(*warning)));
        }
        if self.browser.open(&url) {
            output.note("opening the browser; if it does not show the login, open this URL:");
        } else if timing == DeviceLoginTiming::IfNotOpened
            && let Some(login) = device::try_sign_in(setup, token_request, timing, output)?
        {
            return Ok(login);
        } else {
            advise(&self.browser, &listener, output)?;
            output.note("open this URL:");
        }
        // With `--json` it is printed too: it is not a result, but someone has to open it.
        let line = json!({ "authorization_url": url.as_str() });
        output.json_line(&line)?;
        print_stderr(if output.json {
            line.to_string()
        } else {
            url.to_string()
        });
        output.note(format_args!(
            "waiting up to {} s for the callback at {} (Ctrl-C to cancel)",
            self.timeout,
            listener.redirect_uri()
        ));
        let typed = typed(&mut listener, output);
        let listener = listener.on_stray(move |unexpected| report(unexpected, output));
        let callback = listener.wait(&pending, Duration::from_secs(self.timeout))?;
        let redeemed = setup.net.run(setup.client.redeem(pending, &callback)?)?;
        Ok((redeemed, typed))
    }
}

/// Tells a user in an SSH session how to forward the callback port.
fn advise(browser: &Browser, listener: &Listener, output: Output) -> Result<(), Failure> {
    let uri = Url::parse(listener.redirect_uri().as_str())?;
    let Some(command) = browser.forwarding(&uri) else {
        return Ok(());
    };
    output.note(format_args!(
        "this is an SSH session: to forward the callback to it, first run this on the machine with the browser:\n{command}"
    ));
    Ok(())
}

/// The destination of a login's tokens.
struct StoreTarget<'a> {
    setup: &'a Setup,
    grants: &'a ProfileTokens,
    typed: Option<Receiver<String>>,
    output: Output,
}

impl StoreTarget<'_> {
    fn store(
        &mut self,
        tokens: Tokens,
        mut now: LoginRecord,
        replace: bool,
        tell: impl FnOnce(&Tokens),
    ) -> Result<(), Failure> {
        let profile = self.grants.profile();
        let before = LoginRecord::load(profile)?;
        if let Some(before) = &before {
            if let Some((old, new)) = before.other_than(&now)
                && !replace
                && !self.may_replace(old, new)
            {
                let failure = other_user(profile, old, new);
                self.revoke(&tokens);
                return Err(failure);
            }
            now.keep_name_of(before);
        }
        // Only after the checks: a login that they refuse is not reported.
        tell(&tokens);
        let grant = self.grants.open(self.setup, Owner::Login, self.output);
        grant.log_in(tokens)?;
        now.save(profile)?;
        self.output
            .note(format_args!("saved the login in profile `{profile}`"));
        Ok(())
    }

    fn may_replace(&self, old: &str, new: &str) -> bool {
        let Some(typed) = self.typed.as_ref().filter(|_| !self.output.json) else {
            return false;
        };
        let profile = self.grants.profile();
        self.output.note(format_args!(
            "profile `{profile}` is already logged in as `{old}`; replace this login with `{new}`? [y/N]"
        ));
        let answer = typed.recv().unwrap_or_default();
        ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
    }

    /// These tokens are discarded, so they should not stay valid; if revocation fails,
    /// there is nothing left to do.
    fn revoke(&self, tokens: &Tokens) {
        let refresh = tokens.refresh_token.as_ref().map(|token| token.secret());
        let secrets = [
            (refresh, TokenKind::Refresh),
            (Some(&tokens.access_token), TokenKind::Access),
        ];
        for (secret, kind) in secrets {
            let Some(secret) = secret else { continue };
            let _ = self.setup.net.run(
                self.setup
                    .client
                    .revoke(Revocation::new(secret.clone()).token_type_hint(kind)),
            );
        }
    }
}

/// A problem of the request, which does not prevent the login.
fn sentence(warning: AuthorizationWarning) -> String {
    match warning {
        AuthorizationWarning::AcrValuesUnsupported => {
            "the server does not list any of the requested acr_values: it may ignore them"
                .to_owned()
        }
        AuthorizationWarning::AuthorizationDetailsUnprotected => {
            "authorization_details stand in the URL, where the user can change them: use --push"
                .to_owned()
        }
        other => format!("the request is unusual ({})", other.code()),
    }
}

fn other_user(profile: &str, old: &str, new: &str) -> Failure {
    Failure::usage(
        "usage.other_person",
        format_args!(
            "profile `{profile}` is already logged in as `{old}`, and this login is `{new}`"
        ),
        "the existing login is kept; to replace it, use --replace, or log out first with oauth logout",
    )
}

/// Reads lines from a terminal: the pasted address while the login waits for one, then answers to prompts.
pub(super) fn typed(listener: &mut Listener, output: Output) -> Option<Receiver<String>> {
    if !io::stdin().is_terminal() {
        return None;
    }
    output.note("if the browser is on another machine, paste the address at which it ends:");
    let (sender, receiver) = mpsc::channel();
    let paste = listener.paste();
    std::thread::Builder::new()
        .spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if !paste.give(&line) && sender.send(line).is_err() {
                    break;
                }
            }
        })
        .ok()?;
    Some(receiver)
}

fn report(unexpected: UnexpectedCallback, output: Output) {
    let (code, text) = match unexpected {
        UnexpectedCallback::Paste => (
            "login.foreign_paste",
            "the pasted address does not belong to this login; paste the complete address",
        ),
        UnexpectedCallback::Refusal => (
            "login.stateless_refusal",
            "received an error without `state`: it may belong to this login, but anyone can send one; still waiting",
        ),
        _ => (
            "login.foreign_callback",
            "received a callback that does not belong to this login (`state` is different or missing); still waiting",
        ),
    };
    if output.json {
        print_stderr(json!({ "warning": { "code": code, "message": text } }))
    } else {
        print_stderr(format_args!("warning: {text}"))
    }
}

/// The result of a login whose tokens are stored: they are not printed as well.
fn without_token(mut record: Value) -> Value {
    if let Some(members) = record.as_object_mut() {
        members.remove("access_token");
    }
    record
}

/// Prints tokens that are not stored anywhere.
fn print(tokens: &Tokens, mut record: Value, output: Output) -> Result<(), Failure> {
    token::warn(tokens, output);
    if let (Some(members), Some(refresh)) = (record.as_object_mut(), &tokens.refresh_token) {
        output.note(
            "warning: the refresh token is not stored; to keep it, log in with a profile, --save FILE or --json",
        );
        let refresh = refresh.secret().expose().as_str();
        members.insert("refresh_token".to_owned(), refresh.into());
    }
    output.result(tokens.access_token.expose(), &record)
}
