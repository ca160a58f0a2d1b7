//! What goes in and what comes out.

use crate::TargetSettings;
use std::sync::Arc;
use telegen_model::{Container, KernelKey, PodFacts, ProcessFacts, TargetNumber, Token};
use telegen_rules::Decision;

/// What the kernel does with a process's ticks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// Counts them as undecided.
    Undecided,
    /// Samples them.
    Profile {
        /// Children do not inherit it.
        by_pid: bool,
        /// All descendants inherit it, through fork and exec.
        follow: bool,
        /// The target that it belongs to.
        target: TargetNumber,
    },
    /// Counts them as rejected.
    Skip,
}

/// A process, as the kernel has just shown it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// What is known of it.
    pub facts: ProcessFacts,
    /// Which program image it is.
    pub token: Token,
    /// Where it stands in the kernel's table.
    pub key: KernelKey,
    /// What the kernel does with its ticks.
    pub standing: Standing,
}

/// What has happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A scan has found a process.
    Seen(Observed),
    /// A process was forked off; its facts are its parent's, but for who it is.
    Forked {
        /// The child.
        child: Observed,
        /// The parent's program image.
        parent: Token,
    },
    /// A process runs another program.
    Execed(Observed),
    /// A process's leader has another name.
    Renamed {
        /// The process.
        token: Token,
        /// The name.
        comm: Box<str>,
    },
    /// A process has been put into another control group.
    Moved {
        /// The process.
        token: Token,
        /// The container that it is in now.
        container: Option<Arc<Container>>,
        /// Its pod.
        pod: PodFacts,
        /// What the kernel does with its ticks since.
        standing: Standing,
    },
    /// Something else is known now of the pod that a process runs in.
    PodChanged {
        /// The process.
        token: Token,
        /// What is known.
        pod: PodFacts,
    },
    /// A process's last thread has exited.
    Exited {
        /// The process.
        token: Token,
    },
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A number stands for this target from now on.
    Name {
        /// The number.
        number: TargetNumber,
        /// What it stands for.
        settings: TargetSettings,
    },
    /// The kernel shall do something else with a process's ticks.
    Set {
        /// Where it stands in the kernel's table.
        key: KernelKey,
        /// Which program image is meant.
        token: Token,
        /// What shall be done.
        standing: Standing,
    },
    /// A process has become a target.
    Start {
        /// Which program image of it.
        token: Token,
        /// What is known of it.
        facts: Arc<ProcessFacts>,
        /// Why.
        decision: Decision,
        /// The program image it was forked from.
        parent: Option<Token>,
    },
    /// Another target has a process from now on, which stays one that is profiled.
    Retarget {
        /// Which program image of it.
        token: Token,
        /// What is known of it.
        facts: Arc<ProcessFacts>,
        /// Why.
        decision: Decision,
    },
    /// Something else is known of a target, which stays the same one.
    Facts {
        /// Which program image of it.
        token: Token,
        /// What is known of it.
        facts: Arc<ProcessFacts>,
    },
    /// A program image that has just been started is no target, and the kernel side knows it already.
    LeftOut {
        /// Which one.
        token: Token,
    },
    /// A target is one no more: it has exited, runs another program, or does not match any more.
    End {
        /// Which program image.
        token: Token,
    },
}
