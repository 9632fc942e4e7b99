//! Build steps of the browser package that `xtask` should not have to compile:
//! `xtask-wasm bind MODULE FOLDER` writes the JavaScript around a module.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["bind", module, folder] => bind(module, folder),
        _ => Err("usage: xtask-wasm bind MODULE FOLDER".into()),
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
    check_texts(Path::new(module), Path::new(folder))
}

/// Refuses other values than strings before copying: a number, or an object such as a `URL`, would be read as a string
/// without a length, and the module would fail with an access beyond its memory.
fn check_texts(module: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let name = module.file_stem().ok_or("the module has no name")?;
    let path = folder.join(name).with_extension("js");
    let written = fs::read_to_string(&path)?;
    let copies = "function passStringToWasm0(arg, malloc, realloc) {\n";
    let checks = format!(
        "{copies}    if (typeof arg !== 'string') throw new TypeError('expected a string');\n"
    );
    match written.matches(copies).count() {
        1 => Ok(fs::write(&path, written.replace(copies, &checks))?),
        _ => Err("wasm-bindgen copies texts in another way".into()),
    }
}
