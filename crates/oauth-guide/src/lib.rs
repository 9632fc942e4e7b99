#![doc = include_str!("../README.md")]

#[doc = include_str!("../chapters/first_token.md")]
pub mod first_token {}

#[doc = include_str!("../chapters/terminal.md")]
pub mod terminal {}

#[doc = include_str!("../chapters/without_a_browser.md")]
pub mod without_a_browser {}

#[doc = include_str!("../chapters/signing_in.md")]
pub mod signing_in {}

#[doc = include_str!("../chapters/web_node.md")]
pub mod web_node {}

#[doc = include_str!("../chapters/web_python.md")]
pub mod web_python {}

#[doc = include_str!("../chapters/web_rust.md")]
pub mod web_rust {}

#[doc = include_str!("../chapters/bff.md")]
pub mod bff {}

#[doc = include_str!("../chapters/client_keys.md")]
pub mod client_keys {}

#[doc = include_str!("../chapters/without_secrets.md")]
pub mod without_secrets {}

#[doc = include_str!("../chapters/higher_stakes.md")]
pub mod higher_stakes {}

#[doc = include_str!("../chapters/api_servers.md")]
pub mod api_servers {}

#[doc = include_str!("../chapters/mcp_client.md")]
pub mod mcp_client {}

#[doc = include_str!("../chapters/workers.md")]
pub mod workers {}

#[doc = include_str!("../chapters/stores.md")]
pub mod stores {}

#[doc = include_str!("../chapters/drivers.md")]
pub mod drivers {}

#[doc = include_str!("../chapters/presets.md")]
pub mod presets {}

#[doc = include_str!("../chapters/errors.md")]
pub mod errors {}

#[doc = include_str!("../chapters/moving_a_site.md")]
pub mod moving_a_site {}

#[doc = include_str!("../chapters/from_oauth2.md")]
pub mod from_oauth2 {}

#[doc = include_str!("../chapters/from_authlib.md")]
pub mod from_authlib {}

#[doc = include_str!("../chapters/from_openid_client.md")]
pub mod from_openid_client {}

#[doc = include_str!("../chapters/from_oidc_client_ts.md")]
pub mod from_oidc_client_ts {}
