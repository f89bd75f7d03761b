//! Ending in stages: what takes in work first, what keeps it last, and none of them longer than its slice.

use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use crate::act::panics::caught;
use crate::act::shutdown::{Phase, Shutdown};
use crate::base::explain::Explain;
use crate::base::text;
use crate::base::time::{Clock, Moment, System};

/// The longest deadline.
pub const WITHIN_MAX: Duration = Duration::from_secs(86_400);

/// What is done when a program ends, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Nothing more is taken in: listeners are closed, queues are no longer read.
    StopIntake,
    /// What has not begun is given back or cancelled, and that is recorded.
    CancelWaiting,
    /// What runs is waited for.
    Finish,
    /// What still runs is asked to stop.
    Cancel,
    /// Children are sent SIGTERM.
    Terminate,
    /// Children are sent SIGKILL.
    Kill,
    /// What is still only in memory is written down.
    Flush,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 7] = [
        Self::StopIntake,
        Self::CancelWaiting,
        Self::Finish,
        Self::Cancel,
        Self::Terminate,
        Self::Kill,
        Self::Flush,
    ];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StopIntake => "stop_intake",
            Self::CancelWaiting => "cancel_waiting",
            Self::Finish => "finish",
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
            Self::Kill => "kill",
            Self::Flush => "flush",
        }
    }

    /// Its part of the deadline, unless told otherwise: what runs has most of it.
    const fn share(self) -> u32 {
        match self {
            Self::StopIntake | Self::CancelWaiting | Self::Kill => 5,
            Self::Finish => 60,
            Self::Cancel | Self::Terminate => 10,
            Self::Flush => 15,
        }
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a program has to do to end, in stages that share one deadline.
///
/// The actions of a stage run side by side, each on a thread of its own. A stage ends when they have, or when its slice is
/// over: then what has not ended is left behind, and the next begins. A stage that takes less leaves its time to
/// those after it; one without actions takes none. A second signal, or [`Shutdown::at_once`], skips to
/// [`Stage::Kill`].
///
/// ```
/// use std::time::Duration;
/// use unattended::shutdown::{Sequence, Shutdown, Stage};
///
/// let shutdown = Shutdown::new();
/// shutdown.trigger();
/// let ended = Sequence::within(Duration::from_secs(20))
///     .on(Stage::Flush, "journal", |_slice| Ok::<_, std::io::Error>(()))
///     .on(Stage::StopIntake, "listener", |_slice| Err(std::io::Error::other("it was closed before")))
///     .run_blocking(&shutdown);
/// assert_eq!(ended.to_string(), "stop_intake listener: failed: it was closed before\nflush journal: done\n");
/// assert!(!ended.is_clean());
/// ```
#[must_use = "nothing ends until it is run"]
pub struct Sequence {
    within: Duration,
    actions: Vec<Action>,
    on_stage: Option<Box<OnStage>>,
}

struct Action {
    stage: Stage,
    name: String,
    work: Box<Work>,
}

type Work = dyn FnOnce(&Slice) -> Result<(), String> + Send;
type OnStage = dyn FnMut(Stage, Duration) + Send;

/// The time that an action has.
#[derive(Clone, Debug)]
pub struct Slice {
    ends: Moment,
    over: Arc<AtomicBool>,
}

impl Slice {
    /// How much of it is left; zero when it is over, also when that came early.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        if self.over.load(Ordering::Acquire) { Duration::ZERO } else { self.ends.since(System.moment()) }
    }

    /// Whether it is over: what the action does from then on is done behind the back of the next stage.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }
}

/// What became of a shutdown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it says what was left behind"]
pub struct Ended {
    entries: Vec<Entry>,
}

