//! What the browser package needs at build time and `xtask` should not have to compile.
//!
//! `xtask-wasm bind MODULE FOLDER` writes the JavaScript around a module; `xtask-wasm presets FILE`
//! writes the presets as JSON, and with `--check` only compares.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use oauth_facade::Preset;
use serde_json::{Map, Value};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["bind", module, folder] => bind(module, folder),
        ["presets", file] => write_presets(Path::new(file)),
        ["presets", file, "--check"] => check_presets(Path::new(file)),
        _ => Err("usage: xtask-wasm bind MODULE FOLDER | presets FILE [--check]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask-wasm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bind(module: &str, folder: &str) -> Result<(), Box<dyn Error>> {
    let mut bindgen = Bindgen::new();
    bindgen.web(true)?;
    bindgen
        .input_path(module)
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)?;
    Ok(())
}

fn write_presets(file: &Path) -> Result<(), Box<dyn Error>> {
    Ok(fs::write(file, presets()?)?)
}

fn check_presets(file: &Path) -> Result<(), Box<dyn Error>> {
    if fs::read_to_string(file)? == presets()? {
        return Ok(());
    }
    let name = file.display();
    Err(format!(
        "{name} is not what the provider files say: run cargo run -p xtask-wasm -- presets FILE"
    )
    .into())
}

/// A module whose one export maps names to presets, each on a line of its own.
fn presets() -> Result<String, Box<dyn Error>> {
    let mut presets = Map::new();
    for name in oauth_providers::names() {
        let preset = Preset::of(&oauth_providers::provider(name)?)?;
        presets.insert(name.to_owned(), serde_json::to_value(preset)?);
    }
    let mut text = String::from(
        "// Written by `cargo run -p xtask-wasm -- presets`, from crates/oauth-providers.\n\
         export const presets = {\n",
    );
    for (name, preset) in presets {
        text.push_str(&format!("  {}: {preset},\n", Value::from(name)));
    }
    text.push_str("}\n");
    Ok(text)
}
