//! Counts results by language and group, and lists what was not run.

use std::collections::BTreeMap;

use crate::format::{Failure, Verdict};
use crate::lang::Lang;

/// The counts of a group in a language.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    passed: usize,
    failed: usize,
    out_of_reach: usize,
}

/// The counts of all languages and groups.
#[derive(Default)]
pub(crate) struct Report {
    tallies: BTreeMap<(String, Lang), Tally>,
    /// The number of vectors that a language cannot express, by reason and group.
    out_of_reach: BTreeMap<(Lang, &'static str), BTreeMap<String, usize>>,
    /// The number of parts left out of passed vectors, by reason.
    left_out: BTreeMap<(Lang, &'static str), usize>,
    /// The number of vectors in groups without a handler.
    open: BTreeMap<String, usize>,
}

impl Report {
    /// Counts a verdict, and prints a failure.
    pub(crate) fn count(&mut self, lang: Lang, group: &str, id: &str, verdict: Verdict) {
        let tally = self.tallies.entry((group.to_owned(), lang)).or_default();
        match verdict {
            Ok(()) => tally.passed += 1,
            Err(Failure::Wrong(reason)) => {
                tally.failed += 1;
                let reason: String = reason.chars().take(2000).collect();
                println!("FAIL {}: {id} ({group}): {reason}", lang.name());
            }
            Err(Failure::OutOfReach(reason)) => {
                tally.out_of_reach += 1;
                let groups = self.out_of_reach.entry((lang, reason)).or_default();
                *groups.entry(group.to_owned()).or_default() += 1;
            }
        }
    }

    pub(crate) fn record_unsupported(&mut self, lang: Lang, reason: &'static str) {
        *self.left_out.entry((lang, reason)).or_default() += 1;
    }

    pub(crate) fn open(&mut self, group: &str) {
        *self.open.entry(group.to_owned()).or_default() += 1;
    }

    /// Compares the number of vectors run in each group with the recorded counts, so that none is left out
    /// unnoticed. A difference counts as a failure.
    pub(crate) fn check_counts(&mut self, langs: &[Lang], written: &str) -> Result<(), String> {
        let written = Counts::read(written)?;
        let is_vectors = |group: &String| !group.starts_with("conversations/");
        let groups = self.tallies.keys().map(|(group, _)| group.clone());
        let mut groups: Vec<_> = groups.filter(is_vectors).collect();
        groups.extend(written.groups.keys().cloned());
        groups.sort();
        groups.dedup();
        for group in groups {
            for &lang in langs {
                let tally = self.tallies.entry((group.clone(), lang)).or_default();
                let (played, want) = (tally.passed + tally.failed, written.of(&group, lang));
                if played != want {
                    let lang = lang.name();
                    println!("{lang}: {played} vectors of {group} were run, {want} are recorded");
                    tally.failed += 1;
                }
            }
        }
        Ok(())
    }

    /// Prints the report and the totals; returns whether nothing failed and something passed.
    pub(crate) fn print(&self, langs: &[Lang]) -> bool {
        if langs.len() > 1 {
            self.table(langs);
        }
        let groups = self.out_of_reach.iter().map(|((lang, reason), groups)| {
            let names = groups
                .iter()
                .map(|(name, count)| format!("{name} ({count})"));
            (
                *lang,
                format!("{reason}: {}", names.collect::<Vec<_>>().join(", ")),
            )
        });
        for (langs, what) in by_what(groups) {
            println!("not reachable from {langs}: {what}");
        }
        let parts = self.left_out.iter().map(|((lang, reason), count)| {
            (
                *lang,
                format!("a part of {count} passed vectors was left out: {reason}"),
            )
        });
        for (langs, what) in by_what(parts) {
            println!("{langs}: {what}");
        }
        if !self.open.is_empty() {
            let names: Vec<_> = self
                .open
                .iter()
                .map(|(name, count)| format!("{name} ({count})"))
                .collect();
            println!("open groups: {}", names.join(", "));
        }
        let sum = self.sum(|_, _| true);
        println!("{} passed, {} failed", sum.passed, sum.failed);
        sum.failed == 0 && sum.passed > 0
    }

    fn table(&self, langs: &[Lang]) {
        let mut groups: Vec<&String> = self.tallies.keys().map(|(group, _)| group).collect();
        groups.dedup();
        let width = groups
            .iter()
            .map(|name| name.len())
            .max()
            .unwrap_or_default();
        let row = |name: &str, cells: Vec<String>| {
            let cells: String = cells.iter().map(|cell| format!("{cell:>9}")).collect();
            println!("{name:<width$}{cells}");
        };
        row(
            "",
            langs.iter().map(|lang| lang.name().to_owned()).collect(),
        );
        for group in groups {
            let cells = langs.iter().map(|lang| {
                let key = (group.clone(), *lang);
                self.tallies
                    .get(&key)
                    .map_or_else(String::new, |tally| tally.cell())
            });
            row(group, cells.collect());
        }
        let sums = langs
            .iter()
            .map(|lang| self.sum(|_, language| language == *lang).cell());
        row("", sums.collect());
        println!(
            "passed, or passed/run; - where the language's package cannot express the vectors"
        );
    }

    fn sum(&self, counts: impl Fn(&str, Lang) -> bool) -> Tally {
        let tallies = self.tallies.iter();
        tallies
            .filter(|((group, lang), _)| counts(group, *lang))
            .fold(Tally::default(), |sum, (_, tally)| Tally {
                passed: sum.passed + tally.passed,
                failed: sum.failed + tally.failed,
                out_of_reach: sum.out_of_reach + tally.out_of_reach,
            })
    }
}

/// The recorded counts: a line per group, with the number of vectors run in each language of the header line.
struct Counts {
    langs: Vec<String>,
    groups: BTreeMap<String, Vec<usize>>,
}

impl Counts {
    fn read(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut lines = lines.map(str::split_whitespace);
        let langs = lines.next().ok_or("no languages")?.map(str::to_owned);
        let langs: Vec<_> = langs.collect();
        let groups = lines.map(|mut words| {
            let name = words.next().ok_or("an empty line")?.to_owned();
            let numbers: Vec<_> = words.map_while(|token| token.parse().ok()).collect();
            if numbers.len() == langs.len() {
                Ok((name, numbers))
            } else {
                Err(format!("{name}: there must be a number for each language"))
            }
        });
        Ok(Self {
            groups: groups.collect::<Result<_, String>>()?,
            langs,
        })
    }

    fn of(&self, group: &str, lang: Lang) -> usize {
        let place = self.langs.iter().position(|name| name == lang.name());
        let numbers = self.groups.get(group);
        let number = place.and_then(|place| numbers?.get(place).copied());
        number.unwrap_or_default()
    }
}

/// Groups the languages by their text.
fn by_what(lines: impl Iterator<Item = (Lang, String)>) -> Vec<(String, String)> {
    let mut by_reason = BTreeMap::<String, Vec<&str>>::new();
    for (lang, what) in lines {
        by_reason.entry(what).or_default().push(lang.name());
    }
    by_reason
        .into_iter()
        .map(|(what, langs)| (langs.join(", "), what))
        .collect()
}

impl Tally {
    fn cell(self) -> String {
        match (self.passed, self.failed) {
            (0, 0) => "-".to_owned(),
            (passed, 0) => passed.to_string(),
            (passed, failed) => format!("{passed}/{}", passed + failed),
        }
    }
}
