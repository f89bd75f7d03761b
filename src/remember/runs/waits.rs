//! What runs wait for outside: a token for each answer, kept as a record of its own, so that an answer finds its run
//! without a search, and one that comes early or late is not lost.

use serde::{Deserialize, Serialize};

use crate::base::time::Timestamp;
use crate::decide::run::{self, State};
use crate::remember::runs::expiry::expired;
use crate::remember::runs::{
    ATTEMPTS_MAX, Error, Json, Move, Otherwise, Question, Reason, Run, Runs, StepState, Wait, Word,
};
use crate::remember::store::{Batch, Event, Expect, Ns, Order, PAGE_MAX, Pages, Put, Query, Record, Write};

/// The most bytes that a token may have.
pub const TOKEN_MAX: usize = 256;
/// What is kept free in a run's record beside an answer.
const ANSWER_ROOM: usize = 4096;
/// The state of a token that nobody has answered.
pub(super) const WAITING: &str = "waiting";
/// The state of a token that has its answer.
pub(super) const ANSWERED: &str = "answered";
/// The state of a token that nobody has answered, and whose run has ended.
pub(super) const OVER: &str = "over";
/// How many pages of waiting runs one sweep looks through.
const PAGES_MAX: u32 = 64;

/// What became of an answer.
#[derive(Clone, Debug)]
#[must_use]
pub enum Resolved {
    /// A run waited for it: it is queued, and the answer is its step's output.
    Resumed(Box<Run>),
    /// Nobody waits for it yet. It is kept: a step that asks for this token finds it.
    Early,
    /// The token has its answer already, or its run no longer waits. The first answer counts; this one is in the run's
    /// history.
    Late {
        /// The run that asked, if one has.
        run: Option<String>,
        /// Whether it is the answer that was given before, once more.
        same: bool,
    },
}

/// The body of a token's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Token {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

impl Token {
    fn read(record: &Record) -> Result<Self, Error> {
        serde_json::from_str(&record.body).map_err(|error| Error::Unreadable {
            id: record.key.clone(),
            detail: format!("the record of its token: {error}"),
        })
    }

    fn write(
        &self,
        token: &str,
        expect: Expect,
        state: &str,
        from: Option<&str>,
        by: &str,
        why: &str,
    ) -> Write {
        let body = serde_json::to_string(self).unwrap_or_default();
        let put = Put { state: Some(state.to_owned()), body: Some(body), ..Put::nothing() };
        let event = Event::new(from, state, by, "wait.token", why);
        Write::new(Ns::WAIT, token, expect, put).event(event)
    }
}

/// What stands in the way of a run that wants to wait for a token.
pub(crate) enum Taken {
    /// The answer is there already.
    Answered(Json),
    /// It is this run's own, from an earlier asking, at this version.
    Own(u64),
    /// It is another run's, at this version.
    Others(String, u64),
}

/// Checks a token's bounds.
///
/// # Errors
/// [`Error::Invalid`] if it is empty, longer than [`TOKEN_MAX`], or holds control characters.
pub(crate) fn check_token(token: &str) -> Result<(), Error> {
    if !token.is_empty() && token.len() <= TOKEN_MAX && !token.contains(char::is_control) {
        return Ok(());
    }
    Err(Error::Invalid {
        field: "token",
        given: format!("{token:?}"),
        allowed: format!("1 to {TOKEN_MAX} bytes without control characters"),
    })
}

/// The run that waits, or waited, for the token of this record.
pub(super) fn asked_by(record: &Record) -> Option<String> {
    Token::read(record).ok()?.run
}

/// The write that keeps `token` for the run `id`.
pub(crate) fn asking(token: &str, id: &str, expect: Expect, by: &str) -> Write {
    let of = Token { v: 1, run: Some(id.to_owned()), answer: None, by: None };
    of.write(token, expect, WAITING, None, by, &format!("run {id} waits for it"))
}

/// What `record`, which stands under a token, means for the run `id`.
pub(crate) fn taken(record: &Record, id: &str) -> Result<Taken, Error> {
    let token = Token::read(record)?;
    match (token.run, token.answer) {
        (Some(run), _) if run != id => Ok(Taken::Others(run, record.version)),
        (_, Some(answer)) => Ok(Taken::Answered(answer)),
        (Some(_) | None, None) => Ok(Taken::Own(record.version)),
    }
}

