//! Runs the relying-party program with the arguments of the FAPI 2.0 plans, against a server behind TLS.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use oauth_core::Moment;
use oauth_testkit::twin::{BackchannelDelivery, IdTokenFlaw, Rotation};
use oauth_testkit::{Fault, MutualTls};
use serde_json::Value;

struct Bank {
    tls: MutualTls,
    folder: PathBuf,
}

impl Bank {
    fn new(name: &str) -> Self {
        let tls = MutualTls::start().expect("a bank");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rp-{name}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let key = tls.with(|twin| twin.client_key());
        let files = [
            ("ca.pem", tls.ca.clone()),
            ("client.pem", tls.issue().expect("a certificate")),
            ("client.jwk", key.to_owned()),
        ];
        for (file, text) in files {
            std::fs::write(folder.join(file), text).expect("a file");
        }
        Self { tls, folder }
    }

    fn run(&self, more: &[&str]) -> (i32, Value) {
        let output = self.command(more).output().expect("the program");
        ended(&output)
    }

    /// Runs the program with a user who answers at once on their device; `notify` is called then.
    fn run_with_backchannel(&self, more: &[&str], notify: impl FnOnce(&Self)) -> (i32, Value) {
        let mut command = self.command(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = command.spawn().expect("the program");
        let now = || Moment::system().expect("a clock").now();
        while !self.tls.with(|twin| twin.answer_backchannel(now())) {
            let status = program.try_wait().expect("a program");
            if status.is_some() {
                // The program ended without asking the user.
                return ended(&program.wait_with_output().expect("an end"));
            }
            std::thread::yield_now();
        }
        notify(self);
        ended(&program.wait_with_output().expect("an end"))
    }

    fn command(&self, more: &[&str]) -> Command {
        // The URL with or without client certificates.
        let api = if more.contains(&"--client-cert") {
            format!("{}/api/echo", self.tls.mutual)
        } else {
            format!("{}/api/echo", self.tls.base)
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_rp"));
        command
            .arg(&self.tls.base)
            .args(["--client-id", "twin-client", "--resource", &api])
            .args(["--redirect-uri", "https://app.example/callback"])
            .args(["--id-token-alg", "PS256"])
            .args(more)
            .env("SSL_CERT_FILE", self.folder.join("ca.pem"))
            .env("NO_PROXY", "127.0.0.1")
            .current_dir(&self.folder);
        command
    }
}

fn ended(output: &std::process::Output) -> (i32, Value) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let record = serde_json::from_str(stdout.trim());
    let shown = String::from_utf8_lossy(&output.stderr);
    let record = record.unwrap_or_else(|error| panic!("{error}: {stdout} {shown}"));
    (output.status.code().expect("a code"), record)
}

const KEY: [&str; 4] = ["--key", "client.jwk", "--key-alg", "ES256"];
const CERTIFICATE: [&str; 2] = ["--client-cert", "client.pem"];
const DPOP: [&str; 2] = ["--bind", "dpop"];
const ELSEWHERE: [&str; 6] = [
    "--scope",
    "openid read",
    "--backchannel",
    "alice",
    "--binding-message",
    "W4SCT",
];
const SIGNING: [&str; 6] = [
    "--scope",
    "openid read",
    "--profile",
    "message-signing",
    "--response-alg",
    "PS256",
];

/// The credential with which a client authenticates, or to which its tokens are bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CredentialKind {
    Key,
    Certificate,
}

#[test]
fn every_plan_variant_reaches_the_api() {
    use CredentialKind::{Certificate, Key};
    let bound = [&CERTIFICATE[..], &["--bind", "certificate"]].concat();
    for (name, auth, bind, arguments) in [
        ("key-dpop", Key, Key, [&KEY[..], &DPOP].concat()),
        ("key-mtls", Key, Certificate, [&KEY[..], &bound].concat()),
        (
            "mtls-dpop",
            Certificate,
            Key,
            [&CERTIFICATE[..], &DPOP].concat(),
        ),
        ("mtls-mtls", Certificate, Certificate, bound.clone()),
    ] {
        for (plan, scope) in [("openid", "openid read"), ("plain-oauth", "read")] {
            let name = format!("{name}-{plan}");
            reaches_the_api(&name, auth, bind, &arguments, scope);
        }
    }
}

/// The variant of the plan, with and without OpenID Connect (`fapi_client_type=plain_oauth`).
fn reaches_the_api(
    name: &str,
    auth: CredentialKind,
    bound: CredentialKind,
    arguments: &[&str],
    scope: &str,
) {
    let bank = Bank::new(name);
    bank.tls.with(|twin| {
        if auth == CredentialKind::Certificate {
            twin.authenticate_by_certificate();
        }
        if bound == CredentialKind::Certificate {
            twin.bind_to_certificates();
        }
    });
    let plan = ["--scope", scope, "--profile", "security"];
    let (code, record) = bank.run(&[arguments, &plan].concat());
    assert_eq!(code, 0, "{name}: {record}");
    assert_eq!(record["stage"], "resource", "{name}");
    assert_eq!(record["resource"]["status"], 200, "{name}");
    // A token of the client itself has no user.
    let (code, command_output) = bank.run(&[arguments, &plan, &["--client-credentials"]].concat());
    assert_eq!(
        (code, &command_output["resource"]["status"]),
        (0, &200.into()),
        "{command_output}"
    );
    let requests = bank.tls.with(|twin| {
        let log = twin.log().iter();
        log.filter(|entry| entry.path == "/authorize").count()
    });
    assert_eq!(requests, 1, "{name}");
    let is_openid = scope.contains("openid");
    assert_eq!(record["claims"].is_object(), is_openid, "{name}: {record}");
}

