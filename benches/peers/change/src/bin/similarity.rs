//! What a verdict of similarity costs, here and in the peers, in one run: a Markdown table.
//!
//! Each measurement is a child process of its own, so that its peak of memory is its own and a peer that does not end within
//! 6 s can be stopped. The least of three runs counts; peers run once.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rapidfuzz::distance::indel;
use similar::{Algorithm, capture_diff_slices};
use unattended::similarity::Policy;

const LIMIT: Duration = Duration::from_secs(6);
const ENGINES: [&str; 6] = ["memcmp", "ours", "rapidfuzz", "similar-bytes", "similar-lines", "difflib"];
const CASES: [&str; 16] = [
    "identical 10 MB",
    "one line changed 10 MB",
    "1 % of the lines 10 MB",
    "rewrite 1 MB",
    "rewrite 10 MB",
    "LF to CRLF 10 MB",
    "lines shuffled 1 MB",
    "words shuffled 1 MB",
    "lines shuffled 10 MB",
    "blocks moved 1 MB",
    "substituted 1.4 % 1 MB",
    "substituted 1.9 % 1 MB",
    "substituted 2.6 % 1 MB",
    "two letters 2.6 % 1 MB",
    "log shuffled 1 MB",
    "log shuffled 10 MB",
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, engine, case] = &args[..] {
        return child(engine, case);
    }
    println!(
        "| case | verdict here, by | memcmp | here | beyond the inputs | rapidfuzz, cut-off | similar, bytes | similar, lines | difflib |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for case in CASES {
        let mut cells = Vec::new();
        let mut verdict = String::new();
        for engine in ENGINES {
            let runs = if matches!(engine, "memcmp" | "ours") { 3 } else { 1 };
            let measured: Vec<Option<String>> = (0..runs).map(|_| run(engine, case)).collect();
            let best = measured.iter().flatten().filter_map(|out| {
                let mut words = out.splitn(3, ' ');
                let time: f64 = words.next()?.parse().ok()?;
                Some((time, words.next()?.to_owned(), words.next()?.trim().to_owned()))
            });
            match best.min_by(|a, b| a.0.total_cmp(&b.0)) {
                None => cells.push("> 6 s or out of memory".to_owned()),
                Some((time, kib, said)) if engine == "ours" => {
                    cells.push(format!("**{time:.2} ms**"));
                    cells.push(format!("{:.1} MB", kib.parse::<f64>().unwrap_or(0.0) / 1024.0));
                    verdict = said;
                }
                Some((time, ..)) => cells.push(format!("{time:.2} ms")),
            }
        }
        println!("| {case} | {verdict} | {} |", cells.join(" | "));
    }
}

