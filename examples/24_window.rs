//! Open from nine to ten at night in Paris on working days, closed at Christmas, right when the clocks change.

use chrono::{NaiveDate, NaiveTime};
use unattended::window::{Fits, State, Window};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hours: Window = "09:00-22:00 Mon-Fri; 22:00-02:00 Sat Europe/Paris".parse()?;
    // The clocks go from 02:00 to 03:00 in the night of the second.
    for at in ["2026-03-27T20:30:00Z", "2026-03-27T21:00:00Z", "2026-03-28T21:30:00Z", "2026-03-29T01:00:00Z"]
    {
        match hours.state(at.parse()?) {
            State::Open { closes: Some(closes) } => println!("{at} open until {closes}"),
            State::Open { closes: None } => println!("{at} always open"),
            State::Closed { opens: Some(opens), why } => println!("{at} closed until {opens}: {why}"),
            State::Closed { opens: None, why } => println!("{at} closed for good: {why}"),
        }
    }
    let (nine, ten) = (NaiveTime::from_hms_opt(9, 0, 0), NaiveTime::from_hms_opt(22, 0, 0));
    let christmas = NaiveDate::from_ymd_opt(2026, 12, 25).ok_or("a day")?;
    let daily = Window::new(hours.zone())
        .hours(nine.ok_or("a time")?, ten.ok_or("a time")?)
        .closed_on(christmas, "Christmas")
        .build()?;
    let eve = "2026-12-24T20:30:00Z".parse()?;
    if let Fits::NotBefore { at, why } = daily.fits(eve, std::time::Duration::from_secs(3600)) {
        println!("an hour has room at {at}: {why}");
    }
    Ok(())
}
