//! The space that is searched, read from a file.
//!
//! ```toml
//! [collection]
//! max_tokens     = { min = 64, max = 256, step = 32 }
//! overlap_tokens = { list = [0, 16, 32] }
//!
//! [retrieval]
//! leg_limit    = { min = 20, max = 400, log = true }
//! fusion       = { list = ["score", "rank"] }
//! dense_weight = { min = 0.1, max = 0.9, when = { "retrieval.fusion" = "score" } }
//! ```
//!
//! The file is TOML because a parameter is a setting of `vellum.toml`, at the same path and of the same type, and a
//! winner goes back there. The words `min`, `max`, `step` and `list` are those of Katib's feasible space, and `log` is its
//! `logUniform`. A parameter with `when` counts only where another one has the given value (or one of a list); where
//! it does not, the setting in force stays.

use super::parameters::{self, Assignment, Kind, PARAMETERS, Parameter, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vellum_core::{Error, ErrorKind, Result};

/// A space of settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// Dimensions; one that another depends on stands before it.
    pub dimensions: Vec<Dimension>,
}

/// A parameter with the values that are tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    /// The setting.
    pub parameter: &'static Parameter,
    /// The values.
    pub domain: Domain,
    /// What must hold for the parameter to count; all of it.
    pub when: Vec<Condition>,
}

/// The values of a dimension.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// `min`, `min + step`, ... up to `max`.
    Whole {
        /// Least.
        min: i64,
        /// Greatest, at least `min + step`.
        max: i64,
        /// Distance, >= 1.
        step: i64,
        /// Whether orders of magnitude are equally likely; then `min` >= 1 and `step` = 1.
        log: bool,
    },
    /// From `min` to `max`.
    Number {
        /// Least.
        min: f64,
        /// Greatest, above `min`.
        max: f64,
        /// Distance of the values tried; `None` means all.
        step: Option<f64>,
        /// Whether orders of magnitude are equally likely; then `min` > 0 and there is no step.
        log: bool,
    },
    /// One of these, at least one, none twice.
    List(Vec<Value>),
}

/// Another parameter has one of these values.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Path of the other parameter, whose domain is a list.
    pub path: String,
    /// Its values.
    pub values: Vec<Value>,
}

impl Space {
    /// Returns 16 hexadecimal digits that identify what is searched, whatever the file looks like.
    pub fn digest(&self) -> String {
        blake3::hash(format!("{:?}", self.dimensions).as_bytes()).to_hex()[..16].to_owned()
    }

    /// Returns whether `assignment` has a value of its domain for each dimension that counts, and no other.
    pub fn contains(&self, assignment: &Assignment) -> bool {
        let fits = |dimension: &Dimension| {
            let value = assignment.get(dimension.parameter.path);
            match dimension.is_active(assignment) {
                true => value.is_some_and(|value| dimension.domain.contains(value)),
                false => value.is_none(),
            }
        };
        let known = |path: &String| self.dimensions.iter().any(|d| d.parameter.path == path);
        self.dimensions.iter().all(fits) && assignment.keys().all(known)
    }
}

impl Dimension {
    /// Returns whether the parameter counts beside the values of `assignment`.
    pub fn is_active(&self, assignment: &Assignment) -> bool {
        let holds = |condition: &Condition| {
            assignment.get(&condition.path).is_some_and(|value| condition.values.contains(value))
        };
        self.when.iter().all(holds)
    }
}

impl Domain {
    /// Returns whether `value` is one of the values.
    pub fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Whole { min, max, step, .. }, Value::Whole(value)) => {
                (min..=max).contains(&value) && (value - min) % step == 0
            }
            (Self::Number { min, max, step, .. }, Value::Number(value)) => {
                let steps = step.map_or(0.0, |step| (value - min) / step);
                (min..=max).contains(&value) && (steps - steps.round()).abs() < 1e-6
            }
            (Self::List(values), value) => values.contains(value),
            _ => false,
        }
    }
}

