//! Where the record of a grant lives, for everyone who shares it: three verbs.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::Error;

pub use oauth_core::flow::keeper::{Entry, Lease, Saved};

/// An answer that is on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A store of records, each under a key.
///
/// Everything that keeps a grant safe is decided by the
/// [`Keeper`](oauth_core::flow::keeper::Keeper); a store has to do three things, each as one step
/// that no other worker can come between. `contract` has the tests every store must pass.
///
/// An error means that nobody knows whether it was done: the keeper looks again.
pub trait Store: Send + Sync {
    /// Reads the record, as it was saved last.
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>>;

    /// Saves the record if it is still at `version`; 0 is the version of a record that is not
    /// there. Its new version is higher by one.
    ///
    /// This is what fences off a worker who slept through his lease: he saves on a version that is
    /// over. So it must hold whether or not there is a lease.
    ///
    /// Once this is answered, the record survives a crash of the process, and of the machine as far
    /// as the store promises that.
    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
    ) -> Answer<'a, Saved>;

    /// Takes the lease of the key in the name of `holder` for `ttl`, unless another holds it; for no
    /// time at all, gives it back. Who holds it already gets it anew; giving back a lease that is
    /// another's, or nobody's, changes nothing and is [`Lease::Won`] all the same.
    ///
    /// It is over after `ttl` by the store's clock, whatever became of the holder. There may be a
    /// lease where there is no record yet.
    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease>;
}
