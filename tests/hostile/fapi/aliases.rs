//! Aliases of endpoints for mutual TLS (RFC 8705 section 5): oidcc-client-test-mtls-endpoint-aliases.

use oauth_core::{Error, SecurityProfile};

use super::{Bank, CredentialKind, USUAL, Variant, client};
use crate::print_row;

/// The alias of an endpoint in the metadata.
#[derive(Debug, Clone, Copy)]
enum Alias {
    Good,
    /// There is no alias.
    Absent,
    /// Nothing listens at its URL.
    Dead,
    /// It is not an https URL.
    Plain,
}

const VARIANTS: [Variant; 2] = [
    USUAL,
    Variant {
        auth: CredentialKind::Certificate,
        sender: CredentialKind::Certificate,
        profile: SecurityProfile::Fapi2Security,
        ..USUAL
    },
];

/// A sign-in at a server with this alias for the token endpoint.
fn sign_in(variant: Variant, alias: Alias) -> Result<(), Error> {
    let (tls, driver) = Bank::start_bank(variant);
    let port = |base: &str| base.rsplit_once(':').map(|(_, port)| port.to_owned());
    let plain = format!(
        "http://127.0.0.1:{}/token",
        port(&tls.mutual).expect("a port")
    );
    let url = match alias {
        Alias::Good => None,
        Alias::Absent => Some(None),
        Alias::Dead => Some(Some("https://127.0.0.1:9/token")),
        Alias::Plain => Some(Some(plain.as_str())),
    };
    if let Some(url) = url {
        tls.with(|twin| twin.set_mutual_tls_alias("token_endpoint", url));
    }
    let client = client(&tls, &driver, variant)?;
    let bank = Bank {
        tls,
        driver,
        client,
        scope: variant.scope,
    };
    let login = bank.sign_in()?;
    assert!(login.id_token.is_some(), "{variant:?}");
    assert_eq!(bank.requests("/token"), 1, "{variant:?}");
    Ok(())
}

/// The regular endpoints never see a certificate, and a client without one ignores the aliases.
#[test]
fn only_clients_with_a_certificate_use_the_mtls_endpoint_aliases() {
    for variant in VARIANTS {
        let has_certificate = variant.auth == CredentialKind::Certificate;
        for (alias, expected) in [
            (Alias::Good, None),
            (Alias::Absent, Some("denied.invalid_client")),
            (Alias::Dead, Some("lost.connect")),
        ] {
            let seen = sign_in(variant, alias).err().map(|error| error.code());
            let expected = expected.filter(|_| has_certificate);
            let flaw = format!("{alias:?}, {:?}", variant.auth);
            print_row(
                "oidcc-client-test-mtls-endpoint-aliases",
                &flaw,
                expected,
                seen,
            );
            assert_eq!(seen, expected, "{flaw}");
        }
        // No credentials are sent to such a URL, and signing in at a server with it is refused.
        let seen = sign_in(variant, Alias::Plain)
            .err()
            .map(|error| error.code());
        let expected = Some("metadata.endpoint_not_https");
        print_row("RFC 8705 5", "Plain", expected, seen);
        assert_eq!(seen, expected);
    }
}
