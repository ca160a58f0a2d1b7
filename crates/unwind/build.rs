//! Compiles the kernel side's search and step for user space too, where the tests run them.

fn main() {
    println!("cargo:rerun-if-changed=c");
    cc::Build::new()
        .file("c/native.c")
        .flag("-O2")
        .flag("-Wno-unknown-pragmas")
        // An index beyond an array ends the test that has led there.
        .flag_if_supported("-fsanitize=bounds")
        .flag_if_supported("-fsanitize-undefined-trap-on-error")
        .warnings(true)
        .compile("telegen_unwind_native");
}
