//! What people think of answers.

use super::{SqliteMetastore, failed, is_orphan, missing, rows, sql_limit};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use vellum_core::Result;
use vellum_core::access::Pass;
use vellum_core::feedback::{Feedback, Verdict};
use vellum_core::ids::FeedbackId;

impl SqliteMetastore {
    pub(super) async fn write_feedback(&self, pass: &Pass, feedback: &Feedback) -> Result<()> {
        const SQL: &str = "INSERT INTO feedback
                (collection, id, question, verdict, comment, cited, created_ms)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (collection, id) DO UPDATE SET
                question = excluded.question, verdict = excluded.verdict,
                comment = excluded.comment, cited = excluded.cited,
                created_ms = excluded.created_ms";
        let done = sqlx::query(SQL)
            .bind(pass.collection().to_string())
            .bind(feedback.id.to_string())
            .bind(feedback.question.clone())
            .bind(feedback.verdict.as_str())
            .bind(feedback.comment.clone())
            .bind(serde_json::to_string(&feedback.cited).expect("plain structs always serialise"))
            .bind(feedback.created_ms)
            .execute(&self.writer)
            .await;
        done.map(drop).map_err(|source| match is_orphan(&source) {
            true => missing(pass.collection()),
            false => failed(&self.path, "write feedback", source),
        })
    }

    pub(super) async fn read_feedback(
        &self,
        pass: &Pass,
        after: Option<FeedbackId>,
        limit: usize,
    ) -> Result<Vec<Feedback>> {
        // Ids are texts of one length, so their order is that of their bytes; and all are above the empty text.
        sqlx::query("SELECT * FROM feedback WHERE collection = ? AND id > ? ORDER BY id LIMIT ?")
            .bind(pass.collection().to_string())
            .bind(after.map(|id| id.to_string()).unwrap_or_default())
            .bind(sql_limit(limit))
            .try_map(|row| feedback(&row))
            .fetch_all(&self.readers)
            .await
            .map_err(|source| failed(&self.path, "read feedback", source))
    }
}

fn feedback(row: &SqliteRow) -> sqlx::Result<Feedback> {
    let verdict = row.try_get("verdict")?;
    Ok(Feedback {
        id: rows::parsed(row, "id")?,
        question: row.try_get("question")?,
        verdict: Verdict::from_name(verdict).ok_or_else(|| rows::unknown("verdict", verdict))?,
        comment: row.try_get("comment")?,
        cited: rows::decoded(row, "cited", |json| serde_json::from_str(json))?,
        created_ms: row.try_get("created_ms")?,
    })
}