/// What became of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// When it was its turn.
    pub stage: Stage,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Well.
    Done {
        /// How long it took.
        took: Duration,
    },
    /// It gave an error.
    Failed {
        /// What it said.
        why: String,
    },
    /// It panicked.
    Panicked {
        /// What it said.
        why: String,
    },
    /// It had not ended when its slice was over.
    LeftBehind {
        /// How long it had.
        after: Duration,
    },
    /// It was not begun: an end at once was asked for.
    Skipped,
    /// It was not begun: there was no thread for it.
    NotBegun {
        /// What the system said.
        why: String,
    },
}

impl Sequence {
    /// An empty one with this deadline in all; at most a day. What runs under systemd takes less than `TimeoutStopSec=`.
    pub const fn within(deadline: Duration) -> Self {
        let within = if deadline.as_secs() < WITHIN_MAX.as_secs() { deadline } else { WITHIN_MAX };
        Self { within, actions: Vec::new(), on_stage: None }
    }

    /// Adds an action to a stage.
    pub fn on<E: Display>(
        mut self,
        stage: Stage,
        name: impl Into<String>,
        action: impl FnOnce(&Slice) -> Result<(), E> + Send + 'static,
    ) -> Self {
        let work: Box<Work> = Box::new(move |slice| action(slice).map_err(|error| error.to_string()));
        self.actions.push(Action { stage, name: name.into(), work });
        self
    }

    /// Is told of each stage that has actions as it begins, and how long it may take: for `EXTEND_TIMEOUT_USEC`, a status line,
    /// a log.
    pub fn on_stage(mut self, told: impl FnMut(Stage, Duration) + Send + 'static) -> Self {
        self.on_stage = Some(Box::new(told));
        self
    }

    /// Waits until `shutdown` is triggered, then ends what there is to end. The deadline counts from the trigger,
    /// or from this call where that came before.
    pub fn run_blocking(self, shutdown: &Shutdown) -> Ended {
        shutdown.wait_blocking();
        let Self { within, actions, mut on_stage } = self;
        let ends = System.moment().after(within);
        let (messages, inbox) = mpsc::channel();
        let mut at_once = shutdown.reached(Phase::AtOnce);
        let waker = Waker::from(Arc::new(Bell(Mutex::new(messages.clone()))));
        let mut heard = move || {
            let future = std::pin::Pin::new(&mut at_once);
            future.poll(&mut Context::from_waker(&waker)).is_ready()
        };
        let mut by_stage: Vec<Vec<Action>> = Stage::ALL.iter().map(|_| Vec::new()).collect();
        for action in actions {
            by_stage[action.stage as usize].push(action);
        }
        let mut entries = Vec::new();
        for at in 0..by_stage.len() {
            let (stage, actions) = (Stage::ALL[at], std::mem::take(&mut by_stage[at]));
            if actions.is_empty() {
                continue;
            }
            if stage < Stage::Kill && heard() {
                let skipped = actions.into_iter().map(|action| action.name);
                entries.extend(skipped.map(|name| Entry { stage, name, outcome: Outcome::Skipped }));
                continue;
            }
            let later = Stage::ALL.into_iter().filter(|later| !by_stage[*later as usize].is_empty());
            let slice = slice(ends.since(System.moment()), stage, later);
            if let Some(told) = &mut on_stage {
                // Whoever listens badly does not keep the rest from ending.
                drop(caught(|| told(stage, slice)));
            }
            let run = Run { stage, slice, messages: &messages, inbox: &inbox };
            entries.extend(run.actions(actions, &mut heard));
        }
        Ended { entries }
    }
}

/// The time of a stage: its share of what is left, among those that are still to come.
fn slice(left: Duration, stage: Stage, later: impl Iterator<Item = Stage>) -> Duration {
    let own = stage.share();
    let all = own + later.map(Stage::share).sum::<u32>();
    left.saturating_mul(own) / all.max(1)
}

enum Message {
    Ended { stage: Stage, at: usize, outcome: Outcome },
    AtOnce,
}

struct Bell(Mutex<mpsc::Sender<Message>>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens any more: it has ended.
        drop(messages.send(Message::AtOnce));
    }
}

