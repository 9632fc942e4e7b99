//! The routes of a twin.

/// The part of the twin that a path belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Authorize,
    Token,
    Revoke,
    Introspect,
    DeviceAuthorization,
    DevicePage,
    Backchannel,
    BackchannelPage,
    Metadata,
    Keys,
    Userinfo,
    Logout,
    Pushed,
    Registration,
    ClientConfiguration,
    Api,
    ResourceMetadata,
}
