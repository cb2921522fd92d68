//! Code frames on awkward text.

use crate::frame::{CodeFrame, Position};

fn frame(text: &str, line: u32, column: u32, units: usize) -> String {
    CodeFrame::new("a.js", text, Position { line, column }, units).to_string()
}

#[test]
fn shows_two_lines_around_the_caret() {
    let text = "one\ntwo\nthree\nfour\nfive\nsix\n";
    assert_eq!(
        frame(text, 4, 2, 2),
        "  --> a.js:4:2\n  |\n2 | two\n3 | three\n4 | four\n  |  ^^\n5 | five\n6 | six"
    );
}

#[test]
fn tabs_wide_characters_and_terminators_keep_the_caret_in_place() {
    assert_eq!(
        frame("\tlet 名前 = 😀😀 + x;", 1, 16, 1),
        "  --> a.js:1:16\n  |\n1 |     let 名前 = 😀😀 + x;\n  |                     ^"
    );
    // CR, CRLF and LS end lines, as they do for V8.
    assert_eq!(
        frame("a\rb\r\nc\u{2028}d", 4, 1, 9),
        "  --> a.js:4:1\n  |\n2 | b\n3 | c\n4 | d\n  | ^"
    );
}

#[test]
fn a_minified_line_is_cut_to_a_window() {
    let text = format!("{}BAD{}", "x".repeat(5_000), "y".repeat(5_000));
    let shown = frame(&text, 1, 5_001, 3);
    let lines: Vec<_> = shown.lines().collect();
    assert!(
        lines.iter().all(|line| line.chars().count() < 120),
        "{shown}"
    );
    let caret = lines[3].find("^^^").expect("there is a caret");
    let text: String = lines[2].chars().skip(caret).take(3).collect();
    assert_eq!(text, "BAD");
    assert!(lines[2].contains('…'));
}

#[test]
fn what_could_steer_a_terminal_is_not_printed() {
    let shown = frame("a\u{1b}[2J\u{7}\u{202e}b", 1, 1, 1);
    assert!(
        !shown.contains(['\u{1b}', '\u{7}', '\u{202e}']),
        "{shown:?}"
    );
}

#[test]
fn places_outside_the_text_give_the_place_alone() {
    assert_eq!(frame("a", 9, 9, 1), "  --> a.js:9:9");
    assert_eq!(frame("a", 0, 0, 0), frame("a", 0, 0, 0));
    assert_eq!(
        frame("ab", 1, 900, 5),
        "  --> a.js:1:900\n  |\n1 | ab\n  |   ^"
    );
    assert_eq!(frame("", 1, 1, 1), "  --> a.js:1:1\n  |\n1 |\n  | ^");
}

#[test]
fn colour_is_opt_in() {
    let frame = CodeFrame::new("a.js", "x", Position { line: 1, column: 1 }, 1);
    assert!(frame.render(true).contains("\u{1b}[1;31m^\u{1b}[0m"));
    assert!(!frame.render(false).contains('\u{1b}'));
}

#[test]
fn positions_count_as_v8_does() {
    let at = |text, offset| {
        let Position { line, column } = Position::of(text, offset);
        (line, column)
    };
    assert_eq!(at("", 0), (1, 1));
    assert_eq!(at("a\n", 2), (2, 1));
    assert_eq!(at("😀x", 4), (1, 3));
    assert_eq!(at("😀x", 2), (1, 1));
    assert_eq!(at("a\r\nb", 3), (2, 1));
    assert_eq!(at("a", 99), (1, 2));
}
