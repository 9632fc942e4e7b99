//! Encrypted tokens: RFC examples, tokens of another implementation, and invalid tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::Error;
use oauth_core::crypto::Decrypter as _;
use oauth_core::jose::{Alg, Enc, JweAlg, ResponseEncryption};
use oauth_crypto::{DecryptionKey, KeyError, PrivateKey};
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// RFC 7516 appendix A.1.2.
const RSA: &str = r#"{"kty":"RSA","e":"AQAB",
"n":"oahUIoWw0K0usKNuOR6H4wkf4oBUXHTxRvgb48E-BVvxkeDNjbC4he8rUWcJoZmds2h7M70imEVhRU5djINXtqllXI4DFqcI1DgjT9LewND8MW2Krf3Spsk_ZkoFnilakGygTwpZ3uesH-PFABNIUYpOiN15dsQRkgr0vEhxN92i2asbOenSZeyaxziK72UwxrrKoExv6kc5twXTq4h-QChLOln0_mtUZwfsRaMStPs6mS6XrgxnxbWhojf663tuEQueGC-FCMfra36C9knDFGzKsNa7LZK2djYgyD3JR_MB_4NUJW_TqOQtwHYbxevoJArm-L5StowjzGy-_bq6Gw",
"d":"kLdtIj6GbDks_ApCSTYQtelcNttlKiOyPzMrXHeI-yk1F7-kpDxY4-WY5NWV5KntaEeXS1j82E375xxhWMHXyvjYecPT9fpwR_M9gV8n9Hrh2anTpTD93Dt62ypW3yDsJzBnTnrYu1iwWRgBKrEYY46qAZIrA2xAwnm2X7uGR1hghkqDp0Vqj3kbSCz1XyfCs6_LehBwtxHIyh8Ripy40p24moOAbgxVw3rxT_vlt3UVe4WO3JkJOzlpUf-KTVI2Ptgm-dARxTEtE-id-4OJr0h-K-VFs3VSndVTIznSxfyrj8ILL6MG_Uv8YAu7VILSB3lOW085-4qE3DzgrTjgyQ",
"p":"1r52Xk46c-LsfB5P442p7atdPUrxQSy4mti_tZI3Mgf2EuFVbUoDBvaRQ-SWxkbkmoEzL7JXroSBjSrK3YIQgYdMgyAEPTPjXv_hI2_1eTSPVZfzL0lffNn03IXqWF5MDFuoUYE0hzb2vhrlN_rKrbfDIwUbTrjjgieRbwC6Cl0",
"q":"wLb35x7hmQWZsWJmB_vle87ihgZ19S8lBEROLIsZG4ayZVe9Hi9gDVCOBmUDdaDYVTSNx_8Fyw1YYa9XGrGnDew00J28cRUoeBB_jKI1oma0Orv1T9aXIWxKwd4gvxFImOWr3QRL9KEBRzk2RatUBnmDZJTIAfwTs0g68UZHvtc",
"dp":"ZK-YwE7diUh0qR1tR7w8WHtolDx3MZ_OTowiFvgfeQ3SiresXjm9gZ5KLhMXvo-uz-KUJWDxS5pFQ_M0evdo1dKiRTjVw_x4NyqyXPM5nULPkcpU827rnpZzAJKpdhWAgqrXGKAECQH0Xt4taznjnd_zVpAmZZq60WPMBMfKcuE",
"dq":"Dq0gfgJ1DdFGXiLvQEZnuKEN0UUmsJBxkjydc3j4ZYdBiMRAy86x0vHCjywcMlYYg4yoC4YZa9hNVcsjqA3FeiL19rk8g6Qn29Tt0cj8qqyFpz9vNDBUfCAiJVeESOjJDZPYHdHY8v1b-o-Z2X5tvLx-TCekf7oxyeKDUqKWjis",
"qi":"VIMpMYbPf47dT1w_zDUXfPimsSegnMOA1zTaX7aGk_8urY6R8-ZW1FxU7AlWAyLWybqq6t16VFd7hQd0y6flUK4SlOydB61gwanOsXGOAOv82cHq0E3eL4HrtZkUuKvnPrMnsUUFlfUdybVzxyjz9JF_XyaY14ardLSjf4L_FNY"}"#;

