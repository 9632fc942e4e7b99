//! [`StoreUrl`]: a store named by a URL, as in environment variables and configuration files.

#[cfg(any(feature = "file", feature = "sqlite"))]
use std::path::PathBuf;
use std::sync::Arc;

use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};

use super::{ENDPOINT, MemoryStore, Store};

/// The store that a URL names, and its location.
///
/// | URL | store |
/// |---|---|
/// | `redis://`, `rediss://`, `valkey://`, `valkeys://`, and each with `+sentinel` or `+cluster` | `RedisStore` |
/// | `postgres://`, `postgresql://` | `PostgresStore` |
/// | `sqlite:PATH`, `sqlite://PATH` | `SqliteStore` |
/// | `file:PATH`, `file://PATH` | `FileStore`, the path being its folder |
/// | `memory:` | [`MemoryStore`], for one process |
///
/// Paths are used as they are: nothing in them is decoded, and `file:///var/lib/shop` is `/var/lib/shop`.
/// ```
/// use oauth_session::store::StoreUrl;
///
/// assert!(matches!(StoreUrl::parse("sqlite:///var/lib/shop.db")?, StoreUrl::Sqlite(path) if path == "/var/lib/shop.db"));
/// assert_eq!(StoreUrl::parse("mysql://shop").unwrap_err().code(), "store.setup");
/// # Ok::<(), oauth_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StoreUrl {
    /// A Redis server, its sentinels, or a cluster: the whole URL, which may hold a password.
    Redis(Secret<String>),
    /// A PostgreSQL server: the whole URL, which may hold a password.
    Postgres(Secret<String>),
    /// A SQLite database.
    Sqlite(String),
    /// A folder of files.
    Files(String),
    /// The memory of this process.
    Memory,
}

impl StoreUrl {
    /// Reads the URL of a store.
    ///
    /// # Errors
    /// `store.setup` for an unknown kind of store. The error shows nothing of the URL, which may hold a password.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        let path = rest.strip_prefix("//").unwrap_or(rest);
        let server = rest.starts_with("//").then(|| Secret::new(url.to_owned()));
        let kind = match (scheme, server) {
            ("sqlite", _) if !path.is_empty() => Some(Self::Sqlite(path.to_owned())),
            ("file", _) if !path.is_empty() => Some(Self::Files(path.to_owned())),
            ("memory", _) if path.is_empty() => Some(Self::Memory),
            ("postgres" | "postgresql", Some(url)) => Some(Self::Postgres(url)),
            (
                "redis" | "rediss" | "valkey" | "valkeys" | "redis+sentinel" | "rediss+sentinel"
                | "valkey+sentinel" | "valkeys+sentinel" | "redis+cluster" | "rediss+cluster"
                | "valkey+cluster" | "valkeys+cluster",
                Some(url),
            ) => Some(Self::Redis(url)),
            _ => None,
        };
        kind.ok_or_else(|| {
            let reason = "not the URL of a store: redis://, postgresql://, sqlite:PATH, file:PATH or memory: is one";
            Error::from(Misuse::StoreSetup).at_endpoint(ENDPOINT).about(reason)
        })
    }

    /// Opens the store.
    ///
    /// # Errors
    /// `misuse.not_supported` for a store whose feature was left out of this build, which it names; those of the
    /// store's own `new`.
    pub fn open(&self) -> Result<Arc<dyn Store>, Error> {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(url) => Ok(Arc::new(super::RedisStore::new(url.expose())?)),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => Ok(Arc::new(super::PostgresStore::new(url.expose())?)),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => Ok(Arc::new(super::SqliteStore::new(PathBuf::from(path))?)),
            #[cfg(feature = "file")]
            Self::Files(path) => Ok(Arc::new(super::FileStore::new(PathBuf::from(path))?)),
            Self::Memory => Ok(Arc::new(MemoryStore::new())),
            #[cfg(not(feature = "redis"))]
            Self::Redis(_) => Err(feature_disabled("redis")),
            #[cfg(not(feature = "postgres"))]
            Self::Postgres(_) => Err(feature_disabled("postgres")),
            #[cfg(not(feature = "sqlite"))]
            Self::Sqlite(_) => Err(feature_disabled("sqlite")),
            #[cfg(not(feature = "file"))]
            Self::Files(_) => Err(feature_disabled("file")),
        }
    }
}

#[cfg(not(all(
    feature = "redis",
    feature = "postgres",
    feature = "sqlite",
    feature = "file"
)))]
fn feature_disabled(feature: &str) -> Error {
    let reason = format!("oauth-session was built without its feature {feature}");
    Error::from(Misuse::NotSupported)
        .about(&reason)
        .at_endpoint(ENDPOINT)
}

#[cfg(test)]
mod tests {
    use super::super::RecordTimes;
    use super::*;

    fn kind(url: &str) -> Option<&'static str> {
        StoreUrl::parse(url).ok().map(|url| match url {
            StoreUrl::Redis(_) => "redis",
            StoreUrl::Postgres(_) => "postgres",
            StoreUrl::Sqlite(_) => "sqlite",
            StoreUrl::Files(_) => "file",
            StoreUrl::Memory => "memory",
        })
    }

    #[test]
    fn the_scheme_of_the_url_selects_the_store() {
        for (url, store) in [
            ("redis://:hunter2@localhost/0", "redis"),
            ("rediss+sentinel://one,two/primary/0", "redis"),
            ("valkey+cluster://one,two", "redis"),
            ("postgres://shop@localhost/shop", "postgres"),
            ("postgresql://shop@localhost/shop", "postgres"),
            ("sqlite:shop.db", "sqlite"),
            ("sqlite:///var/lib/shop.db", "sqlite"),
            ("file:sessions", "file"),
            ("file:///var/lib/shop", "file"),
            ("memory:", "memory"),
        ] {
            assert_eq!(kind(url), Some(store), "{url}");
        }
        for url in [
            "",
            "redis",
            "redis:6379",
            "mysql://a",
            "sqlite:",
            "file://",
            "memory:x",
            "/var/lib/shop",
        ] {
            assert_eq!(kind(url), None, "{url}");
        }
    }

    #[test]
    fn errors_and_debug_output_show_no_password() {
        let url = StoreUrl::parse("redis://:hunter2@localhost/0").expect("a URL");
        assert!(!format!("{url:?}").contains("hunter2"));
        let error = StoreUrl::parse("hunter2:hunter2@localhost").expect_err("no URL");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_store_is_opened_at_its_url() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sessions");
        let url = format!("file://{}", path.display());
        let record = Secret::new("record".to_owned());
        for url in [url.as_str(), "memory:"] {
            let store = StoreUrl::parse(url).and_then(|url| url.open()).expect(url);
            store
                .save("key", &record, 0, RecordTimes::NONE)
                .await
                .expect(url);
            assert!(store.load("key").await.expect(url).is_some(), "{url}");
        }
        assert!(path.is_dir());
    }
}
