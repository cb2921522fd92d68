//! What an isolate costs: time to make one and memory to keep it, from the base snapshot and
//! bare, one after the other and on every core; and a call of an op. `make bench-start` runs it.
//!
//! V8 reads the read-only part of a snapshot with the first isolate, and drops it with the last. A
//! node always has one, so one is kept while others are made.
//!
//! The snapshot's parts: what V8 reads once per process is shared by all isolates; the isolate's
//! part and its context's are what each of them is made of.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use deno_core::JsRuntime;
use deno_core::RuntimeOptions;
use deno_core::v8;
use holm_runtime::engine::Engine;
use holm_runtime::isolate::Blank;
use holm_runtime::isolate::LAZY_SOURCES;
use holm_runtime::isolate::SNAPSHOT;

/// Bytes that the heap of each may hold.
const MEMORY: usize = 128 << 20;
/// How often each kind has its turn, and isolates that are made of it then.
const ROUNDS: usize = 10;
const EACH: usize = 20;
/// Isolates that are kept at the same time, to see what each holds.
const KEPT: usize = 100;
/// How long isolates are made on each number of threads.
const RATE: Duration = Duration::from_secs(3);
/// Calls of an op that are timed.
const CALLS: u32 = 5_000_000;
/// Where V8's snapshot (`src/snapshot/snapshot.cc`) says where its parts begin, four bytes each:
/// behind counts, checksums and 64 bytes of version. Read-only data comes first.
const PARTS: usize = 80;

fn main() {
    // Cargo passes `--bench`; there is nothing to choose.
    let engine = Engine::start();
    println!("{} cores", cores());
    parts();
    times(engine);
    memory(engine);
    rate(engine);
    calls();
}

fn parts() {
    let word = |place: usize| {
        let bytes = SNAPSHOT.get(place..place + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let contexts = word(0).unwrap_or(0);
    // deno_core puts the length of V8's data last.
    let end = word(SNAPSHOT.len() - 8).unwrap_or(0);
    let starts: Vec<_> = (0..contexts + 2)
        .filter_map(|part| word(PARTS + 4 * part))
        .chain([end])
        .collect();
    println!("\nbase snapshot: {} KiB of V8's", end >> 10);
    println!("  read-only, once per process {:5} KiB", starts[0] >> 10);
    let names = [
        "isolate",
        "shared strings",
        "V8's context",
        "functions' context",
    ];
    for (part, name) in starts.windows(2).zip(names) {
        println!(
            "  {name:27} {:5} KiB",
            part[1].saturating_sub(part[0]) >> 10
        );
    }
}

fn times(engine: Engine) {
    println!(
        "\ntime to make one, {} of each: median (10th–90th of a hundred), µs",
        ROUNDS * EACH
    );
    let (mut bare, mut ours, mut drops) = (Vec::new(), Vec::new(), Vec::new());
    on_thread(|| {
        for _ in 0..ROUNDS {
            {
                let _kept = make_bare();
                bare.extend((0..EACH).map(|_| timed(|| drop(make_bare()))));
            }
            let _kept = make(engine);
            for _ in 0..EACH {
                let begun = Instant::now();
                let blank = make(engine);
                ours.push(begun.elapsed());
                drops.push(timed(|| drop(blank)));
            }
        }
    });
    println!("  bare isolate and context, and their end {}", spread(bare));
    println!("  isolate from the base snapshot          {}", spread(ours));
    println!(
        "  its end                                 {}",
        spread(drops)
    );
}

fn memory(engine: Engine) {
    println!("\nmemory that each of {KEPT} holds that wait, with their threads: private KiB");
    for (name, is_bare) in [
        ("bare isolate and context", true),
        ("from the base snapshot", false),
    ] {
        let before = private_kib();
        let ready = AtomicU64::new(0);
        let end = AtomicBool::new(false);
        let held = thread::scope(|scope| {
            for _ in 0..KEPT {
                scope.spawn(|| {
                    on_runtime(|| {
                        let kept = if is_bare {
                            (Some(make_bare()), None)
                        } else {
                            (None, Some(make(engine)))
                        };
                        ready.fetch_add(1, Ordering::SeqCst);
                        while !end.load(Ordering::SeqCst) {
                            thread::park_timeout(Duration::from_millis(20));
                        }
                        drop(kept);
                    });
                });
            }
            while ready.load(Ordering::SeqCst) < KEPT as u64 {
                thread::sleep(Duration::from_millis(5));
            }
            let held = private_kib().saturating_sub(before);
            end.store(true, Ordering::SeqCst);
            held
        });
        println!("  {name:24} {:6}", held / KEPT as u64);
    }
}

fn rate(engine: Engine) {
    println!(
        "\nisolates made and ended per second, {} s each",
        RATE.as_secs()
    );
    let mut alone = 0.0;
    for threads in 1..=cores() {
        let made = AtomicU64::new(0);
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    on_runtime(|| {
                        let _kept = make(engine);
                        while begun.elapsed() < RATE {
                            drop(make(engine));
                            made.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                });
            }
        });
        let per_second = made.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
        if threads == 1 {
            alone = per_second;
        }
        println!(
            "  {threads} threads {per_second:6.0} ({:.2} times one)",
            per_second / alone
        );
    }
}

/// A restored isolate calls ops the slow way, until deno_core first loads a lazy script and attaches
/// fast calls.
fn calls() {
    println!("\na call of an op, once compiled, ns");
    on_thread(|| {
        let mut runtime = JsRuntime::new(RuntimeOptions {
            extensions: holm_js_api::extensions(),
            startup_snapshot: Some(SNAPSHOT),
            residual_lazy_js_sources: LAZY_SOURCES,
            skip_op_registration: true,
            ..Default::default()
        });
        let mut run = |script: &str| {
            let script = script.to_owned();
            timed(|| {
                runtime
                    .execute_script("bench.js", script)
                    .expect("it does not throw");
            })
        };
        let settled = format!(
            "{{ const f = Deno.core.ops.op_holm_settled; for (let i = 0; i < {CALLS}; i++) f(0); }}"
        );
        let lazy = |name| format!("__bootstrap.core.loadExtScript('ext:deno_web/{name}.js')");
        run(&settled);
        println!(
            "  slow {:4.0}",
            run(&settled).as_nanos() as f64 / f64::from(CALLS)
        );
        let first = run(&lazy("18_css_stylesheet"));
        let second = run(&lazy("16_image_data"));
        run(&settled);
        println!(
            "  fast {:4.0}",
            run(&settled).as_nanos() as f64 / f64::from(CALLS)
        );
        println!(
            "the first lazy script took {} µs, which attached them; a longer one then {} µs",
            first.as_micros(),
            second.as_micros()
        );
    });
}

fn make(engine: Engine) -> Blank {
    Blank::new(engine, MEMORY).expect("the base snapshot starts")
}

/// What V8 takes by itself, from the snapshot that it brings.
fn make_bare() -> v8::OwnedIsolate {
    let mut isolate = v8::Isolate::new(v8::CreateParams::default().heap_limits(0, MEMORY));
    {
        v8::scope!(let scope, &mut isolate);
        v8::Context::new(scope, v8::ContextOptions::default());
    }
    isolate
}

fn on_thread(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| on_runtime(work));
    });
}

/// An isolate wants a tokio runtime of its own.
fn on_runtime(work: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async { work() });
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let of = |percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
    format!("{:6} ({}–{})", of(50), of(10), of(90))
}

fn private_kib() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let kib = |name: &str| -> u64 {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("a number of KiB")
    };
    kib("Private_Clean:") + kib("Private_Dirty:")
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
