//! The script of a flame graph.

use crate::recording::recording;
use std::process::Command;
use telegen_export::FlameGraph;

#[test]
fn the_script_is_one() {
    let mut svg = Vec::new();
    FlameGraph::new(&recording()).write_svg(&mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let script =
        document.descendants().find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "script")));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script.js");
    std::fs::write(&path, script.unwrap().text().unwrap()).unwrap();
    let Ok(output) = Command::new("node").arg("--check").arg(&path).output() else {
        eprintln!("SKIPPED: there is no `node` here to parse the script");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