/// Returns the space that `text` describes; `file` names it in errors.
///
/// # Errors
/// `Invalid` naming the line and the key: not TOML, an unknown parameter or key, an empty range, a value that the
/// setting cannot have, a condition on what is no list or not there, conditions in a circle.
pub fn parse(file: &str, text: &str) -> Result<Space> {
    let reader = Reader { file, text };
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        reader.wrong(at, format!("not valid TOML: {}", error.message()))
    })?;
    let mut found = Vec::new();
    for (section, entries) in root.get_ref() {
        let table = entries.get_ref().as_table();
        let unknown = |at, path: &str| reader.unknown_parameter(at, path);
        let table = table.ok_or_else(|| unknown(section.span().start, section.get_ref()))?;
        for (key, value) in table {
            let path = format!("{}.{}", section.get_ref(), key.get_ref());
            let at = key.span().start;
            let parameter = parameters::find(&path).ok_or_else(|| unknown(at, &path))?;
            found.push((at, reader.dimension(parameter, value)?));
        }
    }
    if found.is_empty() {
        return Err(reader.wrong(0, "no parameter is named".to_owned()).with_hint(EXAMPLE));
    }
    found.sort_by_key(|(at, _)| *at);
    reader.ordered(found).map(|dimensions| Space { dimensions })
}

const EXAMPLE: &str = "name settings of vellum.toml, as in: \
    [retrieval] on a line, then dense_weight = { min = 0.1, max = 0.9 }";

type Entry<'a> = Spanned<DeValue<'a>>;

