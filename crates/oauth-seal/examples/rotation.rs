//! Rotates a key while texts sealed with the old one are still in use: `cargo run -p oauth-seal --example rotation`

use oauth_core::error::Error;
use oauth_seal::{Key, Keys};

fn main() -> Result<(), Error> {
    // Use random keys and nonces; these are only for the example.
    let (old, new) = (Key::new([1; 32]), Key::new([2; 32]));
    let text = Keys::new(old.clone()).seal([3; 24], b"greeting", b"hello")?;
    println!("sealed with {}: {text}", old.id());

    let both = Keys::new(new.clone()).with_previous(old);
    let opened = both.open(&text, b"greeting")?;
    println!("opens; sealed with the current key: {}", opened.is_current);

    let alone = Keys::new(new);
    match alone.open(&text, b"greeting") {
        Ok(_) => println!("opens"),
        Err(reason) => println!("without the old key: {reason}"),
    }
    Ok(())
}

#[test]
fn runs() -> Result<(), Error> {
    main()
}
