//! The attacks by name: what each needs, and how it is computed from [`Evidence`].

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::direct::{self, Null};
use super::evidence::{Evidence, Real, Scalar};
use super::lira::Variance;
use super::moments::{Moments, moments, moments_of_rows};
use super::rmia::Line;
use super::{
    Scores, base, bavaria, confidence, difficulty, entropy, gap, label_only, lira, loss,
    loss_trace, modified_entropy, population, quantile_regression, reference, rmia, sablayrolles,
};
use crate::error::{Error, Result};

/// Declares the methods: variant, name, citation.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $citation:literal;)+) => {
        /// An attack.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Method { $($(#[$doc])* #[serde(rename = $name)] $variant,)+ }

        impl Method {
            /// All attacks, in the order of the tables.
            pub const EVERY: &'static [Self] = &[$(Self::$variant,)+];

            /// The name used in options, files and reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Who proposed it.
            #[must_use]
            pub fn citation(self) -> &'static str {
                match self { $(Self::$variant => $citation,)+ }
            }
        }
    };
}

methods! {
    /// Minus the loss.
    Loss = "loss", "Yeom et al. 2018";
    /// Confidence of the true class.
    Confidence = "confidence", "Yeom et al. 2018";
    /// Minus the entropy.
    Entropy = "entropy", "Shokri et al. 2017";
    /// Minus the modified entropy.
    ModifiedEntropy = "modified-entropy", "Song and Mittal 2021";
    /// Modified entropy with a threshold for each class.
    ModifiedEntropyClassWise = "modified-entropy-class-wise", "Song and Mittal 2021";
    /// Whether the target is right.
    Gap = "gap", "Yeom et al. 2018";
    /// Whether the target is right, against the record's own IN and OUT models.
    LabelOnly = "label-only", "after Choquette-Choo et al. 2021 and Carlini et al. 2022";
    /// Attack-P: rank among population losses.
    Population = "population", "Ye et al. 2022";
    /// Attack-R: quantile among the record's own OUT losses.
    Reference = "reference", "Ye et al. 2022";
    /// Mean OUT loss minus loss.
    Difficulty = "difficulty", "Watson et al. 2022";
    /// Half-way between mean losses IN and OUT, minus loss.
    Sablayrolles = "sablayrolles", "Sablayrolles et al. 2019";
    /// LiRA online.
    LiraOnline = "lira-online", "Carlini et al. 2022";
    /// LiRA offline.
    LiraOffline = "lira-offline", "Carlini et al. 2022";
    /// LiRA online with one variance for all records.
    LiraOnlineFixed = "lira-online-fixed", "Carlini et al. 2022";
    /// LiRA offline with one variance for all records.
    LiraOfflineFixed = "lira-offline-fixed", "Carlini et al. 2022";
    /// RMIA online.
    RmiaOnline = "rmia-online", "Zarifzadeh et al. 2024";
    /// RMIA offline.
    RmiaOffline = "rmia-offline", "Zarifzadeh et al. 2024";
    /// BASE with all reference models.
    Base1Online = "base1-online", "Lassila et al. 2025";
    /// Two means per record, one variance for all.
    Base2Online = "base2-online", "Brännvall 2026";
    /// Two means and a variance per record.
    Base3Online = "base3-online", "Brännvall 2026";
    /// LiRA online by another name.
    Base4Online = "base4-online", "Brännvall 2026";
    /// BASE with OUT models.
    Base1Offline = "base1-offline", "Lassila et al. 2025";
    /// BaVarIA, normal, online.
    BavariaNOnline = "bavaria-n-online", "Brännvall 2026";
    /// BaVarIA, normal, offline.
    BavariaNOffline = "bavaria-n-offline", "Brännvall 2026";
    /// BaVarIA, Student's t, online.
    BavariaTOnline = "bavaria-t-online", "Brännvall 2026";
    /// BaVarIA, Student's t, offline.
    BavariaTOffline = "bavaria-t-offline", "Brännvall 2026";
    /// φ against its quantiles given the record's features.
    QuantileRegression = "quantile-regression", "Bertran et al. 2023";
    /// Spread of the record's loss over the target's training.
    LtIqr = "lt-iqr", "Pollock et al. 2025";
    /// Direct inference; the score is `-ln p`.
    GmiaDirect = "gmia-direct", "after Long et al. 2018";
}

