//! Keys whose value is one of a few words.

use std::fmt;

/// A type whose values are words.
pub(crate) trait Named: Copy + 'static {
    const NAMES: &'static [&'static str];
    fn name(self) -> &'static str;
    fn from_name(name: &str) -> Option<Self>;
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The words that stand for the values.
            pub const NAMES: &'static [&'static str] = &[$($word),+];

            /// The word that stands for this value.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value that a word stands for.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl Named for $name {
            const NAMES: &'static [&'static str] = Self::NAMES;

            fn name(self) -> &'static str {
                self.name()
            }

            fn from_name(name: &str) -> Option<Self> {
                Self::from_name(name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    )+};
}

choices! {
    /// What ticks while a CPU is busy.
    CpuEvent {
        /// A timer of the kernel; there on every machine.
        CpuClock = "cpu-clock",
        /// The CPU's own counter of cycles; not there on many virtual machines.
        Cycles = "cycles",
    }
    /// How include rules of different types come together.
    Match {
        /// A process is profiled if any of them matches.
        Any = "any",
        /// A process is profiled if all of them match.
        All = "all",
    }
    /// What a pod may say of itself by its annotation `telegen.io/profile`.
    PodAnnotations {
        /// Nothing.
        Off = "off",
        /// `"false"` takes it out.
        OptOut = "opt_out",
        /// `"false"` takes it out, `"true"` puts it in unless it is excluded.
        Both = "both",
    }
    /// Whether Kubernetes is asked for pods.
    KubernetesUse {
        /// If telegen runs in a pod that has a service account.
        Auto = "auto",
        /// It is.
        On = "true",
        /// It is not.
        Off = "false",
    }
    /// Who is asked for the pods of this node.
    PodSource {
        /// The API server.
        Api = "api",
        /// The node's kubelet.
        Kubelet = "kubelet",
    }
    /// The least important lines that are logged.
    LogLevel {
        /// What has failed.
        Error = "error",
        /// What is likely not meant so.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// What leads to what happens.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
    /// How log lines look.
    LogFormat {
        /// `[INFO] message, key="value"`
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}
