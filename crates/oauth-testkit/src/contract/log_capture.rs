//! A logger that searches every log record for secrets.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The strings to search for in every log record of the process. Records themselves are not kept.
static MARKS: Mutex<Vec<SearchedText>> = Mutex::new(Vec::new());

struct SearchedText {
    text: String,
    label: &'static str,
    records: Vec<String>,
}

struct LogCapture;

/// Installs the logger. `Err` if there is another one: then nothing can be captured.
pub(super) fn install() -> Result<(), &'static str> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    let is_installed = *INSTALLED.get_or_init(|| log::set_logger(&LogCapture).is_ok());
    // On every call, because a driver may have lowered the level since.
    log::set_max_level(log::LevelFilter::Trace);
    if is_installed {
        Ok(())
    } else {
        Err("cannot be checked: this process has a logger already")
    }
}

/// Searches log records for `text` from now on, which must be unique in the process.
pub(super) fn watch_for(text: &str, label: &'static str) {
    marks().push(SearchedText {
        text: text.to_owned(),
        label,
        records: Vec::new(),
    });
}

/// The records that contained this text, which is no longer searched for.
pub(super) fn take_found(text: &str) -> Vec<String> {
    let mut marks = marks();
    let index = marks.iter().position(|mark| mark.text == text);
    index
        .map(|at| marks.swap_remove(at).records)
        .unwrap_or_default()
}

fn marks() -> MutexGuard<'static, Vec<SearchedText>> {
    MARKS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl log::Log for LogCapture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // Before the lock, because formatting may log in turn.
        let text = record.args().to_string();
        for mark in marks().iter_mut().filter(|mark| text.contains(&mark.text)) {
            mark.records.push(format!(
                "{} by {} ({})",
                mark.label,
                record.target(),
                record.level()
            ));
        }
    }

    fn flush(&self) {}
}
