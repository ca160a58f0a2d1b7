//! The documentation shows the reference as the program prints it.

use std::path::Path;

#[test]
fn the_documentation_has_the_reference_as_it_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(&path).expect("docs/configuration.md");
    let shown = text.split("```text\n").nth(1).and_then(|text| text.split("```").next());
    assert_eq!(
        shown.expect("a block of text"),
        telegen_config::reference(),
        "put the output of `telegen config reference` between the fences of docs/configuration.md"
    );
}
