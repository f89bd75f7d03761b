//! Taking turns, counting allocations, and saying how it went.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

const BATCHES: u32 = 400;
const CALLS: u64 = 20_000;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is handed on to the system's allocator; only a counter is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How many allocations `work` makes.
pub fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    work();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// Nanoseconds a call of each contender, one thread.
pub fn turns<const N: usize>(mut contenders: [&mut dyn Batch; N]) -> [f64; N] {
    let mut best = [f64::MAX; N];
    for _ in 0..BATCHES {
        for (best, contender) in best.iter_mut().zip(&mut contenders) {
            *best = best.min(contender.batch(CALLS));
        }
    }
    best
}

/// The same in short batches of `calls`, with `prepare` before each; the cost of reading the clock is taken off.
pub fn short<const N: usize>(
    calls: u64,
    prepare: &mut dyn FnMut(),
    mut contenders: [&mut dyn Batch; N],
) -> [f64; N] {
    let empty = (0..100_000).map(|_| (|| ()).batch_of_nothing()).fold(f64::MAX, f64::min);
    let mut best = [f64::MAX; N];
    for _ in 0..BATCHES * 100 {
        for (best, contender) in best.iter_mut().zip(&mut contenders) {
            prepare();
            *best = best.min(contender.batch(calls) - empty / calls as f64);
        }
    }
    best
}

/// Nanoseconds a call of each contender, on two threads at once.
pub fn pairs<const N: usize>(contenders: [&(dyn SharedBatch + Sync); N]) -> [f64; N] {
    contenders.map(|contender| (0..60).map(|_| pair(contender)).fold(f64::MAX, f64::min))
}

/// Both threads run until both have done their calls, so that no part of the measured time is spent alone.
fn pair(contender: &(dyn SharedBatch + Sync)) -> f64 {
    let (ready, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let stop = AtomicBool::new(false);
    let one = || {
        ready.fetch_add(1, Ordering::SeqCst);
        while ready.load(Ordering::SeqCst) < 2 {
            std::hint::spin_loop();
        }
        let ns = contender.batch(CALLS * 5);
        done.fetch_add(1, Ordering::SeqCst);
        while done.load(Ordering::SeqCst) < 2 && !stop.load(Ordering::Relaxed) {
            contender.batch(100);
        }
        ns
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(one);
        let own = one();
        stop.store(true, Ordering::Relaxed);
        other.join().map_or(f64::MAX, |other| (own + other) / 2.0)
    })
}

/// A loop that is compiled for its own closure, so that the closure is inlined into it.
pub trait Batch {
    /// Nanoseconds a call.
    fn batch(&mut self, calls: u64) -> f64;
}

impl<F: FnMut(u64)> Batch for F {
    #[inline(never)]
    fn batch(&mut self, calls: u64) -> f64 {
        let start = Instant::now();
        for n in 0..calls {
            self(n);
        }
        start.elapsed().as_nanos() as f64 / calls as f64
    }
}

/// The same for a closure that two threads call.
pub trait SharedBatch {
    /// Nanoseconds a call.
    fn batch(&self, calls: u64) -> f64;
}

impl<F: Fn(u64)> SharedBatch for F {
    #[inline(never)]
    fn batch(&self, calls: u64) -> f64 {
        let start = Instant::now();
        for n in 0..calls {
            self(n);
        }
        start.elapsed().as_nanos() as f64 / calls as f64
    }
}

trait Nothing {
    fn batch_of_nothing(&self) -> f64;
}

impl<F: Fn()> Nothing for F {
    fn batch_of_nothing(&self) -> f64 {
        let start = Instant::now();
        black_box(self());
        start.elapsed().as_nanos() as f64
    }
}

/// Prints rows and verdicts; the program fails if one of them did.
#[derive(Default)]
pub struct Report {
    failed: u32,
}

impl Report {
    pub fn title(&mut self, title: &str) {
        println!("\n{title}");
    }

    pub fn row(&mut self, name: &str, ns: f64) {
        println!("  {name:<44} {ns:8.2}");
    }

    pub fn over(&mut self, name: &str, ns: f64, bare: f64) {
        println!("  {name:<44} {ns:8.2}   over bare {:8.2}", ns - bare);
    }

    pub fn at_most(&mut self, what: &str, ns: f64, limit: f64) {
        self.verdict(ns <= limit, &format!("{what}: {ns:.2} ns, at most {limit:.2} ns"));
    }

    /// `theirs` is at least `factor` times `ours`; what is below the resolution counts as 0.1 ns.
    pub fn times(&mut self, what: &str, theirs: f64, ours: f64, factor: f64) {
        let ratio = theirs / ours.max(0.1);
        self.verdict(ratio >= factor, &format!("{what}: {ratio:.1} times, at least {factor} times"));
    }

    pub fn none(&mut self, what: &str, count: u64) {
        self.verdict(count == 0, &format!("{what}: {count}, at most 0"));
    }

    pub fn end(&self) {
        println!("\n{} failed", self.failed);
        std::process::exit(i32::from(self.failed > 0));
    }

    fn verdict(&mut self, passed: bool, line: &str) {
        println!("  {} {line}", if passed { "PASS" } else { "FAIL" });
        self.failed += u32::from(!passed);
    }
}
