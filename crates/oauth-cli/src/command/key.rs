//! `oauth key`: generates, publishes and names keys for clients (RFC 7517).

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};
use oauth_core::jose::Alg;
use oauth_crypto::{KeyError, PrivateKey};
use serde_json::{Value, json};

use crate::key_file::{KeyFile, Passphrase};
use crate::output::{Failure, Output};
use crate::token_file;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth key new --alg ES256 --output client.pem
  oauth key public --use sig --set client.pem
  oauth key thumbprint client.pem
  export OAUTH_KEY=$(oauth key seal)";

const NEW_EXAMPLES: &str = "\
Examples:
  oauth key new --alg ES256 --output client.pem
  oauth key new --alg EdDSA | vault kv put secret/client key=-

The key is PKCS#8 in PEM format. The file is readable only by you, and existing files are never \
overwritten. Without --output the key is printed to stdout, but to a terminal only with --output -.";

const PUBLIC_EXAMPLES: &str = "\
Examples:
  oauth key public client.pem
  oauth key public --use sig --set old.pem new.pem > jwks.json
  vault kv get -field=key secret/client | oauth key public -

The input is a private key in PEM or JWK format, or a public JWK; only the public key is printed. A key \
without a `kid` gets its thumbprint (RFC 7638), unless --kid is given. Several files are printed as a JWK Set. To \
rotate a key, publish the old and the new one, sign with the new one, and remove the old one when \
nothing that it signed is valid any more.";

const SEAL_EXAMPLES: &str = "\
Examples:
  export OAUTH_KEY=$(oauth key seal)
  oauth key seal --output key.txt

The key is 32 random bytes in base64url, for the sessions of web applications (OAUTH_KEY) and for sealed stores. To \
rotate it, put the new key before the old one, separated by a comma: the first key seals, and all of them open.";

const THUMBPRINT_EXAMPLES: &str = "\
Examples:
  oauth key thumbprint client.pem
  oauth key thumbprint --uri client.pem
  oauth key public client.pem | oauth key thumbprint -";

/// Generates keys, and prints their public part.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Generate a private key
    #[command(after_help = NEW_EXAMPLES)]
    New(NewKeyArgs),
    /// Print the public part of keys, to register or publish
    #[command(after_help = PUBLIC_EXAMPLES)]
    Public(Public),
    /// Generate a key that encrypts sessions and stores
    #[command(after_help = SEAL_EXAMPLES)]
    Seal(Seal),
    /// Print the thumbprint of a key (RFC 7638)
    #[command(after_help = THUMBPRINT_EXAMPLES)]
    Thumbprint(Thumbprint),
}

