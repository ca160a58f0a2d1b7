//! The rooms of the house and the arrows between them, as `ARCHITECTURE.md` draws them.

use crate::metadata::Graph;
use std::collections::BTreeSet;

/// Each crate, and the crates of the workspace it may use.
const ROOMS: [(&str, &[&str]); 17] = [
    ("telegen-model", &[]),
    ("telegen-gotable", &[]),
    ("telegen-rules", &["telegen-model"]),
    ("telegen-select", &["telegen-model", "telegen-rules"]),
    ("telegen-process", &["telegen-model"]),
    // Its tests ask a server; the server's own arrow below says that it knows of no client.
    ("telegen-k8s", &["telegen-model", "telegen-test-kubernetes"]),
    ("telegen-bpf", &["telegen-model"]),
    ("telegen-symbolize", &["telegen-gotable", "telegen-model", "telegen-process"]),
    ("telegen-debuginfod", &["telegen-model", "telegen-symbolize"]),
    ("telegen-unwind", &["telegen-gotable", "telegen-model"]),
    ("telegen-config", &["telegen-model"]),
    ("telegen-collect", &["telegen-model", "telegen-process", "telegen-symbolize"]),
    ("telegen-export", &["telegen-model"]),
    (
        "telegen",
        &[
            "telegen-model",
            "telegen-rules",
            "telegen-select",
            "telegen-process",
            "telegen-k8s",
            "telegen-debuginfod",
            "telegen-bpf",
            "telegen-unwind",
            "telegen-symbolize",
            "telegen-config",
            "telegen-collect",
            "telegen-export",
        ],
    ),
    // The end-to-end tests hold telegen to what is documented, so they must not share its code.
    ("telegen-e2e", &["telegen-test-kubernetes"]),
    // What a client of Kubernetes is held to is written from Kubernetes, never from the client.
    ("telegen-test-kubernetes", &[]),
    ("xtask", &[]),
];

/// The arrows of the graph that the table does not have, and the crates that it does not know.
pub(super) fn forbidden_arrows(graph: &Graph) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, uses) in graph {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| room == name) else {
            breaches
                .push(format!("{name} is no known room: say in xtask/src/check/rooms.rs what it may use"));
            continue;
        };
        let forbidden = uses.iter().filter(|used| !allowed.contains(&used.as_str()));
        breaches.extend(forbidden.map(|used| format!("{name} uses {used}, which it may not")));
    }
    breaches
}

/// A way from a crate back to itself, if there is one: cargo allows it where only tests use a crate.
pub(super) fn cycle(graph: &Graph) -> Option<String> {
    let mut left: BTreeSet<&str> = graph.keys().map(String::as_str).collect();
    loop {
        // Takes away what uses nothing that is left, until nothing is left or everything uses something.
        let uses_some = |name: &&str| graph[*name].iter().any(|used| left.contains(used.as_str()));
        let rest: BTreeSet<&str> = left.iter().copied().filter(uses_some).collect();
        if rest.is_empty() {
            return None;
        }
        if rest.len() == left.len() {
            let names: Vec<&str> = rest.into_iter().collect();
            return Some(format!("there is a cycle among {}", names.join(", ")));
        }
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(arrows: &[(&str, &[&str])]) -> Graph {
        let uses = |used: &&[&str]| used.iter().map(|used| (*used).to_owned()).collect();
        arrows.iter().map(|(name, used)| ((*name).to_owned(), uses(used))).collect()
    }

    #[test]
    fn the_table_breaks_none_of_its_own_rules() {
        let table = graph(&ROOMS);
        assert_eq!(table.len(), ROOMS.len(), "a room stands in the table twice");
        assert!(forbidden_arrows(&table).is_empty());
        assert_eq!(cycle(&table), None);
        for (room, allowed) in ROOMS {
            assert!(allowed.iter().all(|used| table.contains_key(*used)), "{room} may use what is no room");
        }
    }

    #[test]
    fn an_arrow_that_is_not_in_the_table_is_a_breach() {
        let bad = graph(&[
            ("telegen-rules", &["telegen-bpf", "telegen-model"]),
            ("telegen-e2e", &["telegen-model"]),
            ("telegen-bpf", &[]),
            ("telegen-model", &[]),
        ]);
        let expected = [
            "telegen-e2e uses telegen-model, which it may not",
            "telegen-rules uses telegen-bpf, which it may not",
        ];
        assert_eq!(forbidden_arrows(&bad), expected);
    }

    #[test]
    fn a_crate_that_nobody_put_into_the_table_is_a_breach() {
        let breaches = forbidden_arrows(&graph(&[("telegen-misc", &[])]));
        assert_eq!(breaches.len(), 1);
        assert!(breaches[0].starts_with("telegen-misc is no known room"), "{breaches:?}");
    }

    #[test]
    fn a_cycle_is_found_however_long_it_is() {
        assert_eq!(cycle(&graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])), None);
        let long = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &[])]);
        assert_eq!(cycle(&long).as_deref(), Some("there is a cycle among a, b, c"));
        assert!(cycle(&graph(&[("a", &["a"])])).is_some());
    }
}
