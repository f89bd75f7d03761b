//! The answer for people: what is not well first, each with the command to type next; what is well in a line.

use crate::base::text::{about, shortened, shown};
use crate::operate::cli::failure::Stop;
use crate::operate::cli::print::{Paint, Table, When, plain};
use crate::operate::cli::session::{Session, quoted};
use crate::operate::cli::status::form::{Answer, At, Heartbeat};

/// Characters of a reason on a terminal; elsewhere it is whole.
const WHY_WIDTH: usize = 100;
/// So many lines of a section are shown.
const LINES_MAX: usize = 20;
/// So many next occurrences are.
const NEXT_SHOWN: usize = 5;

/// What is needed to write.
struct Told {
    paint: Paint,
    when: When,
    program: String,
    why_width: usize,
    /// Whether something was written already.
    begun: bool,
}

type Cell = (String, String);

impl Told {
    fn why(&self, why: &str) -> Cell {
        plain(&shortened(why, self.why_width))
    }

    fn at(&self, at: Option<At>) -> Cell {
        plain(&at.map_or_else(|| String::from("-"), |at| self.when.short(at.0)))
    }

    fn until(&self, at: Option<At>, none: &str) -> Cell {
        plain(&at.map_or_else(|| none.to_owned(), |at| format!("until {}", self.when.short(at.0))))
    }

    fn type_next(&self, command: &str) -> Cell {
        let text = shown(&format!("{} {command}", self.program)).into_owned();
        (text.clone(), self.paint.dim(text))
    }

    /// A heading and its lines; nothing if there are none.
    fn section(
        &mut self,
        session: &mut Session<'_, '_>,
        title: &str,
        rows: Vec<Vec<Cell>>,
    ) -> Result<(), Stop> {
        if rows.is_empty() {
            return Ok(());
        }
        let heading = self.paint.bold(title);
        let gap = if self.begun { "\n" } else { "" };
        self.begun = true;
        writeln!(session.out(), "{gap}{heading}")?;
        let more = rows.len().saturating_sub(LINES_MAX);
        let mut table = Table::default();
        for row in rows.into_iter().take(LINES_MAX) {
            table.row([(String::new(), String::new())].into_iter().chain(row));
        }
        table.write(session.out())?;
        if more > 0 {
            writeln!(session.out(), "  and {more} more; --json has all")?;
        }
        Ok(())
    }
}

pub(super) fn tell(session: &mut Session<'_, '_>, answer: &Answer) -> Result<(), Stop> {
    let why_width = if session.io.terminal { WHY_WIDTH } else { usize::MAX };
    let (paint, when, program) = (session.paint(), session.when(), session.program());
    let mut told = Told { paint, when, program, why_width, begun: false };
    trouble(session, &mut told, answer)?;
    held(session, &mut told, answer)?;
    queue(session, &mut told, answer)?;
    declared(session, &mut told, answer)?;
    let summary = summary(answer);
    if told.begun {
        writeln!(session.out(), "\n{summary}")?;
    } else {
        writeln!(session.out(), "all is well: {summary}")?;
        told.begun = true;
    }
    let next = answer.next.iter().take(NEXT_SHOWN);
    let next = next.map(|next| vec![plain(&next.job), told.at(Some(next.at)), plain(&next.local)]).collect();
    told.section(session, "next", next)
}

/// What is open, overdue or failing.
fn trouble(session: &mut Session<'_, '_>, told: &mut Told, answer: &Answer) -> Result<(), Stop> {
    let alerts = answer.alerts.iter().map(|alert| {
        let state = if alert.state == "open" { told.paint.bad("open") } else { alert.state.to_owned() };
        vec![
            (alert.state.to_owned(), state),
            plain(&alert.subject),
            told.at(alert.since),
            plain(&format!("{}×", alert.count)),
            told.why(&alert.why),
            plain(&alert.id),
            (shown(&alert.next).into_owned(), told.paint.dim(shown(&alert.next))),
        ]
    });
    let alerts: Vec<_> = alerts.collect();
    let some = !alerts.is_empty();
    told.section(session, "alerts", alerts)?;
    if some {
        let line = told.paint.dim(format!("{} ack ID says that somebody sees to it", shown(&told.program)));
        writeln!(session.out(), "  {line}")?;
    }
    let line = |told: &Told, beat: &Heartbeat| {
        let state = if beat.level == 2 { told.paint.bad(beat.state) } else { beat.state.to_owned() };
        // What only beats has no run to explain.
        let next = if beat.ran { "explain" } else { "forget" };
        vec![
            (beat.state.to_owned(), state),
            plain(&beat.name),
            told.at(beat.since),
            told.why(&beat.why),
            told.type_next(&format!("{next} {}", quoted(&beat.name))),
        ]
    };
    let beats = answer.heartbeats.iter().filter(|beat| beat.level > 0 && beat.declared);
    let beats = beats.map(|beat| line(told, beat)).collect();
    told.section(session, "heartbeats", beats)
}

