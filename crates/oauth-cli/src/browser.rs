//! The user's browser, which over SSH runs on a different machine from this command.

use std::net::IpAddr;

use oauth_core::url::Url;

use crate::profile;

/// The place where a page is shown.
pub(crate) enum Browser {
    /// On this machine.
    Here,
    /// At the other end of an SSH connection; the address of this end, if it is known.
    OverSsh(Option<IpAddr>),
    /// Wherever the user opens it: nothing is opened here.
    Anywhere,
}

impl Browser {
    /// Determines it from the environment that sshd sets (`SSH_CONNECTION` is the client's address and port, then
    /// those of the server). With a display that is forwarded, a page opened here is shown there, and so it is by a
    /// program that `BROWSER` names, which remote editors set.
    pub(crate) fn find(no_browser: bool) -> Self {
        let is_set = |name: &&str| profile::nonempty_variable(name).is_some();
        let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(is_set);
        let is_shown = has_display || (!no_browser && oauth_reqwest::browser::is_chosen());
        let is_remote = ["SSH_CONNECTION", "SSH_TTY"].iter().any(is_set);
        if is_remote && !is_shown {
            let ssh_connection = std::env::var("SSH_CONNECTION").unwrap_or_default();
            return Self::OverSsh(this_end(&ssh_connection));
        }
        if no_browser {
            Self::Anywhere
        } else {
            Self::Here
        }
    }

    /// Opens a page; returns whether a browser was started. Over SSH none is opened: it would be a text browser in this
    /// terminal, or a window on a screen that no one sees.
    pub(crate) fn open(&self, url: &Url) -> bool {
        matches!(self, Self::Here) && oauth_reqwest::browser::open(url).is_ok()
    }

    /// The command to run on the browser's machine, so that it reaches a listener at this URI.
    pub(crate) fn forwarding(&self, redirect_uri: &Url) -> Option<String> {
        let Self::OverSsh(listener_address) = self else {
            return None;
        };
        let (host, port) = (redirect_uri.host(), redirect_uri.port());
        let listener_host =
            listener_address.map_or_else(|| "HOST".to_owned(), |address| address.to_string());
        Some(format!("ssh -N -L {port}:{host}:{port} {listener_host}"))
    }
}

fn this_end(connection: &str) -> Option<IpAddr> {
    connection.split(' ').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_ssh_command_forwards_the_listener_port() {
        let uri = Url::parse("http://localhost:4711/cb").unwrap();
        let over_ssh =
            |ssh_connection: &str| Browser::OverSsh(this_end(ssh_connection)).forwarding(&uri);
        assert_eq!(
            over_ssh("198.51.100.7 50022 2001:db8::5 22").as_deref(),
            Some("ssh -N -L 4711:localhost:4711 2001:db8::5")
        );
        // A string that is not an address is not repeated.
        assert_eq!(
            over_ssh("a b -oProxyCommand=x 22").as_deref(),
            Some("ssh -N -L 4711:localhost:4711 HOST")
        );
        assert_eq!(Browser::Here.forwarding(&uri), None);
    }
}
