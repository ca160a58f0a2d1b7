//! Any lines as what a source of pods answers, lists and events alike: what the store has told is what it knows, and every pod that
//! goes has been told of before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeSeed;
use std::collections::BTreeSet;
use telegen_k8s::{Change, Owners, PodStore, WatchEvent};

fuzz_target!(|data: &[u8]| {
    let mut store = PodStore::new("n", &["a"], Owners::AsNamed);
    let (mut known, mut told) = (BTreeSet::new(), Vec::new());
    for line in data.split(|&byte| byte == b'\n') {
        match serde_json::from_slice::<WatchEvent>(line) {
            Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => store.put(*pod, &mut told),
            Ok(WatchEvent::Deleted(pod)) => store.delete(&pod, &mut told),
            Ok(WatchEvent::Bookmark(_) | WatchEvent::Error(_)) => {}
            Err(_) => {
                let mut document = serde_json::Deserializer::from_slice(line);
                if let Ok(list) = store.kept().deserialize(&mut document) {
                    store.replace(list.into_pods(), &mut told);
                }
            }
        }
        for change in told.drain(..) {
            match change {
                Change::Here(pod) => drop(known.insert(pod.pod.uid.clone())),
                // Two objects may claim the same uid of control groups.
                Change::Gone(uid) => drop(known.remove(&uid)),
                Change::Standing(_) => unreachable!("nobody has told how the source stands"),
            }
        }
        assert!(known.len() <= store.len());
    }
    store.replace(Vec::new(), &mut told);
    assert!(store.is_empty());
    for change in told {
        let Change::Gone(uid) = change else { unreachable!("there is nothing left") };
        known.remove(&uid);
    }
    assert!(known.is_empty(), "{known:?}");
});
