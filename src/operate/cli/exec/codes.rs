//! What the exit codes of a command mean: by its program, and by what the person says.

use std::ffi::OsStr;
use std::path::Path;

use crate::act::command::Codes;
use crate::base::text;

/// The table of a program, by its base name.
pub(super) fn of(program: &OsStr) -> Codes {
    let base = Path::new(program).file_name().unwrap_or(program);
    match base.to_str() {
        Some("curl") => Codes::curl(),
        Some("ssh" | "scp" | "sftp") => Codes::ssh(),
        Some("rsync") => Codes::rsync(),
        Some("git") => Codes::git(),
        _ => Codes::sysexits(),
    }
}

/// The same with what the person says.
pub(super) fn with(mut codes: Codes, transient: &[u8], permanent: &[u8]) -> Codes {
    for code in transient {
        codes = codes.transient(i32::from(*code));
    }
    for code in permanent {
        codes = codes.permanent(i32::from(*code));
    }
    codes
}

/// `7,28,50-59`.
pub(super) fn read(given: &[String]) -> Result<Vec<u8>, String> {
    let mut codes = Vec::new();
    for part in given.iter().flat_map(|list| list.split(',')) {
        let part = part.trim();
        let invalid = || {
            let shown = text::shortened(part, 40);
            format!(
                "is {shown:?}; allowed are exit codes from 1 to 255 with commas, and ranges such as 50-59"
            )
        };
        let number = |text: &str| text.trim().parse::<u8>().ok().filter(|code| *code > 0).ok_or_else(invalid);
        let (from, to) = match part.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None => (number(part)?, number(part)?),
        };
        if from > to {
            return Err(invalid());
        }
        codes.extend(from..=to);
    }
    codes.sort_unstable();
    codes.dedup();
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fault::Class;

    #[test]
    fn lists_and_ranges() {
        let read = |text: &str| read(&[text.to_owned()]);
        assert_eq!(read("7,28, 50-52"), Ok(vec![7, 28, 50, 51, 52]));
        assert_eq!(read("3,3-4"), Ok(vec![3, 4]));
        for odd in ["", "0", "256", "5-3", "a", "1,,2", "-1"] {
            assert!(read(odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn the_table_is_that_of_the_program() {
        assert_eq!(of(OsStr::new("/usr/bin/curl")).fault(7).class, Class::Transient);
        assert_eq!(of(OsStr::new("ssh")).fault(255).class, Class::Transient);
        assert_eq!(of(OsStr::new("./mine")).fault(255).class, Class::Unknown);
        let codes = with(of(OsStr::new("git")), &[128], &[1]);
        assert_eq!((codes.fault(128).class, codes.fault(1).class), (Class::Transient, Class::Permanent));
    }
}
