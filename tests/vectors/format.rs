//! The format of vector files, and how expectations are compared.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::runner::Runner;
use crate::script::{self, Script};

/// The result of a vector.
pub(crate) type Verdict = Result<(), Failure>;

/// Why a vector did not pass.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A failure: what differed from the expectation.
    Wrong(String),
    /// Not a failure: why this language cannot express the vector.
    OutOfReach(&'static str),
}

/// How the vectors of a group are run.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// As conversations, in every language.
    Talk(fn(&Vector, &mut Runner) -> Verdict),
    /// In the core directly, which has options that packages lack; and as conversations in every language.
    Both(fn(&Vector) -> Verdict, fn(&Vector, &mut Runner) -> Verdict),
    /// In the core directly, and as conversations in every other language.
    Apart(fn(&Vector) -> Verdict, fn(&Vector, &mut Runner) -> Verdict),
    /// In the core only, and the reason.
    Core(fn(&Vector) -> Verdict, &'static str),
}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Self::Wrong(what)
    }
}

impl From<&str> for Failure {
    fn from(what: &str) -> Self {
        Self::Wrong(what.to_owned())
    }
}

/// One test vector: an input with its known answer.
pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) input: Value,
    pub(crate) expected: Value,
}

/// The vectors of a folder, and the conversations of its subfolder `conversations`.
pub(crate) struct Questions {
    pub(crate) vectors: Vec<Vector>,
    pub(crate) scripts: Vec<Script>,
}

pub(crate) fn read_dir(dir: &Path) -> Result<Questions, String> {
    let mut files = json_files(dir)?;
    let conversations = dir.join("conversations");
    if conversations.is_dir() {
        files.extend(json_files(&conversations)?);
    }
    let mut questions = Questions {
        vectors: Vec::new(),
        scripts: Vec::new(),
    };
    for file in files {
        read_file(&file, &mut questions).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(questions)
}

fn json_files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .map_err(|error| format!("{}: {error}", dir.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    Ok(files)
}

fn read_file(file: &Path, questions: &mut Questions) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let document: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let has = |name: &str| document.get(name).is_some();
    if !has("vectors") && !has("conversations") {
        return Err("neither vectors nor conversations".to_owned());
    }
    if has("conversations") {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        questions.scripts.extend(script::read(&stem, &document)?);
    }
    if has("vectors") {
        let list = document["vectors"].as_array();
        for item in list.ok_or("vectors is not a list")? {
            questions.vectors.push(Vector::read(item)?);
        }
    }
    Ok(())
}

impl Vector {
    fn read(item: &Value) -> Result<Self, String> {
        let text = |name: &str| item[name].as_str().map(str::to_owned);
        let (Some(id), Some(group)) = (text("id"), text("group")) else {
            return Err("a vector without id or group".to_owned());
        };
        Ok(Self {
            id,
            group,
            input: item["input"].clone(),
            expected: item["expected"].clone(),
        })
    }

    /// The string with this name in the input, if there is one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.input[name].as_str()
    }

    /// The string with this name, which the input must have.
    pub(crate) fn required_text(&self, name: &str) -> Result<&str, String> {
        self.text(name)
            .ok_or_else(|| format!("the input has no string {name}"))
    }
}

/// Compares two values.
pub(crate) fn check_equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Verdict {
    if got == want {
        Ok(())
    } else {
        Err(format!("{what}: got {got:?}, want {want:?}").into())
    }
}

/// A failure that names `what`, unless `is_true`.
pub(crate) fn check(what: &str, is_true: bool) -> Verdict {
    if is_true { Ok(()) } else { Err(what.into()) }
}

/// The strings of a list.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Expands the placeholders of a body: `<repeat to 5 MiB>`, `<65536 x a>`.
pub(crate) fn expand(body: &str) -> String {
    let Some((before, rest)) = body.split_once('<') else {
        return body.to_owned();
    };
    let Some((inside, after)) = rest.split_once('>') else {
        return body.to_owned();
    };
    let words: Vec<&str> = inside.split(' ').collect();
    let filling = match words.as_slice() {
        ["repeat", "to", count, unit] => {
            let scale = if *unit == "MiB" { 1 << 20 } else { 1 << 10 };
            count
                .parse::<usize>()
                .ok()
                .map(|count| "a".repeat(count * scale))
        }
        [count, "x", text] => count.parse().ok().map(|count| text.repeat(count)),
        _ => None,
    };
    filling.map_or_else(
        || body.to_owned(),
        |filling| format!("{before}{filling}{after}"),
    )
}

/// The names of an object's members, sorted.
pub(crate) fn names(value: &Value) -> Vec<String> {
    let mut names: Vec<_> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    names.sort_unstable();
    names
}