/// What attacks leave open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// RMIA: how many times larger a record's ratio must be than that of a population record.
    pub gamma: f64,
    /// RMIA offline: a of `P(x) = ((1+a) P_out + (1-a))/2`; found on a reference model if absent.
    pub offline_a: Option<f64>,
    /// The null of direct inference.
    pub null: Null,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            gamma: 2.0,
            offline_a: None,
            null: Null::T,
        }
    }
}

impl Parameters {
    /// Looks whether the numbers make sense.
    ///
    /// # Errors
    /// Naming the one that does not.
    pub fn check(&self) -> Result<()> {
        if !(self.gamma > 0.0 && self.gamma.is_finite()) {
            return Err(Error::usage(format!("γ is {}", self.gamma))
                .at("--gamma")
                .hint("give a number above 0; 1 and 2 are usual"));
        }
        if let Some(a) = self.offline_a
            && !(0.0..=1.0).contains(&a)
        {
            return Err(Error::usage(format!("a is {a}"))
                .at("--offline-a")
                .hint("give a number from 0 to 1, or leave it out to have it found"));
        }
        Ok(())
    }
}

impl Method {
    /// The attack of this name.
    ///
    /// # Errors
    /// With all names, if there is none.
    pub fn parse(name: &str) -> Result<Self> {
        Self::EVERY
            .iter()
            .copied()
            .find(|method| method.name() == name)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::EVERY.iter().map(|method| method.name()).collect();
                Error::usage(format!("there is no attack called `{name}`"))
                    .hint(format!("the attacks are {}", names.join(", ")))
            })
    }

    /// Whether it looks at the target only.
    #[must_use]
    pub fn is_without_references(self) -> bool {
        use Method as M;
        matches!(
            self,
            M::Loss
                | M::Confidence
                | M::Entropy
                | M::ModifiedEntropy
                | M::Gap
                | M::Population
                | M::QuantileRegression
                | M::LtIqr
        )
    }

    /// Whether it needs reference models that the record was IN.
    #[must_use]
    pub fn needs_inside(self) -> bool {
        use Method as M;
        matches!(
            self,
            M::Sablayrolles
                | M::LiraOnline
                | M::LiraOnlineFixed
                | M::RmiaOnline
                | M::Base2Online
                | M::Base3Online
                | M::Base4Online
                | M::BavariaNOnline
                | M::BavariaTOnline
                | M::BavariaNOffline
                | M::BavariaTOffline
                | M::ModifiedEntropyClassWise
                | M::LabelOnly
        )
    }

    /// Whether it needs more than the class that the target answers. Direct inference makes do
    /// with it: the losses of two kinds that are left have ranks.
    #[must_use]
    pub fn needs_confidences(self) -> bool {
        !matches!(self, Self::Gap | Self::LabelOnly | Self::GmiaDirect)
    }

    /// Whether it needs the whole outputs of the models, and not one number for each record.
    #[must_use]
    pub fn needs_outputs(self) -> bool {
        use Method as M;
        matches!(
            self,
            M::Entropy | M::ModifiedEntropy | M::ModifiedEntropyClassWise | M::Gap | M::LabelOnly
        )
    }

    /// Whether it needs the whole outputs of the reference models too.
    #[must_use]
    pub fn needs_reference_outputs(self) -> bool {
        matches!(self, Self::ModifiedEntropyClassWise | Self::LabelOnly)
    }

    /// Whether it looks at more of the target than its outputs: the records' features, or its
    /// training. Reference models in the target's place are not attacked so.
    #[must_use]
    pub fn is_of_the_target_alone(self) -> bool {
        matches!(self, Self::QuantileRegression | Self::LtIqr)
    }

    /// Whether more than one query for each record is used.
    #[must_use]
    pub fn uses_all_queries(self) -> bool {
        use Method as M;
        matches!(
            self,
            M::LiraOnline | M::LiraOffline | M::LiraOnlineFixed | M::LiraOfflineFixed
        )
    }
}

