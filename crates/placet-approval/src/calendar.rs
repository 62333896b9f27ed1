//! Working calendars: deadlines and steps that people are given in hours in which they work. What follows from a calendar is
//! computed where a plan is made or people are looked up, and recorded: rules never ask what a time zone says today.

use std::fmt;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field::FieldError;

/// When somebody works, as it is written in `[calendars.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    /// By which clocks: a name of the IANA database.
    pub time_zone: String,
    /// On which days of the week.
    #[serde(default = "monday_to_friday", skip_serializing_if = "is_monday_to_friday")]
    pub days: Vec<Day>,
    /// Between which hours. What ends before it begins ends on the next day.
    #[serde(default = "nine_to_five", skip_serializing_if = "is_nine_to_five")]
    pub hours: Vec<Hours>,
    /// On which dates not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<Date>,
    /// When nobody is reminded or asked instead of others: that waits for its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quiet: Vec<Hours>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are what they are")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// From one time of the day to another: `09:00-17:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Hours {
    from: Time,
    until: Time,
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hours { from, until } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.hour(), from.minute(), until.hour(), until.minute())
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> String {
        hours.to_string()
    }
}

impl TryFrom<String> for Hours {
    type Error = String;

    fn try_from(text: String) -> Result<Hours, String> {
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute) = (hour.parse::<i8>().ok()?, minute.parse::<i8>().ok()?);
            // The end of the day is the beginning of the next.
            Time::new(if hour == 24 && minute == 0 { 0 } else { hour }, minute, 0, 0).ok()
        };
        let hours =
            text.split_once('-').and_then(|(from, until)| Some(Hours { from: time(from)?, until: time(until)? }));
        hours.ok_or_else(|| format!("{text:?} is no part of a day: write it as 09:00-17:00"))
    }
}

impl Hours {
    /// On the day that begins so: from when until when.
    fn on(&self, date: Date, zone: &TimeZone) -> Result<(Timestamp, Timestamp), jiff::Error> {
        let end = if self.until <= self.from { date.tomorrow()? } else { date };
        let at =
            |date: Date, time: Time| Ok::<_, jiff::Error>(date.to_datetime(time).to_zoned(zone.clone())?.timestamp());
        Ok((at(date, self.from)?, at(end, self.until)?))
    }

    /// Without regard to clocks that are put forward or back.
    fn length(&self) -> SignedDuration {
        let length = self.from.duration_until(self.until);
        if length <= SignedDuration::ZERO { length + DAY } else { length }
    }
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// So many days without an hour of work are looked through, a hundred years of weeks with one.
const DAYS_MAX: usize = 40_000;

fn monday_to_friday() -> Vec<Day> {
    vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri]
}

fn is_monday_to_friday(days: &Vec<Day>) -> bool {
    *days == monday_to_friday()
}

fn nine_to_five() -> Vec<Hours> {
    vec![Hours { from: Time::constant(9, 0, 0, 0), until: Time::constant(17, 0, 0, 0) }]
}

fn is_nine_to_five(hours: &Vec<Hours>) -> bool {
    *hours == nine_to_five()
}

impl Calendar {
    /// Whether anybody can live by it.
    ///
    /// # Errors
    /// Naming the field.
    pub fn check(&self) -> Result<(), FieldError> {
        let zone = self.zone().map_err(|_| {
            FieldError::new("time_zone", format!("{:?} is no time zone: write Europe/Berlin, or UTC", self.time_zone))
        })?;
        if self.days.is_empty() || self.hours.is_empty() {
            return Err(FieldError::new(if self.days.is_empty() { "days" } else { "hours" }, "must name one at least"));
        }
        let mut hours = self.hours.clone();
        hours.sort_by_key(|hours| hours.from);
        let day = Date::constant(2026, 1, 5);
        let spans = hours.iter().map(|hours| hours.on(day, &zone)).collect::<Result<Vec<_>, _>>();
        let spans = spans.map_err(|error| FieldError::new("hours", error.to_string()))?;
        if spans.windows(2).any(|two| two[1].0 < two[0].1) {
            return Err(FieldError::new("hours", "some of them overlap"));
        }
        Ok(())
    }

