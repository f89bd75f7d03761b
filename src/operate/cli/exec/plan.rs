//! What was typed, as what will be run: checked before anything is opened.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use crate::base::canonical::Key;
use crate::base::text;
use crate::base::time::millis;
use crate::decide::gate;
use crate::decide::window::Window;
use crate::operate::cli::config::Config;
use crate::operate::cli::exec::asked::Exec;
use crate::operate::cli::exec::form::{Class, Form, Given, Word, digest};
use crate::operate::cli::exec::{codes, secrets};
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::session::Session;
use crate::remember::payload::PayloadRef;

/// How often an effect that may be repeated is tried.
const ATTEMPTS: u32 = 5;
/// Of what is read so much is stored in the run itself.
const INLINE_MAX: usize = 32 * 1024;
/// More is not read.
const STDIN_MAX: usize = 64 << 20;
/// How many dependencies a command may have.
const DEPS_MAX: usize = 4;
/// A command of more bytes is not stored whole.
const ARGV_MAX: usize = 12 * 1024;
/// Variables are stored up to so many bytes.
const ENV_MAX: usize = 2 * 1024;
/// What is stored of each run's surroundings.
const ALWAYS: [&str; 3] = ["PATH", "TZ", "LANG"];

/// A command that is about to be run.
pub(super) struct Plan {
    pub(super) job: String,
    pub(super) form: Form,
    /// The words as they were typed.
    pub(super) words: Vec<OsString>,
    /// The question whether it is done already, as it was typed.
    pub(super) verify: Option<String>,
    /// What it reads, where that was read.
    pub(super) stdin: Option<Vec<u8>>,
    /// What must not be stored.
    pub(super) secrets: Vec<String>,
}

impl Plan {
    pub(super) fn of(session: &mut Session<'_, '_>, asked: &Exec, config: &Config) -> Result<Self, Stop> {
        let stdin = if asked.stdin { Some(read_all(session)?) } else { None };
        let words = asked.command.clone();
        let os: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
        let hidden = secrets::Said::of(&asked.secret_arg, words.len())?.hidden(&os);
        let cwd = std::env::current_dir().map_err(|error| {
            Failure::new(
                Exit::Failed,
                "exec.no_folder",
                format!("the present folder cannot be told: {error}"),
            )
        })?;
        let digest = digest(&words, stdin.as_deref());
        let mut argv: Vec<Word> = words.iter().map(|word| Word::of_os(word)).collect();
        let mut places = Vec::new();
        let mut found = Vec::new();
        for (place, hidden) in hidden {
            if let Some(word) = argv.get_mut(place) {
                *word = Word::Text(hidden.shown);
            }
            places.push(place);
            found.extend(hidden.secrets);
        }
        cut(&mut argv, &mut places);
        let uid = rustix::process::geteuid().as_raw();
        let written = config.job(&asked.name);
        let effect = asked.effect.as_deref().or_else(|| written.and_then(|job| job.effect.as_deref()));
        let (effect, verify) = effect_of(effect.unwrap_or("unsafe"))?;
        let asks = verify.as_deref().and_then(secrets::of_script);
        let verify_hidden = asks.is_some();
        let verify_stored = match asks {
            Some(hidden) => {
                found.extend(hidden.secrets);
                Some(hidden.shown)
            }
            None => verify.clone(),
        };
        let deps = match (asked.deps.is_empty(), written) {
            (true, Some(job)) => job.dependencies.clone(),
            _ => asked.deps.clone(),
        };
        let codes = |name: &str, given: &[String]| {
            codes::read(given).map_err(|why| Failure::usage(format!("--{name} {why}")))
        };
        let (transient, permanent) =
            (codes("transient", &asked.transient)?, codes("permanent", &asked.permanent)?);
        if let Some(both) = transient.iter().find(|code| permanent.contains(code)) {
            let message = format!("exit code {both} is given to --transient and to --permanent");
            return Err(Failure::usage(message).hint("it is one of the two").into());
        }
        let form = Form {
            hidden: places,
            env: variables(&asked.env, &mut found)?,
            key: asked.key_text(session.now)?,
            effect,
            verify: verify_stored,
            verify_hidden,
            attempts: asked.attempts.unwrap_or(if effect == Class::Unsafe { 1 } else { ATTEMPTS }),
            timeout_ms: asked.timeout.map(millis),
            deadline_ms: asked.deadline.map(millis),
            deps: distinct(deps)?,
            quota: asked.quota.map(|rate| (rate.count, millis(rate.per))),
            lock: asked.lock,
            during: checked::<Window>("during", asked.during.as_deref())?,
            gate: checked::<gate::Policy>("gate", asked.gate.as_deref())?,
            transient,
            permanent,
            ..Form::blank(argv, digest, Word::of_os(cwd.as_os_str()), uid)
        };
        if let Some(key) = &form.key {
            key_of(&asked.name, key)
                .map_err(|error| Failure::usage(format!("--key with --name {}: {error}", asked.name)))?;
        }
        Ok(Self { job: asked.name.clone(), form, words, verify, stdin, secrets: found })
    }

