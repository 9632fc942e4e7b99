//! Players of conversations: this process, or a program that reads and answers one line per conversation.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::conversation::Conversation;
use crate::transcript::Entry;

/// Plays conversations in one language.
pub(crate) trait Player {
    /// Plays a conversation; returns one entry per turn.
    fn play(&mut self, conversation: &Conversation) -> Result<Vec<Entry>, String>;
}

/// A player in a different language: a child process.
pub(crate) struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts the program. `command` is its name and its arguments.
    pub(crate) fn start(command: &[String]) -> Result<Self, String> {
        let (name, arguments) = command.split_first().ok_or("an empty command")?;
        let mut child = Command::new(name)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let output = child.stdout.take().ok_or("no output")?;
        Ok(Self {
            name: name.clone(),
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
        })
    }

    fn exchange(&mut self, line: &str) -> std::io::Result<String> {
        if let Some(input) = &mut self.input {
            input.write_all(line.as_bytes())?;
            input.write_all(b"\n")?;
            input.flush()?;
        }
        let mut output_line = String::new();
        self.output.read_line(&mut output_line)?;
        Ok(output_line)
    }
}

impl Player for Program {
    fn play(&mut self, conversation: &Conversation) -> Result<Vec<Entry>, String> {
        let line = serde_json::to_string(&conversation.complete()?);
        let player_output = self
            .exchange(&line.map_err(|error| error.to_string())?)
            .map_err(|error| format!("{}: {error}", self.name))?;
        if player_output.is_empty() {
            return Err(format!("{}: the player has ended", self.name));
        }
        let mut entries: Vec<Entry> = serde_json::from_str(&player_output)
            .map_err(|error| format!("{}: not a transcript: {error}", self.name))?;
        for entry in &mut entries {
            if let crate::transcript::TurnOutput::Error(refusal) = &mut entry.output {
                refusal.shown = entry.shown.join(" ");
            }
        }
        Ok(entries)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The program ends when its input does.
        self.input = None;
        let _ = self.child.wait();
    }
}
