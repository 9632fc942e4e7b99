//! The layout of all help texts, at the widths of real terminals.

use crate::common::oauth;

fn help(command: &[&str], width: usize) -> String {
    let arguments = [command, &["--help"]].concat();
    let run = oauth(&arguments).env("COLUMNS", &width.to_string());
    run.run().ok()
}

/// The commands that a help lists.
fn commands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn all() -> Vec<Vec<String>> {
    let mut all = vec![vec![]];
    for name in commands(&help(&[], 100)) {
        let inner = commands(&help(&[&name], 100));
        all.push(vec![name.clone()]);
        all.extend(inner.into_iter().map(|inner| vec![name.clone(), inner]));
    }
    all
}

#[test]
fn all_commands_are_covered() {
    let all = all();
    for command in [
        &["demo"][..],
        &["logout"],
        &["profile", "list"],
        &["completions"],
    ] {
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        assert!(all.contains(&command), "{command:?}");
    }
}

#[test]
fn help_text_is_wrapped_only_once() {
    for command in all() {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        for width in [80, 100] {
            let help = help(&command, width);
            for line in help.lines() {
                assert!(line.chars().count() <= width, "{command:?} {width}: {line}");
            }
            let options = help.rfind("Print help").unwrap_or_default();
            check_prose(&help[options..], width, &command);
        }
    }
}

/// A line of a paragraph is broken only where the next word does not fit, and examples are not broken.
fn check_prose(text: &str, width: usize, command: &[&str]) {
    let lines: Vec<&str> = text.lines().skip(1).collect();
    for pair in lines.windows(2) {
        let [line, next] = pair else { continue };
        if line.is_empty() || next.is_empty() || line.ends_with(':') {
            continue;
        }
        if line.starts_with("  ") {
            assert!(
                next.starts_with("  "),
                "{command:?} {width}: {line} / {next}"
            );
            continue;
        }
        let word = next.split(' ').next().unwrap_or_default();
        let joined = line.chars().count() + 1 + word.chars().count();
        assert!(joined > width, "{command:?} {width}: {line} / {next}");
    }
}

/// An example is a complete command: continued lines end with a backslash.
#[test]
fn help_examples_are_complete_commands() {
    for command in all() {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let help = help(&command, 80);
        let mut goes_on = false;
        let examples = help.lines().filter(|line| line.starts_with("  "));
        for line in examples.skip_while(|line| !line.starts_with("  oauth ")) {
            if goes_on {
                assert!(line.starts_with("    "), "{command:?}: {line}");
            }
            goes_on = line.ends_with('\\');
        }
        assert!(!goes_on, "{command:?}");
    }
}
