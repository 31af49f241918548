//! "Did you mean …?": the nearest of the names that would have been right.

/// The nearest candidate, if it is near enough that a typing slip explains it.
pub(crate) fn nearest<'a, I>(word: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let length = word.chars().count();
    // A third of the word may differ: `colums` is a slip, `foo` for `masks` is not.
    let tolerance = (length / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter(|c| c.chars().count().abs_diff(length) <= tolerance)
        .map(|c| (distance(word, c), c))
        .filter(|(d, _)| *d <= tolerance && *d < length)
        .min()
        .map(|(_, c)| c)
}

/// Optimal string alignment distance, without regard to case: insertions, deletions,
/// substitutions and swaps of neighbours count one each.
fn distance(a: &str, b: &str) -> usize {
    let fold = |s: &str| s.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (a, b) = (fold(a), fold(b));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut previous_b = None;
        for (j, cb) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX / 2);
            let change = at(&last, j) + usize::from(ca != cb);
            let mut best = change.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if previous_a == Some(cb) && previous_b == Some(ca) && j > 0 {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
            previous_b = Some(cb);
        }
        before = std::mem::replace(&mut last, row);
        previous_a = Some(ca);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn slips_count_one() {
        assert_eq!(distance("colums", "columns"), 1);
        assert_eq!(distance("maks", "mask"), 1);
        assert_eq!(distance("Mask", "mask"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn far_names_are_not_suggested() {
        assert_eq!(nearest("colums", ["classes", "columns"]), Some("columns"));
        assert_eq!(nearest("foo", ["masks", "roles"]), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("手几号", ["手机号"]), Some("手机号"));
    }
}