    /// When so much of it is over. A day of a duration is a working day, and has as many hours as people work on one. Never
    /// before an hour in which they do.
    pub(crate) fn after(&self, from: Timestamp, span: SignedDuration) -> Timestamp {
        // What was checked has a zone, and an hour of work in some week.
        self.try_after(from, span).unwrap_or(Timestamp::MAX)
    }

    fn try_after(&self, from: Timestamp, span: SignedDuration) -> Result<Timestamp, jiff::Error> {
        let zone = self.zone()?;
        let mut left = self.worked(span);
        let mut date = from.to_zoned(zone.clone()).date().yesterday()?;
        for _ in 0..DAYS_MAX {
            let mut today = if self.works_on(date) {
                self.hours.iter().map(|hours| hours.on(date, &zone)).collect::<Result<Vec<_>, _>>()?
            } else {
                Vec::new()
            };
            today.sort_unstable();
            for (begin, end) in today {
                let begin = begin.max(from);
                let there = begin.duration_until(end);
                if there <= SignedDuration::ZERO {
                    continue;
                }
                if left <= there {
                    return begin.checked_add(left);
                }
                left -= there;
            }
            date = date.tomorrow()?;
        }
        Ok(Timestamp::MAX)
    }

    /// The same moment, or the end of the quiet hours that it lies in.
    pub(crate) fn not_quiet(&self, at: Timestamp) -> Timestamp {
        self.try_not_quiet(at).unwrap_or(at)
    }

    fn try_not_quiet(&self, mut at: Timestamp) -> Result<Timestamp, jiff::Error> {
        let zone = self.zone()?;
        // One may end where another begins; more than there are of them are none.
        for _ in 0..=self.quiet.len() {
            let date = at.to_zoned(zone.clone()).date();
            let mut spans = Vec::new();
            for hours in &self.quiet {
                spans.extend([hours.on(date.yesterday()?, &zone)?, hours.on(date, &zone)?]);
            }
            match spans.into_iter().find(|(begin, end)| (*begin..*end).contains(&at)) {
                Some((_, end)) => at = end,
                None => break,
            }
        }
        Ok(at)
    }

    /// A duration in hours of work.
    fn worked(&self, span: SignedDuration) -> SignedDuration {
        let days = span.as_secs() / DAY.as_secs();
        let a_day: SignedDuration = self.hours.iter().map(Hours::length).sum();
        let of_days = a_day.checked_mul(i32::try_from(days).unwrap_or(i32::MAX)).unwrap_or(SignedDuration::MAX);
        of_days.saturating_add(span - SignedDuration::from_secs(days * DAY.as_secs()))
    }

    fn works_on(&self, date: Date) -> bool {
        let day = match date.weekday() {
            Weekday::Monday => Day::Mon,
            Weekday::Tuesday => Day::Tue,
            Weekday::Wednesday => Day::Wed,
            Weekday::Thursday => Day::Thu,
            Weekday::Friday => Day::Fri,
            Weekday::Saturday => Day::Sat,
            Weekday::Sunday => Day::Sun,
        };
        self.days.contains(&day) && !self.holidays.contains(&date)
    }

