//! Our metrics beside those of trec_eval, on rankings with ties and graded judgements.
//!
//! `cargo xtask test` installs `pytrec_eval` (trec_eval's own C code); without it the test says so and skips itself.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use vellum_rag::eval::metrics::{self, Judgements};

const CUTOFFS: [usize; 5] = [1, 3, 5, 10, 100];

/// Reads `{"qrels", "run"}` and writes the measures of each query.
const SCRIPT: &str = include_str!("../trec_eval.py");

/// Numbers that look random and are the same in every run (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn our_metrics_are_those_of_trec_eval() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tests/venv/bin/python");
    if !has_pytrec_eval(&python) {
        eprintln!("skipped: pytrec_eval is not installed; `cargo xtask test` installs it");
        return;
    }
    let mut numbers = Numbers(20_261_128);
    let (mut qrels, mut runs) = (HashMap::new(), HashMap::new());
    for query in 0..300 {
        let judged = 1 + numbers.below(12);
        let judgements: Judgements = (0..judged)
            .map(|_| (format!("d{}", numbers.below(60)), numbers.below(4) as u32))
            .collect();
        // Few different scores, so that many are equal.
        let mut run: HashMap<String, f32> = HashMap::new();
        for _ in 0..=numbers.below(120) {
            run.insert(format!("d{}", numbers.below(60)), numbers.below(9) as f32 / 8.0);
        }
        qrels.insert(format!("q{query}"), judgements);
        runs.insert(format!("q{query}"), run);
    }
    let theirs = trec_eval(&python, &json!({ "qrels": qrels, "run": runs }));
    let mut compared = 0;
    for (query, judgements) in &qrels {
        let mut documents: Vec<(String, f32)> = runs[query].clone().into_iter().collect();
        metrics::order(&mut documents);
        let ranking: Vec<String> = documents.into_iter().map(|(id, _)| id).collect();
        let ours = metrics::score(&ranking, judgements, &CUTOFFS);
        let mut check = |ours: f64, name: &str| {
            let theirs = theirs[query][name].as_f64().unwrap_or_else(|| panic!("no {name}"));
            assert!((ours - theirs).abs() < 1e-6, "{query} {name}: {ours}, trec_eval {theirs}");
            compared += 1;
        };
        for k in CUTOFFS {
            for (name, trec) in [
                ("ndcg", "ndcg_cut"),
                ("recall", "recall"),
                ("precision", "P"),
                ("map", "map_cut"),
                ("hit_rate", "success"),
            ] {
                check(ours[&format!("{name}_at_{k}")], &format!("{trec}_{k}"));
            }
        }
        check(ours["mrr_at_100"], "recip_rank");
        for k in CUTOFFS {
            let whole = ours["mrr_at_100"];
            let cut = if whole * k as f64 >= 1.0 - 1e-9 { whole } else { 0.0 };
            assert_eq!(ours[&format!("mrr_at_{k}")], cut, "{query} at {k}");
        }
    }
    assert_eq!(compared, 300 * 26);
}

fn has_pytrec_eval(python: &Path) -> bool {
    let probe = Command::new(python).args(["-c", "import pytrec_eval"]).output();
    probe.is_ok_and(|output| output.status.success())
}

fn trec_eval(python: &Path, data: &Value) -> Value {
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(data.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
