//! What the kernel side may decide by itself.

use crate::decisions::{facts, rules};
use crate::generated::{processes, specs};
use proptest::prelude::*;
use telegen_model::{ProcessFacts, base_name};
use telegen_rules::{
    Decision, KernelRules, MatchMode, PatternForm, PodAnnotations, RuleSet, RuleSpec, Subject, TargetId,
    TargetSpec, TargetingSpec, Verdict,
};

/// A process as the kernel sees it, in bytes.
#[derive(Debug)]
struct Seen {
    comm: Vec<u8>,
    path: Vec<u8>,
    argv0: Vec<u8>,
}

impl Seen {
    fn names(&self) -> Vec<&[u8]> {
        let name = self.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let names = [Some(&*self.comm), Some(name), Some(&*self.argv0).filter(|name| !name.is_empty())];
        names.into_iter().flatten().collect()
    }

    /// What the kernel side says by itself.
    fn yes(&self, rules: &KernelRules) -> Option<TargetId> {
        rules.yes(&self.names(), &self.path)
    }

    /// Whether the kernel side says no by itself.
    fn no(&self, rules: &KernelRules) -> bool {
        rules.no(&self.names(), &self.path)
    }

    /// What user space knows of the same process, beside what the kernel cannot see.
    fn facts(&self, hidden: ProcessFacts) -> ProcessFacts {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let argv0 = text(&self.argv0);
        ProcessFacts {
            kernel_thread: false,
            comm: text(&self.comm).into(),
            executable: Some(text(&self.path).into()),
            argv0: (!argv0.is_empty()).then(|| base_name(&argv0).into()),
            ..hidden
        }
    }
}

prop_compose! {
    fn seen()(comm in name(1), path in name(0), argv0 in name(0)) -> Seen {
        Seen { comm, path: [b"/".to_vec(), path].concat(), argv0 }
    }
}

/// Bytes that simple and other patterns match, some of them no UTF-8.
fn name(least: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece =
        prop::sample::select(vec![&b"a"[..], b"b", "é".as_bytes(), b"\xc3", b"\xff", "\u{fffd}".as_bytes()]);
    prop::collection::vec(piece, least..4).prop_map(|pieces| pieces.concat())
}

/// Rules of which the kernel can evaluate many, beside those of the other tests.
fn kernel_specs() -> impl Strategy<Value = TargetingSpec> {
    let text = || {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "é", "\u{fffd}"]), 0..3)
            .prop_map(|pieces| pieces.concat())
    };
    let pattern = move |start: &'static str| {
        let start = start.to_owned();
        prop_oneof![
            text().prop_map(|text| format!("{text}*")),
            text().prop_map(|text| format!("*{text}")),
            text().prop_map(|text| format!("a{text}")),
        ]
        .prop_map(move |pattern| if pattern.starts_with('*') { pattern } else { format!("{start}{pattern}") })
    };
    let list = move |start| prop::collection::vec(pattern(start), 0..3);
    let rules = move || {
        (
            list(""),
            list("/"),
            prop_oneof![3 => Just(vec![]), 1 => list("")],
            prop_oneof![3 => Just(vec![]), 1 => list("/")],
            prop::option::of(prop_oneof![Just(MatchMode::Any), Just(MatchMode::All)]),
            prop_oneof![6 => Just(RuleSpec::default()), 1 => crate::generated::rules()],
        )
            .prop_map(
                |(
                    process_names,
                    executables,
                    exclude_process_names,
                    exclude_executables,
                    match_mode,
                    other,
                )| RuleSpec {
                    process_names,
                    executables,
                    exclude_process_names,
                    exclude_executables,
                    match_mode,
                    ..other
                },
            )
    };
    let simple = (rules(), prop::collection::vec(rules(), 0..3)).prop_map(|(rules, named)| {
        let target =
            |(place, rules)| TargetSpec { name: format!("t{place}"), rules, ..TargetSpec::default() };
        TargetingSpec {
            rules,
            targets: named.into_iter().enumerate().map(target).collect(),
            ..TargetingSpec::default()
        }
    });
    prop_oneof![4 => simple.boxed(), 1 => specs().boxed()]
}

