//! The table: what was measured, the bound, and whether it holds.

use std::fmt::Write as _;

/// Gathers the rows; prints each as it comes to standard error, and the table at the end.
pub struct Report {
    table: String,
    missed: Vec<String>,
}

impl Report {
    pub fn new() -> Self {
        Self { table: String::from("| what | measured | bound | |\n|---|---|---|---|\n"), missed: Vec::new() }
    }

    /// A figure beside the bounds.
    pub fn row(&mut self, what: &str, measured: &str) {
        self.line(what, measured, "", "");
    }

    /// `figure` is at least `bound`.
    pub fn at_least(&mut self, what: &str, figure: f64, bound: f64, unit: &str) {
        let said = format!("at least {}", number(bound, unit));
        self.verdict(figure >= bound, what, &number(figure, unit), &said);
    }

    /// `figure` is at most `bound`.
    pub fn at_most(&mut self, what: &str, figure: f64, bound: f64, unit: &str) {
        self.verdict(
            figure <= bound,
            what,
            &number(figure, unit),
            &format!("at most {}", number(bound, unit)),
        );
    }

    fn verdict(&mut self, met: bool, what: &str, measured: &str, bound: &str) {
        if !met {
            self.missed.push(format!("{what}: {measured}, {bound}"));
        }
        self.line(what, measured, bound, if met { "met" } else { "**missed**" });
    }

    fn line(&mut self, what: &str, measured: &str, bound: &str, verdict: &str) {
        eprintln!("{what}: {measured} {bound} {verdict}");
        let _ = writeln!(self.table, "| {what} | {measured} | {bound} | {verdict} |");
    }

    /// Prints the table; whether all bounds hold.
    pub fn end(&self) -> bool {
        println!("{}", self.table);
        println!("{} missed", self.missed.len());
        for missed in &self.missed {
            println!("- {missed}");
        }
        self.missed.is_empty()
    }
}

pub fn number(figure: f64, unit: &str) -> String {
    let text = if figure >= 1000.0 {
        let whole = figure.round() as u64;
        let (thousands, rest) = (whole / 1000, whole % 1000);
        format!("{thousands},{rest:03}")
    } else if figure >= 20.0 || figure.fract() == 0.0 {
        format!("{figure:.0}")
    } else if figure >= 0.995 {
        format!("{figure:.2}")
    } else {
        format!("{figure:.4}")
    };
    if unit.is_empty() { text } else { format!("{text} {unit}") }
}
