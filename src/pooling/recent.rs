//! Texts that were found to leave nothing behind, not long ago: one that differs from such a text in
//! constants only leaves nothing either, and need not be read word by word.
//!
//! Kept by each thread for itself. Deliberately absent: what a text that does leave something leaves;
//! there a constant may be the name of a setting.

use std::cell::RefCell;
use std::ops::Range;

use super::words;

/// How many each thread keeps, and of what length at most.
const FORMS: usize = 16;
const FORM_BYTES: usize = 4 * 1024;

/// One of so many texts that are not known is kept: to take one apart costs as much as to read it again.
const LEARNED: usize = 4;

/// A text, and where its constants are.
struct Form {
    text: Box<[u8]>,
    /// Of the functions it was judged by.
    version: [u8; 7],
    constants: Box<[Range<usize>]>,
}

impl Form {
    fn of(text: &[u8], version: [u8; 7]) -> Self {
        Self {
            text: text.into(),
            version,
            constants: words::constants(text).into(),
        }
    }

    /// Is the text the same but for constants? `None` as soon as it is not.
    fn matches(&self, text: &[u8]) -> Option<()> {
        let (mut rest, mut at) = (text, 0);
        for constant in &self.constants {
            rest = rest.strip_prefix(self.text.get(at..constant.start)?)?;
            rest = words::after_constant(rest)?;
            at = constant.end;
        }
        (rest == self.text.get(at..)?).then_some(())
    }
}

#[derive(Default)]
struct Recent {
    forms: Vec<Form>,
    /// Which gives way next.
    oldest: usize,
    missed: usize,
}

thread_local! {
    static RECENT: RefCell<Recent> = RefCell::default();
}

/// Did a text of this form leave nothing, by the functions of this version?
pub(super) fn leaves_nothing(text: &[u8], version: [u8; 7]) -> bool {
    RECENT.with_borrow(|recent| {
        let mut same = recent.forms.iter().filter(|form| form.version == version);
        same.any(|form| form.matches(text).is_some())
    })
}

/// It does, as was just found out.
pub(super) fn learn(text: &[u8], version: [u8; 7]) {
    RECENT.with_borrow_mut(|recent| {
        recent.missed = recent.missed.wrapping_add(1);
        if text.len() > FORM_BYTES || !recent.missed.is_multiple_of(LEARNED) {
            return;
        }
        let form = Form::of(text, version);
        if recent.forms.len() < FORMS {
            recent.forms.push(form);
        } else if let Some(old) = recent.forms.get_mut(recent.oldest) {
            *old = form;
            recent.oldest = recent
                .oldest
                .wrapping_add(1)
                .checked_rem(FORMS)
                .unwrap_or(0);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::Form;

    fn same(form: &str, text: &str) -> bool {
        let form = Form::of(form.as_bytes(), [0; 7]);
        form.matches(text.as_bytes()).is_some()
    }

    #[test]
    fn constants_may_differ() {
        let form = "SELECT 'a', f(1) FROM t WHERE a=1e5 AND b='xy' AND c IN (1, 2)";
        assert!(same(form, form));
        assert!(same(
            form,
            "SELECT '', f(22) FROM t WHERE a='b' AND b='x''y' AND c IN ('''', '; SET x')"
        ));
    }

    #[test]
    fn nothing_else_may() {
        for (form, text) in [
            ("SELECT f1(1)", "SELECT f2(1)"),
            ("SELECT \"f 1\"(1)", "SELECT \"f 2\"(1)"),
            ("SELECT $1", "SELECT $2"),
            ("SELECT $1$a$1$", "SELECT $2$a$2$"),
            ("SELECT 1 -- 1", "SELECT 1 -- 2"),
            ("SELECT 1", "SELECT 1; LISTEN a"),
            ("SELECT 1", "SELECT"),
            ("SELECT 1", "SELECT f(1)"),
            ("SELECT 'a'", "SELECT 'a"),
            ("SELECT 'a', 'b'", "SELECT 'a'', 'b'"),
            // What a backslash does depends on what stands before the quote.
            ("SELECT E'a', f('b')", "SELECT E'\\', f(' || '"),
            ("SELECT 'a'", "SELECT 'a\\'"),
            ("SELECT -1", "SELECT --1"),
        ] {
            assert!(!same(form, text), "{form}: {text}");
        }
    }
}
