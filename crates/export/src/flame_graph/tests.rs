use super::*;
use crate::sample_profile::{Stacks, any_profile};
use proptest::prelude::*;
use roxmltree::{Document, Node};

fn svg(graph: &FlameGraph<'_>) -> String {
    let mut bytes = Vec::new();
    graph.write_svg(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn boxes<'a>(document: &'a Document<'_>) -> Vec<Node<'a, 'a>> {
    document.descendants().filter(|node| node.attribute("class") == Some("f")).collect()
}

fn child<'a>(node: Node<'a, 'a>, tag: &str) -> Node<'a, 'a> {
    node.children().find(|child| child.has_tag_name(("http://www.w3.org/2000/svg", tag))).unwrap()
}

fn number(node: Node<'_, '_>, attribute: &str) -> f64 {
    node.attribute(attribute).unwrap().parse().unwrap()
}

#[test]
fn boxes_are_as_wide_as_they_have_samples_and_say_so() {
    let profile = Stacks::new().add("app", "main;half", 5000).add("app", "main;k:read", 5000).finish();
    let text = svg(&FlameGraph::new(&profile));
    let document = Document::parse(&text).unwrap();
    let titled = |name: &str| {
        let named =
            |node: &&Node<'_, '_>| child(**node, "title").text().unwrap().starts_with(&format!("{name}\n"));
        *boxes(&document).iter().find(named).unwrap()
    };
    assert_eq!(child(titled("main"), "title").text().unwrap(), "main\n10,000 samples, 100.00 %, 100 s");
    assert_eq!(child(titled("half"), "title").text().unwrap(), "half\n5,000 samples, 50.00 %, 50.00 s");
    let (main, half, read) = ["main", "half", "read"].map(|name| child(titled(name), "rect")).into();
    assert!((number(main, "width") / number(half, "width") - 2.0).abs() < 0.01);
    assert!(number(read, "x") >= number(half, "x") + number(half, "width"));
    assert!(number(half, "y") < number(main, "y"), "callers are below");
    assert!(read.attribute("class").unwrap().starts_with('k'));
    assert!(half.attribute("class").unwrap().starts_with('u'));
    assert_eq!(child(titled("all"), "text").text(), Some("all"));
}

#[test]
fn the_head_says_what_has_been_measured() {
    let profile = Stacks::new().add("app", "main", 1234).finish();
    let text = svg(&FlameGraph::new(&profile).title("<app> & co"));
    let document = Document::parse(&text).unwrap();
    let texts: Vec<_> = document.descendants().filter_map(|node| node.text()).collect();
    assert!(texts.contains(&"<app> & co"));
    let subtitle = "1,234 samples · 12.34 s of CPU time · recorded for 10.00 s · 100 Hz per CPU · 2026-11-23 14:38:09 UTC";
    assert!(texts.contains(&subtitle), "{texts:?}");
}

#[test]
fn a_profile_without_samples_is_a_picture_that_says_so() {
    let text = svg(&FlameGraph::new(&Stacks::new().finish()));
    let document = Document::parse(&text).unwrap();
    assert!(boxes(&document).is_empty() && text.contains("No samples."));
}

