//! Sign-ins whose response the provider signs (JARM), and a site whose client is bound to FAPI 2.0 Message Signing.

use http::{Method, StatusCode};
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, Enc, JweAlg, ResponseEncryption};
use oauth_core::request_signing::RequestSigning;
use oauth_core::scope::Scope;
use oauth_core::{Client, ClientAuth, ClientId, SecurityProfile, discover};
use oauth_crypto::{ClientKeys, DecryptionKey, DpopKey, PrivateKey};
use oauth_testkit::twin::IdTokenFlaw;
use oauth_testkit::{Fault, Twin, TwinDriver};
use oauth_web::{Access, Config, Reply, ResponseMode};

use crate::callbacks::{pairs, posted};
use crate::world::{Browser, From, SESSION, TWIN, World, code, form, location};

/// The example of RFC 7517 appendix A.2.
const DECRYPTION_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#;

/// The client of the FAPI twin, without a profile.
fn client(provider: &mut TwinDriver) -> Client {
    let server = provider
        .run(discover(Issuer::parse(TWIN).unwrap()))
        .unwrap();
    let twin = provider.twin();
    let keys = ClientKeys::read([twin.client_key()]).unwrap();
    let assertion = keys.client_assertion(&server, Some(Alg::Es256)).unwrap();
    let auth = ClientAuth::assertion(assertion);
    let client = Client::new(server, ClientId::new(twin.client_id()), auth).unwrap();
    let dpop = DpopKey::generate(Alg::Es256).unwrap().to_core().unwrap();
    client.with_dpop(dpop).with_authorization_algs([Alg::Ps256])
}

fn world_of(
    of: impl FnOnce(&mut TwinDriver, Client) -> Client,
    change: impl FnOnce(&mut Config),
) -> World {
    let mut provider = TwinDriver::new(Twin::fapi(TWIN));
    let client = client(&mut provider);
    let client = of(&mut provider, client.with_id_token_algs([Alg::Ps256]));
    World::at(provider, client, |mut config| {
        config.providers[0].scope = Scope::parse("openid read").unwrap();
        change(&mut config);
        config
    })
}

fn world(mode: ResponseMode) -> World {
    world_of(
        |_, client| client,
        |config| config.providers[0].response_mode = mode,
    )
}

/// The target and the form fields of the callback that the provider has sent.
fn callback(world: &mut World, browser: &mut Browser) -> (String, Vec<(String, String)>) {
    let url = location(&browser.get(world, "/me").reply());
    match world.config.providers[0].response_mode {
        ResponseMode::FormPost | ResponseMode::FormPostJwt => {
            ("/auth/callback".to_owned(), posted(world, &url))
        }
        _ => (Browser::provider(world, &url), Vec::new()),
    }
}

fn deliver_callback(
    world: &mut World,
    browser: &mut Browser,
    (target, fields): &(String, Vec<(String, String)>),
) -> Reply {
    let method = if fields.is_empty() {
        Method::GET
    } else {
        Method::POST
    };
    let mut request = browser.request(world, method, target, From::Elsewhere);
    if !fields.is_empty() {
        form(&mut request, &pairs(fields));
    }
    browser.send(world, request, Access::SignedIn).reply()
}

/// The parameters of a callback.
fn parameters((target, fields): &(String, Vec<(String, String)>)) -> Vec<(String, String)> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let query = oauth_core::form::parse(query).unwrap().into_iter();
    query
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .chain(fields.iter().cloned())
        .collect()
}

const SIGNED: [ResponseMode; 3] = [
    ResponseMode::Jwt,
    ResponseMode::QueryJwt,
    ResponseMode::FormPostJwt,
];

#[test]
fn a_signed_response_signs_in_in_every_mode() {
    for mode in SIGNED {
        let (mut world, mut ann) = (world(mode), Browser::new());
        let arrived = callback(&mut world, &mut ann);
        let callback_parameters = parameters(&arrived);
        assert!(
            callback_parameters.len() == 1
                && callback_parameters[0].0 == "response"
                && callback_parameters[0].1.split('.').count() == 3,
            "{mode:?}: {callback_parameters:?}"
        );
        let reply = deliver_callback(&mut world, &mut ann, &arrived);
        assert_eq!(location(&reply), "/me", "{mode:?}: {}", world.log());
        assert_eq!(ann.flows(), 0);
        ann.click(&mut world, "/me").session();
        assert!(world.notes.is_empty(), "{}", world.log());
    }
}