    fn zone(&self) -> Result<TimeZone, jiff::Error> {
        TimeZone::get(&self.time_zone)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::duration;

    fn calendar(more: serde_json::Value) -> Calendar {
        let mut all = json!({"time_zone": "Europe/Berlin"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn local(at: Timestamp) -> String {
        at.to_zoned(TimeZone::get("Europe/Berlin").unwrap()).strftime("%a %F %H:%M").to_string()
    }

    #[track_caller]
    fn is_after(calendar: &Calendar, from: &str, span: &str, expected: &str) {
        let from = format!("{from}[Europe/Berlin]").parse::<jiff::Zoned>().unwrap().timestamp();
        assert_eq!(local(calendar.after(from, duration(span).unwrap())), expected, "{span} after {from}");
    }

    #[test]
    fn what_begins_on_a_friday_evening_goes_on_on_monday() {
        let office = calendar(json!({"holidays": ["2026-12-25"]}));
        is_after(&office, "2026-12-04T16:00", "4h", "Mon 2026-12-07 12:00");
        is_after(&office, "2026-12-04T17:00", "4h", "Mon 2026-12-07 13:00");
        is_after(&office, "2026-12-05T12:00", "30m", "Mon 2026-12-07 09:30");
        is_after(&office, "2026-12-02T10:00", "1d", "Thu 2026-12-03 10:00");
        is_after(&office, "2026-12-02T10:00", "2d 4h", "Fri 2026-12-04 14:00");
        is_after(&office, "2026-12-24T16:00", "2h", "Mon 2026-12-28 10:00");
        is_after(&office, "2026-12-02T07:00", "0s", "Wed 2026-12-02 09:00");
        is_after(&office, "2026-12-02T09:00", "8h", "Wed 2026-12-02 17:00");
    }

    #[test]
    fn lunch_nights_and_clocks_that_are_put_back_are_gone_through() {
        let lunch = calendar(json!({"hours": ["13:00-17:00", "08:00-12:00"]}));
        is_after(&lunch, "2026-12-02T11:00", "2h", "Wed 2026-12-02 14:00");
        is_after(&lunch, "2026-12-02T11:00", "1d", "Thu 2026-12-03 11:00");
        let night = calendar(json!({"hours": ["22:00-06:00"], "days": ["sat"]}));
        is_after(&night, "2026-12-06T05:00", "2h", "Sat 2026-12-12 23:00");
        // 25 October 2026: the hour from two to three is there twice.
        is_after(&night, "2026-10-24T22:00", "8h", "Sun 2026-10-25 05:00");
        let always =
            calendar(json!({"hours": ["00:00-24:00"], "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}));
        is_after(&always, "2026-12-04T16:00", "3d", "Mon 2026-12-07 16:00");
    }

    #[test]
    fn quiet_hours_are_waited_for() {
        let quiet = calendar(json!({"quiet": ["20:00-07:00", "12:00-13:00"]}));
        for (at, then) in [
            ("2026-12-02T21:00", "Thu 2026-12-03 07:00"),
            ("2026-12-02T06:59", "Wed 2026-12-02 07:00"),
            ("2026-12-02T07:00", "Wed 2026-12-02 07:00"),
            ("2026-12-02T12:30", "Wed 2026-12-02 13:00"),
        ] {
            let at = format!("{at}[Europe/Berlin]").parse::<jiff::Zoned>().unwrap().timestamp();
            assert_eq!(local(quiet.not_quiet(at)), then);
        }
        let always = calendar(json!({"quiet": ["00:00-12:00", "12:00-24:00"]}));
        assert!(always.not_quiet(Timestamp::UNIX_EPOCH) >= Timestamp::UNIX_EPOCH, "it comes to an end");
    }

    #[test]
    fn what_nobody_can_live_by_is_refused_with_its_field() {
        let field = |more| calendar(more).check().unwrap_err().field;
        assert_eq!(field(json!({"time_zone": "Europe/Atlantis"})), "time_zone");
        assert_eq!(field(json!({"days": []})), "days");
        assert_eq!(field(json!({"hours": []})), "hours");
        assert_eq!(field(json!({"hours": ["09:00-13:00", "12:00-17:00"]})), "hours");
        assert!(calendar(json!({})).check().is_ok());
        for wrong in ["9-17", "09:00", "25:00-26:00", "09:00-17:60"] {
            assert!(Hours::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_calendar_is_written_as_it_was_read() {
        let office = calendar(json!({"holidays": ["2026-12-25"], "hours": ["09:00-12:30"], "days": ["sun"]}));
        let text = serde_json::to_string(&office).unwrap();
        assert_eq!(serde_json::from_str::<Calendar>(&text).unwrap(), office);
    }
}
