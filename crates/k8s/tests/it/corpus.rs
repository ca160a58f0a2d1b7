//! What the fuzzer begins with.

use serde::de::DeserializeSeed;
use std::fs;
use std::path::Path;
use telegen_k8s::{Change, Owners, PodStore, WatchEvent};

#[test]
fn the_corpus_holds_events_and_lists_that_are_understood() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/pods");
    let (mut events, mut lists, mut here, mut gone) = (0, 0, 0, 0);
    for entry in fs::read_dir(&directory).expect("a corpus") {
        let text = fs::read(entry.expect("an entry").path()).expect("an input");
        let mut store = PodStore::new("n", &["a"], Owners::AsNamed);
        let mut told = Vec::new();
        for line in text.split(|&byte| byte == b'\n') {
            if let Ok(event) = serde_json::from_slice::<WatchEvent>(line) {
                events += 1;
                match event {
                    WatchEvent::Added(pod) | WatchEvent::Modified(pod) => store.put(*pod, &mut told),
                    WatchEvent::Deleted(pod) => store.delete(&pod, &mut told),
                    WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
                }
            } else if let Ok(list) = store.kept().deserialize(&mut serde_json::Deserializer::from_slice(line))
            {
                lists += 1;
                store.replace(list.into_pods(), &mut told);
            }
        }
        store.replace(Vec::new(), &mut told);
        assert!(store.is_empty());
        here += told.iter().filter(|change| matches!(change, Change::Here(_))).count();
        gone += told.iter().filter(|change| matches!(change, Change::Gone(_))).count();
    }
    assert!(events > 0 && lists > 0 && here > 0 && gone > 0, "{events} {lists} {here} {gone}");
}