    /// Puts what it reads where its run will find it. `folder` is for what is too large for the run itself.
    pub(super) fn keep_stdin(&mut self, folder: &Path) -> Result<(), Failure> {
        let Some(bytes) = &self.stdin else { return Ok(()) };
        let word = Word::of(bytes);
        let room = serde_json::to_string(&word).map_or(usize::MAX, |text| text.len());
        if bytes.len() <= INLINE_MAX && room <= INLINE_MAX + 64 {
            self.form.stdin = Some(Given::Inline(word));
            return Ok(());
        }
        let payload = PayloadRef::put(folder, bytes).map_err(|error| {
            let message = format!("what it reads cannot be stored: {}", crate::base::fault::chain(&error));
            Failure::new(Exit::Failed, "exec.stdin", message)
        })?;
        self.form.stdin = Some(Given::File { base: Word::of_os(folder.as_os_str()), payload });
        Ok(())
    }

    /// How long it may be waited for.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.form.deadline_ms.map(Duration::from_millis)
    }
}

/// The key as the ledger knows it.
pub(super) fn key_of(job: &str, key: &str) -> Result<Key, crate::base::canonical::InvalidKey> {
    Key::new("exec", job, key)
}

/// The bytes behind a reference that was stored with a run.
pub(super) fn stored_stdin(form: &Form) -> Result<Option<Vec<u8>>, String> {
    match &form.stdin {
        None => Ok(None),
        Some(Given::Inline(word)) => Ok(Some(word.bytes())),
        Some(Given::File { base, payload }) => {
            let most = u64::try_from(STDIN_MAX).unwrap_or(u64::MAX);
            payload.read(base.os(), most).map(Some).map_err(|error| crate::base::fault::chain(&error))
        }
    }
}

fn read_all(session: &mut Session<'_, '_>) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    let most = u64::try_from(STDIN_MAX).unwrap_or(u64::MAX).saturating_add(1);
    session.input().take(most).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(Exit::Failed, "exec.stdin", format!("stdin cannot be read: {error}"))
    })?;
    if bytes.len() > STDIN_MAX {
        let message = format!("--stdin gave more than {}", text::about_size(STDIN_MAX as u64));
        return Err(Failure::usage(message).hint("put it into a file, and give the file's name").into());
    }
    Ok(bytes)
}

/// A command that is too long is stored from its beginning on; the rest is as if it were secret.
fn cut(argv: &mut Vec<Word>, hidden: &mut Vec<usize>) {
    let mut room = ARGV_MAX;
    for (place, word) in argv.iter_mut().enumerate() {
        let length = serde_json::to_string(word).map_or(usize::MAX, |text| text.len());
        match room.checked_sub(length) {
            Some(left) => room = left,
            None => {
                *word = Word::Text(String::from("…"));
                hidden.push(place);
                room = room.saturating_sub(8);
            }
        }
        if room < 8 && place + 1 < usize::MAX {
            hidden.push(place + 1);
            argv.truncate(place + 1);
            break;
        }
    }
    hidden.sort_unstable();
    hidden.dedup();
}

