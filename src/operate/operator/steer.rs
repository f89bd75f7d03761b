//! Verbs about one run: what becomes of it now.

use crate::base::time::Timestamp;
use crate::operate::operator::{Error, Operator};
use crate::remember::runs::{self, Answer, Run, Verb};

impl Operator {
    /// Marks a run as reviewed: it is no longer a dead letter; its state stays.
    ///
    /// # Errors
    /// [`Error::Invalid`] for too long a reason; when the store cannot be read or written.
    pub async fn mark_reviewed(&self, run: &Run, why: &str) -> Result<Run, Error> {
        let word = self.word(why)?;
        Ok(self.runs.mark_reviewed(run.id(), word.by, word.at, word.why).await?)
    }

    /// Sends the run round again from its last checkpoint, due at `at`. Where it asks about an undoing, that is gone on
    /// with.
    ///
    /// # Errors
    /// [`Error::NotPossible`] if its state has no such move; [`KeyTaken`](crate::remember::runs::Error::KeyTaken) if its
    /// key is another run's by now; when the store cannot be read or written.
    pub async fn requeue(&self, run: &Run, at: Timestamp) -> Result<Run, Error> {
        self.requeue_at(run, "", at).await
    }

    pub(super) async fn requeue_at(&self, run: &Run, why: &str, at: Timestamp) -> Result<Run, Error> {
        // Judged here too: the refusal can then say what would be possible.
        if !Verb::Requeue.takes(run.state()) {
            return Err(Error::not_possible(run.id(), run.state(), Verb::Requeue));
        }
        let word = self.word_at(why, at)?;
        match self.runs.requeue_with(run.id(), word).await {
            Ok(run) => Ok(run),
            // It has moved meanwhile.
            Err(runs::Error::Illegal(illegal)) => {
                Err(Error::not_possible(run.id(), illegal.state, Verb::Requeue))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Answers what a run in review asks, or says how it goes on of one that failed for good, as it was when `run` was
    /// read. [`answers`](crate::remember::runs::answers) says which answers it takes. The run is queued, due now, and its
    /// history says who answered what and why.
    ///
    /// Where the question is about an undoing the answer is too: [`Applied`](Answer::Applied), it was undone;
    /// [`NotApplied`](Answer::NotApplied), undo it again; [`Skip`](Answer::Skip), leave it; and the undoing goes on.
    ///
    /// # Errors
    /// [`Error::NotPossible`] if it needs no answer. In [`Error::Runs`]:
    /// [`Forestalled`](crate::remember::runs::Error::Forestalled) if somebody was first, with who;
    /// [`NotOffered`](crate::remember::runs::Error::NotOffered) with what it takes;
    /// [`KeyTaken`](crate::remember::runs::Error::KeyTaken) if its key is another run's by now;
    /// [`Invalid`](crate::remember::runs::Error::Invalid) for an output or input that has no room, or the same input.
    pub async fn review(&self, run: &Run, answer: &Answer, why: &str) -> Result<Run, Error> {
        Ok(self.runs.review(run, answer, self.word(why)?).await?)
    }

    /// Leaves a run in review as it is: it has failed for good, and its key is settled as failed, or as in doubt where an
    /// unsafe step was begun. It keeps its question, so [`review`](Self::review) can still answer it.
    ///
    /// # Errors
    /// [`Error::NotPossible`] if it is not in review; [`Forestalled`](crate::remember::runs::Error::Forestalled) if
    /// somebody was first.
    pub async fn dismiss(&self, run: &Run, why: &str) -> Result<Run, Error> {
        Ok(self.runs.dismiss(run, self.word(why)?).await?)
    }

    /// Has the finished steps of a failed run, or of one in review, undone in reverse, from now on, by the next worker.
    /// A step whose outcome is not known is not undone by this: answer the question first.
    ///
    /// # Errors
    /// As [`dismiss`](Self::dismiss), and [`KeyTaken`](crate::remember::runs::Error::KeyTaken).
    pub async fn compensate(&self, run: &Run, why: &str) -> Result<Run, Error> {
        Ok(self.runs.compensate(run, self.word(why)?).await?)
    }

    /// Stops a run: at once if nobody holds it, else its holder is asked to, and sees that at its next renewal or
    /// checkpoint; the run that is given says which. Saying it twice changes nothing.
    ///
    /// # Errors
    /// [`Error::NotPossible`] if it has ended otherwise; when the store cannot be read or written.
    pub async fn cancel(&self, run: &Run, why: &str) -> Result<Run, Error> {
        Ok(self.runs.cancel(run.id(), self.word(why)?).await?)
    }

    /// Puts a run aside until it is resumed: nobody claims it, and neither its expiry nor the deadline of what it waits
    /// for is acted upon. Whoever holds it ends the step that it is at, then puts the run
    /// down. Saying it twice changes nothing.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    pub async fn pause(&self, run: &Run, why: &str) -> Result<Run, Error> {
        Ok(self.runs.pause(run.id(), self.word(why)?).await?)
    }

    /// Takes up a run again that was put aside. Saying it twice changes nothing.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    pub async fn resume(&self, run: &Run, why: &str) -> Result<Run, Error> {
        Ok(self.runs.resume(run.id(), self.word(why)?).await?)
    }
}
