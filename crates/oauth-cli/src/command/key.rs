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

The key is PKCS#8 in PEM. A file is readable by this user alone, and one that exists is left as it \
is. Without --output the key goes to stdout, but to a terminal only with --output -.";

const PUBLIC_EXAMPLES: &str = "\
Examples:
  oauth key public client.pem
  oauth key public --use sig --set old.pem new.pem > jwks.json
  vault kv get -field=key secret/client | oauth key public -

A private key in PEM or as a JWK is read, or a public JWK; what is printed is public. A key \
without a name is named by its thumbprint (RFC 7638), unless --kid says otherwise. Several files make a JWK Set, with which \
keys are replaced: publish the old and the new one, sign with the new one, and take the old one \
away when nothing that it signed is good any longer.";

const SEAL_EXAMPLES: &str = "\
Examples:
  export OAUTH_KEY=$(oauth key seal)
  oauth key seal --output key.txt

It is 32 random bytes in base64url: for the sessions of web applications (OAUTH_KEY), and for sealed stores. To change it, \
put the new one in front of the old one, with a comma between them: the first seals, and all of them open.";

const THUMBPRINT_EXAMPLES: &str = "\
Examples:
  oauth key thumbprint client.pem
  oauth key thumbprint --uri client.pem
  oauth key public client.pem | oauth key thumbprint -";

/// Makes keys, and prints their public halves.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a private key
    #[command(after_help = NEW_EXAMPLES)]
    New(New),
    /// Print the public half of keys, to register or to publish
    #[command(after_help = PUBLIC_EXAMPLES)]
    Public(Public),
    /// Make a key that seals sessions and stores
    #[command(after_help = SEAL_EXAMPLES)]
    Seal(Seal),
    /// Print the thumbprint of a key (RFC 7638)
    #[command(after_help = THUMBPRINT_EXAMPLES)]
    Thumbprint(Thumbprint),
}

#[derive(Debug, Args)]
struct New {
    /// What it signs with
    #[arg(long, value_name = "ALG", value_parser = alg())]
    alg: Alg,
    /// Write it to this new file; - is stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Seal {
    /// Write it to this new file; - is stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Public {
    /// The keys, in PEM or as JWKs; - is stdin
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// What they sign with, where the keys do not say it: needed for RSA in PEM
    #[arg(long, value_name = "ALG", value_parser = alg())]
    alg: Option<Alg>,
    /// The name of the key [default: that of the JWK, else its thumbprint]
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// Say what the keys are for
    #[arg(long = "use", value_name = "USE", value_enum)]
    purpose: Option<Purpose>,
    /// Print a whole JWK Set, also of one key
    #[arg(long)]
    set: bool,
    #[command(flatten)]
    passphrase: Passphrase,
}

#[derive(Debug, Args)]
struct Thumbprint {
    /// The key, in PEM or as a JWK; - is stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// As a URI (RFC 9278)
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

impl New {
    fn run(self, output: Output) -> Result<(), Failure> {
        let file = file_of(self.output)?;
        let key = PrivateKey::generate(self.alg).map_err(unmade)?;
        let pem = key.to_pem().map_err(unmade)?;
        let thumbprint = key.public_jwk().thumbprint();
        let alg = self.alg.as_str();
        match file {
            Some(path) => {
                write_new(&path, pem.as_bytes()).map_err(|why| unwritten(&path, &why))?;
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
                write_new(&path, line.expose().as_bytes()).map_err(|why| unwritten(&path, &why))?;
                let path = path.display().to_string();
                let record = json!({ "id": id, "file": path });
                output.result(format_args!("wrote {path}, key {id}"), &record)
            }
            None => output.result(text.expose(), &json!({ "id": id, "key": text.expose() })),
        }
    }
}

/// A new key that seals.
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
                "--kid is given, but there are several keys",
                "leave out --kid: each key is named by its thumbprint",
            ));
        }
        let files = self.files.iter();
        let files = files.map(|path| KeyFile::read(path, &self.passphrase));
        let keys = files.collect::<Result<Vec<_>, _>>()?;
        let fits = |alg: Alg| keys.iter().any(|key| key.alg(Some(alg)) == Some(alg));
        if let Some(alg) = self.alg.filter(|alg| !fits(*alg)) {
            return Err(Failure::usage(
                "usage.key_alg",
                format_args!("no key signs with {}", alg.as_str()),
                "leave out --alg: only RSA keys need it",
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
                    format_args!("{}: another key has this name", path.display()),
                    "give each key once",
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
                    "{}: an RSA key does not say which algorithm it signs with",
                    path.display()
                ),
                "say it as the server has it registered: --alg RS256, or --alg PS256",
            )
        })?;
        let more = [
            ("kid", Some(kid)),
            ("alg", Some(alg.as_str())),
            ("use", self.purpose.map(|Purpose::Sig| "sig")),
        ];
        let mut record = key.public.to_value();
        if let Value::Object(members) = &mut record {
            let more = more
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value.into())));
            members.extend(more);
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
        .try_map(|name| Alg::named(&name).ok_or("no algorithm has this name"))
}

/// Writes a file that was not there, whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = token_file::private(path, OpenOptions::new().create_new(true))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.inspect_err(|_| {
        // A partly written key is of no use.
        let _ = std::fs::remove_file(path);
    })
}

/// The file that a key goes to; none for stdout.
fn file_of(output: Option<PathBuf>) -> Result<Option<PathBuf>, Failure> {
    match output {
        Some(path) if path != Path::new("-") => Ok(Some(path)),
        None if io::stdout().is_terminal() => Err(to_a_terminal()),
        _ => Ok(None),
    }
}

fn to_a_terminal() -> Failure {
    Failure::usage(
        "usage.key_output",
        "a private key is not shown on a terminal unasked",
        "write it to a file with --output FILE, or say --output -",
    )
}

fn unwritten(path: &Path, why: &io::Error) -> Failure {
    let hint = match why.kind() {
        io::ErrorKind::AlreadyExists => {
            "a key is never overwritten: write the new one to another file"
        }
        _ => "give a file this user may write",
    };
    Failure::usage(
        "usage.key_output",
        format_args!("{}: {why}", path.display()),
        hint,
    )
}

fn unmade(why: KeyError) -> Failure {
    Failure::usage("usage.key", why, "try again, or choose another --alg")
}
