//! Lists and changes as JSON: the same from the command and from the agent.

use super::Decided;
use super::entry::Entry;
use crate::engine::{Change, ChangeKind};
use serde::Serialize;
use std::time::{Duration, SystemTime};
use telegen_rules::{RuleSet, Verdict};
use telegen_select::SelectedProcess;

/// A piece is not ended before it has so many bytes: what is written for few bytes costs more than they do.
const PIECE_BYTES: usize = 32 << 10;

/// What stands in front of a list.
#[derive(Serialize)]
pub(crate) struct Figures {
    scanned: usize,
    matched: usize,
    duration_ms: f64,
}

impl Figures {
    /// How many processes were looked at, how many are profiled, and how long the looking took.
    pub(crate) fn new(scanned: usize, matched: usize, took: Duration) -> Self {
        Self { scanned, matched, duration_ms: took.as_secs_f64() * 1e3 }
    }
}

/// A list of processes that the agent knows, piece by piece.
pub(crate) fn list_of_selected(
    figures: Figures,
    processes: impl Iterator<Item = SelectedProcess>,
) -> impl Iterator<Item = String> {
    list(figures, processes.map(|process| selected_entry(&process)))
}

/// A list, piece by piece, such that never all of it has to be in memory.
pub(super) fn list<E: Serialize>(
    figures: Figures,
    entries: impl Iterator<Item = E>,
) -> impl Iterator<Item = String> {
    let head = format!("{},\"processes\":[", text(&figures).trim_end_matches('}'));
    let mut entries = entries.peekable();
    let mut next = Some(head);
    std::iter::from_fn(move || {
        let mut piece = next.take()?;
        while let Some(entry) = entries.next() {
            piece.push_str(&text(&entry));
            if entries.peek().is_some() {
                piece.push(',');
                if piece.len() >= PIECE_BYTES {
                    next = Some(String::with_capacity(PIECE_BYTES + PIECE_BYTES / 4));
                    return Some(piece);
                }
            }
        }
        piece.push_str("]}\n");
        Some(piece)
    })
}

/// A change, as a line.
pub(crate) fn change(change: &Change) -> String {
    change_line(change.kind, change.at, selected_entry(&change.process))
}

/// That a process has been a target, or none, since before anybody watched, as a line; nothing if that is open.
pub(crate) fn standing(process: &SelectedProcess, now: SystemTime) -> Option<String> {
    let kind = match process.decision.verdict {
        Verdict::Profile => ChangeKind::Started,
        Verdict::Skip => ChangeKind::LeftOut,
        Verdict::Pending => return None,
    };
    Some(change_line(kind, now, selected_entry(process)))
}

/// A change of a process that these rules have decided on, as a line.
pub(super) fn decided_change(kind: ChangeKind, at: SystemTime, rules: &RuleSet, process: &Decided) -> String {
    change_line(kind, at, Entry::new(rules, process))
}

/// The word for a change.
pub(super) fn change_name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Started => "start",
        ChangeKind::LeftOut => "skip",
        ChangeKind::Ended => "end",
    }
}

/// To the millisecond, in UTC, as long in every line.
pub(super) fn shown_time(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[derive(Serialize)]
struct ChangeEntry {
    time: String,
    change: &'static str,
    #[serde(flatten)]
    process: Entry,
}

fn change_line(kind: ChangeKind, at: SystemTime, process: Entry) -> String {
    text(&ChangeEntry { time: shown_time(at), change: change_name(kind), process }) + "\n"
}

fn selected_entry(process: &SelectedProcess) -> Entry {
    let SelectedProcess { facts, decision, rules } = process;
    Entry::new(rules, &Decided { facts: facts.clone(), decision: *decision })
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers under names that are texts can always be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: u32) -> impl Iterator<Item = serde_json::Value> {
        (0..count).map(|pid| serde_json::json!({ "pid": pid, "name": "\"\n", "reason": "x".repeat(100) }))
    }

    #[test]
    fn a_list_is_one_document_in_pieces_of_bounded_size() {
        for count in [0, 1, 2, 10_000] {
            let pieces: Vec<String> =
                list(Figures::new(7, 3, Duration::from_millis(1)), entries(count)).collect();
            assert!(pieces.iter().all(|piece| piece.len() < 2 * PIECE_BYTES), "{count}");
            let whole = pieces.concat();
            assert!(whole.ends_with("]}\n"));
            let list: serde_json::Value = serde_json::from_str(&whole).unwrap();
            assert_eq!((&list["scanned"], &list["matched"]), (&7.into(), &3.into()));
            let listed = list["processes"].as_array().unwrap();
            assert_eq!(listed.len(), count as usize);
            assert!(listed.iter().zip(0..).all(|(process, pid): (_, u32)| process["pid"] == pid));
        }
    }
}
