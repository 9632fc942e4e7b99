//! A sign-in without a socket: every step of every visit, against the twin.
//! `cargo run -p oauth-web --example by_hand`

use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method};
use oauth_core::issuer::Issuer;
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, ClientId, discover};
use oauth_testkit::{Twin, TwinDriver};
use oauth_web::{Access, Admission, Config, Event, Provider, Reply, Request, Site, Step};

type Failure = Box<dyn std::error::Error>;

const SHOP: &str = "https://shop.example";

/// Drives one request to its end; `None` if it is the application's turn.
fn visit(
    site: &Site,
    provider: &mut TwinDriver,
    target: &str,
    cookies: &str,
) -> Result<Option<Reply>, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("text/html"));
    headers.insert(COOKIE, HeaderValue::from_str(cookies)?);
    let request = Request {
        method: Method::GET,
        host: "shop.example".to_owned(),
        target: target.to_owned(),
        headers,
        form: None,
    };
    let mut visit = site.visit(request, Access::SignedIn);
    let mut event = Event::Begin;
    loop {
        let step = visit.resume(&provider.moment(), event)?;
        println!("  {step:?}");
        event = match step {
            Step::Run(exchange) => Event::Completed(provider.run(exchange)),
            Step::Admit(_) => Event::Admitted(Admission::default()),
            Step::Respond(reply) => return Ok(Some(reply)),
            Step::Pass(session) => {
                println!("  signed in: {}", session.is_some());
                return Ok(None);
            }
            _ => return Err("there is no store".into()),
        };
    }
}

/// The value of `Cookie` that a browser sends after this reply.
fn cookie_value(reply: &Reply) -> String {
    let lines = reply.headers.get_all(SET_COOKIE).iter();
    let pairs = lines.filter_map(|line| line.to_str().ok()?.split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

fn main() -> Result<(), Failure> {
    let mut provider = TwinDriver::new(Twin::generic("https://twin.example"));
    provider
        .twin()
        .register_redirect_uri(&format!("{SHOP}/auth/callback"));
    let server = provider.run(discover(Issuer::parse("https://twin.example")?))?;
    let auth = ClientAuth::basic(provider.twin().client_secret());
    let client = Client::new(server, ClientId::new(provider.twin().client_id()), auth)?;
    let keys = oauth_seal::Keys::new([7; 32]);
    let config = Config::new(Url::parse(SHOP)?, keys, Provider::new("twin", client)?);
    let site = Site::new(config)?;

    println!("GET /me");
    let reply = visit(&site, &mut provider, "/me", "")?.ok_or("nobody is signed in yet")?;
    let url = reply.headers[LOCATION].to_str()?.to_owned();
    let callback = provider.browse(&url).ok_or("the provider shows a page")?;

    println!("GET the callback");
    let target = callback.strip_prefix(SHOP).ok_or("it is elsewhere")?;
    let cookies = cookie_value(&reply);
    let reply = visit(&site, &mut provider, target, &cookies)?.ok_or("it is the site's own")?;

    println!("GET /me");
    match visit(&site, &mut provider, "/me", &cookie_value(&reply))? {
        None => Ok(()),
        Some(_) => Err("somebody is signed in by now".into()),
    }
}

#[test]
fn the_example_runs() -> Result<(), Failure> {
    main()
}
