//! What the adapters of all frameworks have in common: a request comes in, and a response or the session goes out.

use std::fmt;
use std::future::Future;

use bytes::Bytes;
use http::StatusCode;
use oauth_web::{Access, MAX_FORM, Request};

use crate::answer::{Answer, answer, empty};
use crate::host::Host;
use crate::tokens::{Forwarded, MAX_FORWARDED};
use crate::visit_driver::Outcome;
use crate::visited::RequestSession;

/// What an adapter does with a request.
pub enum Served {
    /// Send this response.
    Answer(Answer),
    /// Call the application.
    Pass(RequestSession),
}

impl fmt::Debug for Served {
    /// Shows no header fields, whose values contain cookies and states.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => f.debug_tuple("Answer").field(&answer.status()).finish(),
            Self::Pass(_) => f.write_str("Pass"),
        }
    }
}

impl Host {
    /// Handles a request: drives its visit, and forwards a page's call to its API. `read` reads the body of the request,
    /// of at most this many bytes, or returns the status to respond with; it is called at most once, and the body of a
    /// request that is passed on is not read. Without a clock or randomness, the answer is a 500.
    pub async fn serve<F>(
        &self,
        request: Request,
        access: Access,
        read: impl FnMut(usize) -> F,
    ) -> Served
    where
        F: Future<Output = Result<Bytes, StatusCode>>,
    {
        let served = self.served(request, access, read).await;
        served.unwrap_or_else(|status| Served::Answer(empty(status)))
    }

    async fn served<F>(
        &self,
        mut request: Request,
        access: Access,
        mut read: impl FnMut(usize) -> F,
    ) -> Result<Served, StatusCode>
    where
        F: Future<Output = Result<Bytes, StatusCode>>,
    {
        let target = request.target.clone();
        let path = target.split('?').next().unwrap_or_default();
        let is_form = self.site.reads_form(&request.method, path);
        if is_form {
            request.form = Some(read(MAX_FORM).await?);
        }
        // Only the site's own pages forward calls.
        let own = self.site.owns(path).then(|| request.clone());
        match self.drive(self.site.visit(request, access)).await {
            Ok(Outcome::Respond(reply)) => Ok(Served::Answer(answer(reply))),
            Ok(Outcome::Pass(session)) if !is_form => {
                let host = self.clone();
                Ok(Served::Pass(RequestSession::new(session, host, target)))
            }
            Ok(Outcome::Forward(forward)) if !is_form => {
                let request = own.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
                let body = read(MAX_FORWARDED).await?;
                match self.forward(request, *forward, body).await {
                    Ok(Forwarded::Response(response)) => Ok(Served::Answer(response)),
                    Ok(Forwarded::Reply(reply)) => Ok(Served::Answer(answer(reply))),
                    Err(_) => Err(StatusCode::BAD_GATEWAY),
                }
            }
            Ok(Outcome::Pass(_) | Outcome::Forward(_)) | Err(_) => {
                Err(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}
