use oauth_core::url::Url;
use oauth_reqwest::browser;

#[test]
fn without_the_program_there_is_an_error() {
    let url = Url::parse("https://as.example/authorize?state=S3CR3T").unwrap();
    let error = browser::open_with("/no/such/browser", &url).unwrap_err();
    assert_eq!(error.code(), "misuse.setup");
    assert!(error.to_string().contains("/no/such/browser"));
    assert!(!format!("{error:?}").contains("S3CR3T"));
}

/// lo-open-url: one argument, and no shell that could read more into it.
#[cfg(unix)]
#[test]
fn the_url_is_one_argument() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = std::env::temp_dir().join(format!("oauth-reqwest-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (program, seen) = (folder.join("browser"), folder.join("seen"));
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$#\" \"$1\" > {0}.new && mv {0}.new {0}\n",
        seen.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();

    let text = "https://as.example/a;touch$(x)?a=$(touch%20y)&b='|id'&c=*";
    let url = Url::parse(text).unwrap();
    browser::open_with(program.to_str().unwrap(), &url).unwrap();
    while !seen.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(
        std::fs::read_to_string(&seen).unwrap(),
        format!("1\n{text}\n")
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
