//! A desktop session for tests: a D-Bus session bus with an unlocked GNOME keyring.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A bus without service activation, because an activated keyring would be locked.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
    "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=FOLDER</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A session with an unlocked keyring, for processes that know the address of its bus.
pub(crate) struct Bus {
    folder: TempDir,
    address: String,
    processes: Vec<Child>,
}

impl Bus {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("bus.conf");
        let place = folder.path().display().to_string();
        fs::write(&config, BUS.replace("FOLDER", &place)).expect("written");
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--nofork", "--print-address", "--config-file"])
            .arg(config);
        let mut bus = spawn(bus.stdout(Stdio::piped()));
        let mut address = String::new();
        let output = bus.stdout.take().expect("its address");
        BufReader::new(output)
            .read_line(&mut address)
            .expect("its address");
        let mut session = Self {
            folder,
            address: address.trim().to_owned(),
            processes: vec![bus],
        };
        let mut daemon = session.in_session(Command::new("gnome-keyring-daemon"));
        daemon.args(["--foreground", "--unlock", "--components=secrets"]);
        let mut daemon = spawn(daemon.stdin(Stdio::piped()).stdout(Stdio::null()));
        // The password of a keyring that is made for it.
        let mut input = daemon.stdin.take().expect("its input");
        input.write_all(b"password\n").expect("the password");
        drop(input);
        session.processes.push(daemon);
        session
    }

    /// The home folder of the session's user.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds the session's environment to a command.
    pub(crate) fn in_session(&self, mut command: Command) -> Command {
        command.envs(self.environment());
        command
    }

    /// The environment variables of a command in the session.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 4] {
        let home = self.folder.path().as_os_str();
        [
            ("DBUS_SESSION_BUS_ADDRESS", OsString::from(&self.address)),
            ("XDG_RUNTIME_DIR", home.to_owned()),
            ("XDG_DATA_HOME", home.to_owned()),
            ("HOME", home.to_owned()),
        ]
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            process.kill().expect("to kill it");
            process.wait().expect("its end");
        }
    }
}

fn spawn(command: &mut Command) -> Child {
    let program = command.get_program().display().to_string();
    command
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}: cargo xtask setup installs it"))
}