/// Reads the parts of a file.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn wrong(&self, at: usize, what: impl std::fmt::Display) -> Error {
        let line = self.text[..at.min(self.text.len())].matches('\n').count() + 1;
        Error::new(ErrorKind::Invalid, format!("{} line {line}: {what}", self.file))
    }

    fn unknown_parameter(&self, at: usize, path: &str) -> Error {
        let nearest = nearest(path, PARAMETERS.iter().map(|parameter| parameter.path));
        self.wrong(at, format!("`{path}` is no parameter that can be tuned"))
            .with_hint(format!("did you mean `{nearest}`?"))
    }

    fn dimension(&self, parameter: &'static Parameter, value: &Entry<'_>) -> Result<Dimension> {
        const KEYS: [&str; 6] = ["min", "max", "step", "log", "list", "when"];
        let path = parameter.path;
        let at = value.span().start;
        let Some(table) = value.get_ref().as_table() else {
            return Err(self.wrong(at, format!("`{path}` must be a table"))
                .with_hint("write { min = ..., max = ... } or { list = [...] }; what is fixed stands in vellum.toml"));
        };
        if let Some((key, _)) =
            table.iter().find(|(key, _)| !KEYS.contains(&key.get_ref().as_ref()))
        {
            let hint = format!("did you mean `{}`?", nearest(key.get_ref(), KEYS));
            let what = format!("`{path}` has the unknown key `{}`", key.get_ref());
            return Err(self.wrong(key.span().start, what).with_hint(hint));
        }
        let domain = match (table.get("list"), table.get("min"), table.get("max")) {
            (Some(list), None, None) => {
                if let Some(key) = ["step", "log"].into_iter().find(|key| table.contains_key(*key))
                {
                    return Err(self.wrong(at, format!("`{path}` has `{key}` beside a `list`")));
                }
                self.list(parameter, list)?
            }
            (None, Some(min), Some(max)) => self.range(parameter, at, table, min, max)?,
            _ => {
                let what = format!("`{path}` must have `min` and `max`, or a `list`");
                return Err(self.wrong(at, what));
            }
        };
        let when = match table.get("when") {
            None => Vec::new(),
            Some(when) => self.conditions(parameter, when)?,
        };
        Ok(Dimension { parameter, domain, when })
    }

    fn list(&self, parameter: &Parameter, list: &Entry<'_>) -> Result<Domain> {
        let values = self.values(parameter, list)?;
        for (index, value) in values.iter().enumerate() {
            if values[..index].contains(value) {
                let what = format!("`{}` lists {value} twice", parameter.path);
                return Err(self.wrong(list.span().start, what));
            }
        }
        Ok(Domain::List(values))
    }

    fn range(
        &self,
        parameter: &Parameter,
        at: usize,
        table: &DeTable<'_>,
        min: &Entry<'_>,
        max: &Entry<'_>,
    ) -> Result<Domain> {
        let path = parameter.path;
        let log = match table.get("log") {
            None => false,
            Some(log) => log.get_ref().as_bool().ok_or_else(|| {
                self.wrong(log.span().start, format!("`{path}.log` must be true or false"))
            })?,
        };
        let step = table.get("step");
        if let (true, Some(step)) = (log, step) {
            let what = format!("`{path}` has both `log` and `step`");
            return Err(self.wrong(step.span().start, what));
        }
        let (low, high) = (self.value(parameter, min)?, self.value(parameter, max)?);
        let empty = || {
            self.wrong(
                at,
                format!("`{path}` has an empty range: min {low} is not below max {high}"),
            )
            .with_hint("a single value belongs into vellum.toml")
        };
        let bad_step = |at: usize| {
            self.wrong(at, format!("`{path}.step` must be above 0 and at most max - min"))
        };
        let bad_log = || self.wrong(at, format!("`{path}` has `log`, which needs a min above 0"));
        match (&low, &high) {
            (Value::Whole(min), Value::Whole(max)) => {
                if min >= max {
                    return Err(empty());
                }
                if log && *min < 1 {
                    return Err(bad_log());
                }
                let step = match step {
                    None => 1,
                    Some(step) => match self.plain(step) {
                        Some(Value::Whole(size)) if (1..=max - min).contains(&size) => size,
                        _ => return Err(bad_step(step.span().start)),
                    },
                };
                Ok(Domain::Whole { min: *min, max: *max, step, log })
            }
            (Value::Number(min), Value::Number(max)) => {
                if min >= max {
                    return Err(empty());
                }
                if log && *min <= 0.0 {
                    return Err(bad_log());
                }
                let step = match step {
                    None => None,
                    Some(step) => match self.plain(step).as_ref().and_then(as_number) {
                        Some(size) if size > 0.0 && size <= max - min => Some(size),
                        _ => return Err(bad_step(step.span().start)),
                    },
                };
                Ok(Domain::Number { min: *min, max: *max, step, log })
            }
            _ => Err(self.wrong(at, format!("`{path}` has no range: it needs a `list`"))),
        }
    }

    fn conditions(&self, parameter: &Parameter, when: &Entry<'_>) -> Result<Vec<Condition>> {
        let path = parameter.path;
        let Some(table) = when.get_ref().as_table() else {
            let what = format!("`{path}.when` must be a table");
            return Err(self
                .wrong(when.span().start, what)
                .with_hint("write when = { \"retrieval.fusion\" = \"score\" }"));
        };
        let mut conditions = Vec::new();
        for (key, value) in table {
            let other = parameters::find(key.get_ref());
            let other =
                other.ok_or_else(|| self.unknown_parameter(key.span().start, key.get_ref()))?;
            let values = match value.get_ref().as_array() {
                Some(_) => self.values(other, value)?,
                None => vec![self.value(other, value)?],
            };
            conditions.push(Condition { path: other.path.to_owned(), values });
        }
        Ok(conditions)
    }

    /// Puts dimensions into an order in which conditions look back only; else that of the file.
    fn ordered(&self, mut left: Vec<(usize, Dimension)>) -> Result<Vec<Dimension>> {
        for (at, dimension) in &left {
            for condition in &dimension.when {
                let path = dimension.parameter.path;
                let other = left.iter().find(|(_, d)| d.parameter.path == condition.path);
                let Some((_, other)) = other else {
                    let what =
                        format!("`{path}.when` names `{}`, which the space lacks", condition.path);
                    return Err(self.wrong(*at, what));
                };
                let Domain::List(values) = &other.domain else {
                    let what =
                        format!("`{path}.when` names `{}`, which is no list", condition.path);
                    return Err(self.wrong(*at, what));
                };
                if let Some(value) = condition.values.iter().find(|value| !values.contains(value)) {
                    let what = format!("`{path}.when`: `{}` never is {value}", condition.path);
                    return Err(self.wrong(*at, what));
                }
            }
        }
        let mut ordered: Vec<Dimension> = Vec::new();
        while !left.is_empty() {
            let is_ready = |(_, dimension): &(usize, Dimension)| {
                dimension.when.iter().all(|condition| {
                    ordered.iter().any(|done| done.parameter.path == condition.path)
                })
            };
            let Some(next) = left.iter().position(is_ready) else {
                let (at, dimension) = &left[0];
                let what =
                    format!("`{}` depends on itself through `when`", dimension.parameter.path);
                return Err(self.wrong(*at, what));
            };
            ordered.push(left.remove(next).1);
        }
        Ok(ordered)
    }

    fn values(&self, parameter: &Parameter, list: &Entry<'_>) -> Result<Vec<Value>> {
        let at = list.span().start;
        let Some(entries) = list.get_ref().as_array() else {
            return Err(self.wrong(at, format!("`{}.list` must be a list", parameter.path)));
        };
        let values: Vec<Value> =
            entries.iter().map(|entry| self.value(parameter, entry)).collect::<Result<_>>()?;
        if values.is_empty() {
            return Err(self.wrong(at, format!("`{}` has an empty list", parameter.path)));
        }
        Ok(values)
    }

    /// Returns a value that the parameter can have.
    fn value(&self, parameter: &Parameter, entry: &Entry<'_>) -> Result<Value> {
        let at = entry.span().start;
        let value = match (parameter.kind, self.plain(entry)) {
            (Kind::Number(..), Some(value)) => as_number(&value).map(Value::Number),
            (_, value) => value,
        };
        let checked = value.ok_or_else(|| format!("must be {}", parameter.kind));
        let checked = checked.and_then(|value| parameter.kind.check(&value).map(|()| value));
        checked.map_err(|why| self.wrong(at, format!("`{}` {why}", parameter.path)))
    }

    /// Returns a word or a number as it stands there; `None` for anything else.
    fn plain(&self, entry: &Entry<'_>) -> Option<Value> {
        match entry.get_ref() {
            DeValue::String(word) => Some(Value::Word(word.to_string())),
            DeValue::Boolean(flag) => Some(Value::Flag(*flag)),
            DeValue::Integer(whole) if whole.radix() == 10 => {
                whole.as_str().parse().ok().map(Value::Whole)
            }
            DeValue::Float(number) => number.as_str().parse().ok().map(Value::Number),
            _ => None,
        }
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Whole(whole) => Some(*whole as f64),
        Value::Number(number) => Some(*number),
        Value::Word(_) | Value::Flag(_) => None,
    }
}