/// Rules of which many are about containers and pods alone.
fn container_specs() -> impl Strategy<Value = TargetingSpec> {
    (specs().boxed(), prop::bool::weighted(0.8)).prop_map(|(mut spec, only)| {
        spec.pod_annotations = Default::default();
        let targets = spec.targets.iter_mut().map(|target| &mut target.rules);
        for rules in targets.chain([&mut spec.rules]).filter(|_| only) {
            let simple = |patterns: &mut Vec<String>| {
                patterns.retain(|pattern| !pattern.contains(['[', '{', '?', '\\']))
            };
            simple(&mut rules.exclude_process_names);
            simple(&mut rules.exclude_executables);
            (rules.process_names, rules.executables) = (Vec::new(), Vec::new());
        }
        spec
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_yes_of_the_kernel_is_one_of_the_rules_whatever_it_cannot_see(
        spec in kernel_specs(), seen in seen(), hidden in processes(),
        chosen in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let rules = RuleSet::compile(&spec).expect("valid rules");
        let choice = chosen.filter(|_| !rules.pids().is_empty()).map(|index| *index.get(rules.pids()));
        if let Some(target) = seen.yes(&rules.kernel_rules()) {
            let decision = rules.decide(&seen.facts(hidden), choice, false);
            prop_assert!(decision.is_profile(), "{}", rules.reason(decision));
            prop_assert_eq!(decision.target, target);
        }
    }

    #[test]
    fn a_no_of_the_kernel_is_one_of_the_rules_whatever_it_cannot_see(
        spec in kernel_specs(), seen in seen(), hidden in processes(),
        chosen in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let rules = RuleSet::compile(&spec).expect("valid rules");
        let choice = chosen.filter(|_| !rules.pids().is_empty()).map(|index| *index.get(rules.pids()));
        if seen.no(&rules.kernel_rules()) {
            let decision = rules.decide(&seen.facts(hidden), choice, false);
            prop_assert_eq!(decision.verdict, Verdict::Skip, "{}", rules.reason(decision));
        }
    }

    #[test]
    fn a_yes_for_a_container_is_one_for_each_of_its_processes(
        mut spec in prop_oneof![kernel_specs().boxed(), container_specs().boxed()], seen in seen(), hidden in processes(), without_pids: bool,
    ) {
        if without_pids {
            let targets = spec.targets.iter_mut().map(|target| &mut target.rules);
            targets.chain([&mut spec.rules]).for_each(|rules| (rules.pid, rules.pids) = (None, Vec::new()));
        }
        let rules = RuleSet::compile(&spec).expect("valid rules");
        let facts = seen.facts(hidden);
        if let Some(container) = &facts.container
            && let Some(target) = rules.container_target(container, &facts.pod)
            && !rules.kernel_rules().excludes(&seen.names(), &seen.path)
        {
            let decision = rules.decide(&facts, None, false);
            prop_assert!(decision.is_profile(), "{}", rules.reason(decision));
            prop_assert_eq!(decision.target, target);
        }
    }

    #[test]
    fn where_it_sees_everything_it_says_yes_whenever_the_rules_do(
        names in prop::collection::vec("[ab]{1,2}[*]?", 1..3), exclude in prop::collection::vec("[*]?[ab]{1,2}", 0..2),
        comm in "[ab]{1,3}",
    ) {
        let rules = rules(|spec| (spec.process_names, spec.exclude_process_names) = (names, exclude));
        let seen = Seen { comm: comm.into(), path: b"/x".to_vec(), argv0: Vec::new() };
        let decision = rules.decide(&seen.facts(facts("", "", "")), None, false);
        prop_assert_eq!(seen.yes(&rules.kernel_rules()).is_some(), decision.is_profile());
        // Whom an exclusion keeps out is left to user space.
        let excluded = rules.kernel_rules().excludes(&seen.names(), &seen.path);
        prop_assert_eq!(seen.no(&rules.kernel_rules()), !decision.is_profile() && !excluded);
    }
}

fn yes(rules: &RuleSet, comm: &str, path: &str) -> Option<TargetId> {
    Seen { comm: comm.into(), path: path.into(), argv0: Vec::new() }.yes(&rules.kernel_rules())
}

fn no(rules: &RuleSet, comm: &str, path: &str) -> bool {
    Seen { comm: comm.into(), path: path.into(), argv0: Vec::new() }.no(&rules.kernel_rules())
}

#[test]
fn simple_patterns_are_handed_over_with_exclusions_first() {
    let rules = rules(|spec| {
        spec.process_names = vec!["java".into(), "py*".into()];
        spec.executables = vec!["*/bin/server".into()];
        spec.exclude_process_names = vec!["python2".into()];
        spec.match_mode = Some(MatchMode::All);
    });
    let list = rules.kernel_rules();
    let shown: Vec<_> = list
        .rules()
        .iter()
        .map(|rule| (rule.subject, rule.form, &*rule.text, rule.exclude, rule.needs))
        .collect();
    assert_eq!(
        shown,
        [
            (Subject::Name, PatternForm::Exact, "python2", true, 0),
            (Subject::Name, PatternForm::Exact, "java", false, 3),
            (Subject::Name, PatternForm::Prefix, "py", false, 3),
            (Subject::Path, PatternForm::Suffix, "/bin/server", false, 3),
        ]
    );
    assert_eq!(yes(&rules, "python3", "/opt/bin/server"), Some(TargetId::DEFAULT));
    assert_eq!(yes(&rules, "python2", "/opt/bin/server"), None);
    assert_eq!(yes(&rules, "python3", "/opt/bin/other"), None);
}

#[test]
fn an_exclusion_that_the_kernel_cannot_see_silences_it() {
    let hidden: [fn(&mut RuleSpec); 3] = [
        |spec| spec.exclude_namespaces = vec!["kube-system".into()],
        |spec| spec.exclude_container_ids = vec!["0123456789ab".into()],
        |spec| spec.exclude_process_names = vec!["a?b".into()],
    ];
    for hide in hidden {
        let rules = rules(|spec| {
            spec.process_names = vec!["java".into()];
            hide(spec);
        });
        assert!(rules.kernel_rules().rules().iter().all(|rule| rule.exclude));
        assert!(!no(&rules, "java", "/j") && yes(&rules, "java", "/j").is_none());
    }
}

#[test]
fn what_an_earlier_target_may_own_is_not_given_to_a_later_one() {
    let target = |name: &str, rules| TargetSpec { name: name.into(), rules, ..TargetSpec::default() };
    let names = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<String>>();
    let by_name = |list: &[&str]| RuleSpec { process_names: names(list), ..RuleSpec::default() };
    let in_prod = RuleSpec { namespaces: names(&["prod"]), ..by_name(&["java"]) };
    let spec = |first: RuleSpec| TargetingSpec {
        targets: vec![target("first", first), target("second", by_name(&["ruby"]))],
        ..TargetingSpec::default()
    };
    let compile = |spec| RuleSet::compile(&spec).expect("valid rules");
    let plain = compile(spec(by_name(&["java"])));
    assert_eq!(yes(&plain, "java", "/j"), TargetId::named(0));
    assert_eq!(yes(&plain, "ruby", "/r"), TargetId::named(1));
    let hidden = compile(spec(in_prod.clone()));
    assert_eq!(yes(&hidden, "java", "/j"), TargetId::named(0), "any one type is enough");
    assert_eq!(yes(&hidden, "ruby", "/r"), None, "it may be in the namespace");
    let all = compile(spec(RuleSpec { match_mode: Some(MatchMode::All), ..in_prod }));
    assert_eq!(yes(&all, "java", "/j"), None);
    let by_pid = compile(spec(RuleSpec { pid: Some(1), ..by_name(&["java"]) }));
    assert_eq!(yes(&by_pid, "ruby", "/r"), None, "its pid may be named");
}

#[test]
fn without_rules_everything_is_in_and_too_many_are_none() {
    let all = rules(|_| {});
    assert_eq!(yes(&all, "x", "/x"), Some(TargetId::DEFAULT));
    let many = |count: u32| rules(|spec| spec.process_names = (0..count).map(|n| format!("p{n}")).collect());
    assert_eq!(many(64).kernel_rules().rules().len(), 64);
    assert_eq!(many(65).kernel_rules(), KernelRules::default());
    assert!(RuleSet::nothing().kernel_rules().rules().is_empty());
    assert!(!Decision::UNKNOWN.is_profile());
}

/// Names, executables and containers of a target.
pub(crate) type Lists<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str]);

