//! A user with a browser, at web servers that are killed.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response};
use reqwest::header::{LOCATION, SET_COOKIE};
use serde_json::Value;

use crate::web::Count;

/// The state shared by all browsers.
pub(crate) struct Shared {
    pub(crate) base: String,
    pub(crate) provider: String,
    /// The ports of the servers that are alive, or were until just now.
    pub(crate) ports: Mutex<Vec<u16>>,
    pub(crate) count: Mutex<Count>,
    /// Receives the port of a server that is about to get a request during which it may be killed.
    pub(crate) begins: Sender<u16>,
}

impl Shared {
    pub(crate) fn count(&self, change: impl FnOnce(&mut Count)) {
        change(&mut self.count.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.clone()
    }
}

pub(crate) struct Browser {
    shared: Arc<Shared>,
    person: String,
    http: Client,
    jar: Jar,
    turn: usize,
}

type Jar = BTreeMap<String, String>;

/// The kind of navigation of a request.
#[derive(Clone, Copy)]
enum Navigation {
    Typed,
    Click,
    Fetch,
    Elsewhere,
}

/// The response to a request.
struct Answer {
    status: u16,
    location: Option<String>,
    body: String,
}

impl Browser {
    pub(crate) fn new(shared: &Arc<Shared>, person: String, turn: usize) -> Self {
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build();
        Self {
            shared: Arc::clone(shared),
            person,
            http: http.expect("a browser"),
            jar: Jar::new(),
            turn,
        }
    }

    /// Repeatedly signs in, uses the session for a while, and signs out; signed out at the end.
    pub(crate) fn live(&mut self, until: Instant) {
        while Instant::now() < until {
            if !self.sign_in() {
                continue;
            }
            for _ in 0..4 + self.turn % 5 {
                self.open_user_page();
                self.call();
                std::thread::sleep(Duration::from_millis(120));
            }
            self.sign_out();
        }
        self.sign_out();
    }

    fn sign_in(&mut self) -> bool {
        let url = format!("/auth/login?return_to=/me&login_hint={}", self.person);
        let Some(response) = self.open(&url, Navigation::Typed) else {
            return false;
        };
        let is_in = response.status == 200 && response.body == self.person;
        self.check(&response);
        self.shared.count(|count| count.logins += u64::from(is_in));
        is_in
    }

    /// Opens the page that shows the signed-in user.
    fn open_user_page(&mut self) {
        if let Some(response) = self.send("/me", Navigation::Fetch) {
            self.check(&response);
            let is_seen = response.status == 200;
            self.shared.count(|count| count.seen += u64::from(is_seen));
        }
    }

    fn check(&self, response: &Answer) {
        if response.status == 200 && response.body != self.person {
            let wrong = format!("{} is taken for {}", self.person, response.body);
            self.shared.count(|count| count.wrong.push(wrong));
        }
    }

    /// Calls the API with the user's token; it returns the token's subject.
    fn call(&mut self) {
        let Some(response) = self.send("/auth/api/twin/echo", Navigation::Fetch) else {
            return;
        };
        if response.status != 200 {
            return self.shared.count(|count| count.refused += 1);
        }
        let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
        if body["sub"] != self.person.as_str() {
            let wrong = format!("{} has the token of {}", self.person, body["sub"]);
            self.shared.count(|count| count.wrong.push(wrong));
        }
        self.shared.count(|count| count.calls += 1);
    }

