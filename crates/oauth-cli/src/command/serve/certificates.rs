//! `oauth serve --mutual-tls`: a FAPI 2.0 server that requires client certificates (RFC 8705).

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use oauth_testkit::MutualTls;
use serde_json::json;

use super::{Serve, System, User};
use crate::output::{self, Failure, Output};
use crate::shell::quote;
use crate::token_file;

impl Serve {
    /// Writes the certificates to `folder`, and serves over mutual TLS until Ctrl-C.
    pub(super) fn serve_over_mutual_tls(
        &self,
        folder: &Path,
        users: &[User],
        output: Output,
    ) -> Result<(), Failure> {
        if self.system != System::Fapi {
            return Err(Failure::usage(
                "usage.mutual_tls",
                "--mutual-tls is for the FAPI 2.0 server only",
                "add --system fapi, or remove --mutual-tls",
            ));
        }
        let cannot_serve = |reason: std::io::Error| {
            Failure::usage(
                "usage.mutual_tls",
                format_args!(
                    "cannot serve with certificates in {}: {reason}",
                    folder.display()
                ),
                "choose a folder that you can write to",
            )
        };
        let tls = MutualTls::start().map_err(cannot_serve)?;
        let path = |name: &str| folder.join(name).display().to_string();
        let [ca, client, next] = ["ca.pem", "client.pem", "next.pem"].map(path);
        fs::create_dir_all(folder).map_err(cannot_serve)?;
        fs::write(&ca, &tls.ca).map_err(cannot_serve)?;
        for file in [&client, &next] {
            let mut options = OpenOptions::new();
            let opened = token_file::private(Path::new(file), options.create(true).truncate(true));
            let written = opened.and_then(|mut file| file.write_all(tls.issue()?.as_bytes()));
            written.map_err(cannot_serve)?;
        }
        let (id, redirect_uris) = tls.with(|twin| {
            twin.authenticate_by_certificate();
            twin.bind_to_certificates();
            self.configure(users, twin);
            let redirect_uris: Vec<_> = twin.redirect_uris().to_vec();
            (twin.client_id().to_owned(), redirect_uris)
        });
        let options = format!(
            "--issuer {} --ca {} --client-auth tls --client-cert {}",
            tls.base,
            quote(&ca),
            quote(&client)
        );
        let command = format!("oauth token {options} --client-id {}", quote(&id));
        let api = format!("{}/api/echo", tls.mutual);
        let rows = [
            ("base", tls.base.clone()),
            ("issuer", tls.base.clone()),
            ("api", api.clone()),
            ("client_id", quote(&id)),
            ("ca", ca.clone()),
            ("client_cert", client.clone()),
            ("next_cert", next.clone()),
            ("redirect_uris", redirect_uris.join(" ")),
            ("options", options.clone()),
            ("try", command.clone()),
        ];
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let record = json!({
            "base": tls.base, "issuer": tls.base, "mutual": tls.mutual, "api": api, "client_id": id, "ca": ca,
            "client_cert": client, "next_cert": next, "redirect_uris": redirect_uris, "options": options,
            "commands": [command],
        });
        output.result(output::table(&rows), &record)?;
        output.note("serving (Ctrl-C to stop)");
        loop {
            std::thread::park();
        }
    }
}
