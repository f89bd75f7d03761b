//! Decisions of a step's own, told like those of the library.

use serde::Serialize;

use crate::act::pipeline::{Cx, StepError};
use crate::act::runlog;
use crate::remember::blocking::block_on;
use crate::remember::runs::{Move, Reason};

/// The most bytes of what a decision of the caller's own keeps.
const DECISION_MAX: usize = 16 * 1024;

impl Cx {
    /// Writes a decision of the caller's own into the run's history, where `explain` shows it as `why -> action` with the
    /// numbers that were compared, and tells it as an event like those of the library.
    ///
    /// `code` is a stable word, `why` and `action` are what a person reads, and `numbers` is anything that becomes a JSON
    /// object: a map, a struct, `json!({"free_bytes": 1200})`; `()` for none. A member whose name ends with `_ms` is shown
    /// as a duration.
    ///
    /// ```no_run
    /// # async fn step(cx: unattended::pipeline::Cx) -> Result<(), unattended::pipeline::StepError> {
    /// let (free, safe) = (1_200_000_000_u64, 10_000_000_000_u64);
    /// if free < safe {
    ///     let numbers = serde_json::json!({ "free_bytes": free, "safe_bytes": safe });
    ///     cx.decide("disk.low", "disk space below the safe threshold", "cleanup", &numbers).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A permanent `step.decision` if the numbers are neither an object nor nothing, or more than 16 KiB; when the run was
    /// lost, or the store cannot be written.
    pub async fn decide<N: Serialize + Sync + ?Sized>(
        &self,
        code: &'static str,
        why: impl Into<String> + Send,
        action: impl Into<String> + Send,
        numbers: &N,
    ) -> Result<(), StepError> {
        let (why, action) = (why.into(), action.into());
        let data = decision(&action, numbers)?;
        let (holding, body) = (self.holding(), self.holding().body().clone());
        runlog::decided(&holding.of(&body, Some(self.step())), code, &why, &action, &data);
        let step = Move {
            actor: &self.holding().actor,
            step: Some(self.step()),
            lease: Some(self.holding().lease),
            data: Some(data),
            ..self.checkpoint(Reason::new(code, why))
        };
        let asked = self.now().moment;
        let applied = self.holding().runs.apply(step).await?;
        self.holding().heard(asked, applied.first());
        Ok(())
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub fn decide_blocking<N: Serialize + Sync + ?Sized>(
        &self,
        code: &'static str,
        why: impl Into<String> + Send,
        action: impl Into<String> + Send,
        numbers: &N,
    ) -> Result<(), StepError> {
        block_on(self.decide(code, why, action, numbers))
    }
}

/// What the event of a decision of the caller's own keeps.
fn decision<N: Serialize + ?Sized>(action: &str, numbers: &N) -> Result<String, StepError> {
    let refused = |what: String| StepError::permanent("step.decision", what);
    let numbers = serde_json::to_value(numbers)
        .map_err(|error| refused(format!("the numbers of the decision are no JSON: {error}")))?;
    let numbers = match numbers {
        serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
        numbers @ serde_json::Value::Object(_) => numbers,
        _ => {
            return Err(refused(String::from(
                "the numbers of the decision are no object; allowed are names and values",
            )));
        }
    };
    let data = serde_json::json!({ "action": action, "numbers": numbers }).to_string();
    if data.len() > DECISION_MAX {
        let size = data.len();
        return Err(refused(format!("the decision has {size} bytes; allowed are {DECISION_MAX}")));
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_an_object_or_nothing() {
        let data = decision("cleanup", &serde_json::json!({ "free_bytes": 12 })).unwrap();
        assert_eq!(data, r#"{"action":"cleanup","numbers":{"free_bytes":12}}"#);
        assert_eq!(decision("wait", &()).unwrap(), r#"{"action":"wait","numbers":{}}"#);
        for wrong in [serde_json::json!([1, 2]), serde_json::json!(7)] {
            assert!(decision("x", &wrong).unwrap_err().to_string().contains("no object"));
        }
        let big = serde_json::json!({ "text": "x".repeat(DECISION_MAX) });
        assert!(decision("x", &big).unwrap_err().to_string().contains("allowed are 16384"));
    }
}