#[derive(Debug, Args)]
struct NewKeyArgs {
    /// Signature algorithm
    #[arg(long, value_name = "ALG", value_parser = alg())]
    alg: Alg,
    /// Write the key to this new file (- for stdout)
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Seal {
    /// Write the key to this new file (- for stdout)
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Public {
    /// Files with the keys, in PEM or JWK format (- for stdin)
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Signature algorithm of keys that do not specify one; required for RSA keys in PEM format
    #[arg(long, value_name = "ALG", value_parser = alg())]
    alg: Option<Alg>,
    /// Key ID [default: `kid` of the JWK, or else the thumbprint]
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// Set the `use` of the keys
    #[arg(long = "use", value_name = "USE", value_enum)]
    purpose: Option<Purpose>,
    /// Print a JWK Set even for a single key
    #[arg(long)]
    set: bool,
    #[command(flatten)]
    passphrase: Passphrase,
}

#[derive(Debug, Args)]
struct Thumbprint {
    /// File with the key, in PEM or JWK format (- for stdin)
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Print the thumbprint as a URI (RFC 9278)
    #[arg(long)]
    uri: bool,
    #[command(flatten)]
    passphrase: Passphrase,
}

/// `use` of a JWK (RFC 7517 section 4.2).
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Purpose {
    Sig,
}

impl Key {
    pub(super) fn run(self, output: Output) -> Result<(), Failure> {
        match self.command {
            Action::New(new) => new.run(output),
            Action::Public(public) => public.run(output),
            Action::Seal(seal) => seal.run(output),
            Action::Thumbprint(thumbprint) => thumbprint.run(output),
        }
    }
}

impl NewKeyArgs {
    fn run(self, output: Output) -> Result<(), Failure> {
        let file = file_of(self.output)?;
        let key = PrivateKey::generate(self.alg).map_err(not_generated)?;
        let pem = key.to_pem().map_err(not_generated)?;
        let thumbprint = key.public_jwk().thumbprint();
        let alg = self.alg.as_str();
        match file {
            Some(path) => {
                write_new(&path, pem.as_bytes()).map_err(|error| not_written(&path, &error))?;
                let path = path.display().to_string();
                let text = format!("wrote {path}, thumbprint {thumbprint}");
                let record = json!({ "alg": alg, "thumbprint": thumbprint, "file": path });
                output.result(text, &record)
            }
            None => {
                let record =
                    json!({ "alg": alg, "thumbprint": thumbprint, "private_key": pem.as_str() });
                output.result(pem.trim_end(), &record)
            }
        }
    }
}

impl Seal {
    fn run(self, output: Output) -> Result<(), Failure> {
        let file = file_of(self.output)?;
        let text = seal_key()?;
        let id = oauth_seal::Key::parse(&text)?.id().to_owned();
        match file {
            Some(path) => {
                let line = Secret::new(format!("{}\n", text.expose()));
                write_new(&path, line.expose().as_bytes())
                    .map_err(|error| not_written(&path, &error))?;
                let path = path.display().to_string();
                let record = json!({ "id": id, "file": path });
                output.result(format_args!("wrote {path}, key {id}"), &record)
            }
            None => output.result(text.expose(), &json!({ "id": id, "key": text.expose() })),
        }
    }
}

/// Generates a key for sealing.
pub(super) fn seal_key() -> Result<Secret<String>, Failure> {
    let mut bytes = vec![0; 32];
    getrandom::fill(&mut bytes).map_err(|_| Error::from(Misuse::NoRandomness))?;
    let bytes = Secret::new(bytes);
    Ok(Secret::new(oauth_seal::base64url(bytes.expose())))
}

impl Public {
    fn run(self, output: Output) -> Result<(), Failure> {
        if self.kid.is_some() && self.files.len() > 1 {
            return Err(Failure::usage(
                "usage.kid",
                "--kid cannot be used with several keys",
                "remove --kid: each key has its own `kid` or its thumbprint",
            ));
        }
        let files = self.files.iter();
        let files = files.map(|path| KeyFile::read(path, &self.passphrase));
        let keys = files.collect::<Result<Vec<_>, _>>()?;
        let has_key_for = |alg: Alg| keys.iter().any(|key| key.alg(Some(alg)) == Some(alg));
        if let Some(alg) = self.alg.filter(|alg| !has_key_for(*alg)) {
            return Err(Failure::usage(
                "usage.key_alg",
                format_args!("none of the keys can sign with {}", alg.as_str()),
                "remove --alg: only RSA keys need it",
            ));
        }
        let mut names = BTreeSet::new();
        let mut records = Vec::new();
        for (key, path) in keys.iter().zip(&self.files) {
            let kid = self.kid.clone().unwrap_or_else(|| key.kid());
            records.push(self.record(key, &kid, path)?);
            if !names.insert(kid) {
                return Err(Failure::usage(
                    "usage.key_twice",
                    format_args!("{}: another key has the same `kid`", path.display()),
                    "pass each key only once",
                ));
            }
        }
        let record = match (records.pop(), self.set || self.files.len() > 1) {
            (Some(only), false) => only,
            (last, _) => {
                records.extend(last);
                json!({ "keys": records })
            }
        };
        output.result(&record, &record)
    }

    fn record(&self, key: &KeyFile, kid: &str, path: &Path) -> Result<Value, Failure> {
        let alg = key.alg(self.alg).ok_or_else(|| {
            Failure::usage(
                "usage.key_alg",
                format_args!(
                    "{}: the signature algorithm of this RSA key is not specified",
                    path.display()
                ),
                "pass the algorithm registered at the server, such as --alg RS256 or --alg PS256",
            )
        })?;
        let extra_members = [
            ("kid", Some(kid)),
            ("alg", Some(alg.as_str())),
            ("use", self.purpose.map(|Purpose::Sig| "sig")),
        ];
        let mut record = key.public.to_value();
        if let Value::Object(members) = &mut record {
            let extra_members = extra_members
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value.into())));
            members.extend(extra_members);
        }
        Ok(record)
    }
}

impl Thumbprint {
    fn run(self, output: Output) -> Result<(), Failure> {
        let key = KeyFile::read(&self.file, &self.passphrase)?.public;
        let (thumbprint, uri) = (key.thumbprint(), key.thumbprint_uri());
        let text = if self.uri { &uri } else { &thumbprint };
        output.result(text, &json!({ "thumbprint": thumbprint, "uri": uri }))
    }
}

/// Reads the name of an algorithm with a key pair.
fn alg() -> impl TypedValueParser<Value = Alg> {
    let names = Alg::ALL.iter().filter(|alg| !alg.is_symmetric());
    PossibleValuesParser::new(names.map(|alg| alg.as_str()))
        .try_map(|name| Alg::from_name(&name).ok_or("unknown algorithm"))
}

/// Writes a new file, completely or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = token_file::private(path, OpenOptions::new().create_new(true))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.inspect_err(|_| {
        // A partly written key is of no use.
        let _ = std::fs::remove_file(path);
    })
}

/// The file to which a key is written; `None` for stdout.
fn file_of(output: Option<PathBuf>) -> Result<Option<PathBuf>, Failure> {
    match output {
        Some(path) if path != Path::new("-") => Ok(Some(path)),
        None if io::stdout().is_terminal() => Err(refused_terminal()),
        _ => Ok(None),
    }
}

fn refused_terminal() -> Failure {
    Failure::usage(
        "usage.key_output",
        "a private key is not printed to a terminal by default",
        "write it to a file with --output FILE, or print it with --output -",
    )
}

fn not_written(path: &Path, reason: &io::Error) -> Failure {
    let hint = match reason.kind() {
        io::ErrorKind::AlreadyExists => "a key is never overwritten: choose another file",
        _ => "choose a file that you can write to",
    };
    Failure::usage(
        "usage.key_output",
        format_args!("{}: {reason}", path.display()),
        hint,
    )
}

fn not_generated(reason: KeyError) -> Failure {
    Failure::usage("usage.key", reason, "try again, or choose another --alg")
}