/// Runs attacks on the same evidence; what several need is computed once.
pub struct Attacker<'e, 'a, T> {
    evidence: &'e Evidence<'a, T>,
    parameters: Parameters,
    /// The models that leave with the first reference model when `a` is tuned on it.
    family_of_first: Vec<usize>,
    logits: Vec<OnceLock<Moments>>,
    losses: OnceLock<Moments>,
    confidences: OnceLock<(Moments, Vec<f64>)>,
}

impl<'e, 'a, T: Real> Attacker<'e, 'a, T> {
    /// Prepares nothing yet.
    #[must_use]
    pub fn new(evidence: &'e Evidence<'a, T>, parameters: Parameters) -> Self {
        Self {
            evidence,
            parameters,
            family_of_first: complement_of_first(&evidence.inside),
            logits: evidence.queries.iter().map(|_| OnceLock::new()).collect(),
            losses: OnceLock::new(),
            confidences: OnceLock::new(),
        }
    }

    /// Scores of all records, higher being more member-like; `NaN` for a record that cannot be
    /// scored.
    ///
    /// # Errors
    /// If the evidence lacks what the attack needs, or no record can be scored.
    pub fn score(&self, method: Method) -> Result<Scores> {
        self.lacks(method)?;
        let scores = self.compute(method)?;
        if scores.scores.iter().all(|score| score.is_nan()) {
            return Err(Error::input(format!(
                "{} can score no record: {}",
                method.name(),
                self.shortage(method)
            ))
            .hint("add reference models, or choose another method"));
        }
        Ok(scores)
    }

    fn lacks(&self, method: Method) -> Result<()> {
        let evidence = self.evidence;
        let refuse = |what: &str, hint: &str| {
            Err(Error::usage(format!("{} needs {what}", method.name())).hint(hint.to_owned()))
        };
        if method.needs_outputs() && evidence.target_outputs.is_none() {
            return refuse(
                "the target's output for every class",
                "give logits or probabilities as the signal, with the labels",
            );
        }
        let by_class = method == Method::ModifiedEntropyClassWise;
        if method.needs_reference_outputs()
            && (evidence.reference_outputs.is_empty() || by_class && evidence.labels.is_none())
        {
            return refuse(
                "the labels, and the outputs of reference models for every class",
                "give logits or probabilities as the signal, with the labels",
            );
        }
        if method == Method::QuantileRegression && evidence.features.is_none() {
            return refuse(
                "the records' features and known non-members",
                "run it on an audit whose target's members are known: giveaway audit --attacks",
            );
        }
        if method == Method::LtIqr && evidence.traces.is_none() {
            return refuse(
                "the losses of the target's training, epoch by epoch",
                "run it on an audit that trains its target: giveaway audit --attacks",
            );
        }
        if !method.is_without_references() && evidence.models() == 0 {
            return refuse("reference models", "give their signals and memberships");
        }
        Ok(())
    }

    /// Why no record has a score.
    fn shortage(&self, method: Method) -> String {
        let most = |member: bool| {
            (0..self.evidence.records())
                .map(|r| {
                    self.evidence
                        .inside
                        .iter()
                        .filter(|row| row[r] == member)
                        .count()
                })
                .max()
                .unwrap_or(0)
        };
        let out = format!(
            "no record is OUT for more than {} of the reference models",
            most(false)
        );
        if method.needs_inside() {
            format!("{out}, or IN for more than {}", most(true))
        } else {
            out
        }
    }