#[test]
fn a_signed_response_with_additional_unsigned_parameters_is_refused() {
    for mode in SIGNED {
        for (name, value) in [
            ("code", "of-another"),
            ("error", "access_denied"),
            ("id_token", "a.b.c"),
            ("response", "a.b.c"),
        ] {
            let (mut world, mut ann) = (world(mode), Browser::new());
            let (mut target, mut fields) = callback(&mut world, &mut ann);
            if fields.is_empty() {
                target = format!("{target}&{name}={value}")
            } else {
                fields.push((name.to_owned(), value.to_owned()))
            }
            let reply = deliver_callback(&mut world, &mut ann, &(target, fields));
            assert!(ann.cookie(SESSION).is_none(), "{mode:?} {name}");
            // A parameter that occurs twice belongs to no flow.
            if name != "response" {
                assert_eq!(code(&reply), "callback.mixed_response", "{mode:?} {name}");
                assert_eq!(reply.status, StatusCode::BAD_REQUEST);
                assert_eq!(ann.flows(), 0);
            }
        }
    }
}

#[test]
fn a_response_in_an_unrequested_mode_is_refused() {
    for mode in SIGNED {
        let (mut world, mut ann) = (world(mode), Browser::new());
        world.provider.twin().inject(Fault::PlainResponse);
        let plain = callback(&mut world, &mut ann);
        let reply = deliver_callback(&mut world, &mut ann, &plain);
        assert_eq!(code(&reply), "callback.missing_jarm_response", "{mode:?}");
        assert!(ann.cookie(SESSION).is_none());
    }
    // A signed response although none was requested: it belongs to no flow.
    let (mut world, mut ann) = (world(ResponseMode::Query), Browser::new());
    let url = location(&ann.get(&mut world, "/me").reply());
    assert!(!url.contains("response_mode"), "{url}");
    let reply = deliver_callback(
        &mut world,
        &mut ann,
        &("/auth/callback?response=a.b.c".to_owned(), Vec::new()),
    );
    assert_eq!(location(&reply), "/auth/login?stage=restart");
    assert_eq!(ann.flows(), 1);
    assert!(ann.cookie(SESSION).is_none());
}

