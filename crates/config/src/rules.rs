//! Which processes are profiled, as it is written: patterns are texts here and are compiled elsewhere.

use crate::Match;
use std::ops::RangeInclusive;
use std::time::SystemTime;
use telegen_model::Pid;

/// A rule on the labels of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LabelRule {
    /// Labels and their values, in the order in which they are written.
    Map(Vec<(String, String)>),
    /// A selector as Kubernetes writes them.
    Selector(String),
}

/// A key whose value is a list of texts: its name among the flat keys, and its flag.
pub(crate) struct TextList {
    pub(crate) key: &'static str,
    pub(crate) flag: &'static str,
    get: fn(&Rules) -> &Vec<String>,
    get_mut: fn(&mut Rules) -> &mut Vec<String>,
}

macro_rules! rules {
    (includes { $($include:ident, $include_key:literal, $include_flag:literal;)+ }
     exclusions { $($exclude:ident, $exclude_key:literal, $exclude_flag:literal;)+ }) => {
        /// Which processes are profiled: the rules of one target, or what flags say of it.
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        pub struct Rules {
            /// `target_pid`.
            pub pid: Option<Pid>,
            /// `target_pids`, `--pid`.
            pub pids: Vec<Pid>,
            $(#[doc = concat!("`", $include_key, "`, `", $include_flag, "`.")] pub $include: Vec<String>,)+
            /// `target_labels`, `--label`.
            pub labels: Vec<LabelRule>,
            $(#[doc = concat!("`", $exclude_key, "`, `", $exclude_flag, "`.")] pub $exclude: Vec<String>,)+
            /// `exclude_labels`, `--exclude-label`.
            pub exclude_labels: Vec<LabelRule>,
            /// `match`: `None` if it is not written, which means [`Match::Any`] but is worth a warning where more
            /// than one type of include is configured.
            pub match_types: Option<Match>,
        }

        impl Rules {
            pub(crate) const INCLUDES: &'static [TextList] = &[$(TextList {
                key: $include_key,
                flag: $include_flag,
                get: |rules| &rules.$include,
                get_mut: |rules| &mut rules.$include,
            },)+];

            pub(crate) const EXCLUSIONS: &'static [TextList] = &[$(TextList {
                key: $exclude_key,
                flag: $exclude_flag,
                get: |rules| &rules.$exclude,
                get_mut: |rules| &mut rules.$exclude,
            },)+];
        }
    };
}

rules! {
    includes {
    process_names, "target_process_names", "--name";
    executables, "target_executables", "--exe";
    container_ids, "target_container_ids", "--container";
    namespaces, "target_namespaces", "--namespace";
    deployments, "target_deployments", "--deployment";
    daemonsets, "target_daemonsets", "--daemonset";
    statefulsets, "target_statefulsets", "--statefulset";
    jobs, "target_jobs", "--job";
    cronjobs, "target_cronjobs", "--cronjob";
    pods, "target_pods", "--pod";
    }
    exclusions {
    exclude_process_names, "exclude_process_names", "--exclude-name";
    exclude_executables, "exclude_executables", "--exclude-exe";
    exclude_container_ids, "exclude_container_ids", "--exclude-container";
    exclude_namespaces, "exclude_namespaces", "--exclude-namespace";
    exclude_deployments, "exclude_deployments", "--exclude-deployment";
    exclude_daemonsets, "exclude_daemonsets", "--exclude-daemonset";
    exclude_statefulsets, "exclude_statefulsets", "--exclude-statefulset";
    exclude_jobs, "exclude_jobs", "--exclude-job";
    exclude_cronjobs, "exclude_cronjobs", "--exclude-cronjob";
    exclude_pods, "exclude_pods", "--exclude-pod";
    }
}

/// A target with a name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// `name`: the label `target` of its samples.
    pub name: String,
    /// Whom it selects.
    pub rules: Rules,
    /// `until`: from then on it selects nothing.
    pub until: Option<SystemTime>,
    /// `cpu.sample_rate`: ticks a second on each CPU, if others than elsewhere.
    pub sample_hz: Option<u32>,
}

impl TextList {
    /// Whether anything is written under it.
    pub(crate) fn is_set(&self, rules: &Rules) -> bool {
        !(self.get)(rules).is_empty()
    }
}

impl Rules {
    /// Pids that a process can have: the kernel's `PID_MAX_LIMIT` is 2²² (proc_sys_kernel(5)).
    pub const PIDS: RangeInclusive<u32> = 1..=1 << 22;

