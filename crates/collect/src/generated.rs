//! Functions that were made while their process ran, by what just-in-time compilers write about them.

use crate::jit_dumps::JitDumps;
use crate::perf_maps::PerfMaps;
use telegen_model::ProcessKey;
use telegen_process::JitDumpFile;
use telegen_symbolize::SourceFrame;

/// What is known of the generated code of all processes that had some in the last interval.
#[derive(Debug, Default)]
pub(crate) struct GeneratedCode {
    dumps: JitDumps,
    maps: PerfMaps,
}

impl GeneratedCode {
    /// The functions at addresses of a process, which ascend. The jitdump file tells more than the perf map, and is as
    /// new; what neither says, or what cannot be asked for any more, is not known.
    pub(crate) fn functions(
        &mut self,
        process: &ProcessKey,
        dump: Option<&JitDumpFile>,
        addresses: &[u64],
    ) -> Vec<Option<SourceFrame>> {
        let mut functions = match dump {
            Some(dump) => self.dumps.functions(dump, addresses),
            None => vec![None; addresses.len()],
        };
        let open: Vec<usize> = (0..addresses.len()).filter(|&at| functions[at].is_none()).collect();
        if open.is_empty() {
            return functions;
        }
        let asked: Vec<u64> = open.iter().map(|&at| addresses[at]).collect();
        for (at, name) in open.into_iter().zip(self.maps.names(process, &asked)) {
            functions[at] = name.map(|name| SourceFrame::named(&name));
        }
        functions
    }

    /// Forgets processes that had no generated code since the last call.
    pub(crate) fn sweep(&mut self) {
        self.dumps.sweep();
        self.maps.sweep();
    }

    /// Forgets what can be read again.
    pub(crate) fn trim(&mut self) {
        self.dumps.trim();
    }

    /// Bytes that are held, about.
    pub(crate) fn bytes(&self) -> usize {
        self.dumps.bytes()
    }

    /// Files that told less than they might have, by reason.
    pub(crate) fn failures(&self) -> [(&'static str, u64); 7] {
        let (maps, dumps) = (self.maps.failures, self.dumps.failures);
        [
            ("perf_map_untrusted", maps.untrusted),
            ("perf_map_too_large", maps.too_large),
            ("perf_map_too_slow", maps.too_slow),
            ("jitdump_damaged", dumps.damaged),
            ("jitdump_other_byte_order", dumps.other_byte_order),
            ("jitdump_too_large", dumps.too_large),
            ("jitdump_too_slow", dumps.too_slow),
        ]
    }
}