    fn compute(&self, method: Method) -> Result<Scores> {
        let evidence = self.evidence;
        let logits = || evidence.target_scaled_logits();
        let losses = || evidence.target_losses();
        // `lacks` has looked whether they are there.
        let outputs = || {
            evidence
                .target_outputs
                .ok_or_else(|| Error::unexpected("no outputs of the target"))
        };
        Ok(Scores::of(match method {
            Method::Loss => loss::score(&losses()),
            Method::Confidence => confidence::score(&evidence.target_confidences()),
            Method::Entropy => entropy::score(&outputs()?.entropy),
            Method::ModifiedEntropy => modified_entropy::score(&outputs()?.modified_entropy),
            Method::ModifiedEntropyClassWise => modified_entropy::class_wise(
                &outputs()?.modified_entropy,
                evidence.labels.unwrap_or_default(),
                &evidence.reference_outputs,
                &evidence.inside,
            ),
            Method::Gap => gap::score(&outputs()?.correct),
            Method::LabelOnly => label_only::score(
                &outputs()?.correct,
                &evidence.reference_outputs,
                &evidence.inside,
            ),
            Method::Population => return Ok(self.population()),
            Method::Reference => return Ok(reference::score(evidence)),
            Method::Difficulty => difficulty::score(&losses(), self.losses()),
            Method::Sablayrolles => sablayrolles::score(&losses(), self.losses()),
            Method::LiraOnline => self.over_queries(|t, m| lira::online(t, m, Variance::PerRecord)),
            Method::LiraOffline => {
                self.over_queries(|t, m| lira::offline(t, m, Variance::PerRecord))
            }
            Method::LiraOnlineFixed => {
                self.over_queries(|t, m| lira::online(t, m, Variance::Fixed))
            }
            Method::LiraOfflineFixed => {
                self.over_queries(|t, m| lira::offline(t, m, Variance::Fixed))
            }
            Method::RmiaOnline => self.rmia(Line::Online),
            Method::RmiaOffline => self.rmia(Line::Offline(self.offline_a())),
            Method::Base1Online | Method::Base1Offline => {
                let (confidences, target) = self.confidences();
                // the loss at the temperature of the confidences
                let losses: Vec<f64> = if evidence.tempered.is_some() {
                    target.iter().map(|&p| Scalar::Confidence.loss(p)).collect()
                } else {
                    losses()
                };
                if method == Method::Base1Online {
                    base::base1_online(&losses, confidences)
                } else {
                    base::base1_offline(&losses, confidences)
                }
            }
            Method::Base2Online => base::base2(&logits(), self.logits(0)),
            Method::Base3Online => base::base3(&logits(), self.logits(0)),
            Method::Base4Online => base::base4(&logits(), self.logits(0)),
            Method::BavariaNOnline => {
                bavaria::online(&logits(), self.logits(0), bavaria::Predictive::Normal)
            }
            Method::BavariaNOffline => {
                bavaria::offline(&logits(), self.logits(0), bavaria::Predictive::Normal)
            }
            Method::BavariaTOnline => {
                bavaria::online(&logits(), self.logits(0), bavaria::Predictive::StudentT)
            }
            Method::BavariaTOffline => {
                bavaria::offline(&logits(), self.logits(0), bavaria::Predictive::StudentT)
            }
            Method::QuantileRegression => return self.quantile_regression(),
            Method::LtIqr => {
                let traces = evidence
                    .traces
                    .ok_or_else(|| Error::unexpected("no losses by epoch"))?;
                loss_trace::interquartile_ranges(traces.view())?
            }
            Method::GmiaDirect => {
                let null = self.parameters.null;
                let p = match null {
                    Null::T => direct::arrays::p_values(evidence, self.logits(0), null),
                    Null::Ecdf | Null::Pchip => {
                        direct::arrays::p_values(evidence, &Moments::default(), null)
                    }
                };
                return Ok(Scores {
                    scores: p.iter().map(|&p| evidence_of(p)).collect(),
                    p_values: Some(p),
                });
            }
        }))
    }

    fn quantile_regression(&self) -> Result<Scores> {
        let features = self
            .evidence
            .features
            .ok_or_else(|| Error::unexpected("no features"))?;
        let found = quantile_regression::score(
            features.values.view(),
            &self.evidence.target_scaled_logits(),
            features.known_non_members,
            &quantile_regression::Boosting::default(),
            features.seed,
        )?;
        Ok(Scores {
            scores: found.scores,
            p_values: Some(found.p_values),
        })
    }

