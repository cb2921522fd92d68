//! Did you mean …?

/// The candidate that `typed` most likely stands for, if one is close.
///
/// Close is: at most one edit in three letters (a swap of neighbours is one edit), whatever the
/// case; so that `cup` finds `cpu` and `xyz` finds nothing.
pub(super) fn closest<'a>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&typed, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= candidate.len().max(3) / 3)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// The same as a sentence, for a help line.
pub(super) fn did_you_mean<'a>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    closest(typed, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// `a`, `b` and `c`.
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(|name| format!("`{name}`")).collect();
            format!("{} and `{last}`", most.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{closest, listed};

    #[test]
    fn close_and_not_close() {
        let keys = ["main", "routes", "vars", "limits", "cpu"];
        assert_eq!(closest("mian", keys), Some("main"));
        assert_eq!(closest("Route", keys), Some("routes"));
        assert_eq!(closest("cup", keys), Some("cpu"));
        assert_eq!(closest("xyz", keys), None);
        assert_eq!(closest("", keys), None);
    }

    #[test]
    fn a_list_reads_like_a_sentence() {
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(listed(&["a"]), "`a`");
    }
}
