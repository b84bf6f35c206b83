//! dev.env: lines NAME='value' that a shell loads.

/// One line. Whatever the value is, a shell reads it as it is (POSIX, Shell Command Language, 2.2.2).
pub(super) fn line(name: &str, value: &str) -> String {
    format!("{name}={}\n", quoted(value))
}

/// A word that a shell reads as this text.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// As [`quoted`], but plain where nothing needs a quote.
pub(super) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell gives back what was put in, whatever it is.
    #[test]
    fn shell_reads_what_was_written() {
        for value in ["", "a", "it's", "$HOME `id` \"x\" \\", "a b\nc", "''", "-n", "caf\u{e9}"] {
            let script = format!("{}printf %s \"$V\"", line("V", value));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
            let script = format!("printf %s {}", word(value));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }
}
