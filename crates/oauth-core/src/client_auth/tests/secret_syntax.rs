use super::*;

/// RFC 6749 appendix A.2: a secret contains no line break; surrounding whitespace comes from the file it was read from.
#[test]
fn secret_with_surrounding_whitespace_is_refused() {
    let mac = |secret: &str| {
        let key = SigningKey::local("", Alg::Hs256, Arc::new(Sixty4));
        ClientAuth::assertion(ClientAssertion::with_shared_secret(secret, key).unwrap())
    };
    let code = |auth| error_code(Client::new(server(), ClientId::new("me"), auth).map(drop));
    for secret in [
        "s3cret\n",
        " s3cret",
        "s3cret\r\n",
        "\u{feff}s3cret",
        "s3cret\t",
        "\n",
    ] {
        for auth in [
            ClientAuth::basic(secret),
            ClientAuth::post(secret),
            mac(secret),
        ] {
            let method = auth.name();
            let refused = Err("client_auth.secret_syntax");
            assert_eq!(code(auth), refused, "{method} {secret:?}");
        }
    }
    for secret in ["a secret: ~", "s"] {
        assert_eq!(code(ClientAuth::basic(secret)), Ok(()));
        assert_eq!(code(mac(secret)), Ok(()));
    }
}
