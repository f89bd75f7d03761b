//! The numbers as text.

use std::fmt::Write as _;

use crate::operate::metrics::{Report, Sample};

pub(super) fn prometheus(report: &Report) -> String {
    let mut text = String::new();
    for family in &report.families {
        let name = family.name;
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string does not fail.
        let _written = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", family.kind.as_str());
        for sample in &family.samples {
            line(&mut text, name, sample);
        }
    }
    text
}

fn line(text: &mut String, name: &str, sample: &Sample) {
    text.push_str(name);
    text.push_str(sample.suffix);
    for (at, (label, value)) in sample.labels.iter().enumerate() {
        text.push(if at == 0 { '{' } else { ',' });
        text.push_str(label);
        text.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
    }
    if !sample.labels.is_empty() {
        text.push('}');
    }
    let value = match sample.value {
        value if value.is_nan() => String::from("NaN"),
        f64::INFINITY => String::from("+Inf"),
        f64::NEG_INFINITY => String::from("-Inf"),
        value => value.to_string(),
    };
    text.push(' ');
    text.push_str(&value);
    text.push('\n');
}
