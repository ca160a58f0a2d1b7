//! Burns in a function inside modules, until SIGTERM or the end of its time.

use std::time::{Duration, Instant};

mod outer {
    pub mod inner {
        #[inline(never)]
        pub fn tg_rust_spin(mut x: u64) -> u64 {
            for round in 0..50_000 {
                x ^= x << 13;
                x ^= x >> 7;
                x = std::hint::black_box(x.wrapping_add(round));
            }
            x
        }
    }
}

fn main() {
    let begin = Instant::now();
    let mut state = 1;
    while begin.elapsed() < Duration::from_secs(180) {
        state = outer::inner::tg_rust_spin(state);
    }
    std::process::exit(i32::from(state == 0));
}
