use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::fail;
use crate::progress::Bar;
use crate::reconcile::{Algorithm, Case, Comparison, Spread, algorithms, compare};

/// `cargo lab reconcile`.
#[derive(Args)]
pub(super) struct Reconcile {
    /// Items that each side has, such as 1e6.
    #[arg(long, value_delimiter = ',', default_values = ["1e5"], value_parser = number)]
    n: Vec<usize>,
    /// Items that only one side has, half of them on either.
    #[arg(long, value_delimiter = ',', default_values = ["0", "10", "1e3", "1e4"], value_parser = number)]
    d: Vec<usize>,
    /// Where those are in the order of items.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = [Spread::Uniform])]
    spread: Vec<Spread>,
    /// Whose, by the beginning of the name; everybody's if not said.
    #[arg(long, value_delimiter = ',')]
    algorithm: Vec<String>,
    /// How often each session runs. The median of the CPU time counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Where to write reconcile.csv and reconcile.json. Nothing is written if not said.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// `1000`, `1e3` or `1.5e3`.
fn number(text: &str) -> Result<usize, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1e8).contains(&number) && number.fract() == 0.0 => Ok(number as usize),
        _ => Err(format!("{text} is no whole number from 0 to 1e8")),
    }
}

impl Reconcile {
    pub(super) fn main(self) -> ExitCode {
        let (cases, chosen) = match self.cases().and_then(|cases| Ok((cases, self.algorithms()?))) {
            Ok(plan) => plan,
            Err(why) => return fail(why),
        };
        let comparison = match compare(&chosen, &cases, self.runs, &Bar::default()) {
            Ok(comparison) => comparison,
            Err(err) => return fail(err),
        };
        print!("{comparison}");
        match self.out.as_deref().map(|folder| write(&comparison, folder)) {
            Some(Err(err)) => fail(err),
            _ => ExitCode::SUCCESS,
        }
    }

    fn cases(&self) -> Result<Vec<Case>, String> {
        let mut cases = Vec::new();
        for &n in &self.n {
            for &spread in &self.spread {
                for &d in &self.d {
                    if d % 2 != 0 || d > n {
                        return Err(format!("d = {d} is not an even number of at most n = {n}"));
                    }
                    cases.push(Case { n, d, spread });
                }
            }
        }
        Ok(cases)
    }

    fn algorithms(&self) -> Result<Vec<Box<dyn Algorithm>>, String> {
        let all = algorithms();
        let names: Vec<&str> = all.iter().map(|algorithm| algorithm.name()).collect();
        if let Some(unknown) = self.algorithm.iter().find(|wanted| !names.iter().any(|name| name.starts_with(*wanted)))
        {
            return Err(format!("there is no {unknown}; there are: {}", names.join("; ")));
        }
        let is_wanted = |name: &str| self.algorithm.iter().any(|wanted| name.starts_with(wanted));
        Ok(all.into_iter().filter(|one| self.algorithm.is_empty() || is_wanted(one.name())).collect())
    }
}

fn write(comparison: &Comparison, folder: &Path) -> Result<(), String> {
    let json = serde_json::to_string_pretty(comparison).map_err(|err| err.to_string())?;
    std::fs::create_dir_all(folder).map_err(|err| format!("{}: {err}", folder.display()))?;
    for (name, text) in [("reconcile.csv", comparison.csv()), ("reconcile.json", json)] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|err| format!("{}: {err}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_have_an_exponent() {
        assert_eq!((number("1e6"), number("10"), number("2.5e3")), (Ok(1_000_000), Ok(10), Ok(2_500)));
        assert!(number("-1").is_err() && number("0.5").is_err() && number("1e9").is_err() && number("x").is_err());
    }
}