/// What a child prints: milliseconds, KiB beyond what it held before, what it found. `None` if it was stopped.
fn run(engine: &str, case: &str) -> Option<String> {
    let this = std::env::current_exe().ok()?;
    let mut child =
        Command::new(this).args([engine, case]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().ok()? {
            let output = child.wait_with_output().ok()?;
            return status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned());
        }
        // The inputs are made in the child too.
        if started.elapsed() > LIMIT + Duration::from_secs(2) {
            child.kill().ok()?;
            child.wait().ok()?;
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn child(engine: &str, case: &str) {
    let (old, new) = inputs(case);
    if engine == "difflib" {
        return difflib(&old, &new);
    }
    // The kernel forgets the peak at which the inputs were made.
    let reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = if reset { status("VmRSS:") } else { status("VmHWM:") };
    let started = Instant::now();
    let said = match engine {
        "memcmp" => (std::hint::black_box(&old[..]) == std::hint::black_box(&new[..])).to_string(),
        "ours" => {
            use unattended::explain::Explain;
            let verdict = Policy::default().compare(&old, &new);
            let what = match verdict {
                unattended::similarity::Verdict::AssumedMeaningful(_) => "assumed",
                _ if verdict.is_meaningful() => "meaningful",
                _ => "not meaningful",
            };
            format!("{what}, `{}`", verdict.code())
        }
        "rapidfuzz" => {
            let args = indel::Args::default().score_cutoff(0.98);
            let ratio =
                indel::normalized_similarity_with_args(old.iter().copied(), new.iter().copied(), &args);
            ratio.is_some().to_string()
        }
        "similar-bytes" => capture_diff_slices(Algorithm::Myers, &old, &new).len().to_string(),
        _ => {
            let lines = |text| <[u8]>::split_inclusive(text, |byte: &u8| *byte == b'\n').collect::<Vec<_>>();
            capture_diff_slices(Algorithm::Myers, &lines(&old[..]), &lines(&new[..])).len().to_string()
        }
    };
    let time = started.elapsed().as_secs_f64() * 1e3;
    println!("{time} {} {said}", status("VmHWM:").saturating_sub(before));
}

/// A line of the process's own status, in KiB: resident memory, or its peak.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

fn difflib(old: &[u8], new: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { std::process::exit(1) };
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    if std::fs::write(&a, old).is_err() || std::fs::write(&b, new).is_err() {
        std::process::exit(1);
    }
    let script = "import sys, time, difflib\na = open(sys.argv[1], 'rb').read(); b = open(sys.argv[2], 'rb').read()\n\
                  t = time.perf_counter(); r = difflib.SequenceMatcher(None, a, b).ratio()\n\
                  print((time.perf_counter() - t) * 1e3, 0, r)";
    // `timeout` ends it with this process's own limit, as killing a process does not end its children.
    let done = Command::new("timeout").arg("6").args(["python3", "-c", script]).args([&a, &b]).status();
    drop(folder);
    std::process::exit(done.ok().and_then(|status| status.code()).unwrap_or(1));
}

/// The two texts of a case; the same each time.
fn inputs(case: &str) -> (Vec<u8>, Vec<u8>) {
    let mut random = Random(7);
    let n = if case.ends_with("10 MB") { 10_000_000 } else { 1_000_000 };
    let words: Vec<Vec<u8>> = (0..5_000).map(|_| random.word()).collect();
    let old = match case {
        case if case.starts_with("two letters") => (0..n).map(|_| b"AC"[random.below(2)]).collect(),
        case if case.starts_with("log") => random.log(n),
        _ => random.prose(&words, n),
    };
    let new = match case.split(' ').next().unwrap_or_default() {
        "identical" => old.clone(),
        "one" => {
            let mut new = old.clone();
            new.splice(n / 2..n / 2 + 40, *b"a line that says something else\n");
            new
        }
        "1" => {
            let mut new = Vec::new();
            for line in old.split_inclusive(|byte| *byte == b'\n') {
                if random.below(100) == 0 {
                    new.extend(random.prose(&words, line.len().saturating_sub(1)));
                    new.push(b'\n');
                } else {
                    new.extend_from_slice(line);
                }
            }
            new
        }
        "rewrite" => random.prose(&words, n),
        "LF" => old
            .iter()
            .flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] })
            .collect(),
        "lines" | "log" => random.shuffled(old.split_inclusive(|byte| *byte == b'\n').collect()),
        "words" => random.shuffled(old.split_inclusive(|byte| matches!(byte, b'\n' | b' ')).collect()),
        "blocks" => random.shuffled(old.chunks(30_000).collect()),
        "two" => random.substituted(&old, 26, b"AC"),
        _ => {
            let share = if case.contains("1.4") {
                14
            } else if case.contains("1.9") {
                19
            } else {
                26
            };
            random.substituted(&old, share, b"abcdefghijklmnopqrstuvwxyz")
        }
    };
    (old, new)
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn word(&mut self) -> Vec<u8> {
        (0..2 + self.below(8)).map(|_| b'a' + self.below(26) as u8).collect()
    }

    fn prose(&mut self, words: &[Vec<u8>], n: usize) -> Vec<u8> {
        let (mut text, mut column) = (Vec::with_capacity(n + 16), 0);
        while text.len() < n {
            let word = &words[self.below(words.len())];
            text.extend_from_slice(word);
            column += word.len() + 1;
            text.push(if column > 70 { b'\n' } else { b' ' });
            column = if column > 70 { 0 } else { column };
        }
        text.truncate(n);
        text
    }

    fn log(&mut self, n: usize) -> Vec<u8> {
        let line = |at: usize, random: &mut Self| {
            let (minute, second) = (at / 60 % 60, at % 60);
            let (status, took) = ([200, 200, 200, 500][random.below(4)], random.below(30));
            format!(
                "2026-01-02 03:{minute:02}:{second:02} INFO worker request done status={status} ms={took}\n"
            )
        };
        (0..n / 65).flat_map(|at| line(at, self).into_bytes()).collect()
    }

    fn shuffled(&mut self, mut parts: Vec<&[u8]>) -> Vec<u8> {
        for at in (1..parts.len()).rev() {
            parts.swap(at, self.below(at + 1));
        }
        parts.concat()
    }

    /// So many thousandths of the bytes replaced by others of the same letters.
    fn substituted(&mut self, old: &[u8], share: usize, letters: &[u8]) -> Vec<u8> {
        let mut new = old.to_vec();
        for byte in &mut new {
            if self.below(1_000) < share {
                let old = *byte;
                while *byte == old {
                    *byte = letters[self.below(letters.len())];
                }
            }
        }
        new
    }
}
