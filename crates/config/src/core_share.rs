//! CPU time as a share of one core.

use crate::Error;
use crate::source::shown;
use std::fmt;
use std::str::FromStr;

/// CPU time as a share of one core, to a tenth of a percent: `5%`, `0.5%`, `200%` for two cores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CoreShare {
    permille: u32,
}

impl CoreShare {
    /// So many percent.
    pub const fn from_percent(percent: u32) -> Self {
        Self { permille: percent * 10 }
    }

    /// The share as a fraction: 0.05 for `5%`.
    pub fn fraction(self) -> f64 {
        f64::from(self.permille) / 1000.0
    }
}

impl FromStr for CoreShare {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Share { text: shown(text) };
        let number = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| {
            (!text.is_empty()).then_some(text)?.bytes().all(|byte| byte.is_ascii_digit()).then_some(())
        };
        digits(whole).and(digits(tenths)).ok_or_else(wrong)?;
        if tenths.len() > 1 {
            return Err(wrong());
        }
        let parse = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let permille = parse(whole)?.checked_mul(10).and_then(|whole| whole.checked_add(parse(tenths).ok()?));
        Ok(Self { permille: permille.ok_or_else(wrong)? })
    }
}

impl fmt::Display for CoreShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.permille % 10 {
            0 => write!(f, "{}%", self.permille / 10),
            tenths => write!(f, "{}.{tenths}%", self.permille / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percents_are_read_to_a_tenth() {
        let read = |text: &str| text.parse::<CoreShare>().map(CoreShare::fraction).ok();
        assert_eq!(
            ["5%", "0.5%", "200 %", " 1.0%"].map(read),
            [Some(0.05), Some(0.005), Some(2.0), Some(0.01)]
        );
        for wrong in ["5", "%", ".5%", "5.%", "0.55%", "-1%", "+1%", "1e2%", "5%%", "99999999999%", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(permille in 0_u32..100_000_000) {
            let share = CoreShare { permille };
            prop_assert_eq!(share.to_string().parse::<CoreShare>().ok(), Some(share));
        }
    }
}
