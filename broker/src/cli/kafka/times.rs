//! Dates and durations as Kafka's tools take them: ISO 8601.

/// Milliseconds in a day.
const DAY: i64 = 86_400_000;

/// Milliseconds since 1970 of `2026-01-31T12:00:00.000`, in UTC or with `Z`, `+01`, `+0100` or `+01:00` at its end.
pub(crate) fn date_time(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let (time, zone) = match rest.find(['Z', '+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest, "Z"),
    };
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.')?;
    let mut clock = clock.splitn(3, ':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let is_date = year <= 9999 && (1..=12).contains(&month) && day >= 1 && day <= month_days(year, month);
    if !is_date || hour > 23 || minute > 59 || second > 59 || fraction.is_empty() || fraction.len() > 3 {
        return None;
    }
    // As SimpleDateFormat reads it: ".5" is five milliseconds.
    let ms = number(fraction)?;
    let of_day = ((hour * 60 + minute) * 60 + second) * 1_000 + ms;
    Some(days(year, month, day) * DAY + of_day - offset(zone)? * 60_000)
}

/// Milliseconds of `P1DT2H3M4.5S`, any part of which may be negative.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let (sign, rest) = match upper.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, upper.strip_prefix('+').unwrap_or(&upper)),
    };
    let rest = rest.strip_prefix('P')?;
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    if date.is_empty() && time.is_none() || time == Some("") {
        return None;
    }
    let mut ms = parts(date, &[('D', DAY)])?;
    ms += parts(time.unwrap_or_default(), &[('H', 3_600_000), ('M', 60_000), ('S', 1_000)])?;
    Some((sign * ms).round() as i64)
}

/// Adds up numbers with units, which come in this order.
fn parts(mut text: &str, units: &[(char, i64)]) -> Option<f64> {
    let mut sum = 0.0;
    let mut units = units.iter();
    while !text.is_empty() {
        let at = text.find(|c: char| c.is_ascii_alphabetic())?;
        let unit = text[at..].chars().next()?;
        let (_, ms) = units.find(|(name, _)| *name == unit)?;
        let number = &text[..at];
        if !number.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if unit != 'S' && number.contains('.') {
            return None;
        }
        sum += number.parse::<f64>().ok()? * *ms as f64;
        text = &text[at + 1..];
    }
    Some(sum)
}

fn number(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 9 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Minutes east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = zone[1..].replace(':', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match digits.len() {
        2 => Some(sign * number(&digits)? * 60),
        4 => Some(sign * (number(&digits[..2])? * 60 + number(&digits[2..])?)),
        _ => None,
    }
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, by years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::{date_time, duration};

    #[test]
    fn dates() {
        for (text, ms) in [
            ("1970-01-01T00:00:00.000", Some(0)),
            ("1970-01-01T00:00:00.000Z", Some(0)),
            ("2000-02-29T12:34:56.789", Some(951_827_696_789)),
            ("2026-11-23T01:00:00.000+01:00", Some(1_795_392_000_000)),
            ("2026-11-23T01:00:00.000+0100", Some(1_795_392_000_000)),
            ("2026-11-23T01:00:00.000+a\u{e9}1", None),
            ("999999999-01-01T00:00:00.000Z", None),
            ("2026-11-22T19:00:00.000-05", Some(1_795_392_000_000)),
            ("1969-12-31T23:59:59.999", Some(-1)),
            ("2026-02-29T00:00:00.000", None),
            ("2026-13-01T00:00:00.000", None),
            ("2026-01-01T24:00:00.000", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01", None),
            ("", None),
        ] {
            assert_eq!(date_time(text), ms, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("PT0S", Some(0)),
            ("P1D", Some(86_400_000)),
            ("PT1H30M", Some(5_400_000)),
            ("P1DT1.5S", Some(86_401_500)),
            ("-PT5M", Some(-300_000)),
            ("PT-5M", Some(-300_000)),
            ("pt1s", Some(1_000)),
            ("P", None),
            ("PT", None),
            ("P1DT", None),
            ("1D", None),
            ("PT1.5H", None),
            ("PT1S1H", None),
            ("PTS", None),
        ] {
            assert_eq!(duration(text), ms, "{text}");
        }
    }
}
