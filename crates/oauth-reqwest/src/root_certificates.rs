//! Checks the certificate authorities that environment variables name.
//!
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the authorities of the system, so one that points nowhere leaves nothing
//! to trust. That is an error and not ignored, because the intention may be to trust less than the system does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use oauth_core::error::{Error, Misuse};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

const FILE: &str = "SSL_CERT_FILE";
const FOLDER: &str = "SSL_CERT_DIR";

/// Checks that the certificate paths in the environment exist.
///
/// # Errors
/// `transport.setup`, with the variables and what they name.
pub(crate) fn check_variables() -> Result<(), Error> {
    // These two have their own certificate stores, and look nowhere else.
    if cfg!(any(target_vendor = "apple", windows)) {
        return Ok(());
    }
    let read = |name| std::env::var_os(name);
    check(read(FILE), read(FOLDER))
}

fn check(file: Option<OsString>, folders: Option<OsString>) -> Result<(), Error> {
    let in_file = file.as_deref().map(|path| of_file(Path::new(path)));
    let in_folders = folders.as_deref().map(of_folders);
    let reason = match (in_file, in_folders) {
        (None, None) | (Some(Ok(())), _) | (_, Some(Ok(()))) => return Ok(()),
        (Some(Err(one)), Some(Err(other))) => format!("{one}; {other}"),
        (Some(Err(one)), None) | (None, Some(Err(one))) => one,
    };
    let detail =
        format!("{reason}: so no certificate authority is trusted; correct it or unset it");
    Err(Error::from(Misuse::TransportSetup).about(&detail))
}

fn of_file(path: &Path) -> Result<(), String> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("{FILE} names {name}: {error}"))?;
    let mut trusted = RootCertStore::empty();
    let mut certificates = CertificateDer::pem_slice_iter(&bytes).flatten();
    if certificates.any(|certificate| trusted.add(certificate).is_ok()) {
        Ok(())
    } else {
        Err(format!(
            "{FILE} names {name}, which holds no readable certificate in PEM"
        ))
    }
}

fn of_folders(folders: &std::ffi::OsStr) -> Result<(), String> {
    let folders: Vec<PathBuf> = std::env::split_paths(folders).collect();
    if folders.iter().any(|folder| folder.is_dir()) {
        Ok(())
    } else {
        let names: Vec<_> = folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        Err(format!(
            "{FOLDER} names {}, where no folder is",
            names.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_certificate_path_is_reported_with_its_variable() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).into_os_string();
        let names = ["ca.example".to_owned()];
        let ca = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(path("ca.pem"), ca.cert.pem()).unwrap();
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(path("cut.pem"), empty).unwrap();
        std::fs::write(path("key.pem"), "-----BEGIN PRIVATE KEY-----").unwrap();
        let missing_paths = std::env::join_paths([path("none"), path("")]).unwrap();
        for (file, folders) in [
            (None, None),
            (Some(path("ca.pem")), None),
            (None, Some(missing_paths.clone())),
            (Some(path("none")), Some(missing_paths)),
            (Some(path("ca.pem")), Some(path("none"))),
        ] {
            check(file, folders).unwrap();
        }
        for (file, folders, words) in [
            (
                Some(path("none.pem")),
                None,
                vec!["SSL_CERT_FILE names ", "none.pem: "],
            ),
            (
                Some(path("key.pem")),
                None,
                vec!["key.pem, which holds no readable certificate"],
            ),
            (
                Some(path("cut.pem")),
                None,
                vec!["cut.pem, which holds no readable certificate"],
            ),
            (
                None,
                Some(path("none")),
                vec!["SSL_CERT_DIR names ", "none, where no folder"],
            ),
            (
                Some(path("none.pem")),
                Some(path("none")),
                vec!["SSL_CERT_FILE", "; SSL_CERT_DIR"],
            ),
        ] {
            let error = check(file, folders).unwrap_err();
            assert_eq!(error.code(), "transport.setup");
            for word in words {
                assert!(error.to_string().contains(word), "{word}: {error}");
            }
            assert!(!error.to_string().contains("PRIVATE"));
        }
    }
}
