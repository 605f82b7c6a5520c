//! Bytes of others on a terminal: they must not move the cursor, change colours or turn text around.

use std::fmt::Write;

/// The text of the bytes, with everything that is not to be seen written out: control characters but for ends of lines and tabs,
/// marks that change the direction of text, and what is not UTF-8.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' | '\t' => text.push(char),
                char if char.is_control() || is_invisible(char) => text.extend(char.escape_default()),
                char => text.push(char),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Marks of direction, and those that join or part nothing.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_written_out() {
        assert_eq!(escaped(b"plain\ttext\n"), "plain\ttext\n");
        assert_eq!(escaped("grün".as_bytes()), "grün");
        assert_eq!(escaped(b"\x1b[31mred"), "\\u{1b}[31mred");
        assert_eq!(escaped(b"a\rb\x07\0"), "a\\rb\\u{7}\\u{0}");
        assert_eq!(escaped("\u{9b}31m".as_bytes()), "\\u{9b}31m");
        assert_eq!(escaped("\u{202e}txt".as_bytes()), "\\u{202e}txt");
        assert_eq!(escaped(b"\xff\xc3"), "\\xff\\xc3");
    }
}