#[test]
fn hostile_names_are_inert() {
    let name = "</script><b>$(x)\u{1b}[31m]]>&\"'";
    let profile = Stacks::new().add(name, &format!("{name};m:{name}"), 9).finish();
    let text = svg(&FlameGraph::new(&profile).title(name));
    let document = Document::parse(&text).unwrap();
    let shown = "</script><b>$(x)\\x1b[31m]]>&\"'";
    assert_eq!(boxes(&document).iter().filter(|node| child(**node, "text").text() == Some(shown)).count(), 3);
    assert_eq!(document.descendants().filter(|node| node.has_tag_name("b")).count(), 0);
    assert_eq!((text.matches("</script>").count(), text.matches("]]>").count()), (1, 1));
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn nothing_is_fetched_from_elsewhere() {
    let text = svg(&FlameGraph::new(&Stacks::new().add("app", "main", 1).finish()));
    let addresses: Vec<_> = text.match_indices("http").map(|(at, _)| &text[at..at + 26]).collect();
    assert!(addresses.iter().all(|address| *address == "http://www.w3.org/2000/svg"), "{addresses:?}");
    assert!(!text.contains("@import") && !text.contains("url(") && !text.contains("href"));
}

#[test]
fn text_stays_within_its_box() {
    let profile = Stacks::new()
        .add("app", &format!("main;{}", "w".repeat(500)), 50)
        .add("app", &format!("main;{}", "関".repeat(500)), 40)
        .add("app", "main;abcdef", 1)
        .finish();
    let text = svg(&FlameGraph::new(&profile));
    let document = Document::parse(&text).unwrap();
    for node in boxes(&document) {
        let Some(label) = node.children().find(|child| child.tag_name().name() == "text") else { continue };
        let cells: usize = label.text().unwrap().chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum();
        assert!(cells as f64 * 7.23 <= number(child(node, "rect"), "width"), "{label:?}");
    }
    assert!(text.contains("ww…") && text.contains("関…"));
}

fn html(graph: &FlameGraph<'_>) -> String {
    let mut bytes = Vec::new();
    graph.write_html(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// What the page's script is given.
fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn a_page_has_every_frame_however_narrow() {
    let profile = Stacks::new().add("app", "main;wide", 999_999).add("app", "main;k:narrow", 1).finish();
    let page = html(&FlameGraph::new(&profile).title("<app>"));
    let data = data(&page);
    let names: Vec<&str> =
        data["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names.len(), 5);
    let frame = |name: &str| {
        let name = names.iter().position(|other| *other == name).unwrap();
        data["name"].as_array().unwrap().iter().position(|other| *other == name).unwrap()
    };
    let (wide, narrow) = (frame("wide"), frame("narrow"));
    assert_eq!(frame("all"), 0);
    assert_eq!((&data["w"][wide], &data["w"][narrow]), (&999_999.into(), &1.into()));
    assert_eq!((&data["row"][wide], &data["row"][narrow]), (&3.into(), &3.into()));
    assert_eq!(data["own"][2 * narrow + 1], 10_000_000);
    assert_eq!((&data["scale"], &data["unit"]), (&"ticks".into(), &"nanoseconds".into()));
    assert!(page.contains("<title>&lt;app&gt;</title>") && !page.contains("<app>"));
}

#[test]
fn a_page_runs_and_fetches_nothing_but_its_own() {
    let name = "</script><script>alert(1)</script><!--\u{2028}";
    let profile = Stacks::new().add(name, &format!("{name};m:{name}"), 9).finish();
    let page = html(&FlameGraph::new(&profile).title(name));
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (2, 2));
    assert!(!page.contains("<!--") && !page.contains('\u{2028}'));
    let shown = "</script><script>alert(1)</script><!--\\u{2028}";
    assert!(data(&page)["names"].as_array().unwrap().contains(&shown.into()));
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("url("));
    // The policy knows the script by its hash, which a browser takes of what stands between the tags.
    let script = page.rsplit_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
    use base64::Engine as _;
    use sha2::Digest as _;
    let hash = base64::prelude::BASE64_STANDARD.encode(sha2::Sha256::digest(script));
    assert!(page.contains(&format!("script-src 'sha256-{hash}'")));
    assert!(page.contains("default-src 'none'"));
}

proptest! {
    #[test]
    fn every_page_has_its_data(profile in any_profile(), title in any::<String>()) {
        let page = html(&FlameGraph::new(&profile).title(title));
        let data = data(&page);
        prop_assert_eq!(data["whole"][0].as_u64(), Some(profile.total_count()));
        let own = data["own"].as_array().expect("numbers").iter().step_by(2);
        prop_assert_eq!(own.map(|own| own.as_u64().expect("a number")).sum::<u64>(), profile.total_count());
    }

    #[test]
    fn every_picture_is_well_formed(profile in any_profile(), title in any::<String>()) {
        let text = svg(&FlameGraph::new(&profile).title(title));
        let document = Document::parse(&text);
        prop_assert!(document.is_ok(), "{:?}", document.err());
        let document = document.expect("well-formed");
        prop_assert_eq!(boxes(&document).is_empty(), profile.total_count() == 0);
        let has_escape = text.contains('\u{1b}');
        prop_assert!(!has_escape);
    }
}
