//! Compiles the BPF programs with clang.

use libbpf_cargo::SkeletonBuilder;
use std::env;
use std::path::{Path, PathBuf};

fn main() {
    // The search in unwind tables, which the room of the tables compiles for user space too.
    let tables = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../unwind/c");
    println!("cargo:rerun-if-changed=c");
    println!("cargo:rerun-if-changed={}", tables.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let own = match env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets the target").as_str() {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => panic!("telegen has no kernel side for {other} yet"),
    };
    // For the machines that this build is not for, too: whoever changes the programs changes them for all.
    for arch in ["x86", "arm64"] {
        let name = if arch == own { "telegen.bpf.o".into() } else { format!("telegen-{arch}.bpf.o") };
        compile(arch, &out.join(name), &tables);
    }
    println!("cargo:rustc-env=TELEGEN_OTHER_MACHINE={}", if own == "x86" { "arm64" } else { "x86" });
}

fn compile(arch: &str, object: &Path, tables: &Path) {
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    SkeletonBuilder::new()
        .source("c/telegen.bpf.c")
        .obj(object)
        .clang(clang)
        // Fetching atomics need the third revision of the instruction set (kernel 5.12).
        .clang_args(["-mcpu=v3", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-O2"])
        .clang_args([format!("-D__TARGET_ARCH_{arch}"), format!("-I{}", tables.display())])
        .build()
        .unwrap_or_else(|error| panic!("clang (14 or newer) must compile the BPF programs: {error:?}"));
}
