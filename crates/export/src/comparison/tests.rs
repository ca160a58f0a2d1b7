use super::*;
use crate::sample_profile::{Stacks, any_profile};
use crate::write_pprof;
use proptest::prelude::*;
use std::path::Path;
use telegen_model::Profile;

fn read(profile: &Profile) -> PprofFile {
    let mut bytes = Vec::new();
    write_pprof(profile, &mut bytes).unwrap();
    PprofFile::parse(Path::new("a.pb.gz"), &bytes).unwrap()
}

fn compare(before: &Profile, after: &Profile) -> Comparison {
    Comparison::new(&read(before), &read(after)).unwrap()
}

/// 100 ticks before, 200 after.
fn slower() -> Comparison {
    let before = Stacks::new()
        .add("app", "main;parse", 50)
        .add("app", "main;parse;parse", 20)
        .add("app", "main;gone", 20)
        .add("app", "main;k:read", 10)
        .finish();
    let after = Stacks::new()
        .add("app", "main;parse", 80)
        .add("app", "main;fresh", 100)
        .add("app", "main;k:read", 20)
        .finish();
    compare(&before, &after)
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn folded_stacks_have_their_values_before_and_after() {
    let folded = text(|to| slower().write_folded(to));
    let tick = 10_000_000_u64;
    let expected = [
        ("app;main;fresh", 0, 100),
        ("app;main;gone", 20, 0),
        ("app;main;parse", 50, 80),
        ("app;main;parse;parse", 20, 0),
        ("app;main;read_[k]", 10, 20),
    ];
    let line =
        |(stack, before, after): (&str, u64, u64)| format!("{stack} {} {}\n", before * tick, after * tick);
    assert_eq!(folded, expected.map(line).concat());
}

#[test]
fn what_has_changed_most_comes_first_and_recursion_counts_once() {
    let table = slower().functions(3).to_string();
    let expected = "          self                        total
 before    after   change    before    after   change  function
  0.00%   50.00%  +50.00%     0.00%   50.00%  +50.00%  fresh
 70.00%   40.00%  -30.00%    70.00%   40.00%  -30.00%  parse
 20.00%    0.00%  -20.00%    20.00%    0.00%  -20.00%  gone
";
    assert_eq!(table, expected);
    let functions = slower().functions(usize::MAX).functions;
    let read = functions.iter().find(|function| &*function.name == "read").unwrap();
    assert!(read.is_kernel && read.own.growth(slower().whole()) == 0.0);
    assert_eq!(functions.len(), 5);
}

#[test]
fn values_without_a_counterpart_are_refused() {
    let mut other = read(&Stacks::new().add("app", "main", 1).finish());
    other.rename_types("inuse_space");
    let error = Comparison::new(&read(&Stacks::new().finish()), &other).unwrap_err().to_string();
    let expected = "the profiles cannot be compared: one has samples/count, cpu/nanoseconds, the other \
                    inuse_space/count, inuse_space/nanoseconds";
    assert_eq!(error, expected);
}

#[test]
fn nothing_at_all_is_compared_with_something() {
    let empty = Stacks::new().finish();
    let full = Stacks::new().add("app", "main", 1).finish();
    let comparison = compare(&empty, &full);
    assert_eq!(comparison.whole(), Change { before: 0, after: 10_000_000 });
    assert!(text(|to| comparison.write_svg(to)).contains("main"));
    assert!(text(|to| compare(&empty, &empty).write_svg(to)).contains("No samples."));
}

#[test]
fn the_picture_says_how_much_and_in_which_direction() {
    let svg = text(|to| slower().write_svg(to));
    let document = roxmltree::Document::parse(&svg).unwrap();
    let titled = |name: &str| {
        let boxes = document.descendants().filter(|node| node.attribute("class") == Some("f"));
        let named = boxes.filter(|node| {
            node.children()
                .any(|child| child.text().is_some_and(|text| text.starts_with(&format!("{name}\n"))))
        });
        let node = named.max_by_key(|node| node.range().start).unwrap();
        let class = node.children().find(|child| child.has_tag_name(("http://www.w3.org/2000/svg", "rect")));
        (node.first_child().unwrap().text().unwrap(), class.unwrap().attribute("class").unwrap())
    };
    let about = "fresh\n+50.00 points: before 0.00 % (0 µs), after 50.00 % (1.00 s)";
    assert_eq!(titled("fresh"), (about, "g5"));
    assert_eq!(titled("gone").1, "s5");
    assert_eq!(titled("read").1, "n");
    assert!(svg.contains("before 1.00 s in 10.00 s · after 2.00 s in 10.00 s"));
}

#[test]
fn foreign_units_are_inert() {
    let mut files = [1, 2].map(|count| read(&Stacks::new().add("app", "main", count).finish()));
    files.iter_mut().for_each(|file| file.rename_units("<b>\u{1b}[31m"));
    let comparison = Comparison::new(&files[0], &files[1]).unwrap();
    let svg = text(|to| comparison.write_svg(to));
    assert!(roxmltree::Document::parse(&svg).is_ok() && svg.contains("&lt;b&gt;\\x1b[31m"));
    assert!(!comparison.to_string().contains('\u{1b}'));
    assert!(!text(|to| comparison.write_html(to)).contains("<b>"));
}

#[test]
fn json_has_functions_and_stacks() {
    let document: serde_json::Value = serde_json::from_str(&text(|to| slower().write_json(to))).unwrap();
    assert_eq!((&document["format"], &document["version"]), (&"telegen-diff".into(), &1.into()));
    assert_eq!(document["after"]["total"], 2_000_000_000_u64);
    assert_eq!(document["functions"][0]["name"], "fresh");
    assert_eq!(document["functions"][0]["self"], serde_json::json!([0, 1_000_000_000]));
    let stack = serde_json::json!({
        "frames": [
            {"name": "app", "kind": "process"},
            {"name": "main", "kind": "user"},
            {"name": "read", "kind": "kernel"},
        ],
        "values": [100_000_000, 200_000_000],
    });
    assert!(document["stacks"].as_array().unwrap().contains(&stack));
}

proptest! {
    #[test]
    fn both_sides_are_there_whole(before in any_profile(), after in any_profile()) {
        let comparison = compare(&before, &after);
        let whole = Change { before: before.total_count() * 7, after: after.total_count() * 7 };
        prop_assert_eq!(comparison.whole(), whole);
        let mut sums = Change::default();
        for line in text(|to| comparison.write_folded(to)).lines() {
            let mut words = line.rsplit(' ');
            let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
            let (after, before) = (number(), number());
            sums += Change { before, after };
        }
        prop_assert_eq!(sums, whole);
        prop_assert!(roxmltree::Document::parse(&text(|to| comparison.write_svg(to))).is_ok());
    }

    #[test]
    fn a_profile_differs_from_itself_in_nothing(profile in any_profile()) {
        let comparison = compare(&profile, &profile);
        for function in comparison.functions(usize::MAX).functions {
            prop_assert_eq!(function.own.growth(comparison.whole()), 0.0);
            prop_assert_eq!(function.total.growth(comparison.whole()), 0.0);
        }
    }
}
