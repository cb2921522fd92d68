//! Text in lines.

/// `pieces` with a space between them, in lines of at most `width` characters. No piece is broken,
/// not even one that is longer.
pub(super) fn lines<T: AsRef<str>>(
    pieces: impl IntoIterator<Item = T>,
    width: usize,
) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        let piece = piece.as_ref();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + piece.chars().count() <= width => {
                line.push(' ');
                line.push_str(piece);
            }
            _ => lines.push(piece.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn a_line_is_full_before_the_next_begins() {
        assert_eq!(
            lines("a bb ccc dddddd e".split(' '), 4),
            ["a bb", "ccc", "dddddd", "e"]
        );
        assert_eq!(lines([""; 0], 4), [""; 0]);
    }
}
