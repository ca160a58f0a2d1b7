//! Holds the book to what the program does: its configurations are accepted, its examples select whom it says, and its
//! commands, keys, metrics and figures are there.

mod book;
mod node;

use crate::cli::Cli;
use crate::metrics::Metrics;
use crate::settings::Settings;
use book::{Block, Page, book, page, pages_in};
use clap::{CommandFactory, Parser};
use node::{Process, Source, node, selected, selection};
use std::collections::BTreeSet;
use telegen_config::{Rules, parse, parse_moment};
use telegen_rules::{Key, RuleSet};

const FILTERING: &str = "docs/process-filtering.md";
const QUICK: &str = "docs/quick-reference.md";
const ALL_IN_ONE: &str = "configs/profiler-filtering-examples.yaml";

/// As `telegen config check` reads it.
fn load(name: &str, text: &str) -> Result<Settings, String> {
    let loaded = parse(name, text.as_bytes()).map_err(|error| error.to_string())?;
    Settings::of(loaded, &Rules::default()).map_err(|failure| failure.to_string())
}

/// The rules of a configuration as they hold before any target has ended.
fn rules(name: &str, text: &str) -> RuleSet {
    let settings = load(name, text).unwrap_or_else(|error| panic!("{error}"));
    RuleSet::compile(settings.rules.spec()).expect("they have been compiled before")
}

/// Both ways to know of pods, as the page has the node.
struct Nodes {
    kubernetes: Vec<Process>,
    themselves: Vec<Process>,
}

impl Nodes {
    fn read() -> Self {
        let page = page(FILTERING);
        let (kubernetes, themselves) = (node(&page, Source::Kubernetes), node(&page, Source::Themselves));
        assert!(kubernetes.len() > 19, "the table of processes has not been read");
        Self { kubernetes, themselves }
    }

    /// Holds a block to what is said of it; true if it says whom it selects.
    fn check(&self, block: &Block) -> bool {
        let Some(said) = block.said("Selects") else { return false };
        let (place, rules) = (&block.place, rules(&block.place, &block.text));
        let expected = selection(said);
        assert_eq!(selected(&rules, &self.kubernetes), expected, "{place}");
        let without = block.said("Without a Kubernetes source").map_or(expected, selection);
        assert_eq!(selected(&rules, &self.themselves), without, "{place}, without a Kubernetes source");
        for (what, said) in &block.said {
            let Some(moment) = what.strip_prefix("From ").and_then(|what| what.strip_suffix(" on")) else {
                continue;
            };
            let rules = rules.at(parse_moment(moment).unwrap());
            assert_eq!(selected(&rules, &self.kubernetes), selection(said), "{place}, from {moment} on");
        }
        true
    }
}

impl Block {
    fn said(&self, what: &str) -> Option<&str> {
        self.said.iter().find(|(said, _)| said == what).map(|(_, rest)| rest.as_str())
    }

    fn commented(&self, what: &str) -> Option<&str> {
        self.comment.as_ref().filter(|(said, _)| said == what).map(|(_, rest)| rest.as_str())
    }
}

fn blocks(language: &str) -> Vec<Block> {
    let all = book().iter().flat_map(Page::blocks).collect::<Vec<_>>();
    all.into_iter().filter(|block| block.language == language).collect()
}

/// The blocks that are files, too, and the names of these.
fn examples() -> Vec<(String, Block)> {
    let name = |block: Block| Some((block.commented("example")?.to_owned(), block));
    page(FILTERING).blocks().into_iter().filter_map(name).collect()
}

#[test]
fn every_configuration_in_the_book_is_accepted_or_fails_as_it_says() {
    let blocks = blocks("yaml");
    assert!(blocks.len() > 20, "only {} blocks", blocks.len());
    for block in blocks {
        let outcome = load(&block.place, &block.text);
        match (block.commented("fails"), outcome) {
            (None, Ok(_)) => {}
            (None, Err(error)) => panic!("{}: {error}", block.place),
            (Some(_), Ok(_)) => panic!("{}: accepted, though it should not be", block.place),
            (Some(text), Err(error)) => assert!(error.contains(text), "{}: {error}", block.place),
        }
    }
}

