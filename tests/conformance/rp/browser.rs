//! A minimal browser for login pages that need no user: redirects, cookies, and forms that are submitted when the
//! page is shown.

use std::io::Read as _;

use reqwest::Method;
use reqwest::blocking::{Client, ClientBuilder, Response};
use reqwest::header::LOCATION;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::form::Form;

/// The maximum number of pages visited.
const MAX_PAGES: usize = 20;
/// The maximum size of a page, in bytes.
const MAX_PAGE_BYTES: u64 = 1 << 20;

pub(crate) struct Browser(Client);

impl Browser {
    pub(crate) fn new(builder: ClientBuilder) -> Result<Self, String> {
        let builder = builder
            .redirect(reqwest::redirect::Policy::none())
            .cookie_store(true);
        builder.build().map(Self).map_err(describe)
    }

    /// Opens a URL, and continues until the redirect URI is reached, which is not requested. Returns the
    /// callback URL, or the form that would be posted there.
    pub(crate) fn visit(&self, url: &str, redirect_uri: &str) -> Result<String, String> {
        let target = Url::parse(redirect_uri).map_err(|error| error.to_string())?;
        let mut request = Request::get(Url::parse(url).map_err(|error| error.to_string())?);
        for _ in 0..MAX_PAGES {
            if is_same_place(&request.url, &target) {
                return Ok(request.callback());
            }
            let current_url = request.url.clone();
            request = next(&current_url, self.send(request)?)?;
        }
        Err(format!("no end after {MAX_PAGES} pages"))
    }

    fn send(&self, request: Request) -> Result<Response, String> {
        let Request { method, url, body } = request;
        let mut builder = self.0.request(method, url);
        if let Some(body) = body {
            let form = "application/x-www-form-urlencoded";
            builder = builder.header("content-type", form).body(body);
        }
        builder.send().map_err(describe)
    }
}

/// The next request.
struct Request {
    method: Method,
    url: Url,
    body: Option<String>,
}

impl Request {
    const fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            body: None,
        }
    }

    fn callback(self) -> String {
        self.body.unwrap_or_else(|| self.url.into())
    }
}

/// The request to which a page leads.
fn next(current_url: &Url, reply: Response) -> Result<Request, String> {
    let status = reply.status();
    if let Some(location) = reply.headers().get(LOCATION)
        && status.is_redirection()
    {
        let location = location.to_str().map_err(|error| error.to_string())?;
        let url = current_url
            .join(location)
            .map_err(|error| error.to_string())?;
        return Ok(Request::get(url));
    }
    if !status.is_success() {
        return Err(format!(
            "the page at {} answered {status}",
            current_url.path()
        ));
    }
    let mut page = Vec::new();
    reply
        .take(MAX_PAGE_BYTES)
        .read_to_end(&mut page)
        .map_err(|error| error.to_string())?;
    let form = Form::submitted_at_once(&String::from_utf8_lossy(&page))
        .ok_or_else(|| format!("the page at {} waits for a user", current_url.path()))?;
    let mut url = current_url
        .join(&form.action)
        .map_err(|error| error.to_string())?;
    let fields = Serializer::new(String::new())
        .extend_pairs(&form.fields)
        .finish();
    if form.is_post {
        return Ok(Request {
            method: Method::POST,
            url,
            body: Some(fields),
        });
    }
    url.set_query(Some(&fields));
    Ok(Request::get(url))
}

fn is_same_place(url: &Url, target: &Url) -> bool {
    url.origin() == target.origin() && url.path() == target.path()
}

/// Describes an error without its URL, which may contain a code.
fn describe(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Serves these replies, one connection after the other; returns each request's first line, cookie
    /// and body.
    fn serve(replies: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let base = format!("http://{}", socket.local_addr().expect("an address"));
        let serving = std::thread::spawn(move || {
            let respond = |reply: String| {
                let (mut stream, _) = socket.accept().expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
                let (mut seen, mut length) = (String::new(), 0);
                reader.read_line(&mut seen).expect("a line");
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).expect("a line");
                    let field = line.trim_end().to_ascii_lowercase();
                    if field.is_empty() {
                        break;
                    }
                    if let Some(value) = field.strip_prefix("content-length: ") {
                        length = value.parse().expect("a number");
                    }
                    if field.starts_with("cookie:") {
                        seen.push_str(&field);
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                seen.push_str(&String::from_utf8_lossy(&body));
                write!(stream, "HTTP/1.1 {reply}").expect("a reply");
                seen
            };
            replies.into_iter().map(respond).collect()
        });
        (base, serving)
    }

    fn page(html: &str) -> String {
        let length = html.len();
        format!("200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{html}")
    }

    fn to(location: &str) -> String {
        format!(
            "302 Found\r\nlocation: {location}\r\nset-cookie: session=1\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n"
        )
    }

    fn visit(base: &str) -> Result<String, String> {
        let browser = Browser::new(Client::builder().no_proxy()).expect("a browser");
        browser.visit(
            &format!("{base}/authorize?state=s"),
            "https://rp.example/cb",
        )
    }

    #[test]
    fn a_login_page_that_submits_itself_is_followed() {
        let form = r#"<body onload="document.forms[0].submit()"><form method="post" action="go">
            <input name="login" value="a b"></form>"#;
        let (base, serving) = serve(vec![
            to("/login/start"),
            page(form),
            to("https://rp.example/cb?code=c&state=s"),
        ]);
        let callback = visit(&base);
        assert_eq!(
            callback.as_deref(),
            Ok("https://rp.example/cb?code=c&state=s")
        );
        let seen = serving.join().expect("an end");
        assert!(seen[0].starts_with("GET /authorize?state=s "), "{seen:?}");
        assert!(seen[1].starts_with("GET /login/start ") && seen[1].contains("session=1"));
        assert!(seen[2].starts_with("POST /login/go ") && seen[2].ends_with("login=a+b"));
    }

    #[test]
    fn a_form_post_to_the_redirect_uri_is_returned_and_not_sent() {
        let form = r#"<script>document.forms[0].submit()</script><form method="post"
            action="https://rp.example/cb"><input name="code" value="c"></form>"#;
        let (base, _) = serve(vec![page(form)]);
        assert_eq!(visit(&base).as_deref(), Ok("code=c"));
    }

    #[test]
    fn a_page_that_needs_a_user_ends_the_visit() {
        let (base, _) = serve(vec![page(
            "<form action=/login><input name=password></form>",
        )]);
        assert!(visit(&base).is_err_and(|error| error.contains("waits for a user")));
        let (base, _) = serve(vec![to("/authorize?state=s"); MAX_PAGES]);
        assert!(visit(&base).is_err_and(|error| error.contains("no end")));
    }
}
