#![doc = include_str!("../README.md")]

mod convert;
mod rejection;
mod sign_in;
mod user;

pub use oauth_web_tower::Host;
pub use rejection::Rejection;
pub use sign_in::{SignIn, SignInMiddleware};
pub use user::User;
