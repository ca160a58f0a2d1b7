//! Compiles the kernel side's search and step for user space too, where the tests run them.

fn main() {
    println!("cargo:rerun-if-changed=c");
    cc::Build::new()
        .file("c/native.c")
        .flag("-O2")
        .flag("-Wno-unknown-pragmas")
        .warnings(true)
        .compile("telegen_unwind_native");
}
