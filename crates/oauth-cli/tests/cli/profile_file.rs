//! `oauth profile add` and `remove`, and `oauth register --add-profile`: their changes to the file, and
//! what they leave unchanged.

use std::path::{Path, PathBuf};

use crate::common::{RunResult, SECRET, folder, oauth, start_twin};
use crate::store::{Home, assert_exit};

const WRITTEN: &str = "\
# My profiles.

# The bank.
[profile.bank]
issuer = \"https://bank.example\" # not the old one
client_id   =   \"app\"

[profile.bank.variables]
a = \"b\"

# The shop.
[profile.shop]
provider = \"google\"
client_id = \"s\"
";

fn with_config(config: &Path, arguments: &[&str]) -> RunResult {
    let config = ["--config", config.to_str().unwrap()];
    oauth(&[&config, arguments].concat()).run()
}

fn config_file(name: &str, text: &str) -> PathBuf {
    let path = folder(name).join("config.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn read_text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

const ACME: [&str; 9] = [
    "profile",
    "add",
    "acme",
    "--issuer",
    "https://as.example",
    "--client-id",
    "app",
    "--client-auth",
    "none",
];

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_added_profile_works_and_the_rest_of_the_file_is_unchanged() {
    let served = start_twin();
    let path = config_file("profile-add", WRITTEN);
    let folder = path.parent().unwrap();
    std::fs::write(folder.join("secret.txt"), SECRET).unwrap();
    let base = served.base();
    let server = [
        "--issuer",
        base,
        "--loopback-http",
        "--client-id",
        "twin-client",
    ];
    let more = [
        "--client-secret-file",
        "secret.txt",
        "--client-auth",
        "post",
        "--scope",
        "read write",
        "--param",
        "a=1",
        "--origin",
        base,
        "--as",
        "client",
        "--default",
    ];
    let config = ["--config", path.to_str().unwrap()];
    let add = [&config[..], &["profile", "add", "local"], &server, &more].concat();
    let mut run = oauth(&add);
    run.command.current_dir(folder);
    assert!(run.run().ok().contains("added profile `local` to "));
    let text = read_text(&path);
    // The default is before all tables, and the rest is unchanged.
    assert!(text.starts_with("default_profile = \"local\"\n"), "{text}");
    assert!(text.contains(WRITTEN), "{text}");
    assert!(!text.contains(SECRET));

    assert_eq!(
        with_config(&path, &["token", "--json"]).json()["scope"],
        "read write"
    );
    let logged_values = served.with(|twin| {
        let log = twin.log();
        let form = &log.last().unwrap().form;
        let all = form.iter().filter(|(name, _)| name == "a");
        all.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    });
    assert_eq!(logged_values, ["1"]);
    // From a different folder, with the token for its own origin.
    let url = format!("{base}/api/echo");
    with_config(&path, &["call", &url, "-d", "x"]).ok();
    let listed = with_config(&path, &["profile", "list", "--json"]).json();
    assert_eq!(listed["profiles"][1]["name"], "local");
    assert_eq!(listed["profiles"][1]["default"], true);
    assert!(!listed.to_string().contains(SECRET));
}

#[test]
fn a_refused_change_leaves_the_profile_file_unchanged() {
    let path = config_file("profile-add-not", WRITTEN);
    let refused = |arguments: &[&str], code: &str| {
        assert_exit(&with_config(&path, arguments), 2, &[code]);
        assert_eq!(read_text(&path), WRITTEN);
    };
    let arguments_for = |name: &str| {
        let mut all = ACME.map(str::to_owned);
        name.clone_into(&mut all[2]);
        all
    };
    for (name, code) in [
        ("bank", "error[usage.profile_exists]"),
        ("a b", "error[usage.profile_name]"),
        ("../x", "error[usage.profile_name]"),
        ("", "error[usage.profile_name]"),
    ] {
        let all = arguments_for(name);
        refused(&all.each_ref().map(String::as_str), code);
    }
    let add = ["profile", "add", "x"];
    let google = ["--provider", "google", "--client-id", "a"];
    for (more, code) in [
        (&["--client-id", "a"][..], "error[usage.server]"),
        (
            &["--provider", "nobody", "--client-id", "a"],
            "error[provider.unknown]",
        ),
        (&google[..2], "error[usage.client_id]"),
        (
            &[&google[..], &["--client-auth", "private-key-jwt"]].concat(),
            "error[usage",
        ),
        (
            &[&google[..], &["--origin", "http://api.example"]].concat(),
            "error[",
        ),
        (&[&google[..], &["--resource", "no uri"]].concat(), "error["),
    ] {
        refused(&[&add[..], more].concat(), code);
    }
    refused(&["profile", "remove", "nobody"], "error[usage.profile]");
    let broken = "[profile.a]\nclient_secret = \"S3CR3T\"\n";
    std::fs::write(&path, broken).unwrap();
    let output = with_config(&path, &ACME);
    assert_exit(&output, 2, &["error[usage.profile]", "client_secret_file"]);
    assert!(!output.stderr.contains("S3CR3T"), "{}", output.stderr);
    assert_eq!(read_text(&path), broken);
}

#[test]
fn a_new_config_file_is_private_and_symlinks_are_followed() {
    let folder = folder("profile-new");
    let path = folder.join("deep").join("config.toml");
    with_config(&path, &ACME).ok();
    let text = "[profile.acme]\nissuer = \"https://as.example\"\nclient_id = \"app\"\nclient_auth = \"none\"\n";
    assert_eq!(read_text(&path), text);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        // The file's permissions and location are its owner's choice.
        let dotfile = folder.join("dotfiles.toml");
        std::fs::write(&dotfile, WRITTEN).unwrap();
        std::fs::set_permissions(&dotfile, std::fs::Permissions::from_mode(0o644)).unwrap();
        let link = folder.join("config.toml");
        std::os::unix::fs::symlink(&dotfile, &link).unwrap();
        with_config(&link, &ACME).ok();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read_text(&dotfile), format!("{WRITTEN}\n{text}"));
        assert_eq!(mode(&dotfile), 0o644);
    }
}

