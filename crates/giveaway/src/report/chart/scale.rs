//! Axes: where a number lies, and which numbers are written.

/// How an axis maps numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    /// Evenly, between two ends.
    Linear(f64, f64),
    /// By the logarithm, between two positive ends.
    Log(f64, f64),
}

/// How the numbers of an axis are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TickStyle {
    /// As they are.
    Plain,
    /// As percentages.
    Percent,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) scale: Scale,
    pub(crate) style: TickStyle,
}

impl Axis {
    pub(crate) fn linear(label: &str, lowest: f64, highest: f64) -> Self {
        Self {
            label: label.to_owned(),
            scale: Scale::Linear(lowest, highest),
            style: TickStyle::Plain,
        }
    }

    pub(crate) fn log(label: &str, lowest: f64, highest: f64) -> Self {
        Self {
            label: label.to_owned(),
            scale: Scale::Log(lowest, highest),
            style: TickStyle::Plain,
        }
    }

    pub(crate) fn percent(self) -> Self {
        Self {
            style: TickStyle::Percent,
            ..self
        }
    }

    /// Where a number lies, 0 at the low and 1 at the high end; beyond the ends it lies on them.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear(lowest, highest) => (value - lowest) / (highest - lowest),
            Scale::Log(lowest, highest) => {
                (value.max(lowest) / lowest).ln() / (highest / lowest).ln()
            }
        };
        share.clamp(0.0, 1.0)
    }

    /// The numbers that are written, and how.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let values: Vec<f64> = match self.scale {
            Scale::Linear(lowest, highest) => {
                let step = round_step((highest - lowest) / 5.0);
                let first = (lowest / step - 1e-9).ceil();
                (0..12)
                    .map(|i| (first + f64::from(i)) * step)
                    .take_while(|&v| v <= highest + 1e-9 * step)
                    // not -0
                    .map(|v| if v.abs() < step / 1e6 { 0.0 } else { v })
                    .collect()
            }
            Scale::Log(lowest, highest) => {
                let first = (lowest.log10() - 1e-9).ceil() as i32;
                let last = (highest.log10() + 1e-9).floor() as i32;
                let decades = first..=last;
                let every = (last - first + 1) / 8 + 1;
                decades
                    .filter(|decade| decade % every == 0)
                    .map(|decade| 10f64.powi(decade))
                    .collect()
            }
        };
        values
            .into_iter()
            .map(|value| (value, self.write(value)))
            .collect()
    }

    /// Lines between the written numbers of a logarithmic axis.
    pub(crate) fn minor(&self) -> Vec<f64> {
        let Scale::Log(lowest, highest) = self.scale else {
            return Vec::new();
        };
        if (highest / lowest).log10() > 8.0 {
            return Vec::new();
        }
        let decades = lowest.log10().floor() as i32..=highest.log10().ceil() as i32;
        decades
            .flat_map(|decade| (2..10).map(move |digit| f64::from(digit) * 10f64.powi(decade)))
            .filter(|&v| v > lowest && v < highest)
            .collect()
    }

    fn write(&self, value: f64) -> String {
        match self.style {
            TickStyle::Plain => plain(value),
            TickStyle::Percent => format!("{}\u{a0}%", plain(100.0 * value)),
        }
    }
}

/// 1, 2 or 5 times a power of ten, at least this large.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|&candidate| candidate >= step * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// The shortest way to write a number of a few digits.
fn plain(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-4 {
        return format!("10{}", superscript(value.log10().round() as i32));
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn superscript(exponent: i32) -> String {
    exponent
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '0' | '4'..='9' => char::from_u32(0x2070 + (c as u32 - '0' as u32)).unwrap_or(c),
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            written(&Axis::linear("x", 0.0, 1.0)),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(
            written(&Axis::linear("x", 0.5, 1.0).percent()),
            [
                "50\u{a0}%",
                "60\u{a0}%",
                "70\u{a0}%",
                "80\u{a0}%",
                "90\u{a0}%",
                "100\u{a0}%"
            ]
        );
        assert_eq!(
            written(&Axis::log("x", 1e-5, 1.0)),
            ["10⁻⁵", "0.0001", "0.001", "0.01", "0.1", "1"]
        );
        assert_eq!(written(&Axis::linear("x", -3.0, 3.0)), ["-2", "0", "2"]);
    }

    #[test]
    fn numbers_lie_between_the_ends() {
        let log = Axis::log("x", 1e-4, 1.0);
        assert!((log.place(1e-2) - 0.5).abs() < 1e-12);
        assert!(log.place(0.0).abs() < 1e-12 && (log.place(7.0) - 1.0).abs() < 1e-12);
        assert!((Axis::linear("x", -1.0, 3.0).place(0.0) - 0.25).abs() < 1e-12);
        assert_eq!(log.minor().len(), 32);
    }
}