/// One stage.
struct Run<'a> {
    stage: Stage,
    slice: Duration,
    messages: &'a mpsc::Sender<Message>,
    inbox: &'a mpsc::Receiver<Message>,
}

impl Run<'_> {
    fn actions(&self, actions: Vec<Action>, heard: &mut impl FnMut() -> bool) -> Vec<Entry> {
        let stage = self.stage;
        let begun = System.moment();
        let slice = Slice { ends: begun.after(self.slice), over: Arc::default() };
        let mut names = Vec::with_capacity(actions.len());
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(actions.len());
        for (at, Action { name, work, .. }) in actions.into_iter().enumerate() {
            let (messages, slice) = (self.messages.clone(), slice.clone());
            let begun = thread::Builder::new().name(format!("shutdown-{stage}")).spawn(move || {
                let begun = System.moment();
                let outcome = match caught(move || work(&slice)) {
                    Ok(Ok(())) => Outcome::Done { took: System.moment().since(begun) },
                    Ok(Err(why)) => Outcome::Failed { why },
                    Err(why) => Outcome::Panicked { why },
                };
                drop(messages.send(Message::Ended { stage, at, outcome }));
            });
            names.push(name);
            outcomes.push(begun.err().map(|error| Outcome::NotBegun { why: error.to_string() }));
        }
        while outcomes.iter().any(Option::is_none) {
            let left = slice.ends.since(System.moment());
            if left.is_zero() || (stage < Stage::Kill && heard()) {
                break;
            }
            match self.inbox.recv_timeout(left) {
                // One of an earlier stage, that was left behind, is too late to be told.
                Ok(Message::Ended { stage: of, at, outcome }) if of == stage => outcomes[at] = Some(outcome),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        slice.over.store(true, Ordering::Release);
        let after = System.moment().since(begun);
        let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::LeftBehind { after }));
        names.into_iter().zip(outcomes).map(|(name, outcome)| Entry { stage, name, outcome }).collect()
    }
}

impl Ended {
    /// What became of each action: by stage, and in the order in which they were added.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether everything was done.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.entries.iter().all(|entry| matches!(entry.outcome, Outcome::Done { .. }))
    }
}

/// A line for each action.
impl Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|Entry { stage, name, outcome }| {
            writeln!(f, "{stage} {}: {outcome}", text::shown(name))
        })
    }
}