fn effect_of(text: &str) -> Result<(Class, Option<String>), Failure> {
    Ok(match text {
        "unsafe" => (Class::Unsafe, None),
        "pure" => (Class::Pure, None),
        "idempotent" => (Class::Idempotent, None),
        _ => match text.strip_prefix("verify:").map(str::trim).filter(|command| !command.is_empty()) {
            Some(command) => (Class::Verify, Some(command.to_owned())),
            None => {
                let shown = text::shortened(text, 40);
                let message =
                    format!("--effect is {shown:?}; allowed is unsafe, pure, idempotent or verify:CMD");
                return Err(Failure::usage(message));
            }
        },
    })
}

fn variables(more: &[String], secrets: &mut Vec<String>) -> Result<BTreeMap<String, Option<Word>>, Failure> {
    let names = crate::base::redact::Names::new();
    let mut kept = BTreeMap::new();
    for name in ALWAYS.into_iter().chain(more.iter().map(String::as_str)) {
        if name.is_empty() || name.contains(['=', '\0']) {
            let shown = text::shortened(name, 40);
            return Err(Failure::usage(format!("--env is {shown:?}; allowed is the name of a variable")));
        }
        let value = std::env::var_os(name);
        if let Some(secret) = value.as_deref().filter(|_| names.is_secret(name)) {
            // Its replay takes it from where it is replayed.
            secrets.extend(secret.to_str().map(str::to_owned));
            continue;
        }
        if let Some(long) = value.as_deref().filter(|value| value.len() > ENV_MAX) {
            let message = format!("${name} has {} bytes; allowed are {ENV_MAX}", long.len());
            match more.iter().any(|one| one == name) {
                true => return Err(Failure::usage(message)),
                false => continue,
            }
        }
        kept.insert(name.to_owned(), value.as_deref().map(Word::of_os));
    }
    Ok(kept)
}

fn distinct(deps: Vec<String>) -> Result<Vec<String>, Failure> {
    let mut kept: Vec<String> = Vec::new();
    for dep in deps {
        if dep.is_empty() || dep.len() > 100 || dep.chars().any(|c| c.is_control() || c.is_whitespace()) {
            let shown = text::shortened(&dep, 40);
            let message = format!("--dep is {shown:?}; allowed are 1 to 100 bytes without white space");
            return Err(Failure::usage(message));
        }
        if !kept.contains(&dep) {
            kept.push(dep);
        }
    }
    if kept.len() > DEPS_MAX {
        let message = format!("--dep was given {} times; allowed is {DEPS_MAX}", kept.len());
        return Err(Failure::usage(message));
    }
    Ok(kept)
}

fn checked<T: std::str::FromStr>(name: &str, given: Option<&str>) -> Result<Option<String>, Failure>
where
    T::Err: std::fmt::Display,
{
    let Some(given) = given else { return Ok(None) };
    match given.parse::<T>() {
        Ok(_) => Ok(Some(given.to_owned())),
        Err(error) => Err(Failure::usage(format!("--{name}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_cut_and_says_so() {
        let long: Vec<Word> = (0..5000).map(|n| Word::Text(format!("file-{n}"))).collect();
        let (mut argv, mut hidden) = (long.clone(), Vec::new());
        cut(&mut argv, &mut hidden);
        assert!(serde_json::to_string(&argv).unwrap().len() <= ARGV_MAX + 5000);
        assert!(!hidden.is_empty() && argv.len() < 5000);
        let (mut one, mut none) = (vec![Word::Text("x".repeat(20_000)), Word::Text("y".into())], Vec::new());
        cut(&mut one, &mut none);
        assert_eq!(none, [0]);
        let (mut short, mut none) = (vec![Word::Text("true".into())], Vec::new());
        cut(&mut short, &mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn an_effect_is_one_of_four() {
        assert_eq!(effect_of("pure").unwrap(), (Class::Pure, None));
        assert_eq!(effect_of("verify: test -f x").unwrap(), (Class::Verify, Some("test -f x".into())));
        for odd in ["", "verify:", "verify: ", "safe"] {
            assert_eq!(effect_of(odd).unwrap_err().exit, Exit::Usage, "{odd:?}");
        }
    }

    #[test]
    fn dependencies_are_named_once_and_are_few() {
        let of = |names: &[&str]| distinct(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(of(&["s3", "s3", "db"]).unwrap(), ["s3", "db"]);
        assert!(of(&["a b"]).is_err() && of(&[""]).is_err());
        assert!(of(&["a", "b", "c", "d", "e"]).is_err());
    }
}
