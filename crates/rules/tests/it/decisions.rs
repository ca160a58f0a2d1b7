use telegen_model::{Generation, Pid, PodFacts, ProcessFacts, ProcessId, ProcessKey, StartTime};
use telegen_rules::{
    Decision, Key, MatchMode, PidChoice, Reason, RuleSet, RuleSpec, TargetId, TargetingSpec, Verdict,
};

pub(crate) fn facts(comm: &str, executable: &str, argv0: &str) -> ProcessFacts {
    let id = ProcessId { pid: Pid(10), start: StartTime(1) };
    ProcessFacts {
        key: ProcessKey { id, generation: Generation(0) },
        parent: Pid(1),
        kernel_thread: false,
        comm: comm.into(),
        executable: (!executable.is_empty()).then(|| executable.into()),
        argv0: (!argv0.is_empty()).then(|| argv0.into()),
        container: None,
        pod: PodFacts::InNone,
    }
}

pub(crate) fn rules(change: impl FnOnce(&mut RuleSpec)) -> RuleSet {
    let mut spec = RuleSpec::default();
    change(&mut spec);
    RuleSet::compile(&spec).expect("valid rules")
}

pub(crate) fn decide(rules: &RuleSet, facts: &ProcessFacts) -> Decision {
    rules.decide(facts, None, false)
}

#[test]
fn a_name_rule_matches_any_of_the_three_names() {
    let rules = rules(|spec| spec.process_names = vec!["java".into()]);
    assert!(decide(&rules, &facts("java", "/opt/jvm", "x")).is_profile());
    assert!(decide(&rules, &facts("main", "/opt/bin/java", "x")).is_profile());
    assert!(decide(&rules, &facts("main", "/opt/jvm", "java")).is_profile());
    let decision = decide(&rules, &facts("javac", "/opt/java/jvm", "x"));
    assert_eq!(decision, Decision::skip(Reason::NotIncluded));
}

#[test]
fn the_rule_that_decided_is_named_as_it_was_written() {
    let rules = rules(|spec| {
        spec.process_names = vec!["go*".into(), "java".into()];
        spec.exclude_executables = vec!["/opt/*".into()];
        spec.pids = vec![4, 5];
        spec.match_mode = Some(MatchMode::Any);
    });
    let reason = |facts: &ProcessFacts| rules.reason(decide(&rules, facts));
    assert_eq!(reason(&facts("java", "/usr/bin/java", "")), "target_process_names[1] = \"java\"");
    assert_eq!(reason(&facts("java", "/opt/java", "")), "exclude_executables[0] = \"/opt/*\"");
    let chosen = PidChoice { target: TargetId::DEFAULT, key: Key::Pids, index: 1, pid: Pid(5) };
    let decision = rules.decide(&facts("java", "/opt/java", ""), Some(chosen), false);
    assert_eq!(rules.reason(decision), "target_pids[1] = 5");
}

#[test]
fn kernel_threads_and_the_agent_are_out_even_by_pid() {
    let rules = rules(|spec| spec.pids = vec![10]);
    let chosen = Some(rules.pids()[0]);
    let mut thread = facts("kworker/0:1", "", "");
    thread.kernel_thread = true;
    assert_eq!(rules.decide(&thread, chosen, false), Decision::skip(Reason::KernelThread));
    assert_eq!(rules.decide(&facts("telegen", "/t", ""), chosen, true), Decision::skip(Reason::Agent));
}

#[test]
fn the_agent_is_in_if_asked_for() {
    let spec = TargetingSpec { profile_self: true, ..TargetingSpec::default() };
    let rules = RuleSet::compile(&spec).expect("valid rules");
    let decision = rules.decide(&facts("telegen", "/t", ""), None, true);
    assert_eq!(decision, Decision::profile(Reason::NoIncludeRules));
}

#[test]
fn an_exclusion_alone_leaves_everything_else_in() {
    let rules = rules(|spec| spec.exclude_process_names = vec!["bash".into()]);
    assert!(decide(&rules, &facts("java", "/j", "")).is_profile());
    assert_eq!(decide(&rules, &facts("bash", "/bin/bash", "")).verdict, Verdict::Skip);
    assert!(rules.has_filters());
}

#[test]
fn a_pid_that_is_not_there_never_widens_the_selection() {
    let rules = rules(|spec| spec.pid = Some(99));
    assert_eq!(decide(&rules, &facts("java", "/j", "")), Decision::skip(Reason::NotIncluded));
}