    /// Signs out until there is a response; afterwards no server may accept a copy of the cookies.
    pub(crate) fn sign_out(&mut self) {
        let copy = self.jar.clone();
        let begun = Instant::now();
        let mut clicks = 0;
        let response = loop {
            clicks += 1;
            match self.send("/auth/logout", Navigation::Click) {
                Some(response) if response.status == 303 => break response,
                _ if begun.elapsed() > Duration::from_secs(20) => {
                    let wrong = format!("{} cannot sign out", self.person);
                    return self.shared.count(|count| count.wrong.push(wrong));
                }
                // Its server was killed.
                _ => {}
            }
        };
        self.shared.count(|count| {
            count.logouts += 1;
            count.logouts_again += u64::from(clicks > 1);
        });
        let mine = std::mem::replace(&mut self.jar, copy);
        for port in self.shared.ports() {
            if let Some(response) = self.send_to(port, "/me", Navigation::Fetch)
                && response.status == 200
            {
                let wrong = format!("{} is signed in after the logout", self.person);
                self.shared.count(|count| count.wrong.push(wrong));
            }
        }
        self.jar = mine;
        if let Some(location) = response.location {
            self.follow(location);
        }
    }

    fn open(&mut self, target: &str, from: Navigation) -> Option<Answer> {
        let response = self.send(target, from)?;
        match response
            .location
            .clone()
            .or_else(|| response.refresh_target())
        {
            Some(location) => self.follow(location),
            None => Some(response),
        }
    }

    fn follow(&mut self, mut location: String) -> Option<Answer> {
        let mut from = Navigation::Click;
        for _ in 0..12 {
            let response = if location.starts_with(&self.shared.provider) {
                from = Navigation::Elsewhere;
                self.http.get(&location).send().ok().map(Answer::of)?
            } else {
                let relative_path = location.strip_prefix(&self.shared.base);
                let relative_target = relative_path.unwrap_or(&location).to_owned();
                self.send(&relative_target, from)?
            };
            match (response.location.clone(), response.refresh_target()) {
                (Some(next), _) => location = next,
                (None, Some(next)) => (location, from) = (next, Navigation::Click),
                (None, None) => return Some(response),
            }
        }
        None
    }

    /// Sends a request to the next server.
    fn send(&mut self, target: &str, from: Navigation) -> Option<Answer> {
        let ports = self.shared.ports();
        self.turn += 1;
        let port = ports.get(self.turn % ports.len().max(1)).copied();
        let Some(port) = port else {
            std::thread::sleep(Duration::from_millis(50));
            return None;
        };
        self.send_to(port, target, from)
    }

    fn send_to(&mut self, port: u16, target: &str, from: Navigation) -> Option<Answer> {
        let (site, mode, dest) = match from {
            Navigation::Typed => ("none", "navigate", "document"),
            Navigation::Click => ("same-origin", "navigate", "document"),
            Navigation::Fetch => ("same-origin", "cors", "empty"),
            Navigation::Elsewhere => ("cross-site", "navigate", "document"),
        };
        let cookies: Vec<_> = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = self
            .http
            .get(format!("http://127.0.0.1:{port}{target}"))
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest)
            .header("x-csrf-protection", "1")
            .header("cookie", cookies.join("; "));
        if ["/auth/callback", "/auth/logout", "/auth/api"]
            .iter()
            .any(|page| target.starts_with(page))
        {
            // The receiver is gone once the round has ended.
            let _ = self.shared.begins.send(port);
        }
        let Ok(response) = request.send() else {
            self.shared.count(|count| count.cut_short += 1);
            return None;
        };
        self.keep(&response);
        Some(Answer::of(response))
    }

    fn keep(&mut self, response: &Response) {
        for line in response.headers().get_all(SET_COOKIE) {
            let mut parts = line.to_str().unwrap_or_default().split("; ");
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            if parts.any(|part| part == "Max-Age=0") {
                self.jar.remove(name)
            } else {
                self.jar.insert(name.to_owned(), value.to_owned())
            };
        }
    }
}

impl Answer {
    fn of(response: Response) -> Self {
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        Self {
            status: response.status().as_u16(),
            location: location.map(str::to_owned),
            body: response.text().unwrap_or_default(),
        }
    }

    /// Where a page of the site leads on, which it sends where a redirect would lack the strict cookie.
    fn refresh_target(&self) -> Option<String> {
        let (_, rest) = self
            .body
            .split_once("http-equiv=refresh content=\"0;url=")?;
        Some(rest.split('"').next()?.replace("&amp;", "&"))
    }
}
