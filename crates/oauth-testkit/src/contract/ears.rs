//! A logger that listens for what must not be said.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Text to listen for in every log record of the process. Nothing else is kept.
static MARKS: Mutex<Vec<Mark>> = Mutex::new(Vec::new());

struct Mark {
    text: String,
    what: &'static str,
    heard: Vec<String>,
}

struct Ears;

/// Starts to listen. `Err` if another logger is installed: then nothing can be heard.
pub(super) fn open() -> Result<(), &'static str> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    let ours = *INSTALLED.get_or_init(|| log::set_logger(&Ears).is_ok());
    // Each time, since a driver may have turned it down.
    log::set_max_level(log::LevelFilter::Trace);
    if ours {
        Ok(())
    } else {
        Err("cannot be checked: this process has a logger already")
    }
}

/// Listens for `text`, which nothing else in the process may contain.
pub(super) fn listen_for(text: &str, what: &'static str) {
    marks().push(Mark {
        text: text.to_owned(),
        what,
        heard: Vec::new(),
    });
}

/// What was heard of one text; it is forgotten.
pub(super) fn heard(text: &str) -> Vec<String> {
    let mut marks = marks();
    let found = marks.iter().position(|mark| mark.text == text);
    found
        .map(|at| marks.swap_remove(at).heard)
        .unwrap_or_default()
}

fn marks() -> MutexGuard<'static, Vec<Mark>> {
    MARKS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl log::Log for Ears {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // Before the lock: what is formatted may log in turn.
        let text = record.args().to_string();
        for mark in marks().iter_mut().filter(|mark| text.contains(&mark.text)) {
            mark.heard.push(format!(
                "{} by {} ({})",
                mark.what,
                record.target(),
                record.level()
            ));
        }
    }

    fn flush(&self) {}
}