    fn population(&self) -> Scores {
        let evidence = self.evidence;
        let losses = evidence.target_losses();
        match &evidence.population {
            None => population::against_each_other(&losses),
            Some(known) => {
                let target = &known.signal.target;
                let others: Vec<f64> = target.iter().map(|&x| evidence.kind.loss(x)).collect();
                population::against_population(&losses, &others)
            }
        }
    }

    fn rmia(&self, line: Line) -> Vec<f64> {
        let (confidences, target) = self.confidences();
        let own = rmia::ratios(target, confidences, line);
        match rmia::population_confidences(self.evidence) {
            None => rmia::against_each_other(&own, self.parameters.gamma),
            Some((moments, target)) => {
                let others = rmia::population_ratios(&target, &moments, line);
                rmia::against_population(&own, &others, self.parameters.gamma)
            }
        }
    }

    /// The a of RMIA offline: the one given, or the one found.
    #[must_use]
    pub fn offline_a(&self) -> f64 {
        self.parameters.offline_a.unwrap_or_else(|| {
            rmia::tuned_a(self.evidence, &self.family_of_first, self.parameters.gamma)
        })
    }

    fn over_queries(&self, score: impl Fn(&[f64], &Moments) -> Vec<f64>) -> Vec<f64> {
        let kind = self.evidence.kind;
        let mut sum = vec![0.0; self.evidence.records()];
        for (index, query) in self.evidence.queries.iter().enumerate() {
            let target: Vec<f64> = query.target.iter().map(|&x| kind.scaled_logit(x)).collect();
            for (sum, score) in sum.iter_mut().zip(score(&target, self.logits(index))) {
                *sum += score;
            }
        }
        sum
    }

    /// Moments of the scaled logits of one query.
    fn logits(&self, query: usize) -> &Moments {
        self.logits[query].get_or_init(|| {
            let references = &self.evidence.queries[query].references;
            let (inside, records) = (&self.evidence.inside, self.evidence.records());
            // A conversion for each kind, so that the loop over models holds no choice.
            match self.evidence.kind {
                Scalar::ScaledLogit => moments(references, inside, records, |x| x),
                Scalar::Loss => moments(references, inside, records, |x| {
                    Scalar::Loss.scaled_logit(x)
                }),
                Scalar::Confidence => moments(references, inside, records, |x| {
                    Scalar::Confidence.scaled_logit(x)
                }),
            }
        })
    }

    fn losses(&self) -> &Moments {
        self.losses.get_or_init(|| {
            let (query, kind) = self.evidence.of_losses();
            let references = &query.references;
            let (inside, records) = (&self.evidence.inside, self.evidence.records());
            match kind {
                Scalar::Loss => moments(references, inside, records, |x| x),
                Scalar::ScaledLogit => {
                    moments_of_rows(references, inside, records, |row, losses| {
                        Scalar::ScaledLogit.losses(row, losses);
                    })
                }
                Scalar::Confidence => {
                    moments(references, inside, records, |x| Scalar::Confidence.loss(x))
                }
            }
        })
    }

    fn confidences(&self) -> &(Moments, Vec<f64>) {
        self.confidences
            .get_or_init(|| rmia::confidences(self.evidence))
    }
}

/// `-ln p`, finite for a p-value that has underflowed. `NaN` stays: `max` would make it 0, and
/// a record without a p-value the most member-like of all.
fn evidence_of(p: f64) -> f64 {
    if p.is_nan() {
        return f64::NAN;
    }
    -p.max(f64::MIN_POSITIVE).ln()
}

/// The models whose membership is the first one's turned round: its complements.
fn complement_of_first(inside: &[&[bool]]) -> Vec<usize> {
    let Some(first) = inside.first() else {
        return Vec::new();
    };
    (1..inside.len())
        .filter(|&model| inside[model].iter().zip(*first).all(|(a, b)| a != b))
        .collect()
}

#[cfg(test)]
mod tests;
