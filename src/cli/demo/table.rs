//! A table for a terminal: boxes, wrapped text, and columns as wide as what is seen in them (a
//! Chinese character takes two places).

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Places a column may take; longer values are wrapped.
const WIDEST: usize = 30;

/// Renders cells in columns, the first line as heading. `groups` counts the rows between rules.
pub(super) fn render(heading: &[String], rows: &[Vec<String>], group: usize) -> String {
    let wrapped: Vec<Vec<Vec<String>>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| wrap(cell)).collect())
        .collect();
    let width_of = |column: usize| {
        let cells = wrapped.iter().filter_map(|row| row.get(column)).flatten();
        let widest = cells.map(|line| line.width()).max().unwrap_or(0);
        widest.max(heading.get(column).map_or(0, |title| title.width()))
    };
    let widths: Vec<usize> = (0..heading.len()).map(width_of).collect();
    let mut table = rule(&widths, '┌', '┬', '┐');
    let titles: Vec<Vec<String>> = heading.iter().map(|title| vec![title.clone()]).collect();
    table.push_str(&row(&titles, &widths));
    for (number, cells) in wrapped.iter().enumerate() {
        if number % group.max(1) == 0 {
            table.push_str(&rule(&widths, '├', '┼', '┤'));
        }
        table.push_str(&row(cells, &widths));
    }
    table.push_str(&rule(&widths, '└', '┴', '┘'));
    table
}

fn rule(widths: &[usize], left: char, middle: char, right: char) -> String {
    let parts: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
    format!("  {left}{}{right}\n", parts.join(&middle.to_string()))
}

fn row(cells: &[Vec<String>], widths: &[usize]) -> String {
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let mut lines = String::new();
    for line in 0..height {
        lines.push_str("  ");
        for (cell, width) in cells.iter().zip(widths) {
            let text = cell.get(line).map_or("", String::as_str);
            let blank = " ".repeat(width.saturating_sub(text.width()));
            lines.extend(["│ ", text, &blank, " "]);
        }
        lines.push_str("│\n");
    }
    lines
}

/// Breaks a text at blanks, and inside a word that is too long by itself.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        for piece in pieces(word) {
            let last = lines.last().map_or(0, |line| line.width());
            if last > 0 && last + piece.trim_end().width() > WIDEST {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                line.push_str(&piece);
            }
        }
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn pieces(word: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut width = 0;
    for c in word.chars() {
        let places = c.width().unwrap_or(0);
        if c != ' ' && width + places > WIDEST {
            pieces.push(String::new());
            width = 0;
        }
        width += places;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::{WIDEST, render, wrap};
    use unicode_width::UnicodeWidthStr as _;

    fn cells(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_chinese_character_takes_two_places() {
        let table = render(
            &cells(&["", "app"]),
            &[cells(&["name", "欧阳晓"]), cells(&["id", "7"])],
            2,
        );
        assert_eq!(
            table,
            "  ┌──────┬────────┐\n\
             \x20 │      │ app    │\n\
             \x20 ├──────┼────────┤\n\
             \x20 │ name │ 欧阳晓 │\n\
             \x20 │ id   │ 7      │\n\
             \x20 └──────┴────────┘\n"
        );
    }

    #[test]
    fn long_texts_are_broken_where_they_may_be() {
        let text = "refused: cannot order by column name of table bank.customers";
        let lines = wrap(text);
        assert_eq!(
            lines,
            [
                "refused: cannot order by",
                "column name of table",
                "bank.customers"
            ]
        );
        let token = "x".repeat(WIDEST + 3);
        assert_eq!(wrap(&token), ["x".repeat(WIDEST), "xxx".to_owned()]);
        assert!(
            wrap("对青霉素过敏者对青霉素过敏者对青霉素过敏者")
                .iter()
                .all(|line| line.width() <= WIDEST)
        );
    }
}
