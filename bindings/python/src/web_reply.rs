//! `Reply`: a response of a web site's sign-in, and `Problem`: the content of its error page.

use pyo3::prelude::*;

use crate::text::text;
use crate::web_session::Identity;

/// A response of the site, to be sent unchanged.
#[pyclass(frozen, module = "oauth_core.web")]
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    problem: Option<oauth_web::Problem>,
    signed_out: Option<oauth_web::Identity>,
}

/// The problem to show on the application's own error page.
#[pyclass(frozen, module = "oauth_core.web")]
pub(crate) struct Problem(oauth_web::Problem);

/// Pairs of names and values.
pub(crate) fn fields(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let pairs = headers.iter().map(|(name, value)| {
        let value = value.as_bytes().iter().map(|&byte| char::from(byte));
        (name.as_str().to_owned(), value.collect())
    });
    pairs.collect()
}

impl Reply {
    pub(crate) fn of(reply: oauth_web::Reply) -> Self {
        Self {
            status: reply.status.as_u16(),
            headers: fields(&reply.headers),
            body: reply.body,
            problem: reply.problem,
            signed_out: reply.signed_out.map(|identity| *identity),
        }
    }

    /// A status without a body.
    pub(crate) const fn plain(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
            problem: None,
            signed_out: None,
        }
    }
}

#[pymethods]
impl Reply {
    /// The status.
    #[getter]
    const fn status(&self) -> u16 {
        self.status
    }

    /// Pairs of names and values; set-cookie may occur several times.
    #[getter]
    fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }

    /// The body.
    #[getter]
    fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// The problem, if this is an error page for a user.
    #[getter]
    fn problem(&self) -> Option<Problem> {
        let is_page = |(name, value): &(String, String)| {
            name == "content-type" && value.starts_with("text/html")
        };
        let problem = self.problem.clone().map(Problem);
        problem.filter(|_| self.headers.iter().any(is_page))
    }

    /// The user who has just signed out.
    #[getter]
    fn signed_out(&self) -> Option<Identity> {
        self.signed_out.clone().map(Identity)
    }

    /// This reply with a different HTML page, which may use scripts and styles like the application's other pages.
    fn with_page(&self, #[pyo3(from_py_with = text)] html: String) -> Self {
        let mut reply = self.clone();
        reply.body = html;
        reply.headers.retain(|(name, _)| {
            !["content-type", "content-security-policy"].contains(&name.as_str())
        });
        let html = "text/html; charset=utf-8".to_owned();
        reply.headers.push(("content-type".to_owned(), html));
        reply
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.web.Reply {}>", self.status)
    }
}

#[pymethods]
impl Problem {
    /// The code of the error.
    #[getter]
    const fn code(&self) -> &'static str {
        self.0.code
    }

    /// The problem in one sentence.
    #[getter]
    fn title(&self) -> &str {
        &self.0.title
    }

    /// More detail, if there is any: the reason of admit(), or a hint.
    #[getter]
    fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The login page, if signing in again may help.
    #[getter]
    fn sign_in(&self) -> Option<&str> {
        self.0.sign_in.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.web.Problem {}>", self.0.code)
    }
}