impl Runs {
    /// Gives `answer` to whoever waits for `token`. The answer becomes the output of the step that asked, and its run is
    /// queued, due at `at`. The first answer counts.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a token outside its bounds or an answer that has no room in the run's record; when the
    /// store cannot be read or written.
    pub async fn resolve(
        &self,
        token: &str,
        answer: Json,
        by: &str,
        at: Timestamp,
    ) -> Result<Resolved, Error> {
        self.resolve_with(token, answer, Word { by, why: "", at }).await
    }

    /// The same by a person, who says why.
    pub(crate) async fn resolve_with(
        &self,
        token: &str,
        answer: Json,
        word: Word<'_>,
    ) -> Result<Resolved, Error> {
        check_token(token)?;
        for _ in 0..ATTEMPTS_MAX {
            let resolved = match self.store().get(Ns::WAIT, token).await? {
                None => self.answer_early(token, &answer, word.by).await,
                Some(record) => self.answer(&record, &answer, word).await,
            };
            match resolved {
                Err(Error::Lost { .. }) => {}
                resolved => return resolved,
            }
        }
        Err(Error::Contended { id: token.to_owned(), attempts: ATTEMPTS_MAX })
    }

    async fn answer_early(&self, token: &str, answer: &Json, by: &str) -> Result<Resolved, Error> {
        let of = Token { v: 1, run: None, answer: Some(answer.clone()), by: Some(by.to_owned()) };
        let write =
            of.write(token, Expect::Absent, ANSWERED, None, by, "answered before anybody waited for it");
        self.apply_batch(Batch::of(write)).await.map(|_| Resolved::Early)
    }

    async fn answer(&self, record: &Record, answer: &Json, word: Word<'_>) -> Result<Resolved, Error> {
        let by = word.by;
        let (token, known) = (record.key.as_str(), Token::read(record)?);
        let run = match &known.run {
            Some(id) => self.get(id).await?,
            None => None,
        };
        if let Some(before) = &known.answer {
            let same = before.get() == answer.get();
            if let (Some(run), false) = (&run, same) {
                self.note_late(run, token, answer, by).await?;
            }
            return Ok(Resolved::Late { run: known.run, same });
        }
        let answered = Token { answer: Some(answer.clone()), by: Some(by.to_owned()), ..known.clone() };
        let expect = Expect::Version(record.version);
        let answered = answered.write(token, expect, ANSWERED, Some(&record.state), by, "answered");
        let waits = |run: &Run| {
            let wait = run.body.wait.as_ref();
            run.state() == State::WaitingExternal && wait.is_some_and(|wait| wait.token == token)
        };
        match run {
            Some(run) if waits(&run) => {
                let reason = Reason::new("run.resolved", word.said(&format!("answered {token}")));
                let run = self.resume_with(run, answer, reason, by, word.at, Some(answered));
                Ok(Resolved::Resumed(Box::new(run.await?)))
            }
            run => {
                // Kept with the token: a step that asks again finds it.
                self.apply_batch(Batch::of(answered)).await?;
                if let Some(run) = &run {
                    self.note_late(run, token, answer, by).await?;
                }
                Ok(Resolved::Late { run: known.run, same: false })
            }
        }
    }

    async fn note_late(&self, run: &Run, token: &str, answer: &Json, by: &str) -> Result<(), Error> {
        let why = format!("an answer to {token} came when the run no longer waited for it");
        let state = run.state().as_str();
        let event = Event {
            data: Some(format!("{{\"answer\":{}}}", answer.get())),
            ..Event::new(Some(state), state, by, "run.late_answer", why)
        };
        let write = Write::new(Ns::RUN, run.id(), Expect::Version(run.record.version), Put::nothing());
        self.apply_batch(Batch::of(write.event(event))).await.map(drop)
    }

    /// Queues a run that waits, with `answer` as its step's output.
    async fn resume_with(
        &self,
        mut run: Run,
        answer: &Json,
        reason: Reason,
        by: &str,
        at: Timestamp,
        also: Option<Write>,
    ) -> Result<Run, Error> {
        let step = run.body.wait.take().and_then(|wait| wait.step);
        if let Some(record) = step.as_deref().and_then(|step| run.body.step_mut(step)) {
            record.state = StepState::Done;
            record.output = Some(answer.clone());
            record.cursor = None;
        }
        run.body.tell(&reason);
        run.body.fit(ANSWER_ROOM).map_err(|size| Error::Invalid {
            field: "answer",
            given: format!("one with which the run's record has {size} bytes"),
            allowed: String::from("one that leaves it below 60 KiB; store it outside and give where"),
        })?;
        let step = Move {
            body: Some(&run.body),
            due_at: Some(at),
            actor: by,
            step: step.as_deref(),
            ..Move::new(
                run.id(),
                run.state(),
                run::Event::Resolve,
                Expect::Version(run.record.version),
                reason,
            )
        };
        let mut batch = Batch::of(step.write()?);
        if let Some(also) = also {
            batch.push(also);
        }
        self.apply_batch(batch).await?;
        self.must_get(run.id()).await
    }