/// What is refused now, and by what.
fn held(session: &mut Session<'_, '_>, told: &mut Told, answer: &Answer) -> Result<(), Stop> {
    let breakers = answer
        .breakers
        .iter()
        .filter(|breaker| breaker.state != "closed" || breaker.forced.is_some() || breaker.until.is_some());
    let breakers = breakers.map(|breaker| {
        let state = if breaker.state == "open" { told.paint.bad("open") } else { breaker.state.to_owned() };
        let how = if breaker.forced.is_some() { "--auto" } else { "--close" };
        vec![
            (breaker.state.to_owned(), state),
            plain(&breaker.dependency),
            told.until(breaker.until, ""),
            told.why(&breaker.why),
            told.type_next(&format!("breaker {} {how}", quoted(&breaker.dependency))),
        ]
    });
    let breakers = breakers.collect();
    told.section(session, "breakers", breakers)?;
    let holds = answer.holds.iter().map(|hold| {
        vec![
            plain(&hold.subject),
            told.until(Some(hold.until).flatten(), "until it is released"),
            told.why(&format!("{} ({})", hold.reason, hold.by)),
            told.type_next(&format!("release {}", quoted(&hold.subject))),
        ]
    });
    let holds = holds.collect();
    told.section(session, "holds", holds)?;
    for (title, limits) in
        [("retry budgets that are in use", &answer.budgets), ("quotas that are in use", &answer.quotas)]
    {
        let rows = limits.iter().map(|limit| {
            let used = limit.used.map(|used| format!("{used} used")).unwrap_or_default();
            vec![plain(&limit.dependency), plain(&used), told.until(limit.full_at, "")]
        });
        let rows = rows.collect();
        told.section(session, title, rows)?;
    }
    let windows = answer.windows.iter().map(|window| {
        vec![
            plain(&window.job),
            plain(&format!("{} waiting", window.runs)),
            told.until(window.opens, ""),
            told.why(&window.why),
        ]
    });
    let windows = windows.collect();
    told.section(session, "windows that are closed", windows)
}

fn queue(session: &mut Session<'_, '_>, told: &mut Told, answer: &Answer) -> Result<(), Stop> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (state, count) in answer.queue.states.iter().filter(|(_, count)| **count > 0) {
        let painted = told.paint.state(state, state);
        rows.push(vec![
            (String::from(*state), painted),
            plain(&count.to_string()),
            told.type_next(&format!("runs --state {state}")),
        ]);
    }
    if let Some(oldest) = answer.queue.oldest_ms {
        let oldest = about(std::time::Duration::from_millis(oldest));
        rows.push(vec![
            plain("due"),
            plain(&answer.queue.due.to_string()),
            plain(&format!("the first for {oldest}; a worker or `{} tick` takes them up", told.program)),
        ]);
    }
    told.section(session, "queue", rows)?;
    let mut rows = Vec::new();
    if answer.dead_letters > 0 {
        rows.push(vec![plain(&answer.dead_letters.to_string()), told.type_next("dead-letters")]);
    }
    told.section(session, "dead letters that nobody has looked at", rows)
}

fn declared(session: &mut Session<'_, '_>, told: &mut Told, answer: &Answer) -> Result<(), Stop> {
    let never = answer.never.iter().map(|job| {
        let since = job.since.map(|at| format!("declared {}", told.when.short(at.0))).unwrap_or_default();
        vec![plain(&job.name), plain(&since)]
    });
    let never = never.collect();
    told.section(session, "declared, and never ran", never)?;
    let undeclared = answer.undeclared.iter().map(|job| {
        let next = format!("beat {} --every 24h", quoted(&job.name));
        vec![plain(&job.name), told.at(job.last), told.type_next(&next)]
    });
    let undeclared = undeclared.collect();
    told.section(session, "ran, and nobody declared it", undeclared)
}

/// How much is well, in half a sentence.
fn summary(answer: &Answer) -> String {
    let well = answer.heartbeats.iter().filter(|beat| beat.level == 0).count();
    let down = answer.heartbeats.iter().filter(|beat| beat.level == 2).count();
    let open = answer.alerts.iter().filter(|alert| alert.state == "open").count();
    let live: u64 = answer.queue.states.values().sum();
    let several = |count: usize, one: &str, many: &str| match count {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let live = match (live, answer.queue.cut) {
        (0, _) => String::from("nothing in the queue"),
        (1, _) => String::from("1 run in the queue"),
        (live, false) => format!("{live} runs in the queue"),
        (live, true) => format!("more than {live} runs in the queue"),
    };
    let beats = match (well, down) {
        (0, 0) => String::from("no heartbeats"),
        _ => format!("{} well, {down} in trouble", several(well, "heartbeat", "heartbeats")),
    };
    format!("{beats}, {}, {live}", several(open, "open alert", "open alerts"))
}
