//! A page for signed-in users in axum: the cost of a request with a session cookie over one without a check.
//! Ours opens a sealed cookie; axum-login finds the session in memory by the id in the cookie, and loads the user
//! from its backend, also in memory.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, login_required};
use http::header::{COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{Response, StatusCode};
use oauth_core::url::{Transport, Url};
use oauth_reqwest::{Driver, reqwest};
use oauth_seal::Keys;
use oauth_web::{Config, Provider, Site, testing_key};
use oauth_web_tower::{Host, Outcome, SignIn, User};
use serde_json::json;
use tower::ServiceExt as _;
use tower_sessions::{MemoryStore, SessionManagerLayer};

const BASE: &str = "http://localhost:3000";
const ROUNDS: usize = 41;
const CALLS: usize = 500;
/// WEBLOGIN.md section 10, 8: microseconds.
const BUDGET: f64 = 10.0;

type Failure = Box<dyn std::error::Error>;

struct Side {
    name: &'static str,
    app: Router,
    cookie: Option<String>,
}

fn without_library() -> Side {
    let app = Router::new().route("/me", get(async || "ann"));
    Side {
        name: "nobody is asked",
        app,
        cookie: None,
    }
}

async fn ours() -> Result<Side, Failure> {
    async fn me(user: User) -> String {
        user.identity.subject.clone()
    }
    let provider = Provider::later("login")?.registered(BASE, "web");
    let mut config = Config::new(Url::parse(BASE)?, Keys::new(testing_key()), provider);
    config.transport = Transport::LoopbackHttp;
    let site = Site::new(config)?;
    let host = Host::new(site.clone(), Driver::new(reqwest::Client::builder())?)?;
    let identity =
        json!({"provider": "login", "issuer": BASE, "subject": "ann", "claims": {"name": "Ann"}});
    let visit = site.testing(serde_json::from_value(identity)?);
    let Outcome::Respond(reply) = host.drive(visit).await? else {
        return Err("nobody was signed in".into());
    };
    let set = reply.headers.get_all(SET_COOKIE).iter();
    let set = set.filter_map(|field| field.to_str().ok());
    let kept = set.filter(|field| !field.to_ascii_lowercase().contains("max-age=0"));
    let pairs: Vec<_> = kept.filter_map(|field| field.split(';').next()).collect();
    Ok(Side {
        name: "oauth-core",
        cookie: Some(pairs.join("; ")),
        app: Router::new().route("/me", get(me)).layer(SignIn::new(host)),
    })
}

#[derive(Debug, Clone)]
struct Person(String);

impl AuthUser for Person {
    type Id = String;

    fn id(&self) -> String {
        self.0.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[derive(Debug, Clone)]
struct People;

impl AuthnBackend for People {
    type User = Person;
    type Credentials = String;
    type Error = Infallible;

    async fn authenticate(&self, name: String) -> Result<Option<Person>, Infallible> {
        Ok(Some(Person(name)))
    }

    async fn get_user(&self, name: &String) -> Result<Option<Person>, Infallible> {
        Ok(Some(Person(name.clone())))
    }
}

async fn axum_login() -> Result<Side, Failure> {
    async fn me(session: AuthSession<People>) -> String {
        session.user.map(|user| user.0).unwrap_or_default()
    }
    async fn login(mut session: AuthSession<People>) -> StatusCode {
        match session.login(&Person("ann".to_owned())).await {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
    let sessions = SessionManagerLayer::new(MemoryStore::default());
    let app = Router::new()
        .route("/me", get(me))
        .route_layer(login_required!(People, login_url = "/login"))
        .route("/login", get(login))
        .layer(AuthManagerLayerBuilder::new(People, sessions).build());
    let reply = app.clone().oneshot(request("/login", None)?).await?;
    let set = reply
        .headers()
        .get(SET_COOKIE)
        .ok_or("nobody was signed in")?;
    let cookie = set.to_str()?.split(';').next().map(str::to_owned);
    Ok(Side {
        name: "axum-login",
        app,
        cookie,
    })
}

fn request(path: &str, cookie: Option<&str>) -> Result<Request, http::Error> {
    let request = Request::get(path).header(HOST, "localhost:3000");
    let request = request.header("accept", "text/html");
    let request = request.header("sec-fetch-mode", "navigate");
    let request = request.header("sec-fetch-dest", "document");
    match cookie {
        Some(cookie) => request.header(COOKIE, cookie),
        None => request,
    }
    .body(Body::empty())
}

async fn said(response: Response<Body>) -> Result<(StatusCode, String), Failure> {
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await?;
    Ok((status, String::from_utf8(body.to_vec())?))
}

/// Every side admits ann, and those that check admit no other user.
async fn check(side: &Side) -> Result<(), Failure> {
    let ask = async |cookie| {
        side.app
            .clone()
            .oneshot(request("/me", cookie)?)
            .await
            .map_err(Failure::from)
    };
    let with = said(ask(side.cookie.as_deref()).await?).await?;
    if with != (StatusCode::OK, "ann".to_owned()) {
        return Err(format!("{}: {with:?}", side.name).into());
    }
    let without = ask(None).await?;
    if side.cookie.is_some()
        && !without.headers().contains_key(LOCATION)
        && without.status().is_success()
    {
        return Err(format!("{}: everybody is let in", side.name).into());
    }
    Ok(())
}

/// CPU time of this thread, in microseconds.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

async fn cost(side: &Side) -> Result<f64, Failure> {
    let start = cpu();
    for _ in 0..CALLS {
        let request = request("/me", side.cookie.as_deref())?;
        std::hint::black_box(said(side.app.clone().oneshot(request).await?).await?);
    }
    Ok((cpu() - start) / CALLS as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

async fn figures() -> Result<(), Failure> {
    let sides = [without_library(), ours().await?, axum_login().await?];
    for side in &sides {
        check(side).await?;
    }
    let mut costs = vec![Vec::new(); sides.len()];
    for round in 0..=ROUNDS {
        for (side, costs) in sides.iter().zip(&mut costs) {
            let cost = cost(side).await?;
            // The first round warms up.
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    let floor = costs.remove(0);
    let over = costs.into_iter().map(|side| {
        let over = side.iter().zip(&floor).map(|(cost, floor)| cost - floor);
        median(over.collect())
    });
    let names = sides.iter().skip(1).map(|side| side.name);
    let what = "Rust: a page for who is signed in, axum, over a page for everybody";
    let sides: Vec<_> = names.zip(over).collect();
    println!(
        "{}",
        json!({"what": what, "unit": "us CPU", "sides": sides, "budget": BUDGET})
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(figures())
}