/// RFC 7516 appendix A.1.7.
const RSA_OAEP: &str = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6UklfCpIMfIjf7iGdXKHzg.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A.XFBoMYUZodetZdvTiFvSkQ";

/// RFC 7516 appendix A.3.
const AES_KW: &str = "eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ.AxY8DCtDaGlsbGljb3RoZQ.KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY.U0m_YmjN04DJvceFICbCVQ";

fn decrypted(key: DecryptionKey, enc: Enc, token: &str) -> Result<String, &'static str> {
    let encryption = ResponseEncryption::new(key.alg(), key).encs([enc]);
    let text = encryption.decrypt(token);
    text.map(|text| text.expose().clone())
        .map_err(|error| error.code())
}

#[test]
fn rfc_7516_examples_are_decrypted() -> Outcome {
    let key = DecryptionKey::from_jwk(RSA, JweAlg::RsaOaep)?;
    assert_eq!(
        decrypted(key, Enc::A256Gcm, RSA_OAEP)?,
        "The true sign of intelligence is not knowledge but imagination."
    );
    let jwk = r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg"}"#;
    let key = DecryptionKey::from_jwk(jwk, JweAlg::A128Kw)?;
    let text = decrypted(key, Enc::A128CbcHs256, AES_KW)?;
    assert_eq!(text, "Live long and prosper.");
    Ok(())
}

/// Tokens encrypted by joserfc: every algorithm, every curve, every `enc`.
#[test]
fn tokens_of_joserfc_are_decrypted_and_modified_ones_refused() -> Outcome {
    let cases: Vec<Value> = serde_json::from_str(include_str!("jwe.json"))?;
    let (mut algs, mut encs) = (JweAlg::ALL.to_vec(), Enc::ALL.to_vec());
    for case in &cases {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let alg = JweAlg::from_name(text("alg")).ok_or("alg")?;
        let enc = Enc::from_name(text("enc")).ok_or("enc")?;
        let key = DecryptionKey::from_jwk(&case["key"].to_string(), alg)?;
        let token = text("token");
        assert_eq!(decrypted(key.clone(), enc, token)?, text("text"), "{token}");
        algs.retain(|known| *known != alg);
        encs.retain(|known| *known != enc);

        // A modified token reveals neither content nor a reason.
        for (at, part) in token.split('.').enumerate().skip(1) {
            let changed = changed(token, at, |bytes| bytes[0] ^= 1);
            if !part.is_empty() {
                assert_eq!(decrypted(key.clone(), enc, &changed), Err("jwe.decryption"));
            }
        }
        // The header is authenticated, even where it is not read.
        let changed = changed(token, 0, |bytes| bytes.insert(1, b' '));
        assert_eq!(decrypted(key, enc, &changed), Err("jwe.decryption"));
    }
    assert!(algs.is_empty() && encs.is_empty(), "{algs:?} {encs:?}");
    Ok(())
}

