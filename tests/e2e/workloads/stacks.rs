//! Spends its time at the ends of call chains as Rust programs have them: generics, closures, trait objects, panics that
//! are caught, algorithms of the library, threads, recursion.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

#[inline(never)]
fn tg_spin() {
    let mut x = black_box(1u64);
    for round in 0..100_000u64 {
        x ^= x << 13;
        x ^= x >> 7;
        x = x.wrapping_add(round);
    }
    black_box(x);
}

#[inline(never)]
fn tg_recurse(depth: u32) -> u64 {
    let here = black_box([1u64; 4]);
    if depth == 0 {
        for _ in 0..20 {
            tg_spin();
        }
        return here[0];
    }
    let result = tg_recurse(depth - 1);
    black_box(result) + here[1]
}

#[inline(never)]
fn tg_shallow() {
    black_box(tg_recurse(50));
}

#[inline(never)]
fn tg_deep() {
    black_box(tg_recurse(400));
}

trait Shape {
    fn tg_area(&self) -> u64;
}

struct Square(u64);

impl Shape for Square {
    #[inline(never)]
    fn tg_area(&self) -> u64 {
        for _ in 0..5 {
            tg_spin();
        }
        black_box(self.0)
    }
}

#[inline(never)]
fn tg_object(shape: &dyn Shape) {
    black_box(shape.tg_area());
}

#[inline(never)]
fn tg_generic<T: Copy, F: Fn(T) -> T>(value: T, function: F) -> T {
    let result = function(value);
    black_box(result)
}

#[inline(never)]
fn tg_called() {
    for _ in 0..5 {
        tg_spin();
    }
    black_box(());
}

struct Guard;

impl Drop for Guard {
    #[inline(never)]
    fn drop(&mut self) {
        tg_called();
        black_box(());
    }
}

#[inline(never)]
fn tg_failing(depth: u32) -> u64 {
    let _guard = (depth == 3).then_some(Guard);
    if depth == 0 {
        std::panic::resume_unwind(Box::new(black_box(1u8)));
    }
    let result = tg_failing(depth - 1);
    black_box(result)
}

#[inline(never)]
fn tg_panicking() {
    let caught = catch_unwind(AssertUnwindSafe(|| {
        black_box(tg_failing(10));
    }));
    if caught.is_err() {
        tg_called();
    }
    black_box(());
}

#[inline(never)]
fn tg_order(a: &u32, b: &u32) -> std::cmp::Ordering {
    tg_spin();
    black_box(a.cmp(b))
}

#[inline(never)]
fn tg_sorting() {
    let mut values: Vec<u32> = (0..40).map(|i| i * 7919 % 101).collect();
    values.sort_by(tg_order);
    black_box(values);
}

#[inline(never)]
fn tg_worker() {
    for _ in 0..10 {
        tg_spin();
    }
    black_box(());
}

#[inline(never)]
fn tg_threading() {
    let thread = std::thread::spawn(tg_worker);
    black_box(thread.join().is_ok());
}

#[inline(never)]
fn tg_round() {
    tg_shallow();
    tg_deep();
    tg_object(black_box(&Square(3)));
    black_box(tg_generic(3u8, |value| {
        tg_called();
        black_box(value)
    }));
    black_box(tg_generic(3.0f64, |value| {
        tg_called();
        black_box(value)
    }));
    if cfg!(panic = "unwind") {
        tg_panicking();
    }
    tg_sorting();
    tg_threading();
    black_box(());
}

fn main() {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(180) {
        tg_round();
    }
}
