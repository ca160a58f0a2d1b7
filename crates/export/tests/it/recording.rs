//! A small recording of two processes, with all that a profile can have.

use std::time::{Duration, UNIX_EPOCH};
use telegen_model::{
    BuildId, Function, LabelValue, Line, Location, LocationKind, Mapping, Profile, ProfileBuilder,
    ProfileKind, StringId,
};

pub(crate) const BUILD_ID: [u8; 20] = [0xde; 20];

pub(crate) fn recording() -> Profile {
    let start = UNIX_EPOCH + Duration::new(1_795_444_689, 123_456_789);
    let mut builder = ProfileBuilder::new(ProfileKind::Cpu, start, 10_101_010);
    let program =
        mapping(&mut builder, "/opt/app (1)/server", Some(BuildId::new(&BUILD_ID).unwrap()), 0x401000);
    let kernel = mapping(&mut builder, "[kernel.kallsyms]", None, 0xffff_ffff_8100_0000);
    let file = builder.string("src/work.rs");
    let [main, work, inlined, read] =
        ["main", "server::work<u8>", "server::inlined", "ksys_read"].map(|name| {
            let name = builder.string(name);
            let (file, start_line) =
                if name.0.is_multiple_of(2) { (file, 10) } else { (StringId::default(), 0) };
            builder.function(Function { name, system_name: name, file, start_line })
        });
    let mut location = |mapping, address, kind, lines: &[_]| {
        let lines = lines.iter().map(|&(function, line)| Line { function, line }).collect();
        builder.location(Location { mapping: Some(mapping), address, kind, lines })
    };
    let main = location(program, 0x401100, LocationKind::User, &[(main, 3)]);
    let work = location(program, 0x401200, LocationKind::User, &[(inlined, 77), (work, 42)]);
    let read = location(kernel, 0xffff_ffff_8100_0042, LocationKind::Kernel, &[(read, 0)]);
    let truncated = builder.marker("[truncated]");
    let stacks =
        [vec![work, main], vec![read, work, main], vec![work, truncated]].map(|stack| builder.stack(stack));
    for (process, pid) in [("server", 4711), ("other", 4712)] {
        let keys = ["process.executable.name", "process.pid"].map(|key| builder.string(key));
        let values = [LabelValue::Text(builder.string(process)), LabelValue::Number(pid)];
        let labels = builder.label_set(keys.into_iter().zip(values));
        for (count, stack) in [5, 3, 1].into_iter().zip(stacks) {
            builder.add(stack, labels, count, count * 10_101_010);
        }
    }
    builder.finish(Duration::from_millis(2500))
}

fn mapping(
    builder: &mut ProfileBuilder,
    path: &str,
    build_id: Option<BuildId>,
    start: u64,
) -> telegen_model::MappingId {
    let path = builder.string(path);
    builder.mapping(Mapping { path, build_id, start, limit: start + 0x10000, file_offset: 0x1000 })
}