fn changed(token: &str, at: usize, change: impl Fn(&mut Vec<u8>)) -> String {
    let parts = token.split('.').enumerate().map(|(place, part)| {
        let mut bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        if place == at && !bytes.is_empty() {
            change(&mut bytes);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    });
    parts.collect::<Vec<_>>().join(".")
}

/// An attacker who chooses the point could learn the private key from a few responses (CVE-2016-9121).
#[test]
fn ephemeral_point_off_the_curve_is_refused() -> Outcome {
    let cases: Vec<Value> = serde_json::from_str(include_str!("jwe.json"))?;
    let mut tried = 0;
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let alg = JweAlg::from_name(text("alg")).ok_or("alg")?;
        if !alg.has_ephemeral_key() || case["key"]["kty"] != "EC" {
            continue;
        }
        let key = DecryptionKey::from_jwk(&case["key"].to_string(), alg)?;
        let enc = Enc::from_name(text("enc")).ok_or("enc")?;
        for y in ["off", "zero", "of another curve"] {
            let token = changed(text("token"), 0, |bytes| {
                let mut header: Value = serde_json::from_slice(bytes).unwrap_or_default();
                let point = header["epk"]["y"].as_str().unwrap_or_default();
                let mut point = URL_SAFE_NO_PAD.decode(point).unwrap_or_default();
                match y {
                    "off" => *point.last_mut().expect("a coordinate") ^= 1,
                    "zero" => point.fill(0),
                    _ => {
                        let others = [("P-256", 48), ("P-384", 66), ("P-521", 32)];
                        let crv = header["epk"]["crv"].clone();
                        let other = others.iter().position(|(name, _)| *name == crv);
                        let at = other.expect("a curve");
                        point = vec![1; others[at].1];
                        header["epk"]["crv"] = others[(at + 1) % 3].0.into();
                        header["epk"]["x"] = URL_SAFE_NO_PAD.encode(&point).into();
                    }
                }
                header["epk"]["y"] = URL_SAFE_NO_PAD.encode(point).into();
                *bytes = header.to_string().into_bytes();
            });
            assert_eq!(
                decrypted(key.clone(), enc, &token),
                Err("jwe.decryption"),
                "{y}"
            );
            tried += 1;
        }
    }
    assert!(tried > 9);
    Ok(())
}

#[test]
fn key_is_refused_for_another_algorithm() -> Outcome {
    let rsa = DecryptionKey::from_jwk(RSA, JweAlg::RsaOaep256)?;
    assert_eq!(
        decrypted(rsa.clone(), Enc::A256Gcm, RSA_OAEP),
        Err("jwe.alg_not_allowed")
    );
    // Even if the core does not check it.
    let encryption = ResponseEncryption::new(JweAlg::RsaOaep, rsa).encs([Enc::A256Gcm]);
    let refused = encryption.decrypt(RSA_OAEP).map(drop);
    assert_eq!(refused.map_err(|error| error.code()), Err("jwe.decryption"));

    let short = json!({ "kty": "oct", "k": "AAAA" }).to_string();
    let named = json!({ "kty": "oct", "alg": "A256KW", "k": URL_SAFE_NO_PAD.encode([0; 16]) });
    let p256 = PrivateKey::generate(Alg::Es256)?.to_pem()?;
    for (refused, expected) in [
        (
            DecryptionKey::from_jwk(RSA, JweAlg::EcdhEs),
            KeyError::Algorithm,
        ),
        (
            DecryptionKey::from_jwk(RSA, JweAlg::Dir),
            KeyError::Algorithm,
        ),
        (
            DecryptionKey::from_jwk(&short, JweAlg::A128Kw),
            KeyError::Algorithm,
        ),
        (
            DecryptionKey::from_jwk(&short, JweAlg::Dir),
            KeyError::Algorithm,
        ),
        (
            DecryptionKey::from_jwk(&short, JweAlg::RsaOaep),
            KeyError::Algorithm,
        ),
        (
            DecryptionKey::from_jwk(&named.to_string(), JweAlg::A128Kw),
            KeyError::Algorithm,
        ),
        (
            DecryptionKey::from_jwk("{}", JweAlg::A128Kw),
            KeyError::Malformed,
        ),
        (
            DecryptionKey::from_jwk("[", JweAlg::A128Kw),
            KeyError::Malformed,
        ),
        (
            DecryptionKey::from_pem(&p256, JweAlg::RsaOaep),
            KeyError::Algorithm,
        ),
        (
            DecryptionKey::from_pem(&p256, JweAlg::A128Kw),
            KeyError::Algorithm,
        ),
        (
            DecryptionKey::from_secret_bytes(&[0; 32], JweAlg::EcdhEsA256Kw),
            KeyError::Algorithm,
        ),
        (
            DecryptionKey::from_client_secret("s", JweAlg::RsaOaep, Enc::A128Gcm),
            KeyError::Algorithm,
        ),
    ] {
        assert_eq!(refused.map(drop), Err(expected));
    }
    Ok(())
}