/// Returns the known name that is least edits away from `name`.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> &'a str {
    known.into_iter().min_by_key(|known| strsim::levenshtein(name, known)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"
        [retrieval]
        dense_weight = { min = 0, max = 1, step = 0.25, when = { "retrieval.fusion" = "score" } }
        fusion = { list = ["score", "rank"] }
        leg_limit = { min = 20, max = 400, log = true }
        [collection]
        max_tokens = { min = 64, max = 256, step = 32 }
    "#;

    #[test]
    fn a_space_is_read_parents_first() {
        let space = parse("space.toml", FULL).unwrap();
        let paths: Vec<_> = space.dimensions.iter().map(|d| d.parameter.path).collect();
        assert_eq!(
            paths,
            [
                "retrieval.fusion",
                "retrieval.dense_weight",
                "retrieval.leg_limit",
                "collection.max_tokens"
            ]
        );
        assert_eq!(
            space.dimensions[1].domain,
            Domain::Number { min: 0.0, max: 1.0, step: Some(0.25), log: false }
        );
        assert_eq!(
            space.dimensions[2].domain,
            Domain::Whole { min: 20, max: 400, step: 1, log: true }
        );
    }

    #[test]
    fn the_digest_is_of_the_meaning() {
        let space = parse("a", FULL).unwrap();
        assert_eq!(space.digest(), parse("b", &format!("# why\n{FULL}")).unwrap().digest());
        assert_ne!(space.digest(), parse("a", &FULL.replace("256", "288")).unwrap().digest());
    }

    #[test]
    fn a_condition_decides_what_counts() {
        let space = parse("a", FULL).unwrap();
        let mut assignment: Assignment = [
            ("retrieval.fusion", Value::Word("rank".to_owned())),
            ("retrieval.leg_limit", Value::Whole(30)),
            ("collection.max_tokens", Value::Whole(96)),
        ]
        .map(|(path, value)| (path.to_owned(), value))
        .into();
        assert!(space.contains(&assignment));
        assignment.insert("retrieval.dense_weight".to_owned(), Value::Number(0.5));
        assert!(!space.contains(&assignment));
        assignment.insert("retrieval.fusion".to_owned(), Value::Word("score".to_owned()));
        assert!(space.contains(&assignment));
        assignment.insert("retrieval.dense_weight".to_owned(), Value::Number(0.6));
        assert!(!space.contains(&assignment));
    }

    #[test]
    fn problems_name_line_and_key() {
        let check = |text: &str, expect: &str| {
            let error = parse("s.toml", text).unwrap_err();
            let all = format!("{} ({})", error.message(), error.hint().unwrap_or_default());
            assert!(all.contains(expect), "{text}\n{all}");
            assert_eq!(error.kind(), ErrorKind::Invalid);
        };
        let retrieval = |line: &str| format!("[retrieval]\n{line}");
        check("", "s.toml line 1: no parameter is named");
        check("a = ", "line 1: not valid TOML");
        check("seed = 1", "`seed` is no parameter");
        check(
            &retrieval("dense_wait = { min = 0, max = 1 }"),
            "line 2: `retrieval.dense_wait` is no parameter that can be tuned (did you mean `retrieval.dense_weight`?)",
        );
        check("[server]\nbind = { list = [\"a\"] }", "`server.bind` is no parameter");
        check(&retrieval("dense_weight = 0.5"), "must be a table");
        check(
            &retrieval("dense_weight = { min = 0, maxx = 1 }"),
            "line 2: `retrieval.dense_weight` has the unknown key `maxx` (did you mean `max`?)",
        );
        check(
            &retrieval("dense_weight = { min = 1, max = 0.5 }"),
            "line 2: `retrieval.dense_weight` has an empty range: min 1 is not below max 0.5",
        );
        check(&retrieval("leg_limit = { min = 9, max = 9 }"), "empty range");
        check(&retrieval("fusion = { list = [] }"), "empty list");
        check(&retrieval("fusion = { list = [\"rank\", \"rank\"] }"), "lists rank twice");
        check(&retrieval("fusion = { list = [\"best\"] }"), "must be one of `score`, `rank`");
        check(&retrieval("fusion = { min = \"a\", max = \"b\" }"), "must be one of");
        check(&retrieval("fusion = { min = \"rank\", max = \"score\" }"), "it needs a `list`");
        check(&retrieval("leg_limit = { min = 1.5, max = 4 }"), "must be a whole number");
        check(&retrieval("leg_limit = { min = 0, max = 4 }"), "in 1 to 10000");
        check(
            &retrieval("leg_limit = { min = 1, max = 4, step = 0 }"),
            "`retrieval.leg_limit.step`",
        );
        check(&retrieval("leg_limit = { min = 1, max = 4, step = 9 }"), "at most max - min");
        check(&retrieval("leg_limit = { min = 1 }"), "must have `min` and `max`, or a `list`");
        check(&retrieval("leg_limit = { min = 1, max = 2, list = [1] }"), "or a `list`");
        check(&retrieval("leg_limit = { list = [1], step = 2 }"), "`step` beside a `list`");
        check(&retrieval("dense_weight = { min = 0, max = 1, log = true }"), "a min above 0");
        check(&retrieval("dense_weight = { min = nan, max = 1 }"), "must be a number");
        check(
            &retrieval("leg_limit = { min = 1, max = 4, log = true, step = 1 }"),
            "both `log` and `step`",
        );
        let when = |condition: &str| {
            retrieval(&format!(
                "fusion = {{ list = [\"rank\"] }}\nleg_limit = {{ min = 1, max = 9 }}\n\
                 dense_weight = {{ min = 0, max = 1, when = {{ {condition} }} }}"
            ))
        };
        check(&when("\"retrieval.fushion\" = \"rank\""), "did you mean `retrieval.fusion`?");
        check(&when("\"retrieval.fusion\" = \"score\""), "line 4: `retrieval.dense_weight.when`");
        check(&when("\"retrieval.leg_limit\" = 5"), "which is no list");
        check(&when("\"retrieval.sparse_weight\" = 5"), "which the space lacks");
        check(
            &retrieval(
                "fusion = { list = [\"rank\"], when = { \"retrieval.leg_limit\" = 5 } }\n\
                 leg_limit = { list = [5], when = { \"retrieval.fusion\" = \"rank\" } }",
            ),
            "depends on itself",
        );
    }
}
