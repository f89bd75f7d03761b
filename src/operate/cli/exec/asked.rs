//! What is typed, and what it means.

use std::ffi::OsString;
use std::time::Duration;

use clap::ValueEnum;

use crate::base::text::{self, Rate};
use crate::base::time::Timestamp;
use crate::base::zone::Zone;
use crate::decide::schedule::Schedule;
use crate::operate::cli::config::{Expected, interval};
use crate::operate::cli::failure::Failure;

/// What `exec` takes.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::operate::cli) struct Exec {
    /// The job's name: what lists, heartbeats and holds call it
    #[arg(long, value_name = "NAME")]
    pub(super) name: String,

    /// What the work is about: under one key a command is run once, and never again when it has succeeded
    #[arg(long, value_name = "K")]
    pub(super) key: Option<String>,

    /// Once a day or an hour, as the clocks of TZ show them: day, hour, day@Europe/Paris [default zone: UTC]
    #[arg(long, value_name = "day|hour[@TZ]", conflicts_with = "key")]
    pub(super) once_per: Option<String>,

    /// What running it twice does: unsafe, pure, idempotent, or verify:CMD (a shell command, exit 0 if it is done
    /// already) [default: the configuration's, else unsafe]
    #[arg(long, value_name = "CLASS")]
    pub(super) effect: Option<String>,

    /// How often it is tried in all [default: 1 for unsafe, else 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) attempts: Option<u32>,

    /// How long an attempt may take [default: as long as it likes]
    #[arg(long, value_name = "D", value_parser = some_time)]
    pub(super) timeout: Option<Duration>,

    /// How long all of it may take, waits and deferrals too; then it is not worth doing any more
    #[arg(long, value_name = "D", value_parser = some_time)]
    pub(super) deadline: Option<Duration>,

    /// What it depends on: whoever is refused there makes all jobs wait that depend on it; may be given 4 times
    #[arg(long = "dep", value_name = "NAME")]
    pub(super) deps: Vec<String>,

    /// How often it may be run, such as 60/min: of the first dependency, else of this job
    #[arg(long, value_name = "RATE", value_parser = text::rate)]
    pub(super) quota: Option<Rate>,

    /// One run of this name at a time
    #[arg(long)]
    pub(super) lock: bool,

    /// Begin it only within this window, such as "22:00-06:00 Europe/Paris"; else it is put off until that opens
    #[arg(long, value_name = "WINDOW")]
    pub(super) during: Option<String>,

    /// Begin it only on a machine that is ready, such as cpu:50,mem:75,disk:/var:10GiB; else it is put off
    #[arg(long, value_name = "GATE")]
    pub(super) gate: Option<String>,

    /// It is expected to succeed so often; `status` and `tick` miss it
    #[arg(long, value_name = "D", value_parser = interval, conflicts_with = "schedule")]
    pub(super) expect_every: Option<Duration>,

    /// It is expected to succeed by this cron expression
    #[arg(long, value_name = "CRON")]
    pub(super) schedule: Option<String>,

    /// The zone of --schedule [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "schedule")]
    pub(super) tz: Option<Zone>,

    /// Exit codes that may pass by themselves, such as 7,28,50-59
    #[arg(long, value_name = "CODES")]
    pub(super) transient: Vec<String>,

    /// Exit codes that trying again would not help
    #[arg(long, value_name = "CODES")]
    pub(super) permanent: Vec<String>,

    /// When another one is at it
    #[arg(long, value_enum, value_name = "WHAT", default_value = "skip")]
    pub(super) on_busy: OnBusy,

    /// When the store cannot be opened [default: refuse with --key, --once-per or --lock, else run]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(super) store_down: Option<StoreDown>,

    /// Show what it writes only when it fails
    #[arg(long)]
    pub(super) quiet_ok: bool,

    /// Read stdin into the run: it is part of what the key stands for, and is there when the run is replayed
    #[arg(long)]
    pub(super) stdin: bool,

    /// A variable that is stored with the run; PATH, TZ and LANG always are
    #[arg(long, value_name = "NAME")]
    pub(super) env: Vec<String>,

    /// A word of CMD that is a secret: its place (1 is the first after the program) or a pattern such as --pin=*
    #[arg(long, value_name = "N|PATTERN")]
    pub(super) secret_arg: Vec<String>,

    /// The command
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

