//! Cron expressions: read by croner, and told apart where they are wrong.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::CronParser;

use crate::base::text;
use crate::decide::schedule::days::{Days, OfMonth, OfWeek};
use crate::decide::schedule::error::Error;
use crate::decide::schedule::fields::Fields;
use crate::decide::schedule::pattern::{Pattern, Said};

const LENGTH_MAX: usize = 1000;
/// With a field for seconds and one for the year; in this order.
const NAMES: [&str; 7] = ["second", "minute", "hour", "day of month", "month", "day of week", "year"];
/// What croner sets for a value that is meant as it stands, for the nth and the last such weekday, and for the working
/// day that is nearest.
const PLAIN: u8 = 1;
const NTH: [u8; 5] = [1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5];
const LAST: u8 = 1 << 6;
const NEAREST: u8 = 1 << 7;

/// Bits of one field: `values!(component, bit)`, a mask of the values below 64.
macro_rules! values {
    ($component:expr, $bit:expr) => {
        $component.get_set_values($bit).into_iter().filter(|v| *v < 64).fold(0_u64, |mask, v| mask | 1 << v)
    };
}

/// Reads an expression.
pub(super) fn read(expression: &str) -> Result<Pattern, Error> {
    if expression.len() > LENGTH_MAX {
        let why = format!("it has {} bytes; allowed are {LENGTH_MAX}", expression.len());
        return Err(wrong("length", expression, why));
    }
    let cron = CronParser::new().parse(expression).map_err(|error| blame(expression, &error))?;
    let pattern = &cron.pattern;
    let parts: Vec<&str> = pattern.as_str().split_whitespace().collect();
    // croner reads a field of nothing but commas as one without values.
    let components = [
        &pattern.seconds,
        &pattern.minutes,
        &pattern.hours,
        &pattern.days,
        &pattern.months,
        &pattern.days_of_week,
        &pattern.years,
    ];
    for (name, component) in NAMES.into_iter().zip(components) {
        if component.values().is_empty() && !component.has_modifiers() {
            return Err(wrong(name, expression, String::from("it names no value")));
        }
    }
    let names = NAMES.iter().skip(usize::from(parts.len() == 5));
    for (name, part) in names.zip(&parts) {
        check_steps(name, part, expression)?;
    }
    let fields = fields(&cron);
    if !fields.is_possible() {
        return Err(Error::NeverFires { expression: expression.to_owned() });
    }
    // Five fields have none for seconds before the minute and the hour.
    let clock = parts.iter().skip(usize::from(parts.len() > 5)).take(2);
    let wildcard = clock.into_iter().any(|part| part.starts_with('*'));
    let said = Said::Cron { expression: expression.trim().to_owned(), described: described(&cron) };
    Ok(Pattern { fields, wildcard, said })
}

/// A step over the end of its field happens once in it: who writes `*/90` for the minute means each 90 minutes, and would
/// have each hour. (Vixie cron takes it so and says nothing.)
fn check_steps(name: &'static str, part: &str, expression: &str) -> Result<(), Error> {
    let most = match name {
        "second" | "minute" => 60,
        "hour" => 24,
        "day of month" => 31,
        "month" => 12,
        "day of week" => 7,
        _ => return Ok(()),
    };
    let steps = part.split(',').filter_map(|item| item.split_once('/')?.1.parse::<u32>().ok());
    match steps.max() {
        Some(step) if step > most => {
            let why = format!("a step of {step} is longer than the {most} values that there are");
            Err(wrong(name, expression, why))
        }
        _ => Ok(()),
    }
}

fn fields(cron: &Cron) -> Fields {
    let pattern = &cron.pattern;
    let of_month = OfMonth {
        plain: values!(pattern.days, PLAIN),
        nearest: values!(pattern.days, NEAREST),
        // croner marks `LW` as both; then it is not the last day of all.
        last: pattern.days.is_feature_enabled(LAST) && !pattern.days.is_feature_enabled(NEAREST),
        last_working: pattern.days.is_feature_enabled(LAST | NEAREST),
    };
    let of_week = OfWeek {
        plain: values!(pattern.days_of_week, PLAIN),
        nth: NTH.map(|bit| values!(pattern.days_of_week, bit)),
        last: values!(pattern.days_of_week, LAST),
    };
    Fields {
        seconds: values!(pattern.seconds, PLAIN),
        minutes: values!(pattern.minutes, PLAIN),
        hours: values!(pattern.hours, PLAIN),
        days: Days {
            of_month: (!pattern.is_dom_wildcard()).then_some(of_month),
            of_week: (!pattern.is_dow_wildcard()).then_some(of_week),
            both: pattern.matches_dom_and_dow(),
        },
        months: values!(pattern.months, PLAIN),
        years: years(cron),
    }
}

/// A bit a year, where years are named.
fn years(cron: &Cron) -> Option<Box<[u64]>> {
    let field = cron.pattern.as_str().split_whitespace().nth(6)?;
    if field == "*" {
        return None;
    }
    let years = cron.pattern.years.values();
    let mut words = vec![0_u64; usize::from(cron.pattern.years.max / 64) + 1];
    for year in years {
        if let Some(word) = words.get_mut(usize::from(year / 64)) {
            *word |= 1 << (year % 64);
        }
    }
    Some(words.into_boxed_slice())
}

/// Which field is wrong: the first that is so with all the others in order.
fn blame(expression: &str, error: &CronError) -> Error {
    let parts: Vec<&str> = expression.split_whitespace().collect();
    let names: &[&'static str] = match parts.len() {
        5 => &NAMES[1..6],
        6 => &NAMES[..6],
        7 => &NAMES,
        given => {
            let why = format!("there are {given}; allowed are 5 to 7, or one word such as @daily");
            return wrong("fields", expression, why);
        }
    };
    for (place, name) in names.iter().enumerate() {
        let mut alone = vec!["*"; parts.len()];
        alone[place] = parts[place];
        if let Err(error) = CronParser::new().parse(&alone.join(" ")) {
            return wrong(name, expression, said(&error));
        }
    }
    wrong("fields", expression, said(error))
}

fn wrong(field: &'static str, expression: &str, why: String) -> Error {
    Error::Cron { field, expression: text::shortened(expression, 120), why }
}

/// What croner says, as the end of a sentence.
fn said(error: &CronError) -> String {
    let text = match error {
        CronError::InvalidPattern(text)
        | CronError::IllegalCharacters(text)
        | CronError::ComponentError(text) => text.clone(),
        other => other.to_string(),
    };
    lowered(text.strip_prefix("CronPattern ").unwrap_or(&text))
}

fn described(cron: &Cron) -> String {
    lowered(&cron.describe())
}

/// Without the capital at the beginning and the full stop at the end.
fn lowered(sentence: &str) -> String {
    let mut rest = sentence.trim_end_matches('.').chars();
    rest.next().map_or_else(String::new, |first| first.to_lowercase().chain(rest).collect())
}
