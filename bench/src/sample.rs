//! Numbers that were measured, and what is told of them.

/// Some numbers of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    values: Vec<f64>,
}

impl From<f64> for Sample {
    fn from(value: f64) -> Sample {
        Sample { values: vec![value] }
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Sample {
        Sample { values: values.into_iter().collect() }
    }
}

impl Sample {
    pub(crate) fn add(&mut self, value: f64) {
        self.values.push(value);
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(1, 2)
    }

    /// Nine of ten are at most this.
    pub(crate) fn high(&self) -> f64 {
        self.at(9, 10)
    }

    fn at(&self, part: usize, of: usize) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() * part / of).min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_high_one_near_the_end() {
        let sample: Sample = (1..=11).rev().map(f64::from).collect();
        assert_eq!((sample.median(), sample.high()), (6.0, 10.0));
        assert!(Sample::default().median().is_nan());
    }
}