/// Named targets, each with lists of which all must match, as far as there are any.
pub(crate) fn all_of(targets: &[Lists<'_>]) -> RuleSet {
    let list = |list: &[&str]| list.iter().map(|&entry| entry.into()).collect();
    let target = |(place, &(names, paths, containers)): (usize, &Lists<'_>)| TargetSpec {
        name: format!("t{place}"),
        rules: RuleSpec {
            process_names: list(names),
            executables: list(paths),
            container_ids: list(containers),
            match_mode: Some(MatchMode::All),
            ..RuleSpec::default()
        },
        ..TargetSpec::default()
    };
    let targets = targets.iter().enumerate().map(target).collect();
    RuleSet::compile(TargetingSpec { targets, ..TargetingSpec::default() }).expect("valid rules")
}

#[test]
fn what_matches_of_one_target_does_not_count_for_the_next() {
    let rules = all_of(&[(&["java"], &["/opt/*"], &[]), (&["ruby"], &["/usr/*"], &[])]);
    assert_eq!(yes(&rules, "java", "/opt/java"), TargetId::named(0));
    assert_eq!(yes(&rules, "ruby", "/usr/ruby"), TargetId::named(1));
    assert_eq!(yes(&rules, "java", "/usr/java"), None);
}

#[test]
fn only_what_an_exclusion_matches_is_excluded() {
    let rules = rules(|spec| {
        spec.process_names = vec!["java".into()];
        spec.exclude_process_names = vec!["sh".into()];
    });
    let kernel = rules.kernel_rules();
    assert!(kernel.excludes(&[b"sh"], b"/bin/sh"));
    assert!(!kernel.excludes(&[b"java"], b"/bin/java"));
}

#[test]
fn it_is_known_whether_the_kernel_sees_all_exclusions_and_all_inclusions() {
    let known = |change: &dyn Fn(&mut RuleSpec)| {
        let kernel = rules(|spec| change(spec)).kernel_rules();
        (kernel.knows_exclusions(), kernel.knows_inclusions())
    };
    let many = (0..65).map(|n| format!("p{n}")).collect::<Vec<_>>();
    assert_eq!(known(&|_| {}), (true, true));
    assert_eq!(known(&|spec| spec.process_names = vec!["java".into()]), (true, true));
    assert_eq!(known(&|spec| spec.process_names = vec!["j?va".into()]), (true, false));
    assert_eq!(known(&|spec| spec.exclude_process_names = vec!["j?va".into()]), (false, false));
    assert_eq!(known(&|spec| spec.process_names.clone_from(&many)), (false, false));
}

#[test]
fn it_says_no_only_where_nothing_else_could_select() {
    let seen = Seen { comm: "sh".into(), path: "/bin/sh".into(), argv0: "sh".into() };
    let says_no = |change: &dyn Fn(&mut RuleSpec)| {
        let rules = rules(|spec| {
            spec.process_names = vec!["java".into()];
            change(spec);
        });
        seen.no(&rules.kernel_rules())
    };
    assert!(says_no(&|_| {}));
    assert!(says_no(&|spec| spec.executables = vec!["/usr/bin/*".into()]));
    assert!(says_no(&|spec| spec.exclude_process_names = vec!["python*".into()]));
    assert!(!says_no(&|spec| spec.process_names = vec!["sh".into()]), "it matches");
    assert!(!says_no(&|spec| spec.exclude_process_names = vec!["sh".into()]), "left to user space");
    assert!(!says_no(&|spec| spec.process_names = vec!["s[a-h]".into()]), "no simple pattern");
    assert!(!says_no(&|spec| spec.pids = vec![7]), "it may be the one");
    assert!(!says_no(&|spec| spec.container_ids = vec!["ab".repeat(6)]), "its container may be meant");
    assert!(!says_no(&|spec| spec.namespaces = vec!["payments".into()]), "its pod may be meant");
}

#[test]
fn it_says_no_only_of_what_no_named_target_selects_either() {
    let seen = Seen { comm: "sh".into(), path: "/bin/sh".into(), argv0: "sh".into() };
    let says_no = |pattern: &str| {
        let named = RuleSpec { process_names: vec![pattern.into()], ..RuleSpec::default() };
        let targets = vec![TargetSpec { name: "t".into(), rules: named, ..TargetSpec::default() }];
        let rules = RuleSpec { process_names: vec!["java".into()], ..RuleSpec::default() };
        let spec = TargetingSpec { rules, targets, ..TargetingSpec::default() };
        seen.no(&RuleSet::compile(&spec).expect("valid rules").kernel_rules())
    };
    assert!(says_no("py*") && !says_no("sh") && !says_no("[s]h"));
}

/// Two targets, of which the first takes `ruby` and the second what is given here.
fn after_ruby(second: RuleSpec) -> RuleSet {
    let ruby = RuleSpec { process_names: vec!["ruby".into()], ..RuleSpec::default() };
    let target = |(place, rules)| TargetSpec { name: format!("t{place}"), rules, ..TargetSpec::default() };
    let targets = [ruby, second].into_iter().enumerate().map(target).collect();
    RuleSet::compile(TargetingSpec { targets, ..TargetingSpec::default() }).expect("valid rules")
}

#[test]
fn an_exclusion_of_a_target_is_handed_over_with_it() {
    let list = |entry: &str| vec![entry.to_owned()];
    let by_name = RuleSpec { process_names: list("j*"), ..RuleSpec::default() };
    let rules = after_ruby(RuleSpec { exclude_process_names: list("java"), ..by_name.clone() });
    assert_eq!(yes(&rules, "jcmd", "/j"), TargetId::named(1));
    assert_eq!((yes(&rules, "java", "/j"), no(&rules, "java", "/j")), (None, false), "left to user space");
    // Of one that it cannot see or cannot evaluate the kernel leaves the whole target out.
    for hidden in [
        RuleSpec { exclude_namespaces: list("x"), ..by_name.clone() },
        RuleSpec { exclude_process_names: list("j[a]va"), ..by_name },
    ] {
        let rules = after_ruby(hidden);
        assert_eq!((yes(&rules, "jcmd", "/j"), no(&rules, "jcmd", "/j")), (None, false));
        assert_eq!(yes(&rules, "ruby", "/r"), TargetId::named(0), "those before it stay");
    }
}

#[test]
fn one_of_two_types_is_enough_unless_all_must_match() {
    let both = |mode| {
        rules(|spec| {
            spec.process_names = vec!["java".into(), "j?".into()];
            spec.executables = vec!["/opt/*".into()];
            spec.match_mode = mode;
        })
    };
    let (any, all) = (both(None), both(Some(MatchMode::All)));
    let default = Some(TargetId::DEFAULT);
    for (comm, path) in [("java", "/usr/java"), ("ruby", "/opt/ruby")] {
        assert_eq!((yes(&any, comm, path), yes(&all, comm, path)), (default, None));
    }
    assert_eq!(yes(&all, "java", "/opt/java"), default, "another pattern of a type takes nothing from it");
}

#[test]
fn where_pods_may_wish_nothing_is_left_to_the_kernel() {
    for pod_annotations in [PodAnnotations::OptOut, PodAnnotations::Both] {
        let rules = RuleSpec { process_names: vec!["java".into()], ..RuleSpec::default() };
        let rules = RuleSet::compile(TargetingSpec { rules, pod_annotations, ..TargetingSpec::default() });
        assert_eq!(rules.expect("valid rules").kernel_rules(), KernelRules::default());
    }
}