    /// Whether there is a rule on what owns the owner of a pod: a Deployment, or a CronJob.
    pub fn needs_owners_of_owners(&self) -> bool {
        let lists = [&self.deployments, &self.cronjobs, &self.exclude_deployments, &self.exclude_cronjobs];
        lists.iter().any(|list| !list.is_empty())
    }

    /// Whether any include is configured.
    pub fn has_includes(&self) -> bool {
        self.pid.is_some()
            || !self.pids.is_empty()
            || !self.labels.is_empty()
            || Self::INCLUDES.iter().any(|list| list.is_set(self))
    }

    /// Whether any exclusion is configured.
    pub fn has_exclusions(&self) -> bool {
        !self.exclude_labels.is_empty() || Self::EXCLUSIONS.iter().any(|list| list.is_set(self))
    }

    /// These rules without their includes.
    pub fn exclusions(&self) -> Self {
        let mut rules = Self { pid: None, pids: Vec::new(), labels: Vec::new(), ..self.clone() };
        Self::INCLUDES.iter().for_each(|list| (list.get_mut)(&mut rules).clear());
        rules
    }

    /// These rules with others over them: includes replace all includes, exclusions are added.
    pub fn overridden(&self, by: &Self) -> Self {
        let mut rules = if by.has_includes() { self.exclusions() } else { self.clone() };
        if by.has_includes() {
            (rules.pid, rules.pids, rules.labels) = (by.pid, by.pids.clone(), by.labels.clone());
            for list in Self::INCLUDES {
                (list.get_mut)(&mut rules).clone_from((list.get)(by));
            }
        }
        for list in Self::EXCLUSIONS {
            (list.get_mut)(&mut rules).extend_from_slice((list.get)(by));
        }
        rules.exclude_labels.extend_from_slice(&by.exclude_labels);
        rules.match_types = by.match_types.or(rules.match_types);
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    fn selector(text: &str) -> Vec<LabelRule> {
        vec![LabelRule::Selector(text.into())]
    }

    fn file() -> Rules {
        let mut rules = Rules {
            pid: Some(Pid(1)),
            pids: vec![Pid(2)],
            labels: selector("a"),
            exclude_labels: selector("b"),
            match_types: Some(Match::All),
            ..Rules::default()
        };
        for list in Rules::INCLUDES.iter().chain(Rules::EXCLUSIONS) {
            *(list.get_mut)(&mut rules) = texts(&[list.key]);
        }
        rules
    }

    #[test]
    fn one_include_replaces_all_includes_and_no_exclusion() {
        let by = Rules { process_names: texts(&["node"]), ..Rules::default() };
        let expected = Rules { process_names: texts(&["node"]), ..file().exclusions() };
        assert_eq!(file().overridden(&by), expected);
        assert_eq!(expected.exclude_process_names, ["exclude_process_names"]);
        assert_eq!(expected.match_types, Some(Match::All));
        assert_eq!((expected.pid, expected.pids, expected.pods), (None, vec![], vec![]));
        let by = Rules { labels: selector("x"), ..Rules::default() };
        assert_eq!(file().overridden(&by), Rules { labels: selector("x"), ..file().exclusions() });
    }

    #[test]
    fn exclusions_are_added_and_leave_the_includes() {
        let mut by = Rules { exclude_labels: selector("x"), ..Rules::default() };
        let mut expected = file();
        expected.exclude_labels.extend(selector("x"));
        for list in Rules::EXCLUSIONS {
            *(list.get_mut)(&mut by) = texts(&["x"]);
            (list.get_mut)(&mut expected).push("x".into());
        }
        assert!(by.has_exclusions() && !by.has_includes());
        assert_eq!(file().overridden(&by), expected);
    }

    #[test]
    fn match_is_replaced_if_given() {
        let by = Rules { match_types: Some(Match::Any), ..Rules::default() };
        assert_eq!(file().overridden(&by), Rules { match_types: Some(Match::Any), ..file() });
        assert_eq!(file().overridden(&Rules::default()), file());
    }

    #[test]
    fn each_include_counts_as_one() {
        assert!(!Rules::default().has_includes() && !file().exclusions().has_includes());
        for list in Rules::INCLUDES {
            let mut rules = Rules::default();
            (list.get_mut)(&mut rules).push("a".into());
            assert!(rules.has_includes() && !rules.has_exclusions(), "{}", list.key);
        }
        for rules in [
            Rules { pid: Some(Pid(1)), ..Rules::default() },
            Rules { pids: vec![Pid(1)], ..Rules::default() },
            Rules { labels: selector("a"), ..Rules::default() },
        ] {
            assert!(rules.has_includes(), "{rules:?}");
        }
    }
}