#[test]
fn jwk_with_another_use_or_key_ops_is_refused() -> Outcome {
    let shared = |members: Value| {
        let mut jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([0; 16]) });
        for (name, value) in members.as_object().into_iter().flatten() {
            jwk[name] = value.clone();
        }
        DecryptionKey::from_jwk(&jwk.to_string(), JweAlg::A128Kw).err()
    };
    for fit in [
        json!({ "use": "enc" }),
        json!({ "key_ops": ["wrapKey", "unwrapKey"] }),
        json!({ "use": "enc", "key_ops": ["decrypt"] }),
    ] {
        assert_eq!(shared(fit.clone()), None, "{fit}");
    }
    for unfit in [
        json!({ "use": "sig" }),
        json!({ "key_ops": ["encrypt", "wrapKey"] }),
        json!({ "key_ops": ["sign"] }),
        json!({ "use": "sig", "key_ops": ["decrypt"] }),
    ] {
        assert_eq!(shared(unfit.clone()), Some(KeyError::Purpose), "{unfit}");
    }
    Ok(())
}

/// Such a key must not be used without support for it (RFC 7518 section 6.3.2.7).
#[test]
fn an_rsa_key_with_more_than_two_primes_is_refused() -> Outcome {
    let mut key: Value = serde_json::from_str(RSA)?;
    key["oth"] = json!([{ "r": "AQ", "d": "AQ", "t": "AQ" }]);
    let key = key.to_string();
    let refused = DecryptionKey::from_jwk(&key, JweAlg::RsaOaep).map(drop);
    assert_eq!(refused, Err(KeyError::Malformed));
    let refused = PrivateKey::from_jwk(&key, Alg::Ps256).map(drop);
    assert_eq!(refused, Err(KeyError::Malformed));
    Ok(())
}

/// A private JWK includes its public half: that of another key is a mistake.
#[test]
fn private_key_with_a_mismatched_public_key_is_refused() -> Outcome {
    let cases: Vec<Value> = serde_json::from_str(include_str!("jwe.json"))?;
    let mut tried = 0;
    for curve in ["P-256", "P-384", "P-521", "X25519"] {
        let case = cases.iter().find(|case| case["key"]["crv"] == curve);
        let mut key = case.ok_or("a key")?["key"].clone();
        assert!(DecryptionKey::from_jwk(&key.to_string(), JweAlg::EcdhEs).is_ok());
        let d = key["d"].as_str().unwrap_or_default();
        let mut d = URL_SAFE_NO_PAD.decode(d).unwrap_or_default();
        d[10] ^= 1;
        key["d"] = URL_SAFE_NO_PAD.encode(d).into();
        let refused = DecryptionKey::from_jwk(&key.to_string(), JweAlg::EcdhEs);
        assert_eq!(refused.map(drop), Err(KeyError::Malformed), "{curve}");
        tried += 1;
    }
    assert_eq!(tried, 4);
    Ok(())
}

#[test]
fn keys_are_read_from_pem() -> Outcome {
    let rsa = PrivateKey::from_jwk(RSA, Alg::Ps256)?.to_pem()?;
    let key = DecryptionKey::from_pem(&rsa, JweAlg::RsaOaep)?;
    assert!(decrypted(key, Enc::A256Gcm, RSA_OAEP).is_ok());

    let cases: Vec<Value> = serde_json::from_str(include_str!("jwe.json"))?;
    for (curve, alg) in [
        ("P-256", Alg::Es256),
        ("P-384", Alg::Es384),
        ("P-521", Alg::Es512),
    ] {
        let case = cases.iter().find(|case| case["key"]["crv"] == curve);
        let case = case.ok_or("a token")?;
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let pem = PrivateKey::from_jwk(&case["key"].to_string(), alg)?.to_pem()?;
        let jwe_alg = JweAlg::from_name(text("alg")).ok_or("alg")?;
        let key = DecryptionKey::from_pem(&pem, jwe_alg)?;
        let enc = Enc::from_name(text("enc")).ok_or("enc")?;
        assert_eq!(decrypted(key, enc, text("token"))?, text("text"));
    }
    Ok(())
}