#[test]
fn every_configuration_file_is_accepted_without_a_warning() {
    let files = pages_in("configs", ".yaml");
    assert!(files.len() > 9, "only {} files", files.len());
    for Page { name, text } in files {
        let settings = load(&name, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(settings.loaded.warnings, [], "{name}");
        assert_eq!(rules(&name, &text).warnings(), [], "{name}");
    }
}

#[test]
fn examples_select_whom_the_book_says() {
    let nodes = Nodes::read();
    let checked = blocks("yaml").iter().filter(|block| nodes.check(block)).count();
    assert!(checked > 15, "only {checked} examples");
}

#[test]
fn each_kind_of_rule_selects_whom_the_book_says() {
    let nodes = Nodes::read();
    let mut shown = BTreeSet::new();
    for row in page(FILTERING).table("## Kinds of rules") {
        let rule = row[0].trim_matches('`');
        let rules = rules(rule, &format!("profiler:\n  {rule}\n"));
        assert_eq!(selected(&rules, &nodes.kubernetes), selection(&row[2]), "{rule}");
        shown.insert(rule.split(':').next().unwrap().to_owned());
    }
    let keys = Key::ALL.iter().map(|key| key.name()).filter(|name| name.starts_with("target_"));
    assert_eq!(shown, keys.map(str::to_owned).collect());
}

#[test]
fn patterns_match_what_the_book_says() {
    let rows = page(FILTERING).table("## Patterns");
    assert!(rows.len() > 7);
    for row in rows {
        let pattern = row[0].trim_matches('`');
        // A mapping in JSON is one in YAML.
        let text = serde_json::json!({"profiler": {"target_executables": [pattern]}}).to_string();
        let rules = rules(pattern, &text);
        let mut process = node(&page(FILTERING), Source::Kubernetes).remove(0);
        for (cell, matches) in [(&row[1], true), (&row[2], false)] {
            for executable in cell.split(", ") {
                process.facts.executable = Some(executable.into());
                let found = !selected(&rules, std::slice::from_ref(&process)).is_empty();
                assert_eq!(found, matches, "{pattern} and {executable}");
            }
        }
    }
}

#[test]
fn examples_are_what_the_files_are() {
    let examples = examples();
    assert!(examples.len() > 8);
    let mut all_in_one = page(ALL_IN_ONE).text;
    for (name, block) in &examples {
        assert!(block.said("Selects").is_some(), "{name} does not say whom it selects");
        let file = page(&format!("configs/examples/{name}.yaml")).text;
        let code: String =
            file.lines().skip_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        assert_eq!(code, block.text, "configs/examples/{name}.yaml");
        let comments: String = block.text.lines().map(|line| format!("# {line}\n")).collect();
        let place = [&block.text, &comments].into_iter().find(|text| all_in_one.contains(text.as_str()));
        all_in_one =
            all_in_one.replacen(place.unwrap_or_else(|| panic!("{ALL_IN_ONE} without {name}")), "", 1);
    }
    let names: BTreeSet<_> =
        examples.iter().map(|(name, _)| format!("configs/examples/{name}.yaml")).collect();
    assert_eq!(names, pages_in("configs/examples", ".yaml").into_iter().map(|page| page.name).collect());
    let rest: Vec<&str> =
        all_in_one.lines().filter(|line| !line.is_empty() && !line.starts_with("##")).collect();
    assert_eq!(rest, [""; 0], "{ALL_IN_ONE} has more than the examples");
}

#[test]
fn promised_lines_are_those_of_the_examples() {
    let text = page(FILTERING).text;
    for (name, block) in examples() {
        if ["java-only", "payments-week"].contains(&name.as_str()) {
            let summary = rules(&name, &block.text).summary();
            let line = format!("[INFO] initialized process filter, summary={summary:?}\n");
            assert!(text.contains(&line), "no {line}");
        }
    }
}

#[test]
fn figures_are_those_that_were_measured() {
    let rows = page("docs/performance.md").table("# Performance");
    let quoted = page(FILTERING).table("## What it costs in memory");
    assert!(quoted.len() > 1);
    for row in quoted {
        let is_same =
            |measured: &&Vec<String>| [&measured[0], &measured[1], &measured[3]].into_iter().eq(&row);
        assert!(rows.iter().any(|row| is_same(&row)), "not in docs/performance.md: {row:?}");
    }
}

#[test]
fn commands_are_understood() {
    let mut checked = 0;
    for block in blocks("console") {
        for command in block.text.lines().filter_map(|line| line.strip_prefix("$ telegen ")) {
            let command = command.split("  #").next().unwrap_or_default().trim();
            let parsed = Cli::try_parse_from(words(&format!("telegen {command}")));
            assert!(parsed.is_ok(), "{}: {command}\n{}", block.place, parsed.unwrap_err());
            checked += 1;
        }
    }
    assert!(checked > 15, "only {checked} commands");
}

/// A command line without anything but single quotes.
fn words(line: &str) -> Vec<String> {
    let mut quoted = false;
    let is_end = |c: char| {
        quoted ^= c == '\'';
        c == ' ' && !quoted
    };
    line.split(is_end).map(|word| word.replace('\'', "")).filter(|word| !word.is_empty()).collect()
}

#[test]
fn metrics_in_the_book_are_there() {
    let rendered = Metrics::new().render();
    let page = page(FILTERING);
    let names: BTreeSet<&str> = page.words_from("telegen_profiler_").into_iter().collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(rendered.contains(name.trim_end_matches("_total")), "there is no {name}");
    }
}

#[test]
fn the_quick_reference_has_every_key_and_flag() {
    let text = page(QUICK).text;
    for key in Key::ALL {
        assert!(text.contains(&format!("`{}", key.name())), "no {}", key.name());
    }
    let command = Cli::command();
    let agent = command.find_subcommand("agent").expect("there is one");
    for flag in agent.get_arguments().filter_map(|argument| argument.get_long()) {
        assert!(text.contains(&format!("--{flag} ")), "no --{flag}");
    }
}