/// `refresh-token-test`: two refreshes, the second with the token of the first, and the call is repeated.
#[test]
fn an_api_that_refuses_every_token_causes_two_refreshes() {
    let bound = [&CERTIFICATE[..], &["--bind", "certificate"]].concat();
    for (name, bind) in [("dpop", &DPOP[..]), ("mtls", &bound)] {
        let bank = Bank::new(&format!("refresh-{name}"));
        bank.tls.with(|twin| {
            twin.set_rotation(Rotation::Strict);
            twin.refuse_access_tokens();
            if name == "mtls" {
                twin.bind_to_certificates();
            }
        });
        let plan = ["--scope", "openid read", "--profile", "security"];
        let (code, record) = bank.run(&[&KEY[..], bind, &plan, &["--calls", "2"]].concat());
        assert_eq!(
            (code, &record["resource"]["status"]),
            (0, &401.into()),
            "{record}"
        );
        let refreshes = bank.tls.with(|twin| twin.counters().refreshes);
        assert_eq!(refreshes, 2, "{name}");
    }
}

/// Message Signing by a client whose certificate authenticates, and whose key only signs.
#[test]
fn message_signing_with_a_certificate_reaches_the_api() {
    let bound = [&CERTIFICATE[..], &["--bind", "certificate"]].concat();
    for (name, bind) in [("dpop", &DPOP[..]), ("mtls", &bound[2..])] {
        let bank = Bank::new(&format!("signing-mtls-{name}"));
        bank.tls.with(|twin| {
            twin.require_signed_requests();
            twin.authenticate_by_certificate();
            if name == "mtls" {
                twin.bind_to_certificates();
            }
        });
        let arguments = [&KEY[..], &CERTIFICATE, bind, &SIGNING].concat();
        let (code, record) = bank.run(&[&arguments[..], &["--key-only-signs"]].concat());
        assert_eq!(
            (code, &record["resource"]["status"]),
            (0, &200.into()),
            "{record}"
        );
        // Authentication by the key, which this server does not accept.
        let (code, record) = bank.run(&arguments);
        assert_eq!(code, 1, "{record}");
    }
}

#[test]
fn message_signing_reaches_the_api_and_stops_at_a_flaw() {
    let bank = Bank::new("signing");
    bank.tls.with(|twin| twin.require_signed_requests());
    let arguments = [&KEY[..], &DPOP, &SIGNING].concat();
    let (code, record) = bank.run(&arguments);
    assert_eq!(
        (code, &record["stage"]),
        (0, &"resource".into()),
        "{record}"
    );
    for (flaw, expected) in [
        (IdTokenFlaw::WrongAudience, "jwt.audience"),
        (IdTokenFlaw::Unsigned, "jws.alg_not_allowed"),
    ] {
        bank.tls
            .with(|twin| twin.inject(Fault::ResponseJwt { flaw }));
        let (code, record) = bank.run(&arguments);
        assert_eq!((code, &record["error"]["code"]), (1, &expected.into()));
    }
}

/// The arguments of FAPI-CIBA's plan, by polling and by a ping.
#[test]
fn the_user_approves_on_another_device() {
    let arguments = [
        &KEY[..],
        &CERTIFICATE,
        &["--bind", "certificate"],
        &ELSEWHERE,
    ]
    .concat();
    let bank = || {
        let bank = Bank::new("ciba");
        bank.tls.with(|twin| {
            twin.bind_to_certificates();
            twin.take_backchannel_requests();
            twin.set_polling_interval(1);
        });
        bank
    };
    let (code, record) = bank().run_with_backchannel(&arguments, |_| ());
    let reached = (code, &record["stage"]);
    assert_eq!(reached, (0, &"resource".into()), "{record}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let arguments = [&arguments[..], &["--notified-at", &address]].concat();
    for (suffix, stage, status) in [("", "resource", 204), ("1", "backchannel", 401)] {
        let bank = bank();
        let place = format!("http://{address}/ping").parse().expect("a URL");
        bank.tls
            .with(|twin| twin.set_backchannel_delivery(BackchannelDelivery::Ping(place)));
        let (code, record) = bank.run_with_backchannel(&arguments, |bank| {
            let notifications = bank.tls.with(|twin| twin.take_notifications());
            let ping = notifications.into_iter().next().expect("a ping");
            let authorization = ping.headers()["authorization"].to_str().expect("text");
            let client = reqwest::blocking::Client::builder().no_proxy().build();
            let post = client.expect("a client").post(ping.uri().to_string());
            let post = post.header("authorization", format!("{authorization}{suffix}"));
            let reply = post.body(ping.body().clone()).send().expect("a reply");
            assert_eq!(reply.status(), status);
        });
        assert_eq!(record["stage"], stage, "{record}");
        let expected = match suffix {
            "" => (0, Value::Null),
            _ => (1, "ciba.client_notification_token".into()),
        };
        assert_eq!((code, record["error"]["code"].clone()), expected);
    }
}