#[test]
fn concurrent_additions_of_profiles_all_succeed() {
    let path = folder("profile-many").join("config.toml");
    let config = ["--config", path.to_str().unwrap()];
    let started: Vec<_> = (0..8)
        .map(|number| {
            let mut all = ACME.map(str::to_owned);
            all[2] = format!("p{number}");
            let all = all.each_ref().map(String::as_str);
            oauth(&[&config[..], &all].concat()).start()
        })
        .collect();
    for command in started {
        command.wait().ok();
    }
    let listed = with_config(&path, &["profile", "list", "--json"]).json();
    assert_eq!(listed["profiles"].as_array().unwrap().len(), 8);
}

#[test]
fn removing_a_profile_removes_only_its_own_comment() {
    let path = config_file("profile-remove", WRITTEN);
    let done = with_config(&path, &["profile", "remove", "bank"]).ok();
    assert!(
        done.contains("removed profile `bank` from ") && done.contains("no stored login"),
        "{done}"
    );
    let rest =
        "# My profiles.\n\n# The shop.\n[profile.shop]\nprovider = \"google\"\nclient_id = \"s\"\n";
    assert_eq!(read_text(&path), rest);

    std::fs::write(
        &path,
        format!("default_profile = \"shop\"\n{WRITTEN}# The end.\n"),
    )
    .unwrap();
    let done = with_config(&path, &["profile", "remove", "shop", "--json"]).json();
    assert_eq!(done["was_default"], true);
    let (before, _) = WRITTEN.split_once("\n# The shop.").unwrap();
    assert_eq!(read_text(&path), format!("{before}# The end.\n"));
}

#[test]
fn a_profile_with_a_stored_login_is_not_removed_unless_forced() {
    let home = Home::new("profile-login");
    home.log_in("p");
    let config = home.folder.join("config.toml");
    let before = read_text(&config);
    assert_exit(
        &home.oauth(&["profile", "remove", "p"]).run(),
        2,
        &["error[usage.logged_in]", "oauth logout --profile p"],
    );
    assert_eq!(read_text(&config), before);

    let removal = home
        .oauth(&["profile", "remove", "p", "--keep-login", "--json"])
        .run()
        .json();
    assert_eq!(removal["login_kept"], true);
    assert_exit(&home.run_profile(&["token"]), 2, &["no profile `p`"]);
    std::fs::write(&config, &before).unwrap();
    home.run_profile(&["token"]).ok();

    home.run_profile(&["logout"]).ok();
    let removal = home
        .oauth(&["profile", "remove", "p", "--json"])
        .run()
        .json();
    assert_eq!(removal["login_kept"], false);
    // A later profile of the same name is a different one, without logins.
    std::fs::write(&config, &before).unwrap();
    home.run_profile(&["token"]).ok();
}

#[test]
fn register_adds_a_working_profile() {
    let (served, folder) = (start_twin(), folder("register-add"));
    let config = folder.join("config.toml");
    let register = |more: &[&str]| {
        let base = [
            "--config",
            config.to_str().unwrap(),
            "register",
            "--issuer",
            served.base(),
        ];
        let client = [
            "--loopback-http",
            "--name",
            "App",
            "--grant",
            "client_credentials",
        ];
        oauth(&[&base[..], &client, more].concat()).run()
    };
    let add = ["--add-profile", "acme"];
    let output = register(&add);
    assert_exit(&output, 0, &["added profile `acme` to "]);
    let secret = read_text(&folder.join("acme.secret"));
    assert!(!output.stdout.contains(&secret) && !read_text(&config).contains(&secret));
    #[cfg(unix)]
    assert_eq!(mode(&folder.join("acme.secret")), 0o600);
    let token = with_config(&config, &["--profile", "acme", "token"]).ok();
    assert!(!token.trim().is_empty());

    // Nothing is registered if the profile cannot be added.
    let client_count = || served.with(|twin| twin.registered_clients().len());
    let before = client_count();
    assert_exit(&register(&add), 2, &["error[usage.profile_exists]"]);
    assert_exit(
        &register(&["--add-profile", "a/b"]),
        2,
        &["error[usage.profile_name]"],
    );
    assert_eq!(client_count(), before);
    assert_eq!(read_text(&folder.join("acme.secret")), secret);
}
