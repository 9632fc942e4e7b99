//! The `oauth` command against `oidc-provider`.