#[test]
fn all_wants_every_type_and_any_wants_one() {
    let both = |mode| {
        rules(|spec| {
            spec.process_names = vec!["java".into()];
            spec.executables = vec!["/usr/*".into()];
            spec.match_mode = mode;
        })
    };
    let (one, two) = (facts("java", "/opt/java", ""), facts("java", "/usr/bin/java", ""));
    assert!(decide(&both(None), &one).is_profile());
    assert!(decide(&both(Some(MatchMode::Any)), &one).is_profile());
    assert_eq!(decide(&both(Some(MatchMode::All)), &one), Decision::skip(Reason::NotIncluded));
    assert_eq!(decide(&both(Some(MatchMode::All)), &two), Decision::profile(Reason::AllIncluded));
    assert_eq!(both(None).warnings().len(), 1);
    assert_eq!(both(Some(MatchMode::Any)).warnings(), []);
}

#[test]
fn a_pid_is_not_a_type_of_match_all() {
    let rules = rules(|spec| {
        spec.pids = vec![10];
        spec.process_names = vec!["java".into()];
        spec.match_mode = Some(MatchMode::All);
    });
    assert!(decide(&rules, &facts("java", "/j", "")).is_profile());
    assert!(rules.decide(&facts("bash", "/b", ""), Some(rules.pids()[0]), false).is_profile());
    assert!(!decide(&rules, &facts("bash", "/b", "")).is_profile());
}

#[test]
fn the_summary_has_a_word_for_every_key() {
    let rules = rules(|spec| {
        spec.pid = Some(1);
        spec.pids = vec![2, 3];
        spec.process_names = vec!["java".into(), "py*".into()];
        spec.executables = vec!["/a".into()];
        spec.exclude_process_names = vec!["bash\n".into()];
        spec.exclude_executables = vec!["/b".into()];
        spec.match_mode = Some(MatchMode::All);
    });
    assert_eq!(
        rules.summary(),
        "Active filters: PID=[1], PIDs=[2,3], ProcessNames=[java,py*], Executables=[/a], \
         ExcludeProcessNames=[bash\\n], ExcludeExecutables=[/b], Match=all"
    );
    assert_eq!(
        RuleSet::compile(&RuleSpec::default()).unwrap().summary(),
        "No filters: profiling all processes"
    );
}

#[test]
fn a_near_miss_says_what_is_there_and_what_was_wanted() {
    let rules = rules(|spec| spec.process_names = vec!["jaba".into(), "python".into()]);
    let near = |comm: &str| {
        let facts = facts(comm, "/usr/bin/x", "");
        rules.near_misses(&facts, decide(&rules, &facts)).remove(0)
    };
    let miss = near("java");
    assert_eq!(
        miss.to_string(),
        "target_process_names does not: name is \"java\", \"x\", closest rule \"jaba\""
    );
    assert!(miss.distance() < near("postgres").distance());
}

#[test]
fn the_pid_that_stands_alone_comes_before_those_of_the_list() {
    let rules = rules(|spec| (spec.pid, spec.pids) = (Some(7), vec![7, 8]));
    let places: Vec<_> = rules.pids().iter().map(|choice| (choice.key, choice.index, choice.pid.0)).collect();
    assert_eq!(places, [(Key::Pid, 0, 7), (Key::Pids, 0, 7), (Key::Pids, 1, 8)]);
}

#[test]
fn pids_are_no_type_and_so_give_no_reason_to_ask_for_match() {
    let rules = rules(|spec| {
        spec.pids = vec![10];
        spec.process_names = vec!["java".into()];
    });
    assert_eq!(rules.warnings(), [], "any and all would select the same");
}

#[test]
fn more_pids_than_there_is_room_for_are_refused_not_dropped() {
    let compile =
        |pids: u32| RuleSet::compile(&RuleSpec { pids: (1..=pids).collect(), ..RuleSpec::default() });
    assert_eq!(compile(65_535).expect("fits").pids().len(), 65_535);
    let errors = compile(65_536).expect_err("one too many");
    assert_eq!(errors[0].place(), ("target_pids".to_owned(), Some(65_535)));
    assert_eq!(errors[0].message(), "bad pid \"65536\": a list may have 65535 pids");
}

#[test]
fn hostile_patterns_are_errors_or_cheap_never_a_panic() {
    for pattern in [
        "{".repeat(5_000),
        "{".repeat(5_000) + &"}".repeat(5_000),
        "[".repeat(5_000),
        "*a".repeat(5_000),
        "?".repeat(60_000),
        "\\".into(),
        "[b-a]".into(),
        "}".into(),
        "{{a},".into(),
    ] {
        let spec = RuleSpec { process_names: vec![pattern], ..RuleSpec::default() };
        if let Ok(rules) = RuleSet::compile(&spec) {
            decide(&rules, &facts(&"a".repeat(4_096), "", ""));
        }
    }
}

#[test]
fn rules_that_match_nothing_do_not_say_that_everything_is_profiled() {
    let rules = RuleSet::nothing();
    assert_eq!(decide(&rules, &facts("java", "/usr/bin/java", "java")), Decision::skip(Reason::NotIncluded));
    assert!(rules.has_filters());
    assert_eq!(rules.summary(), "Active filters: only the recorded command and its descendants");
}
