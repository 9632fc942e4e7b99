//! The middleware: requests in, responses of the site or of the application out.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage as _, web};
use oauth_web::Access;
use oauth_web_tower::{Host, Served};

use crate::convert::{read, response, site_request};

/// The response of the application, or one in its place.
type Response<B> = ServiceResponse<EitherBody<B, BoxBody>>;

/// Signs people in before their requests reach the application: the middleware around it. With [`Access::Open`], every
/// page is available to everyone; a handler that requires someone to be signed in takes a [`User`](crate::User).
pub fn sign_in<S, B>(
    host: Host,
    access: Access,
) -> impl Transform<S, ServiceRequest, Response = Response<B>, Error = Error, InitError = ()>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    from_fn(move |request, next| serve(host.clone(), access, request, next))
}

async fn serve<B: MessageBody + 'static>(
    host: Host,
    access: Access,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<Response<B>, Error> {
    let incoming = site_request(request.request());
    let read = |most| read(request.extract::<web::Payload>(), most);
    let visited = match host.serve(incoming, access, read).await {
        Served::Answer(answer) => {
            let response = request.into_response(response(answer));
            return Ok(response.map_into_right_body());
        }
        Served::Pass(visited) => visited,
    };
    request.extensions_mut().insert(visited.clone());
    let page = next.call(request).await?;
    // An error type of the application's own may have passed on the response of a rejection.
    let replacement = page.response().extensions().get().copied().flatten();
    let request = site_request(page.request());
    let answer = visited.instead(replacement, request).await;
    Ok(match answer {
        Some(answer) => page.into_response(response(answer)).map_into_right_body(),
        None => page.map_into_left_body(),
    })
}
