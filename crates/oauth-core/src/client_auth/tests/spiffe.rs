//! Workloads that SPIFFE identifies (OAuth SPIFFE Client Authentication).

use super::*;

fn offering(methods: &str) -> Server {
    let more = format!(r#","token_endpoint_auth_methods_supported":[{methods}]"#);
    server_of("https://as.example", &more)
}

fn credentials() -> Credentials {
    let (svids, _) = reading(vec![workload(GOOD)]);
    Credentials {
        secret: Some("s".into()),
        workload: Some(svids.profile(AssertionProfile::SpiffeJwt)),
        certificate: Some(Certificate::Svid),
        ..Credentials::default()
    }
}

#[test]
fn negotiation_selects_the_svid_by_server_metadata() {
    let chosen = |methods: &str, credentials: Credentials| {
        let auth = ClientAuth::negotiate(credentials, &offering(methods));
        auth.map(|auth| auth.name()).map_err(|error| error.code())
    };
    let unusable = Err("client_auth.no_usable_method");
    for (methods, expected) in [
        (
            r#""spiffe_wit","spiffe_x509","spiffe_jwt""#,
            Ok("spiffe_jwt"),
        ),
        (r#""spiffe_x509","client_secret_basic""#, Ok("spiffe_x509")),
        (
            r#""spiffe_wit","client_secret_basic""#,
            Ok("client_secret_basic"),
        ),
        // A CA-issued certificate and an arbitrary JWT do not match the method.
        (
            r#""tls_client_auth","self_signed_tls_client_auth""#,
            unusable,
        ),
        (r#""private_key_jwt""#, unusable),
        (r#""spiffe_wit""#, unusable),
    ] {
        assert_eq!(chosen(methods, credentials()), expected, "{methods}");
    }
    let mut pki = credentials();
    (pki.workload, pki.certificate) = (None, Some(Certificate::Pki));
    assert_eq!(chosen(r#""spiffe_x509","spiffe_jwt""#, pki), unusable);
    let (jwts, _) = reading(vec![workload(GOOD)]);
    let mut jwt = credentials();
    jwt.workload = Some(jwts);
    assert_eq!(chosen(r#""spiffe_jwt""#, jwt.clone()), unusable);
    assert_eq!(chosen(r#""private_key_jwt""#, jwt), Ok("private_key_jwt"));
}

/// A registration also names its method.
#[test]
fn for_method_accepts_only_methods_the_svid_supports() {
    for name in ["spiffe_jwt", "spiffe_x509"] {
        let auth = credentials().for_method(name).unwrap();
        assert_eq!(auth.name(), name);
    }
    for name in ["spiffe_wit", "tls_client_auth", "private_key_jwt"] {
        assert!(credentials().for_method(name).is_err(), "{name}");
    }
}

#[test]
fn x509_svid_sends_its_spiffe_id_as_client_id_and_no_other_credential() {
    let made = |id: &str| {
        Client::new(
            server(),
            ClientId::new(id),
            ClientAuth::tls(Certificate::Svid),
        )
    };
    let id = "spiffe://example.org/worker";
    let request = first(&made(id).unwrap(), 1);
    let expected = [("grant_type", "client_credentials"), ("client_id", id)];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form_of(&request), expected);
    assert!(request.headers().get("authorization").is_none());
    for other in [
        "worker",
        "https://example.org/worker",
        "spiffe://",
        "spiffe:///worker",
    ] {
        assert_eq!(
            error_code(made(other).map(drop)),
            Err("misuse.setup"),
            "{other}"
        );
    }
}

#[test]
fn spiffe_id_requires_a_trust_domain_and_a_normalized_path() {
    for id in ["spiffe://d.example", "spiffe://d.example/ns/A_1/sa/x.y-z"] {
        assert!(is_spiffe_id(id), "{id}");
    }
    for id in [
        "spiffe://",
        "spiffe:///x",
        "SPIFFE://d.example/x",
        "spiffe://D.example/x",
        "spiffe://d.example:1/x",
        "spiffe://u@d.example/x",
        "spiffe://d.example/x?y",
        "spiffe://d.example/x#y",
        "spiffe://d.example/%41",
        "spiffe://d.example/",
        "spiffe://d.example/x/",
        "spiffe://d.example//x",
        "spiffe://d.example/../x",
    ] {
        assert!(!is_spiffe_id(id), "{id}");
    }
    // SPIFFE-ID section 2.3.
    let domain = |length: usize| format!("spiffe://{}/x", "d".repeat(length));
    assert!(is_spiffe_id(&domain(255)) && !is_spiffe_id(&domain(256)));
    let path = |length: usize| format!("spiffe://d/{}", "p".repeat(length - 11));
    assert!(is_spiffe_id(&path(2048)) && !is_spiffe_id(&path(2049)));
}