/// What is done when somebody else is at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnBusy {
    /// Leave it to them: exit code 75, and not a word
    Skip,
    /// Wait for them, at most until --deadline
    Wait,
    /// Fail: exit code 1
    Fail,
}

/// What is done when there is no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StoreDown {
    /// Run the command without a record, and say so
    Run,
    /// Do not run it
    Refuse,
}

impl Exec {
    /// The key's text, if it has one.
    pub(super) fn key_text(&self, now: Timestamp) -> Result<Option<String>, Failure> {
        let Some(once) = &self.once_per else { return Ok(self.key.clone()) };
        let (per, zone) = once.split_once('@').unwrap_or((once, "UTC"));
        let zone: Zone = zone.parse().map_err(|error| Failure::usage(format!("--once-per: {error}")))?;
        let form = match per {
            "day" => "%Y-%m-%d",
            "hour" => "%Y-%m-%dT%H%z",
            _ => {
                let shown = text::shortened(per, 40);
                let message = format!("--once-per is {shown:?}; allowed is day, hour, day@ZONE or hour@ZONE");
                return Err(Failure::usage(message));
            }
        };
        Ok(Some(format!("{per}:{}", zone.at(now).format(form))))
    }

    /// When it is expected to succeed, if that is said here.
    pub(super) fn expected(&self) -> Result<Option<Expected>, Failure> {
        if let Some(every) = self.expect_every {
            return Ok(Some(Expected::Every(every)));
        }
        let Some(expression) = self.schedule.clone() else { return Ok(None) };
        let zone = self.tz.unwrap_or(Zone::Utc);
        let schedule = Schedule::cron(&expression, zone).map_err(|error| {
            let shown = text::shortened(&expression, 60);
            Failure::usage(format!("--schedule is {shown:?}, allowed is a cron expression; {error}"))
        })?;
        Ok(Some(Expected::Cron { expression, zone, schedule }))
    }

    /// What is done when there is no store.
    pub(super) const fn when_down(&self) -> StoreDown {
        match self.store_down {
            Some(given) => given,
            None if self.key.is_some() || self.once_per.is_some() || self.lock => StoreDown::Refuse,
            None => StoreDown::Run,
        }
    }
}

fn some_time(text: &str) -> Result<Duration, String> {
    match text::duration(text) {
        Ok(duration) if duration.is_zero() => Err(String::from("it is 0; allowed is more")),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        exec: Exec,
    }

    fn asked(args: &[&str]) -> Result<Exec, String> {
        let line = ["exec", "--name", "x"].iter().chain(args).chain(&["--", "true"]);
        Line::try_parse_from(line).map(|line| line.exec).map_err(|error| error.to_string())
    }

    #[test]
    fn a_day_is_that_of_the_zone() {
        let now = Timestamp::from_timestamp(1_700_000_000, 0).unwrap_or_default();
        let key = |given: &str| asked(&["--once-per", given]).unwrap().key_text(now);
        assert_eq!(key("day").unwrap().as_deref(), Some("day:2023-11-14"));
        assert_eq!(key("day@Asia/Tokyo").unwrap().as_deref(), Some("day:2023-11-15"));
        assert_eq!(key("hour@Asia/Tokyo").unwrap().as_deref(), Some("hour:2023-11-15T07+0900"));
        for odd in ["week", "day@Nowhere", ""] {
            assert!(key(odd).unwrap_err().message.starts_with("--once-per"), "{odd}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert!(asked(&["--key", "a", "--once-per", "day"]).is_err());
        assert!(asked(&["--expect-every", "1h", "--schedule", "* * * * *"]).is_err());
        assert!(asked(&["--tz", "UTC"]).is_err());
        for zero in ["--timeout", "--deadline", "--expect-every"] {
            assert!(asked(&[zero, "0s"]).is_err(), "{zero}");
        }
        assert!(asked(&["--attempts", "0"]).is_err());
        assert!(asked(&["--schedule", "soon"]).unwrap().expected().is_err());
    }

    #[test]
    fn without_a_store_a_promise_is_not_given() {
        assert_eq!(asked(&[]).unwrap().when_down(), StoreDown::Run);
        for promise in [&["--key", "a"][..], &["--lock"], &["--once-per", "day"]] {
            assert_eq!(asked(promise).unwrap().when_down(), StoreDown::Refuse);
        }
        assert_eq!(asked(&["--lock", "--store-down", "run"]).unwrap().when_down(), StoreDown::Run);
    }
}
