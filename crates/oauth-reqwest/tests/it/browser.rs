use oauth_core::url::Url;
use oauth_reqwest::browser;

#[test]
fn a_missing_browser_program_is_reported() {
    let url = Url::parse("https://as.example/authorize?state=S3CR3T").unwrap();
    let error = browser::open_with("/no/such/browser", &url).unwrap_err();
    assert_eq!(error.code(), "browser.unavailable");
    assert!(error.to_string().contains("/no/such/browser"));
    assert!(!format!("{error:?}").contains("S3CR3T"));
}

/// A program with this script, which may write its observations to `$out`.
#[cfg(unix)]
fn program(folder: &std::path::Path, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;

    let program = folder.join("browser");
    let out = folder.join("seen");
    std::fs::write(
        &program,
        format!("#!/bin/sh\nout={}\n{script}\n", out.display()),
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.to_str().unwrap().to_owned()
}

#[cfg(unix)]
fn seen(folder: &std::path::Path) -> String {
    let seen = folder.join("seen");
    while !seen.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::fs::read_to_string(seen).unwrap()
}

/// lo-open-url: the URL is one argument, without a shell that could interpret it.
#[cfg(unix)]
#[test]
fn the_url_is_passed_as_one_argument() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"printf '%s\n' "$#" "$1" > $out.new && mv $out.new $out"#;
    let program = program(folder.path(), script);
    let text = "https://as.example/a;touch$(x)?a=$(touch%20y)&b='|id'&c=*";
    let url = Url::parse(text).unwrap();
    browser::open_with(&program, &url).unwrap();
    assert_eq!(seen(folder.path()), format!("1\n{text}\n"));
}

/// An opener that becomes the browser: Ctrl-C in the terminal of the login does not end it, and its
/// output is discarded.
#[cfg(target_os = "linux")]
#[test]
fn a_running_opener_is_detached_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    // The fifth field is the process group.
    let script = "echo $$ $(cut -d' ' -f5 /proc/$$/stat) $(readlink /proc/$$/fd/1 /proc/$$/fd/2) > $out.new\n\
                  mv $out.new $out\n\
                  read -r _ < $out.fifo";
    let fifo = folder.path().join("seen.fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let program = program(folder.path(), script);
    let url = Url::parse("https://as.example/authorize").unwrap();
    browser::open_with(&program, &url).unwrap();
    let seen = seen(folder.path());
    let [id, group, out, err] = seen.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{seen}");
    };
    assert_eq!(id, group);
    assert_eq!([out, err], ["/dev/null"; 2]);
    // The opener was running all the time.
    std::fs::write(fifo, "\n").unwrap();
}