#[test]
fn an_invalid_signed_response_or_a_signed_error_shows_an_error_page() {
    for (flaw, expected) in [
        (IdTokenFlaw::WrongAudience, "jwt.audience"),
        (IdTokenFlaw::WrongIssuer, "jwt.issuer"),
        (IdTokenFlaw::Expired, "jwt.expired"),
        (IdTokenFlaw::BrokenSignature, "jws.bad_signature"),
    ] {
        let (mut world, mut ann) = (world(ResponseMode::QueryJwt), Browser::new());
        world.provider.twin().inject(Fault::ResponseJwt { flaw });
        let forged = callback(&mut world, &mut ann);
        let reply = deliver_callback(&mut world, &mut ann, &forged);
        assert_eq!(code(&reply), expected);
        assert!(ann.cookie(SESSION).is_none());
    }
    let (mut world, mut ann) = (world(ResponseMode::FormPostJwt), Browser::new());
    world.provider.twin().deny_next();
    let denied = callback(&mut world, &mut ann);
    let reply = deliver_callback(&mut world, &mut ann, &denied);
    assert_eq!(code(&reply), "denied.access_denied");
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

/// The client, whose responses the provider encrypts.
fn encrypted(provider: &mut TwinDriver, client: Client) -> Client {
    let (alg, enc) = (JweAlg::EcdhEsA256Kw, Enc::A256Gcm);
    let (public, _) = DECRYPTION_KEY.split_once(",\"d\"").unwrap();
    let public = format!("{public}}}");
    let twin = provider.twin();
    twin.encrypt_responses(&public, alg, enc).unwrap();
    let key = DecryptionKey::from_jwk(DECRYPTION_KEY, alg).unwrap();
    client.with_authorization_encryption(ResponseEncryption::new(alg, key).encs([enc]))
}

#[test]
fn an_error_without_a_flow_shows_an_error_page_signed_or_not() {
    let change = |mode| move |config: &mut Config| config.providers[0].response_mode = mode;
    for mode in [ResponseMode::Query, ResponseMode::FormPost] {
        check_error_without_flow(|| world(mode));
    }
    for mode in SIGNED {
        check_error_without_flow(|| world(mode));
        check_error_without_flow(|| world_of(encrypted, change(mode)));
    }
}

/// A callback reaches a browser that has no flow: an error is shown, and after anything else a new sign-in begins.
fn check_error_without_flow(world: impl Fn() -> World) {
    for (is_denied, expected) in [(true, ""), (false, "/auth/login?stage=restart")] {
        let (mut world, mut ann, mut other) = (world(), Browser::new(), Browser::new());
        if is_denied {
            world.provider.twin().deny_next();
        }
        let arrived = callback(&mut world, &mut ann);
        let reply = deliver_callback(&mut world, &mut other, &arrived);
        let mode = world.config.providers[0].response_mode;
        match expected {
            "" => assert_eq!(code(&reply), "web.callback_unknown", "{mode:?}"),
            login => assert_eq!(location(&reply), login, "{mode:?}"),
        }
        assert!(other.cookie(SESSION).is_none() && other.flows() == 0);
        assert_eq!(world.notes_of("web.callback_unknown").len(), 1);
        // The user who started the flow gets the provider's error.
        let reply = deliver_callback(&mut world, &mut ann, &arrived);
        if is_denied {
            assert_eq!(code(&reply), "denied.access_denied", "{mode:?}")
        } else {
            assert_eq!(location(&reply), "/me", "{mode:?}")
        }
    }
}

#[test]
fn an_encrypted_response_is_matched_to_its_flow() {
    let mut world = world_of(encrypted, |config| {
        config.providers[0].response_mode = ResponseMode::Jwt;
    });
    let mut ann = Browser::new();
    let first = callback(&mut world, &mut ann);
    let second = callback(&mut world, &mut ann);
    assert_eq!(parameters(&first)[0].1.split('.').count(), 5);
    assert_eq!(ann.flows(), 2);
    for (arrived, remaining) in [(second, 1), (first, 0)] {
        let reply = deliver_callback(&mut world, &mut ann, &arrived);
        assert_eq!(location(&reply), "/me", "{}", world.log());
        assert_eq!(ann.flows(), remaining);
    }
    ann.click(&mut world, "/me").session();
}

#[test]
fn message_signing_needs_no_site_setting() {
    let bound = |provider: &mut TwinDriver, client: Client| {
        let twin = provider.twin();
        twin.require_signed_requests();
        let key = PrivateKey::from_jwk(twin.client_key(), Alg::Es256).unwrap();
        client
            .with_request_signing(RequestSigning::new(key.signing_key("twin-client-1")))
            .with_profile(SecurityProfile::Fapi2MessageSigning)
    };
    for (mode, is_stored) in [
        (ResponseMode::Query, false),
        (ResponseMode::FormPost, true),
        (ResponseMode::Jwt, true),
    ] {
        let mut world = world_of(bound, |config| {
            config.providers[0].response_mode = mode;
            if is_stored {
                *config = config.clone().in_store();
            }
        });
        let mut ann = Browser::new();
        let arrived = callback(&mut world, &mut ann);
        let callback_parameters = parameters(&arrived);
        assert!(
            callback_parameters.len() == 1 && callback_parameters[0].0 == "response",
            "{callback_parameters:?}"
        );
        let reply = deliver_callback(&mut world, &mut ann, &arrived);
        assert_eq!(location(&reply), "/me", "{mode:?}: {}", world.log());
        ann.click(&mut world, "/me").session();
    }
}
