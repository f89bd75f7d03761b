//! A worker in a process of its own, and what it says of itself at its end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use unattended::postgres::Postgres;
use unattended::shutdown::Shutdown;
use unattended::sqlite::Sqlite;
use unattended::store::Store;

use crate::ours;

/// What a worker process has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub jobs: f64,
    pub seconds: f64,
    /// The most memory that it had, in MB.
    pub megabytes: f64,
    /// Seconds of a processor.
    pub cpu: f64,
}

/// The other side of [`start`]: opens the store, waits for a line, works.
pub fn main(args: &[String]) {
    let [engine, place, schema, jobs, span] = args else { panic!("not a child's arguments") };
    let store: Arc<dyn Store> = match engine.as_str() {
        "sqlite" => Arc::new(Sqlite::open(place).expect("the store")),
        _ => {
            Arc::new(Postgres::options().schema(schema.as_str()).connect_blocking(place).expect("the store"))
        }
    };
    let span = Duration::from_secs_f64(span.parse().expect("seconds"));
    let shutdown = Shutdown::new();
    let job = ours::nothing(1, jobs.parse().expect("a number"), &shutdown);
    let worker = ours::worker(store, job);
    println!("ready");
    std::io::stdin().lock().read_line(&mut String::new()).expect("a line");
    let begun = Instant::now();
    let summary = ours::runtime().block_on(async {
        let end = shutdown.clone();
        tokio::spawn(async move {
            tokio::time::sleep(span).await;
            end.trigger();
        });
        worker.run(&shutdown).await
    });
    let took = begun.elapsed().as_secs_f64();
    let cpu = cpu_of("/proc/self/stat", false);
    println!("{} {took} {} {cpu}", ours::succeeded(&summary), peak_kib() * 1024.0 / 1e6);
}

/// A worker process that is ready.
pub struct Working {
    child: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

/// Starts one; it works off `jobs`, or for the span.
pub fn start(engine: &str, place: &str, schema: &str, jobs: u64, span: Duration) -> Working {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(["child", engine, place, schema, &jobs.to_string(), &span.as_secs_f64().to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process");
    let say = child.stdin.take().expect("its input");
    let mut hear = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    hear.read_line(&mut line).expect("a line");
    assert_eq!(line.trim(), "ready");
    Working { child, say, hear }
}

impl Working {
    pub fn go(&mut self) {
        self.say.write_all(b"go\n").expect("said");
    }

    pub fn end(mut self) -> Done {
        let mut line = String::new();
        self.hear.read_line(&mut line).expect("a line");
        assert!(self.child.wait().expect("its end").success());
        let figures: Vec<f64> = line.split_whitespace().map(|text| text.parse().expect("a figure")).collect();
        let [jobs, seconds, megabytes, cpu] = figures[..] else { panic!("{line}") };
        Done { jobs, seconds, megabytes, cpu }
    }
}

fn peak_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

/// Seconds of a processor that a process has used, with those of its children that have ended if `all`.
pub fn cpu_of(stat: &str, all: bool) -> f64 {
    let Ok(text) = std::fs::read_to_string(stat) else { return 0.0 };
    let after = text.rsplit_once(')').map_or("", |(_, after)| after);
    let fields: Vec<&str> = after.split_whitespace().collect();
    let last = if all { 15 } else { 13 };
    let ticks: f64 = fields[11..last].iter().map(|field| field.parse::<f64>().unwrap_or(0.0)).sum();
    ticks / 100.0
}

/// The same for a server and all of its processes.
pub fn cpu_of_tree(parent: &str) -> f64 {
    let processes = std::fs::read_dir("/proc").expect("the processes").flatten();
    let children = processes.filter_map(|entry| {
        let stat = entry.path().join("stat").to_str()?.to_owned();
        let text = std::fs::read_to_string(&stat).ok()?;
        let (_, after) = text.rsplit_once(')')?;
        let is_child = after.split_whitespace().nth(1)? == parent;
        is_child.then(|| cpu_of(&stat, true))
    });
    children.sum::<f64>() + cpu_of(&format!("/proc/{parent}/stat"), true)
}

/// The share of the machine's processors that had nothing to do, between two of these.
pub fn idle() -> [f64; 2] {
    let text = std::fs::read_to_string("/proc/stat").expect("the processors");
    let line = text.lines().next().expect("a line");
    let ticks: Vec<f64> = line.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0.0)).collect();
    [ticks[3] + ticks[4], ticks[..8].iter().sum()]
}
