//! Everything that is printed, through one filter: what a host wrote must not reach
//! the operator's terminal as control characters. A window's title, a hidden line, an
//! answer typed by the terminal itself all begin with one.
//!
//! `quorate ssh` and `quorate lab shell` are not here: they become the other program,
//! and hand a terminal over on purpose.

/// Prints data with a newline.
macro_rules! outln {
    ($($arg:tt)*) => { anstream::println!("{}", diagnostic::visible(&format!($($arg)*))) };
}

/// Prints data as it is.
macro_rules! out {
    ($($arg:tt)*) => { anstream::print!("{}", diagnostic::visible(&format!($($arg)*))) };
}

/// Tells people something, with a newline.
macro_rules! errln {
    ($($arg:tt)*) => { anstream::eprintln!("{}", diagnostic::visible(&format!($($arg)*))) };
}

/// Tells people something.
macro_rules! err {
    ($($arg:tt)*) => { anstream::eprint!("{}", diagnostic::visible(&format!($($arg)*))) };
}

pub(crate) use {err, errln, out, outln};

/// Findings as `project::draw` gives them: their colours are ours, and what they quote
/// is filtered where they are drawn.
pub fn drawn(findings: &str) {
    anstream::eprintln!("{}", findings.trim_end());
}

/// A line of progress over the one that says what is under way.
pub fn over(text: &str) {
    anstream::eprintln!("\r\x1b[K{}", diagnostic::visible(text));
}

/// Progress line, without a newline, over what was said of it before.
pub fn under_way(text: &str) {
    anstream::eprint!("\r\x1b[K{}", diagnostic::visible(text));
}

/// Clears the terminal that data is printed to, and begins at its top.
pub fn clear() {
    anstream::print!("\x1b[H\x1b[2J");
}
