//! docs/performance.md: the table of what was measured, and how.

use super::Row;
use std::fmt::Write;

/// What stands above the table, behind the line that says where it was measured.
const HOW_TO_READ: &str = include_str!("page/how_to_read.md");
/// What stands below the table.
const METHODS: &str = include_str!("page/methods.md");

/// The page that quotes some of the figures.
pub(super) const QUOTES: &str = "docs/process-filtering.md";

/// The whole page, as the command with these flags has measured it.
pub(super) fn page(flags: &str, table: &str) -> String {
    let machine = rustix::system::uname();
    format!(
        "# Performance\n\nWritten by `cargo xtask bench{flags}`, as root, with the release binary. Machine: {} CPUs, Linux {}, {}.\n\n\
         {HOW_TO_READ}\n{table}\n{METHODS}",
        std::thread::available_parallelism().map_or(0, usize::from),
        machine.release().to_string_lossy(),
        machine.machine().to_string_lossy(),
    )
}

/// The rows as a table.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| # | what | budget | measured | |\n|---|---|---|---|---|\n");
    for row in rows {
        let met = match row.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "| {} | {} | {} | {} | {met} |", row.number, row.what, row.budget, row.measured);
    }
    text
}

/// The page with the lines of a table put where those of the same budgets stand, or where they belong by their numbers. A line
/// without a number takes the place of the one that says the same, or comes behind the one that it follows in the table.
pub(super) fn replace_rows(page: &str, table: &str) -> String {
    let mut lines: Vec<&str> = page.lines().collect();
    let mut numbers: Vec<u32> = table.lines().filter_map(number).collect();
    numbers.dedup();
    for of in numbers {
        let rows: Vec<&str> = table.lines().filter(|row| number(row) == Some(of)).collect();
        let there = lines.iter().position(|line| number(line) == Some(of));
        let at = there.or_else(|| place_of(&lines, of)).unwrap_or(lines.len());
        // Those that stood there are behind `at`, which does not move.
        lines.retain(|line| number(line) != Some(of));
        lines.splice(at..at, rows);
    }
    let mut before = None;
    for row in table.lines().filter(|row| number(row).is_some() || row.starts_with(UNNUMBERED)) {
        if row.starts_with(UNNUMBERED) {
            match lines.iter().position(|line| line.starts_with(UNNUMBERED) && what(line) == what(row)) {
                Some(at) => lines[at] = row,
                None => {
                    let behind = before.and_then(|before| lines.iter().rposition(|line| *line == before));
                    let at = behind.or_else(|| lines.iter().rposition(|line| line.starts_with('|')));
                    lines.insert(at.map_or(lines.len(), |at| at + 1), row);
                }
            }
        }
        before = Some(row);
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The page that quotes figures with those of the same budgets put in their place.
pub(super) fn replace_quotes(page: &str, rows: &[Row]) -> String {
    let quoted = |row: &&Row| page.lines().any(|line| number(line) == number(&format!("| {} ", row.number)));
    let quotes = rows.iter().filter(|row| row.number != "–").filter(quoted);
    let quotes: String =
        quotes.map(|row| format!("| {} | {} | {} |\n", row.number, row.what, row.measured)).collect();
    replace_rows(page, &quotes)
}

/// Before the first line with a larger number, else behind the table.
fn place_of(lines: &[&str], of: u32) -> Option<usize> {
    let larger = lines.iter().position(|line| number(line).is_some_and(|number| number > of));
    larger.or_else(|| lines.iter().rposition(|line| line.starts_with('|')).map(|last| last + 1))
}

/// How a line begins that is no budget's.
const UNNUMBERED: &str = "| – |";

fn what(line: &str) -> Option<&str> {
    line.split('|').nth(2)
}

fn number(line: &str) -> Option<u32> {
    line.strip_prefix("| P")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_where_those_of_their_budget_stand() {
        let page = "# Page\n| # | what |\n| P1 | a |\n| P1 | b |\n| – | beside |\n| P12 | c |\n\nEnd\n";
        let replaced = replace_rows(page, "| # | what |\n| P1 | x |\n| P1 | y |\n| – | z |\n");
        assert_eq!(
            replaced,
            "# Page\n| # | what |\n| P1 | x |\n| P1 | y |\n| – | z |\n| – | beside |\n| P12 | c |\n\nEnd\n"
        );
    }

    #[test]
    fn lines_without_a_number_take_the_place_of_what_says_the_same() {
        let page = "| # | what |\n| P1 | a | 1 |\n| – | beside | 2 |\n| – | other | 3 |\n| P2 | b | 4 |\n";
        let replaced = replace_rows(page, "| # | what |\n| – | other | 5 |\n| – | new | 6 |\n");
        assert_eq!(
            replaced,
            "| # | what |\n| P1 | a | 1 |\n| – | beside | 2 |\n| – | other | 5 |\n| – | new | 6 |\n| P2 | b | 4 |\n"
        );
    }

    #[test]
    fn lines_of_a_budget_that_is_new_find_their_place() {
        let page = "# Page\n| # | what |\n| P1 | a |\n| P12 | c |\n| – | beside |\n\nEnd\n";
        let replaced = replace_rows(page, "| # | what |\n| P7 | x |\n| P7 | y |\n| P15 | z |\n");
        assert_eq!(
            replaced,
            "# Page\n| # | what |\n| P1 | a |\n| P7 | x |\n| P7 | y |\n| P12 | c |\n| – | beside |\n| P15 | z |\n\nEnd\n"
        );
    }

    #[test]
    fn only_what_is_quoted_is_quoted_anew() {
        let row = |number, measured: &str| Row {
            number,
            what: "x".into(),
            budget: "1",
            measured: measured.into(),
            met: None,
        };
        let rows = [row("P2", "new"), row("–", "beside"), row("P7", "other")];
        assert_eq!(replace_quotes("| P2 | x | old |\n\n", &rows), "| P2 | x | new |\n\n");
    }

    #[test]
    fn a_missed_budget_stands_out() {
        let row = Row { number: "P0", what: "x".into(), budget: "1", measured: "2".into(), met: Some(false) };
        assert!(table(&[row]).contains("| P0 | x | 1 | 2 | **missed** |"));
    }

    #[test]
    fn the_page_says_how_each_of_its_figures_was_measured() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page.contains(HOW_TO_READ) && page.ends_with(METHODS));
        for row in page.lines().filter_map(number) {
            assert!(METHODS.contains(&format!("**P{row}**")), "P{row}");
        }
    }
}
