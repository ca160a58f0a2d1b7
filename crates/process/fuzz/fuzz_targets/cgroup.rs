//! Any text as `/proc/PID/cgroup`: a container comes of it or none, and its id is one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telegen_process::parse_container;

fuzz_target!(|data: &[u8]| {
    if let Some(container) = parse_container(data) {
        assert_eq!(container.id.as_str().len(), 64);
        assert!(container.pod_uid.is_none_or(|uid| (32..=36).contains(&uid.len())));
    }
});