/// OpenID Connect Core section 10.2: the leftmost bits of SHA-256, or of a longer hash if that is too short.
#[test]
fn client_secret_is_derived_into_a_decryption_key() -> Outcome {
    let cases: Vec<Value> = serde_json::from_str(CLIENT_SECRET)?;
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let alg = JweAlg::from_name(text("alg")).ok_or("alg")?;
        let enc = Enc::from_name(text("enc")).ok_or("enc")?;
        let key = DecryptionKey::from_client_secret("client secret", alg, enc)?;
        assert_eq!(decrypted(key, enc, text("token"))?, "hello");
        let key = DecryptionKey::from_client_secret("client Secret", alg, enc)?;
        assert_eq!(decrypted(key, enc, text("token")), Err("jwe.decryption"));
    }
    Ok(())
}

const CLIENT_SECRET: &str = r#"[
{"alg":"dir","enc":"A128GCM","token":"eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..79C4Gj3DqY4_ct5o.G8eiVBI.RFap9WP_109oR2t4VZIe4A"},
{"alg":"dir","enc":"A128CBC-HS256","token":"eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0..DHWE4x5zS205_tvIy5EPhg.zaf8xw989pP7m5FpA4s0Ag.Hh1E6bTS4X73t8YncEV47g"},
{"alg":"dir","enc":"A192CBC-HS384","token":"eyJhbGciOiJkaXIiLCJlbmMiOiJBMTkyQ0JDLUhTMzg0In0..C1Db-QBoNhba33478MmMnQ.LQ4UDd_b-xhS9C_ntgR9SQ.52kuWzqmmftDT491j4EHyYHhHhrQISJr"},
{"alg":"dir","enc":"A256CBC-HS512","token":"eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2Q0JDLUhTNTEyIn0..GRqSlYUQNqIk_DbeGtJfhw.v4xYEIs9lqo9GDoYynpjlg.p1ZsVzzalRVFhO67XBg4IVA5JJkukrkBOxUNUvhL8Qw"},
{"alg":"A192KW","enc":"A128GCM","token":"eyJhbGciOiJBMTkyS1ciLCJlbmMiOiJBMTI4R0NNIn0.-Zt2OqgN3PlzQYBwOZVtM-JX7NRo5ldw.cmXjEOEYYC_z5HJo.8dILxz0.T50aSbIHRG7S5KqIqpLt-g"},
{"alg":"A256GCMKW","enc":"A128GCM","token":"eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMTI4R0NNIiwiaXYiOiI4ZmY1V2J2c0ZnZ29nUnlKIiwidGFnIjoia0lKamJDcFc4dV8tVTNObTZaX2dsUSJ9.HgewTHvqijRukcFetsVt9w.EMtE07QC82UuUTAd.U7hugmg.Gbwrf2v6chJwxzkyF168_w"}
]"#;

/// Of several keys, the one named by the token is used; without a match, all are tried.
#[test]
fn previous_key_still_decrypts() -> Outcome {
    let old = DecryptionKey::from_jwk(RSA, JweAlg::RsaOaep)?;
    let other: Value = serde_json::from_str(include_str!("jwe.json"))?;
    let new = DecryptionKey::from_jwk(&other[0]["key"].to_string(), JweAlg::RsaOaep)?;
    assert_eq!(old.key_id(), None);
    let both = ResponseEncryption::new(JweAlg::RsaOaep, new.with_kid("new"))
        .key(old.with_kid("old"))
        .encs([Enc::A256Gcm]);
    assert!(both.decrypt(RSA_OAEP).is_ok());
    Ok(())
}

#[test]
fn debug_shows_no_key() -> Outcome {
    let key = DecryptionKey::from_jwk(RSA, JweAlg::RsaOaep)?.with_kid("mine");
    let shown = format!(
        "{key:?} {:?}",
        ResponseEncryption::new(JweAlg::RsaOaep, key.clone())
    );
    assert!(
        shown.contains("RsaOaep") && shown.contains("mine") && shown.len() < 200,
        "{shown}"
    );
    let error = Error::from(KeyError::Algorithm);
    assert_eq!(error.code(), "key.algorithm");
    Ok(())
}
