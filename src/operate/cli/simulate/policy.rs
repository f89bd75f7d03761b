//! Policies as files: what is wrong with one is said with its line and field.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::operate::cli::failure::{Exit, Failure};
use crate::operate::cli::simulate::lists::lists;

/// The fields that are lists.
const LISTS: [&str; 2] = ["permanent", "success"];
/// A longer policy is not read.
const BYTES_MAX: u64 = 1 << 20;

/// The policy that `given` is: JSON itself, or a file of it. `names` are what else may be given.
pub(super) fn read<P: DeserializeOwned>(given: &OsStr, names: &[&str]) -> Result<P, Failure> {
    let (name, text) = match given.to_str().filter(|text| text.trim_start().starts_with('{')) {
        Some(text) => (String::from("--policy"), text.to_owned()),
        None => (given.to_string_lossy().into_owned(), load(Path::new(given), names)?),
    };
    let invalid = |place: String| {
        let message = format!("{name}, {place}");
        Failure::new(Exit::Config, "policy.invalid", message).hint("`simulate KIND --help` shows the fields")
    };
    if let Some(place) = misplaced(&text) {
        return Err(invalid(place));
    }
    serde_json::from_str(&text).map_err(|error| invalid(place(&text, &error)))
}

fn load(path: &Path, names: &[&str]) -> Result<String, Failure> {
    let failed = |what: String| {
        let hint = format!("allowed are a file of JSON, JSON itself, and {}", names.join(", "));
        Failure::new(Exit::Config, "policy.missing", format!("the policy {}: {what}", path.display()))
            .hint(hint)
    };
    let file = fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(failed(format!("it has more than {BYTES_MAX} bytes")));
    }
    String::from_utf8(text).map_err(|_| failed(String::from("it is not UTF-8")))
}

/// Where a list stands in the place of an object, of which its parts would be taken for the fields in their order.
fn misplaced(text: &str) -> Option<String> {
    lists(text.as_bytes()).find_map(|at| {
        let before = text.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        let field = field_at(text, line, at.saturating_sub(start));
        if LISTS.contains(&field.as_str()) {
            return None;
        }
        let field = if field.is_empty() { field } else { format!("{field}: ") };
        Some(format!("line {line}: {field}it is a list, expected an object or a value"))
    })
}

/// `line 3: rate.percent: …`
fn place(text: &str, error: &serde_json::Error) -> String {
    let whole = error.to_string();
    if error.line() > 0 {
        let end = format!(" at line {} column {}", error.line(), error.column());
        let what = whole.strip_suffix(&end).unwrap_or(&whole);
        let field = field_at(text, error.line(), error.column());
        let field = if field.is_empty() || what.contains(&format!("`{field}`")) {
            String::new()
        } else {
            format!("{field}: ")
        };
        return format!("line {}: {field}{what}", error.line());
    }
    // A bound of the policy: its message names the field as the builder does.
    let named = whole.split(" is ").next().unwrap_or_default();
    let field = named.rsplit([' ', ':']).next().unwrap_or_default();
    format!("line {}: {whole}", line_of(text, field))
}

/// The line in which a field is said; 1 if none says it.
fn line_of(text: &str, field: &str) -> usize {
    let mut at = 0;
    for part in field.split('.') {
        let quoted = [format!("\"{part}\""), format!("\"{part}_ms\"")];
        let rest = text.get(at..).unwrap_or_default();
        match quoted.iter().filter_map(|key| rest.find(key.as_str())).min() {
            Some(found) => at += found,
            None => break,
        }
    }
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// The field that is being read at a place of the text: the names of the objects around it, and its own.
fn field_at(text: &str, line: usize, column: usize) -> String {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let end = start.saturating_add(column).min(text.len());
    let mut names: Vec<String> = Vec::new();
    let (mut word, mut last) = (None::<String>, String::new());
    let mut escaped = false;
    for c in String::from_utf8_lossy(text.as_bytes().get(..end).unwrap_or_default()).chars() {
        match (&mut word, c) {
            (Some(_), '"') if !escaped => last = word.take().unwrap_or_default(),
            (Some(word), c) => {
                escaped = c == '\\' && !escaped;
                word.push(c);
            }
            (None, '"') => word = Some(String::new()),
            (None, '{') => names.push(String::new()),
            (None, '}') => drop(names.pop()),
            (None, ':') => {
                if let Some(name) = names.last_mut() {
                    *name = std::mem::take(&mut last);
                }
            }
            (None, _) => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{breaker, retry, trend};

    fn wrong<P: DeserializeOwned + std::fmt::Debug>(text: &str) -> String {
        read::<P>(text.as_ref(), &[]).unwrap_err().message
    }

    #[test]
    fn a_list_is_no_object() {
        let said = wrong::<breaker::Policy>("{\n \"rate\": [50, 10, 5]}");
        assert_eq!(said, "--policy, line 2: rate: it is a list, expected an object or a value");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        fs::write(&path, "[3]").unwrap();
        let said = read::<breaker::Policy>(path.as_os_str(), &[]).unwrap_err().message;
        assert!(said.ends_with("line 1: it is a list, expected an object or a value"), "{said}");
        let lists = r#"{"permanent":[64,65],"success":[0]}"#;
        assert!(read::<crate::operate::cli::simulate::knobs::Restarts>(lists.as_ref(), &[]).is_ok());
    }

    #[test]
    fn a_broken_policy_names_its_line_and_field() {
        let said = wrong::<breaker::Policy>("{\n \"consecutive\": \"x\"\n}");
        assert_eq!(said, "--policy, line 2: consecutive: invalid type: string \"x\", expected u32");
        let said = wrong::<breaker::Policy>("{\n \"rate\": {\n  \"percent\": -1}}");
        assert!(said.starts_with("--policy, line 3: rate.percent: invalid value"), "{said}");
        let said = wrong::<breaker::Policy>("{\"rate\": {\"percent\": 5}}");
        assert_eq!(said, "--policy, line 1: rate: missing field `calls`");
        let said = wrong::<breaker::Policy>("{\n\n \"consecutives\": 3}");
        assert!(
            said.starts_with("--policy, line 3: unknown field `consecutives`, expected one of"),
            "{said}"
        );
        let said = wrong::<breaker::Policy>(
            "{\"open_ms\": 5,\n \"rate\": {\n \"calls\": 10, \"min\": 1,\n \"percent\": 101}}",
        );
        assert_eq!(said, "--policy, line 4: breaker policy: rate.percent is 101, allowed is 1 to 100");
        let said = wrong::<breaker::Policy>("{\"probes\": 1,\n \"open_ms\": 0}");
        assert!(said.starts_with("--policy, line 2: breaker policy: open is 0ns"), "{said}");
        let said = wrong::<retry::Policy>("{\"transient\":\n{\"attempts_max\": 0}}");
        assert!(said.starts_with("--policy, line 2: retry policy: transient.attempts_max is 0"), "{said}");
        let said = wrong::<trend::Policy>("{\n\"learn_min\": 1}");
        assert_eq!(said, "--policy, line 2: learn_min is 1, allowed is 10 to 1000000");
        let said = wrong::<breaker::Policy>("{\"probes\": 1");
        assert!(said.contains("line 1: ") && said.contains("EOF"), "{said}");
    }
}