    /// Moves runs on whose time has come without anybody working on them: those that wait for something outside whose
    /// deadline has passed, and those that are no longer worth running and that no worker claims. Only runs of these
    /// kinds, or of any if none is given. Says how many it moved.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was moved before stays moved.
    pub async fn sweep(&self, kinds: &[String], by: &str) -> Result<u32, Error> {
        self.sweep_at(kinds, by, None).await
    }

    /// The same; with the time, a run that was due before its time passed is seen to have expired too.
    pub(crate) async fn sweep_at(
        &self,
        kinds: &[String],
        by: &str,
        now: Option<Timestamp>,
    ) -> Result<u32, Error> {
        let mut moved = 0_u32;
        let waiting = State::WaitingExternal;
        let idle = [State::Queued, State::FailedTransient];
        // A worker that claims a run looks at its time itself.
        let states =
            if kinds.is_empty() { [waiting].iter().chain(&idle).copied().collect() } else { vec![waiting] };
        let query = Query {
            states: states.iter().map(|state: &State| state.as_str().to_owned()).collect(),
            kinds: kinds.to_vec(),
            attention: true,
            order: Order::Oldest,
            limit: PAGE_MAX,
            ..Query::all(Ns::RUN)
        };
        let mut pages = Pages::of(&**self.store(), query).most(PAGES_MAX);
        while let Some(records) = pages.next().await? {
            for record in records {
                let Ok(run) = Run::from_record(record) else { continue };
                match self.sweep_one(run, by, now).await {
                    Ok(done) => moved = moved.saturating_add(done.into()),
                    Err(Error::Lost { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(moved)
    }

    async fn sweep_one(&self, run: Run, by: &str, now: Option<Timestamp>) -> Result<bool, Error> {
        let due = run.record.due_at;
        if run.state() != State::WaitingExternal && run.in_doubt() {
            return Ok(false);
        }
        if let Some(until) = run.record.expires_at.filter(|at| now.max(due).is_some_and(|now| *at <= now)) {
            return self.expire_idle(run, expired(until), until, by).await.map(|()| true);
        }
        if run.state() != State::WaitingExternal {
            return Ok(false);
        }
        let (Some(wait), Some(due)) = (run.body.wait.clone(), due) else { return Ok(false) };
        let why = format!("nothing came for {} until {due}", wait.token);
        let reason = Reason::new("wait.timed_out", why);
        match &wait.otherwise {
            Otherwise::Take(answer) => {
                let answer = answer.clone();
                self.resume_with(run, &answer, reason, by, due, None).await.map(|_| true)
            }
            Otherwise::Review => {
                self.time_out(run, None, run::Event::AskReview, reason, by).await.map(|()| true)
            }
            Otherwise::Again => {
                self.time_out(run, None, run::Event::TimeOut, reason, by).await.map(|()| true)
            }
            Otherwise::Fail => {
                let wait = Wait { over: true, ..wait };
                self.time_out(run, Some(wait), run::Event::TimeOut, reason, by).await.map(|()| true)
            }
        }
    }

    async fn time_out(
        &self,
        mut run: Run,
        wait: Option<Wait>,
        event: run::Event,
        reason: Reason,
        by: &str,
    ) -> Result<(), Error> {
        let step = std::mem::replace(&mut run.body.wait, wait).and_then(|wait| wait.step);
        run.body.tell(&reason);
        let due_at = if event == run::Event::AskReview {
            run.body.question = Some(Question {
                code: reason.code.clone().into_owned(),
                text: format!("{}: what is the answer?", reason.why),
                step: step.clone(),
                undo: false,
                options: ["applied", "not_applied", "skip", "dismiss"].map(str::to_owned).to_vec(),
            });
            None
        } else {
            run.record.due_at
        };
        let expect = Expect::Version(run.record.version);
        let step = Move {
            body: Some(&run.body),
            due_at,
            actor: by,
            step: step.as_deref(),
            ..Move::new(run.id(), run.state(), event, expect, reason)
        };
        self.apply(step).await.map(drop)
    }
}