impl Explain for Outcome {
    fn code(&self) -> &'static str {
        match self {
            Self::Done { .. } => "shutdown.done",
            Self::Failed { .. } => "shutdown.failed",
            Self::Panicked { .. } => "shutdown.panicked",
            Self::LeftBehind { .. } => "shutdown.left_behind",
            Self::Skipped => "shutdown.skipped",
            Self::NotBegun { .. } => "shutdown.not_begun",
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { .. } => f.write_str("done"),
            Self::Failed { why } => write!(f, "failed: {}", text::shown(why)),
            Self::Panicked { why } => write!(f, "panicked: {}", text::shown(why)),
            Self::LeftBehind { after } => write!(f, "left behind after {}", text::about(*after)),
            Self::Skipped => f.write_str("skipped, for an end at once was asked for"),
            Self::NotBegun { why } => write!(f, "not begun, for there was no thread: {}", text::shown(why)),
        }
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.actions.iter().map(|action| (action.stage, &action.name)).collect();
        f.debug_struct("Sequence")
            .field("within", &self.within)
            .field("actions", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    type Log = Arc<Mutex<Vec<&'static str>>>;

    fn note(log: &Log, word: &'static str) -> impl FnOnce(&Slice) -> Result<(), Infallible> + Send + use<> {
        let log = Arc::clone(log);
        move |_| {
            log.lock().unwrap().push(word);
            Ok(())
        }
    }

    fn triggered() -> Shutdown {
        let shutdown = Shutdown::new();
        shutdown.trigger();
        shutdown
    }

    /// Waits for the end of its slice.
    fn hang(slice: &Slice) -> Result<(), Infallible> {
        while !slice.is_over() {
            thread::yield_now();
        }
        thread::park_timeout(Duration::from_millis(50));
        Ok(())
    }

    #[test]
    fn stages_come_in_their_order_whatever_the_order_in_which_they_were_given() {
        let log = Log::default();
        let ended = Stage::ALL.into_iter().rev().fold(Sequence::within(LONG), |sequence, stage| {
            sequence.on(stage, "x", note(&log, stage.as_str()))
        });
        let ended = ended.run_blocking(&triggered());
        assert_eq!(*log.lock().unwrap(), Stage::ALL.map(Stage::as_str));
        assert!(ended.is_clean(), "{ended}");
    }

    #[test]
    fn a_slice_is_the_share_of_what_is_left_among_those_to_come() {
        let s = Duration::from_secs;
        assert_eq!(slice(s(100), Stage::Flush, std::iter::empty()), s(100));
        assert_eq!(slice(s(75), Stage::Finish, [Stage::Flush].into_iter()), s(60));
        // All of them together never exceed the deadline, and the last has what the others did not use.
        let mut left = s(110);
        for (at, stage) in Stage::ALL.into_iter().enumerate() {
            left -= slice(left, stage, Stage::ALL.into_iter().skip(at + 1));
        }
        assert_eq!(left, Duration::ZERO);
    }

    #[test]
    fn what_hangs_is_left_behind_and_the_next_stage_has_its_turn() {
        let log = Log::default();
        let ended = Sequence::within(Duration::from_secs(6))
            .on(Stage::StopIntake, "hangs", hang)
            .on(Stage::StopIntake, "works", note(&log, "works"))
            .on(Stage::Cancel, "panics", |_| -> Result<(), Infallible> { panic!("no") })
            .on(Stage::Flush, "journal", note(&log, "journal"))
            .run_blocking(&triggered());
        let codes: Vec<_> = ended.entries().iter().map(|entry| entry.outcome.code()).collect();
        assert_eq!(codes, ["shutdown.left_behind", "shutdown.done", "shutdown.panicked", "shutdown.done"]);
        assert_eq!(*log.lock().unwrap(), ["works", "journal"]);
    }

    #[test]
    fn a_second_signal_skips_to_the_end() {
        let log = Log::default();
        let shutdown = triggered();
        let second = shutdown.clone();
        let ended = Sequence::within(LONG)
            .on(Stage::Finish, "waits", move |slice: &Slice| {
                second.trigger();
                hang(slice)
            })
            .on(Stage::Terminate, "children", note(&log, "terminate"))
            .on(Stage::Kill, "children", note(&log, "kill"))
            .on(Stage::Flush, "journal", note(&log, "flush"))
            .run_blocking(&shutdown);
        assert_eq!(*log.lock().unwrap(), ["kill", "flush"]);
        let codes: Vec<_> = ended.entries().iter().map(|entry| entry.outcome.code()).collect();
        assert_eq!(codes, ["shutdown.left_behind", "shutdown.skipped", "shutdown.done", "shutdown.done"]);
    }

    #[test]
    fn each_stage_is_told_with_what_it_has() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let on_stage = Arc::clone(&told);
        let ended = Sequence::within(Duration::MAX)
            .on_stage(move |stage, slice| on_stage.lock().unwrap().push((stage, slice)))
            .on(Stage::Kill, "a", |_| Ok::<_, Infallible>(()))
            .run_blocking(&triggered());
        assert!(ended.is_clean());
        let told = told.lock().unwrap();
        assert_eq!(told[0].0, Stage::Kill);
        assert!(told[0].1 <= WITHIN_MAX && told[0].1 > WITHIN_MAX / 2, "{told:?}");
    }
}
